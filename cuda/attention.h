/* What both directions of attention share: the rows of a head in shared memory, and products
 * between them. A block has a head of a cell, or, on the way back through slots, of cells of a
 * slot, and keeps the rows of both as floats. Each element is summed by one thread in one order,
 * which for a cell neither the batch nor padding changes, and over a slot's cells not who comes
 * first. */
#ifndef CZ_CUDA_ATTENTION_H
#define CZ_CUDA_ATTENTION_H

#include "device.h"

static const int QUERIES = 32; /* in work at once: the CPU's number, for it rounds between */
static const int KEYS = 64;    /* whose rows lie in shared memory at once, if there are more */
static const int MOST_THREADS = 256;

template <typename T> using four = piece<T, 4>;
typedef four<real> reals;

/* A head, and where its rows lie in shared memory, in reals: weights and, backward, their gradient
 * (queries, ldw); then (.., ld) queries, backward also dout, keys, values. */
struct layout {
    int H, Tq, Tk, size;        /* columns of a head */
    int fours, ld, ldw;         /* fours of columns; rows lie an odd number of fours apart, so that
                                 * neighbours are in other banks */
    int queries, keys;          /* rows at once, whole fours, 0 beyond what there is */
    bool resident;              /* all keys are there from the beginning, and values beside them */
    bool aligned;               /* rows are read by fours */
    int dweights, x, k, v, end; /* where they begin */
    int width;                  /* lanes of a row of weights */
    unsigned threads;
    real scale;
};

__device__ __forceinline__ reals load(const real *at) { return *(const reals *)at; }

/* ---- into shared memory ---- */

template <bool ALIGNED, typename Stored>
__device__ __forceinline__ four<Stored> read_four(const Stored *row, int c, int size)
{
    four<Stored> x = {};
    if (!row) return x;
    if constexpr (ALIGNED) return *(const four<Stored> *)(row + c);
    else {
        UNROLL for (int e = 0; e < 4; e++) if (c + e < size) x.x[e] = row[c + e];
        return x;
    }
}

/* Several reads of a thread are under way before the first is waited for. */
template <bool ALIGNED, typename Stored, typename From>
__device__ inline void stage_fours(const layout &s, real *to, int rows, From from)
{
    enum { AT_ONCE = 4 };
    int all = rows * s.fours, step = (int)blockDim.x;
    for (int first = (int)threadIdx.x; first < all; first += AT_ONCE * step) {
        four<Stored> x[AT_ONCE];
        UNROLL for (int u = 0; u < AT_ONCE; u++)
        {
            int item = first + u * step, r = item / s.fours;
            x[u] = read_four<ALIGNED, Stored>(item < all ? from(r) : nullptr,
                                              (item - r * s.fours) * 4, s.size);
        }
        UNROLL for (int u = 0; u < AT_ONCE; u++)
        {
            int item = first + u * step, r = item / s.fours;
            reals wide;
            UNROLL for (int e = 0; e < 4; e++) wide.x[e] = as_real(x[u].x[e]);
            if (item < all) *(reals *)(to + r * s.ld + (item - r * s.fours) * 4) = wide;
        }
    }
}

/* Row r of a head becomes what is at from(r), 0 where that is NULL. */
template <typename Stored, typename From>
__device__ __forceinline__ void stage(const layout &s, real *to, int rows, From from)
{
    if (s.aligned) stage_fours<true, Stored>(s, to, rows, from);
    else stage_fours<false, Stored>(s, to, rows, from);
}

/* act(j, m): for keys j .. j + m - 1 of the first `count`, whose rows then lie in `tile`. */
template <typename Stored, typename Act>
__device__ __forceinline__ void each_chunk(const layout &s, real *tile, const Stored *from,
                                           ptrdiff_t ld, int count, Act act)
{
    for (int j = 0; j < count; j += s.keys) {
        int m = min(count - j, s.keys);
        if (!s.resident) {
            __syncthreads();
            stage<Stored>(s, tile, (m + 3) / 4 * 4, [=](int r) -> const Stored * {
                return r < m ? from + (j + r) * ld : nullptr;
            });
            __syncthreads();
        }
        act(j, m);
    }
}

/* ---- products ---- */

/* w[i][j] = x[i] y[j], summed over the columns. */
__device__ inline void dots(const layout &s, real *w, const real *x, const real *y, int rows,
                            int keys)
{
    enum { ROWS = 2 };
    int all = (rows + ROWS - 1) / ROWS * keys;
    for (int item = (int)threadIdx.x; item < all; item += (int)blockDim.x) {
        int i = item / keys * ROWS, j = item % keys;
        real sum[ROWS] = {};
        for (int c = 0; c < s.fours; c++) {
            reals b = load(y + j * s.ld + 4 * c);
            UNROLL for (int r = 0; r < ROWS; r++)
            {
                reals a = load(x + (i + r) * s.ld + 4 * c);
                UNROLL for (int e = 0; e < 4; e++) sum[r] += a.x[e] * b.x[e];
            }
        }
        UNROLL for (int r = 0; r < ROWS; r++) w[(i + r) * s.ldw + j] = sum[r];
    }
}

/* write(i, c) w[i] y[.][c], summed over keys; until the last of them the sums lie in x. */
template <typename Write>
__device__ inline void mix(const layout &s, const real *w, real *x, const real *y, int rows,
                           int keys, bool first, bool last, Write write)
{
    enum { ROWS = 4 };
    int all = (rows + ROWS - 1) / ROWS * s.size;
    for (int item = (int)threadIdx.x; item < all; item += (int)blockDim.x) {
        int i = item / s.size * ROWS, c = item % s.size;
        real sum[ROWS];
        UNROLL for (int r = 0; r < ROWS; r++) sum[r] = first ? 0 : x[(i + r) * s.ld + c];
        for (int j = 0; j < keys; j += 4) {
            reals a[ROWS];
            UNROLL for (int r = 0; r < ROWS; r++) a[r] = load(w + (i + r) * s.ldw + j);
            UNROLL for (int e = 0; e < 4; e++)
            {
                real b = y[(j + e) * s.ld + c];
                UNROLL for (int r = 0; r < ROWS; r++) sum[r] += a[r].x[e] * b;
            }
        }
        UNROLL for (int r = 0; r < ROWS; r++)
        {
            if (!last) x[(i + r) * s.ld + c] = sum[r];
            else if (i + r < rows) write(i + r, c, sum[r]);
        }
    }
}

/* ---- softmax: rows of weights, `width` lanes each ---- */

__device__ __forceinline__ real row_sum(real x, int width)
{
    for (int step = width / 2; step; step /= 2) x += __shfl_xor_sync(WHOLE_WARP, x, step);
    return x;
}
__device__ __forceinline__ real row_max(real x, int width)
{
    for (int step = width / 2; step; step /= 2) x = fmaxf(x, __shfl_xor_sync(WHOLE_WARP, x, step));
    return x;
}

/* act(i, there) for each row, by whole warps: shuffles want all lanes, there is work for some. */
template <typename Act> __device__ __forceinline__ void each_row(const layout &s, int rows, Act act)
{
    int per_warp = WARP / s.width, warps = warp_count(), warp = warp_number();
    for (int first = warp * per_warp; first < rows; first += warps * per_warp) {
        int i = first + lane_number() / s.width;
        act(i < rows ? i : first, i < rows);
    }
}

/* ---- the host's side ---- */

template <typename Stored> static bool by_fours(cz_tensor t)
{
    return ((uintptr_t)t.data | (size_t)t.ld * sizeof(Stored)) % sizeof(four<Stored>) == 0;
}

/* For `all` queries, `once` of them at once; returns the bytes of shared memory, of `room` at most
 * where that goes, `beside` of them not for rows. sets: of weights and queries, 1 forward, 2
 * backward. */
size_t attention_lay_out(layout *s, size_t room, cz_tensor q, cz_tensor k, int H, size_t all,
                         int once, int sets, size_t beside);
/* CZ_ERR_CONFIG where these bytes are more than a block may have. */
cz_status attention_fits(const layout *s, size_t bytes, size_t room);

void fill_attention_backward(cuda_tables t);

#endif
