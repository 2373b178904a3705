/* The tables of operations, one for each type of activations. */
#include "device.h"

static size_t nothing_packed(int, int) { return 0; }
static void pack_nothing(void *, cz_tensor, int, int) {}
static double peak_unknown(void) { return 0; }

/* The copy of a matrix of weights and of a bias that were not given as activations are stored, or
 * what the largest other operation takes. */
static size_t scratch(int rows, int cols, int L, int T, int D, int H, cz_dtype dtype)
{
    size_t wide = (size_t)cols, weights = (wide + 1) * wide * sizeof(bf16) + 128;
    size_t cells = (size_t)(rows + T - 1) / (size_t)T, attention = attention_scratch(rows, cols);
    size_t pool = pool_scratch((int)cells, T, L, D, H, dtype);
    size_t most = pool > attention ? pool : attention;
    size_t heads = heads_scratch((int)cells, D, dtype) + weights;
    return most > heads ? most : heads;
}
static size_t scratch_f32(int rows, int cols, int L, int T, int D, int H)
{
    return scratch(rows, cols, L, T, D, H, CZ_F32);
}
static size_t scratch_bf16(int rows, int cols, int L, int T, int D, int H)
{
    return scratch(rows, cols, L, T, D, H, CZ_BF16);
}

static cz_backend named(const char *name, cz_dtype dtype)
{
    cz_backend t = {};
    t.name = name;
    t.dtype = dtype;
    t.level = CZ_LEVEL_PORTABLE;
    t.gpu = true;
    t.packed_bytes = nothing_packed;
    t.pack = pack_nothing;
    t.peak_gflops = peak_unknown;
    return t;
}

namespace
{
struct tables {
    cz_backend f32 = named("cuda, fp32", CZ_F32), bf16 = named("cuda, bf16", CZ_BF16);
    tables()
    {
        cuda_tables both = {&f32, &bf16};
        f32.scratch = scratch_f32;
        bf16.scratch = scratch_bf16;
        fill_rows(both);
        fill_adam(both);
        fill_norm(both);
        fill_loss(both);
        fill_attention(both);
        fill_pool(both);
        fill_linear(both);
        fill_heads(both);
    }
};
} // namespace

const cz_backend *gpu_backend(const cz_gpu *, cz_dtype dtype)
{
    static const tables all;
    return dtype == CZ_F32 ? &all.f32 : dtype == CZ_BF16 ? &all.bf16 : nullptr;
}
