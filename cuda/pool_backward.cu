/* The pooling back. Of a cell's block each warp takes its groups from their projection, done again,
 * to the gradient of their scores, chunk by chunk; the block then sums over all latents: dU, in the
 * place of U, and dk. What cells share is summed by products, or from what each cell leaves. */
#include "pool.h"

enum { TOKENS = 4, PATCH = TILE + 4 /* from row to row of a tile on its way out */ };

template <typename Stored> struct pool_back {
    rows_of<const Stored> dy;
    rows_of<Stored> dk;
    Stored *dscores; /* (B, T, H, ldl) */
    int ldl;
    Stored *dz;    /* (B, L, D) as in shared memory; NULL: it is there */
    real *partial; /* (B, L + 3, width) */
    real scale;    /* of scores */
};

/* The block's shared memory: matrices of all latents, of a chunk of them, and what warps have. */
template <typename Stored> struct pool_room {
    Stored *u;      /* (T H, D) */
    Stored *a, *ds; /* (L, T H): weights, and the gradient of the scores */
    Stored *dz;     /* (L, D) */
    real *s;        /* chunk, (D): z, then (s - mean) rstd */
    real *da;       /* chunk, (T H): gradient of the weights; in the end each warp's tile */
    real *g;        /* (width) gain dy / L, the gradient of each (s - mean) rstd */
    real *sums;     /* (warps, 2, width): of (s - mean) rstd and of the gradient of b_out */
};
static __host__ __device__ size_t da_reals(int rows)
{
    int all = QUAD * pitch_of<real>(rows), tile = TILE * PATCH;
    return (size_t)(all > tile ? all : tile);
}
template <typename Stored> static __host__ __device__ size_t warp_bytes(int rows, int D)
{
    size_t s = (size_t)(QUAD * pitch_of<real>(D));
    return (s + da_reals(rows) + 2 * (size_t)pool_width(D)) * sizeof(real);
}
template <typename Stored> static __host__ __device__ size_t block_bytes(int L, int rows, int D)
{
    size_t weights = 2 * (size_t)whole_tiles(L) * (size_t)pitch_of<Stored>(rows);
    return weights * sizeof(Stored) + (size_t)pool_width(D) * sizeof(real);
}
template <typename Stored> static __host__ __device__ size_t dz_elements(int L, int D)
{
    return (size_t)whole_tiles(L) * (size_t)pitch_of<Stored>(D);
}
template <typename Stored> __device__ pool_room<Stored> room_of(const pool<Stored> &p, Stored *dz)
{
    int latents = whole_tiles(p.L), chunk = QUAD * warp_count();
    pool_room<Stored> r;
    r.u = (Stored *)shared_memory();
    r.a = r.u + p.u_rows * pitch_of<Stored>(p.D);
    r.ds = r.a + latents * pitch_of<Stored>(p.rows);
    r.s = (real *)(r.ds + latents * pitch_of<Stored>(p.rows));
    r.da = r.s + chunk * pitch_of<real>(p.D);
    r.g = r.da + (size_t)warp_count() * da_reals(p.rows);
    r.sums = r.g + p.width;
    r.dz = (Stored *)(r.sums + warp_count() * 2 * p.width);
    if (dz) r.dz = dz + blockIdx.x * dz_elements<Stored>(p.L, p.D);
    return r;
}

/* A group's weights from its probs. */
template <typename Stored>
__device__ void restore(const pool<Stored> &p, int b, int first, Stored *a)
{
    for (int i = lane_number(); i < QUAD * p.H; i += WARP) {
        int h = i / QUAD, l = first + i % QUAD;
        Stored *row = a + i % QUAD * pitch_of<Stored>(p.rows);
        for (int t = 0; t < p.T; t += TOGETHER) {
            real prob[TOGETHER];
            unsigned keeps = kept_weights(p, b, h, l, t);
            load_probs(p, b, h, l, t, prob);
            UNROLL for (int j = 0; j < TOGETHER; j++) if (t + j < p.T)
                put(row + (t + j) * p.H + h, keeps >> j & 1 ? prob[j] * p.attention.scale : 0);
        }
    }
    clear_beyond(p, a);
}

/* Of a group's LayerNorm. */
struct group_norm {
    real mean[QUAD], rstd[QUAD];
    real dot[QUAD]; /* mean over columns of g (s - mean) rstd */
};

/* z of a group becomes (s - mean) rstd, which is added to `total`. */
template <typename Stored>
__device__ __forceinline__ void normalise_again(const pool<Stored> &p, const real *g, int b,
                                                int first, real *rows, real *total, group_norm &n)
{
    for (int c = QUAD * lane_number(); c < p.D; c += SPAN) {
        four s[QUAD], sum = load_quad(total + c), gc = load_quad(g + c);
        UNROLL for (int l = 0; l < QUAD; l++) s[l] = load_quad(rows + l * pitch_of<real>(p.D) + c);
        add_residual(p, b, first, c, s);
        UNROLL for (int l = 0; l < QUAD; l++)
        {
            four hat = {};
            UNROLL for (int i = 0; i < QUAD; i++) if (c + i < p.D)
            {
                hat.x[i] = (s[l].x[i] - n.mean[l]) * n.rstd[l];
                sum.x[i] += hat.x[i];
                n.dot[l] += gc.x[i] * hat.x[i];
            }
            store_quad(rows + l * pitch_of<real>(p.D) + c, hat);
        }
        store_quad(total + c, sum);
    }
    UNROLL for (int l = 0; l < QUAD; l++) n.dot[l] = warp_sum(n.dot[l]) / (real)p.D;
}

static __device__ __forceinline__ real row_mean(const real *row, int D)
{
    real sum = 0;
    for (int c = lane_number(); c < D; c += WARP) sum += row[c];
    return warp_sum(sum) / (real)D;
}

/* dz of a group from hat = (s - mean) rstd:
 *   ds[l] = rstd[l] (g - mean_c(g) - hat[l] mean_c(g hat[l])) */
template <typename Stored>
__device__ __forceinline__ void norm_backward(const pool<Stored> &p, const real *g, int b,
                                              int first, const real *rows, Stored *to, real *db_out,
                                              real *dlatents, const group_norm &n)
{
    real g_mean = row_mean(g, p.D);
    for (int c = QUAD * lane_number(); c < whole_tiles(p.D); c += SPAN) {
        bool inside = c < p.width;
        four sum = inside ? load_quad(db_out + c) : four{}, gc = inside ? load_quad(g + c) : four{};
        unsigned keeps[QUAD];
        UNROLL for (int l = 0; l < QUAD; l++) keeps[l] =
            kept_four(p.out, b, min(first + l, p.L - 1) * p.D + min(c, p.D - 1));
        UNROLL for (int l = 0; l < QUAD; l++)
        {
            four x = load_quad(rows + l * pitch_of<real>(p.D) + c), ds = {};
            quad<Stored> dz = {};
            UNROLL for (int i = 0; i < QUAD; i++) if (first + l < p.L && c + i < p.D)
            {
                ds.x[i] = (gc.x[i] - g_mean - x.x[i] * n.dot[l]) * n.rstd[l];
                real kept = keeps[l] >> i & 1 ? ds.x[i] * p.out.scale : 0;
                sum.x[i] += kept;
                put(&dz.x[i], kept);
            }
            if (first + l < p.L && inside) store_quad(dlatents + (first + l) * p.width + c, ds);
            *(quad<Stored> *)(to + l * pitch_of<Stored>(p.D) + c) = dz;
        }
        if (inside) store_quad(db_out + c, sum);
    }
}

/* dscores = scale (a da - p sum over t of a da), where a = drop(p). */
template <typename Stored>
__device__ void soften_backward(const pool<Stored> &p, int b, int first, const Stored *a,
                                const real *da, Stored *ds, real scale)
{
    for (int i = lane_number(); i < QUAD * p.H; i += WARP) {
        int h = i / QUAD, l = first + i % QUAD, row = i % QUAD * pitch_of<Stored>(p.rows) + h;
        const real *d = da + i % QUAD * pitch_of<real>(p.rows) + h;
        real sum = 0;
        for (int t = 0; t < p.T; t++) sum += as_real(a[row + t * p.H]) * d[t * p.H];
        for (int t = 0; t < p.T; t += TOGETHER) {
            real prob[TOGETHER];
            load_probs(p, b, h, l, t, prob);
            UNROLL for (int j = 0; j < TOGETHER; j++) if (t + j < p.T)
            {
                int at = (t + j) * p.H;
                put(ds + row + at, (as_real(a[row + at]) * d[at] - prob[j] * sum) * scale);
            }
        }
    }
}

/* A chunk of latents, first .. first + latents - 1 of whole tiles, to the gradient of its scores.
 */
template <where DZ, typename Stored>
__device__ void back_chunk(const pool<Stored> &p, const pool_back<Stored> &back,
                           const pool_room<Stored> &room, int b, int first, int latents)
{
    int own = QUAD * warp_number(), group = first + own, pitch = pitch_of<real>(p.rows);
    bool there = own < latents;
    Stored *a = room.a + group * pitch_of<Stored>(p.rows),
           *dz = room.dz + group * pitch_of<Stored>(p.D);
    real *rows = room.s + own * pitch_of<real>(p.D),
         *sums = room.sums + warp_number() * 2 * p.width;
    group_norm n = {}; /* (s - mean) rstd is 0 beyond the last latent */
    UNROLL for (int l = 0; l < QUAD; l++) if (group + l < p.L)
    {
        n.mean[l] = *p.mean.at(b, group + l);
        n.rstd[l] = *p.rstd.at(b, group + l);
    }
    if (there) restore(p, b, group, a);
    __syncthreads();
    project(p, b, latents, room.a + first * pitch_of<Stored>(p.rows), room.u, room.s);
    __syncthreads();
    if (there) {
        normalise_again(p, room.g, b, group, rows, sums, n);
        norm_backward(p, room.g, b, group, rows, dz, sums + p.width,
                      back.partial + (size_t)b * pool_partial(p.L, p.D), n);
    }
    __syncthreads();
    each_part_of_u(p, b, room.u, [=](int j, int count) {
        each_tile<PLAIN, TURNED, DZ, SHARED>(
            latents, count, whole_tiles(p.D), room.dz + first * pitch_of<Stored>(p.D),
            pitch_of<Stored>(p.D), room.u, pitch_of<Stored>(p.D),
            [](tile_sum<Stored> &sum, int, int) { sum.zero(); },
            [=](const tile_sum<Stored> &sum, int row, int col) {
                sum.store(room.da + row * pitch + j + col, pitch);
            });
    });
    __syncthreads();
    if (there)
        soften_backward(p, b, group, a, room.da + own * pitch,
                        room.ds + group * pitch_of<Stored>(p.rows), back.scale);
    __syncthreads();
}

/* dU[t, h] = sum over l of a[l, (t, h)] dz[l] in the place of U: a tile goes through its warp's
 * shared memory, a lane has half a row of it. */
template <where DZ, typename Stored>
__device__ void values_backward(const pool<Stored> &p, const pool_room<Stored> &room, int b)
{
    enum { HALF = TILE / 2 };
    real *tile = room.da + (size_t)warp_number() * da_reals(p.rows);
    Stored *du = p.u + (ptrdiff_t)b * p.rows * p.width;
    each_tile<TURNED, PLAIN, SHARED, DZ>(
        whole_tiles(p.rows), whole_tiles(p.D), whole_tiles(p.L), room.a, pitch_of<Stored>(p.rows),
        room.dz, pitch_of<Stored>(p.D), [](tile_sum<Stored> &sum, int, int) { sum.zero(); },
        [=](const tile_sum<Stored> &sum, int row, int col) {
            sum.store(tile, PATCH);
            int r = lane_number() / 2, c = lane_number() % 2 * HALF;
            piece<Stored, HALF> x;
            UNROLL for (int q = 0; q < HALF; q += QUAD)
            {
                four y = load_quad(tile + r * PATCH + c + q);
                UNROLL for (int i = 0; i < QUAD; i++) put(&x.x[q + i], y.x[i]);
            }
            if (row + r < p.rows && col + c < p.width)
                *(piece<Stored, HALF> *)(du + (row + r) * p.width + col + c) = x;
            __syncwarp();
        });
}

/* dk[t] = sum over l of dscores q[l]: a thread has a column of four tokens at a time. */
template <typename Stored>
__device__ void keys_backward(const pool<Stored> &p, const pool_back<Stored> &back,
                              const Stored *ds, int b)
{
    int tiles = (p.T + TOKENS - 1) / TOKENS;
    for (int item = (int)threadIdx.x; item < tiles * p.D; item += (int)blockDim.x) {
        int first = item / p.D * TOKENS, c = item % p.D, h = c / p.size;
        real sum[TOKENS] = {};
        UNROLL_FEW for (int l = 0; l < p.L; l++)
        {
            const Stored *row = ds + l * pitch_of<Stored>(p.rows) + h;
            real q = as_real(*p.q.at(l, c));
            UNROLL for (int t = 0; t < TOKENS; t++) sum[t] +=
                as_real(row[min(first + t, p.T - 1) * p.H]) * q;
        }
        UNROLL for (int t = 0; t < TOKENS; t++) if (first + t < p.T)
            put(back.dk.at(b * p.T + first + t, c), sum[t]);
    }
}

/* What products and the sum over cells need of cell b. */
template <typename Stored>
__device__ void leave_cell(const pool<Stored> &p, const pool_back<Stored> &back,
                           const pool_room<Stored> &room, int b)
{
    Stored *ds = back.dscores + (ptrdiff_t)b * p.rows * back.ldl;
    for (int i = (int)threadIdx.x; i < p.rows * p.L; i += (int)blockDim.x)
        ds[(ptrdiff_t)(i / p.L) * back.ldl + i % p.L] =
            room.ds[i % p.L * pitch_of<Stored>(p.rows) + i / p.L];
    real *partial =
        back.partial + (size_t)b * pool_partial(p.L, p.D) + (size_t)p.L * (size_t)p.width;
    for (int c = (int)threadIdx.x; c < p.D; c += (int)blockDim.x) {
        real hat = 0, db_out = 0, dy = as_real(*back.dy.at(b, c));
        for (int w = 0; w < warp_count(); w++) {
            hat += room.sums[2 * w * p.width + c];
            db_out += room.sums[(2 * w + 1) * p.width + c];
        }
        partial[c] = db_out;
        partial[p.width + c] = dy * (1 / (real)p.L) * hat;
        partial[2 * p.width + c] = dy;
    }
}

/* What the block's warps begin with. */
template <typename Stored>
__device__ void open_cell(const pool<Stored> &p, const pool_back<Stored> &back,
                          const pool_room<Stored> &room, int b)
{
    if (p.u_rows == whole_tiles(p.rows)) stage_u(p, b, 0, p.u_rows, room.u);
    for (int c = (int)threadIdx.x; c < p.width; c += (int)blockDim.x)
        room.g[c] = c < p.D ? p.gain[c] * as_real(*back.dy.at(b, c)) * (1 / (real)p.L) : 0;
    for (int i = (int)threadIdx.x; i < warp_count() * 2 * p.width; i += (int)blockDim.x)
        room.sums[i] = 0;
}

template <where DZ, typename Stored>
__global__ void __launch_bounds__(MOST_WARPS *WARP, 1)
    pool_cell_backward(pool<Stored> p, pool_back<Stored> back)
{
    int b = (int)blockIdx.x, chunk = QUAD * warp_count();
    pool_room<Stored> room = room_of(p, DZ == SHARED ? nullptr : back.dz);
    open_cell(p, back, room, b);
    __syncthreads();
    for (int first = 0; first < p.L; first += chunk)
        back_chunk<DZ>(p, back, room, b, first, min(chunk, whole_tiles(p.L - first)));
    values_backward<DZ>(p, room, b);
    keys_backward(p, back, room.ds, b);
    leave_cell(p, back, room, b);
}

/* The cells' kernel, with what it leaves in scratch; dz too where shared memory is too small. */
template <typename Stored>
static cz_status back_cells(cz_exec *exec, pool<Stored> p, pool_back<Stored> *back, int B)
{
    size_t dz = dz_elements<Stored>(p.L, p.D), warp = warp_bytes<Stored>(p.rows, p.D);
    size_t u_row = (size_t)pitch_of<Stored>(p.D) * sizeof(Stored);
    size_t block = block_bytes<Stored>(p.L, p.rows, p.D), shared_dz = dz * sizeof(Stored);
    int count = 0;
    if (!pool_warps(exec, p.L, block + shared_dz + (size_t)whole_tiles(p.rows) * u_row, warp)) {
        CZ_TRY(take_scratch(exec, &back->dz, (size_t)B * dz));
        shared_dz = 0;
    }
    block += shared_dz;
    CZ_TRY(pool_fit(exec, p.T, p.L, p.rows, u_row, block, warp, &p.u_rows, &count));
    back->ldl = pool_width(p.L);
    CZ_TRY(take_scratch(exec, &back->dscores, (size_t)(B * p.rows) * (size_t)back->ldl));
    CZ_TRY(take_scratch(exec, &back->partial, (size_t)B * pool_partial(p.L, p.D)));
    auto kernel =
        back->dz ? pool_cell_backward<ANYWHERE, Stored> : pool_cell_backward<SHARED, Stored>;
    return launch(exec, "resampler_pool_backward", kernel, dim3((unsigned)B),
                  (unsigned)(count * WARP), block + (size_t)p.u_rows * u_row + (size_t)count * warp,
                  p, *back);
}

template <typename Stored>
static cz_status pool_backward(cz_exec *exec, cz_tensor dk, cz_tensor dv, const cz_pool_weights *g,
                               cz_tensor dy, cz_tensor probs, cz_tensor mean, cz_tensor rstd,
                               cz_tensor kept_u, cz_tensor k, cz_tensor v, const cz_pool_weights *w,
                               int H, cz_pool_form, const cz_dropout *drop_attention,
                               const cz_dropout *drop_out)
{
    size_t kept = exec->scratch->used;
    int B = k.dim[0], D = k.dim[2];
    void *u = nullptr;
    operand w_out;
    CZ_TRY(settle(exec, {dk, dv, kept_u},
                  {dy, probs, mean, rstd, k, v, w->q, w->latents, w->w_out, w->b_out, w->gain}));
    cz_status status = pool_open(exec, v, w->w_out, H, kept_u, true, &w_out, &u);
    pool<Stored> p = pool_of<Stored>(u, probs, mean, rstd, k, w, H, drop_attention, drop_out);
    pool_back<Stored> back = {};
    back.dy = view<const Stored>(dy);
    back.dk = view<Stored>(dk);
    back.scale = (real)(1 / sqrt((double)(D / H)));
    if (!status) status = back_cells(exec, p, &back, B);
    if (!status)
        status =
            pool_products(exec, dv, g, u, back.dscores, back.ldl, back.partial, w_out, v, k, H);
    exec->scratch->used = kept;
    return status;
}

void fill_pool_backward(cuda_tables t)
{
    t.f32->resampler_pool_backward = pool_backward<float>;
    t.bf16->resampler_pool_backward = pool_backward<bf16>;
}
