/* Multi-head attention between a few tokens, where a launch costs more than its sums. A block has a
 * head of a cell, or, on the way back through slots, of a slot with all its cells, and keeps the
 * rows of both as floats in shared memory. Each element is summed by one thread in one order that
 * neither the batch nor padding changes. */
#include "device.h"

static const int QUERIES = 32; /* in work at once: the CPU's number, for it rounds between */
static const int SLOT_QUERIES =
    64;                     /* the same of a slot's cells, whose gradients are not rounded */
static const int KEYS = 64; /* whose rows lie in shared memory at once, if there are more */
static const int MOST_THREADS = 256;

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

/* w = drop(probs). */
template <typename Stored>
__device__ void drop_rows(const layout &s, real *w, rows_of<const Stored> probs, const place *at,
                          int h, int rows, const mask_site &site)
{
    for (int item = (int)threadIdx.x; item < rows * s.Tk; item += (int)blockDim.x) {
        int i = item / s.Tk, j = item % s.Tk, b = at[i].cell, row = h * s.Tq + at[i].query;
        real p = as_real(*probs.at(b * s.H * s.Tq + row, j));
        w[i * s.ldw + j] = dropped(site, b, row * s.Tk + j, p);
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

/* A block: a head of a slot, all queries of its cells, one cell after the other. Grad: of keys and
 * values. */
template <typename Stored, typename Grad>
__global__ void __launch_bounds__(MOST_THREADS)
    attend_back(layout s, rows_of<Stored> dq, rows_of<Grad> dk, rows_of<Grad> dv,
                rows_of<const Stored> dout, rows_of<const Stored> probs, rows_of<const Stored> q,
                rows_of<const Stored> k, rows_of<const Stored> v, const int32_t *slot, int B,
                mask_site site)
{
    real *w = (real *)shared_memory(), *dw = w + s.dweights, *x = w + s.x;
    real *dx = x + s.queries * s.ld, *k_rows = w + s.k, *v_rows = w + s.v;
    place *at = (place *)(w + s.end);
    int *in_warp = (int *)(at + SLOT_QUERIES), *cell = in_warp + MOST_THREADS / WARP;
    int own = (int)blockIdx.x / s.H, h = (int)blockIdx.x % s.H, column = h * s.size;
    int all = s.Tq * (slot ? find_cells(cell, in_warp, slot, B, own) : 1);
    const Stored *kh = k.at(own * s.Tk, column), *vh = v.at(own * s.Tk, column);
    Grad *dkh = dk.at(own * s.Tk, column), *dvh = dv.at(own * s.Tk, column);
    for (int i0 = 0; i0 < all; i0 += s.queries) {
        int rows = min(all - i0, s.queries), i = i0 + (int)threadIdx.x;
        bool keys = s.resident && !i0, add = slot || i0;
        __syncthreads();
        if ((int)threadIdx.x < rows)
            at[threadIdx.x] = {slot ? cell[i / s.Tq] : own, slot ? i % s.Tq : i};
        __syncthreads();
        drop_rows(s, w, probs, at, h, rows, site);
        stage<Stored>(s, x, 2 * (s.queries + (keys ? s.keys : 0)), [=](int r) -> const Stored * {
            const Stored *from = r < s.queries ? q.data : dout.data;
            ptrdiff_t ld = r < s.queries ? q.ld : dout.ld;
            if (r >= s.queries) r -= s.queries;
            if (r < s.queries)
                return r < rows ? from + (at[r].cell * s.Tq + at[r].query) * ld + column : nullptr;
            r -= s.queries;
            if (r < s.keys) return r < s.Tk ? kh + r * k.ld : nullptr;
            r -= s.keys;
            return r < s.Tk ? vh + r * v.ld : nullptr;
        });
        __syncthreads();
        each_chunk(s, v_rows, vh, v.ld, s.Tk,
                   [=](int j, int m) { dots(s, dw + j, dx, v_rows, rows, m); });
        sum_queries(s, dvh, dv.ld, w, dx, rows, add);
        __syncthreads();
        softmax_backward(s, w, dw, probs, at, h, rows);
        __syncthreads();
        sum_queries(s, dkh, dk.ld, dw, x, rows, add);
        each_chunk(s, k_rows, kh, k.ld, s.Tk, [=](int j, int m) {
            mix(s, dw + j, dx, k_rows, rows, m, j == 0, j + m == s.Tk, [=](int r, int c, real sum) {
                put(dq.at(at[r].cell * s.Tq + at[r].query, column + c), sum);
            });
        });
    }
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
    dim3 grid((unsigned)(owners * H));
    if (!B) return CZ_OK;
    if (slot)
        return launch(exec, "attend_back", attend_back<Stored, real>, grid, s.threads, bytes, s,
                      view<Stored>(dq), view<real>(dk), view<real>(dv), view<const Stored>(dout),
                      view<const Stored>(probs), view<const Stored>(q), view<const Stored>(k),
                      view<const Stored>(v), slot, B, site_of(drop, H * Tq * k.dim[1]));
    return launch(exec, "attend_back", attend_back<Stored, Stored>, grid, s.threads, bytes, s,
                  view<Stored>(dq), view<Stored>(dk), view<Stored>(dv), view<const Stored>(dout),
                  view<const Stored>(probs), view<const Stored>(q), view<const Stored>(k),
                  view<const Stored>(v), slot, B, site_of(drop, H * Tq * k.dim[1]));
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
