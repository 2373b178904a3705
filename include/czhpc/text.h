/* Small helpers on text: near names for messages, UTF-8, numbers that read back. */
#ifndef CZ_TEXT_H
#define CZ_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Edits (a letter more, less or other, two neighbours swapped) that turn a into b: the optimal
 * string alignment distance. Case counts half: "Sex" is nearer to "sex" than "set" is, so the
 * unit is half an edit. Only the first 255 bytes of each are looked at. Local. */
int cz_text_distance(const char *a, const char *b);

/* The name nearest to `word`, the first of equals; NULL when none is near enough to be meant
 * (more than a third of the letters differ). Local. */
const char *cz_text_nearest(const char *word, const char *const *names, int count);

/* Copies into a buffer of `size` bytes; false, with the buffer "", when it does not fit. Local. */
bool cz_text_copy(char *to, size_t size, const char *from);

/* The offset of the first byte that is not well-formed UTF-8 (RFC 3629), or `size`. Local. */
size_t cz_text_utf8(const char *text, size_t size);

/* UTF-8 as a message or log can have it, in a buffer of `size` bytes, at least 16: control
 * characters as \\x1b, what does not fit as "...", nothing as "". Returns the buffer. Local. */
const char *cz_text_printable(char *text, size_t size, const char *from);

/* The shortest decimal that strtod() reads back to the same double. Local. */
enum { CZ_NUMBER_MAX = 32 };
void cz_text_number(char number[CZ_NUMBER_MAX], double value);

/* A number of 53, 24 or 11 binary digits (float64, float32, float16) as Python prints it: the
 * shortest decimal that reads back to the same, "0.1", "1.0", "1e+16", "nan". Local. */
void cz_text_float(char number[CZ_NUMBER_MAX], double value, int bits);

#endif
