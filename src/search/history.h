/* What a sampler sees of a study's trials. */
#ifndef HISTORY_H
#define HISTORY_H

#include "czhpc/sampler.h"

/* Finished and running trials, split by how good they are; each half by number. */
typedef struct history {
    const cz_trials *trials;
    bool joint;             /* running trials' values may stand in their attributes */
    int below, above;       /* how many */
    const cz_trial **trial; /* (below + above), those below first */
} history;

/* Without trial `number`. CZ_ERR_MEMORY. Free with history_free(). */
cz_status history_make(history *h, const cz_sampling *sampling, const cz_trials *trials,
                       int number);
void history_free(history *h);

/* The trials that are complete or pruned. */
int count_finished(const cz_trials *trials);

/* The dimensions that all finished trials have, alike and with more than one value, by name:
 * shared (CZ_SPACE_MAX). Returns how many. */
int shared_dimensions(const cz_dimension **shared, const cz_trials *trials);

/* The points of n trials that have a value for every dimension: point (n, dimensions). Returns how
 * many these are. */
int history_points(double *point, const history *h, const cz_trial *const *trial, int n,
                   const cz_dimension *const *dimension, int dimensions);

#endif
