/* Classification heads, both ways, by two kernels: one leads a few cells through a head, its loss
 * and back to its input; the other sums gradients, those of weights over cells and that of the
 * latent over heads. */
#include "device.h"
#include "loss.h"

/* Cells of a block; columns that a warp has in work at a time: with the cells a sum for each lane.
 */
static const int CELLS = 4, COLUMNS = 8, WARPS = 16, THREADS = WARPS * WARP;
static_assert(CELLS * COLUMNS == WARP && COLUMNS == 8, "a byte of each cell's mask");

/* Weights that a lane reads at once, 16 bytes of them as they are stored. */
template <typename Stored> struct run {
    static constexpr int LENGTH = 16 / (int)sizeof(Stored), SPAN = WARP * LENGTH;
};

template <typename T> struct lines {
    T *data;
    int ld;
    __device__ __forceinline__ T *at(int row, int col = 0) const
    {
        return data + (ptrdiff_t)row * ld + col;
    }
};
template <typename T> static lines<T> lines_of(cz_tensor t) { return {(T *)t.data, t.ld}; }

template <typename Weight> struct layer {
    const Weight *w; /* (outputs, inputs) */
    const float *b;
    int ld;
    bool aligned; /* rows, to 16 bytes */
};

/* A head, and all of them, as both kernels take them. */
template <typename Stored, typename Weight> struct head_work {
    layer<Weight> weights[3];
    lines<Stored> h1, h2, dlogits;
    lines<float> logits;
    mask_site drop[2];
    double *loss;
    int32_t *best;
    const int32_t *code;
    float *dw[3], *db[3];
    int dw_ld[3], C;
    bool add, adversary;
};
template <typename Stored, typename Weight> struct heads_work {
    head_work<Stored, Weight> head[CZ_MAX_HEADS];
    int heads, B, D, E; /* E: outputs of the second layer */
    lines<const Stored> z;
    lines<Stored> dz;         /* NULL: no way back */
    Stored *part, *dh1, *dh2; /* (heads, B, D), (heads, B, D), (heads, B, E): gradients */
    const cz_step *step;
};

/* ---- cells through a head ---- */

/* Rows of cells in shared memory, 0 beyond their columns and beyond the last cell. */
static __host__ __device__ __forceinline__ int padded(int n) { return (n + 7) & ~7; }
struct rooms {
    real *z, *h1, *h2, *logits; /* (CELLS, padded columns) */
    real *d1, *d2; /* (columns, CELLS) gradients: of the logits and then of h1; of h2 */
    real *sums;    /* (WARPS, CELLS, SPAN) */
};
static __host__ __device__ __forceinline__ int first_gradient(int D, int C)
{
    return padded(C > D ? C : D);
}
/* Elements of all but `sums`. */
static __host__ __device__ __forceinline__ int room_elements(int D, int E, int C)
{
    return CELLS * (2 * padded(D) + 2 * padded(E) + padded(C) + first_gradient(D, C));
}
static __device__ __forceinline__ rooms rooms_of(int D, int E, int C)
{
    rooms r;
    r.z = (real *)shared_memory();
    r.h1 = r.z + CELLS * padded(D);
    r.h2 = r.h1 + CELLS * padded(D);
    r.logits = r.h2 + CELLS * padded(E);
    r.d1 = r.logits + CELLS * padded(C);
    r.d2 = r.d1 + CELLS * first_gradient(D, C);
    r.sums = r.d2 + CELLS * padded(E);
    return r;
}

/* As products take it. */
template <typename Stored, typename Weight> __device__ __forceinline__ real weight(Weight w)
{
    if constexpr (sizeof(Weight) > sizeof(Stored)) return stored_as<Stored>(as_real(w));
    else return as_real(w);
}

/* A lane's run of weights. WHOLE: aligned, with nothing beyond the row's end; else `left` of them
 * are there, and 0 is read for the others. */
template <typename Stored, bool WHOLE, typename Weight>
__device__ __forceinline__ void load_run(real *x, const Weight *at, int left)
{
    constexpr int N = run<Stored>::LENGTH, EACH = 16 / (int)sizeof(Weight);
    if (WHOLE) {
        UNROLL for (int i = 0; i < N; i += EACH)
        {
            piece<Weight, EACH> p = *(const piece<Weight, EACH> *)(at + i);
            UNROLL for (int j = 0; j < EACH; j++) x[i + j] = weight<Stored>(p.x[j]);
        }
    } else {
        UNROLL for (int i = 0; i < N; i++) x[i] = i < left ? weight<Stored>(at[i]) : 0;
    }
}

/* Adds a lane's part of the sums over inputs, from k on, of columns from `first` on. */
template <typename Stored, bool WHOLE, typename Weight>
__device__ __forceinline__ void add_inputs(real sum[WARP], const real *x, int pitch,
                                           const layer<Weight> &l, int k, int K, int first, int C)
{
    constexpr int N = run<Stored>::LENGTH;
    real xs[CELLS][N], w[COLUMNS][N];
    UNROLL for (int j = 0; j < COLUMNS; j++) load_run<Stored, WHOLE>(
        w[j], l.w + (ptrdiff_t)(first + j) * l.ld + k, first + j < C ? K - k : 0);
    UNROLL for (int cell = 0; cell < CELLS; cell++)
        load_run<float, true>(xs[cell], x + cell * pitch + k, 0);
    if (N == 8) {
        UNROLL for (int cell = 0; cell < CELLS; cell++)
            load_run<float, true>(xs[cell] + N / 2, x + cell * pitch + k + N / 2, 0);
    }
    UNROLL for (int j = 0; j < COLUMNS; j++)
    {
        UNROLL for (int cell = 0; cell < CELLS; cell++)
        {
            UNROLL for (int i = 0; i < N; i++) sum[j * CELLS + cell] += xs[cell][i] * w[j][i];
        }
    }
}

/* Lane l's is the sum over lanes of sum[l]; of each the same tree. */
template <int HALF = WARP / 2> __device__ __forceinline__ real scattered_sum(real *sum)
{
    bool upper = lane_number() & HALF;
    UNROLL for (int i = 0; i < HALF; i++)
    {
        real own = upper ? sum[i + HALF] : sum[i], given = upper ? sum[i] : sum[i + HALF];
        sum[i] = own + __shfl_xor_sync(WHOLE_WARP, given, HALF);
    }
    if constexpr (HALF > 1) return scattered_sum<HALF / 2>(sum);
    else return sum[0];
}

/* done(c, cell, sum) with the products of the cells' rows x (CELLS, padded K) and the C rows of
 * weights, and their bias; in every lane, also for c from C on. */
template <typename Stored, typename Weight, typename Done>
__device__ __forceinline__ void through_layer(const real *x, const layer<Weight> &l, int K, int C,
                                              Done done)
{
    constexpr int N = run<Stored>::LENGTH, SPAN = run<Stored>::SPAN;
    int lane = lane_number();
    for (int first = warp_number() * COLUMNS; first < C; first += WARPS * COLUMNS) {
        real sum[WARP] = {};
        for (int k = lane * N; k < K; k += SPAN) {
            if (l.aligned && k + N <= K && first + COLUMNS <= C)
                add_inputs<Stored, true>(sum, x, padded(K), l, k, K, first, C);
            else add_inputs<Stored, false>(sum, x, padded(K), l, k, K, first, C);
        }
        real own = scattered_sum<>(sum);
        int c = first + lane / CELLS;
        done(c, lane % CELLS, own + (c < C ? l.b[c] : 0));
    }
}

/* A hidden layer, ReLU and dropout of cells from `begin` on: into `y`, and for the next into
 * `room`. The columns of a call of done() are those of a byte of a mask. */
template <typename Stored, typename Weight>
__device__ __forceinline__ void hidden_layer(const heads_work<Stored, Weight> &all,
                                             const layer<Weight> &l, const mask_site &drop,
                                             lines<Stored> y, real *room, const real *x, int K,
                                             int C, int begin)
{
    through_layer<Stored>(x, l, K, C, [&](int c, int cell, real v) {
        int b = begin + cell;
        if (b >= all.B) return;
        v = v < 0 ? 0 : v; /* NaN stays NaN */
        if (drop.bits) {
            int group = c / 8, left = C - 8 * group;
            unsigned byte = draw_mask_byte(drop, all.step, b, (unsigned)group);
            if (left < 8) byte &= (1u << left) - 1;
            if (c % 8 == 0) drop.bits[(size_t)b * drop.cell_bytes + (size_t)group] = (uint8_t)byte;
            v = byte >> (c % 8) & 1 ? v * drop.scale : 0;
        }
        if (c >= C) return;
        put(y.at(b, c), v);
        room[cell * padded(C) + c] = stored_as<Stored>(v);
    });
}

/* A warp a cell. */
template <typename Stored, typename Weight>
__device__ __forceinline__ void lose(const heads_work<Stored, Weight> &all,
                                     const head_work<Stored, Weight> &h, const rooms &r, int begin)
{
    int cell = warp_number(), b = begin + cell, lane = lane_number(), C = h.C;
    if (cell >= CELLS || b >= all.B) return;
    const real *x = r.logits + cell * padded(C);
    /* The host has refused classes that there are not. */
    int code = h.code[b] < C ? h.code[b] : -1;
    softmax s = softmax_of(x, C, lane);
    if (lane == 0) {
        h.best[b] = s.top.at;
        h.loss[b] = loss_of(s, x, code);
    }
    if (!all.dz.data) return;
    real scale = cell_scale(all.step, (int)blockIdx.y, code);
    softmax_gradient(s, x, C, lane, code, scale, [&](int c, real d) {
        put(h.dlogits.at(b, c), d);
        r.d1[c * CELLS + cell] = stored_as<Stored>(d);
    });
}

/* Adds a warp's part, rows warp, warp + WARPS, ... of C, of the sums over outputs. */
template <typename Stored, bool WHOLE, typename Weight>
__device__ __forceinline__ void add_outputs(real sum[CELLS][run<Stored>::LENGTH], const real *dy,
                                            const layer<Weight> &l, int k, int K, int C)
{
    constexpr int N = run<Stored>::LENGTH;
    UNROLL_FEW for (int c = warp_number(); c < C; c += WARPS)
    {
        real w[N];
        load_run<Stored, WHOLE>(w, l.w + (ptrdiff_t)c * l.ld + k, K - k);
        piece<real, CELLS> d = *(const piece<real, CELLS> *)(dy + c * CELLS);
        UNROLL for (int cell = 0; cell < CELLS; cell++)
        {
            UNROLL for (int i = 0; i < N; i++) sum[cell][i] += d.x[cell] * w[i];
        }
    }
}

/* done(k, cell, sum) with the products of dy (C, CELLS) and the C rows of weights of K columns. All
 * threads of the block come here, and leave together. */
template <typename Stored, typename Weight, typename Done>
__device__ __forceinline__ void back_through_layer(real *sums, const real *dy,
                                                   const layer<Weight> &l, int C, int K, Done done)
{
    constexpr int N = run<Stored>::LENGTH, SPAN = run<Stored>::SPAN;
    for (int begin = 0; begin < K; begin += SPAN) {
        real sum[CELLS][N] = {};
        int at = lane_number() * N, k = begin + at;
        if (l.aligned && k + N <= K) add_outputs<Stored, true>(sum, dy, l, k, K, C);
        else if (k < K) add_outputs<Stored, false>(sum, dy, l, k, K, C);
        UNROLL for (int cell = 0; cell < CELLS; cell++)
        {
            UNROLL for (int i = 0; i < N; i++)
                sums[(warp_number() * CELLS + cell) * SPAN + at + i] = sum[cell][i];
        }
        __syncthreads();
        for (int i = (int)threadIdx.x; i < CELLS * SPAN; i += THREADS) {
            real total = 0;
            for (int warp = 0; warp < WARPS; warp++) total += sums[warp * CELLS * SPAN + i];
            if (begin + i % SPAN < K) done(begin + i % SPAN, i / SPAN, total);
        }
        __syncthreads();
    }
}

/* From the gradient of the logits to that of z. */
template <typename Stored, typename Weight>
__device__ __forceinline__ void back(const heads_work<Stored, Weight> &all,
                                     const head_work<Stored, Weight> &h, const rooms &r, int begin)
{
    int D = all.D, E = all.E;
    size_t row = (size_t)blockIdx.y * (size_t)all.B + (size_t)begin;
    back_through_layer<Stored>(r.sums, r.d1, h.weights[2], h.C, E, [&](int k, int cell, real d) {
        d = r.h2[cell * padded(E) + k] > 0 ? stored_as<Stored>(d * h.drop[1].scale) : 0;
        r.d2[k * CELLS + cell] = d;
        if (begin + cell < all.B) put(all.dh2 + (row + (size_t)cell) * (size_t)E + k, d);
    });
    back_through_layer<Stored>(r.sums, r.d2, h.weights[1], E, D, [&](int k, int cell, real d) {
        d = r.h1[cell * padded(D) + k] > 0 ? stored_as<Stored>(d * h.drop[0].scale) : 0;
        r.d1[k * CELLS + cell] = d;
        if (begin + cell < all.B) put(all.dh1 + (row + (size_t)cell) * (size_t)D + k, d);
    });
    back_through_layer<Stored>(r.sums, r.d1, h.weights[0], D, D, [&](int k, int cell, real d) {
        if (begin + cell < all.B) put(all.part + (row + (size_t)cell) * (size_t)D + k, d);
    });
}

/* Rounds as the CPU does: wherever something is stored. */
template <typename Stored, typename Weight>
__global__ void __launch_bounds__(THREADS) through_heads(heads_work<Stored, Weight> all)
{
    const head_work<Stored, Weight> &h = all.head[blockIdx.y];
    int D = all.D, E = all.E, C = h.C, begin = (int)blockIdx.x * CELLS;
    rooms r = rooms_of(D, E, C);
    for (int i = (int)threadIdx.x; i < room_elements(D, E, C); i += THREADS) r.z[i] = 0;
    __syncthreads();
    for (int i = (int)threadIdx.x; i < CELLS * D; i += THREADS)
        if (begin + i / D < all.B)
            r.z[i / D * padded(D) + i % D] = as_real(*all.z.at(begin + i / D, i % D));
    __syncthreads();
    hidden_layer(all, h.weights[0], h.drop[0], h.h1, r.h1, r.z, D, D, begin);
    __syncthreads();
    hidden_layer(all, h.weights[1], h.drop[1], h.h2, r.h2, r.h1, D, E, begin);
    __syncthreads();
    through_layer<Stored>(r.h2, h.weights[2], E, C, [&](int c, int cell, real v) {
        if (c >= C || begin + cell >= all.B) return;
        *h.logits.at(begin + cell, c) = r.logits[cell * padded(C) + c] = v;
    });
    __syncthreads();
    lose(all, h, r, begin);
    __syncthreads();
    if (all.dz.data) back(all, h, r, begin);
}

/* ---- sums over cells, and over heads ---- */

/* dw in tiles, a block each: a thread has ROWS x COLS of it. */
enum {
    TILE = 32,
    ROWS = 2,
    COLS = 4,
    TILE_THREADS = TILE / ROWS * (TILE / COLS),
    CHUNK = 64,      /* cells in shared memory at a time */
    PITCH = TILE + 4 /* from one of them to the next */
};

static __host__ __device__ __forceinline__ int tiles_of(int n) { return (n + TILE - 1) / TILE; }
static __host__ __device__ __forceinline__ int tiles_across(int K) { return K ? tiles_of(K) : 1; }

/* What gradients of weights are sums of: over cells, of dy (C) times x (K). */
template <typename Stored> struct factors {
    lines<const Stored> dy, x;
    int C, K;
};
template <typename Stored, typename Weight>
__device__ factors<Stored> factors_of(const heads_work<Stored, Weight> &all, int head, int layer)
{
    const head_work<Stored, Weight> &h = all.head[head];
    int D = all.D, E = all.E;
    size_t row = (size_t)head * (size_t)all.B;
    if (layer == 0) return {{all.dh1 + row * (size_t)D, D}, all.z, D, D};
    if (layer == 1) return {{all.dh2 + row * (size_t)E, E}, {h.h1.data, h.h1.ld}, E, D};
    return {{h.dlogits.data, h.dlogits.ld}, {h.h2.data, h.h2.ld}, h.C, E};
}

/* A chunk of rows of x, from (n, c) on; 0 beyond their end. */
template <typename Stored>
__device__ __forceinline__ void load_chunk(real *to, lines<const Stored> x, int n, int N, int c,
                                           int C)
{
    UNROLL for (int i = (int)threadIdx.x; i < CHUNK * TILE; i += TILE_THREADS)
    {
        int row = i / TILE, col = i % TILE;
        bool there = n + row < N && c + col < C;
        to[row * PITCH + col] = there ? as_real(*x.at(n + row, c + col)) : 0;
    }
}

/* Cells are added in their order. */
template <typename Stored>
__device__ __forceinline__ void sum_tile(real sum[ROWS][COLS], real *column,
                                         const factors<Stored> &f, int N, int row, int col)
{
    real *a = (real *)shared_memory(), *b = a + CHUNK * PITCH;
    int i = (int)threadIdx.x / (TILE / COLS) * ROWS, j = (int)threadIdx.x % (TILE / COLS) * COLS;
    for (int begin = 0; begin < N; begin += CHUNK) {
        int count = N - begin < CHUNK ? N - begin : CHUNK;
        load_chunk(a, f.dy, begin, N, row, f.C);
        load_chunk(b, f.x, begin, N, col, f.K);
        __syncthreads();
        UNROLL_FEW for (int n = 0; n < count; n++)
        {
            piece<real, ROWS> dy = *(const piece<real, ROWS> *)(a + n * PITCH + i);
            piece<real, COLS> x = *(const piece<real, COLS> *)(b + n * PITCH + j);
            UNROLL for (int u = 0; u < ROWS; u++)
            {
                UNROLL for (int v = 0; v < COLS; v++) sum[u][v] += dy.x[u] * x.x[v];
            }
        }
        for (int n = 0; col == 0 && threadIdx.x < TILE && n < count; n++)
            *column += a[n * PITCH + (int)threadIdx.x];
        __syncthreads();
    }
}

template <typename Stored, typename Weight>
__device__ __forceinline__ void weight_gradients(const heads_work<Stored, Weight> &all, int head,
                                                 int layer)
{
    const head_work<Stored, Weight> &h = all.head[head];
    factors<Stored> f = factors_of(all, head, layer);
    int tile = (int)blockIdx.x, across = tiles_across(f.K);
    int row = tile / across * TILE, col = tile % across * TILE, thread = (int)threadIdx.x;
    if (row >= f.C) return;
    real sum[ROWS][COLS] = {}, column = 0;
    sum_tile(sum, &column, f, all.B, row, col);
    int i = row + thread / (TILE / COLS) * ROWS, j = col + thread % (TILE / COLS) * COLS;
    UNROLL for (int u = 0; u < ROWS; u++)
    {
        UNROLL for (int v = 0; v < COLS; v++) if (i + u < f.C && j + v < f.K)
        {
            float *dw = h.dw[layer] + (ptrdiff_t)(i + u) * h.dw_ld[layer] + j + v;
            *dw = h.add ? *dw + sum[u][v] : sum[u][v];
        }
    }
    if (col || thread >= TILE || row + thread >= f.C) return;
    float *db = h.db[layer] + row + thread;
    *db = h.add ? *db + column : column;
}

/* Rounded after each head, as one that is added after the other. */
template <typename Stored, typename Weight>
__device__ __forceinline__ void latent_gradient(const heads_work<Stored, Weight> &all)
{
    size_t size = (size_t)all.B * (size_t)all.D, stride = (size_t)gridDim.x * TILE_THREADS;
    for (size_t i = blockIdx.x * (size_t)TILE_THREADS + threadIdx.x; i < size; i += stride) {
        real sum = 0;
        for (int h = 0; h < all.heads; h++) {
            real factor = all.head[h].adversary ? (real)-all.step->lambda : 1;
            sum = stored_as<Stored>(factor * as_real(all.part[(size_t)h * size + i]) + sum);
        }
        put(all.dz.at((int)(i / (size_t)all.D), (int)(i % (size_t)all.D)), sum);
    }
}

/* blockIdx.y: a layer of a head, and after them all the latent. */
template <typename Stored, typename Weight>
__global__ void __launch_bounds__(TILE_THREADS) sum_heads(heads_work<Stored, Weight> all)
{
    int layer = (int)blockIdx.y;
    if (layer < 3 * all.heads) weight_gradients(all, layer / 3, layer % 3);
    else latent_gradient(all);
}

/* ---- the host's side ---- */

size_t heads_scratch(int B, int D, cz_dtype dtype)
{
    return (size_t)CZ_MAX_HEADS * cz_dtype_size(dtype) * (size_t)B *
               (2 * (size_t)D + (size_t)D / 2) +
           3 * 64;
}

template <typename Stored, typename Weight>
static head_work<Stored, Weight> head_of(const cz_head *h, int D)
{
    head_work<Stored, Weight> to = {};
    for (int i = 0; i < 3; i++) {
        bool copy = sizeof(Weight) < sizeof(float);
        const void *w = copy ? h->w[i].packed : h->w[i].data;
        int ld = copy ? cz_cols(h->w[i]) : h->w[i].ld;
        to.weights[i].w = (const Weight *)w;
        to.weights[i].b = (const float *)h->b[i].data;
        to.weights[i].ld = ld;
        to.weights[i].aligned = (uintptr_t)w % 16 == 0 && (size_t)ld * sizeof(Weight) % 16 == 0;
        to.dw[i] = (float *)h->dw[i].data;
        to.db[i] = (float *)h->db[i].data;
        to.dw_ld[i] = h->dw[i].ld;
    }
    to.h1 = lines_of<Stored>(h->h1);
    to.h2 = lines_of<Stored>(h->h2);
    to.dlogits = lines_of<Stored>(h->dlogits);
    to.logits = lines_of<float>(h->logits);
    to.drop[0] = site_of(h->drop[0], D);
    to.drop[1] = site_of(h->drop[1], D / 2);
    to.loss = h->loss;
    to.best = h->best;
    to.code = h->code;
    to.C = cz_cols(h->logits);
    to.add = h->add;
    to.adversary = h->adversary;
    return to;
}

/* What the heads' gradients are kept in between the kernels. */
template <typename Stored, typename Weight>
static cz_status take_gradients(cz_exec *exec, heads_work<Stored, Weight> *all)
{
    size_t rows = (size_t)all->heads * (size_t)all->B * sizeof(Stored);
    all->part = (Stored *)cz_arena_take(exec->scratch, rows * (size_t)all->D);
    all->dh1 = (Stored *)cz_arena_take(exec->scratch, rows * (size_t)all->D);
    all->dh2 = (Stored *)cz_arena_take(exec->scratch, rows * (size_t)all->E);
    return all->part && all->dh1 && all->dh2 ? CZ_OK : CZ_ERR_MEMORY;
}

/* Enough blocks for the largest matrix and for the latent. */
template <typename Stored, typename Weight>
static unsigned sum_blocks(const heads_work<Stored, Weight> &all)
{
    enum { EACH = 8 * TILE_THREADS };
    int most = tiles_of(all.D) * tiles_across(all.D);
    for (int h = 0; h < all.heads; h++) {
        int last = tiles_of(all.head[h].C) * tiles_across(all.E);
        if (last > most) most = last;
    }
    unsigned latent = blocks_for((size_t)all.B * (size_t)all.D, EACH);
    return latent > (unsigned)most ? latent : (unsigned)most;
}

static int most_classes(const cz_head *head, int heads)
{
    int most = 0;
    for (int h = 0; h < heads; h++) most = max(most, cz_cols(head[h].logits));
    return most;
}

template <typename Stored> static size_t shared_bytes(int D, int C)
{
    return sizeof(real) *
           ((size_t)room_elements(D, D / 2, C) + (size_t)WARPS * CELLS * run<Stored>::SPAN);
}

template <typename Stored, typename Weight>
static cz_status both_kernels(cz_exec *exec, cz_tensor dz, cz_tensor z, const cz_head *head,
                              int heads)
{
    static_assert(sizeof(heads_work<Stored, Weight>) <= 4096, "arguments of a kernel");
    size_t kept = exec->scratch->used;
    heads_work<Stored, Weight> all = {};
    all.heads = heads;
    all.B = cz_rows(z);
    all.D = cz_cols(z);
    all.E = all.D / 2;
    all.z = lines_of<const Stored>(z);
    if (dz.data) all.dz = lines_of<Stored>(dz);
    all.step = exec->step;
    for (int h = 0; h < heads; h++) all.head[h] = head_of<Stored, Weight>(&head[h], all.D);
    cz_status status = dz.data ? take_gradients(exec, &all) : CZ_OK;
    if (!status)
        status = launch(exec, "heads", through_heads<Stored, Weight>,
                        dim3(((unsigned)all.B + CELLS - 1) / CELLS, (unsigned)heads), THREADS,
                        shared_bytes<Stored>(all.D, most_classes(head, heads)), all);
    if (!status && dz.data)
        status = launch(exec, "heads_sums", sum_heads<Stored, Weight>,
                        dim3(sum_blocks(all), 3 * (unsigned)heads + 1), TILE_THREADS,
                        2 * sizeof(real) * CHUNK * PITCH, all);
    exec->scratch->used = kept;
    return status;
}

template <typename Stored>
static cz_status run_heads(cz_exec *exec, cz_tensor dz, cz_tensor z, const cz_head *head, int heads)
{
    CZ_TRY(join_deferred(exec->gpu));
    if (shared_bytes<Stored>(cz_cols(z), most_classes(head, heads)) > device_of(exec->gpu)->shared)
        return cz_heads_composed(exec, dz, z, head, heads);
    bool copies = true;
    for (int h = 0; h < heads; h++)
        for (int i = 0; i < 3; i++) copies = copies && head[h].w[i].packed;
    if (copies) return both_kernels<Stored, Stored>(exec, dz, z, head, heads);
    return both_kernels<Stored, float>(exec, dz, z, head, heads);
}

void fill_heads(cuda_tables t)
{
    t.f32->heads = run_heads<float>;
    t.bf16->heads = run_heads<bf16>;
}
