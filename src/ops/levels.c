/* Which backends this build has and which of them this processor can run. */
#include "czhpc/backend.h"

#include <string.h>

#ifdef CZ_X86_LEVELS
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

extern const cz_backend cz_backend_portable_f32, cz_backend_portable_f64, cz_backend_portable_bf16;
#ifdef CZ_X86_LEVELS
extern const cz_backend cz_backend_avx2_f32, cz_backend_avx512_f32, cz_backend_avx512_bf16,
    cz_backend_amx_bf16;
#endif

/* By type and level; NULL where there are no such kernels. */
static const cz_backend *const built[][CZ_LEVELS] = {
#ifdef CZ_X86_LEVELS
    [CZ_F32] = {&cz_backend_portable_f32, &cz_backend_avx2_f32, &cz_backend_avx512_f32},
    [CZ_BF16] = {&cz_backend_portable_bf16, [CZ_LEVEL_AVX512] = &cz_backend_avx512_bf16,
                 &cz_backend_amx_bf16},
#else
    [CZ_F32] = {&cz_backend_portable_f32},
    [CZ_BF16] = {&cz_backend_portable_bf16},
#endif
    [CZ_F64] = {&cz_backend_portable_f64},
};

static const char *const names[CZ_LEVELS] = {"portable", "avx2", "avx512", "amx"};

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

#ifdef CZ_X86_LEVELS
static bool has_bf16_pairs(void)
{
    const unsigned avx512_bf16 = 1u << 5;
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & avx512_bf16;
}

#ifdef CZ_EMULATED_TILES
static bool has_amx(void) { return true; }
#else
/* CPUID says so, and Linux lets this process keep tiles, for which it must be asked. */
static bool has_amx(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    const unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24;
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || ~d & (amx_bf16 | amx_tile)) return false;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
}
#endif

/* The highest whose instructions for a type are here. */
static cz_level highest_level(cz_dtype dtype)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return CZ_LEVEL_PORTABLE;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return CZ_LEVEL_AVX2;
    if (dtype != CZ_BF16) return CZ_LEVEL_AVX512;
    if (!has_bf16_pairs()) return CZ_LEVEL_AVX2;
    return has_amx() ? CZ_LEVEL_AMX : CZ_LEVEL_AVX512;
}
#else
static cz_level highest_level(cz_dtype dtype)
{
    (void)dtype;
    return CZ_LEVEL_PORTABLE;
}
#endif

const cz_backend *cz_backend_cpu(cz_dtype dtype, cz_level level)
{
    return level <= highest_level(dtype) ? built[dtype][level] : NULL;
}

const cz_backend *cz_backend_best(cz_dtype dtype, cz_level most)
{
    cz_level level = highest_level(dtype);
    if (level > most) level = most;
    while (!built[dtype][level]) level--;
    return built[dtype][level];
}

cz_level cz_level_best(cz_dtype dtype) { return cz_backend_best(dtype, CZ_LEVELS - 1)->level; }

const char *cz_backend_name(const cz_backend *backend) { return backend->name; }
cz_dtype cz_backend_dtype(const cz_backend *backend) { return backend->dtype; }
cz_level cz_backend_level(const cz_backend *backend) { return backend->level; }
bool cz_backend_on_gpu(const cz_backend *backend) { return backend->gpu; }
size_t cz_ops_scratch(const cz_backend *backend, int rows, int cols, int L, int T, int D, int H)
{
    return backend->scratch(rows, cols, L, T, D, H);
}
size_t cz_packed_bytes(const cz_backend *backend, int C, int K)
{
    return backend->packed_bytes(C, K);
}
void cz_pack(const cz_backend *backend, void *packed, cz_tensor w, int row, int rows)
{
    backend->pack(packed, w, row, rows);
}
double cz_peak_gflops(const cz_backend *backend) { return backend->peak_gflops(); }
