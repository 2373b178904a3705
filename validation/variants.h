/* The variants of the CPU backend that tests of operations walk through, and numbers as each type
 * holds them. */
#ifndef VARIANTS_H
#define VARIANTS_H

#include "check.h"
#include "czhpc/ops.h"

#include <stdint.h>

typedef struct cpu_variant {
    const char *name; /* as the backend says it, where there is one */
    cz_dtype dtype;
    cz_level level;
} cpu_variant;

/* All of them; of each type the portable one first. Verdicts on one name it so: levels.sh counts
 * them. */
static const cpu_variant cpu_variants[] = {
    {"cpu, portable, fp64", CZ_F64, CZ_LEVEL_PORTABLE},
    {"cpu, portable, fp32", CZ_F32, CZ_LEVEL_PORTABLE},
    {"cpu, avx2, fp32", CZ_F32, CZ_LEVEL_AVX2},
    {"cpu, avx512, fp32", CZ_F32, CZ_LEVEL_AVX512},
    {"cpu, portable, bf16", CZ_BF16, CZ_LEVEL_PORTABLE},
    {"cpu, avx512, bf16", CZ_BF16, CZ_LEVEL_AVX512},
    {"cpu, amx, bf16", CZ_BF16, CZ_LEVEL_AMX},
};
enum { CPU_VARIANTS = sizeof cpu_variants / sizeof *cpu_variants };

/* NULL where this processor lacks it. */
static inline const cz_backend *variant_backend(int v)
{
    return cz_backend_cpu(cpu_variants[v].dtype, cpu_variants[v].level);
}

/* NULL with a SKIP that names it. */
static inline const cz_backend *variant_or_skip(int v)
{
    const cz_backend *backend = variant_backend(v);
    if (!backend) check_skip("%s: this processor lacks it", cpu_variants[v].name);
    return backend;
}

/* How far a result of this type may be from its value, where it is rounded once. */
static inline double variant_tolerance(cz_dtype dtype)
{
    return dtype == CZ_F64 ? TOL_F64_OP : dtype == CZ_F32 ? TOL_F32_OP : TOL_BF16_OP;
}

/* The nearest number that a type holds, ties to even; too large ones become infinite. */
static inline double rounded_to(cz_dtype dtype, double x)
{
    enum { DIGITS = 8, LEAST = -126 }; /* of bf16: bits of a number, exponent of normal ones */
    if (dtype == CZ_F64 || !isfinite(x) || x == 0) return x;
    if (dtype == CZ_F32) return (double)(float)x;
    int exponent = ilogb(x);
    int unit = (exponent < LEAST ? LEAST : exponent) - DIGITS + 1;
    x = ldexp(nearbyint(ldexp(x, -unit)), unit);
    return fabs(x) < 0x1p128 ? x : copysign(INFINITY, x);
}

static inline uint16_t bf16_of(double x)
{
    float rounded = (float)rounded_to(CZ_BF16, x);
    uint32_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    return (uint16_t)(bits >> 16);
}
static inline double bf16_value(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

/* How far results are apart, taken over all of them together, relative to the second. */
typedef struct spread {
    double gap, size; /* squares */
} spread;

static inline void spread_add(spread *s, double a, double b)
{
    s->gap += (a - b) * (a - b);
    s->size += b * b;
}
static inline double spread_of(const spread *s)
{
    return s->gap > 0 ? sqrt(s->gap / s->size) : s->gap;
}

static inline double read_number(const void *at, cz_dtype dtype)
{
    if (dtype == CZ_F64) return *(const double *)at;
    return dtype == CZ_F32 ? (double)*(const float *)at : bf16_value(*(const uint16_t *)at);
}
static inline void write_number(void *at, cz_dtype dtype, double x)
{
    if (dtype == CZ_F64) *(double *)at = x;
    else if (dtype == CZ_F32) *(float *)at = (float)x;
    else *(uint16_t *)at = bf16_of(x);
}

#endif
