/* Names as they stand in a figure: clean, short enough, told apart. Private to src/report; Local.
 */
#ifndef CZ_NAMES_H
#define CZ_NAMES_H

#include "czhpc/status.h"

#include <stddef.h>
#include <stdio.h>

typedef struct shown_name {
    char text[256];
} shown_name;

/* The next character of *text in clean UTF-8, `size` bytes; moves *text on. A control character or
 * a line separator is a space, what is not UTF-8 is U+FFFD. */
const char *name_character(const char **text, size_t *size);

/* The same as a figure shows it; returns its bytes. What DejaVu Sans cannot draw is its number,
 * <U+4E2D>: gnuplot draws the box of a missing character as large as the picture. */
enum { DRAWN_CHARACTER = 16 };
size_t name_drawn(char drawn[DRAWN_CHARACTER], const char **text);

/* Writes a text as a field of data: as it stands, but for control characters, which are spaces. */
void name_write(FILE *out, const char *text);

/* Width of a text in DejaVu Sans, in sizes of the font (em). An estimate beyond ASCII. */
double name_width(const char *text);

/* `text` at most `width` em wide: where it is longer, an ellipsis stands in the middle. */
shown_name name_shorten(const char *text, double width);

/* All names at most `width` em wide. Those that would read alike are cut elsewhere, or numbered.
 * free() the (count) names; NULL, with the failure recorded, without memory. */
shown_name *names_fit(char *const *name, int count, double width);

/* The widest of them, em. */
double names_width(const shown_name *name, int count);

#endif
