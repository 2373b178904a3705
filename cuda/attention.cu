/* Multi-head attention between a few tokens, where a launch costs more than its sums; and its
 * tally. */
#include "attention.h"

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

size_t attention_lay_out(layout *s, size_t room, cz_tensor q, cz_tensor k, int H, size_t all,
                         int once, int sets, size_t beside)
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

cz_status attention_fits(const layout *s, size_t bytes, size_t room)
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
    CZ_TRY(settle(exec, {out, probs}, {q, k, v}));
    int B = q.dim[0], Tq = q.dim[1];
    size_t bits = drop ? (size_t)QUERIES * (size_t)k.dim[1] / 8 + 2 : 0;
    size_t bytes = attention_lay_out(&s, room, q, k, H, (size_t)Tq, QUERIES, 1, bits);
    CZ_TRY(attention_fits(&s, bytes, room));
    s.aligned =
        s.size % 4 == 0 && by_fours<Stored>(q) && by_fours<Stored>(k) && by_fours<Stored>(v);
    dim3 grid((unsigned)(B * H), (unsigned)((Tq + s.queries - 1) / s.queries));
    return launch(exec, "attend", attend<Stored>, grid, s.threads, bytes, s, view<Stored>(out),
                  view<Stored>(probs), view<const Stored>(q), view<const Stored>(k),
                  view<const Stored>(v), slot, length, site_of(drop, H * Tq * k.dim[1]),
                  exec->step);
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
    t->attention_tally = attention_tally<Stored>;
}

void fill_attention(cuda_tables t)
{
    fill<float>(t.f32);
    fill<bf16>(t.bf16);
    fill_attention_backward(t);
}
