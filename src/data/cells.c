/* Cells, wherever they come from. */
#include "cells.h"
#include "column.h"
#include "h5ad.h"
#include "rules.h"
#include "synthetic.h"

#include <stdlib.h>
#include <string.h>

int32_t *cz_cells_begin(int n, int ranks)
{
    int32_t *begin = cz_alloc((size_t)ranks + 1, sizeof *begin, "the shards of the ranks");
    for (int r = 0; begin && r <= ranks; r++) begin[r] = (int32_t)((int64_t)n * r / ranks);
    return begin;
}

cz_status cz_column_fill(cz_column *column, const char *name, const int32_t *value, int n,
                         const char *const *value_name, int values)
{
    int32_t *class = cz_alloc((size_t)values, sizeof *class, "the classes of a column");
    column->code = cz_alloc((size_t)n, sizeof *column->code, "the codes of a column");
    column->class_name = cz_alloc((size_t)values, sizeof *column->class_name, "class names");
    column->classes = 0;
    strncpy(column->name, name, sizeof column->name - 1);
    cz_status status = class && column->code && column->class_name ? CZ_OK : CZ_ERR_MEMORY;
    for (int i = 0; i < n && !status; i++) {
        column->code[i] = -1;
        if (value[i] < 0) continue;
        if (!class[value[i]]) {
            char *kept = strdup(value_name[value[i]]);
            if (!kept) status = cz_fail(CZ_ERR_MEMORY, "no memory for the names of %s", name);
            column->class_name[column->classes] = kept;
            class[value[i]] = ++column->classes;
        }
        column->code[i] = class[value[i]] - 1;
    }
    free(class);
    return status;
}

cz_status cz_cells_load(cz_cells *cells, const cz_config *config, const cz_comm *comm,
                        cz_pool *pool)
{
    memset(cells, 0, sizeof *cells);
    if (config->data.source == CZ_SOURCE_H5AD) return cz_h5ad_cells(cells, config, comm, pool);
    cz_status status = cz_synthetic_cells(cells, config, comm, pool);
    if (!status) status = cz_comm_agree(comm, rules_split(cells, config));
    if (status) cz_cells_free(cells);
    return status;
}

cz_status cz_cells_shape(cz_cells *cells, const cz_config *config)
{
    memset(cells, 0, sizeof *cells);
    if (config->data.source == CZ_SOURCE_H5AD) return cz_h5ad_shape(cells, config);
    return cz_synthetic_shape(cells, config);
}

void cz_cells_free(cz_cells *cells)
{
    free(cells->begin);
    free(cells->x);
    column_free(&cells->target);
    column_free(&cells->label);
    for (int a = 0; a < cells->adversaries; a++) column_free(&cells->adversary[a]);
    column_free(&cells->group);
    column_free(&cells->batch);
    free(cells->measure);
    free(cells->split);
    free(cells->row_hash);
    for (int i = 0; i < cells->n && cells->cell_name; i++) free(cells->cell_name[i]);
    free(cells->cell_name);
    memset(cells, 0, sizeof *cells);
}
