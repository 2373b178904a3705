/* What the kernels with rows to walk over share: parts of vectors, the exponential, masks. */
#ifndef CZ_VECTOR_H
#define CZ_VECTOR_H

#include "kernel.h"

#include <math.h>

/* `v` in its first `left` lanes (> 0), `other` in those beyond. */
INLINE vec keep_next(vec v, vec other, int left)
{
    vec_int lane;
    if (left >= LANES) return v;
    UNROLL for (int i = 0; i < LANES; i++) lane[i] = i;
    return choose(lane < (vec_int){0} + (real_int)left, v, other);
}

INLINE real inverse_root(real x)
{
    return 1 / (REAL_DTYPE == CZ_F64 ? (real)sqrt((double)x) : (real)sqrtf((float)x));
}

INLINE int round_up(int n) { return (n + LANES - 1) / LANES * LANES; }

/* exp(x) for x <= 0. In fp32: x = n log 2 + r, exp(r) by the polynomial of Cephes' expf
 * (Moshier 1992); at most 1 unit in the last place off, and 0 below -87, where the result nears
 * the denormals. NaN stays NaN. In fp64: libm's. */
#if CZ_REAL_BITS == 64
INLINE vec vec_exp(vec x)
{
    for (int i = 0; i < LANES; i++) x[i] = exp(x[i]);
    return x;
}
#else
INLINE vec vec_exp(vec x)
{
    const vec shift = broadcast(0x1.8p23f); /* x + shift is rounded to an integer */
    const vec lowest = broadcast(-87);
    vec_int tiny = x < lowest;
    vec shifted = choose(tiny, lowest, x) * broadcast(1.44269504088896341f) + shift;
    vec n = shifted - shift;
    vec r = x - n * broadcast(0.693359375f) - n * broadcast(-2.12194440e-4f);
    vec p = broadcast(1.9875691500e-4f);
    p = p * r + broadcast(1.3981999507e-3f);
    p = p * r + broadcast(8.3334519073e-3f);
    p = p * r + broadcast(4.1665795894e-2f);
    p = p * r + broadcast(1.6666665459e-1f);
    p = p * r + broadcast(5.0000001201e-1f);
    p = p * r * r + r + broadcast(1);
    /* The integer stands in the low bits of `shifted`: add it to the exponent. */
    p = (vec)((vec_bits)p + ((vec_bits)shifted << 23));
    return choose(tiny, (vec){0}, p);
}
#endif

/* x Phi(x). In fp32, for x <= 0: t exp(P(t) - x^2 / 2) with t = 1 / (1 - 0.3 x), P by
 * validation/fit_gelu.py; at most 2^-22 off, relative to the greater of 1 and the result. In fp64:
 * by libm's erfc. */
#if CZ_REAL_BITS == 64
INLINE vec vec_gelu(vec x)
{
    for (int i = 0; i < LANES; i++) x[i] *= erfc(-x[i] * 0.70710678118654752440) / 2;
    return x;
}
#else
INLINE vec vec_gelu(vec x)
{
    vec far = choose(x < 0, -x, x); /* NaN stays NaN */
    vec t = broadcast(1) / (broadcast(1) + broadcast(0.3f) * far);
    vec p = broadcast(-0.216987165f);
    p = p * t + broadcast(1.11337271f);
    p = p * t + broadcast(-2.13953738f);
    p = p * t + broadcast(1.7694125f);
    p = p * t + broadcast(-0.723341372f);
    p = p * t + broadcast(0.66407389f);
    p = p * t + broadcast(0.960199179f);
    p = p * t + broadcast(-2.12033956f);
    vec tail = t * vec_exp(p - broadcast(0.5f) * far * far);
    return x * choose(x < 0, tail, broadcast(1) - tail);
}
#endif

/* v scaled where the mask has a 1, else 0: `left` elements (> 0) from element `at` on. A NULL
 * mask keeps all, unscaled. */
INLINE vec dropped(vec v, const uint8_t *bits, size_t at, real scale, int left)
{
    if (!bits) return v;
    return keep_lanes(v * broadcast(scale), mask_bits(bits, at, left < LANES ? left : LANES));
}

/* The mask of a cell, NULL without dropout. */
INLINE uint8_t *cell_mask(const cz_dropout *drop, int cell, int elements)
{
    return drop ? drop->bits + (size_t)cell * cz_mask_bytes(elements) : NULL;
}
INLINE real drop_scale(const cz_dropout *drop)
{
    return drop ? (real)cz_dropout_scale(drop->p) : 1;
}

/* Writes the masks of all cells. */
INLINE void draw_masks(const cz_exec *exec, const cz_dropout *drop, int cells, int elements)
{
    for (int b = 0; drop && b < cells; b++) {
        uint8_t *bits = cell_mask(drop, b, elements);
        K(mask)(bits, exec->step, drop->site, drop->p, drop->cell[b], elements);
    }
}

#endif
