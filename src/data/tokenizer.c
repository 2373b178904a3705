#include "tokenizer_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Maps a file of the folder, if there is one. */
static cz_status open_file(cz_mapped *file, const char *folder, const char *name)
{
    char path[2 * CZ_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    struct stat status;
    return stat(path, &status) && errno == ENOENT ? CZ_OK : cz_mapped_open(file, path);
}

static cz_status check_folder(const char *folder)
{
    struct stat status;
    if (stat(folder, &status))
        return cz_fail(CZ_ERR_INPUT, "%s: cannot be read: %s", folder, strerror(errno));
    if (S_ISDIR(status.st_mode)) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT,
                   "%s: is no folder: expected that of a BERT as Hugging Face keeps it", folder);
}

cz_status cz_tokenizer_open(cz_tokenizer **tokenizer, const char *folder, cz_text_case wanted)
{
    tokenizer_files files = {.folder = folder};
    *tokenizer = NULL;
    CZ_TRY(check_folder(folder));
    cz_status status = open_file(&files.json, folder, "tokenizer.json");
    if (!status && !files.json.bytes) status = open_file(&files.vocabulary, folder, "vocab.txt");
    if (!status) status = open_file(&files.config, folder, "tokenizer_config.json");
    if (!status) status = tokenizer_make(tokenizer, &files, wanted);
    cz_mapped_close(&files.json);
    cz_mapped_close(&files.vocabulary);
    cz_mapped_close(&files.config);
    return status;
}

void cz_tokenizer_close(cz_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    for (int i = 0; i < tokenizer->specials; i++) free(tokenizer->special[i].text);
    free(tokenizer->special);
    vocabulary_free(&tokenizer->vocabulary);
    free(tokenizer);
}

/* No special token, nor one of the placeholders in brackets. */
static bool is_ordinary(const cz_tokenizer *t, const vocabulary_entry *e)
{
    const char *text = t->vocabulary.text + e->offset;
    if (e->length > 1 && text[0] == '[' && text[e->length - 1] == ']') return false;
    for (int i = 0; i < t->specials; i++)
        if (t->special[i].id == e->id) return false;
    return true;
}

static bool has_capitals(const cz_tokenizer *t)
{
    for (int i = 0; i < t->vocabulary.tokens; i++) {
        const vocabulary_entry *e = &t->vocabulary.entry[i];
        const char *at = t->vocabulary.text + e->offset, *end = at + e->length;
        while (at < end && (*at < 'A' || *at > 'Z')) at++;
        if (at < end && is_ordinary(t, e)) return true;
    }
    return false;
}

static void decide_case(cz_tokenizer *t, const tokenizer_settings *settings, bool json,
                        cz_text_case wanted)
{
    static const char *const origins[][2] = {
        {"cased, as configured", "uncased, as configured"},
        {"cased by tokenizer.json", "uncased by tokenizer.json"},
        {"cased by tokenizer_config.json", "uncased by tokenizer_config.json"},
        {"cased, as the vocabulary has capitals", "uncased, as the vocabulary has no capitals"},
    };
    int from = wanted != CZ_CASE_AUTO ? 0 : json ? 1 : settings->lower >= 0 ? 2 : 3;
    if (from == 0) t->rules.lower = wanted == CZ_CASE_UNCASED;
    if (from == 2) t->rules.lower = settings->lower;
    if (from == 3) t->rules.lower = !has_capitals(t);
    t->origin = origins[from][t->rules.lower];
    if (from == 1 && settings->lower >= 0 && settings->lower != t->rules.lower)
        t->origin = t->rules.lower ? "uncased by tokenizer.json, against tokenizer_config.json"
                                   : "cased by tokenizer.json, against tokenizer_config.json";
}

static cz_status fill(cz_tokenizer *t, const tokenizer_files *files, cz_text_case wanted)
{
    tokenizer_settings settings;
    cz_status status = tokenizer_read_settings(&settings, files);
    if (status) return status;
    int strip = settings.strip;
    if (files->json.bytes) status = tokenizer_read_json(t, files, &strip);
    else if (files->vocabulary.bytes) status = tokenizer_read_vocabulary(t, files, &settings);
    else
        status = cz_fail(CZ_ERR_INPUT,
                         "%s: holds neither tokenizer.json nor vocab.txt: expected the folder of a "
                         "BERT as Hugging Face keeps it",
                         files->folder);
    if (!status) {
        decide_case(t, &settings, files->json.bytes, wanted);
        t->rules.strip = strip < 0 ? t->rules.lower : strip;
        t->limit = settings.limit;
    }
    json_decref(settings.root);
    return status;
}

cz_status tokenizer_make(cz_tokenizer **tokenizer, const tokenizer_files *files,
                         cz_text_case wanted)
{
    *tokenizer = NULL;
    cz_tokenizer *t = cz_alloc(1, sizeof *t, "a tokenizer");
    if (!t) return CZ_ERR_MEMORY;
    cz_status status = fill(t, files, wanted);
    if (status) cz_tokenizer_close(t);
    else *tokenizer = t;
    return status;
}

cz_status tokenizer_add_special(cz_tokenizer *t, const char *path, const char *text, int32_t id)
{
    enum { MOST = 10000 };
    size_t size = strlen(text);
    if (!size) return CZ_OK;
    int32_t known = vocabulary_find(&t->vocabulary, text, size);
    for (int i = 0; i < t->specials; i++)
        if (!strcmp(t->special[i].text, text)) known = t->special[i].id;
    int32_t expected = known < 0 ? t->size : known;
    if (id != expected)
        return cz_fail(CZ_ERR_INPUT, "%s: token '%.40s': expected the id %d, %s, found %d", path,
                       text, expected, known < 0 ? "the next that is free" : "which the token has",
                       id);
    if (t->specials == MOST) return cz_fail(CZ_ERR_INPUT, "%s: more than %d tokens", path, MOST);
    tokenizer_special *more = realloc(t->special, (size_t)(t->specials + 1) * sizeof *more);
    if (!more) return cz_fail(CZ_ERR_MEMORY, "no memory for %d special tokens", t->specials + 1);
    t->special = more;
    char *copy = strdup(text);
    if (!copy) return cz_fail(CZ_ERR_MEMORY, "no memory for a special token");
    t->special[t->specials++] = (tokenizer_special){copy, size, id};
    t->begins[(unsigned char)*text] = true;
    if (id >= t->size) t->size = id + 1;
    return CZ_OK;
}

int cz_tokenizer_size(const cz_tokenizer *tokenizer) { return tokenizer->size; }
int cz_tokenizer_limit(const cz_tokenizer *tokenizer) { return tokenizer->limit; }
int32_t cz_tokenizer_unknown(const cz_tokenizer *tokenizer) { return tokenizer->unknown; }
const char *cz_tokenizer_origin(const cz_tokenizer *tokenizer) { return tokenizer->origin; }
