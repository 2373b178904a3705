/* Operations on rows: zero, copy, gather, add, add reversed. */
#include "kernel.h"

/* From column c of a row, of either type. */
INLINE vec load_row(cz_tensor t, int row, int c, const bool wide)
{
    return load_any(t.data, (ptrdiff_t)row * t.ld + c, cz_cols(t) - c, wide);
}
INLINE void store_row(cz_tensor t, int row, int c, vec v, const bool wide)
{
    store_any(t.data, (ptrdiff_t)row * t.ld + c, v, cz_cols(t) - c, wide);
}

INLINE void copy_rows(cz_tensor y, cz_tensor x, const bool y_wide, const bool x_wide)
{
    for (int n = 0; n < cz_rows(y); n++)
        for (int c = 0; c < cz_cols(y); c += LANES)
            store_row(y, n, c, load_row(x, n, c, x_wide), y_wide);
}

/* y += scale x. */
INLINE void add_rows(cz_tensor y, cz_tensor x, real scale, const bool y_wide, const bool x_wide)
{
    for (int n = 0; n < cz_rows(y); n++)
        for (int c = 0; c < cz_cols(y); c += LANES) {
            vec sum = broadcast(scale) * load_row(x, n, c, x_wide) + load_row(y, n, c, y_wide);
            store_row(y, n, c, sum, y_wide);
        }
}

static void add_scaled(cz_tensor y, cz_tensor x, real scale)
{
    if (is_wide(y) && is_wide(x)) add_rows(y, x, scale, true, true);
    else if (is_wide(y)) add_rows(y, x, scale, true, false);
    else if (is_wide(x)) add_rows(y, x, scale, false, true);
    else add_rows(y, x, scale, false, false);
}

cz_status K(zero)(cz_exec *exec, cz_tensor x)
{
    (void)exec;
    for (int n = 0; n < cz_rows(x); n++)
        memset(cz_at(x, n, 0), 0, (size_t)cz_cols(x) * cz_dtype_size(x.dtype));
    return CZ_OK;
}

cz_status K(copy)(cz_exec *exec, cz_tensor y, cz_tensor x)
{
    (void)exec;
    if (is_wide(y) && !is_wide(x)) copy_rows(y, x, true, false);
    else if (is_wide(x) && !is_wide(y)) copy_rows(y, x, false, true);
    else
        for (int n = 0; n < cz_rows(x); n++)
            memmove(cz_at(y, n, 0), cz_at(x, n, 0), (size_t)cz_cols(x) * cz_dtype_size(x.dtype));
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

/* y = x of C elements, from fp32. */
static void convert_row(stored *restrict y, const float *restrict x, int C)
{
#if CZ_STORED_BITS == 64
    for (int c = 0; c < C; c++) y[c] = x[c];
#else
    for (int c = 0; c < C; c += LANES) store_next(y + c, load_next(x + c, C - c), C - c);
#endif
}

cz_status K(gather_rows)(cz_exec *exec, cz_tensor y, cz_tensor x, const int32_t *index)
{
    (void)exec;
    int C = cz_cols(y), M = cz_rows(x);
    for (int n = 0; n < cz_rows(y); n++) {
        if (index[n] < 0 || index[n] >= M)
            return cz_fail(CZ_ERR_BUG, "cz_gather_rows: index %d of row %d is not one of %d rows",
                           index[n], n, M);
        convert_row(tensor_row(y, n), (const float *)x.data + (size_t)index[n] * (size_t)x.ld, C);
    }
    return CZ_OK;
}
