/* What the tokenizer must know of a code point, as Hugging Face's tokenizers library has it: the
 * tables are that library's (validation/make_unicode.py), not those of one Unicode version.
 * Private to src/data. */
#ifndef CZ_UNICODE_H
#define CZ_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UNICODE_LOWER_MAX = 4, UNICODE_PARTS_MAX = 4 };

bool unicode_is_dropped(uint32_t c); /* control, format, private use, 0, U+FFFD */
bool unicode_is_white(uint32_t c);   /* some of these are dropped before they separate words */
bool unicode_is_punctuation(uint32_t c);
bool unicode_is_chinese(uint32_t c); /* an ideograph, which is a word of its own */
bool unicode_is_nonspacing(uint32_t c);

/* The canonical combining class; 0: the character stays where it is. */
int unicode_class(uint32_t c);

/* Lower case of one character whatever its neighbours, and its full canonical decomposition.
 * They set `to` and return how many code points it has, 1 or more. */
int unicode_lower(uint32_t to[UNICODE_LOWER_MAX], uint32_t c);
int unicode_decompose(uint32_t to[UNICODE_PARTS_MAX], uint32_t c);

/* Decodes the character at text[*at] of well-formed UTF-8 and steps over it. */
uint32_t unicode_next(const char *text, size_t *at);

/* Encodes a character; returns its bytes, 1 to 4. */
int unicode_put(char to[4], uint32_t c);

#endif
