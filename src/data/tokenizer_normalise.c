/* What tokenizers' BertNormalizer does with a text. */
#include "tokenizer_parts.h"
#include "unicode.h"

#include <stdlib.h>

typedef struct stream {
    const tokenizer_rules *rules;
    cz_bytes *to;
    cz_bytes waiting; /* marks, as keys, to be put into their canonical order */
} stream;

/* A key sorts a mark by its class, then by its place; its character is in the last 21 bits. */
enum { CLASS_SHIFT = 56, PLACE_SHIFT = 21 };

static void put(stream *s, uint32_t c)
{
    uint32_t lower[UNICODE_LOWER_MAX];
    char bytes[4];
    int count = 1;
    lower[0] = c;
    if (s->rules->lower) count = unicode_lower(lower, c);
    for (int i = 0; i < count; i++)
        cz_bytes_put(s->to, bytes, (size_t)unicode_put(bytes, lower[i]));
}

static int by_key(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void put_waiting(stream *s)
{
    uint64_t *key = (uint64_t *)(void *)s->waiting.data;
    size_t count = s->waiting.size / sizeof *key;
    if (count > 1) qsort(key, count, sizeof *key, by_key);
    for (size_t i = 0; i < count; i++) put(s, (uint32_t)key[i] & 0x1FFFFF);
    s->waiting.size = 0;
}

/* A dropped mark of class 0 still keeps those behind it behind those before it. */
static void put_stripped(stream *s, uint32_t c)
{
    uint32_t part[UNICODE_PARTS_MAX];
    int count = unicode_decompose(part, c);
    for (int i = 0; i < count; i++) {
        uint64_t class = (uint64_t)unicode_class(part[i]);
        bool dropped = unicode_is_nonspacing(part[i]);
        if (!class) {
            put_waiting(s);
            if (!dropped) put(s, part[i]);
        } else if (!dropped) {
            uint64_t place = s->waiting.size / sizeof place;
            uint64_t key = class << CLASS_SHIFT | place << PLACE_SHIFT | part[i];
            cz_bytes_put(&s->waiting, &key, sizeof key);
        }
    }
}

static void put_character(stream *s, uint32_t c)
{
    if (s->rules->strip && c >= 0x80) {
        put_stripped(s, c);
        return;
    }
    if (s->waiting.size) put_waiting(s);
    put(s, c);
}

cz_status tokenizer_normalise(cz_bytes *to, const tokenizer_rules *rules, const char *text,
                              size_t size)
{
    stream s = {.rules = rules, .to = to};
    for (size_t at = 0; at < size;) {
        uint32_t c = unicode_next(text, &at);
        if (rules->clean && unicode_is_dropped(c)) continue;
        if (rules->clean && unicode_is_white(c)) c = ' ';
        bool apart = rules->chinese && unicode_is_chinese(c);
        if (apart) put_character(&s, ' ');
        put_character(&s, c);
        if (apart) put_character(&s, ' ');
    }
    put_waiting(&s);
    bool failed = to->failed || s.waiting.failed;
    cz_bytes_free(&s.waiting);
    return failed ? CZ_ERR_MEMORY : CZ_OK;
}
