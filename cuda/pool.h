/* The resampler's pooling, in its factored form whatever was asked for: U[t, h] = W_o[:, h] v_h[t]
 * of all cells by a product (pool.cu), then a block a cell from scores to the mean over latents
 * (pool_forward.cu), and all of it back (pool_backward.cu).
 *
 * A warp has four latents in work at a time, a group; what it knows of them it does not share. A
 * lane has quads of columns, SPAN apart, and is the only one to touch them, so that only sums over
 * columns are exchanged. Attention lies as a[group][t][h], a quad of the group's latents each.
 * Latents beyond the last have weights of 0. */
#ifndef CZ_CUDA_POOL_H
#define CZ_CUDA_POOL_H

#include "products.h"

/* A block has a multiprocessor to itself: a batch has about as many cells as a GPU has of them. */
enum { QUAD = 4, SPAN = QUAD * WARP, MOST_WARPS = 16 };

template <typename T> using quad = piece<T, QUAD>;
typedef quad<real> four;

/* What both directions read of the sizes and of the weights. */
template <typename Stored> struct pool {
    int T, L, D, H, size; /* size: D / H, the columns of a head */
    int rows;             /* T H, of U of a cell */
    int width;            /* D rounded up: from one row to the next of U, and of what is shared */
    Stored *u;            /* (B, T, H, width) */
    rows_of<Stored> probs;
    rows_of<real> mean, rstd;
    rows_of<const Stored> k, q;
    rows_of<const real> latents;
    const real *b_out, *gain, *bias;
    mask_site attention, out;
};

/* ---- the device's side ---- */

template <typename Stored> __device__ __forceinline__ int groups_of(const pool<Stored> &p)
{
    return (p.L + QUAD - 1) / QUAD;
}

/* Four columns of a row of U or of what is shared; those from D on hold nothing. */
template <typename T> __device__ __forceinline__ four load_quad(const T *at)
{
    quad<T> x = *(const quad<T> *)at;
    four y;
    UNROLL for (int i = 0; i < QUAD; i++) y.x[i] = as_real(x.x[i]);
    return y;
}
__device__ __forceinline__ void store_quad(real *at, four x) { *(four *)at = x; }

/* The same of a row of D somebody else laid out, 0 beyond. */
__device__ __forceinline__ four load_columns(const real *row, int c, int D)
{
    if (c + QUAD <= D && (size_t)(row + c) % sizeof(four) == 0) return load_quad(row + c);
    four y;
    UNROLL for (int i = 0; i < QUAD; i++) y.x[i] = c + i < D ? row[c + i] : 0;
    return y;
}

/* Column c of the queries of four latents. */
template <typename Stored>
__device__ __forceinline__ four load_queries(const pool<Stored> &p, int first, int c)
{
    four y;
    UNROLL for (int l = 0; l < QUAD; l++) y.x[l] =
        first + l < p.L ? as_real(*p.q.at(first + l, c)) : 0;
    return y;
}

/* z[l] = sum over (t, h) of a[l, (t, h)] U[t, h], four columns of a group from `u` on. */
template <typename Stored>
__device__ __forceinline__ void project(const pool<Stored> &p, const Stored *u, const four *a,
                                        four z[QUAD])
{
    UNROLL for (int l = 0; l < QUAD; l++) z[l] = four{};
    for (int j = 0; j < p.rows; j++) {
        four x = load_quad(u + (ptrdiff_t)j * p.width), weight = a[j];
        UNROLL for (int l = 0; l < QUAD; l++)
        {
            UNROLL for (int i = 0; i < QUAD; i++) z[l].x[i] += weight.x[l] * x.x[i];
        }
    }
}

/* z becomes s = latents + drop(z + b_out), columns c .. c + 3 of a group; 0 outside of (L, D). */
template <typename Stored>
__device__ __forceinline__ void add_residual(const pool<Stored> &p, int b, int first, int c,
                                             four z[QUAD])
{
    four b_out = load_columns(p.b_out, c, p.D);
    UNROLL for (int l = 0; l < QUAD; l++)
    {
        int row = first + l;
        four s = {};
        if (row < p.L) s = load_columns(p.latents.at(row), c, p.D);
        UNROLL for (int i = 0; i < QUAD; i++) if (row < p.L && c + i < p.D) s.x[i] +=
            dropped(p.out, b, row * p.D + c + i, z[l].x[i] + b_out.x[i]);
        z[l] = s;
    }
}

/* ---- the host's side ---- */

/* Rows so long that quads and products find them aligned: as cz_pool_row(). */
static inline __host__ __device__ int pool_width(int n) { return (n + 7) & ~7; }
/* Reals that a cell leaves for the gradients of weights: rows of latents, then of b_out, gain and
 * bias, the width apart. */
static inline __host__ __device__ size_t pool_partial(int L, int D)
{
    return ((size_t)L + 3) * (size_t)pool_width(D);
}

/* W_o as products want it, and U: where it is kept, else in scratch; it is asked for, if it is not
 * there already. */
cz_status pool_open(cz_exec *exec, cz_tensor v, cz_tensor w_out, int H, cz_tensor kept, bool there,
                    operand *w, void **u);

/* The most warps, for groups of latents, whose shared memory fits, of `block` bytes and `warp` for
 * each; CZ_ERR_CONFIG where there is none. */
cz_status pool_fit(const cz_exec *exec, int T, int L, size_t block, size_t warp, int *warps);

/* dv_h = dU_h W_o[:, h]; deferred, dW_o[:, h] += dU_h^T v_h, dq_h += dscores_h^T k_h, and the other
 * gradients of `g` from what the cells left; du as U lies, ds (B, T, H, ldl). */
cz_status pool_products(cz_exec *exec, cz_tensor dv, const cz_pool_weights *g, const void *du,
                        const void *ds, int ldl, const float *left, operand w, cz_tensor v,
                        cz_tensor k, int H);

template <typename Stored>
pool<Stored> pool_of(void *u, cz_tensor probs, cz_tensor mean, cz_tensor rstd, cz_tensor k,
                     const cz_pool_weights *w, int H, const cz_dropout *attention,
                     const cz_dropout *out)
{
    int T = k.dim[1], L = cz_rows(w->q), D = k.dim[2];
    pool<Stored> p = {};
    p.T = T;
    p.L = L;
    p.D = D;
    p.H = H;
    p.size = D / H;
    p.rows = T * H;
    p.width = pool_width(D);
    p.u = (Stored *)u;
    p.probs = view<Stored>(probs);
    p.mean = view<real>(mean);
    p.rstd = view<real>(rstd);
    p.k = view<const Stored>(k);
    p.q = view<const Stored>(w->q);
    p.latents = view<const real>(w->latents);
    p.b_out = (const real *)w->b_out.data;
    p.gain = (const real *)w->gain.data;
    p.bias = (const real *)w->bias.data;
    p.attention = site_of(attention, H * L * T);
    p.out = site_of(out, L * D);
    return p;
}

void fill_pool_forward(cuda_tables t);
void fill_pool_backward(cuda_tables t);

#endif
