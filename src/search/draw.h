/* Values of a dimension by chance, and the scale on which they are drawn. */
#ifndef DRAW_H
#define DRAW_H

#include "czhpc/rng.h"
#include "czhpc/space.h"

/* The scale of a numeric dimension: logarithms where log, and half a step beyond both bounds where
 * stepped. */
typedef struct cz_scale {
    double low, high;
} cz_scale;

cz_scale scale_of(const cz_dimension *dimension);
/* From that scale to a value of the dimension: the nearest step, inside the bounds. */
double value_on_scale(const cz_dimension *dimension, double at);
/* Any value of a dimension, as likely as any other on its scale (Optuna's RandomSampler). */
double draw_uniform(const cz_dimension *dimension, cz_rng *rng);

#endif
