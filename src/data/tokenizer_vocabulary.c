/* vocab.txt: a token a line, its id the number of the line; the rest is tokenizer_config.json's. */
#include "czhpc/text.h"
#include "tokenizer_parts.h"
#include "unicode.h"

#include <stdlib.h>
#include <string.h>

static size_t count_lines(const cz_mapped *file, size_t end)
{
    size_t lines = 0;
    for (const char *at = file->bytes, *stop = file->bytes + end; at < stop; at++) {
        at = memchr(at, '\n', (size_t)(stop - at));
        if (!at) break;
        lines++;
    }
    return lines;
}

/* A character is cut where its first byte promises more than there are. */
static bool is_cut(const char *bytes, size_t size)
{
    unsigned char first = (unsigned char)bytes[0];
    size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 1;
    if (size >= length) return false;
    for (size_t i = 1; i < size; i++)
        if ((bytes[i] & 0xC0) != 0x80) return false;
    return first < 0xF5;
}

static cz_status check_bytes(const cz_mapped *file, const char *path)
{
    if (!file->size) return cz_fail(CZ_ERR_INPUT, "%s: is empty, expected one token a line", path);
    size_t wrong = cz_text_utf8(file->bytes, file->size);
    size_t line = count_lines(file, wrong) + 1;
    if (wrong < file->size && is_cut(file->bytes + wrong, file->size - wrong))
        return cz_fail(CZ_ERR_INPUT,
                       "%s:%zu: the file ends within a character: it is truncated, fetch it again",
                       path, line);
    if (wrong < file->size)
        return cz_fail(CZ_ERR_INPUT, "%s:%zu: is not UTF-8 (byte %zu of the file)", path, line,
                       wrong);
    const char *zero = memchr(file->bytes, 0, file->size);
    if (zero)
        return cz_fail(CZ_ERR_INPUT, "%s:%zu: holds a byte 0, expected text", path,
                       count_lines(file, (size_t)(zero - file->bytes)) + 1);
    if (file->size >= 3 && !memcmp(file->bytes, "\xef\xbb\xbf", 3))
        return cz_fail(CZ_ERR_INPUT, "%s:1: begins with a byte order mark: remove it", path);
    if (line > VOCABULARY_TOKENS_MAX)
        return cz_fail(CZ_ERR_INPUT, "%s: more than %d tokens", path, VOCABULARY_TOKENS_MAX);
    return CZ_OK;
}

/* The size of a line without the white space at its end. */
static size_t trimmed(const char *line, size_t size)
{
    size_t end = 0;
    for (size_t at = 0; at < size;) {
        bool white = unicode_is_white(unicode_next(line, &at));
        if (!white) end = at;
    }
    return end;
}

/* Blank lines have an id that no word gets. */
static cz_status read_lines(cz_tokenizer *t, const cz_mapped *file, const char *path)
{
    const char *at = file->bytes, *end = at + file->size;
    for (int id = 0; at < end; id++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        size_t size = trimmed(at, (size_t)(stop - at));
        if (size > VOCABULARY_BYTES_MAX)
            return cz_fail(CZ_ERR_INPUT, "%s:%d: a token of %zu bytes, more than %d", path, id + 1,
                           size, VOCABULARY_BYTES_MAX);
        int32_t before = size ? vocabulary_add(&t->vocabulary, at, size, id) : -1;
        if (before >= 0)
            return cz_fail(CZ_ERR_INPUT, "%s:%d: the token '%.*s' stands in line %d, too", path,
                           id + 1, (int)(size < 40 ? size : 40), at, before + 1);
        if (size) t->size = id + 1;
        at = stop + 1;
    }
    return CZ_OK;
}

static cz_status name_specials(cz_tokenizer *t, const tokenizer_settings *settings,
                               const char *path)
{
    int32_t *const to[NAME_COUNT] = {&t->unknown, &t->first, &t->last};
    for (int i = 0; i < NAME_COUNT; i++) {
        const char *name = settings->name[i];
        int32_t id = vocabulary_find(&t->vocabulary, name, strlen(name));
        if (id < 0 && to[i])
            return cz_fail(CZ_ERR_INPUT,
                           "%s: the token '%.40s' is missing: it is no vocabulary of a BERT, or "
                           "tokenizer_config.json is to name the token that stands for it",
                           path, name);
        if (to[i]) *to[i] = id;
        if (id >= 0) CZ_TRY(tokenizer_add_special(t, path, name, id));
    }
    return CZ_OK;
}

/* {"100": {"content": "[UNK]", ...}, ...} */
static cz_status add_decoder(cz_tokenizer *t, json_t *root, const char *path)
{
    json_t *added = json_object_get(root, "added_tokens_decoder"), *token;
    const char *key;
    json_object_foreach(added, key, token)
    {
        const char *text = json_string_value(json_object_get(token, "content"));
        char *end;
        long id = strtol(key, &end, 10);
        if (!text || *end || id < 0 || id > VOCABULARY_TOKENS_MAX)
            return cz_fail(CZ_ERR_INPUT,
                           "%s: added_tokens_decoder: '%.40s': expected an id and an object with a "
                           "\"content\"",
                           path, key);
        CZ_TRY(tokenizer_check_flags(token, path, text));
        CZ_TRY(tokenizer_add_special(t, path, text, (int32_t)id));
    }
    return CZ_OK;
}

static cz_status add_further(cz_tokenizer *t, const json_t *root, const char *path)
{
    const json_t *further = json_object_get(root, "additional_special_tokens");
    for (size_t i = 0; i < json_array_size(further); i++) {
        const json_t *token = json_array_get(further, i);
        const json_t *content = json_is_object(token) ? json_object_get(token, "content") : token;
        const char *text = json_string_value(content);
        int32_t id = text ? vocabulary_find(&t->vocabulary, text, strlen(text)) : -1;
        if (id < 0)
            return cz_fail(CZ_ERR_INPUT,
                           "%s: additional_special_tokens: expected tokens of vocab.txt, found %s",
                           path, text ? text : cz_json_kind(token));
        CZ_TRY(tokenizer_check_flags(token, path, text));
        CZ_TRY(tokenizer_add_special(t, path, text, id));
    }
    return CZ_OK;
}

cz_status tokenizer_read_vocabulary(cz_tokenizer *t, const tokenizer_files *files,
                                    const tokenizer_settings *settings)
{
    char path[2 * CZ_PATH_MAX], config[2 * CZ_PATH_MAX];
    const cz_mapped *file = &files->vocabulary;
    snprintf(path, sizeof path, "%s/vocab.txt", files->folder);
    snprintf(config, sizeof config, "%s/tokenizer_config.json", files->folder);
    CZ_TRY(check_bytes(file, path));
    CZ_TRY(vocabulary_make(&t->vocabulary, count_lines(file, file->size) + 1, file->size));
    CZ_TRY(read_lines(t, file, path));
    t->rules.clean = true;
    t->rules.chinese = settings->chinese != 0;
    t->word_max = 100;
    CZ_TRY(name_specials(t, settings, path));
    CZ_TRY(add_decoder(t, settings->root, config));
    return add_further(t, settings->root, config);
}
