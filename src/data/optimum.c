/* What accuracy can be had: of the exact posterior, and of a fitted linear discriminant. */
#include "discriminant.h"
#include "synthetic.h"

#include "czhpc/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* wanted (rows of this rank): the cells of `part` whose target is known. The caller frees. */
static uint8_t *choose(const cz_cells *cells, cz_split part, int first, int rows)
{
    uint8_t *wanted = cz_alloc((size_t)rows, 1, "the cells to classify");
    for (int i = 0; i < rows && wanted; i++)
        wanted[i] = cells->split[first + i] == part && cells->target.code[first + i] >= 0;
    return wanted;
}

static cz_status add_counts(int64_t *counts, int n, const cz_comm *comm)
{
    if (MPI_Allreduce(MPI_IN_PLACE, counts, n, MPI_INT64_T, MPI_SUM, comm->mpi))
        return cz_fail(CZ_ERR_MPI, "MPI_Allreduce of the optimum's counts failed");
    return CZ_OK;
}

/* The generator's own posterior; it is about donor_id, given cell_type. */
static cz_status score_posterior(cz_optimum *optimum, const cz_cells *cells,
                                 const cz_config *config, const uint8_t *wanted,
                                 const cz_comm *comm, cz_pool *pool)
{
    int first = cells->begin[comm->rank], rows = cells->begin[comm->rank + 1] - first;
    cz_generator g;
    cz_posterior *p = cz_alloc(1, sizeof *p, "the posterior of synthetic cells");
    cz_posterior_score score = {0};
    cz_status status = cz_generator_open(&g, config);
    if (!status) status = p ? cz_posterior_open(p, &g) : CZ_ERR_MEMORY;
    if (!status) status = cz_posterior_classify(&score, p, &g, cells->x, wanted, first, rows, pool);
    if (p) cz_posterior_close(p);
    free(p);
    cz_generator_close(&g);
    CZ_TRY(cz_comm_agree(comm, status));
    int64_t counts[] = {score.cells, score.with_label, score.without_label};
    CZ_TRY(add_counts(counts, 3, comm));
    if (counts[0] > 0) {
        optimum->with_label = (double)counts[1] / (double)counts[0];
        optimum->without_label = (double)counts[2] / (double)counts[0];
    }
    return CZ_OK;
}

typedef struct score_task {
    const cz_discriminant *d;
    const cz_cells *cells;
    const uint8_t *wanted;
    int first, rows, threads;
    int64_t *right; /* (threads) */
} score_task;

static cz_status classify_rows(void *context, int thread)
{
    const score_task *task = context;
    const cz_cells *cells = task->cells;
    int begin = (int)((int64_t)task->rows * thread / task->threads);
    int end = (int)((int64_t)task->rows * (thread + 1) / task->threads);
    for (int i = begin; i < end; i++) {
        if (!task->wanted[i]) continue;
        int cell = task->first + i;
        int class = cz_discriminant_class(task->d, cells->x + (size_t)i * (size_t)cells->width,
                                          cells->label.code[cell]);
        task->right[thread] += class == cells->target.code[cell];
    }
    return CZ_OK;
}

static cz_status score_discriminant(cz_optimum *optimum, const cz_cells *cells,
                                    const uint8_t *wanted, const cz_comm *comm, cz_pool *pool)
{
    int first = cells->begin[comm->rank], rows = cells->begin[comm->rank + 1] - first;
    int threads = cz_pool_threads(pool);
    int64_t counts[2] = {0};
    cz_discriminant d;
    cz_status status = cz_discriminant_fit(&d, cells, comm, pool);
    int64_t *right = cz_alloc((size_t)threads, sizeof *right, "scores");
    if (!status) status = right ? CZ_OK : CZ_ERR_MEMORY;
    if (!status) {
        score_task task = {&d, cells, wanted, first, rows, threads, right};
        status = cz_pool_run(pool, classify_rows, &task);
        for (int t = 0; t < threads; t++) counts[1] += right[t];
        for (int i = 0; i < rows; i++) counts[0] += wanted[i];
    }
    int fitted = d.classes > 0;
    free(right);
    cz_discriminant_free(&d);
    CZ_TRY(cz_comm_agree(comm, status));
    CZ_TRY(add_counts(counts, 2, comm));
    if (counts[0] > 0 && fitted) optimum->discriminant = (double)counts[1] / (double)counts[0];
    return CZ_OK;
}

cz_status cz_cells_optimum(cz_optimum *optimum, const cz_cells *cells, const cz_config *config,
                           cz_split part, const cz_comm *comm, cz_pool *pool)
{
    CZ_PHASE("best possible scores");
    *optimum = (cz_optimum){NAN, NAN, NAN};
    uint8_t *wanted = choose(cells, part, cells->begin[comm->rank],
                             cells->begin[comm->rank + 1] - cells->begin[comm->rank]);
    cz_status status = cz_comm_agree(comm, wanted ? CZ_OK : CZ_ERR_MEMORY);
    if (!status && config->data.source == CZ_SOURCE_SYNTHETIC &&
        !strcmp(cells->target.name, "donor_id") && !strcmp(cells->label.name, "cell_type"))
        status = score_posterior(optimum, cells, config, wanted, comm, pool);
    if (!status) status = score_discriminant(optimum, cells, wanted, comm, pool);
    free(wanted);
    return status;
}
