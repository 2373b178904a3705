#include "unicode.h"
#include "unicode_tables.h"

#include <string.h>

/* How many entries of a table begin at or before c. */
#define BEGUN(table, c) begun(table, table##_size, sizeof *(table), c)

/* Entries begin with their first code point. */
static size_t begun(const void *table, size_t count, size_t size, uint32_t c)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        uint32_t first;
        memcpy(&first, (const char *)table + middle * size, sizeof first);
        if (first <= c) low = middle + 1;
        else high = middle;
    }
    return low;
}

static bool within(const unicode_range *table, size_t count, uint32_t c)
{
    size_t n = begun(table, count, sizeof *table, c);
    return n > 0 && c <= table[n - 1].last;
}

bool unicode_is_dropped(uint32_t c) { return within(unicode_dropped, unicode_dropped_size, c); }
bool unicode_is_white(uint32_t c) { return within(unicode_white, unicode_white_size, c); }
bool unicode_is_chinese(uint32_t c) { return within(unicode_chinese, unicode_chinese_size, c); }

bool unicode_is_punctuation(uint32_t c)
{
    return within(unicode_punctuation, unicode_punctuation_size, c);
}

bool unicode_is_nonspacing(uint32_t c)
{
    return within(unicode_nonspacing, unicode_nonspacing_size, c);
}

int unicode_class(uint32_t c)
{
    size_t n = BEGUN(unicode_classes, c);
    return n > 0 && c <= unicode_classes[n - 1].last ? unicode_classes[n - 1].number : 0;
}

static int copy_row(uint32_t to[4], const unicode_row *row)
{
    int count = 0;
    while (count < 4 && row->to[count]) {
        to[count] = row->to[count];
        count++;
    }
    return count;
}

int unicode_lower(uint32_t to[UNICODE_LOWER_MAX], uint32_t c)
{
    size_t n = BEGUN(unicode_lower_rows, c);
    if (n > 0 && unicode_lower_rows[n - 1].from == c)
        return copy_row(to, &unicode_lower_rows[n - 1]);
    to[0] = c;
    n = BEGUN(unicode_lower_ranges, c);
    if (n == 0) return 1;
    const unicode_case_range *r = &unicode_lower_ranges[n - 1];
    if (c <= r->last && (c - r->first) % (uint32_t)r->step == 0)
        to[0] = (uint32_t)((int32_t)c + r->delta);
    return 1;
}

/* The Unicode Standard, 3.12: syllables are computed from their leading consonant, vowel and
 * trailing consonant. */
static int decompose_hangul(uint32_t to[UNICODE_PARTS_MAX], uint32_t syllable)
{
    enum { LEADING = 0x1100, VOWEL = 0x1161, TRAILING = 0x11A7, VOWELS = 21, TRAILINGS = 28 };
    uint32_t trailing = syllable % TRAILINGS;
    to[0] = LEADING + syllable / (VOWELS * TRAILINGS);
    to[1] = VOWEL + syllable / TRAILINGS % VOWELS;
    to[2] = TRAILING + trailing;
    return trailing ? 3 : 2;
}

int unicode_decompose(uint32_t to[UNICODE_PARTS_MAX], uint32_t c)
{
    enum { SYLLABLE = 0xAC00, SYLLABLES = 11172 };
    to[0] = c;
    if (c < 0x80) return 1;
    if (c >= SYLLABLE && c < SYLLABLE + SYLLABLES) return decompose_hangul(to, c - SYLLABLE);
    size_t n = BEGUN(unicode_decompositions, c);
    if (n == 0 || unicode_decompositions[n - 1].from != c) return 1;
    return copy_row(to, &unicode_decompositions[n - 1]);
}

uint32_t unicode_next(const char *text, size_t *at)
{
    const unsigned char *s = (const unsigned char *)text + *at;
    int more = s[0] < 0x80 ? 0 : s[0] < 0xE0 ? 1 : s[0] < 0xF0 ? 2 : 3;
    uint32_t c = more ? s[0] & (0x3Fu >> more) : s[0];
    for (int i = 1; i <= more; i++) c = c << 6 | (s[i] & 0x3Fu);
    *at += (size_t)more + 1;
    return c;
}

int unicode_put(char to[4], uint32_t c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    for (int i = more; i > 0; i--, c >>= 6) to[i] = (char)(0x80 | (c & 0x3F));
    to[0] = (char)((0xFF00u >> (more + 1) & 0xFF) | c);
    return more + 1;
}
