#include "words.h"

#include "names.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *shown(char buffer[SHOWN_MAX], const char *text, int columns)
{
    char *to = buffer, *last = buffer; /* where the last two characters begin */
    int used = 0;
    for (; *text && used < columns; used++) {
        size_t size;
        const char *at = name_character(&text, &size);
        if (used == columns - 2) last = to;
        memcpy(to, at, size);
        to += size;
    }
    if (*text) {
        memcpy(last, "..", 2);
        to = last + 2;
    }
    for (; used < columns; used++) *to++ = ' ';
    *to = 0;
    return buffer;
}

json_t *text_json(const char *text)
{
    json_t *whole = json_string(text);
    if (whole) return whole;
    char *mended = cz_alloc(strlen(text) + 1, 3, "a name of the summary"), *to = mended;
    while (mended && *text) {
        size_t size;
        const char *at = name_character(&text, &size);
        memcpy(to, at, size);
        to += size;
    }
    if (mended) whole = json_stringn(mended, (size_t)(to - mended));
    free(mended);
    return whole;
}

json_t *number_json(double value) { return isfinite(value) ? json_real(value) : json_null(); }
