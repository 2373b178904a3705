/* A text into tokens: special ones first, then words, and each word into the longest pieces. */
#include "czhpc/text.h"
#include "tokenizer_parts.h"
#include "unicode.h"

#include <stdlib.h>
#include <string.h>

/* The ids so far; more than `most` of them are not kept. */
typedef struct tokens {
    int32_t *id;
    size_t count, room, most;
    bool cut;
} tokens;

static cz_status put(tokens *to, int32_t id)
{
    if (to->count == to->most) {
        to->cut = true;
        return CZ_OK;
    }
    if (to->count == to->room) {
        size_t room = to->room ? 2 * to->room : 32;
        int32_t *more = realloc(to->id, room * sizeof *more);
        if (!more) return cz_fail(CZ_ERR_MEMORY, "no memory for the %zu tokens of a text", room);
        to->id = more;
        to->room = room;
    }
    to->id[to->count++] = id;
    return CZ_OK;
}

static cz_status put_word(tokens *to, const cz_tokenizer *t, const char *word, size_t size,
                          size_t characters)
{
    size_t begun = to->count;
    bool was_cut = to->cut, whole = characters <= t->word_max;
    for (size_t at = 0, length; whole && at < size; at += length) {
        int32_t id;
        length = vocabulary_longest(&t->vocabulary, word + at, size - at, at > 0, &id);
        whole = length > 0;
        if (whole) CZ_TRY(put(to, id));
    }
    if (whole) return CZ_OK;
    /* A word of which any part is unknown is unknown as a whole. */
    to->count = begun;
    to->cut = was_cut;
    return put(to, t->unknown);
}

/* Words end at white space, which is dropped, and at punctuation, of which each is a word. */
static cz_status put_words(tokens *to, const cz_tokenizer *t, const char *text, size_t size)
{
    size_t begin = 0, characters = 0;
    for (size_t at = 0; at < size && !to->cut;) {
        size_t next = at;
        uint32_t c = unicode_next(text, &next);
        bool sign = unicode_is_punctuation(c);
        if (sign || unicode_is_white(c)) {
            if (characters) CZ_TRY(put_word(to, t, text + begin, at - begin, characters));
            if (sign) CZ_TRY(put_word(to, t, text + at, next - at, 1));
            begin = next;
            characters = 0;
        } else {
            characters++;
        }
        at = next;
    }
    return characters && !to->cut ? put_word(to, t, text + begin, size - begin, characters) : CZ_OK;
}

/* The longest special token that the text begins with, or NULL. */
static const tokenizer_special *special_at(const cz_tokenizer *t, const char *text, size_t size)
{
    const tokenizer_special *best = NULL;
    if (!t->begins[(unsigned char)*text]) return NULL;
    for (int i = 0; i < t->specials; i++) {
        const tokenizer_special *s = &t->special[i];
        bool longer = s->size <= size && (!best || s->size > best->size);
        if (longer && !memcmp(s->text, text, s->size)) best = s;
    }
    return best;
}

static cz_status put_text(tokens *to, const cz_tokenizer *t, const char *text, size_t size)
{
    cz_bytes normal = {0};
    cz_status status = CZ_OK;
    for (size_t begin = 0, at = 0; at <= size && !status && !to->cut;) {
        const tokenizer_special *s = at < size ? special_at(t, text + at, size - at) : NULL;
        if (at < size && !s) {
            at++;
            continue;
        }
        normal.size = 0;
        status = tokenizer_normalise(&normal, &t->rules, text + begin, at - begin);
        if (!status) status = put_words(to, t, (const char *)normal.data, normal.size);
        if (!status && s) status = put(to, s->id);
        at += s ? s->size : 1;
        begin = at;
    }
    cz_bytes_free(&normal);
    return status;
}

cz_status cz_tokenize(const cz_tokenizer *tokenizer, const char *text, size_t size, int most,
                      int32_t **ids, int *count, bool *cut)
{
    *ids = NULL;
    *count = 0;
    if (most < 2) return cz_fail(CZ_ERR_BUG, "%d tokens hold no text: 2 or more do", most);
    size_t wrong = cz_text_utf8(text, size);
    if (wrong < size)
        return cz_fail(CZ_ERR_INPUT, "byte %zu of a text to tokenize is not UTF-8", wrong);
    tokens to = {.most = (size_t)most - 1};
    cz_status status = put(&to, tokenizer->first);
    if (!status) status = put_text(&to, tokenizer, text, size);
    to.most++;
    bool was_cut = to.cut;
    if (!status) status = put(&to, tokenizer->last);
    if (status) {
        free(to.id);
        return status;
    }
    *ids = to.id;
    *count = (int)to.count;
    if (cut) *cut = was_cut;
    return CZ_OK;
}
