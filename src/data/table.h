/* The obs of all files of a job as one table: what rules and splits look at. */
#ifndef CZ_TABLE_H
#define CZ_TABLE_H

#include "h5ad_plan.h"

typedef struct cell_table {
    int n; /* cells of all files */
    int files;
    int first[CZ_TEXTS_MAX + 1]; /* file f holds cells first[f] .. first[f + 1] - 1 */
    int columns, measures;
    cz_column column[H5AD_COLUMNS_MAX]; /* (n) one for each key asked for; a class is a text */
    char measure_name[CZ_KEYS_MAX][CZ_NAME_MAX];
    double *measure[CZ_KEYS_MAX]; /* (n) NAN = missing */
    char **cell_name;             /* (n) on rank 0, NULL elsewhere */
} cell_table;

/* Takes columns, measures and names out of the plans, one for each file, all of the same
 * `request` but for its path. Local; the same on every rank but for the names. Free with
 * cell_table_free(). CZ_ERR_INPUT: more cells than an int counts. */
cz_status cell_table_make(cell_table *table, h5ad_plan *plans, int files,
                          const h5ad_request *request);
void cell_table_free(cell_table *table);

/* The column of a key, NULL if it was not asked for. */
const cz_column *cell_table_column(const cell_table *table, const char *key);

#endif
