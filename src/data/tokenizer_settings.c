/* tokenizer_config.json, and what its reader shares with that of tokenizer.json. */
#include "tokenizer_parts.h"

#include <limits.h>
#include <string.h>

int tokenizer_whole(const json_t *value, int most)
{
    double number = json_is_number(value) ? json_number_value(value) : -1;
    return number >= 0 && number <= most && number == (int)number ? (int)number : -1;
}

cz_status tokenizer_parse(json_t **root, const char *path, const cz_mapped *file)
{
    json_error_t error;
    *root = NULL;
    if (!file->size) return cz_fail(CZ_ERR_INPUT, "%s: is empty, expected JSON", path);
    /* As real numbers: model_max_length is often 10^30. */
    json_t *value = json_loadb(file->bytes, file->size,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    if (!value)
        return cz_fail(CZ_ERR_INPUT, "%s:%d:%d: is not JSON: %s", path, error.line, error.column,
                       error.text);
    if (!json_is_object(value)) {
        cz_fail(CZ_ERR_INPUT, "%s: expected an object, found %s", path, cz_json_kind(value));
        json_decref(value);
        return CZ_ERR_INPUT;
    }
    *root = value;
    return CZ_OK;
}

cz_status tokenizer_check_flags(const json_t *token, const char *path, const char *text)
{
    static const char *const flags[] = {"lstrip", "rstrip", "single_word", "normalized"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const json_t *value = json_object_get(token, flags[i]);
        if (value && !json_is_boolean(value) && !json_is_null(value))
            return cz_fail(CZ_ERR_INPUT, "%s: token '%.40s': %s: expected false, found %s", path,
                           text, flags[i], cz_json_kind(value));
        if (json_is_true(value))
            return cz_fail(CZ_ERR_INPUT,
                           "%s: token '%.40s': %s: expected false, found true: czhpc finds special "
                           "tokens literally",
                           path, text, flags[i]);
    }
    return CZ_OK;
}

static cz_status read_truth(int *to, const json_t *root, const char *key, const char *path)
{
    const json_t *value = json_object_get(root, key);
    *to = -1;
    if (!value || json_is_null(value)) return CZ_OK;
    if (!json_is_boolean(value))
        return cz_fail(CZ_ERR_INPUT, "%s: %s: expected true or false, found %s", path, key,
                       cz_json_kind(value));
    *to = json_is_true(value);
    return CZ_OK;
}

/* "[UNK]", or {"content": "[UNK]", ...}. */
static cz_status read_name(const char **name, const json_t *root, const char *key, const char *path)
{
    const json_t *value = json_object_get(root, key);
    if (!value || json_is_null(value)) return CZ_OK;
    const json_t *text = json_is_object(value) ? json_object_get(value, "content") : value;
    if (!json_is_string(text) || !json_string_length(text))
        return cz_fail(CZ_ERR_INPUT, "%s: %s: expected a token or its \"content\", found %s", path,
                       key, json_is_string(text) ? "an empty text" : cz_json_kind(value));
    *name = json_string_value(text);
    return tokenizer_check_flags(value, path, *name);
}

static cz_status read(tokenizer_settings *s, const char *path)
{
    static const char *const keys[] = {"unk_token", "cls_token", "sep_token", "pad_token",
                                       "mask_token"};
    enum { SHORTEST = 3, LONGEST = 1 << 24 }; /* beyond these it is no limit that a model has */
    CZ_TRY(read_truth(&s->lower, s->root, "do_lower_case", path));
    CZ_TRY(read_truth(&s->strip, s->root, "strip_accents", path));
    CZ_TRY(read_truth(&s->chinese, s->root, "tokenize_chinese_chars", path));
    for (int i = 0; i < NAME_COUNT; i++) CZ_TRY(read_name(&s->name[i], s->root, keys[i], path));
    int limit = tokenizer_whole(json_object_get(s->root, "model_max_length"), LONGEST);
    if (limit >= SHORTEST) s->limit = limit;
    return CZ_OK;
}

cz_status tokenizer_read_settings(tokenizer_settings *settings, const tokenizer_files *files)
{
    char path[2 * CZ_PATH_MAX];
    *settings = (tokenizer_settings){.lower = -1,
                                     .strip = -1,
                                     .chinese = -1,
                                     .limit = INT_MAX,
                                     .name = {"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"}};
    if (!files->config.bytes) return CZ_OK;
    snprintf(path, sizeof path, "%s/tokenizer_config.json", files->folder);
    CZ_TRY(tokenizer_parse(&settings->root, path, &files->config));
    cz_status status = read(settings, path);
    if (status) {
        json_decref(settings->root);
        settings->root = NULL;
    }
    return status;
}
