/* What the sources of cells share. Private to src/data.
 * Names in a cz_cells (class_name[i], cell_name[i]) are each allocated alone, for free(). */
#ifndef CZ_CELLS_H
#define CZ_CELLS_H

#include "czhpc/data.h"

/* begin (ranks + 1): cells a rank, as even as can be. The caller frees; NULL if out of memory. */
int32_t *cz_cells_begin(int n, int ranks);

/* Fills a column from `value` (n) in 0 .. values-1, -1 unknown, and the values' names: classes
 * are numbered by first appearance; values that no cell has are left out. Local. */
cz_status cz_column_fill(cz_column *column, const char *name, const int32_t *value, int n,
                         const char *const *value_name, int values);

#endif
