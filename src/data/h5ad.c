#include "old.h"

#include "cells.h"
#include "czhpc/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The features' width: a multiple of the model's tokens, filled up with zeros. */
static int padded(int width, const cz_config *config)
{
    int tokens = config->model.tokens;
    return (width + tokens - 1) / tokens * tokens;
}

static int by_hash(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static cz_status count_duplicates(int *duplicates, const uint64_t *hash, int n)
{
    uint64_t *sorted = cz_alloc((size_t)n, sizeof *sorted, "the hashes of cells");
    if (!sorted) return CZ_ERR_MEMORY;
    memcpy(sorted, hash, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_hash);
    *duplicates = 0;
    for (int i = 1; i < n; i++) *duplicates += sorted[i] == sorted[i - 1];
    free(sorted);
    return CZ_OK;
}

/* keep[i] (n): the cell has a target, a label and an embedding. Refuses where some has not and
 * data.missing does not say to drop it. */
static cz_status choose_cells(uint8_t *keep, int *kept, const old_plan *plan,
                              const uint8_t *missing, const cz_config *config)
{
    int no_target = 0, no_label = 0, no_features = 0, n = plan->n;
    *kept = 0;
    for (int i = 0; i < n; i++) {
        no_target += plan->target.code[i] < 0;
        no_label += plan->label.code[i] < 0;
        no_features += missing && missing[i];
        keep[i] = plan->target.code[i] >= 0 && plan->label.code[i] >= 0 && !(missing && missing[i]);
        *kept += keep[i];
    }
    if (*kept < n && config->data.missing == CZ_MISSING_ERROR)
        return cz_fail(CZ_ERR_INPUT,
                       "%s: of %d cells, %d have no %s, %d no %s, %d no %s: data.missing=drop "
                       "leaves them out",
                       config->data.h5ad.text[0], n, no_target, plan->target.name, no_label,
                       plan->label.name, no_features, plan->matrix);
    if (*kept == 0)
        return cz_fail(CZ_ERR_INPUT, "%s: every cell lacks a %s, a %s or an embedding",
                       config->data.h5ad.text[0], plan->target.name, plan->label.name);
    return CZ_OK;
}

/* A head needs something to tell apart. */
static cz_status check_classes(const cz_column *column, const char *key, const char *source)
{
    if (column->classes > 1) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT,
                   "%s: %s: all cells have the same '%s' (%s): name another column in %s", source,
                   key, column->name, column->classes ? column->class_name[0] : "none", key);
}

/* Moves the plan's columns into `cells`, less the cells that are not kept. */
static cz_status take_columns(cz_cells *cells, old_plan *plan, const uint8_t *keep)
{
    cells->target = plan->target;
    cells->label = plan->label;
    plan->target = plan->label = (cz_column){0};
    cells->adversaries = plan->adversaries;
    for (int a = 0; a < plan->adversaries; a++) {
        cells->adversary[a] = plan->adversary[a];
        plan->adversary[a] = (cz_column){0};
    }
    CZ_TRY(old_column_keep(&cells->target, keep, plan->n));
    CZ_TRY(old_column_keep(&cells->label, keep, plan->n));
    for (int a = 0; a < cells->adversaries; a++) {
        CZ_TRY(old_column_keep(&cells->adversary[a], keep, plan->n));
        for (int i = 0; i < cells->n; i++)
            cells->facts.unknown[a] += cells->adversary[a].code[i] < 0;
    }
    CZ_TRY(check_classes(&cells->target, "data.target_key", cells->facts.source));
    for (int a = 0; a < cells->adversaries; a++)
        CZ_TRY(check_classes(&cells->adversary[a], "data.adversary_keys", cells->facts.source));
    return CZ_OK;
}

static void take_names(cz_cells *cells, old_plan *plan, const uint8_t *keep)
{
    int kept = 0;
    for (int i = 0; plan->cell_name && i < plan->n; i++) {
        char *name = plan->cell_name[i];
        plan->cell_name[i] = NULL;
        if (keep[i]) plan->cell_name[kept++] = name;
        else free(name);
    }
    cells->cell_name = plan->cell_name;
    plan->cell_name = NULL;
}

/* This rank's rows as the file has them, and what all ranks know of all. */
typedef struct shard {
    int begin, rows;
    int *count; /* (ranks) rows of each */
    cz_csr counts;
    float *x;                       /* (rows, width) of an embedding */
    uint64_t *own_hash, *hash;      /* (rows), (n) */
    uint8_t *own_missing, *missing; /* (rows), (n) */
} shard;

static void shard_free(shard *mine)
{
    cz_csr_free(&mine->counts);
    free(mine->count);
    free(mine->x);
    free(mine->own_hash);
    free(mine->hash);
    free(mine->own_missing);
    free(mine->missing);
}

static cz_status shard_open(shard *mine, const old_plan *plan, const cz_comm *comm)
{
    size_t n = (size_t)plan->n;
    int32_t *begin = cz_cells_begin(plan->n, comm->size);
    if (!begin) return CZ_ERR_MEMORY;
    mine->begin = begin[comm->rank];
    mine->rows = begin[comm->rank + 1] - mine->begin;
    size_t rows = (size_t)mine->rows;
    mine->count = cz_alloc((size_t)comm->size, sizeof *mine->count, "the ranks' rows");
    for (int r = 0; mine->count && r < comm->size; r++) mine->count[r] = begin[r + 1] - begin[r];
    free(begin);
    mine->own_hash = cz_alloc(rows, sizeof *mine->own_hash, "the hashes of cells");
    mine->hash = cz_alloc(n, sizeof *mine->hash, "the hashes of cells");
    mine->own_missing = cz_alloc(rows, 1, "the missing embeddings");
    mine->missing = cz_alloc(n, 1, "the missing embeddings");
    if (!plan->counts)
        mine->x = cz_alloc(rows * (size_t)plan->width, sizeof *mine->x, "the features");
    if (!mine->count || !mine->own_hash || !mine->hash || !mine->own_missing || !mine->missing ||
        (!plan->counts && !mine->x))
        return CZ_ERR_MEMORY;
    return CZ_OK;
}

/* All ranks read their rows; hashes and missing flags of all cells reach all. Collective. */
static cz_status shard_read(shard *mine, const old_plan *plan, const cz_config *config,
                            const cz_comm *comm)
{
    hid_t file;
    CZ_TRY(cz_comm_agree(comm, shard_open(mine, plan, comm)));
    /* Where it opened on some ranks only, closing it together would wait for ever. */
    CZ_TRY(cz_comm_agree(comm, cz_h5_open_shared(&file, config->data.h5ad.text[0], comm->mpi)));
    cz_status status = plan->counts ? old_read_counts(&mine->counts, mine->own_hash, plan, file,
                                                      mine->begin, mine->rows, comm)
                                    : old_read_embedding(mine->x, mine->own_hash, mine->own_missing,
                                                         plan, file, mine->begin, mine->rows, comm);
    cz_h5_close(&file);
    if (status) return status;
    CZ_TRY(cz_comm_gather_all(comm, mine->hash, mine->own_hash, mine->count, sizeof(uint64_t)));
    return cz_comm_gather_all(comm, mine->missing, mine->own_missing, mine->count, 1);
}

/* Drops the rows of this rank that are not kept. */
static void shard_keep(shard *mine, const old_plan *plan, const uint8_t *keep)
{
    cz_csr *counts = &mine->counts;
    size_t width = (size_t)plan->width;
    int kept = 0;
    for (int i = 0; i < mine->rows; i++) {
        if (!keep[mine->begin + i]) continue;
        if (plan->counts) {
            int64_t first = counts->begin[i], size = counts->begin[i + 1] - first;
            int64_t to = counts->begin[kept];
            memmove(counts->gene + to, counts->gene + first, (size_t)size * sizeof(int32_t));
            memmove(counts->count + to, counts->count + first, (size_t)size * sizeof(float));
            counts->begin[kept + 1] = to + size;
        } else {
            memmove(mine->x + (size_t)kept * width, mine->x + (size_t)i * width,
                    width * sizeof(float));
        }
        kept++;
    }
    counts->rows = mine->rows = kept;
}

/* begin (ranks + 1), hashes and split of the kept cells. */
static cz_status place_cells(cz_cells *cells, const shard *mine, const uint8_t *keep,
                             const cz_config *config, const cz_comm *comm)
{
    const char *key;
    cells->begin = cz_alloc((size_t)comm->size + 1, sizeof *cells->begin, "the ranks' rows");
    cells->row_hash = cz_alloc((size_t)cells->n, sizeof *cells->row_hash, "the hashes of cells");
    cells->split = cz_alloc((size_t)cells->n, 1, "the split");
    if (!cells->begin || !cells->row_hash || !cells->split) return CZ_ERR_MEMORY;
    int row = 0, kept = 0;
    for (int r = 0; r < comm->size; r++) {
        for (int i = 0; i < mine->count[r]; i++, row++)
            if (keep[row]) cells->row_hash[kept++] = mine->hash[row];
        cells->begin[r + 1] = kept;
    }
    CZ_TRY(count_duplicates(&cells->facts.duplicates, cells->row_hash, cells->n));
    return cz_split_cells(cells->split, cells->n, cells->target.code, cells->target.classes,
                          cells->row_hash, cz_config_split(config, &key), config->split.train,
                          config->split.validation, config->split.seed);
}

/* Says where the features were filled up with zeros. */
static void say_padding(cz_cells *cells, int width)
{
    char *facts = cells->facts.features;
    size_t size = sizeof cells->facts.features, used = strlen(facts);
    if (cells->width > width)
        snprintf(facts + used, size - used, ", and %d zeros to fill the last token",
                 cells->width - width);
}

static cz_status features_from_counts(cz_cells *cells, shard *mine, const old_plan *plan,
                                      const cz_config *config, const cz_comm *comm, cz_pool *pool)
{
    cz_counts_model model = {0};
    int first = cells->begin[comm->rank];
    uint8_t *train = cz_alloc((size_t)mine->rows, 1, "the training cells");
    cz_status status = cz_comm_agree(comm, train ? CZ_OK : CZ_ERR_MEMORY);
    for (int i = 0; i < mine->rows && !status; i++) train[i] = cells->split[first + i] == CZ_TRAIN;
    /* The seed of the split: all seeds of a run share one set of features. */
    if (!status)
        status = cz_counts_fit(&model, &mine->counts, train, config->data.target_sum,
                               config->data.variable_genes, config->data.components,
                               config->split.seed, comm, pool);
    if (status) goto done;
    if (model.components < config->data.components)
        cz_note("%d components instead of %d: the training cells and genes allow no more",
                model.components, config->data.components);
    cells->width = padded(model.components, config);
    cells->x = cz_alloc((size_t)mine->rows * (size_t)cells->width, sizeof(float), "the features");
    status = cells->x ? cz_counts_project(cells->x, cells->width, &model, &mine->counts, pool)
                      : CZ_ERR_MEMORY;
    status = cz_comm_agree(comm, status);
    snprintf(cells->facts.features, sizeof cells->facts.features,
             "counts of %s, %d of %d genes, %d components (%.1f %%)", plan->matrix, model.selected,
             model.genes, model.components, 100 * model.explained);
    say_padding(cells, model.components);
done:
    cz_counts_model_free(&model);
    free(train);
    return status;
}

static cz_status features_from_embedding(cz_cells *cells, const shard *mine, const old_plan *plan,
                                         const cz_config *config, const cz_comm *comm)
{
    size_t width = (size_t)plan->width;
    cells->width = padded(plan->width, config);
    cells->x = cz_alloc((size_t)mine->rows * (size_t)cells->width, sizeof(float), "the features");
    CZ_TRY(cz_comm_agree(comm, cells->x ? CZ_OK : CZ_ERR_MEMORY));
    for (int i = 0; i < mine->rows; i++)
        memcpy(cells->x + (size_t)i * (size_t)cells->width, mine->x + (size_t)i * width,
               width * sizeof(float));
    snprintf(cells->facts.features, sizeof cells->facts.features, "%s, %d wide", plan->matrix,
             plan->width);
    say_padding(cells, plan->width);
    return CZ_OK;
}

cz_status cz_h5ad_cells(cz_cells *cells, const cz_config *config, const cz_comm *comm,
                        cz_pool *pool)
{
    old_plan plan = {0};
    shard mine = {0};
    uint8_t *keep = NULL;
    *cells = (cz_cells){0};
    cz_status status = comm->rank == 0 ? old_plan_make(&plan, config, true) : CZ_OK;
    CZ_TRY(old_plan_share(&plan, status, comm));
    snprintf(cells->facts.source, sizeof cells->facts.source, "%s", config->data.h5ad.text[0]);
    cells->facts.read = plan.n;
    status = shard_read(&mine, &plan, config, comm);
    if (status) goto done;

    /* From here to the features all ranks compute the same from the same. */
    keep = cz_alloc((size_t)plan.n, 1, "the cells to keep");
    status = keep ? choose_cells(keep, &cells->n, &plan, mine.missing, config) : CZ_ERR_MEMORY;
    if (!status) status = take_columns(cells, &plan, keep);
    if (!status) {
        cells->facts.dropped = plan.n - cells->n;
        take_names(cells, &plan, keep);
        status = place_cells(cells, &mine, keep, config, comm);
    }
    status = cz_comm_agree(comm, status);
    if (status) goto done;
    shard_keep(&mine, &plan, keep);
    status = plan.counts ? features_from_counts(cells, &mine, &plan, config, comm, pool)
                         : features_from_embedding(cells, &mine, &plan, config, comm);
done:
    free(keep);
    shard_free(&mine);
    old_plan_free(&plan);
    if (status) cz_cells_free(cells);
    return status;
}

cz_status cz_h5ad_shape(cz_cells *cells, const cz_config *config)
{
    old_plan plan;
    *cells = (cz_cells){0};
    CZ_TRY(old_plan_make(&plan, config, false));
    snprintf(cells->facts.source, sizeof cells->facts.source, "%s", config->data.h5ad.text[0]);
    cells->facts.read = plan.n;
    uint8_t *keep = cz_alloc((size_t)plan.n, 1, "the cells to keep");
    cz_status status = keep ? choose_cells(keep, &cells->n, &plan, NULL, config) : CZ_ERR_MEMORY;
    if (!status) status = take_columns(cells, &plan, keep);
    cells->facts.dropped = plan.n - cells->n;
    int genes = plan.width;
    if (config->data.variable_genes < genes) genes = config->data.variable_genes;
    int most = (int)(config->split.train * cells->n) - 1;
    if (genes < most) most = genes;
    int components = config->data.components < most ? config->data.components : most;
    cells->width = padded(plan.counts ? components : plan.width, config);
    snprintf(cells->facts.features, sizeof cells->facts.features, "%s, %d wide", plan.matrix,
             plan.width);
    free(keep);
    old_plan_free(&plan);
    if (status) cz_cells_free(cells);
    return status;
}
