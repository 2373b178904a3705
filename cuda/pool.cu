/* The resampler's pooling: what both directions begin with, and products of the way back. */
#include "pool.h"

#include "deferred.h"
#include "device.h"

cz_status pool_open(cz_exec *exec, cz_tensor v, cz_tensor w_out, int H, cz_tensor kept, bool there,
                    operand *w, void **u)
{
    int N = cz_rows(v), D = cz_cols(v), width = pool_width(D);
    ptrdiff_t size = D / H, bytes = (ptrdiff_t)cz_dtype_size(v.dtype);
    CZ_TRY(stored_operand(exec, w_out, w));
    w->step = size;
    *u = kept.data;
    if (*u && there) return CZ_OK;
    if (!*u)
        CZ_TRY(take_scratch(exec, (char **)u, (size_t)N * (size_t)H * (size_t)(width * bytes)));
    operand head = *w;
    head.transposed = true;
    return product(exec, {*u, v.dtype, (ptrdiff_t)H * width, false, width},
                   {v.data, v.dtype, v.ld, false, size}, head, N, D, (int)size, H, 1, {});
}

int pool_warps(const cz_exec *exec, int L, size_t block, size_t warp)
{
    int most = whole_tiles(L) / QUAD;
    if (most > MOST_WARPS) most = MOST_WARPS;
    while (most > 0 && block + (size_t)most * warp > device_of(exec->gpu)->shared)
        most -= LEAST_WARPS;
    return most;
}

cz_status pool_fit(const cz_exec *exec, int T, int L, int rows, size_t u_row, size_t block,
                   size_t warp, int *u_rows, int *warps)
{
    size_t room = device_of(exec->gpu)->shared, least = block + TILE * u_row + LEAST_WARPS * warp;
    *u_rows = whole_tiles(rows);
    while (!(*warps = pool_warps(exec, L, block + (size_t)*u_rows * u_row, warp)) && *u_rows > TILE)
        *u_rows = whole_tiles(*u_rows / 2);
    if (*warps) return CZ_OK;
    return cz_fail(CZ_ERR_CONFIG,
                   "model.latents: %d with model.tokens: %d need %zu KiB of memory within GPU %d "
                   "(%s), which has %zu: lower one of them, or set run.device: cpu",
                   L, T, (least + 1023) >> 10, exec->gpu->number, exec->gpu->name, room >> 10);
}

cz_status pool_products(cz_exec *exec, cz_tensor dv, const cz_pool_weights *g, const void *du,
                        const void *ds, int ldl, const float *left, operand w, cz_tensor v,
                        cz_tensor k, int H)
{
    int N = cz_rows(v), D = cz_cols(v), L = cz_rows(g->q), size = D / H, width = pool_width(D);
    int B = v.dim[0], each = (int)pool_partial(L, D);
    cz_dtype dtype = v.dtype;
    operand rows = {du, dtype, (ptrdiff_t)H * width, false, width};
    cz_tensor all_du = cz_matrix((void *)du, dtype, N, H * width);
    cz_tensor all_ds = cz_matrix((void *)ds, dtype, N, H * ldl), none = {};
    cz_tensor all_left = cz_matrix((void *)left, CZ_F32, B, each);
    const cz_tensor vectors[] = {g->b_out, g->gain, g->bias};
    CZ_TRY(product(exec, {dv.data, dtype, dv.ld, false, size}, rows, w, N, size, D, H, 1, {}));
    CZ_TRY(defer_products(exec, {g->w_out, size, size}, none, {all_du, D, width}, {v, size, size},
                          H, true));
    CZ_TRY(
        defer_products(exec, {g->q, size, size}, none, {all_ds, L, ldl}, {k, size, size}, H, true));
    return defer_cells(exec, g->latents, vectors, all_left, width);
}

static size_t taken(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

size_t pool_scratch(int B, int T, int L, int D, int H, cz_dtype dtype)
{
    size_t size = cz_dtype_size(dtype), rows = (size_t)B * (size_t)T * (size_t)H;
    return taken(rows * (size_t)pool_width(D) * size) +
           taken(dtype == CZ_BF16 ? (size_t)D * (size_t)D * size : 0) +
           taken(rows * (size_t)pool_width(L) * size) +
           taken((size_t)B * pool_partial(L, D) * sizeof(real)) +
           taken((size_t)B * (size_t)whole_tiles(L) * (size_t)(whole_tiles(D) * (int)size + 16));
}

void fill_pool(cuda_tables t)
{
    fill_pool_forward(t);
    fill_pool_backward(t);
}
