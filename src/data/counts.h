/* Counts to features: normalise, log1p, variable genes, centre, randomised SVD.
 * Everything fitted is fitted on training cells. Private to src/data.
 *
 * Sums over cells are taken over terms rounded to one common unit, so that every partial sum
 * is exact: features have the same bits for any number of ranks and threads. */
#ifndef CZ_COUNTS_H
#define CZ_COUNTS_H

#include "czhpc/data.h"

/* Rows of this rank, compressed: entries begin[i] .. begin[i+1]-1 belong to row i. Counts can be
 * narrowed to the genes of a model: then the other genes' entries and their memory are gone,
 * genes are numbered by their place in the model, and factor normalises what is left. */
typedef struct cz_csr {
    int rows, genes;
    int64_t *begin; /* (rows + 1), begin[0] = 0 */
    int32_t *gene;  /* (begin[rows]) ascending within a row, each once */
    float *count;   /* (begin[rows]) */
    double *factor; /* (rows) target_sum / the row's counts of all genes; NULL: not narrowed */
} cz_csr;

void cz_csr_free(cz_csr *counts);

/* What is fitted: all that turns the counts of a cell into features. */
typedef struct cz_counts_model {
    int genes;         /* of the file */
    int selected;      /* variable genes */
    int32_t *gene;     /* (selected) ascending indices into the file's genes */
    char **gene_name;  /* (selected), or NULL where names are not known */
    double target_sum; /* counts of a cell after normalisation */
    double *mean;      /* (selected) of log1p over training cells */
    int components;    /* K */
    double *loading;   /* (K, selected), orthonormal; the largest of each is positive */
    double *singular;  /* (K) of the centred training cells, descending */
    double scale;      /* features are divided by it: their root mean square in training. One
                        * for all: dividing each by its own cost 3 points of accuracy (real
                        * cells, 128 components: validation 31.8 % instead of 34.6 %) */
    double explained;  /* part of the training cells' variance */
} cz_counts_model;

void cz_counts_model_free(cz_counts_model *model);

/* Fits on the rows whose train[i] is not 0: the most variable genes ("seurat" dispersions:
 * Satija et al. 2015, as scanpy.pp.highly_variable_genes computes them), their means, and the
 * leading `components` right singular vectors: of up to 4,096 genes from all products of two
 * genes, to rounding; of more by Halko, Martinsson & Tropp 2011, algorithms 4.4 and 5.3, as
 * subspace iteration on the genes' side. Fewer components than asked are fitted where cells or
 * genes are too few. Normalisation divides by the sum over all genes of the file. `counts`, not
 * narrowed before, are narrowed to the model's genes. gene_name is left NULL. Collective over
 * `comm`; the same model on every rank. CZ_ERR_INPUT: fewer than 2 training cells, or nothing
 * varies. */
cz_status cz_counts_fit(cz_counts_model *model, cz_csr *counts, const uint8_t *train,
                        double target_sum, int variable_genes, int components, int64_t seed,
                        const cz_comm *comm, cz_pool *pool);

/* x (rows, width): x[i, k] = sum_g (log1p(normalised[i, g]) - mean[g]) loading[k, g] / scale;
 * columns from model->components on are 0. `counts` of all genes are narrowed. Local. */
cz_status cz_counts_project(float *x, int width, const cz_counts_model *model, cz_csr *counts,
                            cz_pool *pool);

/* Bytes that fitting and projecting take beside the counts and x, at their peak: `genes` of the
 * file, `selected` of them, on a rank of `threads`. Local. */
size_t cz_counts_bytes(int rows, int genes, int selected, int components, int threads);

#endif
