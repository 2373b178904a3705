/* Multi-head attention between a few tokens: the heads of one cell after the other, each in the
 * first level cache. 8 tokens fill no registers: 11 to 20 % of a Zen 4's peak, in 4 % of a step
 * (validation/bench_model.c). */
#include "scratch.h"
#include "small.h"
#include "vector.h"

/* One head of one cell, for the queries [i0, i0 + rows). */
typedef struct head {
    int Tq, size;   /* queries, columns of the head */
    int keys, Tk;   /* keys of a slot, and how many of them count */
    int ld;         /* between rows of what lies in scratch, Tk rounded up */
    real *flipped;  /* (size, Tk) keys or values, transposed, 0 beyond Tk */
    real *weights;  /* (rows, Tk) softmax after dropout, 0 beyond Tk */
    real *dweights; /* (rows, Tk) its gradient, then that of the scores; 0 beyond Tk */
    real scale, drop;
} head;

static cz_status open_head(cz_exec *exec, head *h, cz_tensor q, cz_tensor k, int H,
                           const cz_dropout *drop)
{
    int size = q.dim[2] / H, keys = k.dim[1], ld = round_up(keys);
    *h = (head){.Tq = q.dim[1], .size = size, .keys = keys, .Tk = keys, .ld = ld};
    h->drop = drop_scale(drop);
    h->scale = (real)(1 / sqrt((double)size));
    h->flipped = take(exec, (size_t)size * (size_t)ld);
    h->weights = take(exec, (size_t)CZ_QUERY_BLOCK * (size_t)ld);
    h->dweights = take(exec, (size_t)CZ_QUERY_BLOCK * (size_t)ld);
    return h->flipped && h->weights && h->dweights ? CZ_OK : CZ_ERR_MEMORY;
}

static cz_status slots_fit(const int32_t *slot, int B, int S)
{
    for (int b = 0; slot && b < B; b++)
        if (slot[b] < 0 || slot[b] >= S)
            return cz_fail(CZ_ERR_BUG, "cz_attention: cell %d has slot %d of %d", b, slot[b], S);
    return CZ_OK;
}

static cz_status lengths_fit(const int32_t *length, int S, int keys)
{
    for (int s = 0; length && s < S; s++)
        if (length[s] < 1 || length[s] > keys)
            return cz_fail(CZ_ERR_BUG, "cz_attention: %d of the %d keys of slot %d count",
                           length[s], keys, s);
    return CZ_OK;
}

/* Of the slot at hand only the first `count` keys count. */
static void shorten(head *h, int count)
{
    h->Tk = count;
    h->ld = round_up(count);
}

/* Rows of scores in h->weights become softmax(scale scores): into probs as they are, and dropped
 * where they were, by the bits from element `at` on. Scratch is read and written in whole vectors,
 * 0 beyond Tk: a load waits long for a narrower store. */
static void softmax_rows(const head *h, stored *probs, ptrdiff_t ldp, int rows, const uint8_t *bits,
                         size_t at)
{
    int n = h->Tk;
    for (int i = 0; i < rows; i++, probs += ldp, at += (size_t)h->keys) {
        real *x = h->weights + i * h->ld;
        vec most = broadcast(-INFINITY), sum = {0};
        for (int j = 0; j < n; j += LANES)
            most = vec_max(keep_next(load(x + j), most, n - j), most);
        vec top = broadcast(max_lanes(most));
        for (int j = 0; j < n; j += LANES) {
            vec e = vec_exp((load(x + j) - top) * broadcast(h->scale));
            e = keep_next(e, (vec){0}, n - j);
            store(x + j, e);
            sum += e;
        }
        vec factor = broadcast(1 / sum_lanes(sum));
        for (int j = 0; j < n; j += LANES) {
            vec share = load(x + j) * factor;
            store_next(probs + j, share, n - j);
            store(x + j, dropped(share, bits, at + (size_t)j, h->drop, n - j));
        }
        for (int j = n; j < h->keys; j += LANES) store_next(probs + j, (vec){0}, h->keys - j);
    }
}

/* h->weights = drop(probs), by the bits from element `at` on. */
static void drop_rows(const head *h, const stored *probs, ptrdiff_t ldp, int rows,
                      const uint8_t *bits, size_t at)
{
    for (int i = 0; i < rows; i++, at += (size_t)h->Tk)
        for (int j = 0; j < h->Tk; j += LANES) {
            vec p = load_next(probs + i * ldp + j, h->Tk - j);
            store(h->weights + i * h->ld + j, dropped(p, bits, at + (size_t)j, h->drop, h->Tk - j));
        }
}

/* dscores = scale (a da - p sum(a da)), where a = drop(p), in the place of da. */
static void softmax_backward(const head *h, const stored *probs, ptrdiff_t ldp, int rows)
{
    for (int i = 0; i < rows; i++) {
        const real *a = h->weights + i * h->ld;
        const stored *p = probs + i * ldp;
        real *da = h->dweights + i * h->ld;
        vec sum = {0};
        for (int j = 0; j < h->Tk; j += LANES) sum += load(a + j) * load(da + j);
        vec total = broadcast(sum_lanes(sum)), scale = broadcast(h->scale);
        for (int j = 0; j < h->Tk; j += LANES) {
            vec d = load(a + j) * load(da + j) - load_next(p + j, h->Tk - j) * total;
            store(da + j, scale * d);
        }
    }
}

INLINE int block_rows(const head *h, int i0)
{
    return h->Tq - i0 < CZ_QUERY_BLOCK ? h->Tq - i0 : CZ_QUERY_BLOCK;
}

cz_status K(attention_forward)(cz_exec *exec, cz_tensor out, cz_tensor probs, cz_tensor q,
                               cz_tensor k, cz_tensor v, const int32_t *slot, const int32_t *length,
                               int H, const cz_dropout *drop)
{
    int B = q.dim[0], elements = H * q.dim[1] * k.dim[1];
    size_t kept = exec->scratch->used;
    head h;
    cz_status status = slots_fit(slot, B, k.dim[0]);
    if (!status) status = lengths_fit(length, k.dim[0], k.dim[1]);
    if (!status) status = open_head(exec, &h, q, k, H, drop);
    if (status) goto done;
    draw_masks(exec, drop, B, elements);
    for (int b = 0; b < B; b++)
        for (int i = 0; i < H; i++) {
            const uint8_t *bits = cell_mask(drop, b, elements);
            int s = slot ? slot[b] : b, column = i * h.size;
            const stored *kh = tensor_row(k, s * h.keys) + column;
            const stored *vh = tensor_row(v, s * h.keys) + column;
            if (length) shorten(&h, length[s]);
            K(transpose_small)(h.flipped, h.ld, kh, k.ld, h.Tk, h.size);
            for (int i0 = 0; i0 < h.Tq; i0 += CZ_QUERY_BLOCK) {
                int rows = block_rows(&h, i0), row = (b * H + i) * h.Tq + i0;
                const stored *qh = tensor_row(q, b * h.Tq + i0) + column;
                stored *out_h = tensor_row(out, b * h.Tq + i0) + column;
                K(small_product)
                (set_real(h.weights, h.ld), rows_of(qh, q.ld), real_rows(h.flipped, h.ld), rows,
                 h.ld, h.size);
                softmax_rows(&h, tensor_row(probs, row), probs.ld, rows, bits,
                             (size_t)(i * h.Tq + i0) * (size_t)h.keys);
                K(small_product)
                (set_stored(out_h, out.ld), real_rows(h.weights, h.ld), rows_of(vh, v.ld), rows,
                 h.size, h.Tk);
            }
        }
done:
    exec->scratch->used = kept;
    return status;
}

INLINE target head_target(cz_tensor t, int row, int column)
{
    return (target){cz_at(t, row, column), t.ld, is_wide(t), false};
}

cz_status K(attention_backward)(cz_exec *exec, cz_tensor dq, cz_tensor dk, cz_tensor dv,
                                cz_tensor dout, cz_tensor probs, cz_tensor q, cz_tensor k,
                                cz_tensor v, const int32_t *slot, int H, const cz_dropout *drop)
{
    int B = q.dim[0], elements = H * q.dim[1] * k.dim[1];
    size_t kept = exec->scratch->used;
    head h;
    cz_status status = slots_fit(slot, B, k.dim[0]);
    if (!status) status = open_head(exec, &h, q, k, H, drop);
    if (status) goto done;
    for (int b = 0; b < B; b++)
        for (int i = 0; i < H; i++) {
            const uint8_t *bits = cell_mask(drop, b, elements);
            int keys = (slot ? slot[b] : b) * h.Tk, column = i * h.size;
            target dkh = head_target(dk, keys, column), dvh = head_target(dv, keys, column);
            K(transpose_small)(h.flipped, h.ld, tensor_row(v, keys) + column, v.ld, h.Tk, h.size);
            for (int i0 = 0; i0 < h.Tq; i0 += CZ_QUERY_BLOCK) {
                int rows = block_rows(&h, i0), row = b * h.Tq + i0;
                dkh.add = dvh.add = slot || i0;
                const stored *p = tensor_row(probs, (b * H + i) * h.Tq + i0);
                view dout_h = rows_of(tensor_row(dout, row) + column, dout.ld);
                view qh = rows_of(tensor_row(q, row) + column, q.ld);
                view kh = rows_of(tensor_row(k, keys) + column, k.ld);
                drop_rows(&h, p, probs.ld, rows, bits, (size_t)(i * h.Tq + i0) * (size_t)h.Tk);
                K(small_product)(dvh, real_transposed(h.weights, h.ld), dout_h, h.Tk, h.size, rows);
                K(small_product)
                (set_real(h.dweights, h.ld), dout_h, real_rows(h.flipped, h.ld), rows, h.ld,
                 h.size);
                softmax_backward(&h, p, probs.ld, rows);
                K(small_product)
                (head_target(dq, row, column), real_rows(h.dweights, h.ld), kh, rows, h.size, h.Tk);
                K(small_product)(dkh, real_transposed(h.dweights, h.ld), qh, h.Tk, h.size, rows);
            }
        }
done:
    exec->scratch->used = kept;
    return status;
}

cz_status K(attention_tally)(cz_exec *exec, int64_t *sum, cz_tensor probs)
{
    int parts = probs.dim[0] * probs.dim[1], Tq = probs.dim[2], Tk = probs.dim[3];
    const double units = (double)(1LL << CZ_TALLY_BITS);
    (void)exec;
    for (int part = 0; part < parts; part++)
        for (int i = 0; i < Tq; i++) {
            const stored *p = tensor_row(probs, part * Tq + i);
            int64_t *to = sum + (ptrdiff_t)i * Tk;
            for (int j = 0; j < Tk; j++) { /* what is not a number adds nothing */
                real share = as_real(p[j]);
                if (share > 0) to[j] += (int64_t)((double)share * units + 0.5);
            }
        }
    return CZ_OK;
}
