/* Linear layers: products with bias, activation, dropout and gates applied to each block of the
 * result while it is in the cache. */
#include "vector.h"

/* What follows x w^T; handed on by value, since what is stored might alias what a pointer shows. */
typedef struct after {
    cz_tensor y;
    const real *bias;
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

/* What is known of a block before its rows are walked over: one form for each combination, so that
 * the loop does not ask. */
typedef struct form {
    cz_activation activation;
    bool bias, drop;
    bool wide;  /* the output */
    bool whole; /* no vector is cut off at the end of a row */
} form;

INLINE void finish_rows(const after f, const real *x, ptrdiff_t ld, int row, int rows, int col,
                        int cols, const form is)
{
    for (int r = 0; r < rows; r++, x += ld) {
        const uint8_t *bits = NULL;
        size_t at = 0;
        if (is.drop) {
            int cell = (row + r) / f.cell_rows;
            bits = f.drop->bits + (size_t)cell * f.cell_bytes;
            at = (size_t)((row + r) % f.cell_rows) * (size_t)f.C + (size_t)col;
        }
        for (int c = 0; c < cols; c += LANES) {
            int left = is.whole ? LANES : cols - c;
            vec v = load_next(x + c, left);
            if (is.bias) v += load_next(f.bias + col + c, left);
            v = activated(v, is.activation);
            if (is.drop) v = dropped(v, bits, at + (size_t)c, f.scale, left);
            store_any(f.y.data, (ptrdiff_t)(row + r) * f.y.ld + col + c, v, left, is.wide);
        }
    }
}

INLINE void finish_with(const after *f, const real *x, ptrdiff_t ld, int row, int rows, int col,
                        int cols, form is)
{
#define FORM(b, d, w)                                                                              \
    if (!!f->bias == b && !!f->drop == d && (cols % LANES == 0) == w)                              \
    finish_rows(*f, x, ld, row, rows, col, cols, (form){is.activation, b, d, is.wide, w})
    FORM(true, true, true);
    FORM(true, true, false);
    FORM(true, false, true);
    FORM(true, false, false);
    FORM(false, true, true);
    FORM(false, true, false);
    FORM(false, false, true);
    FORM(false, false, false);
#undef FORM
}

#define FINISH(name, activation, wide)                                                             \
    static void name(const void *f, const real *x, ptrdiff_t ld, int row, int rows, int col,       \
                     int cols)                                                                     \
    {                                                                                              \
        finish_with(f, x, ld, row, rows, col, cols, (form){activation, 0, 0, wide, 0});            \
    }
FINISH(finish_linear, CZ_LINEAR, false)
FINISH(finish_relu, CZ_RELU, false)
FINISH(finish_gelu, CZ_GELU, false)
FINISH(finish_linear_wide, CZ_LINEAR, true)
FINISH(finish_relu_wide, CZ_RELU, true)
FINISH(finish_gelu_wide, CZ_GELU, true)
#undef FINISH

/* By activation, and whether the output is wide. */
static finish_block *const finishes[][2] = {[CZ_LINEAR] = {finish_linear, finish_linear_wide},
                                            [CZ_RELU] = {finish_relu, finish_relu_wide},
                                            [CZ_GELU] = {finish_gelu, finish_gelu_wide}};

cz_status K(linear_forward)(cz_exec *exec, cz_tensor y, cz_tensor x, cz_tensor w, cz_tensor bias,
                            cz_activation act, const cz_dropout *drop, int cells)
{
    int N = cz_rows(y), C = cz_cols(y), rows = drop && cells ? N / cells : 1;
    after f = {.y = y, .bias = bias.data, .drop = drop, .cell_rows = rows, .C = C};
    if (drop) {
        f.cell_bytes = cz_mask_bytes(rows * C);
        f.scale = drop_scale(drop);
    }
    draw_masks(exec, drop, cells, rows * C);
    bool plain = !f.bias && act == CZ_LINEAR && !drop;
    return K(gemm)(exec, set_tensor(y), view_of(x), K(weights_forward)(w), N, C, cz_cols(x),
                   plain ? NULL : finishes[act][is_wide(y)], &f);
}

typedef struct gate {
    cz_tensor dx, x;
    real scale;
} gate;

INLINE void finish_gated(const gate g, const real *d, ptrdiff_t ld, int row, int rows, int col,
                         int cols, const bool whole)
{
    for (int r = 0; r < rows; r++, d += ld) {
        const stored *x = tensor_row(g.x, row + r) + col;
        stored *dx = tensor_row(g.dx, row + r) + col;
        for (int c = 0; c < cols; c += LANES) {
            int left = whole ? LANES : cols - c;
            vec v = load_next(d + c, left) * broadcast(g.scale);
            store_next(dx + c, choose(load_next(x + c, left) > 0, v, (vec){0}), left);
        }
    }
}

static void finish_gate(const void *context, const real *d, ptrdiff_t ld, int row, int rows,
                        int col, int cols)
{
    const gate *g = context;
    if (cols % LANES) finish_gated(*g, d, ld, row, rows, col, cols, false);
    else finish_gated(*g, d, ld, row, rows, col, cols, true);
}

/* By way of scratch, rounded as it is stored. */
static cz_status add_input(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor w)
{
    size_t kept = exec->scratch->used;
    int N = cz_rows(dx), C = cz_cols(dx);
    stored *product = take_stored(exec, (size_t)N * (size_t)C);
    if (!product) return CZ_ERR_MEMORY;
    cz_tensor own = cz_matrix(product, STORED_DTYPE, N, C);
    cz_status status = K(linear_backward_input)(exec, own, dy, w, (cz_tensor){0}, 0, false);
    if (!status) status = K(add)(exec, dx, own);
    exec->scratch->used = kept;
    return status;
}

cz_status K(linear_backward_input)(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor w,
                                   cz_tensor gate_of, double p, bool add)
{
    if (add) return add_input(exec, dx, dy, w);
    gate g = {dx, gate_of, (real)cz_dropout_scale(p)};
    return K(gemm)(exec, set_tensor(dx), view_of(dy), K(weights_backward)(w), cz_rows(dx),
                   cz_cols(dx), cz_cols(dy), gate_of.data ? finish_gate : NULL, &g);
}

/* sum[c] += the column sums of dy, for at most WIDE vectors of columns. */
enum { WIDE = 4 };
static void add_columns(real *sum, const stored *dy, ptrdiff_t ld, int N, int cols)
{
    vec total[WIDE];
    for (int v = 0; v < WIDE; v++) total[v] = (vec){0};
    if (cols == WIDE * LANES) {
        for (int n = 0; n < N; n++, dy += ld)
            UNROLL for (int v = 0; v < WIDE; v++) total[v] += load(dy + v * LANES);
    } else {
        for (int n = 0; n < N; n++, dy += ld)
            for (int v = 0; v * LANES < cols; v++)
                total[v] += load_next(dy + v * LANES, cols - v * LANES);
    }
    for (int v = 0; v * LANES < cols; v++) add_next(sum + v * LANES, total[v], cols - v * LANES);
}

cz_status K(linear_backward_weight)(cz_exec *exec, cz_tensor dw, cz_tensor dbias, cz_tensor dy,
                                    cz_tensor x, bool add)
{
    int N = cz_rows(dy), C = cz_cols(dy);
    if (dbias.data) {
        if (!add) memset(dbias.data, 0, (size_t)C * sizeof(real));
        for (int c = 0; c < C; c += WIDE * LANES) {
            int cols = C - c < WIDE * LANES ? C - c : WIDE * LANES;
            add_columns((real *)dbias.data + c, tensor_row(dy, 0) + c, dy.ld, N, cols);
        }
    }
    return K(gemm)(exec, add ? add_tensor(dw) : set_tensor(dw), transpose_of(dy), view_of(x), C,
                   cz_cols(x), N, NULL, NULL);
}
