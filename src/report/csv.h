/* Fields of comma-separated values, RFC 4180. Private to src/report; Local. */
#ifndef CZ_CSV_H
#define CZ_CSV_H

#include <stdio.h>

/* prefix and text as one field, quoted where needed, quotes doubled; then `end`. */
void csv_text(FILE *out, const char *prefix, const char *text, const char *end);
/* Empty where not finite. */
void csv_number(FILE *out, double value, const char *end);

#endif
