/* What must fit together in a configuration. */
#include "table.h"

#include <string.h>

typedef struct checker {
    const cz_origin *origin;
    const char *path;
} checker;

/* Where to look: an override before the file, of the two the key named first. */
static cz_origin blame(const checker *c, const char *first, const char *second)
{
    cz_origin a = c->origin[cz_key_find(first)], b = c->origin[cz_key_find(second)];
    if (a.override || (a.line && !b.override)) return a;
    return b;
}

#define REFUSE(first, second, ...)                                                                 \
    return cz_config_fail(c->path, blame(c, first, second), __VA_ARGS__)

static cz_status check_shapes(const checker *c, const cz_config *k)
{
    int width = k->data.source == CZ_SOURCE_SYNTHETIC    ? k->synthetic.width
                : k->data.features == CZ_FEATURES_COUNTS ? k->data.components
                                                         : 0;
    const char *from =
        k->data.source == CZ_SOURCE_SYNTHETIC ? "synthetic.width" : "data.components";
    if (k->model.fusion_dim % k->model.heads)
        REFUSE("model.fusion_dim", "model.heads",
               "model.heads (%d) must divide model.fusion_dim (%d)", k->model.heads,
               k->model.fusion_dim);
    if (k->model.latent_dim % k->model.heads)
        REFUSE("model.latent_dim", "model.heads",
               "model.heads (%d) must divide model.latent_dim (%d)", k->model.heads,
               k->model.latent_dim);
    if (width % k->model.tokens)
        REFUSE("model.tokens", from, "model.tokens (%d) must divide %s (%d)", k->model.tokens, from,
               width);
    if (k->model.text && k->text.width % k->model.tokens)
        REFUSE("model.tokens", "text.width", "model.tokens (%d) must divide text.width (%d)",
               k->model.tokens, k->text.width);
    return CZ_OK;
}

static cz_status check_filters(const checker *c, const cz_config *k)
{
    for (int i = 0; i < k->data.filter.count; i++) {
        cz_filter filter;
        const char *wrong = cz_config_filter(&filter, k->data.filter.text[i]);
        if (wrong)
            REFUSE("data.filter", "data.filter", "key 'data.filter': '%s': %s",
                   k->data.filter.text[i], wrong);
    }
    if (k->data.source == CZ_SOURCE_SYNTHETIC && k->data.filter.count)
        REFUSE("data.filter", "data.source",
               "data.filter chooses cells of a file, but data.source is synthetic");
    if (k->data.source == CZ_SOURCE_SYNTHETIC && k->data.min_cells > 1)
        REFUSE("data.min_cells", "data.source",
               "data.min_cells chooses cells of a file, but data.source is synthetic");
    return CZ_OK;
}

static cz_status check_data(const checker *c, const cz_config *k)
{
    if (k->data.source == CZ_SOURCE_H5AD && !k->data.h5ad.count)
        REFUSE("data.h5ad", "data.source",
               "data.source is h5ad, but no file is given: add --set data.h5ad=FILE");
    if (k->data.source == CZ_SOURCE_SYNTHETIC && k->data.h5ad.count)
        REFUSE("data.h5ad", "data.source",
               "data.h5ad names a file, but data.source is synthetic: set data.source to h5ad");
    CZ_TRY(check_filters(c, k));
    const char *matrix = k->data.matrix;
    bool layer = strncmp(matrix, "layer:", 6) == 0 && matrix[6];
    if (!layer && strcmp(matrix, "X") != 0 && strcmp(matrix, "raw") != 0)
        REFUSE("data.matrix", "data.matrix",
               "key 'data.matrix': expected X, raw or layer:NAME, found '%s'", matrix);
    if (k->data.components > k->data.variable_genes && k->data.features == CZ_FEATURES_COUNTS)
        REFUSE("data.components", "data.variable_genes",
               "data.components (%d) is more than data.variable_genes (%d)", k->data.components,
               k->data.variable_genes);
    for (int i = 0; i < k->data.adversary_keys.count; i++) {
        const char *name = k->data.adversary_keys.name[i];
        if (strcmp(name, k->data.target_key) == 0)
            REFUSE("data.adversary_keys", "data.target_key",
                   "data.adversary_keys: '%s' is also data.target_key: a column is either "
                   "predicted or held out",
                   name);
    }
    return CZ_OK;
}

/* Whether one of the columns that `joined` names, with + between them, is among those of `label`.
 */
static bool share_column(const char *joined, const char *label)
{
    for (const char *a = joined; *a; a += strcspn(a, "+"), a += *a == '+')
        for (const char *b = label; *b; b += strcspn(b, "+"), b += *b == '+') {
            size_t length = strcspn(a, "+");
            if (length == strcspn(b, "+") && !strncmp(a, b, length)) return true;
        }
    return false;
}

/* What is predicted, or held out, may not stand among the inputs. */
static cz_status check_label(const checker *c, const cz_config *k)
{
    const char *label = k->data.label_key;
    if (!k->model.text) return CZ_OK;
    if (share_column(k->data.target_key, label))
        REFUSE("data.label_key", "data.target_key",
               "data.label_key is '%s', data.target_key '%s': the text would tell the answer; name "
               "another label, or set model.text to false",
               label, k->data.target_key);
    for (int i = 0; i < k->data.adversary_keys.count; i++)
        if (share_column(k->data.adversary_keys.name[i], label))
            REFUSE(
                "data.adversary_keys", "data.label_key",
                "data.adversary_keys: '%s' is in data.label_key ('%s'): the text would tell what "
                "is held out; name another label, or set model.text to false",
                k->data.adversary_keys.name[i], label);
    return CZ_OK;
}

cz_split_method cz_config_split(const cz_config *config, const char **key)
{
    static const char *const words[] = {"stratified", "random", "group:", "column:", "kfold"};
    const char *text = config->split.method, *colon = strchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) + 1 : strlen(text);
    int method = CZ_SPLIT_STRATIFIED;
    for (int i = 0; i <= CZ_SPLIT_KFOLD; i++)
        if (strlen(words[i]) == length && strncmp(text, words[i], length) == 0) method = i;
    *key = colon ? colon + 1 : "";
    return (cz_split_method)method;
}

static cz_status check_split(const checker *c, const cz_config *k)
{
    const char *key, *text = k->split.method;
    cz_split_method method = cz_config_split(k, &key);
    bool needs = method == CZ_SPLIT_GROUP || method == CZ_SPLIT_COLUMN;
    bool known =
        method != CZ_SPLIT_STRATIFIED || !strcmp(text, "stratified") || !strcmp(text, "donor");
    if (!known || needs != (key[0] != 0))
        REFUSE("split.method", "split.method",
               "key 'split.method': expected stratified, donor, random, group:KEY, column:KEY or "
               "kfold, found '%s'",
               text);
    if (k->split.fold >= k->split.folds)
        REFUSE("split.fold", "split.folds",
               "split.fold (%d) is not among 0 to %d, as split.folds "
               "is %d",
               k->split.fold, k->split.folds - 1, k->split.folds);
    if (k->split.train + k->split.validation > 1 - 1e-9)
        REFUSE("split.validation", "split.train",
               "split.train (%g) and split.validation (%g) leave no cells to test", k->split.train,
               k->split.validation);
    return CZ_OK;
}

static cz_status check_text(const checker *c, const cz_config *k)
{
    bool model = k->text.model[0] != 0;
    if (model && strcmp(k->text.table, "embedded") != 0)
        REFUSE("text.model", "text.table",
               "text.model and text.table both give vectors for the labels: leave one out");
    if (!model && k->text.pooling != CZ_POOLING_CLS)
        REFUSE("text.pooling", "text.model",
               "text.pooling says how a text.model makes vectors, but there is none");
    if (!model && k->text.casing != CZ_CASE_AUTO)
        REFUSE("text.casing", "text.model",
               "text.casing says how a text.model reads texts, but there is none");
    return CZ_OK;
}

/* Names with '/' between them, none of them empty, "." or "..". */
static bool is_folder_name(const char *name)
{
    for (;;) {
        size_t length = strcspn(name, "/");
        if (!length || strncmp(name, ".", length) == 0 || strncmp(name, "..", length) == 0)
            return false;
        if (!name[length]) return true;
        name += length + 1;
    }
}

static cz_status check_run(const checker *c, const cz_config *k)
{
    const char *name = k->run.name;
    if (!is_folder_name(name))
        REFUSE("run.name", "run.name",
               "key 'run.name': expected the name of a folder, or of one in others (a/b), found "
               "'%s': run.results says where",
               name);
    if (strcmp(name, "label-cache") == 0)
        REFUSE("run.name", "run.name",
               "key 'run.name': label-cache is the folder of label vectors: give the run another "
               "name");
    if (k->eval.select == CZ_SELECT_TEST && !k->eval.test_every_epoch)
        REFUSE("eval.select", "eval.test_every_epoch",
               "eval.select is test, which needs eval.test_every_epoch: true");
    return CZ_OK;
}

static cz_status check_train(const checker *c, const cz_config *k)
{
    if (k->train.class_weights == CZ_WEIGHTS_BALANCED && k->train.sampler == CZ_SAMPLER_BALANCED)
        REFUSE("train.class_weights", "train.sampler",
               "train.class_weights and train.sampler are both balanced: rare classes would count "
               "twice over; set one of them to its default");
    return CZ_OK;
}

static cz_status check_search(const checker *c, const cz_config *k)
{
    cz_space space;
    char text[CZ_REASON_MAX];
    const char *wrong = cz_config_space_fault(&space, k, text);
    if (wrong) REFUSE("search.space", "search.space", "key 'search.space': %s", wrong);
    return CZ_OK;
}

cz_status cz_config_check(const cz_config *config, const cz_origin *origin, const char *path)
{
    checker c = {origin, path};
    CZ_TRY(check_run(&c, config));
    CZ_TRY(check_data(&c, config));
    CZ_TRY(check_label(&c, config));
    CZ_TRY(check_split(&c, config));
    CZ_TRY(check_train(&c, config));
    CZ_TRY(check_text(&c, config));
    CZ_TRY(check_search(&c, config));
    return check_shapes(&c, config);
}
