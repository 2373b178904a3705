/* Which backends this build has and which of them this processor can run. */
#include "backend.h"

#include <string.h>

extern const cz_backend cz_backend_portable_f32, cz_backend_portable_f64;
#ifdef CZ_X86_LEVELS
extern const cz_backend cz_backend_avx2_f32, cz_backend_avx512_f32;
#endif

static const char *const names[CZ_LEVELS] = {"portable", "avx2", "avx512"};

const char *cz_level_name(cz_level level) { return names[level]; }

bool cz_level_parse(const char *name, cz_level *level)
{
    for (int i = 0; i < CZ_LEVELS; i++)
        if (strcmp(name, names[i]) == 0) {
            *level = (cz_level)i;
            return true;
        }
    return false;
}

cz_level cz_level_best(void)
{
#ifdef CZ_X86_LEVELS
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return CZ_LEVEL_PORTABLE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return CZ_LEVEL_AVX512;
    return CZ_LEVEL_AVX2;
#else
    return CZ_LEVEL_PORTABLE;
#endif
}

const cz_backend *cz_backend_cpu(cz_dtype dtype, cz_level level)
{
    if (level > cz_level_best()) return NULL;
    if (level == CZ_LEVEL_PORTABLE)
        return dtype == CZ_F64 ? &cz_backend_portable_f64 : &cz_backend_portable_f32;
#ifdef CZ_X86_LEVELS
    if (dtype == CZ_F32)
        return level == CZ_LEVEL_AVX2 ? &cz_backend_avx2_f32 : &cz_backend_avx512_f32;
#endif
    return NULL;
}

const char *cz_backend_name(const cz_backend *backend) { return backend->name; }
cz_dtype cz_backend_dtype(const cz_backend *backend) { return backend->dtype; }
double cz_peak_gflops(const cz_backend *backend) { return backend->peak_gflops(); }
