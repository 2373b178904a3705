/* Adam: one pass over weights, moments and gradient. */
#include "kernel.h"

#include <math.h>

#if CZ_VECTOR_BYTES == 64
INLINE vec root(vec x) { return (vec)_mm512_sqrt_ps((__m512)x); }
#elif CZ_VECTOR_BYTES == 32
INLINE vec root(vec x) { return (vec)_mm256_sqrt_ps((__m256)x); }
#else
INLINE vec root(vec x)
{
    vec y = {0};
    for (int i = 0; i < LANES; i++)
        y[i] = REAL_DTYPE == CZ_F64 ? (real)sqrt((double)x[i]) : (real)sqrtf((float)x[i]);
    return y;
}
#endif

typedef struct rates {
    real lr;     /* over the first bias correction */
    real spread; /* 1 / root of the second */
    real decay;
} rates;

INLINE void update(vec *w, vec *m, vec *v, vec g, rates r)
{
    /* 1 - beta in double: in fp32 1 - 0.999f is off by 5e-5. */
    const vec beta1 = broadcast((real)0.9), beta2 = broadcast((real)0.999);
    const vec rest1 = broadcast((real)(1 - 0.9)), rest2 = broadcast((real)(1 - 0.999));
    g = broadcast(r.decay) * *w + g;
    *m = beta1 * *m + rest1 * g;
    *v = beta2 * *v + rest2 * g * g;
    *w -= broadcast(r.lr) * *m / (root(*v) * broadcast(r.spread) + broadcast((real)1e-8));
}

cz_status K(adam)(cz_exec *exec, cz_tensor w, cz_tensor m, cz_tensor v, cz_tensor g, double decay)
{
    const cz_step *step = exec->step;
    rates r = {(real)(step->lr / step->bias1), (real)(1 / sqrt(step->bias2)), (real)decay};
    real *wi = w.data, *mi = m.data, *vi = v.data;
    const real *gi = g.data;
    for (int left = cz_cols(w); left > 0; left -= LANES) {
        vec wn = load_next(wi, left), mn = load_next(mi, left), vn = load_next(vi, left);
        update(&wn, &mn, &vn, load_next(gi, left), r);
        store_next(wi, wn, left);
        store_next(mi, mn, left);
        store_next(vi, vn, left);
        wi += LANES, mi += LANES, vi += LANES, gi += LANES;
    }
    return CZ_OK;
}
