/* Names from outside, as terminals and JSON can take them. Private to src/report; Local. */
#ifndef CZ_WORDS_H
#define CZ_WORDS_H

#include <jansson.h>

enum { SHOWN_MAX = 256 };

/* text in `columns` (at most 63) characters for a terminal: padded with blanks, or cut short with
 * "..". What would control the terminal is a blank, what is no UTF-8 U+FFFD (names.h). */
const char *shown(char buffer[SHOWN_MAX], const char *text, int columns);

/* As a JSON string; a text that is no UTF-8 is mended as above. NULL without memory. */
json_t *text_json(const char *text);
/* null where not finite. */
json_t *number_json(double value);

#endif
