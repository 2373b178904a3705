/* Attention's way back: of a cell, or of all cells of a slot, whose keys and values they share. */
#include "attention.h"

static const int SLOT_QUERIES = 64; /* at once of a slot's cells, whose gradients are not rounded */
static const int MOST_TICKETS = 1024; /* heads of slots: with more there are blocks enough */

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

/* A row of work: query `query` of cell `cell`. */
struct place {
    int cell, query;
};

/* The cells of a slot into `cell`, in their order; returns how many. `in_warp`: of each warp. */
__device__ int find_cells(int *cell, int *in_warp, const int32_t *slot, int B, int own)
{
    int found = 0, lane = lane_number(), warp = warp_number();
    for (int first = 0; first < B; first += (int)blockDim.x) {
        int b = first + (int)threadIdx.x, hit = b < B && slot[b] == own, upto = hit;
        for (int step = 1; step < WARP; step *= 2) {
            int before = __shfl_sync(WHOLE_WARP, upto, lane - step);
            if (lane >= step) upto += before;
        }
        if (lane == WARP - 1) in_warp[warp] = upto;
        __syncthreads();
        int before = found;
        for (int i = 0; i < warp_count(); i++) {
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

/* ---- the host's side ---- */

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
    if (blocks > 1) { CZ_TRY(take_scratch(exec, &work.parts, count * (size_t)blocks)); }
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
    CZ_TRY(settle(exec, {dq, dk, dv}, {dout, probs, q, k, v}));
    int B = q.dim[0], Tq = q.dim[1], owners = k.dim[0];
    size_t beside = SLOT_QUERIES * sizeof(place) + MOST_THREADS / WARP * sizeof(int);
    size_t all = (size_t)Tq * (size_t)(slot ? B : 1), bytes;
    if (slot) beside += (size_t)B * sizeof(int);
    bytes = attention_lay_out(&s, room, q, k, H, all, slot ? SLOT_QUERIES : QUERIES, 2, beside);
    if (bytes > room) bytes = attention_lay_out(&s, room, q, k, H, all, QUERIES, 2, beside);
    CZ_TRY(attention_fits(&s, bytes, room));
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

void fill_attention_backward(cuda_tables t)
{
    t.f32->attention_backward = attention_backward<float>;
    t.bf16->attention_backward = attention_backward<bf16>;
}
