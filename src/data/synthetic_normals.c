/* Standard normals by the hundred million: Box & Muller 1958 on Philox, in single precision and
 * written so that compilers make vectors of it (16.3 million for the 31,780 cells).
 * Logarithm, sine and cosine are the polynomials of Moshier's Cephes (logf.c, sinf.c), to about
 * 1e-7. A radius has 23 random bits, all that a float can hold exactly, so no value is beyond
 * 5.77: of 1.3e8 normals one would be. */
#include "synthetic.h"
#include "wide.h"

#include "czhpc/rng.h"

#include <string.h>

enum { LANES = CZ_NORMALS / 4 };

/* Blocks first .. first+LANES-1 of a cell, word by word: cz_philox() in columns. */
static inline void philox_lanes(uint32_t word[4][LANES], uint64_t key, uint32_t cell,
                                uint32_t first)
{
    for (int j = 0; j < LANES; j++) {
        word[0][j] = cell;
        word[1][j] = CZ_DRAW_NOISE;
        word[2][j] = cz_counter(CZ_RNG_SYNTHETIC, first + (uint32_t)j);
        word[3][j] = 0;
    }
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
#pragma GCC unroll 1 /* unrolled, gcc 12 makes no vectors of it */
        for (int j = 0; j < LANES; j++) {
            uint64_t p0 = (uint64_t)0xD2511F53 * word[0][j];
            uint64_t p1 = (uint64_t)0xCD9E8D57 * word[2][j];
            word[0][j] = (uint32_t)(p1 >> 32) ^ word[1][j] ^ k0;
            word[2][j] = (uint32_t)(p0 >> 32) ^ word[3][j] ^ k1;
            word[1][j] = (uint32_t)p1;
            word[3][j] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
}

static inline float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* ln x for x in (0, 1]. */
static inline float logarithm(float x)
{
    uint32_t bits = bits_of(x);
    float e = (float)((int32_t)(bits >> 23) - 127);
    float m = float_of((bits & 0x7fffff) | 0x3f800000);
    float high = m > 1.41421356f ? 1.0f : 0.0f;
    m = m - 0.5f * m * high - 1;
    e += high;
    float z = m * m;
    float y = 7.0376836292e-2f;
    y = y * m - 1.1514610310e-1f;
    y = y * m + 1.1676998740e-1f;
    y = y * m - 1.2420140846e-1f;
    y = y * m + 1.4249322787e-1f;
    y = y * m - 1.6668057665e-1f;
    y = y * m + 2.0000714765e-1f;
    y = y * m - 2.4999993993e-1f;
    y = y * m + 3.3333331174e-1f;
    y = y * m * z - 2.12194440e-4f * e - 0.5f * z;
    return m + y + 0.693359375f * e;
}

/* Newton's 1 / sqrt(x) from the exponent's half; sqrtf() may set errno, which no vector can. */
static inline float root(float x)
{
    float y = float_of(0x5f375a86 - (bits_of(x) >> 1));
    for (int i = 0; i < 3; i++) y = y * (1.5f - 0.5f * x * y * y);
    return x * y;
}

/* cos and sin of an angle that is uniform over the circle: the top two bits are its quadrant,
 * the others its place between -pi/4 and pi/4. */
static inline void direction(float *cosine, float *sine, uint32_t word)
{
    float x = (float)((int32_t)(word & 0x3fffffff) - 0x20000000) * (0.785398163397f / 0x20000000);
    float z = x * x;
    float s = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * x + x;
    float c = ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f);
    c = c * z * z - 0.5f * z + 1;
    float swap = (float)(word >> 30 & 1), sign = 1 - 2 * (float)(word >> 31);
    *cosine = sign * (c + swap * (-s - c));
    *sine = sign * (s + swap * (c - s));
}

static inline void normal_pairs(float *value, const uint32_t *first, const uint32_t *second)
{
    for (int j = 0; j < LANES; j++) {
        float u = ((float)(int32_t)(first[j] >> 9) + 0.5f) * 0x1p-23f, c, s;
        float radius = root(-2 * logarithm(u));
        direction(&c, &s, second[j]);
        value[j] = radius * c;
        value[LANES + j] = radius * s;
    }
}

CZ_WIDE void cz_synthetic_normals(float *value, int n, uint64_t seed, uint32_t cell)
{
    uint32_t word[4][LANES];
    const size_t half = CZ_NORMALS / 2;
    for (int at = 0; at < n; at += CZ_NORMALS) {
        philox_lanes(word, seed, cell, (uint32_t)(at / 4));
        normal_pairs(value + at, word[0], word[1]);
        normal_pairs(value + at + half, word[2], word[3]);
    }
}
