/* Names from outside, as terminals and JSON can take them. Private to src/report; Local. */
#ifndef CZ_WORDS_H
#define CZ_WORDS_H

#include <jansson.h>

enum { SHOWN_MAX = 256 };

/* text in `columns` (at most 63) characters for a terminal: padded with blanks, or cut short with
 * "..". Characters that would control the terminal, and bytes that are no UTF-8, are '?'. */
const char *shown(char buffer[SHOWN_MAX], const char *text, int columns);

/* As a JSON string; bytes that are no UTF-8 become U+FFFD. NULL without memory. */
json_t *text_json(const char *text);
/* null where not finite. */
json_t *number_json(double value);

#endif
