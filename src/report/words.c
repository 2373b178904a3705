#include "words.h"

#include "czhpc/status.h"
#include "czhpc/text.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the character at `text`, 0 where it is no UTF-8. */
static size_t character(const char *text)
{
    for (size_t size = 1; size <= 4 && text[size - 1]; size++)
        if (cz_text_utf8(text, size) == size) return size;
    return 0;
}

/* C0, DEL and C1 (U+0080 to U+009F). */
static bool controls(const char *text, size_t size)
{
    unsigned char first = (unsigned char)text[0];
    if (size == 1) return first < ' ' || first == 0x7f;
    return size == 2 && first == 0xC2 && (unsigned char)text[1] < 0xA0;
}

const char *shown(char buffer[SHOWN_MAX], const char *text, int columns)
{
    char *to = buffer, *last = buffer; /* where the last two characters begin */
    int used = 0;
    while (*text && used < columns) {
        size_t size = character(text);
        if (used == columns - 2) last = to;
        if (!size || controls(text, size)) {
            *to++ = '?';
        } else {
            memcpy(to, text, size);
            to += size;
        }
        text += size ? size : 1;
        used++;
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
    if (!mended) return NULL;
    while (*text) {
        size_t size = character(text);
        memcpy(to, size ? text : "\xEF\xBF\xBD", size ? size : 3);
        to += size ? size : 3;
        text += size ? size : 1;
    }
    whole = json_stringn(mended, (size_t)(to - mended));
    free(mended);
    return whole;
}

json_t *number_json(double value) { return isfinite(value) ? json_real(value) : json_null(); }
