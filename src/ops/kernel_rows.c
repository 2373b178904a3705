/* Operations on rows: zero, copy, gather, add, add reversed. */
#include "kernel.h"

/* y += scale x, both (N, C). */
static void add_scaled(cz_tensor y, cz_tensor x, real scale)
{
    int C = cz_cols(y);
    for (int n = 0; n < cz_rows(y); n++) {
        real *yn = tensor_row(y, n);
        const real *xn = tensor_row(x, n);
        for (int c = 0; c < C; c += LANES) {
            int count = C - c < LANES ? C - c : LANES;
            vec sum = broadcast(scale) * load_most(xn + c, count) + load_most(yn + c, count);
            store_most(yn + c, sum, count);
        }
    }
}

cz_status K(zero)(cz_exec *exec, cz_tensor x)
{
    (void)exec;
    for (int n = 0; n < cz_rows(x); n++)
        memset(tensor_row(x, n), 0, (size_t)cz_cols(x) * sizeof(real));
    return CZ_OK;
}

cz_status K(copy)(cz_exec *exec, cz_tensor y, cz_tensor x)
{
    (void)exec;
    for (int n = 0; n < cz_rows(x); n++)
        memmove(tensor_row(y, n), tensor_row(x, n), (size_t)cz_cols(x) * sizeof(real));
    return CZ_OK;
}

cz_status K(add)(cz_exec *exec, cz_tensor y, cz_tensor x)
{
    (void)exec;
    add_scaled(y, x, 1);
    return CZ_OK;
}

cz_status K(add_reversed)(cz_exec *exec, cz_tensor dx, cz_tensor dy)
{
    add_scaled(dx, dy, (real)-exec->step->lambda);
    return CZ_OK;
}

cz_status K(gather_rows)(cz_exec *exec, cz_tensor y, cz_tensor x, const int32_t *index)
{
    (void)exec;
    int C = cz_cols(y), M = cz_rows(x);
    for (int n = 0; n < cz_rows(y); n++) {
        if (index[n] < 0 || index[n] >= M)
            return cz_fail(CZ_ERR_BUG, "cz_gather_rows: index %d of row %d is not one of %d rows",
                           index[n], n, M);
        real *restrict yn = tensor_row(y, n);
        const float *xn = (const float *)x.data + (size_t)index[n] * (size_t)x.ld;
        for (int c = 0; c < C; c++) yn[c] = (real)xn[c];
    }
    return CZ_OK;
}
