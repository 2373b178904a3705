/* What a folder says of a BERT, right and wrong: config.json, and the tensors of its weights. */
#include "check.h"
#include "czhpc/file.h"

#include "czhpc/bert.h"
#include "czhpc/safetensors.h"
#include "czhpc/store.h"
#include "czhpc/text.h"

#include <unistd.h>

#define WORDS "embeddings.word_embeddings.weight"

static char folder[] = "/tmp/czhpc-bert-XXXXXX";

static const char config[] =
    "{\"model_type\": \"bert\", \"hidden_size\": 6, \"num_hidden_layers\": 1, "
    "\"num_attention_heads\": 2, \"intermediate_size\": 10, "
    "\"vocab_size\": 7, \"max_position_embeddings\": 5, "
    "\"type_vocab_size\": 2, \"hidden_act\": \"gelu\", "
    "\"layer_norm_eps\": 1e-12}";

/* Its text with `from` replaced. */
static cz_status parse(cz_bert_shape *shape, const char *from, const char *to)
{
    char text[2048];
    const char *at = strstr(config, from);
    if (!at) exit(2);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - config), config, to, at + strlen(from));
    cz_error_clear();
    return cz_bert_parse_shape(shape, "config.json", text, strlen(text));
}

static void check_good_shapes(void)
{
    cz_bert_shape s;
    check(!parse(&s, "{", "{") && s.width == 6 && s.layers == 1 && s.heads == 2 &&
              s.feedforward == 10 && s.vocabulary == 7 && s.positions == 5 && s.types == 2 &&
              s.activation == CZ_GELU && s.eps == 1e-12,
          "config.json is read");
    check(!parse(&s, "\"model_type\": \"bert\", ", "") && s.width == 6,
          "older ones do not name their kind");
    check(!parse(&s, ", \"layer_norm_eps\": 1e-12", "") && s.eps == 1e-12, "nor their epsilon");
    check(!parse(&s, "\"type_vocab_size\": 2, ", "") && s.types == 2, "nor their types");
    check(!parse(&s, "\"gelu\"", "\"relu\"") && s.activation == CZ_RELU,
          "ReLU is an activation too");
    check(!parse(&s, "{", "{\"id2label\": {\"0\": [1, null]}, \"torch_dtype\": null, ") &&
              s.width == 6,
          "what is of no concern is passed over");
}

static void check_bad_shapes(void)
{
    static const char *const cases[][3] = {
        {"{", "[", "is not JSON"},
        {"{", "", "is not JSON"},
        {"}", "", "config.json:1:"},
        {"\"bert\"", "\"roberta\"", "model_type: expected 'bert', found 'roberta'"},
        {"\"bert\"", "3", "model_type: expected 'bert', found a whole number"},
        {"{", "{\"position_embedding_type\": \"relative_key\", ", "found 'relative_key'"},
        {"{", "{\"is_decoder\": true, ", "is_decoder: expected false"},
        {"\"hidden_size\": 6", "\"hidden_size\": 6.0",
         "hidden_size: expected a whole number, found"},
        {"\"hidden_size\": 6, ", "", "hidden_size: expected a whole number, found nothing"},
        {"\"hidden_size\": 6", "\"hidden_size\": 7", "must divide hidden_size (7)"},
        {"\"hidden_size\": 6", "\"hidden_size\": 99999999", "expected 1 to 16384, found 99999999"},
        {"\"hidden_size\": 6", "\"hidden_size\": 99999999999999999999", "is not JSON"},
        {"\"hidden_size\": 6", "\"hidden_size\": 6, \"hidden_size\": 6", "duplicate"},
        {"\"num_hidden_layers\": 1", "\"num_hidden_layers\": 0", "expected 1 to 1000, found 0"},
        {"\"vocab_size\": 7", "\"vocab_size\": -7", "expected 1 to"},
        {"\"type_vocab_size\": 2", "\"type_vocab_size\": null", "found null"},
        {"\"gelu\"", "\"gelu_new\"", "hidden_act: expected gelu or relu, found gelu_new"},
        {"\"hidden_act\": \"gelu\", ", "", "hidden_act: expected gelu or relu, found nothing"},
        {"1e-12", "0", "layer_norm_eps: expected a number above 0"},
        {"1e-12", "\"small\"", "layer_norm_eps: expected a number above 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cz_bert_shape s;
        cz_status status = parse(&s, cases[i][0], cases[i][1]);
        check(status == CZ_ERR_INPUT && strstr(cz_error_message(), cases[i][2]), "refused: %s",
              cz_error_message());
    }
}

enum { MOST = 32 };
static cz_param_entry entries[MOST];
static int entry_count;
static size_t total;

static void add(const char *name, int rows, int cols)
{
    cz_param_entry *e = &entries[entry_count++];
    *e = (cz_param_entry){.rank = cols ? 2 : 1, .dim = {rows, cols}, .offset = total};
    snprintf(e->name, sizeof e->name, "%.90s", name);
    total += cz_param_size(e);
}

static void add_linear(const char *name, int rows, int cols)
{
    char full[128];
    snprintf(full, sizeof full, "%s.weight", name);
    add(full, rows, cols);
    snprintf(full, sizeof full, "%s.bias", name);
    add(full, rows, 0);
}

/* The tensors that `config` calls for. */
static void list_tensors(void)
{
    entry_count = 0;
    total = 0;
    add(WORDS, 7, 6);
    add("embeddings.position_embeddings.weight", 5, 6);
    add("embeddings.token_type_embeddings.weight", 2, 6);
    add_linear("embeddings.LayerNorm", 6, 0);
    entries[entry_count - 2].rank = 1;
    add_linear("encoder.layer.0.attention.self.query", 6, 6);
    add_linear("encoder.layer.0.attention.self.key", 6, 6);
    add_linear("encoder.layer.0.attention.self.value", 6, 6);
    add_linear("encoder.layer.0.attention.output.dense", 6, 6);
    add_linear("encoder.layer.0.attention.output.LayerNorm", 6, 0);
    add_linear("encoder.layer.0.intermediate.dense", 10, 6);
    add_linear("encoder.layer.0.output.dense", 6, 10);
    add_linear("encoder.layer.0.output.LayerNorm", 6, 0);
}

static void write_text(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (cz_write_file(path, text, strlen(text))) exit(2);
}

static cz_status open_folder(cz_bert **bert)
{
    char path[256];
    float *w = calloc(total, sizeof *w);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    write_text("config.json", config);
    cz_error_clear();
    if (!w || cz_safetensors_write(path, entries, entry_count, w, CZ_F32, NULL, 0)) exit(2);
    free(w);
    return cz_bert_open(bert, folder);
}

static void weights_refused(const char *words)
{
    cz_bert *bert;
    cz_status status = open_folder(&bert);
    check(status == CZ_ERR_INPUT && !bert && strstr(cz_error_message(), words), "refused: %s",
          cz_error_message());
}

static void rename_all(const char *prefix, bool old)
{
    for (int i = 0; i < entry_count; i++) {
        char name[sizeof entries[i].name], *norm;
        if (!cz_text_copy(name, sizeof name, entries[i].name)) exit(2);
        norm = strstr(name, "LayerNorm.");
        if (norm && old)
            strcpy(norm, strstr(norm, "weight") ? "LayerNorm.gamma" : "LayerNorm.beta");
        if (snprintf(entries[i].name, sizeof name, "%s%.80s", prefix, name) >= (int)sizeof name)
            exit(2);
    }
}

static void check_names(void)
{
    static const struct {
        const char *prefix;
        bool old;
    } ways[] = {{"", false}, {"bert.", false}, {"bert.", true}, {"0.auto_model.", false}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        cz_bert *bert;
        int unused = -1;
        list_tensors();
        rename_all(ways[i].prefix, ways[i].old);
        cz_status status = open_folder(&bert);
        if (!status) cz_bert_unused(bert, &unused);
        check(!status && unused == 0, "names with the prefix '%s'%s: %s", ways[i].prefix,
              ways[i].old ? " and gamma and beta" : "", cz_error_message());
        cz_bert_close(bert);
    }
    cz_bert *bert;
    int unused = 0;
    list_tensors();
    add_linear("pooler.dense", 6, 6);
    cz_status status = open_folder(&bert);
    const char *names = status ? "" : cz_bert_unused(bert, &unused);
    check(unused == 2 && !strcmp(names, "pooler.dense.bias, pooler.dense.weight"),
          "what is not used is named: %s", names);
    cz_bert_close(bert);
}

static void check_weights(void)
{
    list_tensors();
    strcpy(entries[7].name, "encoder.layer.0.attention.self.keys.weight");
    weights_refused("1 tensor is missing that config.json calls for: "
                    "encoder.layer.0.attention.self.key.weight");
    list_tensors();
    entry_count -= 11;
    weights_refused("11 tensors are missing");
    list_tensors();
    entries[5].dim[0] = 4;
    weights_refused("query.weight is (4, 6), but config.json says (6, 6)");
    list_tensors();
    entries[6].rank = 2;
    entries[6].dim[0] = entries[6].dim[1] = 2;
    weights_refused("query.bias is (2, 2), but config.json says (6)");
    list_tensors();
    add("other." WORDS, 7, 6);
    weights_refused("holds two models");
    list_tensors();
    strcpy(entries[0].name, "wte.weight");
    weights_refused("is no BERT");
}

/* What is asked of a workspace must have room in it. */
static void check_batches(void)
{
    cz_bert *bert;
    cz_bert_workspace *ws;
    float out[5 * 6];
    const cz_backend *backend = cz_backend_cpu(CZ_F32, CZ_LEVEL_PORTABLE);
    int32_t id[10] = {1, 2, 3, 4, 5, 6}, length[4] = {2, 1, 2, 2};
    list_tensors();
    if (open_folder(&bert) || cz_bert_workspace_open(&ws, bert, backend, 8)) exit(2);
    cz_bert_batch batch = {4, 2, id, length};
    cz_tensor to = cz_matrix(out, CZ_F32, 4, 6);
    check(!cz_bert_forward(ws, to, &batch, CZ_POOLING_CLS) && isfinite((double)out[23]),
          "a batch that fills its room: %s", cz_error_message());
    batch.tokens = 3;
    check(cz_bert_forward(ws, to, &batch, CZ_POOLING_CLS) == CZ_ERR_BUG, "one that does not");
    cz_error_clear();
    batch = (cz_bert_batch){1, 6, id, length};
    to.dim[0] = 1;
    check(cz_bert_forward(ws, to, &batch, CZ_POOLING_CLS) == CZ_ERR_BUG,
          "more tokens than positions");
    cz_error_clear();
    batch = (cz_bert_batch){1, 2, (int32_t[]){1, 7}, length};
    check(cz_bert_forward(ws, to, &batch, CZ_POOLING_MEAN) == CZ_ERR_BUG, "an id out of range: %s",
          cz_error_message());
    cz_error_clear();
    cz_bert_workspace *wrong;
    check(cz_bert_workspace_open(&wrong, bert, cz_backend_cpu(CZ_F64, CZ_LEVEL_PORTABLE), 8) ==
              CZ_ERR_BUG,
          "a backend of fp64");
    cz_bert_workspace_close(ws);
    cz_bert_close(bert);
}

int main(void)
{
    char command[128];
    if (!mkdtemp(folder)) return 1;
    check_good_shapes();
    check_bad_shapes();
    check_names();
    check_weights();
    check_batches();
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) ? 1 : check_done();
}
