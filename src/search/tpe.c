#include "tpe.h"

#include "draw.h"
#include "history.h"
#include "parzen.h"
#include "relative.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The densities of good trials and of bad ones over some dimensions. */
typedef struct contrast {
    parzen below, above;
} contrast;

static void contrast_free(contrast *c)
{
    parzen_free(&c->below);
    parzen_free(&c->above);
}

static cz_status make_density(parzen *p, const history *h, const cz_trial *const *trial, int n,
                              const cz_dimension *const *dimension, int dimensions)
{
    double *point = cz_alloc((size_t)n * (size_t)dimensions, sizeof *point, "the points of trials");
    if (!point) return CZ_ERR_MEMORY;
    int points = history_points(point, h, trial, n, dimension, dimensions);
    cz_status status = parzen_make(p, dimension, dimensions, point, points);
    free(point);
    return status;
}

/* Free with contrast_free(), also after an error. */
static cz_status contrast_make(contrast *c, const history *h, const cz_dimension *const *dimension,
                               int dimensions)
{
    memset(c, 0, sizeof *c);
    CZ_TRY(make_density(&c->below, h, h->trial, h->below, dimension, dimensions));
    return make_density(&c->above, h, h->trial + h->below, h->above, dimension, dimensions);
}

static double log_ratio(const contrast *c, const double *x)
{
    return parzen_log(&c->below, x) - parzen_log(&c->above, x);
}

/* The candidate that is likeliest below against above: best (dimensions). */
static cz_status choose(double *best, const cz_sampling *sampling, const history *h,
                        const cz_dimension *const *dimension, int dimensions, cz_rng *rng)
{
    contrast c;
    double highest = -INFINITY, x[CZ_SPACE_MAX];
    cz_status status = contrast_make(&c, h, dimension, dimensions);
    for (int i = 0; i < sampling->candidates && !status; i++) {
        parzen_draw(x, &c.below, rng);
        double ratio = log_ratio(&c, x);
        if (i > 0 && !(ratio > highest)) continue;
        highest = ratio;
        memcpy(best, x, (size_t)dimensions * sizeof *best);
    }
    contrast_free(&c);
    return status;
}

/* Index of the one that is this dimension, in whatever range; -1 for none. */
static int find_dimension(const cz_dimension *const *dimension, int dimensions,
                          const cz_dimension *wanted)
{
    for (int i = 0; i < dimensions; i++)
        if (cz_dimension_agrees(dimension[i], wanted)) return i;
    return -1;
}

static double single_value(const cz_dimension *dimension)
{
    return dimension->kind == CZ_CATEGORICAL ? 0 : dimension->low;
}

/* The dimensions sampled together, in the ranges of the trials before: none unless joint. */
static int joint_dimensions(const cz_dimension **joint, const cz_sampling *sampling,
                            const cz_trials *trials)
{
    return sampling->joint ? shared_dimensions(joint, trials) : 0;
}

/* Its joint value where that is inside its range, else by itself. joint_value: NAN for none. */
static cz_status sample_dimension(double *x, const cz_sampling *sampling, const history *h,
                                  const cz_dimension *dimension, double joint_value, cz_rng *rng)
{
    *x = single_value(dimension);
    if (cz_dimension_single(dimension)) return CZ_OK;
    *x = joint_value;
    if (cz_dimension_holds(dimension, joint_value)) return CZ_OK;
    return choose(x, sampling, h, &dimension, 1, rng);
}

static cz_status sample_together(double *value, json_t **attributes, const cz_sampling *sampling,
                                 const history *h, const cz_dimension *const *joint, int joints,
                                 cz_rng *rng)
{
    if (joints == 0) return CZ_OK;
    CZ_TRY(choose(value, sampling, h, joint, joints, rng));
    if (!sampling->constant_liar) return CZ_OK;
    *attributes = relative_write(joint, value, joints);
    return *attributes ? CZ_OK : cz_fail(CZ_ERR_MEMORY, "no memory for a trial's values");
}

bool tpe_ready(const cz_sampling *sampling, const cz_trials *trials)
{
    return count_finished(trials) >= sampling->startup;
}

cz_status tpe_sample(double *x, json_t **attributes, const cz_sampling *sampling,
                     const cz_space *space, const cz_trials *trials, int number, cz_rng *rng)
{
    history h;
    const cz_dimension *joint[CZ_SPACE_MAX];
    double value[CZ_SPACE_MAX] = {0};
    int joints = joint_dimensions(joint, sampling, trials);
    cz_status status = history_make(&h, sampling, trials, number);
    if (!status) status = sample_together(value, attributes, sampling, &h, joint, joints, rng);
    for (int i = 0; i < space->count && !status; i++) {
        const cz_dimension *dimension = &space->dimension[i];
        int at = find_dimension(joint, joints, dimension);
        status = sample_dimension(&x[i], sampling, &h, dimension, at < 0 ? NAN : value[at], rng);
    }
    history_free(&h);
    if (!status) return CZ_OK;
    json_decref(*attributes);
    *attributes = NULL;
    return status;
}

/* Adds what some dimensions make of n points; from[i]: the column of x (n, columns) that holds
 * dimension i, -1 for none. */
static cz_status add_log_ratio(double *out, const double *x, int n, int columns, const int *from,
                               const history *h, const cz_dimension *const *dimension,
                               int dimensions)
{
    contrast c;
    double at[CZ_SPACE_MAX];
    cz_status status = contrast_make(&c, h, dimension, dimensions);
    for (int k = 0; k < n && !status; k++) {
        for (int i = 0; i < dimensions; i++)
            at[i] = from[i] < 0 ? NAN : x[(size_t)k * (size_t)columns + (size_t)from[i]];
        out[k] += log_ratio(&c, at);
    }
    contrast_free(&c);
    return status;
}

cz_status tpe_log_ratio(double *out, const double *x, int n, const cz_sampling *sampling,
                        const cz_space *space, const cz_trials *trials, int number)
{
    history h;
    const cz_dimension *joint[CZ_SPACE_MAX];
    int from[CZ_SPACE_MAX], joints = joint_dimensions(joint, sampling, trials);
    for (int k = 0; k < n; k++) out[k] = 0;
    for (int i = 0; i < joints; i++) from[i] = -1;
    cz_status status = history_make(&h, sampling, trials, number);
    for (int i = 0; i < space->count && !status; i++) {
        const cz_dimension *dimension = &space->dimension[i];
        int at = find_dimension(joint, joints, dimension);
        if (cz_dimension_single(dimension)) continue;
        if (at >= 0) from[at] = i;
        else status = add_log_ratio(out, x, n, space->count, &i, &h, &dimension, 1);
    }
    if (!status && joints > 0)
        status = add_log_ratio(out, x, n, space->count, from, &h, joint, joints);
    history_free(&h);
    return status;
}
