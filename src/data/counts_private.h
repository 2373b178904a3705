/* What the files of counts share. */
#ifndef CZ_COUNTS_PRIVATE_H
#define CZ_COUNTS_PRIVATE_H

#include "counts.h"

/* Rows of some genes, as log1p of normalised counts. */
typedef struct log_matrix {
    int rows, genes;
    int64_t *begin; /* (rows + 1) */
    int32_t *gene;  /* 0 .. genes-1 */
    double *value;
} log_matrix;

void log_matrix_free(log_matrix *logs);

/* Normalises to `target_sum`, keeps `genes` of the file's genes (`gene`, ascending), takes
 * log1p. Local; threads share the rows. */
cz_status log_matrix_make(log_matrix *logs, const cz_csr *counts, const int32_t *gene, int genes,
                          double target_sum, cz_pool *pool);

/* target_sum / the row's counts, 0 for a row without counts. (rows), the caller frees. */
double *row_factors(const cz_csr *counts, double target_sum);

/* Entries of some rows: count * factor of the row where counts are given, else `log`. */
typedef struct gene_values {
    int rows, genes;
    const int64_t *begin;
    const int32_t *gene;
    const float *count;
    const double *factor; /* (rows), with `count` */
    const double *log;    /* where `count` is NULL */
    const uint8_t *train; /* (rows) */
} gene_values;

/* Mean and variance (N - 1) of each gene over the training rows of all ranks: (genes) out, the
 * same bits for any number of ranks. `cells`: training rows of all ranks. Collective. */
cz_status gene_moments(double *mean, double *variance, const gene_values *values, int64_t cells,
                       const cz_comm *comm);

/* The `want` most variable of `genes` genes, ascending, by Seurat's normalised dispersion of
 * mean and variance (genes). selected (want) out. Local. */
cz_status variable_genes(int32_t *selected, int want, const double *mean, const double *variance,
                         int genes);

/* Leading right singular vectors of the training rows less `mean`: fills components, loading,
 * singular of `model`, whose components say how many are wanted. total: the sum of squares of
 * the centred training rows; cells: how many of them all ranks hold. Collective. */
cz_status counts_svd(cz_counts_model *model, const log_matrix *logs, const uint8_t *train,
                     double total, int64_t cells, int64_t seed, const cz_comm *comm, cz_pool *pool);

/* x (rows, width): the K first columns become (row - mean) . w[k], w (K, genes). Local. */
cz_status log_matrix_times(float *x, int width, const log_matrix *logs, const double *mean,
                           const double *w, int K, cz_pool *pool);

/* Sums whose bits do not depend on their order (Demmel & Nguyen 2013): every term is rounded
 * to a multiple of one unit, so small that `bound` holds 2^51 of them; then partial sums no
 * larger than `bound` are exact. Round x as (x + grid) - grid. */
double sum_grid(double bound);

#endif
