/* What the files of counts share. In all of them "logs" are log1p of normalised counts, worked
 * out where they are needed from narrowed counts: they would take twice the memory. */
#ifndef CZ_COUNTS_PRIVATE_H
#define CZ_COUNTS_PRIVATE_H

#include "counts.h"

/* factor[i] = target_sum / the row's counts, 0 for a row without. Local. */
cz_status counts_normalise(cz_csr *counts, double target_sum);

/* Keeps `selected` of the genes (`gene`, ascending) of normalised counts. Local. */
cz_status counts_narrow(cz_csr *counts, const int32_t *gene, int selected);

/* Mean and variance (N - 1) of each gene's normalised counts over the training rows of all
 * ranks: (genes) out, the same bits for any number of ranks. `cells`: training rows of all
 * ranks. Collective. */
cz_status gene_moments(double *mean, double *variance, const cz_csr *counts, const uint8_t *train,
                       int64_t cells, const cz_comm *comm, cz_pool *pool);

/* mean (genes) of the logs over the training rows of all ranks; *total: the sum of squares of
 * the logs less their means; largest: no log is larger. Collective. */
cz_status log_means(double *mean, double *total, const cz_csr *counts, const uint8_t *train,
                    int64_t cells, double largest, const cz_comm *comm, cz_pool *pool);

/* The `want` most variable of `genes` genes, ascending, by Seurat's normalised dispersion of
 * mean and variance (genes). selected (want) out. Local. */
cz_status variable_genes(int32_t *selected, int want, const double *mean, const double *variance,
                         int genes);

/* The logs of rows begin .. end-1, one after another: value[0] is that of entry
 * counts->begin[begin]. Local. */
void log_values(double *value, const cz_csr *counts, int begin, int end);

/* Rows whose logs are worked on together: the end, at most `end`, of those from `begin` on that
 * have no more than `block` entries (one row at least, so room for block + genes). */
enum { LOG_BLOCK = 32768 };
int log_block_end(const cz_csr *counts, int begin, int end, int block);

/* What the two ways to the components are given. */
typedef struct svd_input {
    const cz_csr *counts;
    const uint8_t *train;
    const double *mean; /* (genes) */
    double total;       /* sum of squares of the centred training rows */
    double largest;     /* no log is larger */
    int64_t cells;      /* training rows of all ranks */
    int64_t seed;
    const cz_comm *comm;
    cz_pool *pool;
} svd_input;

/* Leading right singular vectors of the logs of the training rows less their means: fills
 * loading (K, genes) and singular (K) of `model`, both allocated, whose components and selected
 * say K and genes. By the Gram matrix of the genes: exact, genes^2 memory. Collective. */
enum { GRAM_GENES = 4096 };
cz_status svd_by_gram(cz_counts_model *model, const svd_input *input);
/* The same by subspace iteration over the rows, for any number of genes. Collective. */
cz_status svd_by_iteration(cz_counts_model *model, const svd_input *input);

/* The upper triangle of a matrix of genes, row after row; and row i of it, of which only columns i
 * and on are there. */
static inline size_t packed_size(int genes) { return (size_t)genes * ((size_t)genes + 1) / 2; }
static inline double *packed_row(double *sum, int genes, int i)
{
    return sum + (size_t)i * (size_t)genes - packed_size(i);
}

/* sum (packed_size) += A' A of the training rows of this rank, A their logs, in exact sums (see
 * sum_grid()): by entries or by columns the same bits. The second is quicker where more than some
 * 10 % of the values are not 0, which products_by_columns() tells. Local, the pool helps.
 * CZ_ERR_MEMORY. */
cz_status sum_products(double *sum, const svd_input *input, bool columns);
bool products_by_columns(const cz_csr *counts);
/* What that takes beside the sums. */
size_t products_bytes(int genes, int threads);

/* What both end with, on rank 0: turns eigenvectors in model->loading, with their eigenvalues
 * lambda (K), ascending, into descending singular vectors of fixed sign. Local. */
void take_components(cz_counts_model *model, const double *lambda);
/* Rank 0's status and components to all. Collective. */
cz_status share_components(cz_counts_model *model, cz_status status, const cz_comm *comm);

/* x (rows, width): the K first columns become (logs - mean) . w[k], w (K, genes). Local. */
cz_status log_times(float *x, int width, const cz_csr *counts, const double *mean, const double *w,
                    int K, cz_pool *pool);

/* z (K, genes) = A' A w over the training rows of this rank, A the logs less their means; terms
 * are rounded to `grid`. Local. */
cz_status log_square_times(double *z, const svd_input *input, const double *w, int K, double grid);

/* Sums (size) over all ranks, on all. Collective. */
cz_status sum_over_ranks(double *sum, size_t size, const cz_comm *comm);

/* Sums whose bits do not depend on their order (Demmel & Nguyen 2013): every term is rounded
 * to a multiple of one unit, so small that `bound` holds 2^51 of them; then partial sums no
 * larger than `bound` are exact. Round x as (x + grid) - grid. */
double sum_grid(double bound);

#endif
