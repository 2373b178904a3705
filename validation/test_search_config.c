/* What a configuration says of searches and of lists of experiments, and what is refused. */
#include "check.h"

#include "czhpc/config.h"

#include <unistd.h>

static char file[] = "/tmp/czhpc-search-XXXXXX.yaml";
static cz_config config, item;

static cz_status load(const char *text, const char *override)
{
    cz_override one = {override};
    FILE *out = fopen(file, "w");
    if (!out || fputs(text, out) == EOF || fclose(out)) exit(1);
    cz_error_clear();
    return cz_config_load(&config, file, &one, override != NULL);
}

static void test_space(void)
{
    cz_space space, other;
    check(!load("{}", NULL) && !cz_config_space(&space, &config) && space.count == 5,
          "the default space has the reference's five parameters");
    const cz_dimension *lr = &space.dimension[0], *dim = &space.dimension[3];
    check(!strcmp(lr->name, "train.lr") && lr->kind == CZ_FLOAT && lr->log && lr->low == 1e-5 &&
              lr->high == 1e-2 && lr->step == 0,
          "lr moves from 1e-5 to 1e-2 in the logarithm");
    check(!strcmp(dim->name, "model.latent_dim") && dim->kind == CZ_INTEGER && dim->step == 8 &&
              dim->low == 64 && dim->high == 256 && !dim->log,
          "latent_dim moves from 64 to 256 by 8");
    check(!load("search:\n  space: [model.positions = none | learned, model.layers=1|2 | 3,"
                "train.stopping = none]\n",
                NULL) &&
              !cz_config_space(&space, &config) && space.count == 3 &&
              space.dimension[0].kind == CZ_CATEGORICAL && space.dimension[1].choices == 3 &&
              !strcmp(space.dimension[0].choice[1], "\"learned\"") &&
              !strcmp(space.dimension[1].choice[2], "3"),
          "choices are kept as JSON");
    check(!load("search:\n  space: [train.lr = 1e-5 | 0.50 | 1]\n", NULL) &&
              !cz_config_space(&other, &config) && !strcmp(other.dimension[0].choice[0], "1e-05") &&
              !strcmp(other.dimension[0].choice[1], "0.5") &&
              !strcmp(other.dimension[0].choice[2], "1.0"),
          "numbers among them as Python prints them");
    double x[3] = {1, 2, 0};
    check(!cz_config_set_point(&config, &space, x) && config.model.layers == 3 &&
              config.model.positions == CZ_POSITIONS_LEARNED &&
              config.train.stopping == CZ_STOPPING_NONE,
          "a point sets them");
}

static void test_points(void)
{
    cz_space space;
    load("{}", NULL);
    cz_config_space(&space, &config);
    double x[5] = {3.3e-4, 0.25, 33, 72, 0.125};
    check(!cz_config_set_point(&config, &space, x) && config.train.lr == 3.3e-4 &&
              config.model.dropout == 0.25 && config.model.latents == 33 &&
              config.model.latent_dim == 72 && config.train.adv_lambda == 0.125,
          "numbers arrive to the last bit");
    x[3] = 70;
    cz_error_clear();
    check(cz_config_set_point(&config, &space, x) == CZ_ERR_CONFIG &&
              strstr(cz_error_message(), "must divide model.latent_dim"),
          "a point that does not fit together is refused");
    load("{}", NULL);
    uint64_t before = cz_config_hash(&config);
    config.train.lr = 1;
    cz_config_reset_space(&config);
    check(cz_config_hash(&config) == before, "the space reset, the rest is what it was");
}

static const struct {
    const char *text, *says;
} bad_spaces[] = {
    {"train.lr", "expected KEY = LOW"},
    {"train.lr =", "expected KEY = LOW"},
    {"train.lr = 1e-4", NULL}, /* one choice: it does not move, but is a space */
    {"train.lr = 1e-2 .. 1e-4", "LOW is above HIGH"},
    {"train.lr = 1e-4 .. x", "expected KEY = LOW"},
    {"train.lr = 1e-4 .. 1e-2 lag", "expected KEY = LOW"},
    {"train.lr = 1e-4 .. 1e-2 log log", "expected KEY = LOW"},
    {"train.lr = 0 .. 1e-2 log", "log needs LOW above 0"},
    {"train.lr = 0 .. 1e-2", "expected a number above 0"},
    {"train.lr = 0.1 .. 0.3 step 0.1 log", "does not go with log"},
    {"train.lr = 0.1 .. 0.35 step 0.1", "no whole number of steps"},
    {"train.lr = 0.1 .. 0.3 step 0", "expected KEY = LOW"},
    {"model.latents = 1.5 .. 3.5", "whole numbers"},
    {"model.latents = 4 .. 99999999", "expected a whole number"},
    {"model.positions = 1 .. 2", "takes no numbers"},
    {"model.positions = none | some", "expected none or learned"},
    {"model.positions = none | none", "stands there twice"},
    {"model.positions = none || learned", "expected KEY = LOW"},
    {"model.text = true | false", "a search moves keys of model and train"},
    {"train.epochs = 1 .. 5", "a search moves keys of model and train"},
    {"synthetic.cells = 200 .. 500", "a search moves keys of model and train"},
    {"train.lrr = 1 .. 2", "did you mean 'train.lr'"},
    {"train.lr = nan .. inf", "expected KEY = LOW"},
};

static void test_bad_spaces(void)
{
    char text[300];
    for (size_t i = 0; i < sizeof bad_spaces / sizeof *bad_spaces; i++) {
        snprintf(text, sizeof text, "search:\n  space: [%s]\n", bad_spaces[i].text);
        cz_status status = load(text, NULL);
        bool good = bad_spaces[i].says ? status == CZ_ERR_CONFIG &&
                                             strstr(cz_error_message(), bad_spaces[i].says) &&
                                             strstr(cz_error_message(), ".yaml:2:10: ")
                                       : status == CZ_OK;
        check(good, "space '%s': %s", bad_spaces[i].text, cz_error_message());
    }
    check(load("search:\n  space: [train.lr = 1 .. 2, train.lr = 1 .. 3]\n", NULL) ==
                  CZ_ERR_CONFIG &&
              strstr(cz_error_message(), "moves already"),
          "a key moves once");
}

static const char list[] =
    "experiments:\n"
    "  - name: a\n"
    "    seeds: [3, 1]\n"
    "    splits: [0, 7]\n"
    "  - name: b\n"
    "    set: {model.text: false, data.adversary_keys: [x, y], train.lr: 0.5}\n"
    "    compare_to: a\n";

static void test_experiments(void)
{
    cz_config_item which;
    check(!load(list, "run.seed=9") && cz_config_items(&config) == 5, "seeds x splits make items");
    check(!cz_config_item_of(&item, &which, &config, 3) && item.run.seed == 1 &&
              item.split.seed == 7 && !strcmp(which.folder, "a/seed-1-split-7") &&
              item.experiments == 0,
          "an item has its seed and split");
    check(!cz_config_item_of(&item, &which, &config, 4) && item.run.seed == 9 && !item.model.text &&
              item.train.lr == 0.5 && item.data.adversary_keys.count == 2 &&
              !strcmp(item.data.adversary_keys.name[1], "y") && !strcmp(which.folder, "b/seed-9"),
          "an item has its values, and else the configuration's");
    check(strstr(item.run.name, "/b/seed-9") != NULL, "its folder is below the run's");
    cz_error_clear();
    check(cz_config_item_of(&item, &which, &config, 5) == CZ_ERR_USAGE &&
              cz_config_item_of(&item, &which, &config, -1) == CZ_ERR_USAGE,
          "no other items are there");
}

static const struct {
    const char *text, *says;
} bad_lists[] = {
    {"experiments: 3\n", "expected a list"},
    {"experiments:\n  - a\n", "expected keys"},
    {"experiments:\n  - seeds: [1]\n", "has no name"},
    {"experiments:\n  - name: a\n    sets: {}\n", "did you mean 'set'"},
    {"experiments:\n  - name: a\n    name: b\n", "stands here again"},
    {"experiments:\n  - name: a/b\n", "expected a name of at most 63"},
    {"experiments:\n  - name: ..\n", "expected a name of at most 63"},
    {"experiments:\n  - name: a\n    seeds: []\n", "the list is empty"},
    {"experiments:\n  - name: a\n    seeds: [1, 1]\n", "1 twice"},
    {"experiments:\n  - name: a\n    seeds: [-1]\n", "at least 0"},
    {"experiments:\n  - name: a\n    seeds: x\n", "at least 0"},
    {"experiments:\n  - name: a\n    set: {train.lrr: 1}\n", "did you mean 'train.lr'"},
    {"experiments:\n  - name: a\n    set: {train.lr: -1}\n",
     ":3:21: experiments: set: key 'train.lr'"},
    {"experiments:\n  - name: a\n    set: {run.seed: 1}\n", "run.seed is the job's"},
    {"experiments:\n  - name: a\n    set: {search.trials: 1}\n", "search.trials is the job's"},
    {"experiments:\n  - name: a\n    set: {model.heads: 7}\n", "experiment 'a': model.heads (7)"},
    {"experiments:\n  - name: a\n    set: {train.lr: {x: 1}}\n", "expected a value or a list"},
    {"experiments:\n  - name: a\n  - name: a\n", "two are called 'a'"},
    {"experiments:\n  - name: a\n    compare_to: a\n", "is no other experiment"},
    {"experiments:\n  - name: a\n    compare_to: b\n", "is no other experiment"},
};

static void test_bad_lists(void)
{
    for (size_t i = 0; i < sizeof bad_lists / sizeof *bad_lists; i++)
        check(load(bad_lists[i].text, NULL) == CZ_ERR_CONFIG &&
                  strstr(cz_error_message(), bad_lists[i].says),
              "list %zu: %s", i, cz_error_message());
}

static void write_best(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    if (!out || fputs(text, out) == EOF || fclose(out)) exit(1);
}

static void test_best(void)
{
    char path[] = "/tmp/czhpc-best-XXXXXX", text[100];
    close(mkstemp(path));
    snprintf(text, sizeof text, "train:\n  from: %s\n  lr: 0.5\n", path);
    write_best(path, "{\"best_params\": {\"lr\": 0.25, \"num_latents\": 12, \"model.layers\": 2}}");
    check(!load(text, NULL) && config.train.lr == 0.25 && config.model.latents == 12 &&
              config.model.layers == 2 && !config.train.from[0],
          "train.from takes the reference's names and ours");
    check(!load(text, "train.lr=0.125") && config.train.lr == 0.125, "an override counts for more");
    static const char *const bad[][2] = {{"{", ":1:"},
                                         {"{}", "expected an object best_params"},
                                         {"{\"best_params\": {}}", "not empty"},
                                         {"{\"best_params\": {\"lr\": \"x\"}}", "'lr': expected"},
                                         {"{\"best_params\": {\"lr\": [1]}}", "found an array"},
                                         {"{\"best_params\": {\"xx\": 1}}", "'xx' is no"},
                                         {"{\"best_params\": {\"run.seed\": 1}}", "is no"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_best(path, bad[i][0]);
        check(load(text, NULL) == CZ_ERR_INPUT && strstr(cz_error_message(), bad[i][1]), "%s: %s",
              bad[i][0], cz_error_message());
    }
    unlink(path);
    check(load(text, NULL) == CZ_ERR_INPUT, "a file that is not there is refused");
}

int main(void)
{
    close(mkstemps(file, 5));
    test_space();
    test_points();
    test_bad_spaces();
    test_experiments();
    test_bad_lists();
    test_best();
    unlink(file);
    return check_done();
}
