/* A study in words and in a table. Private to src/report; Local. */
#ifndef CZ_STUDY_TABLE_H
#define CZ_STUDY_TABLE_H

#include "study_view.h"

#include <stdio.h>

/* What it is, at most `most` trials best first, and the importance of its parameters, at most 100
 * columns wide. CZ_ERR_MEMORY. */
cz_status study_print(FILE *out, const study_view *view, int most);

/* trials.csv: all trials by number, with all their parameters. CZ_ERR_IO. */
cz_status study_csv(const char *path, const study_view *view);

#endif
