/* Configurations: what is printed reads back, what is wrong is named with its place. */
#include "check.h"

#include "../src/config/table.h"
#include "czhpc/schedule.h"
#include "czhpc/text.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/czhpc-config-XXXXXX";
static char file[sizeof folder + 16];

static void write_bytes(const char *path, const char *bytes, size_t size)
{
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(bytes, 1, size, out) != size || fclose(out)) {
        perror(path);
        exit(1);
    }
}

static cz_status load(cz_config *config, const char *text, const char *override)
{
    cz_override one = {override};
    write_bytes(file, text, strlen(text));
    cz_error_clear();
    return cz_config_load(config, file, &one, override != NULL);
}

static char *printed(const cz_config *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out || cz_config_print(config, out) || fclose(out)) exit(1);
    return text;
}

static const void *member(const cz_config *config, const cz_key *key)
{
    return (const char *)config + key->offset;
}

static bool same_member(const cz_config *a, const cz_config *b, const cz_key *key)
{
    const cz_names *x = member(a, key), *y = member(b, key);
    const cz_texts *t = member(a, key), *u = member(b, key);
    switch (key->kind) {
    case CZ_KIND_WORD:
    case CZ_KIND_TEXT:
    case CZ_KIND_PATH:
        return strcmp(member(a, key), member(b, key)) == 0;
    case CZ_KIND_NAMES:
        if (x->count != y->count) return false;
        for (int i = 0; i < x->count; i++)
            if (strcmp(x->name[i], y->name[i])) return false;
        return true;
    case CZ_KIND_TEXTS:
    case CZ_KIND_PATHS:
        if (t->count != u->count) return false;
        for (int i = 0; i < t->count; i++)
            if (strcmp(t->text[i], u->text[i])) return false;
        return true;
    default:
        return memcmp(member(a, key), member(b, key), key->size) == 0;
    }
}

static bool set(cz_config *config, const cz_key *key, const char *text)
{
    char reason[CZ_REASON_MAX];
    cz_value value = {.text = text, .length = strlen(text)};
    bool done = cz_key_set(config, key, &value, reason);
    if (!done) printf("  %s = %s: %s\n", key->name, text, reason);
    return done;
}

enum { VARIANTS = 6 };

/* Another value for a key than its default: limits, awkward doubles, texts that YAML could
 * mistake. */
static bool vary(cz_config *config, const cz_key *key, int variant)
{
    static const char *const texts[VARIANTS] = {
        "plain",  " a \"b\" \\ c: #d ", "true", "- x", "{[&*!|>%@`\xC3\xA9\xF0\x9F\xA7\xAC",
        "'~' , ]"};
    char text[CZ_NUMBER_MAX * 2];
    double low = key->above ? nextafter(key->min, INFINITY) : key->min;
    double high = key->below ? nextafter(key->max, -INFINITY) : key->max;
    double real[VARIANTS] = {low,
                             high,
                             (low + high) / 3,
                             nextafter(high, low),
                             0.1 + 0.2 * low,
                             low + (high - low) * 1e-7};
    int choices = 0;
    while (key->choice[choices]) choices++;
    cz_names names = {2, {"tissue: x", "assay"}};
    cz_texts files = {3, {"a b.h5ad", "/b: c", "sex != \"x\" | y"}};
    switch (key->kind) {
    case CZ_KIND_BOOL:
        return set(config, key, variant % 2 ? "true" : "false");
    case CZ_KIND_INT:
        snprintf(text, sizeof text, "%.0f", variant ? key->max - variant + 1 : key->min);
        return set(config, key, text);
    case CZ_KIND_WHOLE:
        return set(config, key, variant ? "9223372036854775807" : "12345678901");
    case CZ_KIND_REAL:
        snprintf(text, sizeof text, "%.17g", real[variant]);
        return set(config, key, text);
    case CZ_KIND_CHOICE:
    case CZ_KIND_WORD:
        return set(config, key, key->choice[variant % choices]);
    case CZ_KIND_TEXT:
    case CZ_KIND_PATH:
        return set(config, key, texts[variant]);
    case CZ_KIND_NAMES:
        names.count = variant % 3;
        memcpy((char *)config + key->offset, &names, sizeof names);
        return true;
    case CZ_KIND_TEXTS:
    case CZ_KIND_PATHS:
        files.count = variant % 4;
        memcpy((char *)config + key->offset, &files, sizeof files);
        return true;
    }
    return false;
}

/* Keys one by one and all together; cz_config_parse() leaves out what must fit together. */
static void check_round_trip(void)
{
    int wrong = 0, changed = 0, total = 0;
    cz_config written, plain, read;
    cz_origin origin[CZ_CONFIG_KEYS];
    cz_config_defaults(&plain);
    for (int only = -1; only < cz_key_count; only++)
        for (int variant = 0; variant < VARIANTS; variant++) {
            cz_config_defaults(&written);
            for (int i = 0; i < cz_key_count; i++)
                if (only < 0 || i == only) wrong += !vary(&written, &cz_keys[i], variant);
            if (only >= 0) changed += !same_member(&written, &plain, &cz_keys[only]);
            char *text = printed(&written);
            write_bytes(file, text, strlen(text));
            free(text);
            cz_error_clear();
            memset(&read, 0xAB, sizeof read); /* so that a key that is not read shows */
            memset(origin, 0, sizeof origin);
            if (cz_config_parse(&read, origin, file)) printf("  %s\n", cz_error_message());
            for (int i = 0; i < cz_key_count; i++) {
                total++;
                if (same_member(&written, &read, &cz_keys[i])) continue;
                printf("  %s differs, variant %d\n", cz_keys[i].name, variant);
                wrong++;
            }
            wrong += cz_config_hash(&read) != cz_config_hash(&written);
        }
    check(wrong == 0, "what is printed reads back to the same values (%d values)", total);
    check(changed >= 2 * cz_key_count, "of every key %d values other than the default, in sum",
          changed);
}

static void check_defaults(void)
{
    cz_config a, b;
    cz_error_clear();
    check(cz_config_load(&a, NULL, NULL, 0) == CZ_OK && !strcmp(a.run.name, "run"),
          "the defaults alone are a configuration%s%s", cz_error_message()[0] ? ": " : "",
          cz_error_message());
    check(load(&b, "{}", NULL) == CZ_OK && !strcmp(b.run.name, "my.job"),
          "{} asks for all defaults, and the run is named after the file");
    memcpy(b.run.name, a.run.name, sizeof a.run.name);
    check(memcmp(&a, &b, sizeof a) == 0, "both are the same bytes");
    check(a.train.lr == 5.947012811791727e-4 && a.model.dropout == 0.11378010821029086 &&
              a.train.adv_lambda == 0.35824957883020864 && a.model.latents == 61 &&
              a.data.adversary_keys.count == 1 && !strcmp(a.data.adversary_keys.name[0], "sex"),
          "the defaults are the reference's tuned values");
    check(load(&a,
               "\xEF\xBB\xBFtrain:\n  # nothing\nmodel: {text: false}\ndata:\n"
               "  adversary_keys: []\nrun:\n  seed: 9223372036854775807\n  name: 007\n",
               NULL) == CZ_OK &&
              !a.model.text && a.data.adversary_keys.count == 0 && a.run.seed == INT64_MAX &&
              !strcmp(a.run.name, "007"),
          "a byte order mark, an empty section, flow form, no adversary, the largest seed");
}

typedef struct bad_file {
    const char *text;
    int line, column; /* 0: the file as a whole */
    const char *says;
} bad_file;

static const bad_file bad_files[] = {
    {"", 0, 0, "the file is empty"},
    {"# only a comment\n", 0, 0, "the file is empty"},
    {"5\n", 1, 1, "expected sections"},
    {"- a\n", 1, 1, "expected sections"},
    {"train: 5\n", 1, 8, "section 'train': expected keys, found a value"},
    {"train: [1]\n", 1, 8, "section 'train': expected keys, found a list"},
    {"train:\n  lrr: 1\n", 2, 3, "key 'train.lrr' is unknown, did you mean 'train.lr'?"},
    {"model:\n  heads: 8\n  lr: 1\n", 3, 3, "key 'model.lr' is unknown, did you mean 'train.lr'?"},
    {"model:\n  frobnicate: 1\n", 2, 3, "key 'model.frobnicate' is unknown: --help-config"},
    {"trian:\n  lr: 1\n", 1, 1, "section 'trian' is unknown, did you mean 'train'?"},
    {"train.lr: 1\n", 1, 1, "write 'train:' and below it, indented, 'lr:'"},
    {"lr: 1\n", 1, 1, "write 'train:' and below it, indented, 'lr:'"},
    {"<<: 1\n", 1, 1, "section '<<' is unknown"},
    {"? [a]\n: 1\n", 1, 3, "expected the name of a section"},
    {"train:\n  ? {a: b}\n  : 1\n", 2, 5, "expected the name of a key"},
    {"train:\n  lr: 1e-3\n  lr: 2\n", 3, 3, "key 'train.lr' stands here again: line 2 has it"},
    {"run:\ntrain:\n  lr: 1\nrun:\n", 4, 1, "section 'run' stands here again: line 1 has it"},
    {"train:\n  lr: [1]\n", 2, 7, "expected a number above 0, at most 10, found a list"},
    {"train:\n  lr: {a: 1}\n", 2, 7, "expected a number above 0, at most 10, found keys"},
    {"train:\n  lr:\n", 2, 6, "found nothing"},
    {"train:\n  lr: ~\n", 2, 7, "found '~'"},
    {"train:\n  lr: \"1\"\n", 2, 7, "found the text '1': leave out the quotes"},
    {"train:\n  lr: 0,5\n", 2, 7, "found '0,5': write a decimal point"},
    {"train:\n  lr: .nan\n", 2, 7, "found '.nan'"},
    {"train:\n  lr: nan\n", 2, 7, "found 'nan'"},
    {"train:\n  lr: inf\n", 2, 7, "found 'inf'"},
    {"train:\n  lr: 1e999\n", 2, 7, "found '1e999'"},
    {"train:\n  lr: 0x1p-3\n", 2, 7, "found '0x1p-3'"},
    {"train:\n  lr: 0\n", 2, 7, "above 0"},
    {"train:\n  lr: -1\n", 2, 7, "above 0"},
    {"train:\n  lr: 1 2\n", 2, 7, "found '1 2'"},
    {"model:\n  dropout: 1\n", 2, 12, "a number from 0, below 1, found '1'"},
    {"train:\n  epochs: 0\n", 2, 11, "a whole number from 1 to"},
    {"train:\n  epochs: 1.5\n", 2, 11, "found '1.5'"},
    {"train:\n  epochs: 1e3\n", 2, 11, "found '1e3': write all its digits"},
    {"train:\n  epochs: 2147483648\n", 2, 11, "found '2147483648'"},
    {"train:\n  epochs: 99999999999999999999\n", 2, 11, "found '9999"},
    {"run:\n  seed: 9223372036854775808\n", 2, 9, "a whole number 0 or more"},
    {"run:\n  seed: -1\n", 2, 9, "a whole number 0 or more"},
    {"model:\n  text: yes\n", 2, 9, "expected true or false, found 'yes'"},
    {"model:\n  text: \"true\"\n", 2, 9, "expected true or false, found the text 'true'"},
    {"model:\n  positions: lerned\n", 2, 14, "found 'lerned', did you mean 'learned'?"},
    {"run:\n  level: sse\n", 2, 10, "expected auto, portable, avx2, avx512 or amx, found 'sse'"},
    {"run:\n  results: \"\"\n", 2, 12, "key 'run.results': expected a text"},
    {"run:\n  name: a//b\n", 2, 9, "expected the name of a folder"},
    {"run:\n  name: a/../b\n", 2, 9, "expected the name of a folder"},
    {"run:\n  name: /a\n", 2, 9, "expected the name of a folder"},
    {"run:\n  name: ..\n", 2, 9, "found '..'"},
    {"run:\n  name: \"a\\0b\"\n", 2, 9, "byte 2 of the text is a control character"},
    {"run:\n  name: \"a\\nb\"\n", 2, 9, "byte 2 of the text is a control character"},
    {"run:\n  name: \"a\\Pb\"\n", 2, 9, "byte 2 of the text is a control character"},
    {"data:\n  adversary_keys: sex\n", 2, 19, "such as [a, b] or [], found 'sex'"},
    {"data:\n  adversary_keys: [sex, [a]]\n", 2, 25, "expected a text, found a list"},
    {"data:\n  adversary_keys: [sex, sex]\n", 2, 25, "'sex' stands twice"},
    {"data:\n  adversary_keys:\n  - a\n  - ''\n", 4, 5, "an entry of the list is empty"},
    {"data:\n  adversary_keys: [a,b,c,d,e,f,g,h,i]\n", 2, 36, "more than 8 entries"},
    {"data:\n  matrix: layer:\n", 2, 16, "not YAML"},
    {"data:\n  matrix: \"layer:\"\n", 2, 11, "expected X, raw or layer:NAME"},
    {"train:\n\tlr: 1\n", 2, 1, "a tab stands before the text"},
    {"train:\n  lr: 1\n\tepochs: 2\n", 3, 1, "a tab stands before the text"},
    {"train:\n  lr: 1\n epochs: 2\n", 3, 2, "not YAML: did not find expected key"},
    {"train:\n  lr: 1\n  epochs 2\n", 4, 1, "that begins at line 3, column 3"},
    {"train: {lr: 1\n", 2, 1, "not YAML"},
    {"train: &a\n  lr: 1\n", 1, 8, "anchors (&a) are not read"},
    {"train:\n  lr: *a\n", 2, 7, "aliases (*a) are not read"},
    {"train:\n  lr: !!float 1\n", 2, 7, "tags ("},
    {"{}\n---\n{}\n", 2, 1, "a second document begins"},
    {"{}\nfoo\n", 2, 1, "text stands behind the end"},
    {"{}\n...\nfoo\n", 3, 1, "text stands behind the end"},
    {"run:\n  name: \"\xC3\xA9\xE9\"\n", 2, 11, "byte 0xE9 is not UTF-8"},
    {"run:\n  name: \"a\x01\"\n", 2, 11, "a control character (code 1)"},
    {"\xFF\xFEr\n", 1, 1, "byte 0xFF is not UTF-8"},
    {"model:\n  heads: 7\n", 2, 10, "model.heads (7) must divide model.fusion_dim (256)"},
    {"model:\n  latent_dim: 100\n", 2, 15, "must divide model.latent_dim (100)"},
    {"model: {tokens: 7}\n", 1, 17, "model.tokens (7) must divide synthetic.width (512)"},
    {"synthetic: {width: 100}\n", 1, 20, "must divide synthetic.width (100)"},
    {"text: {width: 383}\n", 1, 15, "must divide text.width (383)"},
    {"text:\n  table: t.h5\n  model: bert\n", 3, 10, "text.model and text.table both give vectors"},
    {"text: {pooling: mean}\n", 1, 17, "says how a text.model makes vectors"},
    {"text: {casing: cased}\n", 1, 16, "says how a text.model reads texts"},
    {"text: {pooling: max}\n", 1, 17, "expected cls or mean, found 'max'"},
    {"split:\n  validation: 0.3\n", 2, 15, "leave no cells to test"},
    {"split:\n  train: 0.8\n  validation: 0.2\n", 3, 15, "leave no cells to test"},
    {"data:\n  source: h5ad\n", 2, 11, "no file is given: add --set data.h5ad=FILE"},
    {"data:\n  h5ad: x.h5ad\n", 2, 9, "set data.source to h5ad"},
    {"data:\n  source: h5ad\n  h5ad: x\n  components: 100\n", 4, 15,
     "divide data.components (100)"},
    {"data:\n  source: h5ad\n  h5ad: x\n  variable_genes: 64\n", 4, 19, "more than data.variable"},
    {"data:\n  adversary_keys: [donor_id]\n", 2, 19, "is also data.target_key"},
    {"eval:\n  select: test\n", 2, 11, "needs eval.test_every_epoch: true"},
    {"train:\n  sampler: balanced\n  class_weights: balanced\n", 3, 18, "set one of them"},
};

static void check_bad_files(void)
{
    cz_config config;
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        const bad_file *bad = &bad_files[i];
        char place[sizeof file + 40];
        if (bad->line) snprintf(place, sizeof place, "%s:%d:%d: ", file, bad->line, bad->column);
        else snprintf(place, sizeof place, "%s: ", file);
        cz_status status = load(&config, bad->text, NULL);
        const char *message = cz_error_message();
        bool ok = status == CZ_ERR_CONFIG && !strncmp(message, place, strlen(place)) &&
                  strstr(message, bad->says);
        check(ok, "%d:%d: %s%s%s", bad->line, bad->column, bad->says,
              ok ? "" : ", not: ", ok ? "" : message);
    }
}

static void check_bad_overrides(void)
{
    static const char *const cases[][2] = {
        {"train.lrr=1", "key 'train.lrr' is unknown, did you mean 'train.lr'?"},
        {"lr=1", "did you mean 'train.lr'?"},
        {"qqqq=1", "key 'qqqq' is unknown: --help-config lists all keys"},
        {"train.lr", "expected KEY=VALUE"},
        {"train.lr=", "key 'train.lr': expected a number above 0, at most 10, found nothing"},
        {"train.lr=abc", "found 'abc'"},
        {"train.lr= 1", "found ' 1'"},
        {"data.adversary_keys=sex", "such as [a, b] or []"},
        {"data.adversary_keys=[a", "not YAML"},
        {"data.adversary_keys=[a] b", "text stands behind the end"},
        {"data.adversary_keys=[a, *b]", "aliases"},
        {"data.adversary_keys=[a\xFF]", "byte 0xFF is not UTF-8"},
        {"run.name=\xFF", "byte 1 of the text (0xFF) is not UTF-8"},
        {"model.heads=7", "model.heads (7) must divide model.fusion_dim (256)"},
    };
    cz_config config;
    char start[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cz_status status = load(&config, "train:\n  lr: 1\n", cases[i][0]);
        snprintf(start, sizeof start, "--set %s: ", cases[i][0]);
        const char *message = cz_error_message();
        bool ok = status == CZ_ERR_CONFIG && !strncmp(message, start, strlen(start)) &&
                  strstr(message, cases[i][1]);
        check(ok, "override %zu: %s%s%s", i, cases[i][1], ok ? "" : ", not: ", ok ? "" : message);
    }
    static char longest[9000] = "run.name=";
    memset(longest + 9, 'x', sizeof longest - 10);
    bool ok = load(&config, "{}", longest) == CZ_ERR_CONFIG &&
              strstr(cz_error_message(), "at most 127 are possible");
    check(ok, "a long text is cut in the message, which still says why");
}

static void check_overrides(void)
{
    cz_override set[] = {{"train.lr=0.5"},
                         {"train.lr=0.25"},
                         {"data.adversary_keys=[sex, 'a, b']"},
                         {"data.matrix=layer:raw counts"},
                         {"run.name=a = b # c"},
                         {"model.text=false"}};
    cz_config c;
    write_bytes(file, "train:\n  lr: 1\n", 15);
    cz_error_clear();
    bool ok = !cz_config_load(&c, file, set, sizeof set / sizeof *set);
    check(ok && c.train.lr == 0.25 && !c.model.text, "the last override counts, over the file");
    check(ok && !strcmp(c.data.matrix, "layer:raw counts") && !strcmp(c.run.name, "a = b # c"),
          "texts of overrides are taken as they stand");
    check(ok && c.data.adversary_keys.count == 2 && !strcmp(c.data.adversary_keys.name[1], "a, b"),
          "a list as override");
}

static void check_bad_inputs(void)
{
    cz_config config;
    static char big[(1 << 20) + 1];
    memset(big, ' ', sizeof big);
    write_bytes(file, big, sizeof big);
    cz_error_clear();
    check(cz_config_load(&config, file, NULL, 0) == CZ_ERR_CONFIG &&
              strstr(cz_error_message(), "larger than 1 MiB"),
          "a huge file is refused");
    cz_error_clear();
    check(cz_config_load(&config, folder, NULL, 0) == CZ_ERR_INPUT &&
              strstr(cz_error_message(), "is a folder"),
          "a folder is refused");
    cz_error_clear();
    check(cz_config_load(&config, "/nowhere/x.yaml", NULL, 0) == CZ_ERR_INPUT &&
              strstr(cz_error_message(), "/nowhere/x.yaml: cannot be read: No such file"),
          "a file that is not there");
    char *deep = malloc(200002);
    if (!deep) exit(1);
    memset(deep, '[', 200000);
    deep[200000] = 0;
    check(load(&config, deep, NULL) == CZ_ERR_CONFIG, "200,000 nested lists");
    free(deep);
}

static void check_paths(void)
{
    cz_config c;
    char beside[sizeof folder + 16];
    snprintf(beside, sizeof beside, "%s/cells.h5ad", folder);
    write_bytes(beside, "x", 1);
    const char *text = "data:\n  source: h5ad\n  h5ad: cells.h5ad\ntext:\n  table: none.h5\n";
    check(!load(&c, text, NULL) && !strcmp(c.data.h5ad.text[0], beside),
          "a file beside the configuration");
    uint64_t hash = cz_config_hash(&c);
    check(!strcmp(c.text.table, "none.h5"), "a file elsewhere is left to the working directory");
    check(!load(&c, text, "data.h5ad=cells.h5ad") && !strcmp(c.data.h5ad.text[0], "cells.h5ad"),
          "paths of overrides are left to the working directory");
    check(cz_config_hash(&c) == hash, "the hash is the same in another folder");
    check(!load(&c, text, "data.h5ad=other.h5ad") && cz_config_hash(&c) != hash,
          "the hash tells another file's name");
    unlink(beside);
}

static void check_hash(void)
{
    cz_config plain, other;
    int wrong = 0, deciding = 0;
    cz_config_defaults(&plain);
    for (int i = 0; i < cz_key_count; i++) {
        deciding += cz_keys[i].result;
        for (int variant = 0; variant < VARIANTS; variant++) {
            cz_config_defaults(&other);
            vary(&other, &cz_keys[i], variant);
            if (same_member(&plain, &other, &cz_keys[i])) continue;
            bool differs = cz_config_hash(&plain) != cz_config_hash(&other);
            if (differs != cz_keys[i].result) wrong++;
        }
    }
    check(wrong == 0, "the hash changes with the %d keys that decide the result alone", deciding);
    check(deciding > cz_key_count / 2 && deciding < cz_key_count, "%d keys do not decide",
          cz_key_count - deciding);
}

static void check_table(void)
{
    int wrong = 0;
    for (int i = 0; i < cz_key_count; i++) {
        size_t length = strlen(cz_keys[i].help);
        bool good = length > 10 && length <= 76 && cz_keys[i].help[length - 1] == '.' &&
                    cz_key_find(cz_keys[i].name) == i;
        if (!good) printf("  %s: %s\n", cz_keys[i].name, cz_keys[i].help);
        wrong += !good;
    }
    check(wrong == 0, "each of %d keys is there once, with a line of help", cz_key_count);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) exit(1);
    cz_config_help(out);
    fclose(out);
    wrong = 0;
    for (int i = 0; i < cz_key_count; i++) {
        char line[CZ_NAME_MAX + 4];
        snprintf(line, sizeof line, "\n%s: ", cz_keys[i].name);
        const char *at = strstr(text, line);
        wrong += !at || !strstr(at, cz_keys[i].help);
    }
    check(wrong == 0, "--help-config lists every key with its help");
    size_t widest = 0;
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        if (length > widest) widest = length;
        line += length + (line[length] != 0);
    }
    check(widest <= 80, "--help-config is %zu columns wide", widest);
    free(text);
}

static void check_shipped(void)
{
    DIR *in = opendir("configs");
    int found = 0;
    cz_config config;
    cz_override data = {"data.h5ad=cells.h5ad"};
    for (struct dirent *entry; in && (entry = readdir(in));) {
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 5, ".yaml")) continue;
        char path[512];
        snprintf(path, sizeof path, "configs/%s", entry->d_name);
        cz_error_clear();
        bool counts = strcmp(entry->d_name, "counts.yaml") == 0;
        cz_status status = cz_config_load(&config, path, &data, counts);
        check(status == CZ_OK && !strncmp(config.run.name, entry->d_name, length - 5),
              "%s loads%s%s", path, status ? ": " : "", status ? cz_error_message() : "");
        found++;
    }
    if (in) closedir(in);
    check(found >= 4, "%d configurations come along", found);
}

/* Accelerate on 2 ranks takes two steps of a schedule with 10 % warm-up and half a cosine for
 * one step of the optimiser. */
static void check_reference_schedule(void)
{
    cz_config c;
    cz_error_clear();
    if (!check(!cz_config_load(&c, "configs/reference.yaml", NULL, 0), "reference.yaml")) return;
    const int64_t total = (int64_t)50 * 174;
    double worst = 0;
    for (int64_t step = 0; step < total; step++) {
        double twice = 2.0 * (double)step, warm = 0.1 * (double)total;
        double want = twice < warm
                          ? twice / warm
                          : 0.5 * (1 + cos(acos(-1) * (twice - warm) / ((double)total - warm)));
        double got = cz_schedule(step, total, c.train.warmup, c.train.cosine_cycles);
        worst = fmax(worst, fabs(got - want));
    }
    check(worst < TOL_SCHEDULE, "the reference's wrapped schedule, worst difference %.1e", worst);
    check(cz_schedule(total / 2, total, c.train.warmup, c.train.cosine_cycles) < TOL_SCHEDULE &&
              cz_schedule(total * 95 / 100, total, c.train.warmup, c.train.cosine_cycles) >
                  1 - TOL_SCHEDULE,
          "it is 0 after half of the steps and at its peak after 95 %%");
}

static void check_share(void)
{
    char path[CZ_PATH_MAX], tiny[4];
    cz_error_clear();
    check(cz_config_share(path, sizeof path, "base.yaml") == CZ_OK && access(path, R_OK) == 0 &&
              path[0] == '/',
          "a file that comes along is found from the executable");
    check(cz_config_share(path, sizeof path, "nosuch.h5") == CZ_ERR_INPUT &&
              strstr(cz_error_message(), "nosuch.h5, which comes along"),
          "one that does not is named");
    check(cz_config_share(tiny, sizeof tiny, "base.yaml") != CZ_OK, "a path that does not fit");
}

int main(void)
{
    if (!mkdtemp(folder)) {
        perror(folder);
        return 1;
    }
    snprintf(file, sizeof file, "%s/my.job.yaml", folder);
    check_table();
    check_defaults();
    check_round_trip();
    check_bad_files();
    check_bad_overrides();
    check_overrides();
    check_bad_inputs();
    check_paths();
    check_hash();
    check_shipped();
    check_reference_schedule();
    check_share();
    unlink(file);
    rmdir(folder);
    return check_done();
}
