/* Cells, wherever they come from. */
#include "cells.h"
#include "blas.h"
#include "column.h"
#include "counts.h"
#include "h5ad.h"
#include "rules.h"
#include "synthetic.h"

#include "czhpc/profile.h"
#include "czhpc/rng.h"

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
    CZ_PHASE("cells");
    memset(cells, 0, sizeof *cells);
    blas_prepare();
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

/* A block of the file in two arrays, see h5ad_rows.h; small files fill only a part of it. */
static size_t block_bytes(size_t stored)
{
    const size_t block = (size_t)2 << 24;
    return stored < block ? stored : block;
}

cz_cells_memory cz_cells_bytes(const cz_cells *shape, const cz_config *config, int ranks,
                               int threads)
{
    enum { NAME = 48 }; /* a short text of its own, and the pointer to it */
    size_t n = (size_t)shape->n, rows = (n + (size_t)ranks - 1) / (size_t)ranks;
    size_t codes =
        2 + (size_t)shape->adversaries + (shape->group.name[0] != 0) + (shape->batch.name[0] != 0);
    size_t cell = codes * sizeof(int32_t) + (size_t)shape->measures * sizeof(float) +
                  sizeof *shape->row_hash + sizeof *shape->split + NAME;
    size_t features = rows * (size_t)shape->width * sizeof(float);
    cz_cells_memory memory = {.columns = n * cell, .features = features};
    if (config->data.source != CZ_SOURCE_H5AD) return memory;
    memory.reading = n + 2 * rows * sizeof(int64_t) + block_bytes(features) + features;
    if (config->data.features != CZ_FEATURES_COUNTS) return memory;

    int genes = shape->facts.genes, wanted = config->data.variable_genes;
    int selected = wanted < genes ? wanted : genes;
    size_t stored =
        (size_t)shape->facts.entries / (size_t)ranks * (sizeof(int32_t) + sizeof(float));
    memory.reading = n + 2 * rows * sizeof(int64_t) + block_bytes(stored) + stored;
    /* Variable genes are taken to be as often seen as the others. */
    memory.preparing = (size_t)((double)stored * selected / genes) + rows * sizeof(int64_t) +
                       cz_counts_bytes((int)rows, genes, selected, shape->width, threads);
    return memory;
}

uint64_t cz_cells_hash(const cz_cells *cells)
{
    size_t n = (size_t)cells->n;
    uint64_t hash = cz_hash(0, &cells->width, sizeof cells->width);
    hash = cz_hash(hash, cells->row_hash, n * sizeof *cells->row_hash);
    hash = cz_hash(hash, cells->split, n);
    hash = cz_hash(hash, cells->target.code, n * sizeof *cells->target.code);
    hash = cz_hash(hash, cells->label.code, n * sizeof *cells->label.code);
    for (int a = 0; a < cells->adversaries; a++)
        hash = cz_hash(hash, cells->adversary[a].code, n * sizeof *cells->adversary[a].code);
    return hash;
}
