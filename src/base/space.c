#include "czhpc/space.h"

#include <math.h>
#include <string.h>

bool cz_dimension_agrees(const cz_dimension *a, const cz_dimension *b)
{
    if (strcmp(a->name, b->name) || a->kind != b->kind) return false;
    if (a->kind != CZ_CATEGORICAL) return a->log == b->log;
    if (a->choices != b->choices) return false;
    for (int i = 0; i < a->choices; i++)
        if (strcmp(a->choice[i], b->choice[i])) return false;
    return true;
}

bool cz_dimension_equal(const cz_dimension *a, const cz_dimension *b)
{
    if (!cz_dimension_agrees(a, b)) return false;
    return a->kind == CZ_CATEGORICAL ||
           (a->low == b->low && a->high == b->high && a->step == b->step);
}

bool cz_dimension_single(const cz_dimension *dimension)
{
    if (dimension->kind == CZ_CATEGORICAL) return dimension->choices == 1;
    return dimension->low == dimension->high || dimension->high - dimension->low < dimension->step;
}

bool cz_dimension_holds(const cz_dimension *dimension, double value)
{
    if (dimension->kind == CZ_CATEGORICAL)
        return value >= 0 && value < dimension->choices && value == floor(value);
    if (!(value >= dimension->low && value <= dimension->high)) return false;
    if (dimension->kind == CZ_INTEGER) return fmod(value - dimension->low, dimension->step) == 0;
    if (dimension->step == 0) return true;
    double steps = (value - dimension->low) / dimension->step;
    return fabs(steps - rint(steps)) < 1e-8; /* as Optuna has it */
}
