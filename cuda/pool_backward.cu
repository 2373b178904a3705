/* The pooling back. Of a cell's block each warp first takes its groups from their projection, done
 * again, to the gradient of their scores; the block then sums over all latents: dU, in the place of
 * U, and dk. What cells share is summed by products, or from what each cell leaves. */
#include "pool.h"

enum { TILE = 8, TOKENS = 4 };

/* What backward has beside: its dz and sums in shared memory are fp32, though rounded. */
template <typename Stored> struct pool_back {
    rows_of<const Stored> dy;
    rows_of<Stored> dk;
    Stored *dscores; /* (B, T, H, ldl) */
    int ldl;
    real *partial; /* (B, L + 3, width) */
    real scale;    /* of scores */
};

/* The block's shared memory. */
struct pool_room {
    real *dz;   /* (groups, 4, width): of its group, whose sums s - mean are there before */
    four *a;    /* (groups, T, H) */
    four *da;   /* their gradient, then that of the scores */
    real *g;    /* (width) gain dy / L, the gradient of each (s - mean) rstd */
    real *sums; /* (warps, 2, width): of (s - mean) rstd and of the gradient of b_out */
};
static __host__ __device__ size_t group_reals(int rows, int width)
{
    return (size_t)QUAD * (size_t)(width + 2 * rows);
}
static __device__ pool_room room_of(int groups, int rows, int width)
{
    pool_room r;
    r.dz = (real *)shared_memory();
    r.a = (four *)(r.dz + groups * QUAD * width);
    r.da = r.a + groups * rows;
    r.g = (real *)(r.da + groups * rows);
    r.sums = r.g + width;
    return r;
}

/* A group's weights from its probs. */
template <typename Stored> __device__ void restore(const pool<Stored> &p, int b, int first, four *a)
{
    for (int i = lane_number(); i < QUAD * p.H; i += WARP) {
        int h = i / QUAD, l = first + i % QUAD;
        real *x = (real *)a + i;
        for (int t = 0; t < p.T; t++) {
            real weight = 0;
            if (l < p.L)
                weight = dropped(p.attention, b, (h * p.L + l) * p.T + t,
                                 as_real(*p.probs.at((b * p.H + h) * p.L + l, t)));
            x[t * QUAD * p.H] = stored_as<Stored>(weight);
        }
    }
    __syncwarp();
}

/* Of a group's LayerNorm. */
struct group_norm {
    real mean[QUAD], rstd[QUAD];
    real dot[QUAD]; /* mean over columns of g (s - mean) rstd */
};

/* (s - mean) rstd of a group into `rows`, and added to `total`. */
template <typename Stored>
__device__ __forceinline__ void project_again(const pool<Stored> &p, const real *g, int b,
                                              int first, const four *a, real *rows, real *total,
                                              group_norm &n)
{
    const Stored *u = p.u + (ptrdiff_t)b * p.rows * p.width;
    for (int c = QUAD * lane_number(); c < p.D; c += SPAN) {
        four s[QUAD], sum = load_quad(total + c), gc = load_quad(g + c);
        project(p, u + c, a, s);
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
            store_quad(rows + l * p.width + c, hat);
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

/* dz of a group in the place of hat = (s - mean) rstd:
 *   ds[l] = rstd[l] (g - mean_c(g) - hat[l] mean_c(g hat[l])) */
template <typename Stored>
__device__ __forceinline__ void norm_backward(const pool<Stored> &p, const real *g, int b,
                                              int first, real *rows, real *db_out, real *dlatents,
                                              const group_norm &n)
{
    real g_mean = row_mean(g, p.D);
    for (int c = QUAD * lane_number(); c < p.D; c += SPAN) {
        four sum = load_quad(db_out + c), gc = load_quad(g + c);
        UNROLL for (int l = 0; l < QUAD; l++)
        {
            four x = load_quad(rows + l * p.width + c), ds = {};
            UNROLL for (int i = 0; i < QUAD; i++) if (first + l < p.L && c + i < p.D)
            {
                ds.x[i] = (gc.x[i] - g_mean - x.x[i] * n.dot[l]) * n.rstd[l];
                real dz = dropped(p.out, b, (first + l) * p.D + c + i, ds.x[i]);
                sum.x[i] += dz;
                x.x[i] = stored_as<Stored>(dz);
            }
            if (first + l < p.L) store_quad(dlatents + (first + l) * p.width + c, ds);
            store_quad(rows + l * p.width + c, x);
        }
        store_quad(db_out + c, sum);
    }
}

/* Sums over the warp of 32 numbers of each lane: that of x[lane]. */
static __device__ __forceinline__ real sum_of_lane(real x[WARP])
{
    UNROLL for (int half = WARP / 2; half; half /= 2)
    {
        bool upper = lane_number() & half;
        UNROLL for (int i = 0; i < half; i++)
        {
            real sent = upper ? x[i] : x[i + half], own = upper ? x[i + half] : x[i];
            x[i] = own + __shfl_xor_sync(WHOLE_WARP, sent, half);
        }
    }
    return x[0];
}

/* da[(t, h)][l] = dz[l] U[t, h] of a group, eight rows of U at a time. */
template <typename Stored>
__device__ void weights_backward(const pool<Stored> &p, const Stored *u, const real *dz, four *da)
{
    for (int first = 0; first < p.rows; first += TILE) {
        real sum[WARP] = {}; /* (QUAD, TILE) */
        for (int c = QUAD * lane_number(); c < p.D; c += SPAN) {
            four d[QUAD];
            UNROLL for (int l = 0; l < QUAD; l++) d[l] = load_quad(dz + l * p.width + c);
            UNROLL for (int j = 0; j < TILE; j++)
            {
                int row = min(first + j, p.rows - 1);
                four x = load_quad(u + (ptrdiff_t)row * p.width + c);
                UNROLL for (int l = 0; l < QUAD; l++)
                {
                    UNROLL for (int i = 0; i < QUAD; i++) sum[l * TILE + j] += d[l].x[i] * x.x[i];
                }
            }
        }
        real own = sum_of_lane(sum);
        int row = first + lane_number() % TILE;
        if (row < p.rows) da[row].x[lane_number() / TILE] = own;
    }
    __syncwarp();
}

/* dscores = scale (a da - p sum over t of a da), where a = drop(p), in the place of da. */
template <typename Stored>
__device__ void soften_backward(const pool<Stored> &p, int b, int first, const four *a, four *da,
                                real scale)
{
    for (int i = lane_number(); i < QUAD * p.H; i += WARP) {
        int h = i / QUAD, l = first + i % QUAD, step = QUAD * p.H;
        const real *weight = (const real *)a + i;
        real *d = (real *)da + i, sum = 0;
        for (int t = 0; t < p.T; t++) sum += d[t * step] = weight[t * step] * d[t * step];
        for (int t = 0; t < p.T; t++) {
            real prob = l < p.L ? as_real(*p.probs.at((b * p.H + h) * p.L + l, t)) : 0;
            d[t * step] = stored_as<Stored>((d[t * step] - prob * sum) * scale);
        }
    }
}

template <typename Stored>
__device__ void back_group(const pool<Stored> &p, const pool_back<Stored> &back, pool_room room,
                           int b, int group)
{
    int first = QUAD * group;
    real *dz = room.dz + first * p.width, *sums = room.sums + warp_number() * 2 * p.width;
    four *a = room.a + group * p.rows, *da = room.da + group * p.rows;
    group_norm n = {}; /* (s - mean) rstd is 0 beyond the last latent */
    UNROLL for (int l = 0; l < QUAD; l++) if (first + l < p.L)
    {
        n.mean[l] = *p.mean.at(b, first + l);
        n.rstd[l] = *p.rstd.at(b, first + l);
    }
    restore(p, b, first, a);
    project_again(p, room.g, b, first, a, dz, sums, n);
    norm_backward(p, room.g, b, first, dz, sums + p.width,
                  back.partial + (size_t)b * pool_partial(p.L, p.D), n);
    weights_backward(p, p.u + (ptrdiff_t)b * p.rows * p.width, dz, da);
    soften_backward(p, b, first, a, da, back.scale);
}

/* dU[t, h] = sum over l of a[l, (t, h)] dz[l] in the place of U: a warp has eight rows and SPAN
 * columns at a time. */
template <typename Stored>
__device__ void values_backward(const pool<Stored> &p, pool_room room, int b)
{
    int spans = (p.D + SPAN - 1) / SPAN, tiles = (p.rows + TILE - 1) / TILE;
    for (int item = warp_number(); item < tiles * spans; item += warp_count()) {
        int first = item / spans * TILE, c = item % spans * SPAN + QUAD * lane_number();
        if (c >= p.D) continue;
        four sum[TILE] = {};
        for (int group = 0; group < groups_of(p); group++) {
            const real *dz = room.dz + group * QUAD * p.width + c;
            four d[QUAD];
            UNROLL for (int l = 0; l < QUAD; l++) d[l] = load_quad(dz + l * p.width);
            UNROLL for (int j = 0; j < TILE; j++)
            {
                four a = room.a[group * p.rows + min(first + j, p.rows - 1)];
                UNROLL for (int l = 0; l < QUAD; l++)
                {
                    UNROLL for (int i = 0; i < QUAD; i++) sum[j].x[i] += a.x[l] * d[l].x[i];
                }
            }
        }
        Stored *du = p.u + ((ptrdiff_t)b * p.rows + first) * p.width + c;
        UNROLL for (int j = 0; j < TILE; j++) if (first + j < p.rows)
        {
            quad<Stored> x;
            UNROLL for (int i = 0; i < QUAD; i++) put(&x.x[i], sum[j].x[i]);
            *(quad<Stored> *)(du + j * p.width) = x;
        }
    }
}

/* dk[t] = sum over l of dscores q[l]: a thread has a column of four tokens at a time. */
template <typename Stored>
__device__ void keys_backward(const pool<Stored> &p, const pool_back<Stored> &back, const four *ds,
                              int b)
{
    int tiles = (p.T + TOKENS - 1) / TOKENS;
    for (int item = (int)threadIdx.x; item < tiles * p.D; item += (int)blockDim.x) {
        int first = item / p.D * TOKENS, c = item % p.D, h = c / p.size;
        real sum[TOKENS] = {};
        for (int group = 0; group < groups_of(p); group++) {
            four q = load_queries(p, QUAD * group, c);
            UNROLL for (int t = 0; t < TOKENS; t++)
            {
                four d = ds[group * p.rows + min(first + t, p.T - 1) * p.H + h];
                UNROLL for (int l = 0; l < QUAD; l++) sum[t] += d.x[l] * q.x[l];
            }
        }
        UNROLL for (int t = 0; t < TOKENS; t++) if (first + t < p.T)
            put(back.dk.at(b * p.T + first + t, c), sum[t]);
    }
}

/* What products and the sum over cells need of cell b. */
template <typename Stored>
__device__ void leave_cell(const pool<Stored> &p, const pool_back<Stored> &back, pool_room room,
                           int b)
{
    Stored *ds = back.dscores + (ptrdiff_t)b * p.rows * back.ldl;
    for (int i = (int)threadIdx.x; i < p.rows * p.L; i += (int)blockDim.x) {
        int j = i / p.L, l = i % p.L;
        put(ds + (ptrdiff_t)j * back.ldl + l, room.da[l / QUAD * p.rows + j].x[l % QUAD]);
    }
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

/* What the block's warps begin with. A product left the columns of U beyond D as they were. */
template <typename Stored>
__device__ void open_cell(const pool<Stored> &p, const pool_back<Stored> &back, pool_room room,
                          int b)
{
    int pad = p.width - p.D;
    Stored *u = p.u + (ptrdiff_t)b * p.rows * p.width;
    for (int i = (int)threadIdx.x; i < p.rows * pad; i += (int)blockDim.x)
        put(u + (ptrdiff_t)(i / pad) * p.width + p.D + i % pad, 0);
    for (int c = (int)threadIdx.x; c < p.D; c += (int)blockDim.x)
        room.g[c] = p.gain[c] * as_real(*back.dy.at(b, c)) * (1 / (real)p.L);
    for (int i = (int)threadIdx.x; i < warp_count() * 2 * p.width; i += (int)blockDim.x)
        room.sums[i] = 0;
}

template <typename Stored>
__global__ void __launch_bounds__(MOST_WARPS *WARP, 1)
    pool_cell_backward(pool<Stored> p, pool_back<Stored> back)
{
    int b = (int)blockIdx.x;
    pool_room room = room_of(groups_of(p), p.rows, p.width);
    open_cell(p, back, room, b);
    __syncthreads();
    for (int group = warp_number(); group < groups_of(p); group += warp_count())
        back_group(p, back, room, b, group);
    __syncthreads();
    values_backward(p, room, b);
    keys_backward(p, back, room.da, b);
    leave_cell(p, back, room, b);
}

/* The cells' kernel, with what it leaves in scratch. */
template <typename Stored>
static cz_status back_cells(cz_exec *exec, const pool<Stored> &p, pool_back<Stored> *back, int B)
{
    int count = 0, groups = (p.L + QUAD - 1) / QUAD;
    size_t rows = (size_t)B * (size_t)p.rows;
    size_t block = ((size_t)groups * group_reals(p.rows, p.width) + (size_t)p.width) * sizeof(real);
    size_t warp = 2 * (size_t)p.width * sizeof(real);
    CZ_TRY(pool_fit(exec, p.T, p.L, block, warp, &count));
    back->ldl = pool_width(p.L);
    back->dscores =
        (Stored *)cz_arena_take(exec->scratch, rows * (size_t)back->ldl * sizeof(Stored));
    back->partial =
        (real *)cz_arena_take(exec->scratch, (size_t)B * pool_partial(p.L, p.D) * sizeof(real));
    if (!back->dscores || !back->partial) return CZ_ERR_MEMORY;
    CZ_TRY(settle(exec, {cz_matrix(back->dscores, sizeof(Stored) == 2 ? CZ_BF16 : CZ_F32, (int)rows,
                                   back->ldl),
                         cz_vector(back->partial, CZ_F32, B * (int)pool_partial(p.L, p.D))}));
    return launch(exec, "resampler_pool_backward", pool_cell_backward<Stored>, dim3((unsigned)B),
                  (unsigned)(count * WARP), block + (size_t)count * warp, p, *back);
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
    CZ_TRY(settle(exec, {dk, dv}));
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
