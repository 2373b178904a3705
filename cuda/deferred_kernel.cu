/* What was noted for the end of a step, all in one launch: each note has some of the blocks. */
#include "deferred.h"
#include "tiles.h"

static const int THREADS = 128, WARPS = THREADS / WARP;
static_assert(sizeof(deferred_work) <= 4096, "arguments of a kernel");

/* 16 bytes, as elements are stored. */
template <typename Stored> struct slice {
    static constexpr int LENGTH = 16 / (int)sizeof(Stored);
    typedef piece<Stored, LENGTH> type;
};

/* Columns from `col` on of a row of `cols`, 0 beyond; `row` NULL: 0. */
template <typename Stored>
__device__ __forceinline__ typename slice<Stored>::type read_slice(const Stored *row, int col,
                                                                   int cols, bool aligned)
{
    constexpr int LENGTH = slice<Stored>::LENGTH;
    typename slice<Stored>::type x = {};
    if (!row) return x;
    if (aligned && col + LENGTH <= cols) return *(const typename slice<Stored>::type *)(row + col);
    UNROLL for (int i = 0; i < LENGTH; i++) if (col + i < cols) x.x[i] = row[col + i];
    return x;
}

/* ---- products: a tile of the sum a block ---- */

/* Of both factors so many rows are in shared memory at a time, twice: one is multiplied, the next
 * one comes in. */
static const int EDGE = 64;
template <typename Stored> struct chunk {
    static constexpr int LENGTH = slice<Stored>::LENGTH, ACROSS = EDGE / LENGTH;
    static constexpr int ROWS = 128 / (int)sizeof(Stored), PITCH = EDGE + LENGTH;
    static constexpr int ELEMENTS = ROWS * PITCH, EACH = ROWS * ACROSS / THREADS;
    static_assert(EACH * THREADS == ROWS * ACROSS, "a thread has so many slices");
    typename slice<Stored>::type x[EACH]; /* on their way */
};

template <typename Stored>
__device__ __forceinline__ void fetch(chunk<Stored> &to, const Stored *from, int ld, int first,
                                      int rows, int col, int cols, bool aligned)
{
    UNROLL for (int i = 0; i < chunk<Stored>::EACH; i++)
    {
        int at = (int)threadIdx.x + i * THREADS, row = first + at / chunk<Stored>::ACROSS;
        int c = col + at % chunk<Stored>::ACROSS * chunk<Stored>::LENGTH;
        to.x[i] = read_slice(row < rows ? from + (ptrdiff_t)row * ld : nullptr, c, cols, aligned);
    }
}
template <typename Stored>
__device__ __forceinline__ void place(Stored *to, const chunk<Stored> &from)
{
    UNROLL for (int i = 0; i < chunk<Stored>::EACH; i++)
    {
        int at = (int)threadIdx.x + i * THREADS, row = at / chunk<Stored>::ACROSS;
        int c = at % chunk<Stored>::ACROSS * chunk<Stored>::LENGTH;
        *(typename slice<Stored>::type *)(to + row * chunk<Stored>::PITCH + c) = from.x[i];
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

/* The tile, out of shared memory. */
static __device__ __forceinline__ void leave_tile(const deferred_product &p, float *sum,
                                                  const float *tile, int pitch, int row, int col)
{
    for (int i = (int)threadIdx.x; i < EDGE * EDGE; i += THREADS) {
        int m = i / EDGE, n = i % EDGE;
        if (row + m >= p.M || col + n >= p.N) continue;
        float *at = sum + (ptrdiff_t)(row + m) * p.ld + col + n, x = tile[m * pitch + n];
        *at = p.add ? *at + x : x;
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

/* ---- norms: some columns a block ---- */

static const int NORM_COLUMNS = 32;

template <typename Stored>
__device__ __forceinline__ void sum_norm(const deferred_norm &n, int block)
{
    constexpr int LENGTH = slice<Stored>::LENGTH, ACROSS = NORM_COLUMNS / LENGTH,
                  GROUPS = THREADS / ACROSS;
    int thread = (int)threadIdx.x, group = thread / ACROSS, first = block * NORM_COLUMNS;
    int c = first + thread % ACROSS * LENGTH;
    real gain[LENGTH] = {}, bias[LENGTH] = {}, *room = (real *)shared_memory();
    UNROLL_FEW for (int row = group; row < n.rows; row += GROUPS)
    {
        auto dy = read_slice((const Stored *)n.dy + (ptrdiff_t)row * n.ld_dy, c, n.C, n.aligned);
        auto s = read_slice((const Stored *)n.s + (ptrdiff_t)row * n.ld_s, c, n.C, n.aligned);
        real mean = n.mean[row], rstd = n.rstd[row];
        UNROLL for (int i = 0; i < LENGTH; i++)
        {
            gain[i] += as_real(dy.x[i]) * ((as_real(s.x[i]) - mean) * rstd);
            bias[i] += as_real(dy.x[i]);
        }
    }
    UNROLL for (int i = 0; i < LENGTH; i++)
    {
        int at = group * NORM_COLUMNS + thread % ACROSS * LENGTH + i;
        room[at] = gain[i];
        room[GROUPS * NORM_COLUMNS + at] = bias[i];
    }
    __syncthreads();
    c = first + thread % NORM_COLUMNS;
    if (thread >= 2 * NORM_COLUMNS || c >= n.C) return;
    const real *own = room + (thread < NORM_COLUMNS ? 0 : GROUPS * NORM_COLUMNS);
    real sum = 0;
    for (int g = 0; g < GROUPS; g++) sum += own[g * NORM_COLUMNS + thread % NORM_COLUMNS];
    (thread < NORM_COLUMNS ? n.dgain : n.dbias)[c] += sum;
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
__global__ void __launch_bounds__(THREADS, 4) carry_out_deferred(deferred_work work)
{
    int block = (int)blockIdx.x, j = 0;
    while (block >= work.job[j].blocks) block -= work.job[j++].blocks;
    const deferred_job &job = work.job[j];
    if (job.kind == deferred_job::PRODUCT) multiply<Stored>(job.product, block);
    else if (job.kind == deferred_job::NORM) sum_norm<Stored>(job.norm, block);
    else if (job.kind == deferred_job::CELLS) sum_cells(job.of_cells, block);
    else add_scores(job.scores);
}

int blocks_of(const deferred_job &job)
{
    const deferred_product &p = job.product;
    const deferred_cells &of = job.of_cells;
    switch (job.kind) {
    case deferred_job::PRODUCT:
        return p.batches * edges(p.M) * tiles_across(p.N);
    case deferred_job::NORM:
        return (job.norm.C + NORM_COLUMNS - 1) / NORM_COLUMNS;
    case deferred_job::CELLS:
        return ((of.L + 3) * of.width + CELL_COLUMNS - 1) / CELL_COLUMNS;
    default:
        return 1;
    }
}

template <typename Stored> static cz_status run(cz_exec *exec, const deferred_work &work)
{
    size_t room = 4 * sizeof(Stored) * chunk<Stored>::ELEMENTS;
    return launch(exec, "deferred", carry_out_deferred<Stored>, dim3((unsigned)work.blocks),
                  THREADS, room, work);
}

cz_status run_deferred(cz_exec *exec, const deferred_work &work, cz_dtype dtype)
{
    return dtype == CZ_BF16 ? run<bf16>(exec, work) : run<float>(exec, work);
}
