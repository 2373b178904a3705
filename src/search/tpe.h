/* The tree-structured Parzen estimator. */
#ifndef TPE_H
#define TPE_H

#include "czhpc/sampler.h"

#include "czhpc/rng.h"

/* Whether as many trials are finished as it needs. */
bool tpe_ready(const cz_sampling *sampling, const cz_trials *trials);

/* See cz_sample(). */
cz_status tpe_sample(double *x, json_t **attributes, const cz_sampling *sampling,
                     const cz_space *space, const cz_trials *trials, int number, cz_rng *rng);

#endif
