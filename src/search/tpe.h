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

/* log l(x) - log g(x) of n points x (n, space->count): how much likelier below than above; of the
 * dimensions that are sampled together, plus that of each one sampled alone. The same number as
 * Optuna's to 1e-9, if equal observations keep the order of trials there: numpy's sort does not
 * promise it. `number`: of the trial to be sampled. out (n). CZ_ERR_MEMORY. */
cz_status tpe_log_ratio(double *out, const double *x, int n, const cz_sampling *sampling,
                        const cz_space *space, const cz_trials *trials, int number);

#endif
