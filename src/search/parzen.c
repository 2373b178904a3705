#include "parzen.h"

#include "draw.h"
#include "truncated_normal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FULL_WEIGHT = 25 }; /* the newest points, whose weight is 1 */

/* Older points weigh less, down to 1/n; the prior weighs 1. */
static void set_weights(double *weight, int n)
{
    int ramp = n - FULL_WEIGHT;
    double sum = 0;
    for (int i = 0; i <= n; i++) {
        weight[i] = 1;
        if (i < ramp) weight[i] = 1.0 / n + (ramp > 1 ? i * (1 - 1.0 / n) / (ramp - 1) : 0);
        sum += weight[i];
    }
    for (int i = 0; i <= n; i++) weight[i] /= sum;
}

typedef struct placed {
    double at;
    int kernel;
} placed;

/* Equal points keep the order of trials; Optuna leaves theirs to numpy's sort, and that to the
 * machine's vector instructions. */
static int by_place(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return x->kernel - y->kernel;
}

/* The larger gap to the neighbours of the i-th of n; the outermost have an inner gap alone. */
static double gap_at(const placed *sorted, int n, int i, cz_scale bounds)
{
    double below = sorted[i].at - (i > 0 ? sorted[i - 1].at : bounds.low);
    double above = (i < n - 1 ? sorted[i + 1].at : bounds.high) - sorted[i].at;
    if (n > 1 && i == 0) return above;
    if (n > 1 && i == n - 1) return below;
    return fmax(below, above);
}

/* Widths and masses of the kernels around n centres, and the prior's kernel. */
static cz_status set_normals(parzen_axis *axis, int n)
{
    cz_scale bounds = scale_of(axis->dimension);
    double range = bounds.high - bounds.low, least = range / fmin(100, n + 2);
    placed *sorted = cz_alloc((size_t)n, sizeof *sorted, "the kernels of a density");
    if (!sorted) return CZ_ERR_MEMORY;
    for (int i = 0; i < n; i++) sorted[i] = (placed){axis->centre[i], i};
    qsort(sorted, (size_t)n, sizeof *sorted, by_place);
    for (int i = 0; i < n; i++)
        axis->width[sorted[i].kernel] = fmin(fmax(gap_at(sorted, n, i, bounds), least), range);
    free(sorted);
    axis->centre[n] = 0.5 * (bounds.low + bounds.high);
    axis->width[n] = range;
    for (int i = 0; i <= n; i++)
        axis->mass[i] = normal_log_mass((bounds.low - axis->centre[i]) / axis->width[i],
                                        (bounds.high - axis->centre[i]) / axis->width[i]);
    return CZ_OK;
}

/* `at` (n, stride): this dimension's values of the points. */
static cz_status make_axis(parzen_axis *axis, const cz_dimension *dimension, const double *at,
                           int stride, int n)
{
    size_t kernels = (size_t)n + 1;
    *axis = (parzen_axis){.dimension = dimension};
    axis->centre = cz_alloc(3 * kernels, sizeof *axis->centre, "the kernels of a density");
    if (!axis->centre) return CZ_ERR_MEMORY;
    axis->width = axis->centre + kernels;
    axis->mass = axis->width + kernels;
    for (int i = 0; i < n; i++) {
        double value = at[(size_t)i * (size_t)stride];
        axis->centre[i] = dimension->log ? log(value) : value;
    }
    if (dimension->kind != CZ_CATEGORICAL) return set_normals(axis, n);
    axis->centre[n] = -1;
    return CZ_OK;
}

cz_status parzen_make(parzen *p, const cz_dimension *const *dimension, int axes,
                      const double *point, int n)
{
    memset(p, 0, sizeof *p);
    p->kernels = n + 1;
    p->weight = cz_alloc((size_t)n + 1, sizeof *p->weight, "the kernels of a density");
    if (!p->weight) return CZ_ERR_MEMORY;
    set_weights(p->weight, n);
    for (; p->axes < axes; p->axes++)
        CZ_TRY(make_axis(&p->axis[p->axes], dimension[p->axes], point + p->axes, axes, n));
    return CZ_OK;
}

void parzen_free(parzen *p)
{
    for (int i = 0; i < CZ_SPACE_MAX; i++) free(p->axis[i].centre);
    free(p->weight);
    memset(p, 0, sizeof *p);
}

/* The prior adds 1/kernels to every choice of a kernel, and the observed one has 1 more. */
static double choice_probability(const parzen_axis *axis, int kernels, int kernel, double choice)
{
    double share = 1.0 / kernels;
    if (axis->centre[kernel] < 0) return 1.0 / axis->dimension->choices;
    return (share + (choice == axis->centre[kernel])) / (1 + share * axis->dimension->choices);
}

/* A stepped value stands for all within half a step. */
static double log_step(const parzen_axis *axis, int kernel, double x)
{
    double low = x - axis->dimension->step / 2, high = x + axis->dimension->step / 2;
    double centre = axis->centre[kernel], width = axis->width[kernel];
    if (axis->dimension->log) low = log(low), high = log(high);
    return normal_log_mass((low - centre) / width, (high - centre) / width) - axis->mass[kernel];
}

static double log_real(const parzen_axis *axis, int kernel, double x)
{
    if (x < axis->dimension->low || x > axis->dimension->high) return -INFINITY;
    double width = axis->width[kernel];
    double z = ((axis->dimension->log ? log(x) : x) - axis->centre[kernel]) / width;
    return normal_log_density(z) - log(width) - axis->mass[kernel];
}

static double log_kernel(const parzen *p, int kernel, const double *x)
{
    double sum = log(p->weight[kernel]);
    for (int i = 0; i < p->axes; i++) {
        const parzen_axis *axis = &p->axis[i];
        if (isnan(x[i])) continue;
        if (axis->dimension->kind == CZ_CATEGORICAL)
            sum += log(choice_probability(axis, p->kernels, kernel, x[i]));
        else
            sum += axis->dimension->step > 0 ? log_step(axis, kernel, x[i])
                                             : log_real(axis, kernel, x[i]);
    }
    return sum;
}

double parzen_log(const parzen *p, const double *x)
{
    double high = -INFINITY, sum = 0; /* of all so far: exp(high) * sum */
    for (int kernel = 0; kernel < p->kernels; kernel++) {
        double term = log_kernel(p, kernel, x);
        if (term == -INFINITY) continue;
        if (term > high) {
            sum *= exp(high - term);
            high = term;
        }
        sum += exp(term - high);
    }
    return sum > 0 ? high + log(sum) : -INFINITY;
}

static int draw_kernel(const parzen *p, cz_rng *rng)
{
    double left = cz_rng_uniform(rng);
    int kernel = 0;
    while (kernel < p->kernels - 1 && left >= p->weight[kernel]) left -= p->weight[kernel++];
    return kernel;
}

static double draw_choice(const parzen_axis *axis, int kernels, int kernel, cz_rng *rng)
{
    double left = cz_rng_uniform(rng);
    for (int choice = 0; choice < axis->dimension->choices - 1; choice++) {
        left -= choice_probability(axis, kernels, kernel, choice);
        if (left < 0) return choice;
    }
    return axis->dimension->choices - 1;
}

static double draw_normal(const parzen_axis *axis, int kernel, cz_rng *rng)
{
    cz_scale bounds = scale_of(axis->dimension);
    double centre = axis->centre[kernel], width = axis->width[kernel];
    double z = truncated_normal_quantile(cz_rng_uniform(rng), (bounds.low - centre) / width,
                                         (bounds.high - centre) / width);
    return value_on_scale(axis->dimension, centre + z * width);
}

void parzen_draw(double *x, const parzen *p, cz_rng *rng)
{
    int kernel = draw_kernel(p, rng);
    for (int i = 0; i < p->axes; i++) {
        const parzen_axis *axis = &p->axis[i];
        if (axis->dimension->kind == CZ_CATEGORICAL)
            x[i] = draw_choice(axis, p->kernels, kernel, rng);
        else x[i] = draw_normal(axis, kernel, rng);
    }
}
