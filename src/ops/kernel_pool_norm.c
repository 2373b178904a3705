/* The resampler's LayerNorm and mean over latents. One cell's (L, D) rows at a time, which stay
 * in the cache: they are computed again in backward rather than kept. */
#include "pool.h"

static const real EPS = (real)1e-5;

INLINE real inverse_root(real x)
{
    return 1 / (REAL_DTYPE == CZ_F64 ? (real)sqrt((double)x) : (real)sqrtf((float)x));
}

/* latents[l] + drop(z[l] + b_out) at column c of row l. */
INLINE vec residual_sum(const pool *p, const real *z, const uint8_t *bits, real scale, int l, int c)
{
    int D = p->D, left = D - c;
    vec s = load_next(z + c, left) + load_next((real *)p->w->b_out.data + c, left);
    s = dropped(s, bits, (size_t)l * (size_t)D + (size_t)c, scale, left);
    return s + load_next(tensor_row(p->w->latents, l) + c, left);
}

void K(pool_norm_forward)(pool *p, int i, real *z)
{
    int D = p->D, cell = p->first + i;
    const uint8_t *bits = cell_mask(p->drop_out, cell, p->L * D);
    real scale = drop_scale(p->drop_out), *total = p->row[0];
    const real *gain = p->w->gain.data, *bias = p->w->bias.data;
    memset(total, 0, (size_t)D * sizeof *total);
    for (int l = 0; l < p->L; l++, z += D) {
        vec sum = {0}, squares = {0};
        for (int c = 0; c < D; c += LANES) {
            vec s = residual_sum(p, z, bits, scale, l, c);
            store_next(z + c, s, D - c);
            sum += s;
        }
        real mean = sum_lanes(sum) / (real)D;
        for (int c = 0; c < D; c += LANES) {
            vec d = keep_next(load_next(z + c, D - c) - broadcast(mean), (vec){0}, D - c);
            squares += d * d;
        }
        real rstd = inverse_root(sum_lanes(squares) / (real)D + EPS);
        for (int c = 0; c < D; c += LANES) {
            vec hat = (load_next(z + c, D - c) - broadcast(mean)) * broadcast(rstd);
            store_next(total + c, load_next(total + c, D - c) + hat, D - c);
        }
        tensor_row(p->mean, cell)[l] = mean;
        tensor_row(p->rstd, cell)[l] = rstd;
    }
    real *y = tensor_row(p->y, cell);
    vec share = broadcast(1 / (real)p->L);
    for (int c = 0; c < D; c += LANES) {
        vec mean = load_next(total + c, D - c) * share;
        store_next(y + c, load_next(gain + c, D - c) * mean + load_next(bias + c, D - c), D - c);
    }
}

INLINE void add_to(real *to, vec v, int left) { store_next(to, load_next(to, left) + v, left); }

/* With hat = (s - mean) rstd and g = gain dy / L, the same for every latent:
 *   ds[l] = rstd[l] (g - mean_c(g) - hat[l] mean_c(g hat[l])) */
void K(pool_norm_backward)(pool *p, int i, real *z)
{
    int D = p->D, cell = p->first + i;
    const uint8_t *bits = cell_mask(p->drop_out, cell, p->L * D);
    real scale = drop_scale(p->drop_out);
    real *g = p->row[0], *total = p->row[1], *dbias = p->row[2];
    const real *dy = tensor_row(p->y, cell), *gain = p->w->gain.data;
    vec share = broadcast(1 / (real)p->L), g_sum = {0};
    for (int c = 0; c < D; c += LANES) {
        vec gc = load_next(gain + c, D - c) * load_next(dy + c, D - c) * share;
        store_next(g + c, gc, D - c);
        g_sum += gc;
    }
    vec g_mean = broadcast(sum_lanes(g_sum) / (real)D);
    memset(total, 0, (size_t)D * sizeof *total);
    memset(dbias, 0, (size_t)D * sizeof *dbias);
    for (int l = 0; l < p->L; l++, z += D) {
        vec mean = broadcast(tensor_row(p->mean, cell)[l]);
        vec rstd = broadcast(tensor_row(p->rstd, cell)[l]), dot = {0};
        real *dlatent = tensor_row(p->dw->latents, l);
        for (int c = 0; c < D; c += LANES) {
            vec hat = (residual_sum(p, z, bits, scale, l, c) - mean) * rstd;
            store_next(z + c, hat, D - c);
            add_to(total + c, hat, D - c);
            dot += load_next(g + c, D - c) * hat;
        }
        vec dot_mean = broadcast(sum_lanes(dot) / (real)D);
        for (int c = 0; c < D; c += LANES) {
            vec ds = load_next(g + c, D - c) - g_mean - load_next(z + c, D - c) * dot_mean;
            ds *= rstd;
            add_to(dlatent + c, ds, D - c);
            ds = dropped(ds, bits, (size_t)l * (size_t)D + (size_t)c, scale, D - c);
            store_next(z + c, ds, D - c);
            add_to(dbias + c, ds, D - c);
        }
    }
    real *to_b = p->dw->b_out.data, *to_gain = p->dw->gain.data, *to_bias = p->dw->bias.data;
    for (int c = 0; c < D; c += LANES) {
        vec dyc = load_next(dy + c, D - c);
        add_to(to_gain + c, dyc * share * load_next(total + c, D - c), D - c);
        add_to(to_bias + c, dyc, D - c);
        add_to(to_b + c, load_next(dbias + c, D - c), D - c);
    }
}
