/* What was noted for the end of a step, all in one launch: each note has some of the blocks. */
#include "deferred.h"
#include "tiles.h"

static const int THREADS = 128, WARPS = THREADS / WARP;
static_assert(sizeof(deferred_work) <= 4096, "arguments of a kernel");

/* Elements in 16 bytes, as they are stored. Read as a uint4, which stays in four registers: of its
 * elements nvcc would make one each, and wait for them. */
template <typename Stored> constexpr int LENGTH = 16 / (int)sizeof(Stored);
template <typename Stored> union slice {
    uint4 whole;
    Stored x[LENGTH<Stored>];
    __device__ __forceinline__ slice() : whole{0, 0, 0, 0} {}
};

/* Columns from `col` on of a row of `cols`, 0 beyond; `row` NULL: 0. */
template <typename Stored>
__device__ __forceinline__ uint4 read_slice(const Stored *row, int col, int cols, bool aligned)
{
    if (row && aligned && col + LENGTH<Stored> <= cols) return *(const uint4 *)(row + col);
    slice<Stored> some;
    UNROLL for (int i = 0; i < LENGTH<Stored>; i++) if (row && col + i < cols) some.x[i] =
        row[col + i];
    return some.whole;
}

/* ---- products: a tile of the sum a block ---- */

/* Of both factors so many rows are in shared memory at a time, twice: one is multiplied, the next
 * one comes in. */
static const int EDGE = 64;
template <typename Stored> struct chunk {
    static constexpr int ACROSS = EDGE / LENGTH<Stored>;
    static constexpr int ROWS = 128 / (int)sizeof(Stored), PITCH = EDGE + LENGTH<Stored>;
    static constexpr int ELEMENTS = ROWS * PITCH, EACH = ROWS * ACROSS / THREADS;
    static_assert(EACH * THREADS == ROWS * ACROSS, "a thread has so many slices");
    uint4 x[EACH]; /* on their way */
};

template <typename Stored>
__device__ __forceinline__ void fetch(chunk<Stored> &to, const Stored *from, int ld, int first,
                                      int rows, int col, int cols, bool aligned)
{
    UNROLL for (int i = 0; i < chunk<Stored>::EACH; i++)
    {
        int at = (int)threadIdx.x + i * THREADS, row = first + at / chunk<Stored>::ACROSS;
        int c = col + at % chunk<Stored>::ACROSS * LENGTH<Stored>;
        to.x[i] = read_slice(row < rows ? from + (ptrdiff_t)row * ld : nullptr, c, cols, aligned);
    }
}
template <typename Stored>
__device__ __forceinline__ void place(Stored *to, const chunk<Stored> &from)
{
    UNROLL for (int i = 0; i < chunk<Stored>::EACH; i++)
    {
        int at = (int)threadIdx.x + i * THREADS, row = at / chunk<Stored>::ACROSS;
        int c = at % chunk<Stored>::ACROSS * LENGTH<Stored>;
        *(uint4 *)(to + row * chunk<Stored>::PITCH + c) = from.x[i];
    }
}

/* A warp has 32 x 32 of the tile. */
static const int HALF = 2;
template <typename Stored> struct quarter {
    tile_sum<Stored> sum[HALF][HALF];

    static __device__ __forceinline__ int row() { return warp_number() / HALF * HALF * TILE; }
    static __device__ __forceinline__ int col() { return warp_number() % HALF * HALF * TILE; }
    __device__ __forceinline__ void zero()
    {
        UNROLL for (int i = 0; i < HALF * HALF; i++) sum[i / HALF][i % HALF].zero();
    }
    __device__ __forceinline__ void add(const Stored *a, const Stored *b)
    {
        constexpr int PITCH = chunk<Stored>::PITCH;
        UNROLL for (int k = 0; k < chunk<Stored>::ROWS; k += TILE)
        {
            left_tile<Stored, TURNED> left[HALF];
            right_tile<Stored, PLAIN> right[HALF];
            UNROLL for (int i = 0; i < HALF; i++)
            {
                left[i].load(a + k * PITCH + row() + i * TILE, PITCH);
                right[i].load(b + k * PITCH + col() + i * TILE, PITCH);
            }
            UNROLL for (int i = 0; i < HALF * HALF; i++) sum[i / HALF][i % HALF].add(
                left[i / HALF], right[i % HALF]);
        }
    }
    __device__ __forceinline__ void store(float *to, int pitch) const
    {
        UNROLL for (int i = 0; i < HALF * HALF; i++) sum[i / HALF][i % HALF].store(
            to + (row() + i / HALF * TILE) * pitch + col() + i % HALF * TILE, pitch);
    }
};

/* A thread's part of the sum of column threadIdx.x % EDGE of a chunk. */
template <typename Stored> __device__ __forceinline__ real half_column(const Stored *a)
{
    constexpr int COUNT = chunk<Stored>::ROWS * EDGE / THREADS;
    int first = (int)threadIdx.x / EDGE * COUNT, c = (int)threadIdx.x % EDGE;
    real sum = 0;
    UNROLL for (int i = 0; i < COUNT; i++) sum +=
        as_real(a[(first + i) * chunk<Stored>::PITCH + c]);
    return sum;
}

static __host__ __device__ __forceinline__ int edges(int n) { return (n + EDGE - 1) / EDGE; }
/* Of a sum without columns there are the columns' sums still. */
static __host__ __device__ __forceinline__ int tiles_across(int N) { return N ? edges(N) : 1; }

/* The tile, out of shared memory; several elements are read before the first is written. */
static __device__ __forceinline__ void leave_tile(const deferred_product &p, float *sum,
                                                  const float *tile, int pitch, int row, int col)
{
    enum { AT_ONCE = 8 };
    int m = row + (int)threadIdx.x / EDGE, n = (int)threadIdx.x % EDGE, step = THREADS / EDGE;
    if (col + n >= p.N) return;
    float *at = sum + (ptrdiff_t)m * p.ld + col + n;
    tile += (m - row) * pitch + n;
    for (int done = 0; done < EDGE / step; done += AT_ONCE) {
        float before[AT_ONCE];
        UNROLL for (int i = 0; i < AT_ONCE; i++)
        {
            int r = (done + i) * step;
            before[i] = p.add && m + r < p.M ? at[(ptrdiff_t)r * p.ld] : 0;
        }
        UNROLL for (int i = 0; i < AT_ONCE; i++)
        {
            int r = (done + i) * step;
            if (m + r < p.M) at[(ptrdiff_t)r * p.ld] = before[i] + tile[r * pitch];
        }
    }
}

static __device__ __forceinline__ void leave_columns(const deferred_product &p, float *room,
                                                     real own, int row)
{
    int c = (int)threadIdx.x;
    room[c] = own;
    __syncthreads();
    if (c >= EDGE || row + c >= p.M) return;
    real sum = own;
    for (int i = c + EDGE; i < THREADS; i += EDGE) sum += room[i];
    p.columns[row + c] = p.add ? p.columns[row + c] + sum : sum;
}

template <typename Stored>
__device__ __forceinline__ void multiply(const deferred_product &p, int block)
{
    typedef chunk<Stored> part;
    constexpr int PITCH = EDGE + 4;
    static_assert(sizeof(float) * EDGE * PITCH <= sizeof(Stored) * 4 * part::ELEMENTS, "room");
    int across = tiles_across(p.N), tiles = edges(p.M) * across, batch = block / tiles;
    int row = block % tiles / across * EDGE, col = block % tiles % across * EDGE;
    const Stored *a = (const Stored *)p.a + batch * p.step_a;
    const Stored *b = (const Stored *)p.b + batch * p.step_b;
    Stored *room = (Stored *)shared_memory();
    bool sums = p.columns && col == 0;
    quarter<Stored> own;
    part next_a, next_b;
    real column = 0;
    own.zero();
    for (int first = -part::ROWS, turn = 1; first < p.rows; first += part::ROWS, turn = !turn) {
        Stored *now = room + turn * 2 * part::ELEMENTS, *then = room + !turn * 2 * part::ELEMENTS;
        int next = first + part::ROWS;
        if (next < p.rows) {
            fetch(next_a, a, p.lda, next, p.rows, row, p.M, p.aligned);
            fetch(next_b, b, p.ldb, next, p.rows, col, p.N, p.aligned);
        }
        if (first >= 0) own.add(now, now + part::ELEMENTS);
        if (first >= 0 && sums) column += half_column(now);
        if (next < p.rows) {
            place(then, next_a);
            place(then + part::ELEMENTS, next_b);
        }
        __syncthreads();
    }
    own.store((float *)room, PITCH);
    __syncthreads();
    leave_tile(p, p.sum + batch * p.step, (const float *)room, PITCH, row, col);
    __syncthreads();
    if (sums) leave_columns(p, (float *)room, column, row);
}

/* ---- norms: a slice of columns a block, every THREADS-th row a thread ---- */

/* WHOLE: aligned, with nothing beyond the columns. */
template <bool WHOLE, typename Stored>
__device__ __forceinline__ void add_rows(const deferred_norm &n, int c, real *gain, real *bias)
{
    UNROLL_FEW for (int row = (int)threadIdx.x; row < n.rows; row += THREADS)
    {
        const Stored *dy_row = (const Stored *)n.dy + (ptrdiff_t)row * n.ld_dy;
        const Stored *s_row = (const Stored *)n.s + (ptrdiff_t)row * n.ld_s;
        slice<Stored> dy, s;
        dy.whole = WHOLE ? *(const uint4 *)(dy_row + c) : read_slice(dy_row, c, n.C, false);
        s.whole = WHOLE ? *(const uint4 *)(s_row + c) : read_slice(s_row, c, n.C, false);
        real mean = n.mean[row], rstd = n.rstd[row];
        UNROLL for (int i = 0; i < LENGTH<Stored>; i++)
        {
            gain[i] += as_real(dy.x[i]) * ((as_real(s.x[i]) - mean) * rstd);
            bias[i] += as_real(dy.x[i]);
        }
    }
}

template <typename Stored>
__device__ __forceinline__ void sum_norm(const deferred_norm &n, int block)
{
    constexpr int COUNT = LENGTH<Stored>;
    int thread = (int)threadIdx.x, c = block * COUNT;
    real gain[COUNT] = {}, bias[COUNT] = {},
         *room = (real *)shared_memory(); /* (WARPS, 2, COUNT) */
    if (n.aligned && c + COUNT <= n.C) add_rows<true, Stored>(n, c, gain, bias);
    else add_rows<false, Stored>(n, c, gain, bias);
    UNROLL for (int i = 0; i < COUNT; i++)
    {
        real gains = warp_sum(gain[i]), biases = warp_sum(bias[i]);
        if (lane_number()) continue;
        room[2 * COUNT * warp_number() + i] = gains;
        room[2 * COUNT * warp_number() + COUNT + i] = biases;
    }
    __syncthreads();
    c += thread % COUNT;
    if (thread >= 2 * COUNT || c >= n.C) return;
    real sum = 0;
    for (int w = 0; w < WARPS; w++) sum += room[2 * COUNT * w + thread];
    (thread < COUNT ? n.dgain : n.dbias)[c] += sum;
}

/* ---- what cells left: a column a thread in the end, every fourth cell a warp before ---- */

static const int CELL_COLUMNS = THREADS, QUAD = CELL_COLUMNS / WARP;

static __device__ __forceinline__ void sum_cells(const deferred_cells &p, int block)
{
    int all = (p.L + 3) * p.width, i = block * CELL_COLUMNS + QUAD * lane_number();
    piece<real, QUAD> sum = {}, *room = (piece<real, QUAD> *)shared_memory();
    UNROLL_FEW for (int b = warp_number(); b < p.cells; b += WARPS)
    {
        if (i >= all) continue;
        auto x = *(const piece<real, QUAD> *)(p.left + (size_t)b * (size_t)all + i);
        UNROLL for (int j = 0; j < QUAD; j++) sum.x[j] += x.x[j];
    }
    room[threadIdx.x] = sum;
    __syncthreads();
    i = block * CELL_COLUMNS + (int)threadIdx.x;
    int row = i / p.width, c = i % p.width;
    if (i >= all || c >= p.D) return;
    real total = 0;
    for (int w = 0; w < WARPS; w++)
        total += room[w * WARP + (int)threadIdx.x / QUAD].x[threadIdx.x % QUAD];
    (row < p.L ? p.latents + (ptrdiff_t)row * p.ld : p.vector[row - p.L])[c] += total;
}

/* ---- predictions: a head a block; a thread has every THREADS-th cell, then pairs add up ---- */

static __device__ __forceinline__ void add_scores(const deferred_scores &s)
{
    double(*part)[3] = (double(*)[3])shared_memory();
    int i = (int)threadIdx.x;
    double own[3] = {0, 0, 0};
    for (int b = i; b < s.cells; b += THREADS) {
        if (s.code[b] < 0) continue;
        own[0] += s.loss[b];
        own[1] += s.best[b] == s.code[b];
        own[2] += 1;
    }
    for (int j = 0; j < 3; j++) part[i][j] = own[j];
    for (int half = THREADS / 2; half; half /= 2) {
        __syncthreads();
        for (int j = 0; j < 3 && i < half; j++) part[i][j] += part[i + half][j];
    }
    __syncthreads();
    if (i < 3) s.sums[3 * ((size_t)(*s.cursor - 1) * (size_t)s.heads + s.head) + i] = part[0][i];
}

/* ---- all of them ---- */

template <typename Stored>
__device__ __forceinline__ void carry_out(const deferred_work &work, int block)
{
    int j = 0;
    while (block >= work.job[j].blocks) block -= work.job[j++].blocks;
    const deferred_job &job = work.job[j];
    if (job.kind == deferred_job::PRODUCT) multiply<Stored>(job.product, block);
    else if (job.kind == deferred_job::NORM) sum_norm<Stored>(job.norm, block);
    else if (job.kind == deferred_job::CELLS) sum_cells(job.of_cells, block);
    else add_scores(job.scores);
}

template <typename Stored>
__global__ void __launch_bounds__(THREADS, 4) carry_out_deferred(deferred_work work)
{
    for (int block = (int)blockIdx.x; block < work.blocks; block += (int)gridDim.x) {
        carry_out<Stored>(work, block);
        __syncthreads(); /* what is shared is the next one's */
    }
}

int blocks_of(const deferred_job &job, cz_dtype dtype)
{
    int columns = dtype == CZ_BF16 ? LENGTH<bf16> : LENGTH<float>;
    const deferred_product &p = job.product;
    const deferred_cells &of = job.of_cells;
    switch (job.kind) {
    case deferred_job::PRODUCT:
        return p.batches * edges(p.M) * tiles_across(p.N);
    case deferred_job::NORM:
        return (job.norm.C + columns - 1) / columns;
    case deferred_job::CELLS:
        return ((of.L + 3) * of.width + CELL_COLUMNS - 1) / CELL_COLUMNS;
    default:
        return 1;
    }
}

template <typename Stored>
static cz_status run(cz_exec *exec, const deferred_work &work, int blocks)
{
    size_t room = 4 * sizeof(Stored) * chunk<Stored>::ELEMENTS;
    return launch(exec, "deferred", carry_out_deferred<Stored>, dim3((unsigned)blocks), THREADS,
                  room, work);
}

cz_status run_deferred(cz_exec *exec, const deferred_work &work, cz_dtype dtype, int most)
{
    int blocks = work.blocks < most ? work.blocks : most;
    return dtype == CZ_BF16 ? run<bf16>(exec, work, blocks) : run<float>(exec, work, blocks);
}
