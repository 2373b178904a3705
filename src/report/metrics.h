/* Figures of one head, from its predictions and probabilities. Private to src/report; Local. */
#ifndef CZ_METRICS_H
#define CZ_METRICS_H

#include "czhpc/results.h"

/* The cells of an evaluation whose class is known, as one head sees them. */
typedef struct known_cells {
    int n, classes;
    int32_t *at;           /* (n) place in the evaluation */
    int32_t *truth, *best; /* (n) */
    const float *log_prob; /* (cells of the evaluation, classes), the evaluation's own */
} known_cells;

/* Free with known_cells_free(), also after an error. CZ_ERR_MEMORY. */
cz_status known_cells_make(known_cells *known, const cz_evaluation *evaluation, int head,
                           const cz_cells *cells);
void known_cells_free(known_cells *known);

static inline const float *known_row(const known_cells *known, int i)
{
    return known->log_prob + (size_t)known->at[i] * (size_t)known->classes;
}

/* right of n, with the score interval at 95 %. Wilson 1927. */
cz_share share_of(int right, int n);

/* Accuracy and its means over classes, confusion, per class, AUROC, top 3. Allocates
 * of_class and confusion. CZ_ERR_MEMORY. */
cz_status score_classes(cz_head_result *result, const known_cells *known);

/* Loss, Brier score, calibration error and bins; then the same with the logits divided by the
 * temperature that fits `validation`. */
cz_status score_probabilities(cz_head_result *result, const known_cells *known,
                              const known_cells *validation);

/* The temperature between 1/100 and 100 at which the mean negative log-likelihood is least; NAN
 * without a cell. Guo et al. 2017. *failed where there is no memory. */
cz_status fit_temperature(double *temperature, const known_cells *known);

/* What the head is to be held against: chance, majority, from_label, from_quality, floor. */
cz_status score_baselines(cz_head_result *result, const cz_evaluation *test, int head,
                          const cz_cells *cells);

#endif
