/* A density over some dimensions, estimated from observed points: one kernel a point, which is a
 * product over the dimensions, and one of the prior. Bergstra et al. 2011, Falkner et al. 2018. */
#ifndef PARZEN_H
#define PARZEN_H

#include "czhpc/rng.h"
#include "czhpc/space.h"
#include "czhpc/status.h"

/* One dimension of every kernel; the prior's is the last. */
typedef struct parzen_axis {
    const cz_dimension *dimension;
    double *centre; /* (kernels) of a categorical dimension the choice, -1 for the prior's */
    double *width;  /* (kernels) standard deviations, numeric alone */
    double *mass;   /* (kernels) log of the normal's mass inside the bounds, numeric alone */
} parzen_axis;

typedef struct parzen {
    int kernels, axes;
    double *weight; /* (kernels), their sum is 1 */
    parzen_axis axis[CZ_SPACE_MAX];
} parzen;

/* The density of n points, the oldest first: point (n, axes). The dimensions stay the caller's.
 * CZ_ERR_MEMORY. Free with parzen_free(), also after an error. */
cz_status parzen_make(parzen *p, const cz_dimension *const *dimension, int axes,
                      const double *point, int n);
void parzen_free(parzen *p);

/* log density at x (axes); a NAN leaves its dimension out. */
double parzen_log(const parzen *p, const double *x);
/* A point x (axes) with that density. */
void parzen_draw(double *x, const parzen *p, cz_rng *rng);

#endif
