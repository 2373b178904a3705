/* Fields of comma-separated values, RFC 4180. Private to src/report; Local. */
#ifndef CZ_CSV_H
#define CZ_CSV_H

#include "czhpc/status.h"

#include <stdio.h>

/* A file beside `path`, which takes its place when it is closed whole. NULL, with the failure
 * recorded: it cannot be written. */
FILE *csv_create(const char *path);
/* CZ_ERR_IO: what was written did not reach the file, and nothing takes its place. */
cz_status csv_close(FILE *out, const char *path);
/* Nothing does: what is there is not the whole. */
void csv_drop(FILE *out, const char *path);

/* prefix and text as one field, quoted where needed, quotes doubled; then `end`. */
void csv_text(FILE *out, const char *prefix, const char *text, const char *end);
/* Empty where not finite. */
void csv_number(FILE *out, double value, const char *end);

#endif
