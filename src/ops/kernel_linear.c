/* Linear layers: products with bias, activation, dropout and gates applied to each block of the
 * result while it is in the cache. */
#include "vector.h"

/* What follows x w^T. */
typedef struct after {
    const real *bias;
    cz_activation act;
    const cz_dropout *drop;
    size_t cell_bytes; /* of a cell's mask */
    int cell_rows, C;
    real scale;
} after;

INLINE vec activated(vec v, cz_activation act)
{
    if (act == CZ_RELU) return choose(v < 0, (vec){0}, v); /* NaN stays NaN */
    return act == CZ_GELU ? vec_gelu(v) : v;
}

INLINE void finish_rows(const after *f, real *y, ptrdiff_t ld, int row, int rows, int col, int cols,
                        const bool bias, const cz_activation act, const bool drop)
{
    for (int r = 0; r < rows; r++, y += ld) {
        const uint8_t *bits = NULL;
        size_t at = 0;
        if (drop) {
            int cell = (row + r) / f->cell_rows;
            bits = f->drop->bits + (size_t)cell * f->cell_bytes;
            at = (size_t)((row + r) % f->cell_rows) * (size_t)f->C + (size_t)col;
        }
        for (int c = 0; c < cols; c += LANES) {
            int n = cols - c < LANES ? cols - c : LANES;
            vec v = load_most(y + c, n);
            if (bias) v += load_most(f->bias + col + c, n);
            v = activated(v, act);
            if (drop) v = keep_lanes(v * broadcast(f->scale), mask_bits(bits, at + (size_t)c, n));
            store_most(y + c, v, n);
        }
    }
}

/* One form for each combination, so that the loop over a row does not ask. */
INLINE void finish_with(const after *f, real *y, ptrdiff_t ld, int row, int rows, int col, int cols,
                        const cz_activation act)
{
    if (f->bias && f->drop) finish_rows(f, y, ld, row, rows, col, cols, true, act, true);
    else if (f->bias) finish_rows(f, y, ld, row, rows, col, cols, true, act, false);
    else if (f->drop) finish_rows(f, y, ld, row, rows, col, cols, false, act, true);
    else finish_rows(f, y, ld, row, rows, col, cols, false, act, false);
}

static void finish_forward(const void *context, real *y, ptrdiff_t ld, int row, int rows, int col,
                           int cols)
{
    const after *f = context;
    if (f->act == CZ_LINEAR) finish_with(f, y, ld, row, rows, col, cols, CZ_LINEAR);
    if (f->act == CZ_RELU) finish_with(f, y, ld, row, rows, col, cols, CZ_RELU);
    if (f->act == CZ_GELU) finish_with(f, y, ld, row, rows, col, cols, CZ_GELU);
}

cz_status K(linear_forward)(cz_exec *exec, cz_tensor y, cz_tensor x, cz_tensor w, cz_tensor bias,
                            cz_activation act, const cz_dropout *drop, int cells)
{
    int N = cz_rows(y), C = cz_cols(y), rows = drop && cells ? N / cells : 1;
    after f = {.bias = bias.data, .act = act, .drop = drop, .cell_rows = rows, .C = C};
    if (drop) {
        f.cell_bytes = cz_mask_bytes(rows * C);
        f.scale = (real)cz_dropout_scale(drop->p);
        for (int b = 0; b < cells; b++) K(mask)
        (drop->bits + (size_t)b * f.cell_bytes, exec->step, drop->site, drop->p, drop->cell[b],
         rows * C);
    }
    bool plain = !f.bias && act == CZ_LINEAR && !drop;
    return K(gemm)(exec, y.data, y.ld, view_of(x), transpose_of(w), N, C, cz_cols(x), false,
                   plain ? NULL : finish_forward, &f);
}

typedef struct gate {
    cz_tensor x;
    real scale;
} gate;

static void finish_gate(const void *context, real *dx, ptrdiff_t ld, int row, int rows, int col,
                        int cols)
{
    const gate *g = context;
    for (int r = 0; r < rows; r++, dx += ld) {
        const real *x = tensor_row(g->x, row + r) + col;
        for (int c = 0; c < cols; c += LANES) {
            int n = cols - c < LANES ? cols - c : LANES;
            vec d = load_most(dx + c, n) * broadcast(g->scale);
            store_most(dx + c, choose(load_most(x + c, n) > 0, d, (vec){0}), n);
        }
    }
}

cz_status K(linear_backward_input)(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor w,
                                   cz_tensor gate_of, double p)
{
    gate g = {gate_of, (real)cz_dropout_scale(p)};
    return K(gemm)(exec, dx.data, dx.ld, view_of(dy), view_of(w), cz_rows(dx), cz_cols(dx),
                   cz_cols(dy), false, gate_of.data ? finish_gate : NULL, &g);
}

/* sum[c] += the column sums of dy, for at most WIDE vectors of columns. */
enum { WIDE = 4 };
static void add_columns(real *sum, const real *dy, ptrdiff_t ld, int N, int cols)
{
    vec total[WIDE];
    for (int v = 0; v < WIDE; v++) total[v] = (vec){0};
    if (cols == WIDE * LANES) {
        for (int n = 0; n < N; n++, dy += ld)
            UNROLL for (int v = 0; v < WIDE; v++) total[v] += load(dy + v * LANES);
    } else {
        for (int n = 0; n < N; n++, dy += ld)
            for (int v = 0; v * LANES < cols; v++) {
                int left = cols - v * LANES;
                total[v] += load_most(dy + v * LANES, left < LANES ? left : LANES);
            }
    }
    for (int v = 0; v * LANES < cols; v++) {
        int left = cols - v * LANES, count = left < LANES ? left : LANES;
        store_most(sum + v * LANES, load_most(sum + v * LANES, count) + total[v], count);
    }
}

cz_status K(linear_backward_weight)(cz_exec *exec, cz_tensor dw, cz_tensor dbias, cz_tensor dy,
                                    cz_tensor x)
{
    int N = cz_rows(dy), C = cz_cols(dy);
    if (dbias.data) {
        for (int c = 0; c < C; c += WIDE * LANES) {
            int cols = C - c < WIDE * LANES ? C - c : WIDE * LANES;
            add_columns((real *)dbias.data + c, (const real *)dy.data + c, dy.ld, N, cols);
        }
    }
    return K(gemm)(exec, dw.data, dw.ld, transpose_of(dy), view_of(x), C, cz_cols(x), N, true, NULL,
                   NULL);
}
