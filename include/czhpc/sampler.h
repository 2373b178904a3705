/* What a search tries next, and which trials it gives up. All of it is Local. */
#ifndef CZ_SAMPLER_H
#define CZ_SAMPLER_H

#include "czhpc/study.h"

typedef enum cz_sampler_kind { CZ_SAMPLE_TPE, CZ_SAMPLE_RANDOM, CZ_SAMPLE_GRID } cz_sampler_kind;

/* Tree-structured Parzen estimator, as Optuna 5.0 has it: Bergstra et al. 2011; jointly over all
 * dimensions as Falkner et al. 2018. */
typedef struct cz_sampling {
    cz_sampler_kind kind;
    uint64_t seed;
    int startup;        /* 10: finished trials before TPE leaves chance */
    int candidates;     /* 24 */
    bool joint;         /* one kernel for all dimensions, else each for itself */
    bool constant_liar; /* running trials count as bad ones */
    int grid; /* 5: values that a dimension of reals, or of many whole numbers, is cut into */
} cz_sampling;

cz_sampling cz_sampling_default(void);

/* Values of trial `number` for a space: a function of (sampling, space, trials, number) alone. x
 * (space->count). *attributes: see cz_suggester (of a joint TPE its tpe:relative_params:<i>). A
 * grid's last dimension moves fastest; past its end it begins again. CZ_ERR_MEMORY; CZ_ERR_BUG: no
 * candidates, or a grid without values. */
cz_status cz_sample(double *x, json_t **attributes, const cz_sampling *sampling,
                    const cz_space *space, const cz_trials *trials, int number);

/* Points of the grid; at most INT_MAX. */
int cz_grid_size(const cz_sampling *sampling, const cz_space *space);

typedef enum cz_pruner_kind { CZ_PRUNE_NONE, CZ_PRUNE_MEDIAN, CZ_PRUNE_ASHA } cz_pruner_kind;

typedef struct cz_pruning {
    cz_pruner_kind kind;
    int startup;    /* MEDIAN, 5: finished trials before any is pruned */
    int warmup;     /* MEDIAN, 0: steps before any is pruned */
    int eta;        /* ASHA, 4: one of eta goes on */
    int first_rung; /* ASHA, 1: step of the first rung */
} cz_pruning;

cz_pruning cz_pruning_default(void);

/* Whether trial `number`, whose last step stands in `trials`, is to be given up; as Optuna's
 * MedianPruner and SuccessiveHalvingPruner (min_early_stopping_rate 0) decide. ASHA: *rungs is an
 * object of system attributes completed_rung_<r> to be written to the trial (the caller's to
 * free), NULL where there is nothing to write; a rung that stands, but that no earlier step has
 * reached, is judged again: who wrote it may have died before it told the trial's end. Li et al.
 * 2020. CZ_ERR_MEMORY; CZ_ERR_BUG: there is no such trial, eta below 2 or a first rung below 1. */
cz_status cz_prune(bool *stop, json_t **rungs, const cz_pruning *pruning, const cz_trials *trials,
                   int number);

#endif
