#include "grid.h"

#include "czhpc/sampler.h"

#include "draw.h"

#include <limits.h>
#include <math.h>

/* How many values a dimension has, at most `most`; those without a step have more. */
static int count_values(const cz_dimension *dimension, int most)
{
    if (dimension->kind == CZ_CATEGORICAL) return dimension->choices;
    if (cz_dimension_single(dimension)) return 1;
    if (dimension->step == 0) return most;
    double steps = rint((dimension->high - dimension->low) / dimension->step);
    return steps < most ? (int)steps + 1 : most;
}

/* The i-th of `count` cuts from low to high, both included, even on the dimension's scale. */
static double cut(const cz_dimension *dimension, int count, int i)
{
    double low = dimension->low, high = dimension->high;
    if (count == 1) return low;
    if (i == count - 1) return high;
    if (dimension->log) low = log(low), high = log(high);
    return value_on_scale(dimension, low + (high - low) * i / (count - 1));
}

/* The i-th of all values that a dimension has. */
static double nth(const cz_dimension *dimension, int i)
{
    if (dimension->kind == CZ_CATEGORICAL) return i;
    return fmin(dimension->low + i * dimension->step, dimension->high);
}

/* The values of a dimension on the grid; *value: the one at `index`, where wanted. Cuts that round
 * to one whole number are one value. */
static int axis(const cz_dimension *dimension, int side, int index, double *value)
{
    bool all = dimension->kind == CZ_CATEGORICAL || count_values(dimension, side + 1) <= side;
    int cuts = all ? count_values(dimension, side + 1) : side, count = 0;
    double last = NAN;
    for (int i = 0; i < cuts; i++) {
        double at = all ? nth(dimension, i) : cut(dimension, cuts, i);
        if (at == last) continue;
        last = at;
        if (value && count == index) *value = at;
        count++;
    }
    return count;
}

void grid_point(double *x, int side, const cz_space *space, int number)
{
    for (int i = space->count - 1; i >= 0; i--) {
        int count = axis(&space->dimension[i], side, 0, NULL);
        axis(&space->dimension[i], side, number % count, &x[i]);
        number /= count;
    }
}

int cz_grid_size(const cz_sampling *sampling, const cz_space *space)
{
    int size = 1;
    for (int i = 0; i < space->count; i++) {
        int count = axis(&space->dimension[i], sampling->grid, 0, NULL);
        if ((long long)size * count > INT_MAX) return INT_MAX;
        size *= count;
    }
    return size;
}
