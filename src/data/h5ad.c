/* From files to cells: what is there, who stays, rows, what is left, features. */
#include "h5ad.h"

#include "cells.h"
#include "czhpc/log.h"
#include "czhpc/profile.h"
#include "h5ad_shard.h"
#include "rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The features' width: a multiple of the model's tokens, filled up with zeros. */
static int padded(int width, const cz_config *config)
{
    int tokens = config->model.tokens;
    return (width + tokens - 1) / tokens * tokens;
}

/* What is said of names that several files, or genes or cells of a file, share. */
static void say_names(cz_data_facts *facts, const h5ad_files *files)
{
    const gene_list *genes = &files->genes;
    int64_t all = 0;
    for (int f = 0; f < files->count; f++) all += files->plan[f].matrix.columns;
    if (files->count > 1 && files->counts)
        rules_say(facts, "genes", genes->genes,
                  "%d of the %d genes of the first file are in all %d files, matched by name; "
                  "others are left out",
                  genes->genes, genes->first_genes, files->count);
    if (genes->repeated)
        rules_say(facts, "repeated genes", genes->repeated,
                  "%d of %lld genes have the name of an earlier one in their file; %s",
                  genes->repeated, (long long)all,
                  files->count > 1 ? "their counts are added up" : "they are kept apart");
    if (files->repeated_cells)
        rules_say(facts, "repeated names", files->repeated_cells,
                  "%d of %d cells have the name of an earlier one; results name them by it too",
                  files->repeated_cells, files->table.n);
}

static void name_measure(cz_cells *cells, const char *name)
{
    snprintf(cells->measure_name[cells->measures++], CZ_NAME_MAX, "%s", name);
}

/* Names the measures, and fills those that obs has: of the cells that keep leaves. */
static cz_status take_measures(cz_cells *cells, const h5ad_files *files, const uint8_t *keep)
{
    const cell_table *table = &files->table;
    if (files->counts) {
        uint8_t *mark = cz_alloc((size_t)files->width, 1, "the mitochondrial genes");
        if (!mark) return CZ_ERR_MEMORY;
        name_measure(cells, "total_counts");
        name_measure(cells, "n_genes_by_counts");
        if (gene_list_mitochondrial(mark, &files->genes)) name_measure(cells, "pct_counts_mt");
        free(mark);
    }
    int first = cells->measures;
    for (int k = 0; k < table->measures; k++) name_measure(cells, table->measure_name[k]);
    size_t measures = (size_t)cells->measures;
    cells->measure =
        cz_alloc((size_t)cells->n * measures, sizeof *cells->measure, "the depth of cells");
    if (!cells->measure) return CZ_ERR_MEMORY;
    float *to = cells->measure + first;
    for (int i = 0; i < table->n; i++) {
        if (!keep[i]) continue;
        for (int k = 0; k < table->measures; k++) to[k] = (float)table->measure[k][i];
        to += measures;
    }
    return CZ_OK;
}

/* The cells that their columns let stay: names, codes and measures; keep (cells of all files) is
 * allocated. Local, the same on all ranks. */
static cz_status choose_cells(cz_cells *cells, uint8_t **keep, h5ad_files *files,
                              const cz_config *config, int ranks)
{
    cells->n = files->table.n;
    cells->cell_name = files->table.cell_name;
    files->table.cell_name = NULL;
    h5ad_files_name(cells->facts.source, sizeof cells->facts.source, config);
    say_names(&cells->facts, files);
    *keep = cz_alloc((size_t)files->table.n, 1, "the cells to keep");
    if (!*keep) return CZ_ERR_MEMORY;
    CZ_TRY(rules_choose(cells, *keep, &files->table, config));
    CZ_TRY(cells_keep(cells, *keep, ranks));
    CZ_TRY(rules_check_heads(cells)); /* sooner said than after reading */
    CZ_TRY(take_measures(cells, files, *keep));
    cells->facts.genes = files->genes.genes;
    cells->facts.entries =
        (int64_t)((double)h5ad_files_entries(files) * cells->n / cells->facts.read);
    cells->begin = cz_cells_begin(cells->n, ranks);
    cells->row_hash = cz_alloc((size_t)cells->n, sizeof *cells->row_hash, "the hashes of cells");
    return cells->begin && cells->row_hash ? CZ_OK : CZ_ERR_MEMORY;
}

/* What was found out about each rank's rows reaches all. Collective. */
static cz_status gather(cz_cells *cells, uint8_t *empty, const h5ad_shard *mine,
                        const cz_comm *comm)
{
    int *count = cz_alloc((size_t)comm->size, sizeof *count, "the ranks' rows");
    cz_status status = cz_comm_agree(comm, count ? CZ_OK : CZ_ERR_MEMORY);
    for (int r = 0; r < comm->size && !status; r++)
        count[r] = cells->begin[r + 1] - cells->begin[r];
    if (!status) status = cz_comm_gather_all(comm, empty, mine->empty, count, 1);
    if (!status)
        status = cz_comm_gather_all(comm, cells->row_hash, mine->hash, count, sizeof(uint64_t));
    if (!status && cells->measures)
        status = cz_comm_gather_all(comm, cells->measure, mine->measure, count,
                                    (size_t)cells->measures * sizeof(float));
    free(count);
    return status;
}

/* Reads the rank's rows; `empty` (cells->n) is allocated. Collective, agreed. */
static cz_status read_cells(cz_cells *cells, h5ad_shard *mine, uint8_t **empty, h5ad_files *files,
                            const uint8_t *keep, const cz_config *config, const cz_comm *comm,
                            cz_pool *pool)
{
    int first = cells->begin[comm->rank], end = cells->begin[comm->rank + 1];
    size_t measures = (size_t)cells->measures;
    *empty = cz_alloc((size_t)cells->n, 1, "the cells without features");
    cz_status status = h5ad_shard_open(mine, files, keep, first, end, cells->measures);
    if (!*empty) status = CZ_ERR_MEMORY;
    cell_table_free(&files->table); /* all of it is in other forms by now */
    /* Those that obs has are there already. */
    if (!status)
        memcpy(mine->measure, cells->measure + (size_t)first * measures,
               (size_t)mine->rows * measures * sizeof *mine->measure);
    if (!files->counts) {
        cells->width = padded(files->width, config);
        cells->x = cz_alloc((size_t)(end - first) * (size_t)cells->width, sizeof *cells->x,
                            "the features");
        if (!cells->x) status = CZ_ERR_MEMORY;
    }
    CZ_TRY(cz_comm_agree(comm, status));
    CZ_TRY(h5ad_shard_read(mine, cells, files, comm, pool));
    return gather(cells, *empty, mine, comm);
}

/* The cells that their features let stay, and their split. Local, the same on all ranks. */
static cz_status review_cells(cz_cells *cells, h5ad_shard *mine, const uint8_t *empty,
                              const cz_config *config, const cz_comm *comm)
{
    uint8_t *keep = cz_alloc((size_t)cells->n, 1, "the cells to keep");
    cz_status status = keep ? rules_review(cells, keep, empty, config) : CZ_ERR_MEMORY;
    if (!status) {
        h5ad_shard_keep(mine, cells, keep + cells->begin[comm->rank]);
        status = cells_keep(cells, keep, comm->size);
    }
    free(keep);
    return status ? status : rules_split(cells, config);
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

static cz_status features_from_counts(cz_cells *cells, h5ad_shard *mine, const h5ad_files *files,
                                      const cz_config *config, const cz_comm *comm, cz_pool *pool)
{
    CZ_PHASE("features");
    cz_counts_model model = {0};
    int first = cells->begin[comm->rank];
    uint8_t *train = cz_alloc((size_t)mine->rows, 1, "the training cells");
    cz_status status = cz_comm_agree(comm, train ? CZ_OK : CZ_ERR_MEMORY);
    for (int i = 0; i < mine->rows && !status; i++) train[i] = cells->split[first + i] == CZ_TRAIN;
    /* The seed of the split: all seeds of a run share one set of features. */
    if (!status)
        status = cz_counts_fit(&model, &mine->counts.csr, train, config->data.target_sum,
                               config->data.variable_genes, config->data.components,
                               config->split.seed, comm, pool);
    if (status) goto done;
    if (model.components < config->data.components)
        cz_note("%d components instead of %d: the training cells and genes allow no more",
                model.components, config->data.components);
    cells->width = padded(model.components, config);
    cells->x = cz_alloc((size_t)mine->rows * (size_t)cells->width, sizeof(float), "the features");
    status = cells->x ? cz_counts_project(cells->x, cells->width, &model, &mine->counts.csr, pool)
                      : CZ_ERR_MEMORY;
    status = cz_comm_agree(comm, status);
    snprintf(cells->facts.features, sizeof cells->facts.features,
             "counts of %s, %d of %d genes, %d components (%.1f %%)", files->plan[0].matrix.place,
             model.selected, model.genes, model.components, 100 * model.explained);
    say_padding(cells, model.components);
done:
    cz_counts_model_free(&model);
    free(train);
    return status;
}

static void features_from_embedding(cz_cells *cells, const h5ad_files *files)
{
    snprintf(cells->facts.features, sizeof cells->facts.features, "%s, %d wide",
             files->plan[0].matrix.place, files->width);
    say_padding(cells, files->width);
}

cz_status cz_h5ad_cells(cz_cells *cells, const cz_config *config, const cz_comm *comm,
                        cz_pool *pool)
{
    uint8_t *keep = NULL, *empty = NULL;
    h5ad_shard mine = {0};
    *cells = (cz_cells){0};
    h5ad_files *files = cz_alloc(1, sizeof *files, "the files' plans");
    cz_status status = cz_comm_agree(comm, files ? CZ_OK : CZ_ERR_MEMORY);
    if (!status) status = h5ad_files_open(files, config, comm);
    if (!status)
        status = cz_comm_agree(comm, choose_cells(cells, &keep, files, config, comm->size));
    if (!status) status = read_cells(cells, &mine, &empty, files, keep, config, comm, pool);
    if (!status) status = cz_comm_agree(comm, review_cells(cells, &mine, empty, config, comm));
    if (!status && files->counts)
        status = features_from_counts(cells, &mine, files, config, comm, pool);
    else if (!status) features_from_embedding(cells, files);
    if (files) h5ad_files_close(files);
    free(files);
    free(keep);
    free(empty);
    h5ad_shard_free(&mine);
    if (status) cz_cells_free(cells);
    return status;
}

/* What counts will be made into at most: components need genes and training cells. */
static int components_of(const cz_cells *cells, int genes, const cz_config *config)
{
    int most = 0, wanted = config->data.components;
    for (int i = 0; i < cells->n; i++) most += cells->split[i] == CZ_TRAIN;
    most--;
    if (config->data.variable_genes < genes) genes = config->data.variable_genes;
    if (genes < most) most = genes;
    return wanted < most ? wanted : most;
}

/* The rules on features that are not read: every cell has some, and they all differ. */
static cz_status shape_cells(cz_cells *cells, const cz_config *config)
{
    size_t n = (size_t)cells->n;
    uint8_t *keep = cz_alloc(n, 1, "the cells to keep"), *empty = cz_alloc(n, 1, "the cells");
    cz_status status = keep && empty ? CZ_OK : CZ_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) cells->row_hash[i] = i;
    if (!status) status = rules_review(cells, keep, empty, config);
    if (!status) status = cells_keep(cells, keep, 1);
    if (!status) status = rules_split(cells, config);
    free(keep);
    free(empty);
    return status;
}

cz_status cz_h5ad_shape(cz_cells *cells, const cz_config *config)
{
    uint8_t *keep = NULL;
    *cells = (cz_cells){0};
    h5ad_files *files = cz_alloc(1, sizeof *files, "the files' plans");
    cz_status status = files ? h5ad_files_open(files, config, NULL) : CZ_ERR_MEMORY;
    if (!status) status = choose_cells(cells, &keep, files, config, 1);
    if (!status) status = shape_cells(cells, config);
    if (!status) {
        int components = files->counts ? components_of(cells, files->width, config) : files->width;
        cells->width = padded(components, config);
        snprintf(cells->facts.features, sizeof cells->facts.features, "%s, %d wide",
                 files->plan[0].matrix.place, files->width);
    }
    if (files) h5ad_files_close(files);
    free(files);
    free(keep);
    if (status) cz_cells_free(cells);
    return status;
}
