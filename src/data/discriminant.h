/* A linear discriminant of the target: what a straight line can do with a cell's features and
 * its label. Fisher 1936; Hastie, Tibshirani & Friedman 2009, section 4.3. Private to src/data. */
#ifndef CZ_DISCRIMINANT_H
#define CZ_DISCRIMINANT_H

#include "czhpc/data.h"

typedef struct cz_discriminant {
    int width, labels, classes; /* columns P = width + labels: features, then one per label */
    double *weight;             /* (classes, P) */
    double *bias;               /* (classes), -inf for a class without training cells */
} cz_discriminant;

/* Fits on the training cells of all ranks: class means, one covariance within classes, priors
 * as frequent as the classes, all of maximum likelihood (as scikit-learn's). Columns that are
 * constant within classes, or that others explain (the labels sum to one), carry no weight.
 * Sums are taken rank by rank, so another number of ranks gives other rounding. Collective, the
 * pool of every rank helps; the same on every rank. Without a training cell `classes` is 0.
 * CZ_ERR_INPUT: a feature is not finite. Free with cz_discriminant_free(), also after an error. */
cz_status cz_discriminant_fit(cz_discriminant *discriminant, const cz_cells *cells,
                              const cz_comm *comm, cz_pool *pool);
void cz_discriminant_free(cz_discriminant *discriminant);

/* The class of one cell: x (width) its features, `label` its class of label, -1 unknown. Local. */
int cz_discriminant_class(const cz_discriminant *discriminant, const float *x, int label);

#endif
