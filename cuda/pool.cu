/* The resampler's pooling: what both directions begin with. */
#include "pool.h"

/* W_o, (D, D), of the type of activations; rows of D where it is a copy. */
static cz_status stored_weights(cz_exec *exec, cz_tensor w, cz_dtype dtype, operand *to)
{
    int D = cz_cols(w);
    *to = {w.data, dtype, w.ld, false, 0};
    if (dtype == w.dtype) return CZ_OK;
    *to = {w.packed, dtype, D, false, 0};
    if (w.packed) return CZ_OK;
    void *copy = cz_arena_take(exec->scratch, (size_t)D * (size_t)D * cz_dtype_size(dtype));
    if (!copy) return CZ_ERR_MEMORY;
    to->data = copy;
    return exec->backend->copy(exec, cz_matrix(copy, dtype, D, D), w);
}

cz_status pool_open(cz_exec *exec, cz_tensor v, cz_tensor w_out, int H, operand *w, void **u)
{
    int N = cz_rows(v), D = cz_cols(v), width = pool_width(D);
    ptrdiff_t size = D / H, bytes = (ptrdiff_t)cz_dtype_size(v.dtype);
    CZ_TRY(stored_weights(exec, w_out, v.dtype, w));
    *u = cz_arena_take(exec->scratch, (size_t)N * (size_t)H * (size_t)(width * bytes));
    if (!*u) return CZ_ERR_MEMORY;
    w->step = size;
    operand head = *w;
    head.transposed = true;
    return product(exec, {*u, v.dtype, (ptrdiff_t)H * width, false, width},
                   {v.data, v.dtype, v.ld, false, size}, head, N, D, (int)size, H, 1, {});
}

cz_status pool_fit(const cz_exec *exec, int T, int L, size_t block, size_t warp, int *warps)
{
    enum : size_t { SHARED_MOST = 227 << 10 };
    int most = (L + QUAD - 1) / QUAD;
    if (most > MOST_WARPS) most = MOST_WARPS;
    while (most > 1 && block + (size_t)most * warp > SHARED_MOST) most--;
    *warps = most;
    if (block + (size_t)most * warp <= SHARED_MOST) return CZ_OK;
    return cz_fail(CZ_ERR_CONFIG,
                   "model.latents: %d with model.tokens: %d need %zu KiB of memory within GPU %d "
                   "(%s), which has %zu: lower one of them, or set run.device: cpu",
                   L, T, (block + (size_t)most * warp + 1023) >> 10, exec->gpu->number,
                   exec->gpu->name, SHARED_MOST >> 10);
}

static size_t taken(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

size_t pool_scratch(int B, int T, int L, int D, int H, cz_dtype dtype)
{
    size_t size = cz_dtype_size(dtype), rows = (size_t)B * (size_t)T * (size_t)H;
    return taken(rows * (size_t)pool_width(D) * size) +
           taken(dtype == CZ_BF16 ? (size_t)D * (size_t)D * size : 0) +
           taken(rows * (size_t)pool_width(L) * size) +
           taken((size_t)B * pool_partial(L, D) * sizeof(real));
}

void fill_pool(cuda_tables t)
{
    fill_pool_forward(t);
    fill_pool_backward(t);
}
