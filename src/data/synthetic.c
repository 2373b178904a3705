/* The synthetic cells of a job: each rank generates its own rows. */
#include "synthetic.h"
#include "cells.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cz_status describe(cz_cells *cells, const cz_generator *g, const cz_config *config)
{
    cells->n = cells->facts.read = g->n;
    cells->width = g->width;
    snprintf(cells->facts.source, sizeof cells->facts.source, "synthetic, %s", g->preset->name);
    snprintf(cells->facts.features, sizeof cells->facts.features,
             "%d generated features, %d effects, seed %lld", g->width, CZ_EFFECTS,
             (long long)config->synthetic.seed);
    CZ_TRY(cz_generator_column(&cells->target, g, config->data.target_key, "data.target_key"));
    CZ_TRY(cz_generator_column(&cells->label, g, config->data.label_key, "data.label_key"));
    for (int a = 0; a < config->data.adversary_keys.count; a++) {
        cells->adversaries = a + 1;
        CZ_TRY(cz_generator_column(&cells->adversary[a], g, config->data.adversary_keys.name[a],
                                   "data.adversary_keys"));
    }
    const char *key;
    cz_split_method method = cz_config_split(config, &key);
    if (method == CZ_SPLIT_GROUP || method == CZ_SPLIT_COLUMN)
        CZ_TRY(cz_generator_column(&cells->group, g, key, "split.method"));
    if (config->data.batch_key[0])
        CZ_TRY(cz_generator_column(&cells->batch, g, config->data.batch_key, "data.batch_key"));
    return CZ_OK;
}

/* "cell_00000": as many digits as the largest number needs, so that names sort as cells do. */
static cz_status name_cells(cz_cells *cells)
{
    char text[32];
    int end = snprintf(text, sizeof text, "cell_%d", cells->n - 1), first = (int)strlen("cell_");
    memset(text + first, '0', (size_t)(end - first));
    cells->cell_name = cz_alloc((size_t)cells->n, sizeof *cells->cell_name, "cell names");
    for (int i = 0; i < cells->n && cells->cell_name; i++) {
        cells->cell_name[i] = strdup(text);
        if (!cells->cell_name[i]) return cz_fail(CZ_ERR_MEMORY, "no memory for cell names");
        /* The next number; printf() took longer than all else that one process does alone. */
        int at = end - 1;
        while (at >= first && text[at] == '9') text[at--] = '0';
        if (at >= first) text[at]++;
    }
    return cells->cell_name ? CZ_OK : CZ_ERR_MEMORY;
}

/* How deep a cell was measured is all that the generator knows of its quality. */
static cz_status open_measures(cz_cells *cells)
{
    cells->measure = cz_alloc((size_t)cells->n, sizeof *cells->measure, "the depth of cells");
    if (!cells->measure) return CZ_ERR_MEMORY;
    cells->measures = 1;
    snprintf(cells->measure_name[0], sizeof cells->measure_name[0], "depth");
    return CZ_OK;
}

/* What a rank knows of its own rows until all know it. */
typedef struct shard {
    uint64_t *hash;
    float *depth;
} shard;

/* The rows of this rank. */
static cz_status generate_shard(cz_cells *cells, shard *own, const cz_generator *g,
                                const cz_comm *comm, cz_pool *pool)
{
    cells->begin = cz_cells_begin(g->n, comm->size);
    if (!cells->begin) return CZ_ERR_MEMORY;
    int first = cells->begin[comm->rank], rows = cells->begin[comm->rank + 1] - first;
    cells->x = cz_alloc((size_t)rows * (size_t)g->width, sizeof *cells->x, "the features");
    cells->row_hash = cz_alloc((size_t)g->n, sizeof *cells->row_hash, "the hashes of all rows");
    own->hash = cz_alloc((size_t)rows, sizeof *own->hash, "the hashes of the rows");
    own->depth = cz_alloc((size_t)rows, sizeof *own->depth, "the depth of the rows");
    if (!cells->x || !cells->row_hash || !own->hash || !own->depth) return CZ_ERR_MEMORY;
    return cz_generator_rows(g, cells->x, own->hash, own->depth, first, rows, pool);
}

static cz_status gather_shards(cz_cells *cells, const shard *own, const cz_comm *comm)
{
    int *rows = cz_alloc((size_t)comm->size, sizeof *rows, "the shards of the ranks");
    cz_status status = cz_comm_agree(comm, rows ? CZ_OK : CZ_ERR_MEMORY);
    for (int r = 0; r < comm->size && !status; r++) rows[r] = cells->begin[r + 1] - cells->begin[r];
    if (!status)
        status = cz_comm_gather_all(comm, cells->row_hash, own->hash, rows, sizeof *own->hash);
    if (!status)
        status = cz_comm_gather_all(comm, cells->measure, own->depth, rows, sizeof *own->depth);
    free(rows);
    return status;
}

cz_status cz_synthetic_cells(cz_cells *cells, const cz_config *config, const cz_comm *comm,
                             cz_pool *pool)
{
    shard own = {0};
    cz_generator g;
    memset(cells, 0, sizeof *cells);
    cz_status status = cz_generator_open(&g, config);
    if (!status) status = describe(cells, &g, config);
    if (!status && comm->rank == 0) status = name_cells(cells);
    if (!status) status = open_measures(cells);
    if (!status) status = generate_shard(cells, &own, &g, comm, pool);
    status = cz_comm_agree(comm, status);
    if (!status) status = gather_shards(cells, &own, comm);
    free(own.hash);
    free(own.depth);
    cz_generator_close(&g);
    return status;
}

cz_status cz_synthetic_shape(cz_cells *cells, const cz_config *config)
{
    cz_generator g;
    memset(cells, 0, sizeof *cells);
    cz_status status = cz_generator_open(&g, config);
    if (!status) status = describe(cells, &g, config);
    cz_generator_close(&g);
    return status;
}
