/* A tokenizer and a text. After one byte that says what there is, the input is cut at bytes 255:
 * vocab.txt or tokenizer.json, tokenizer_config.json, the text. Whatever the files say, the ids of
 * the text are of the vocabulary, between the tokens that stand for its begin and end. */
#include "data/tokenizer_parts.h"
#include "fuzz.h"

#include <limits.h>

enum { JSON = 1, CONFIG = 2, CASED = 4, UNCASED = 8, MOST = 16 }; /* tokens: 2 + the bits from 16 */

static const char preset[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncell\n##s\n";

/* Takes the next part of the input; a copy, so that reading beyond it shows. */
static cz_mapped part(const uint8_t **at, const uint8_t *end)
{
    size_t left = (size_t)(end - *at);
    const uint8_t *stop = left ? memchr(*at, 255, left) : NULL;
    size_t size = stop ? (size_t)(stop - *at) : left;
    char *bytes = malloc(size ? size : 1);
    if (!bytes) exit(2);
    if (size) memcpy(bytes, *at, size);
    *at += stop ? size + 1 : size;
    return (cz_mapped){bytes, size};
}

static void check_ids(const cz_tokenizer *t, const int32_t *id, int count, int most)
{
    fuzz_must(count >= 2 && count <= most && id[0] == t->first && id[count - 1] == t->last);
    for (int i = 0; i < count; i++) fuzz_must(id[i] >= 0 && id[i] < cz_tokenizer_size(t));
}

static void tokenize(const cz_tokenizer *t, const cz_mapped *text, int most)
{
    int32_t *id, *all;
    int count, total;
    bool cut, none;
    cz_status status = cz_tokenize(t, text->bytes, text->size, most, &id, &count, &cut);
    if (!fuzz_good(status, CZ_ERR_INPUT, CZ_ERR_INPUT)) {
        fuzz_must(!id);
        return;
    }
    check_ids(t, id, count, most);
    fuzz_must(!cz_tokenize(t, text->bytes, text->size, INT_MAX, &all, &total, &none) && !none);
    check_ids(t, all, total, INT_MAX);
    fuzz_must(cut == (total > most) && count == (cut ? most : total));
    fuzz_must(!memcmp(id, all, (size_t)(count - 1) * sizeof *id));
    free(id);
    free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *at = data, *end = data + size;
    unsigned what = at < end ? *at++ : 0;
    cz_mapped file = part(&at, end), config = part(&at, end), text = part(&at, end);
    tokenizer_files files = {.folder = "FOLDER"};
    if (what & JSON) files.json = file;
    else files.vocabulary = file.size ? file : (cz_mapped){preset, sizeof preset - 1};
    if (what & CONFIG) files.config = config;
    cz_text_case wanted = what & CASED     ? CZ_CASE_CASED
                          : what & UNCASED ? CZ_CASE_UNCASED
                                           : CZ_CASE_AUTO;
    cz_tokenizer *tokenizer;
    cz_status status = tokenizer_make(&tokenizer, &files, wanted);
    if (fuzz_good(status, CZ_ERR_INPUT, CZ_ERR_INPUT)) {
        fuzz_must(cz_tokenizer_limit(tokenizer) >= 2 && cz_tokenizer_origin(tokenizer));
        fuzz_must(cz_tokenizer_unknown(tokenizer) < cz_tokenizer_size(tokenizer));
        tokenize(tokenizer, &text, 2 + (int)(what / MOST));
    }
    fuzz_must(!status == !!tokenizer);
    cz_tokenizer_close(tokenizer);
    free((void *)file.bytes);
    free((void *)config.bytes);
    free((void *)text.bytes);
    return 0;
}
