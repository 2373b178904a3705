/* Adam. */
#include "kernel.h"

#include <math.h>

static const real BETA1 = (real)0.9, BETA2 = (real)0.999, EPS = (real)1e-8;

INLINE real root(real x)
{
    return REAL_DTYPE == CZ_F64 ? (real)sqrt((double)x) : (real)sqrtf((float)x);
}

cz_status K(adam)(cz_exec *exec, cz_tensor w, cz_tensor m, cz_tensor v, cz_tensor g, double decay)
{
    const cz_step *step = exec->step;
    real rate = (real)(step->lr / step->bias1), spread = (real)(1 / sqrt(step->bias2));
    real *restrict wn = w.data, *restrict mn = m.data, *restrict vn = v.data;
    const real *restrict gn = g.data;
    size_t n = (size_t)cz_cols(w);
    for (size_t i = 0; i < n; i++) {
        real d = gn[i] + (real)decay * wn[i];
        mn[i] = BETA1 * mn[i] + (1 - BETA1) * d;
        vn[i] = BETA2 * vn[i] + (1 - BETA2) * d * d;
        wn[i] -= rate * mn[i] / (root(vn[i]) * spread + EPS);
    }
    return CZ_OK;
}
