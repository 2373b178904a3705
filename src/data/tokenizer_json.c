/* tokenizer.json: all that tokenizers' library knows of a tokenizer, of which BERT uses a part. */
#include "tokenizer_parts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* An object of a file, for messages. */
typedef struct section {
    const json_t *object;
    const char *path, *name;
} section;

static cz_status open_section(section *s, const json_t *root, const char *path, const char *name)
{
    *s = (section){json_object_get(root, name), path, name};
    if (json_is_object(s->object)) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT,
                   "%s: %s: expected an object, found %s: this is no tokenizer of a "
                   "BERT",
                   path, name, cz_json_kind(s->object));
}

static cz_status expect(const section *s, const char *key, const char *wanted)
{
    const json_t *value = json_object_get(s->object, key);
    const char *text = json_string_value(value);
    if (text && !strcmp(text, wanted)) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT,
                   "%s: %s.%s: expected '%s', found %s%.40s%s: czhpc reads the tokenizers of BERTs "
                   "alone",
                   s->path, s->name, key, wanted, text ? "'" : "",
                   text ? text : cz_json_kind(value), text ? "'" : "");
}

static cz_status read_flag(bool *to, const section *s, const char *key)
{
    const json_t *value = json_object_get(s->object, key);
    *to = json_is_true(value);
    if (json_is_boolean(value)) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT, "%s: %s.%s: expected true or false, found %s", s->path, s->name,
                   key, cz_json_kind(value));
}

static cz_status read_normalizer(cz_tokenizer *t, int *strip, const json_t *root, const char *path)
{
    section s;
    bool found = false;
    CZ_TRY(open_section(&s, root, path, "normalizer"));
    CZ_TRY(expect(&s, "type", "BertNormalizer"));
    CZ_TRY(read_flag(&t->rules.clean, &s, "clean_text"));
    CZ_TRY(read_flag(&t->rules.chinese, &s, "handle_chinese_chars"));
    CZ_TRY(read_flag(&t->rules.lower, &s, "lowercase"));
    const json_t *accents = json_object_get(s.object, "strip_accents");
    *strip = -1;
    if (!accents || json_is_null(accents)) return CZ_OK;
    CZ_TRY(read_flag(&found, &s, "strip_accents"));
    *strip = found;
    return CZ_OK;
}

static cz_status add_token(cz_tokenizer *t, const section *s, bool *used, const char *token,
                           size_t size, const json_t *value)
{
    int id = tokenizer_whole(value, VOCABULARY_TOKENS_MAX);
    if (size > VOCABULARY_BYTES_MAX)
        return cz_fail(CZ_ERR_INPUT, "%s: %s.vocab: '%.40s...' has %zu bytes, more than %d",
                       s->path, s->name, token, size, VOCABULARY_BYTES_MAX);
    if (id < 0)
        return cz_fail(CZ_ERR_INPUT,
                       "%s: %s.vocab: '%.40s': expected an id of 0 to %d, found another number or "
                       "%s",
                       s->path, s->name, token, VOCABULARY_TOKENS_MAX, cz_json_kind(value));
    if (used[id])
        return cz_fail(CZ_ERR_INPUT, "%s: %s.vocab: '%.40s': another token has the id %d, too",
                       s->path, s->name, token, id);
    used[id] = true;
    if (id >= t->size) t->size = id + 1;
    vocabulary_add(&t->vocabulary, token, size, id);
    return CZ_OK;
}

static cz_status read_tokens(cz_tokenizer *t, const section *s)
{
    json_t *tokens = json_object_get(s->object, "vocab"), *value;
    const char *token;
    size_t count = json_object_size(tokens), bytes = 0;
    int largest = 0;
    if (!json_is_object(tokens) || !count)
        return cz_fail(CZ_ERR_INPUT, "%s: %s.vocab: expected tokens with their ids, found %s",
                       s->path, s->name, tokens ? "none" : "nothing");
    if (count > VOCABULARY_TOKENS_MAX)
        return cz_fail(CZ_ERR_INPUT, "%s: %s.vocab: %zu tokens, more than %d", s->path, s->name,
                       count, VOCABULARY_TOKENS_MAX);
    json_object_foreach(tokens, token, value)
    {
        int id = tokenizer_whole(value, VOCABULARY_TOKENS_MAX);
        if (id > largest) largest = id;
        bytes += strlen(token);
    }
    CZ_TRY(vocabulary_make(&t->vocabulary, count, bytes));
    bool *used = cz_alloc((size_t)largest + 1, sizeof *used, "a vocabulary");
    if (!used) return CZ_ERR_MEMORY;
    cz_status status = CZ_OK;
    json_object_foreach(tokens, token, value)
    {
        status = add_token(t, s, used, token, strlen(token), value);
        if (status) break;
    }
    free(used);
    return status;
}

static cz_status read_model(cz_tokenizer *t, const json_t *root, const char *path)
{
    section s;
    CZ_TRY(open_section(&s, root, path, "model"));
    /* Files of before 2021 name no type; only those of BPE have merges. */
    if (json_object_get(s.object, "type") || json_object_get(s.object, "merges"))
        CZ_TRY(expect(&s, "type", "WordPiece"));
    CZ_TRY(expect(&s, "continuing_subword_prefix", "##"));
    const json_t *most = json_object_get(s.object, "max_input_chars_per_word");
    if (tokenizer_whole(most, INT_MAX) < 0)
        return cz_fail(CZ_ERR_INPUT, "%s: model.max_input_chars_per_word: expected a whole number",
                       path);
    t->word_max = (size_t)tokenizer_whole(most, INT_MAX);
    CZ_TRY(read_tokens(t, &s));
    const char *unknown = json_string_value(json_object_get(s.object, "unk_token"));
    if (!unknown)
        return cz_fail(CZ_ERR_INPUT, "%s: model.unk_token: expected a text, found %s", path,
                       cz_json_kind(json_object_get(s.object, "unk_token")));
    t->unknown = vocabulary_find(&t->vocabulary, unknown, strlen(unknown));
    if (t->unknown < 0)
        return cz_fail(CZ_ERR_INPUT, "%s: model.unk_token: '%.40s' is not in the vocabulary", path,
                       unknown);
    return CZ_OK;
}

static cz_status read_added(cz_tokenizer *t, const json_t *root, const char *path)
{
    const json_t *added = json_object_get(root, "added_tokens");
    if (added && !json_is_array(added) && !json_is_null(added))
        return cz_fail(CZ_ERR_INPUT, "%s: added_tokens: expected an array, found %s", path,
                       cz_json_kind(added));
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *token = json_array_get(added, i);
        const char *text = json_string_value(json_object_get(token, "content"));
        int id = tokenizer_whole(json_object_get(token, "id"), 2 * VOCABULARY_TOKENS_MAX);
        if (!text || id < 0)
            return cz_fail(CZ_ERR_INPUT,
                           "%s: added_tokens[%zu]: expected an object with a "
                           "\"content\" and an \"id\"",
                           path, i);
        CZ_TRY(tokenizer_check_flags(token, path, text));
        CZ_TRY(tokenizer_add_special(t, path, text, id));
    }
    return CZ_OK;
}

/* [CLS], 101: as BertProcessing writes it. */
static int32_t pair_id(const json_t *pair)
{
    return json_array_size(pair) == 2 ? tokenizer_whole(json_array_get(pair, 1), INT_MAX) : -1;
}

/* The id of part `i` of a template, which must be one special token of type 0. */
static int32_t part_id(const section *s, size_t i)
{
    const json_t *part = json_array_get(json_object_get(s->object, "single"), i);
    const json_t *special = json_object_get(part, "SpecialToken");
    const char *name = json_string_value(json_object_get(special, "id"));
    const json_t *known = json_object_get(s->object, "special_tokens");
    const json_t *ids = json_object_get(name ? json_object_get(known, name) : NULL, "ids");
    if (tokenizer_whole(json_object_get(special, "type_id"), 0) || json_array_size(ids) != 1)
        return -1;
    return tokenizer_whole(json_array_get(ids, 0), INT_MAX);
}

static bool is_text_part(const json_t *part)
{
    const json_t *sequence = json_object_get(part, "Sequence");
    const char *name = json_string_value(json_object_get(sequence, "id"));
    return name && !strcmp(name, "A") && !tokenizer_whole(json_object_get(sequence, "type_id"), 0);
}

static cz_status read_post_processor(cz_tokenizer *t, const json_t *root, const char *path)
{
    section s;
    CZ_TRY(open_section(&s, root, path, "post_processor"));
    const char *type = json_string_value(json_object_get(s.object, "type"));
    t->first = t->last = -1;
    if (type && !strcmp(type, "BertProcessing")) {
        t->first = pair_id(json_object_get(s.object, "cls"));
        t->last = pair_id(json_object_get(s.object, "sep"));
    } else {
        CZ_TRY(expect(&s, "type", "TemplateProcessing"));
        const json_t *single = json_object_get(s.object, "single");
        if (json_array_size(single) == 3 && is_text_part(json_array_get(single, 1))) {
            t->first = part_id(&s, 0);
            t->last = part_id(&s, 2);
        }
    }
    if (t->first >= 0 && t->last >= 0 && t->first < t->size && t->last < t->size) return CZ_OK;
    return cz_fail(
        CZ_ERR_INPUT,
        "%s: post_processor: expected [CLS], the text and [SEP], the two being tokens of "
        "the vocabulary, all of type 0",
        path);
}

cz_status tokenizer_read_json(cz_tokenizer *t, const tokenizer_files *files, int *strip)
{
    char path[2 * CZ_PATH_MAX];
    json_t *root;
    section s;
    snprintf(path, sizeof path, "%s/tokenizer.json", files->folder);
    CZ_TRY(tokenizer_parse(&root, path, &files->json));
    cz_status status = read_model(t, root, path);
    if (!status) status = read_normalizer(t, strip, root, path);
    if (!status) status = open_section(&s, root, path, "pre_tokenizer");
    if (!status) status = expect(&s, "type", "BertPreTokenizer");
    if (!status) status = read_added(t, root, path);
    if (!status) status = read_post_processor(t, root, path);
    json_decref(root);
    return status;
}
