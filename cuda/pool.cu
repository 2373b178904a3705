/* The resampler's pooling: what both directions begin with, and the gradients of what cells share.
 */
#include "pool.h"

#include "device.h"

cz_status pool_open(cz_exec *exec, cz_tensor v, cz_tensor w_out, int H, operand *w, void **u)
{
    int N = cz_rows(v), D = cz_cols(v), width = pool_width(D);
    ptrdiff_t size = D / H, bytes = (ptrdiff_t)cz_dtype_size(v.dtype);
    CZ_TRY(stored_operand(exec, w_out, w));
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
    size_t room = device_of(exec->gpu)->shared;
    int most = (L + QUAD - 1) / QUAD;
    if (most > MOST_WARPS) most = MOST_WARPS;
    while (most > 1 && block + (size_t)most * warp > room) most--;
    *warps = most;
    if (block + (size_t)most * warp <= room) return CZ_OK;
    return cz_fail(CZ_ERR_CONFIG,
                   "model.latents: %d with model.tokens: %d need %zu KiB of memory within GPU %d "
                   "(%s), which has %zu: lower one of them, or set run.device: cpu",
                   L, T, (block + (size_t)most * warp + 1023) >> 10, exec->gpu->number,
                   exec->gpu->name, room >> 10);
}

enum { SUM_COLUMNS = 32, SUM_SLICES = 8 };

/* Where the sums over cells go, each added to. */
struct pool_sums {
    rows_of<real> latents;
    real *b_out, *gain, *bias;
};

/* A column a lane; eight warps have every eighth cell each. */
static __global__ void sum_cells(pool_sums to, const real *partial, int B)
{
    int L = to.latents.rows, D = to.latents.cols, slice = warp_number();
    size_t all = pool_partial(L, D), i = (size_t)blockIdx.x * SUM_COLUMNS + (size_t)lane_number();
    real *sums = (real *)shared_memory(), sum = 0;
    for (int b = slice; b < B && i < all; b += SUM_SLICES) sum += partial[(size_t)b * all + i];
    sums[slice * SUM_COLUMNS + lane_number()] = sum;
    __syncthreads();
    int width = pool_width(D), row = (int)(i / (size_t)width), c = (int)(i % (size_t)width);
    if (slice || i >= all || c >= D) return;
    for (int s = 1; s < SUM_SLICES; s++) sum += sums[s * SUM_COLUMNS + lane_number()];
    real *vector = row == L ? to.b_out : row == L + 1 ? to.gain : to.bias;
    *(row < L ? to.latents.at(row, c) : vector + c) += sum;
}

cz_status pool_sum(cz_exec *exec, const cz_pool_weights *g, const real *partial, int B)
{
    pool_sums to = {view<real>(g->latents), (real *)g->b_out.data, (real *)g->gain.data,
                    (real *)g->bias.data};
    size_t all = pool_partial(to.latents.rows, to.latents.cols);
    return launch(exec, "sum_cells", sum_cells,
                  dim3((unsigned)((all + SUM_COLUMNS - 1) / SUM_COLUMNS)), SUM_COLUMNS * SUM_SLICES,
                  SUM_COLUMNS * SUM_SLICES * sizeof(real), to, partial, B);
}

cz_status pool_products(cz_exec *exec, cz_tensor dv, const cz_pool_weights *g, const void *du,
                        const void *ds, int ldl, operand w, cz_tensor v, cz_tensor k, int H)
{
    int N = cz_rows(v), D = cz_cols(v), L = cz_rows(g->q), size = D / H, width = pool_width(D);
    cz_dtype dtype = v.dtype;
    operand rows = {du, dtype, (ptrdiff_t)H * width, false, width};
    operand columns = {du, dtype, (ptrdiff_t)H * width, true, width};
    operand scores = {ds, dtype, (ptrdiff_t)H * ldl, true, ldl};
    CZ_TRY(product(exec, {dv.data, dtype, dv.ld, false, size}, rows, w, N, size, D, H, 1, {}));
    CZ_TRY(product(exec, {g->w_out.data, CZ_F32, g->w_out.ld, true, size}, columns,
                   {v.data, dtype, v.ld, false, size}, D, size, N, H, 1, {}));
    return product(exec, {g->q.data, CZ_F32, g->q.ld, true, size}, scores,
                   {k.data, dtype, k.ld, false, size}, L, size, N, H, 1, {});
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
