#include "czhpc/text.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 255 };

static int least(int a, int b) { return a < b ? a : b; }

static int change(char a, char b)
{
    if (a == b) return 0;
    return tolower((unsigned char)a) == tolower((unsigned char)b) ? 1 : 2;
}

int cz_text_distance(const char *a, const char *b)
{
    int n = (int)strnlen(a, LONGEST), m = (int)strnlen(b, LONGEST);
    int rows[3][LONGEST + 1], *before = rows[0], *last = rows[1], *row = rows[2];
    for (int j = 0; j <= m; j++) last[j] = 2 * j;
    for (int i = 1; i <= n; i++) {
        row[0] = 2 * i;
        for (int j = 1; j <= m; j++) {
            int edits = least(last[j] + 2, row[j - 1] + 2);
            edits = least(edits, last[j - 1] + change(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                edits = least(edits, before[j - 2] + 2);
            row[j] = edits;
        }
        int *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[m];
}

const char *cz_text_nearest(const char *word, const char *const *names, int count)
{
    const char *nearest = NULL;
    int fewest = INT_MAX;
    for (int i = 0; i < count; i++) {
        int edits = cz_text_distance(word, names[i]);
        int letters = (int)strnlen(names[i], LONGEST);
        int most = letters < 3 ? 2 : 2 * ((letters + 2) / 3);
        if (edits > most || edits >= 2 * letters || edits >= fewest) continue;
        fewest = edits;
        nearest = names[i];
    }
    return nearest;
}

bool cz_text_copy(char *to, size_t size, const char *from)
{
    size_t length = strlen(from);
    to[0] = 0;
    if (length >= size) return false;
    memcpy(to, from, length + 1);
    return true;
}

/* Bytes of the character at `at`, 0 if it is not one. */
static size_t character(const unsigned char *at, size_t left)
{
    if (at[0] < 0x80) return 1;
    size_t length = at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : 2;
    if (at[0] < 0xC2 || at[0] > 0xF4 || length > left) return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xC0) != 0x80) return 0;
    /* Overlong forms, surrogates, beyond U+10FFFF. */
    if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F)) return 0;
    if ((at[0] == 0xF0 && at[1] < 0x90) || (at[0] == 0xF4 && at[1] > 0x8F)) return 0;
    return length;
}

size_t cz_text_utf8(const char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        size_t length = character((const unsigned char *)text + at, size - at);
        if (!length) return at;
        at += length;
    }
    return size;
}

void cz_text_number(char number[CZ_NUMBER_MAX], double value)
{
    /* With fewer digits than stand before the point, %g would write 1e+04 for 10000. */
    int whole = 1;
    for (double size = fabs(value); size >= 10 && whole < 15; size /= 10) whole++;
    for (int digits = fabs(value) < 1e15 ? whole : 1; digits <= 17; digits++) {
        snprintf(number, CZ_NUMBER_MAX, "%.*g", digits, value);
        if (strtod(number, NULL) == value) return;
    }
}

/* The nearest number of so many binary digits; of 11 and 24 the smallest exponents, too. */
static double nearest(double value, int bits)
{
    int exponent, least = bits == 11 ? -13 : bits == 24 ? -125 : -1021;
    frexp(value, &exponent);
    double quantum = ldexp(1.0, (exponent > least ? exponent : least) - bits);
    return rint(value / quantum) * quantum;
}

void cz_text_float(char number[CZ_NUMBER_MAX], double value, int bits)
{
    char digits[CZ_NUMBER_MAX];
    if (!isfinite(value)) {
        snprintf(number, CZ_NUMBER_MAX, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return;
    }
    int after = 0; /* digits after the first */
    for (; after < 17; after++) {
        snprintf(digits, sizeof digits, "%.*e", after, value);
        if (nearest(strtod(digits, NULL), bits) == value) break;
    }
    int power = atoi(strchr(digits, 'e') + 1);
    if (power < -4 || power >= 16) snprintf(number, CZ_NUMBER_MAX, "%s", digits);
    else snprintf(number, CZ_NUMBER_MAX, "%.*f", after > power ? after - power : 1, value);
}

const char *cz_text_printable(char *text, size_t size, const char *from)
{
    size_t n = 0;
    for (; *from && n < size - 8; from++) {
        unsigned char c = (unsigned char)from[0], next = (unsigned char)from[1];
        bool wide = c == 0xC2 && next >= 0x80 && next < 0xA0; /* U+0080 to U+009F */
        if (c >= 0x20 && c != 0x7F && !wide) text[n++] = *from;
        else n += (size_t)snprintf(text + n, size - n, "\\x%02x", wide ? next : c);
        from += wide;
    }
    while (n > 0 && (*from & 0xC0) == 0x80) n--, from--; /* no part of a character */
    snprintf(text + n, size - n, "%s", *from ? "..." : n ? "" : "\"\"");
    return text;
}
