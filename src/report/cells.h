/* What is told of the cells of a job. Private to src/report; Local. */
#ifndef CZ_REPORT_CELLS_H
#define CZ_REPORT_CELLS_H

#include "czhpc/report.h"

#include <jansson.h>

/* "train", "validation", "test". */
const char *split_name(cz_split part);
int split_count(const cz_cells *cells, cz_split part);

/* The name of a cell, or its number, for which there is room in buffer. */
const char *cell_name(const cz_cells *cells, int row, char *buffer, size_t size);

/* Cells read and left out, and the rules, for summary.json. */
json_t *data_json(const cz_cells *cells);

#endif
