/* Scores of the heads on the test cells, and what they are held against. Rank 0; Local. */
#ifndef CZ_RESULTS_H
#define CZ_RESULTS_H

#include "czhpc/train.h"

/* A share of cells with its 95 % interval. Wilson 1927. NAN where n is 0. */
typedef struct cz_share {
    int n; /* cells asked */
    double value, low, high;
} cz_share;

/* One class of a head on the test cells, one against the rest. NAN where undefined. */
typedef struct cz_class_result {
    cz_share recall; /* of the n cells of this class */
    int predicted;   /* cells said to be of this class */
    double precision, f1;
    double auroc; /* by the probability of this class, ties counted half. Hanley & McNeil 1982 */
} cz_class_result;

/* Cells whose predicted class has a probability in (i, i + 1] / CZ_BINS. */
enum { CZ_BINS = 15 };
typedef struct cz_bin {
    int n;
    double confidence, accuracy; /* means; NAN where n is 0 */
} cz_bin;

/* One head on the test cells of known class. "Scaled" is after division of the logits by the
 * temperature between 1/100 and 100 that fits the validation cells best. Guo et al. 2017. */
typedef struct cz_head_result {
    const char *name;
    bool adversary;
    int classes, n;
    cz_share accuracy;
    double balanced_accuracy; /* mean recall of the classes present */
    double macro_f1;          /* mean over the classes present or predicted */
    double macro_auroc;       /* mean over the classes with cells inside and outside */
    double top3;              /* true class among the three likeliest; NAN below 4 classes */
    double loss;              /* mean negative log-likelihood, nats */
    double brier;             /* mean squared distance from the one-hot truth, 0 to 2 */
    double calibration_error; /* sum over bins of n_b/n |accuracy - confidence| */
    double temperature, scaled_loss, scaled_brier, scaled_calibration_error;
    double chance;         /* 1 / classes */
    cz_share majority;     /* of always naming the commonest training class */
    cz_share from_label;   /* of the commonest training class of each label; target only */
    cz_share from_quality; /* of a linear discriminant on depth and quality; target only */
    cz_share floor;        /* adversary: of the commonest training class of the predicted target */
    cz_class_result *of_class; /* (classes) */
    int *confusion;            /* (classes, classes): truth by prediction */
    cz_bin bin[CZ_BINS], scaled_bin[CZ_BINS];
} cz_head_result;

/* All heads, and the target's accuracy within each class of the label. */
typedef struct cz_results {
    int heads;
    cz_head_result head[CZ_MAX_HEADS];
    cz_share *of_label; /* (label classes) */
} cz_results;

/* From evaluations with probabilities; names stay those of `cells`. Free with cz_results_free().
 * CZ_ERR_MEMORY. */
cz_status cz_results_make(cz_results *results, const cz_evaluation *test,
                          const cz_evaluation *validation, const cz_cells *cells);
void cz_results_free(cz_results *results);

#endif
