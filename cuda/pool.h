/* The resampler's pooling, in its factored form whatever was asked for: U[t, h] = W_o[:, h] v_h[t]
 * of all cells by a product (pool.cu), then a block a cell from scores to the mean over latents
 * (pool_forward.cu), and all of it back (pool_backward.cu).
 *
 * A warp has four latents, a group, and all of a block's warps a chunk of latents at a time.
 * Between products of tiles, which the whole block shares, a warp has the rows of its group to
 * itself, and a lane quads of columns, SPAN apart. Latents beyond the last have weights of 0; what
 * is shared is 0 beyond the sizes, up to whole tiles. */
#ifndef CZ_CUDA_POOL_H
#define CZ_CUDA_POOL_H

#include "products.h"
#include "tiles.h"

/* A block has a multiprocessor to itself: a batch has about as many cells as a GPU has of them. */
enum { QUAD = 4, SPAN = QUAD * WARP, LEAST_WARPS = TILE / QUAD, MOST_WARPS = 16 };

template <typename T> using quad = piece<T, QUAD>;
typedef quad<real> four;

/* What both directions read of the sizes and of the weights. */
template <typename Stored> struct pool {
    int T, L, D, H, size; /* size: D / H, the columns of a head */
    int rows;             /* T H, of U of a cell */
    int u_rows;           /* of it, in shared memory at once: whole tiles */
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

static __host__ __device__ __forceinline__ int whole_tiles(int n)
{
    return (n + TILE - 1) & ~(TILE - 1);
}
/* From row to row of a matrix of whole tiles in shared memory: lanes meet different banks. */
template <typename T> __host__ __device__ __forceinline__ int pitch_of(int cols)
{
    return whole_tiles(cols) + 16 / (int)sizeof(T);
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

/* Rows first .. first + count - 1 of U of cell b into shared memory, by the whole block. */
template <typename Stored>
__device__ void stage_u(const pool<Stored> &p, int b, int first, int count, Stored *to)
{
    constexpr int EACH = 16 / (int)sizeof(Stored);
    typedef piece<Stored, EACH> slice;
    const Stored *u = p.u + ((ptrdiff_t)b * p.rows + first) * p.width;
    int pitch = pitch_of<Stored>(p.D), across = whole_tiles(p.D) / EACH;
    UNROLL_FOUR for (int i = (int)threadIdx.x; i < count * across; i += (int)blockDim.x)
    {
        int row = i / across, c = i % across * EACH;
        slice x = {};
        if (first + row < p.rows && c < p.width)
            x = *(const slice *)(u + (ptrdiff_t)row * p.width + c);
        UNROLL for (int j = 0; j < EACH; j++) if (c + j >= p.D) x.x[j] = Stored{};
        *(slice *)(to + row * pitch + c) = x;
    }
}

/* act(first, count) with so many rows of U, whole tiles, in shared memory; all of them are there
 * from the beginning where they fit. By the whole block, before and after a barrier. */
template <typename Stored, typename Act>
__device__ __forceinline__ void each_part_of_u(const pool<Stored> &p, int b, Stored *u, Act act)
{
    int all = whole_tiles(p.rows);
    for (int first = 0; first < all; first += p.u_rows) {
        int count = min(p.u_rows, all - first);
        if (count < all) {
            if (first) __syncthreads();
            stage_u(p, b, first, count, u);
            __syncthreads();
        }
        act(first, count);
    }
}

/* A latent's head: its probabilities for some tokens from t on, read together, 0 beyond the last,
 * and which of them are kept, a bit each. */
enum { TOGETHER = 8 };
template <typename Stored>
__device__ __forceinline__ unsigned kept_weights(const pool<Stored> &p, int b, int h, int l, int t)
{
    int e = (h * p.L + l) * p.T + t;
    return l < p.L ? kept_four(p.attention, b, e) | kept_four(p.attention, b, e + QUAD) << QUAD : 0;
}
template <typename Stored>
__device__ __forceinline__ void load_probs(const pool<Stored> &p, int b, int h, int l, int t,
                                           real x[TOGETHER])
{
    const Stored *row = p.probs.at((b * p.H + h) * p.L + l);
    UNROLL for (int i = 0; i < TOGETHER; i++) x[i] =
        l < p.L && t + i < p.T ? as_real(row[t + i]) : 0;
}

/* Columns of a group's rows of weights beyond the last. */
template <typename Stored>
__device__ __forceinline__ void clear_beyond(const pool<Stored> &p, Stored *a)
{
    int beyond = whole_tiles(p.rows) - p.rows;
    for (int i = lane_number(); i < QUAD * beyond; i += WARP)
        a[i / beyond * pitch_of<Stored>(p.rows) + p.rows + i % beyond] = Stored{};
}

/* z = a U of some latents, whole tiles of them, by the whole block. */
template <typename Stored>
__device__ __forceinline__ void project(const pool<Stored> &p, int b, int latents, const Stored *a,
                                        Stored *u, real *z)
{
    int pitch = pitch_of<real>(p.D);
    each_part_of_u(p, b, u, [=](int first, int count) {
        each_tile<PLAIN, PLAIN>(
            latents, whole_tiles(p.D), count, a + first, pitch_of<Stored>(p.rows), u,
            pitch_of<Stored>(p.D),
            [=](tile_sum<Stored> &sum, int row, int col) {
                if (first) sum.load(z + row * pitch + col, pitch);
                else sum.zero();
            },
            [=](const tile_sum<Stored> &sum, int row, int col) {
                sum.store(z + row * pitch + col, pitch);
            });
    });
}

/* z becomes s = latents + drop(z + b_out), columns c .. c + 3 of a group; 0 outside of (L, D). All
 * is read before any of it is used. */
template <typename Stored>
__device__ __forceinline__ void add_residual(const pool<Stored> &p, int b, int first, int c,
                                             four z[QUAD])
{
    four b_out = load_columns(p.b_out, c, p.D), latent[QUAD];
    unsigned keeps[QUAD];
    UNROLL for (int l = 0; l < QUAD; l++)
    {
        int row = min(first + l, p.L - 1);
        keeps[l] = kept_four(p.out, b, row * p.D + c);
        latent[l] = load_columns(p.latents.at(row), c, p.D);
    }
    UNROLL for (int l = 0; l < QUAD; l++)
    {
        UNROLL for (int i = 0; i < QUAD; i++)
        {
            bool there = first + l < p.L && c + i < p.D;
            real moved = keeps[l] >> i & 1 ? (z[l].x[i] + b_out.x[i]) * p.out.scale : 0;
            z[l].x[i] = there ? latent[l].x[i] + moved : 0;
        }
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

/* The most warps, whole tiles of latents, whose shared memory fits, of `block` bytes and `warp` for
 * each; 0 where there are none. */
int pool_warps(const cz_exec *exec, int L, size_t block, size_t warp);
/* The same, beside as many of U's rows, `u_row` bytes each, as fit; CZ_ERR_CONFIG where none do. */
cz_status pool_fit(const cz_exec *exec, int T, int L, int rows, size_t u_row, size_t block,
                   size_t warp, int *u_rows, int *warps);

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
