/* bf16 in memory, fp32 in registers: the upper half of an fp32, rounded to nearest, ties to even.
 * The instruction that rounds takes what is smaller than 2^-126 as 0, as those that multiply do;
 * the portable form does not. Included by kernel.h in the variants that store activations so. */
#ifndef CZ_BF16_H
#define CZ_BF16_H

INLINE real from_bf16(stored x)
{
    uint32_t bits = (uint32_t)x << 16;
    real value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#if CZ_VECTOR_BYTES == 64
INLINE vec widened(__m256i v) { return (vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16); }
INLINE __m256i narrowed(vec v) { return (__m256i)_mm512_cvtneps_pbh((__m512)v); }
INLINE vec load_stored(const stored *p) { return widened(_mm256_loadu_si256((const void *)p)); }
INLINE void store_stored(stored *p, vec v) { _mm256_storeu_si256((void *)p, narrowed(v)); }
INLINE vec load_part_stored(const stored *p, int n)
{
    return widened(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p));
}
INLINE void store_part_stored(stored *p, vec v, int n)
{
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), narrowed(v));
}
#else
typedef stored vec_stored __attribute__((vector_size(CZ_VECTOR_BYTES / 2)));
INLINE vec widened(vec_stored v) { return (vec)(__builtin_convertvector(v, vec_bits) << 16); }
/* A NaN stays one, quiet. */
INLINE vec_stored narrowed(vec v)
{
    vec_bits bits = (vec_bits)v, number = (vec_bits)(v == v);
    vec_bits nearest = bits + 0x7fff + (bits >> 16 & 1), quiet = bits | 64 << 16;
    return __builtin_convertvector(((nearest & number) | (quiet & ~number)) >> 16, vec_stored);
}
INLINE vec rounded(vec v) { return widened(narrowed(v)); }
INLINE vec load_stored(const stored *p)
{
    vec_stored v;
    memcpy(&v, p, sizeof v);
    return widened(v);
}
INLINE void store_stored(stored *p, vec v)
{
    vec_stored part = narrowed(v);
    memcpy(p, &part, sizeof part);
}
INLINE vec load_part_stored(const stored *p, int n)
{
    vec_stored v = {0};
    for (int i = 0; i < n; i++) v[i] = p[i];
    return widened(v);
}
INLINE void store_part_stored(stored *p, vec v, int n)
{
    vec_stored part = narrowed(v);
    for (int i = 0; i < n; i++) p[i] = part[i];
}
#endif

#endif
