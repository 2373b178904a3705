/* Components by the genes' Gram matrix C = A'A of the training rows, A their logs: a row of r
 * entries adds r (r + 1) / 2 products, far fewer than a walk with many vectors. Rank 0 subtracts
 * the means and takes LAPACK's eigenvectors, and all take its result: LAPACK's bits differ
 * between kinds of processors. */
#include "counts_private.h"

#include "czhpc/profile.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The entries of a block of one thread's training rows, listed by gene. */
typedef struct listing {
    int next, last; /* rows of this thread still to come */
    int begin, end; /* those of the block */
    double *value;  /* the block's logs */
    int32_t *start; /* (genes + 2) gene g is listed in start[g] .. start[g + 1] - 1 */
    int32_t *from;  /* its entries' places in the block */
    int32_t *to;    /* and where their rows end */
} listing;

typedef struct gram {
    const svd_input *input;
    double *sum; /* C's upper triangle, row after row */
    double grid;
    int threads;
    listing *list; /* (threads) */
} gram;

static size_t packed_size(int genes) { return (size_t)genes * ((size_t)genes + 1) / 2; }

/* Row i of C, of which only columns i and on are there. */
static double *packed_row(double *sum, int genes, int i)
{
    return sum + (size_t)i * (size_t)genes - packed_size(i);
}

/* Lists the thread's next block. */
static void list_block(listing *list, const svd_input *input)
{
    const cz_csr *counts = input->counts;
    list->begin = list->end = list->next;
    if (list->next == list->last) return;
    list->end = list->next = log_block_end(counts, list->begin, list->last);
    log_values(list->value, counts, list->begin, list->end);
    int64_t first = counts->begin[list->begin];
    int32_t *start = list->start;
    memset(start, 0, ((size_t)counts->genes + 2) * sizeof *start);
    for (int i = list->begin; i < list->end; i++)
        for (int64_t k = counts->begin[i]; input->train[i] && k < counts->begin[i + 1]; k++)
            start[counts->gene[k] + 2]++;
    for (int g = 0; g < counts->genes; g++) start[g + 2] += start[g + 1];
    /* start[g + 1] is now where gene g starts, and filling moves it to where it ends. */
    for (int i = list->begin; i < list->end; i++) {
        for (int64_t k = counts->begin[i]; input->train[i] && k < counts->begin[i + 1]; k++) {
            int32_t at = start[counts->gene[k] + 1]++;
            list->from[at] = (int32_t)(k - first);
            list->to[at] = (int32_t)(counts->begin[i + 1] - first);
        }
    }
}

/* sum[j] += v_i v_j for all listed rows that have gene i, and their genes j from i on. */
static void add_products(double *sum, const listing *list, const int32_t *gene, int i, double grid)
{
    const double *value = list->value;
    for (int32_t e = list->start[i]; e < list->start[i + 1]; e++) {
        double v = value[list->from[e]];
        for (int32_t k = list->from[e]; k < list->to[e]; k++)
            sum[gene[k]] += (v * value[k] + grid) - grid; /* see sum_grid() */
    }
}

/* Each thread lists rows of its own, then adds up rows of C of its own from all lists: so C is
 * there once, and a row of it stays in the cache. */
static cz_status multiply(void *context, int thread)
{
    gram *job = context;
    const cz_csr *counts = job->input->counts;
    for (;;) {
        bool empty = true;
        list_block(&job->list[thread], job->input);
        cz_pool_barrier(job->input->pool);
        for (int t = 0; t < job->threads; t++) empty &= job->list[t].begin == job->list[t].end;
        if (empty) return CZ_OK;
        for (int i = thread; i < counts->genes; i += job->threads) {
            double *row = packed_row(job->sum, counts->genes, i);
            for (int t = 0; t < job->threads; t++) {
                const listing *list = &job->list[t];
                if (list->begin < list->end)
                    add_products(row, list, counts->gene + counts->begin[list->begin], i,
                                 job->grid);
            }
        }
        cz_pool_barrier(job->input->pool);
    }
}

static cz_status open_gram(gram *job, const svd_input *input)
{
    size_t genes = (size_t)input->counts->genes, room = LOG_BLOCK + genes;
    int64_t rows = input->counts->rows;
    job->input = input;
    job->grid = sum_grid((double)input->cells * input->largest * input->largest);
    job->threads = cz_pool_threads(input->pool);
    job->sum = cz_alloc(packed_size((int)genes), sizeof *job->sum, "the products of genes");
    job->list = cz_alloc((size_t)job->threads, sizeof *job->list, "the blocks of cells");
    if (!job->sum || !job->list) return CZ_ERR_MEMORY;
    for (int t = 0; t < job->threads; t++) {
        listing *list = &job->list[t];
        list->next = (int)(rows * t / job->threads);
        list->last = (int)(rows * (t + 1) / job->threads);
        list->value = cz_alloc(room, sizeof *list->value, "the logs");
        list->start = cz_alloc(genes + 2, sizeof *list->start, "the lists of genes");
        list->from = cz_alloc(room, sizeof *list->from, "the lists of genes");
        list->to = cz_alloc(room, sizeof *list->to, "the lists of genes");
        if (!list->value || !list->start || !list->from || !list->to) return CZ_ERR_MEMORY;
    }
    return CZ_OK;
}

static void close_gram(gram *job)
{
    for (int t = 0; job->list && t < job->threads; t++) {
        free(job->list[t].value);
        free(job->list[t].start);
        free(job->list[t].from);
        free(job->list[t].to);
    }
    free(job->list);
    free(job->sum);
}

/* Eigenvectors of C - cells mean mean', largest first. */
static cz_status eigenvectors(cz_counts_model *model, double *sum, const svd_input *input)
{
    int genes = model->selected, K = model->components, found = 0;
    size_t side = (size_t)genes;
    double *full = cz_alloc(side * side, sizeof *full, "the products of genes");
    double *lambda = cz_alloc(side, sizeof *lambda, "the components");
    lapack_int *support = cz_alloc(2 * side, sizeof *support, "the components");
    cz_status status = full && lambda && support ? CZ_OK : CZ_ERR_MEMORY;
    if (status) goto done;

    for (int i = 0; i < genes; i++) {
        const double *row = packed_row(sum, genes, i);
        for (int j = i; j < genes; j++)
            full[(size_t)i * side + (size_t)j] =
                row[j] - (double)input->cells * model->mean[i] * model->mean[j];
    }
    if (LAPACKE_dsyevr(LAPACK_COL_MAJOR, 'V', 'I', 'L', genes, full, genes, 0, 0, genes - K + 1,
                       genes, 0, &found, lambda, model->loading, genes, support) ||
        found != K) {
        status = cz_fail(CZ_ERR_BUG, "LAPACK found %d of %d eigenvectors", found, K);
        goto done;
    }
    take_components(model, lambda);
done:
    free(full);
    free(lambda);
    free(support);
    return status;
}

cz_status svd_by_gram(cz_counts_model *model, const svd_input *input)
{
    CZ_PHASE("SVD");
    const cz_comm *comm = input->comm;
    gram job = {0};
    cz_status status = cz_comm_agree(comm, open_gram(&job, input));
    if (status) goto done;
    status = cz_comm_agree(comm, cz_pool_run(input->pool, multiply, &job));
    if (!status) status = sum_over_ranks(job.sum, packed_size(model->selected), comm);
    if (status) goto done;
    if (comm->rank == 0) status = eigenvectors(model, job.sum, input);
    status = share_components(model, status, comm);
done:
    close_gram(&job);
    return status;
}
