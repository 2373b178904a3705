/* The variants of the operations that their tests walk through, memory that all of them may use,
 * and numbers as each type holds them. */
#ifndef VARIANTS_H
#define VARIANTS_H

#include "check.h"
#include "czhpc/gpu.h"

#include <stdint.h>

typedef struct backend_variant {
    const char *name; /* as the backend says it, where there is one */
    cz_dtype dtype;
    cz_level level;
    bool gpu;
} backend_variant;

/* All of them; of each type the portable one first. Verdicts on one name it so: levels.sh counts
 * them. */
static const backend_variant backend_variants[] = {
    {"cpu, portable, fp64", CZ_F64, CZ_LEVEL_PORTABLE, false},
    {"cpu, portable, fp32", CZ_F32, CZ_LEVEL_PORTABLE, false},
    {"cpu, avx2, fp32", CZ_F32, CZ_LEVEL_AVX2, false},
    {"cpu, avx512, fp32", CZ_F32, CZ_LEVEL_AVX512, false},
    {"cuda, fp32", CZ_F32, CZ_LEVEL_PORTABLE, true},
    {"cpu, portable, bf16", CZ_BF16, CZ_LEVEL_PORTABLE, false},
    {"cpu, avx512, bf16", CZ_BF16, CZ_LEVEL_AVX512, false},
    {"cpu, amx, bf16", CZ_BF16, CZ_LEVEL_AMX, false},
    {"cuda, bf16", CZ_BF16, CZ_LEVEL_PORTABLE, true},
};
enum { VARIANTS = sizeof backend_variants / sizeof *backend_variants };

/* The GPU of CZHPC_CUDA_PLUGIN, a plug-in's file: a real one's, or the emulation's. NULL without.
 */
static inline cz_gpu *variant_gpu(void)
{
    static cz_gpu *gpu;
    static bool looked;
    int count;
    if (looked || !getenv("CZHPC_CUDA_PLUGIN")) return gpu;
    looked = true;
    if (cz_gpu_count(&count) || cz_gpu_open(&gpu, 0)) {
        check(false, "CZHPC_CUDA_PLUGIN: %s", cz_error_message());
        cz_error_clear();
    }
    return gpu;
}

/* Whether CZHPC_VARIANT is a part of its name, where it is set: a test then runs those alone. */
static inline bool variant_chosen(int v)
{
    const char *part = getenv("CZHPC_VARIANT");
    return !part || strstr(backend_variants[v].name, part);
}

/* NULL where this machine lacks it, or where it is not chosen. */
static inline const cz_backend *variant_backend(int v)
{
    if (!variant_chosen(v)) return NULL;
    if (!backend_variants[v].gpu)
        return cz_backend_cpu(backend_variants[v].dtype, backend_variants[v].level);
    return variant_gpu() ? cz_gpu_backend(variant_gpu(), backend_variants[v].dtype) : NULL;
}

/* Why it lacks it. */
static inline const char *variant_lacks(int v)
{
    if (!variant_chosen(v)) return "CZHPC_VARIANT leaves it out";
    return backend_variants[v].gpu ? "CZHPC_CUDA_PLUGIN names no GPU's plug-in"
                                   : "this processor lacks it";
}

/* NULL with a SKIP that names it. */
static inline const cz_backend *variant_or_skip(int v)
{
    const cz_backend *backend = variant_backend(v);
    if (!backend) check_skip("%s: %s", backend_variants[v].name, variant_lacks(v));
    return backend;
}

/* Where a backend's operations run. */
static inline cz_exec variant_exec(const cz_backend *backend, const cz_step *step,
                                   cz_arena *scratch)
{
    cz_gpu *gpu = cz_backend_on_gpu(backend) ? variant_gpu() : NULL;
    return (cz_exec){.backend = backend, .step = step, .scratch = scratch, .gpu = gpu};
}

/* What an operation returned, once its work is done. */
static inline cz_status variant_wait(const cz_exec *exec, cz_status status)
{
    return status || !exec->gpu ? status : cz_gpu_wait(exec->gpu);
}

/* Memory that every variant's operations may use, aligned as an arena's is. */
static inline void *shared_room(size_t bytes)
{
    void *room = NULL;
    bool good = true;
    if (variant_gpu()) good = !cz_gpu_allocate_shared(variant_gpu(), &room, bytes);
    else good = !posix_memalign(&room, 64, bytes + !bytes);
    if (!room || !good) exit(2);
    return room;
}
static inline void shared_free(void *room)
{
    if (variant_gpu()) cz_gpu_release(variant_gpu(), room);
    else free(room);
}

static inline void *shared_zeroed(size_t count, size_t size)
{
    void *room = shared_room(count * size);
    memset(room, 0, count * size);
    return room;
}

/* Scratch of such memory. */
static inline cz_arena shared_arena(size_t bytes)
{
    cz_arena arena = {0};
    if (variant_gpu()) arena = (cz_arena){shared_room(bytes), bytes, 0, 0};
    else if (cz_arena_init(&arena, bytes)) exit(2);
    return arena;
}
static inline void shared_arena_free(cz_arena *arena)
{
    if (variant_gpu()) shared_free(arena->base);
    else cz_arena_free(arena);
}

/* How far a result of this type may be from its value, where it is rounded once. */
static inline double variant_tolerance(cz_dtype dtype)
{
    return dtype == CZ_F64 ? TOL_F64_OP : dtype == CZ_F32 ? TOL_F32_OP : TOL_BF16_OP;
}

/* How far a bf16 result may be from the portable level's. */
static inline double levels_tolerance(bool gpu) { return gpu ? TOL_BF16_GPU : TOL_BF16_LEVELS; }

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
