/* Categorical columns: copied, joined, thinned out. Private to src/data. All Local. */
#ifndef CZ_COLUMN_H
#define CZ_COLUMN_H

#include "czhpc/data.h"

/* A copy of a column of n cells, to be freed with column_free(). CZ_ERR_MEMORY. */
cz_status column_copy(cz_column *column, const cz_column *from, int n);

/* The column's classes become the pairs "A+B" of its own and the other's that cells have; a
 * cell that lacks one lacks the pair. CZ_ERR_MEMORY. */
cz_status column_join(cz_column *column, const cz_column *other, int n);

/* Leaves only the cells whose keep[i] is not 0 (NULL: all) and numbers the classes by first
 * appearance among them; classes without a cell are dropped. CZ_ERR_MEMORY. */
cz_status column_keep(cz_column *column, const uint8_t *keep, int n);

/* count (classes): cells of each class, of those whose keep[i] is not 0 (NULL: all). The caller
 * frees; NULL if out of memory. */
int *column_count(const cz_column *column, const uint8_t *keep, int n);

/* Cells of class a of one column and class b of another. */
typedef struct column_pair {
    int32_t a, b;
    int cells;
} column_pair;

/* The pairs that cells have, ordered by a, then b. The caller frees; NULL if out of memory. */
column_pair *column_pairs(int *pairs, const cz_column *a, const cz_column *b, int n);

void column_free(cz_column *column);

#endif
