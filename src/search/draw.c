#include "draw.h"

#include <math.h>

cz_scale scale_of(const cz_dimension *dimension)
{
    double half = dimension->step / 2, low = dimension->low - half, high = dimension->high + half;
    return dimension->log ? (cz_scale){log(low), log(high)} : (cz_scale){low, high};
}

double value_on_scale(const cz_dimension *dimension, double at)
{
    double low = dimension->low, step = dimension->step;
    double value = dimension->log ? exp(at) : at;
    if (step > 0) value = low + rint((value - low) / step) * step;
    return fmin(fmax(value, low), dimension->high);
}

double draw_uniform(const cz_dimension *dimension, cz_rng *rng)
{
    if (dimension->kind == CZ_CATEGORICAL) return cz_rng_below(rng, (uint32_t)dimension->choices);
    cz_scale scale = scale_of(dimension);
    return value_on_scale(dimension, scale.low + cz_rng_uniform(rng) * (scale.high - scale.low));
}
