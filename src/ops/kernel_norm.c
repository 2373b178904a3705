/* LayerNorm of a residual sum, with dropout on what is added. */
#include "vector.h"

/* A row of the rows of all cells, and its place in the mask of its cell. */
typedef struct dropout_rows {
    const cz_dropout *drop;
    int cell_rows, C;
    real scale;
} dropout_rows;

static dropout_rows rows_with(const cz_dropout *drop, int cells, int N, int C)
{
    return (dropout_rows){drop, drop && cells ? N / cells : 1, C, drop_scale(drop)};
}
INLINE const uint8_t *row_mask(const dropout_rows *d, int n, size_t *at)
{
    *at = (size_t)(n % d->cell_rows) * (size_t)d->C;
    return cell_mask(d->drop, n / d->cell_rows, d->cell_rows * d->C);
}

/* s = residual + drop(x) in x's place; its mean and 1 / sqrt(variance + eps), in two passes. */
static void sum_row(stored *x, const stored *residual, int C, const uint8_t *bits, size_t at,
                    real scale, real eps, real *mean, real *rstd)
{
    vec sum = {0}, squares = {0};
    for (int c = 0; c < C; c += LANES) {
        vec s = dropped(load_next(x + c, C - c), bits, at + (size_t)c, scale, C - c);
        s += load_next(residual + c, C - c);
        store_next(x + c, s, C - c);
        sum += s;
    }
    real m = sum_lanes(sum) / (real)C;
    for (int c = 0; c < C; c += LANES) {
        vec d = keep_next(load_next(x + c, C - c) - broadcast(m), (vec){0}, C - c);
        squares += d * d;
    }
    *mean = m;
    *rstd = inverse_root(sum_lanes(squares) / (real)C + eps);
}

cz_status K(add_dropout_norm_forward)(cz_exec *exec, cz_tensor y, cz_tensor mean, cz_tensor rstd,
                                      cz_tensor x, cz_tensor residual, cz_tensor gain,
                                      cz_tensor bias, double eps, const cz_dropout *drop, int cells)
{
    int N = cz_rows(x), C = cz_cols(x);
    const real *g = gain.data, *b = bias.data;
    real *m = mean.data, *r = rstd.data;
    dropout_rows d = rows_with(drop, cells, N, C);
    draw_masks(exec, drop, cells, d.cell_rows * C);
    for (int n = 0; n < N; n++) {
        size_t at;
        const uint8_t *bits = row_mask(&d, n, &at);
        stored *yn = tensor_row(y, n), *xn = tensor_row(x, n);
        sum_row(xn, tensor_row(residual, n), C, bits, at, d.scale, (real)eps, m + n, r + n);
        for (int c = 0; c < C; c += LANES) {
            vec hat = (load_next(xn + c, C - c) - broadcast(m[n])) * broadcast(r[n]);
            store_next(yn + c, load_next(g + c, C - c) * hat + load_next(b + c, C - c), C - c);
        }
    }
    return CZ_OK;
}

/* With hat = (s - mean) rstd and g = gain dy:
 *   ds = rstd (g - mean_c(g) - hat mean_c(g hat)) */
cz_status K(add_dropout_norm_backward)(cz_exec *exec, cz_tensor dx, cz_tensor dresidual,
                                       cz_tensor dgain, cz_tensor dbias, cz_tensor dy, cz_tensor s,
                                       cz_tensor mean, cz_tensor rstd, cz_tensor gain,
                                       const cz_dropout *drop, int cells)
{
    (void)exec;
    int N = cz_rows(dy), C = cz_cols(dy);
    const real *gains = gain.data;
    real *dg = dgain.data, *db = dbias.data;
    dropout_rows d = rows_with(drop, cells, N, C);
    for (int n = 0; n < N; n++) {
        size_t at;
        const uint8_t *bits = row_mask(&d, n, &at);
        const stored *dyn = tensor_row(dy, n), *sn = tensor_row(s, n);
        stored *dxn = tensor_row(dx, n), *drn = tensor_row(dresidual, n);
        vec m = broadcast(((real *)mean.data)[n]), r = broadcast(((real *)rstd.data)[n]);
        vec sum = {0}, dot = {0};
        for (int c = 0; c < C; c += LANES) {
            vec dyc = load_next(dyn + c, C - c), hat = (load_next(sn + c, C - c) - m) * r;
            vec g = load_next(gains + c, C - c) * dyc;
            sum += g;
            dot += g * hat;
            add_next(dg + c, dyc * hat, C - c);
            add_next(db + c, dyc, C - c);
        }
        vec g_mean = broadcast(sum_lanes(sum) / (real)C);
        vec dot_mean = broadcast(sum_lanes(dot) / (real)C);
        for (int c = 0; c < C; c += LANES) {
            vec hat = (load_next(sn + c, C - c) - m) * r;
            vec g = load_next(gains + c, C - c) * load_next(dyn + c, C - c);
            vec ds = r * (g - g_mean - hat * dot_mean);
            store_next(drn + c, ds, C - c);
            store_next(dxn + c, dropped(ds, bits, at + (size_t)c, d.scale, C - c), C - c);
        }
    }
    return CZ_OK;
}
