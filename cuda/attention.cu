/* Multi-head attention between a few tokens, where a launch costs more than its sums. A block has a
 * head of a cell, or, on the way back through slots, of cells of a slot, and keeps the rows of both
 * as floats in shared memory. Each element is summed by one thread in one order, which for a cell
 * neither the batch nor padding changes, and over a slot's cells not who comes first. */
#include "device.h"

static const int QUERIES = 32; /* in work at once: the CPU's number, for it rounds between */
static const int SLOT_QUERIES =
    64;                     /* the same of a slot's cells, whose gradients are not rounded */
static const int KEYS = 64; /* whose rows lie in shared memory at once, if there are more */
static const int MOST_THREADS = 256;
static const int MOST_TICKETS = 1024; /* heads of slots: with more there are blocks enough */

/* Registers have no index: a loop over an array that is to stay in them is unrolled. */
#ifdef CZ_EMULATED
#define UNROLL
#else
#define UNROLL _Pragma("unroll")
#endif

/* Four neighbours, read and written at once. */
template <typename T> struct alignas(4 * sizeof(T)) four {
    T x[4];
};
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
__device__ void stage_fours(const layout &s, real *to, int rows, From from)
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
__device__ void dots(const layout &s, real *w, const real *x, const real *y, int rows, int keys)
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
__device__ void mix(const layout &s, const real *w, real *x, const real *y, int rows, int keys,
                    bool first, bool last, Write write)
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

/* to[j][c] = or += w[.][j] x[.][c], summed over the queries. */
template <typename Grad>
__device__ void sum_queries(const layout &s, Grad *to, ptrdiff_t ld, const real *w, const real *x,
                            int rows, bool add)
{
    int all = (s.Tk + 3) / 4 * s.size;
    for (int item = (int)threadIdx.x; item < all; item += (int)blockDim.x) {
        int j = item / s.size * 4, c = item % s.size;
        real sum[4] = {};
        for (int i = 0; i < rows; i++) {
            reals a = load(w + i * s.ldw + j);
            real b = x[i * s.ld + c];
            UNROLL for (int e = 0; e < 4; e++) sum[e] += a.x[e] * b;
        }
        UNROLL for (int e = 0; e < 4; e++) if (j + e < s.Tk)
        {
            Grad *at = to + (j + e) * ld + c;
            put(at, add ? as_real(*at) + sum[e] : sum[e]);
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
    int per_warp = WARP / s.width, warps = (int)blockDim.x / WARP, warp = (int)threadIdx.x / WARP;
    for (int first = warp * per_warp; first < rows; first += warps * per_warp) {
        int i = first + (int)threadIdx.x % WARP / s.width;
        act(i < rows ? i : first, i < rows);
    }
}

/* Rows w become softmax(scale w), 0 from key `count` on: into probs as they are, and dropped where
 * they were, with the bits from element `at` on. */
template <typename Stored>
__device__ void softmax_rows(const layout &s, real *w, Stored *probs, ptrdiff_t ldp, int rows,
                             int count, const mask_site &site, const uint8_t *bits, int at)
{
    int lane = (int)threadIdx.x % s.width;
    each_row(s, rows, [=](int i, bool there) {
        real *x = w + i * s.ldw, most = -INFINITY, sum = 0;
        int n = there ? count : 0, end = there ? s.Tk : 0;
        for (int j = lane; j < n; j += s.width) most = fmaxf(most, x[j]);
        most = row_max(most, s.width);
        for (int j = lane; j < n; j += s.width) sum += x[j] = expf((x[j] - most) * s.scale);
        real factor = 1 / row_sum(sum, s.width);
        for (int j = lane; j < (end + 3) / 4 * 4; j += s.width) {
            real share = j < n ? x[j] * factor : 0;
            int bit = at % 8 + i * s.Tk + j;
            bool keep = !site.bits || j >= n || bits[bit / 8] >> bit % 8 & 1;
            if (j < end) put(probs + i * ldp + j, share);
            x[j] = keep ? share * site.scale : 0;
        }
    });
}

/* The mask bytes of `count` elements from `at` on, into shared memory, and into the cell's mask
 * but for a first one that began before: that is the block's before. */
__device__ void draw_tile(const mask_site &site, const cz_step *step, uint8_t *bits, int b, int at,
                          int count, int elements)
{
    for (int i = at / 8 + (int)threadIdx.x; 8 * i < at + count; i += (int)blockDim.x) {
        unsigned byte = draw_mask_byte(site, step, b, (unsigned)i);
        if (elements - 8 * i < 8) byte &= (1u << (elements - 8 * i)) - 1;
        bits[i - at / 8] = (uint8_t)byte;
        if (8 * i >= at) site.bits[(size_t)b * site.cell_bytes + (size_t)i] = (uint8_t)byte;
    }
}

/* A block: up to QUERIES queries of a head of a cell. */
template <typename Stored>
__global__ void __launch_bounds__(MOST_THREADS)
    attend(layout s, rows_of<Stored> out, rows_of<Stored> probs, rows_of<const Stored> q,
           rows_of<const Stored> k, rows_of<const Stored> v, const int32_t *slot,
           const int32_t *length, mask_site site, const cz_step *step)
{
    real *w = (real *)shared_memory(), *x = w + s.x, *k_rows = w + s.k, *v_rows = w + s.v;
    uint8_t *bits = (uint8_t *)(w + s.end);
    int b = (int)blockIdx.x / s.H, h = (int)blockIdx.x % s.H, i0 = (int)blockIdx.y * s.queries;
    int rows = min(s.Tq - i0, s.queries), own = slot ? slot[b] : b;
    int count = length ? length[own] : s.Tk, at = (h * s.Tq + i0) * s.Tk;
    const Stored *qh = q.at(b * s.Tq + i0, h * s.size), *kh = k.at(own * s.Tk, h * s.size),
                 *vh = v.at(own * s.Tk, h * s.size);
    if (site.bits) draw_tile(site, step, bits, b, at, rows * s.Tk, s.H * s.Tq * s.Tk);
    stage<Stored>(s, x, s.queries + (s.resident ? 2 * s.keys : 0), [=](int r) -> const Stored * {
        if (r < s.queries) return r < rows ? qh + r * q.ld : nullptr;
        r -= s.queries;
        if (r < s.keys) return r < count ? kh + r * k.ld : nullptr;
        r -= s.keys;
        return r < count ? vh + r * v.ld : nullptr;
    });
    __syncthreads();
    each_chunk(s, k_rows, kh, k.ld, count,
               [=](int j, int m) { dots(s, w + j, x, k_rows, rows, m); });
    __syncthreads();
    softmax_rows(s, w, probs.at((b * s.H + h) * s.Tq + i0), probs.ld, rows, count, site, bits, at);
    __syncthreads();
    Stored *out_h = out.at(b * s.Tq + i0, h * s.size);
    each_chunk(s, v_rows, vh, v.ld, count, [=](int j, int m) {
        mix(s, w + j, x, v_rows, rows, m, j == 0, j + m == count,
            [=](int i, int c, real sum) { put(out_h + i * out.ld + c, sum); });
    });
}

/* ---- backward ---- */

/* A row of work: query `query` of cell `cell`. */
struct place {
    int cell, query;
};

/* The cells of a slot into `cell`, in their order; returns how many. `in_warp`: of each warp. */
__device__ int find_cells(int *cell, int *in_warp, const int32_t *slot, int B, int own)
{
    int found = 0, lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    for (int first = 0; first < B; first += (int)blockDim.x) {
        int b = first + (int)threadIdx.x, hit = b < B && slot[b] == own, upto = hit;
        for (int step = 1; step < WARP; step *= 2) {
            int before = __shfl_sync(WHOLE_WARP, upto, lane - step);
            if (lane >= step) upto += before;
        }
        if (lane == WARP - 1) in_warp[warp] = upto;
        __syncthreads();
        int before = found;
        for (int i = 0; i < (int)blockDim.x / WARP; i++) {
            if (i < warp) before += in_warp[i];
            found += in_warp[i];
        }
        if (hit) cell[before + upto - 1] = b;
        __syncthreads();
    }
    return found;
}

/* Some probabilities of a thread with their mask bytes, as they are in memory. */
template <typename Stored> struct shares {
    enum { COUNT = 4 };
    Stored p[COUNT];
    uint8_t byte[COUNT];
};

template <typename Stored>
__device__ __forceinline__ shares<Stored> read_shares(const layout &s, rows_of<const Stored> probs,
                                                      const place *at, int h, int rows,
                                                      const mask_site &site, int first)
{
    shares<Stored> x = {};
    UNROLL for (int u = 0; u < shares<Stored>::COUNT; u++)
    {
        int item = first + u * (int)blockDim.x, i = item / s.Tk, j = item % s.Tk;
        if (item >= rows * s.Tk) continue;
        int b = at[i].cell, row = h * s.Tq + at[i].query, e = row * s.Tk + j;
        x.p[u] = *probs.at(b * s.H * s.Tq + row, j);
        if (site.bits) x.byte[u] = site.bits[(size_t)b * site.cell_bytes + (size_t)e / 8];
    }
    return x;
}

template <typename Stored>
__device__ __forceinline__ void drop_shares(const layout &s, real *w, const shares<Stored> &x,
                                            const place *at, int h, int rows, const mask_site &site,
                                            int first)
{
    UNROLL for (int u = 0; u < shares<Stored>::COUNT; u++)
    {
        int item = first + u * (int)blockDim.x, i = item / s.Tk, j = item % s.Tk;
        if (item >= rows * s.Tk) continue;
        int e = (h * s.Tq + at[i].query) * s.Tk + j;
        bool keep = !site.bits || x.byte[u] >> e % 8 & 1;
        w[i * s.ldw + j] = keep ? as_real(x.p[u]) * site.scale : 0;
    }
}

/* w = drop(probs). beside(): reads that are under way before the first probability is waited for.
 */
template <typename Stored, typename Beside>
__device__ __forceinline__ void drop_rows(const layout &s, real *w, rows_of<const Stored> probs,
                                          const place *at, int h, int rows, const mask_site &site,
                                          Beside beside)
{
    int first = (int)threadIdx.x, step = shares<Stored>::COUNT * (int)blockDim.x;
    shares<Stored> x = read_shares(s, probs, at, h, rows, site, first);
    beside();
    drop_shares(s, w, x, at, h, rows, site, first);
    for (first += step; first < rows * s.Tk; first += step) {
        x = read_shares(s, probs, at, h, rows, site, first);
        drop_shares(s, w, x, at, h, rows, site, first);
    }
}

/* dscores = scale (a da - p sum(a da)), where a = drop(p), in the place of da; 0 up to whole fours.
 */
template <typename Stored>
__device__ void softmax_backward(const layout &s, const real *w, real *dw,
                                 rows_of<const Stored> probs, const place *at, int h, int rows)
{
    int lane = (int)threadIdx.x % s.width;
    each_row(s, rows, [=](int i, bool there) {
        const real *a = w + i * s.ldw;
        const Stored *p = probs.at((at[i].cell * s.H + h) * s.Tq + at[i].query);
        real *da = dw + i * s.ldw, sum = 0;
        int end = there ? s.Tk : 0;
        for (int j = lane; j < end; j += s.width) sum += a[j] * da[j];
        sum = row_sum(sum, s.width);
        for (int j = lane; j < (end + 3) / 4 * 4; j += s.width)
            da[j] = j < end ? s.scale * (a[j] * da[j] - as_real(p[j]) * sum) : 0;
    });
}

/* The way back. Grad: of keys and values; real with slots. */
template <typename Stored, typename Grad> struct back_work {
    rows_of<Stored> dq;
    rows_of<Grad> dk, dv;
    rows_of<const Stored> dout, probs, q, k, v;
    const int32_t *slot;
    int B;
    mask_site site;
    Grad *parts; /* (slots, heads, blocks, 2, Tk, size) of dk, dv; NULL where a block has all */
};

/* Queries and their gradients of the rows at `at`, and, if wanted, keys and values into x. */
template <typename Stored, typename Grad>
__device__ __forceinline__ void stage_back(const layout &s, const back_work<Stored, Grad> &t,
                                           real *x, const place *at, int rows, int column,
                                           const Stored *kh, const Stored *vh, bool keys)
{
    stage<Stored>(s, x, 2 * (s.queries + (keys ? s.keys : 0)), [&](int r) -> const Stored * {
        const Stored *from = r < s.queries ? t.q.data : t.dout.data;
        ptrdiff_t ld = r < s.queries ? t.q.ld : t.dout.ld;
        if (r >= s.queries) r -= s.queries;
        if (r < s.queries)
            return r < rows ? from + (at[r].cell * s.Tq + at[r].query) * ld + column : nullptr;
        r -= s.queries;
        if (r < s.keys) return r < s.Tk ? kh + r * t.k.ld : nullptr;
        r -= s.keys;
        return r < s.Tk ? vh + r * t.v.ld : nullptr;
    });
}

/* 0 between launches: the last of the blocks that count it up sets it back. One stream's. */
static __device__ unsigned tickets[MOST_TICKETS];

/* Whether this is the last of `blocks` blocks to come here, which then sees what all have written:
 * thread 0's fences, between barriers, are its block's. */
__device__ __forceinline__ bool comes_last(unsigned *ticket, int blocks, int *said)
{
    __syncthreads();
    if (!threadIdx.x) {
        __threadfence();
        *said = atomicInc(ticket, (unsigned)blocks - 1) == (unsigned)blocks - 1;
        __threadfence();
    }
    __syncthreads();
    return *said;
}

/* dk, dv += the parts of the slot's blocks, in their order. */
template <typename Stored, typename Grad>
__device__ __forceinline__ void add_parts(const layout &s, const back_work<Stored, Grad> &t,
                                          const Grad *part, int blocks, int own, int column)
{
    int count = s.Tk * s.size;
    for (int e = (int)threadIdx.x; e < 2 * count; e += (int)blockDim.x) {
        int i = e < count ? e : e - count, row = own * s.Tk + i / s.size, c = column + i % s.size;
        Grad *at = e < count ? t.dk.at(row, c) : t.dv.at(row, c);
        real sum = 0;
        for (int r = 0; r < blocks; r++) sum += as_real(part[(ptrdiff_t)r * 2 * count + e]);
        put(at, as_real(*at) + sum);
    }
}

/* A block: a head of a cell or, with slots, every gridDim.y-th group of a slot's queries. Blocks
 * that have no group leave at once; a block that has all adds to dk, dv itself. Four blocks an SM:
 * left to itself nvcc takes twice the registers. */
template <typename Stored, typename Grad>
__global__ void __launch_bounds__(MOST_THREADS, 4) attend_back(layout s, back_work<Stored, Grad> t)
{
    real *w = (real *)shared_memory(), *dw = w + s.dweights, *x = w + s.x;
    real *dx = x + s.queries * s.ld, *k_rows = w + s.k, *v_rows = w + s.v;
    place *at = (place *)(w + s.end);
    int *in_warp = (int *)(at + SLOT_QUERIES), *cell = in_warp + MOST_THREADS / WARP;
    int own = (int)blockIdx.x / s.H, h = (int)blockIdx.x % s.H, column = h * s.size;
    int all = s.Tq * (t.slot ? find_cells(cell, in_warp, t.slot, t.B, own) : 1);
    int blocks = min((int)gridDim.y, (all + s.queries - 1) / s.queries), count = s.Tk * s.size;
    if ((int)blockIdx.y >= blocks) return;
    const Stored *kh = t.k.at(own * s.Tk, column), *vh = t.v.at(own * s.Tk, column);
    rows_of<Grad> dkh = {t.dk.at(own * s.Tk, column), s.Tk, s.size, t.dk.ld};
    rows_of<Grad> dvh = {t.dv.at(own * s.Tk, column), s.Tk, s.size, t.dv.ld};
    Grad *parts = nullptr;
    if (blocks > 1) {
        parts = t.parts + (ptrdiff_t)blockIdx.x * (int)gridDim.y * 2 * count;
        dkh = {parts + (ptrdiff_t)blockIdx.y * 2 * count, s.Tk, s.size, s.size};
        dvh = {dkh.data + count, s.Tk, s.size, s.size};
    }
    for (int begin = (int)blockIdx.y * s.queries, i0 = begin; i0 < all; i0 += blocks * s.queries) {
        int rows = min(all - i0, s.queries), i = i0 + (int)threadIdx.x;
        bool first = i0 == begin, add = !first || (t.slot && blocks == 1);
        __syncthreads();
        if ((int)threadIdx.x < rows)
            at[threadIdx.x] = {t.slot ? cell[i / s.Tq] : own, t.slot ? i % s.Tq : i};
        __syncthreads();
        drop_rows(s, w, t.probs, at, h, rows, t.site,
                  [&] { stage_back(s, t, x, at, rows, column, kh, vh, first && s.resident); });
        __syncthreads();
        each_chunk(s, v_rows, vh, t.v.ld, s.Tk,
                   [=](int j, int m) { dots(s, dw + j, dx, v_rows, rows, m); });
        sum_queries(s, dvh.data, dvh.ld, w, dx, rows, add);
        __syncthreads();
        softmax_backward(s, w, dw, t.probs, at, h, rows);
        __syncthreads();
        sum_queries(s, dkh.data, dkh.ld, dw, x, rows, add);
        each_chunk(s, k_rows, kh, t.k.ld, s.Tk, [&](int j, int m) {
            mix(s, dw + j, dx, k_rows, rows, m, j == 0, j + m == s.Tk, [&](int r, int c, real sum) {
                put(t.dq.at(at[r].cell * s.Tq + at[r].query, column + c), sum);
            });
        });
    }
    if (blocks > 1 && comes_last(tickets + blockIdx.x, blocks, in_warp))
        add_parts(s, t, (const Grad *)parts, blocks, own, column);
}

/* A thread sums one element over every `parts`-th head. */
template <typename Stored>
__global__ void tally_heads(int64_t *sum, rows_of<const Stored> probs, int Tq, int parts)
{
    const double units = (double)(1LL << CZ_TALLY_BITS);
    int first = (int)blockIdx.x * (int)blockDim.x + (int)threadIdx.x, all = Tq * probs.cols;
    int e = first % all, i = e / probs.cols, j = e % probs.cols;
    unsigned long long own = 0;
    if (first >= parts * all) return;
    for (int row = first / all * Tq + i; row < probs.rows; row += parts * Tq) {
        real share = as_real(*probs.at(row, j)); /* what is not a number adds nothing */
        if (share > 0) own += (unsigned long long)((double)share * units + 0.5);
    }
    if (own) atomicAdd((unsigned long long *)sum + e, own);
}

/* ---- the host's side ---- */

static int whole_fours(int n) { return (n + 3) / 4 * 4; }

template <typename Stored> static bool by_fours(cz_tensor t)
{
    return ((uintptr_t)t.data | (size_t)t.ld * sizeof(Stored)) % sizeof(four<Stored>) == 0;
}

static void place_rows(layout *s, int sets, int keys)
{
    s->resident = s->Tk <= keys;
    s->keys = whole_fours(s->resident ? s->Tk : keys);
    s->dweights = (sets - 1) * s->queries * s->ldw;
    s->x = sets * s->queries * s->ldw;
    s->k = s->x + sets * s->queries * s->ld;
    s->v = s->k + (s->resident ? s->keys * s->ld : 0);
    s->end = s->v + s->keys * s->ld;
}

/* For `all` queries, `once` of them at once; returns the bytes of shared memory, of `room` at most
 * where that goes, `beside` of them not for rows. sets: of weights and queries, 1 forward, 2
 * backward. */
static size_t lay_out(layout *s, size_t room, cz_tensor q, cz_tensor k, int H, size_t all, int once,
                      int sets, size_t beside)
{
    int size = cz_cols(q) / H, fours = (size + 3) / 4, keys = KEYS;
    *s = {};
    s->H = H, s->Tq = q.dim[1], s->Tk = k.dim[1], s->size = size, s->fours = fours;
    s->ld = 4 * (fours | 1), s->ldw = 4 * ((s->Tk + 3) / 4 | 1);
    s->queries = whole_fours(all < (size_t)once ? (int)all : once);
    s->scale = (real)(1 / sqrt((double)size));
    for (s->width = 1; s->width < s->Tk && s->width < WARP;) s->width *= 2;
    int threads = (s->queries * fours + WARP - 1) / WARP * WARP;
    s->threads = (unsigned)(threads < MOST_THREADS ? threads : MOST_THREADS);
    for (;; keys /= 2) {
        place_rows(s, sets, keys);
        size_t bytes = (size_t)s->end * sizeof(real) + beside;
        if (bytes <= room || keys == 4) return bytes;
    }
}

static cz_status room_for(const layout *s, size_t bytes, size_t room)
{
    if (bytes <= room) return CZ_OK;
    return cz_fail(CZ_ERR_CONFIG,
                   "model.tokens: attention between %d and %d tokens, heads of %d columns, takes "
                   "%zu KiB of a GPU's shared memory, which has %zu; set run.device: cpu",
                   s->Tq, s->Tk, s->size, bytes >> 10, room >> 10);
}

template <typename Stored>
static cz_status attention_forward(cz_exec *exec, cz_tensor out, cz_tensor probs, cz_tensor q,
                                   cz_tensor k, cz_tensor v, const int32_t *slot,
                                   const int32_t *length, int H, const cz_dropout *drop)
{
    layout s;
    size_t room = device_of(exec->gpu)->shared;
    CZ_TRY(settle(exec, {out, probs}));
    int B = q.dim[0], Tq = q.dim[1];
    size_t bits = drop ? (size_t)QUERIES * (size_t)k.dim[1] / 8 + 2 : 0;
    size_t bytes = lay_out(&s, room, q, k, H, (size_t)Tq, QUERIES, 1, bits);
    CZ_TRY(room_for(&s, bytes, room));
    s.aligned =
        s.size % 4 == 0 && by_fours<Stored>(q) && by_fours<Stored>(k) && by_fours<Stored>(v);
    dim3 grid((unsigned)(B * H), (unsigned)((Tq + s.queries - 1) / s.queries));
    return launch(exec, "attend", attend<Stored>, grid, s.threads, bytes, s, view<Stored>(out),
                  view<Stored>(probs), view<const Stored>(q), view<const Stored>(k),
                  view<const Stored>(v), slot, length, site_of(drop, H * Tq * k.dim[1]),
                  exec->step);
}

/* Blocks of a head of a slot: by shapes alone. Their parts of dk, of all slots, have no more rows
 * than the queries, and no block would be without a group if all cells were of one slot. */
static int slot_blocks(cz_tensor q, cz_tensor k, int H)
{
    enum { MOST = 8 };
    int rows = cz_rows(q), keys = cz_rows(k), groups = (rows + SLOT_QUERIES - 1) / SLOT_QUERIES;
    if (!keys || k.dim[0] > MOST_TICKETS / H) return 1;
    int blocks = rows / keys < groups ? rows / keys : groups;
    return blocks < 1 ? 1 : blocks < MOST ? blocks : MOST;
}
size_t attention_scratch(int rows, int cols)
{
    return 2 * (size_t)rows * (size_t)cols * sizeof(real) + 63;
}

template <typename Stored, typename Grad>
static back_work<Stored, Grad> work_of(cz_tensor dq, cz_tensor dk, cz_tensor dv, cz_tensor dout,
                                       cz_tensor probs, cz_tensor q, cz_tensor k, cz_tensor v,
                                       const int32_t *slot, const mask_site &site)
{
    return {view<Stored>(dq),
            view<Grad>(dk),
            view<Grad>(dv),
            view<const Stored>(dout),
            view<const Stored>(probs),
            view<const Stored>(q),
            view<const Stored>(k),
            view<const Stored>(v),
            slot,
            q.dim[0],
            site,
            nullptr};
}

template <typename Stored, typename Grad>
static cz_status launch_back(cz_exec *exec, const layout &s, size_t bytes, int owners, int blocks,
                             back_work<Stored, Grad> work)
{
    size_t kept = exec->scratch->used;
    size_t count = 2 * (size_t)owners * (size_t)s.H * (size_t)(s.Tk * s.size);
    if (blocks > 1) {
        size_t parts = count * (size_t)blocks * sizeof(Grad);
        work.parts = (Grad *)cz_arena_take(exec->scratch, parts);
        if (!work.parts) return CZ_ERR_MEMORY;
    }
    dim3 grid((unsigned)(owners * s.H), (unsigned)blocks);
    cz_status status =
        launch(exec, "attend_back", attend_back<Stored, Grad>, grid, s.threads, bytes, s, work);
    exec->scratch->used = kept;
    return status;
}

template <typename Stored>
static cz_status attention_backward(cz_exec *exec, cz_tensor dq, cz_tensor dk, cz_tensor dv,
                                    cz_tensor dout, cz_tensor probs, cz_tensor q, cz_tensor k,
                                    cz_tensor v, const int32_t *slot, int H, const cz_dropout *drop)
{
    layout s;
    size_t room = device_of(exec->gpu)->shared;
    CZ_TRY(settle(exec, {dq, dk, dv}));
    int B = q.dim[0], Tq = q.dim[1], owners = k.dim[0];
    size_t beside = SLOT_QUERIES * sizeof(place) + MOST_THREADS / WARP * sizeof(int);
    size_t all = (size_t)Tq * (size_t)(slot ? B : 1), bytes;
    if (slot) beside += (size_t)B * sizeof(int);
    bytes = lay_out(&s, room, q, k, H, all, slot ? SLOT_QUERIES : QUERIES, 2, beside);
    if (bytes > room) bytes = lay_out(&s, room, q, k, H, all, QUERIES, 2, beside);
    CZ_TRY(room_for(&s, bytes, room));
    s.aligned = s.size % 4 == 0 && by_fours<Stored>(q) && by_fours<Stored>(k) &&
                by_fours<Stored>(v) && by_fours<Stored>(dout);
    if (!B) return CZ_OK;
    mask_site site = site_of(drop, H * Tq * k.dim[1]);
    if (slot)
        return launch_back(exec, s, bytes, owners, slot_blocks(q, k, H),
                           work_of<Stored, real>(dq, dk, dv, dout, probs, q, k, v, slot, site));
    return launch_back(exec, s, bytes, owners, 1,
                       work_of<Stored, Stored>(dq, dk, dv, dout, probs, q, k, v, slot, site));
}

template <typename Stored>
static cz_status attention_tally(cz_exec *exec, int64_t *sum, cz_tensor probs)
{
    enum { THREADS = 256, HEADS = 16 /* that a thread adds up */ };
    int heads = probs.dim[0] * probs.dim[1], parts = (heads + HEADS - 1) / HEADS;
    size_t threads = (size_t)parts * (size_t)probs.dim[2] * (size_t)probs.dim[3];
    return launch(exec, "tally_heads", tally_heads<Stored>,
                  dim3((unsigned)((threads + THREADS - 1) / THREADS)), THREADS, 0, sum,
                  view<const Stored>(probs), probs.dim[2], parts);
}

template <typename Stored> static void fill(cz_backend *t)
{
    t->attention_forward = attention_forward<Stored>;
    t->attention_backward = attention_backward<Stored>;
    t->attention_tally = attention_tally<Stored>;
}

void fill_attention(cuda_tables t)
{
    fill<float>(t.f32);
    fill<bf16>(t.bf16);
}
