/* The resampler's LayerNorm and mean over latents. One cell's (L, D) rows at a time, which stay
 * in the cache: they are computed again in backward rather than kept. */
#include "pooling.h"

static const real EPS = (real)1e-5;

/* Rows that go through together: their sums are chains of additions that wait for each other. */
enum { TOGETHER = 4 };

/* A cell, and what all of its rows share. */
typedef struct cell {
    const real *bias; /* of the projection */
    cz_tensor latents, dlatents;
    const uint8_t *bits;
    real scale;
    int D;
    stored *dz;        /* (L, D) */
    real *mean, *rstd; /* (L) */
    real *g;           /* gain dy / L */
    real *total;       /* sum over rows of (s - mean) rstd */
    real *dbias;       /* sum over rows of dz */
    vec g_mean;
} cell;

static cell open_cell(const pool *p, int i)
{
    int b = p->first + i;
    return (cell){.bias = p->w->b_out.data,
                  .latents = p->w->latents,
                  .dlatents = p->dw ? p->dw->latents : (cz_tensor){0},
                  .bits = cell_mask(p->drop_out, b, p->L * p->D),
                  .scale = drop_scale(p->drop_out),
                  .D = p->D,
                  .dz = p->dw ? dz_of(p, i) : NULL,
                  .mean = wide_row(p->mean, b),
                  .rstd = wide_row(p->rstd, b),
                  .g = p->row[0],
                  .total = p->row[1],
                  .dbias = p->row[2]};
}

/* Columns from c of row l, dropped. */
INLINE vec drop_row(const cell *w, vec v, int l, int c)
{
    return dropped(v, w->bits, (size_t)l * (size_t)w->D + (size_t)c, w->scale, w->D - c);
}

/* s = latents[l] + drop(z[l] + b_out) at column c. */
INLINE vec residual_sum(const cell *w, const real *z, int l, int c)
{
    int left = w->D - c;
    vec s = load_next(z + c, left) + load_next(w->bias + c, left);
    return drop_row(w, s, l, c) + load_next(wide_row(w->latents, l) + c, left);
}

/* `rows` rows from l, the first at z. */
INLINE void forward_rows(const int rows, const cell *w, real *z, int l)
{
    int D = w->D;
    vec sum[TOGETHER], squares[TOGETHER], mean[TOGETHER], rstd[TOGETHER];
    UNROLL for (int r = 0; r < rows; r++) sum[r] = squares[r] = (vec){0};
    for (int c = 0; c < D; c += LANES) UNROLL for (int r = 0; r < rows; r++)
        {
            vec s = residual_sum(w, z + r * D, l + r, c);
            store_next(z + r * D + c, s, D - c);
            sum[r] += s;
        }
    UNROLL for (int r = 0; r < rows; r++)
    {
        w->mean[l + r] = sum_lanes(sum[r]) / (real)D;
        mean[r] = broadcast(w->mean[l + r]);
    }
    for (int c = 0; c < D; c += LANES) UNROLL for (int r = 0; r < rows; r++)
        {
            vec d = keep_next(load_next(z + r * D + c, D - c) - mean[r], (vec){0}, D - c);
            squares[r] += d * d;
        }
    UNROLL for (int r = 0; r < rows; r++)
    {
        w->rstd[l + r] = inverse_root(sum_lanes(squares[r]) / (real)D + EPS);
        rstd[r] = broadcast(w->rstd[l + r]);
    }
    for (int c = 0; c < D; c += LANES) {
        vec hat = {0};
        UNROLL for (int r = 0; r < rows; r++) hat +=
            (load_next(z + r * D + c, D - c) - mean[r]) * rstd[r];
        add_next(w->total + c, hat, D - c);
    }
}

void K(pool_norm_forward)(pool *p, int i, real *z)
{
    int D = p->D, l = 0;
    cell w = open_cell(p, i);
    memset(w.total, 0, (size_t)D * sizeof *w.total);
    for (; l + TOGETHER <= p->L; l += TOGETHER, z += TOGETHER * D) forward_rows(TOGETHER, &w, z, l);
    for (; l < p->L; l++, z += D) forward_rows(1, &w, z, l);

    stored *y = tensor_row(p->y, p->first + i);
    const real *gain = p->w->gain.data, *bias = p->w->bias.data;
    vec share = broadcast(1 / (real)p->L);
    for (int c = 0; c < D; c += LANES) {
        vec mean = load_next(w.total + c, D - c) * share;
        store_next(y + c, load_next(gain + c, D - c) * mean + load_next(bias + c, D - c), D - c);
    }
}

/* With hat = (s - mean) rstd and g = gain dy / L, the same for every latent:
 *   ds[l] = rstd[l] (g - mean_c(g) - hat[l] mean_c(g hat[l])) */
INLINE void backward_rows(const int rows, const cell *w, real *z, int l)
{
    int D = w->D;
    vec dot[TOGETHER], rstd[TOGETHER];
    UNROLL for (int r = 0; r < rows; r++) dot[r] = (vec){0};
    for (int c = 0; c < D; c += LANES) {
        vec g = load_next(w->g + c, D - c), total = {0};
        UNROLL for (int r = 0; r < rows; r++)
        {
            vec hat = residual_sum(w, z + r * D, l + r, c) - broadcast(w->mean[l + r]);
            hat *= broadcast(w->rstd[l + r]);
            store_next(z + r * D + c, hat, D - c);
            total += hat;
            dot[r] += g * hat;
        }
        add_next(w->total + c, total, D - c);
    }
    UNROLL for (int r = 0; r < rows; r++)
    {
        dot[r] = broadcast(sum_lanes(dot[r]) / (real)D);
        rstd[r] = broadcast(w->rstd[l + r]);
    }
    for (int c = 0; c < D; c += LANES) {
        vec g = load_next(w->g + c, D - c) - w->g_mean, dbias = {0};
        UNROLL for (int r = 0; r < rows; r++)
        {
            vec ds = (g - load_next(z + r * D + c, D - c) * dot[r]) * rstd[r];
            add_next(wide_row(w->dlatents, l + r) + c, ds, D - c);
            ds = drop_row(w, ds, l + r, c);
            store_next(w->dz + (l + r) * D + c, ds, D - c);
            dbias += ds;
        }
        add_next(w->dbias + c, dbias, D - c);
    }
}

void K(pool_norm_backward)(pool *p, int i, real *z)
{
    int D = p->D, l = 0;
    cell w = open_cell(p, i);
    const stored *dy = tensor_row(p->y, p->first + i);
    const real *gain = p->w->gain.data;
    vec share = broadcast(1 / (real)p->L), sum = {0};
    for (int c = 0; c < D; c += LANES) {
        vec g = load_next(gain + c, D - c) * load_next(dy + c, D - c) * share;
        store_next(w.g + c, g, D - c);
        sum += g;
    }
    w.g_mean = broadcast(sum_lanes(sum) / (real)D);
    memset(w.total, 0, (size_t)D * sizeof *w.total);
    memset(w.dbias, 0, (size_t)D * sizeof *w.dbias);
    for (; l + TOGETHER <= p->L; l += TOGETHER, z += TOGETHER * D)
        backward_rows(TOGETHER, &w, z, l);
    for (; l < p->L; l++, z += D) backward_rows(1, &w, z, l);

    real *dgain = p->dw->gain.data, *dbias = p->dw->bias.data, *db_out = p->dw->b_out.data;
    for (int c = 0; c < D; c += LANES) {
        vec dyc = load_next(dy + c, D - c);
        add_next(dgain + c, dyc * share * load_next(w.total + c, D - c), D - c);
        add_next(dbias + c, dyc, D - c);
        add_next(db_out + c, load_next(w.dbias + c, D - c), D - c);
    }
}
