/* Attention of latents to tokens, projection, LayerNorm, and the mean over latents. */
#include "pool.h"

static const real EPS = 1e-5f;

/* The masks of cell b, by the whole block. */
static __device__ void draw_cell(const mask_site &site, const cz_step *step, int b, int elements)
{
    if (!site.bits) return;
    for (unsigned at = threadIdx.x; at < site.cell_bytes; at += blockDim.x) {
        unsigned byte = draw_mask_byte(site, step, b, at);
        int left = elements - 8 * (int)at;
        site.bits[(size_t)b * site.cell_bytes + at] =
            (uint8_t)(left < 8 ? byte & ((1u << left) - 1) : byte);
    }
}

/* From one key of a head to the next: odd, so that lanes meet different banks. */
static __host__ __device__ int key_step(int size) { return size | 1; }

/* keys[h][t] of cell b, by the whole block. */
template <typename Stored> __device__ void load_keys(const pool<Stored> &p, int b, real *keys)
{
    for (int i = (int)threadIdx.x; i < p.T * p.D; i += (int)blockDim.x) {
        int t = i / p.D, c = i % p.D, h = c / p.size;
        keys[(h * p.T + t) * key_step(p.size) + c % p.size] = as_real(*p.k.at(b * p.T + t, c));
    }
}

/* a[t][h] = q_h[l] k_h[t]; a lane has keys of one head beside each other. `q` is room for D. */
template <typename Stored>
__device__ void scores(const pool<Stored> &p, int first, const real *keys, four *q, four *a)
{
    for (int c = lane_number(); c < p.D; c += WARP) q[c] = load_queries(p, first, c);
    __syncwarp();
    for (int i = lane_number(); i < p.rows; i += WARP) {
        int h = i / p.T, t = i % p.T;
        const real *key = keys + i * key_step(p.size);
        four sum = {};
        for (int e = 0; e < p.size; e++) {
            four x = q[h * p.size + e];
            UNROLL for (int l = 0; l < QUAD; l++) sum.x[l] += key[e] * x.x[l];
        }
        a[t * p.H + h] = sum;
    }
    __syncwarp();
}

/* Softmax over t, a latent's head a lane, kept as probs, and through the dropout into `to`. */
template <typename Stored>
__device__ void soften(const pool<Stored> &p, int b, int first, four *a, Stored *to, real scale)
{
    for (int i = lane_number(); i < QUAD * p.H; i += WARP) {
        int h = i / QUAD, l = first + i % QUAD, step = QUAD * p.H;
        Stored *row = to + i % QUAD * pitch_of<Stored>(p.rows);
        real *x = (real *)a + i, top = -INFINITY, sum = 0;
        for (int t = 0; t < p.T; t++) top = max(top, x[t * step]);
        for (int t = 0; t < p.T; t++) sum += x[t * step] = expf((x[t * step] - top) * scale);
        real factor = 1 / sum;
        unsigned keeps = 0;
        for (int t = 0; t < p.T; t++) {
            if (t % TOGETHER == 0) keeps = kept_weights(p, b, h, l, t);
            real prob = stored_as<Stored>(x[t * step] * factor);
            if (l < p.L) put(p.probs.at((b * p.H + h) * p.L + l, t), prob);
            put(row + t * p.H + h, keeps >> t % TOGETHER & 1 ? prob * p.attention.scale : 0);
        }
    }
    clear_beyond(p, to);
}

/* z of a group becomes s, row by row of `rows`; mean[l] over columns. */
template <typename Stored>
__device__ __forceinline__ void add_residuals(const pool<Stored> &p, int b, int first, real *rows,
                                              real mean[QUAD])
{
    for (int c = QUAD * lane_number(); c < p.D; c += SPAN) {
        four s[QUAD];
        UNROLL for (int l = 0; l < QUAD; l++) s[l] = load_quad(rows + l * pitch_of<real>(p.D) + c);
        add_residual(p, b, first, c, s);
        UNROLL for (int l = 0; l < QUAD; l++)
        {
            store_quad(rows + l * pitch_of<real>(p.D) + c, s[l]);
            UNROLL for (int i = 0; i < QUAD; i++) mean[l] += s[l].x[i];
        }
    }
    UNROLL for (int l = 0; l < QUAD; l++) mean[l] = warp_sum(mean[l]) / (real)p.D;
}

/* LayerNorm of a group's s; adds (s - mean) rstd to `total`, 0 beyond the last latent. */
template <typename Stored>
__device__ __forceinline__ void normalise(const pool<Stored> &p, int b, int first, const real *rows,
                                          const real mean[QUAD], real *total)
{
    real rstd[QUAD] = {};
    for (int c = QUAD * lane_number(); c < p.D; c += SPAN) UNROLL for (int l = 0; l < QUAD; l++)
        {
            four s = load_quad(rows + l * pitch_of<real>(p.D) + c);
            UNROLL for (int i = 0; i < QUAD; i++) if (c + i < p.D) rstd[l] +=
                (s.x[i] - mean[l]) * (s.x[i] - mean[l]);
        }
    UNROLL for (int l = 0; l < QUAD; l++) rstd[l] = 1 / sqrtf(warp_sum(rstd[l]) / (real)p.D + EPS);
    for (int c = QUAD * lane_number(); c < p.D; c += SPAN) {
        four sum = load_quad(total + c);
        UNROLL for (int l = 0; l < QUAD; l++)
        {
            four s = load_quad(rows + l * pitch_of<real>(p.D) + c);
            UNROLL for (int i = 0; i < QUAD; i++) sum.x[i] += (s.x[i] - mean[l]) * rstd[l];
        }
        store_quad(total + c, sum);
    }
    UNROLL for (int l = 0; l < QUAD; l++) if (lane_number() == l && first + l < p.L)
    {
        *p.mean.at(b, first + l) = mean[l];
        *p.rstd.at(b, first + l) = rstd[l];
    }
}

/* The block's shared memory, matrices of a chunk of latents where nothing else is said. */
template <typename Stored> struct pool_room {
    real *s;     /* (D): z, then s; before, the queries of each group */
    Stored *a;   /* (T H): weights */
    four *score; /* (groups, T H): before they are weights */
    real *total; /* (warps, width): sums of (s - mean) rstd */
    Stored *u;   /* (T H, D) */
    real *keys;  /* (H, T, key_step) */
};
template <typename Stored> static __host__ __device__ size_t warp_bytes(int rows, int D)
{
    return QUAD * ((size_t)pitch_of<real>(D) + (size_t)rows) * sizeof(real) +
           QUAD * (size_t)pitch_of<Stored>(rows) * sizeof(Stored) +
           (size_t)pool_width(D) * sizeof(real);
}
template <typename Stored> __device__ pool_room<Stored> room_of(const pool<Stored> &p)
{
    int latents = QUAD * warp_count();
    pool_room<Stored> r;
    r.s = (real *)shared_memory();
    r.a = (Stored *)(r.s + latents * pitch_of<real>(p.D));
    r.score = (four *)(r.a + latents * pitch_of<Stored>(p.rows));
    r.u = (Stored *)(r.score + warp_count() * p.rows);
    r.total = (real *)(r.u + p.u_rows * pitch_of<Stored>(p.D));
    r.keys = r.total + warp_count() * p.width;
    return r;
}

template <typename Stored>
__global__ void __launch_bounds__(MOST_WARPS *WARP, 1)
    pool_cell(pool<Stored> p, rows_of<Stored> y, const cz_step *step, real scale)
{
    int b = (int)blockIdx.x, own = QUAD * warp_number(), chunk = QUAD * warp_count();
    pool_room<Stored> room = room_of(p);
    real *rows = room.s + own * pitch_of<real>(p.D), *total = room.total + warp_number() * p.width;
    four *score = room.score + warp_number() * p.rows;
    draw_cell(p.attention, step, b, p.H * p.L * p.T);
    draw_cell(p.out, step, b, p.L * p.D);
    load_keys(p, b, room.keys);
    if (p.u_rows == whole_tiles(p.rows)) stage_u(p, b, 0, p.u_rows, room.u);
    for (int c = lane_number(); c < p.width; c += WARP) total[c] = 0;
    for (int first = 0; first < p.L; first += chunk) {
        __syncthreads();
        scores(p, first + own, room.keys, (four *)rows, score);
        soften(p, b, first + own, score, room.a + own * pitch_of<Stored>(p.rows), scale);
        __syncthreads();
        project(p, b, min(chunk, whole_tiles(p.L - first)), room.a, room.u, room.s);
        __syncthreads();
        real mean[QUAD] = {};
        if (first + own < p.L) {
            add_residuals(p, b, first + own, rows, mean);
            normalise(p, b, first + own, rows, mean, total);
        }
    }
    __syncthreads();
    for (int c = (int)threadIdx.x; c < p.D; c += (int)blockDim.x) {
        real sum = 0;
        for (int w = 0; w < warp_count(); w++) sum += room.total[w * p.width + c];
        put(y.at(b, c), p.gain[c] * (sum * (1 / (real)p.L)) + p.bias[c]);
    }
}

template <typename Stored>
static cz_status pool_forward(cz_exec *exec, cz_tensor y, cz_tensor probs, cz_tensor mean,
                              cz_tensor rstd, cz_tensor kept_u, cz_tensor k, cz_tensor v,
                              const cz_pool_weights *w, int H, cz_pool_form,
                              const cz_dropout *drop_attention, const cz_dropout *drop_out)
{
    size_t kept = exec->scratch->used;
    int count = 0;
    void *u = nullptr;
    operand w_out;
    CZ_TRY(settle(exec, {y, probs, mean, rstd, kept_u},
                  {k, v, w->q, w->latents, w->w_out, w->b_out, w->gain, w->bias}));
    cz_status status = pool_open(exec, v, w->w_out, H, kept_u, false, &w_out, &u);
    pool<Stored> p = pool_of<Stored>(u, probs, mean, rstd, k, w, H, drop_attention, drop_out);
    size_t keys = (size_t)p.rows * (size_t)key_step(p.size) * sizeof(real);
    size_t u_row = (size_t)pitch_of<Stored>(p.D) * sizeof(Stored);
    size_t warp = warp_bytes<Stored>(p.rows, p.D);
    if (!status) status = pool_fit(exec, p.T, p.L, p.rows, u_row, keys, warp, &p.u_rows, &count);
    if (!status)
        status =
            launch(exec, "resampler_pool_forward", pool_cell<Stored>, dim3((unsigned)k.dim[0]),
                   (unsigned)(count * WARP), keys + (size_t)p.u_rows * u_row + (size_t)count * warp,
                   p, view<Stored>(y), exec->step, (real)(1 / sqrt((double)p.size)));
    exec->scratch->used = kept;
    return status;
}

void fill_pool_forward(cuda_tables t)
{
    t.f32->resampler_pool_forward = pool_forward<float>;
    t.bf16->resampler_pool_forward = pool_forward<bf16>;
}
