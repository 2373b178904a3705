/* Linear layers: products with bias, activation, dropout and gates applied to each block of the
 * result while it is in the cache. */
#include "kernel.h"

/* What follows x w^T. */
typedef struct after {
    const real *bias;
    cz_activation act;
    const cz_dropout *drop;
    size_t cell_bytes; /* of a cell's mask */
    int cell_rows, C;
    real scale;
} after;

static void finish_forward(const void *context, real *y, ptrdiff_t ld, int row, int rows, int col,
                           int cols)
{
    const after *f = context;
    for (int r = 0; r < rows; r++) {
        real *yr = y + r * ld;
        const uint8_t *bits = NULL;
        size_t at = 0;
        if (f->drop) {
            int cell = (row + r) / f->cell_rows;
            bits = f->drop->bits + (size_t)cell * f->cell_bytes;
            at = (size_t)((row + r) % f->cell_rows) * (size_t)f->C + (size_t)col;
        }
        for (int c = 0; c < cols; c += LANES) {
            int left = cols - c < LANES ? cols - c : LANES;
            vec v = left == LANES ? load(yr + c) : load_part(yr + c, left);
            if (f->bias)
                v += left == LANES ? load(f->bias + col + c) : load_part(f->bias + col + c, left);
            if (f->act == CZ_RELU) v = vec_max(v, (vec){0});
            if (bits)
                v = keep_lanes(v * broadcast(f->scale), mask_bits(bits, at + (size_t)c, left));
            if (left == LANES) store(yr + c, v);
            else store_part(yr + c, v, left);
        }
    }
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
    return K(gemm)(exec, y.data, y.ld, view_of(x), transpose_of(w), N, C, cz_cols(x), false,
                   finish_forward, &f);
}

typedef struct gate {
    cz_tensor x;
    real scale;
} gate;

static void finish_gate(const void *context, real *dx, ptrdiff_t ld, int row, int rows, int col,
                        int cols)
{
    const gate *g = context;
    for (int r = 0; r < rows; r++) {
        real *d = dx + r * ld;
        const real *x = tensor_row(g->x, row + r) + col;
        for (int c = 0; c < cols; c++) d[c] = x[c] > 0 ? d[c] * g->scale : 0;
    }
}

cz_status K(linear_backward_input)(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor w,
                                   cz_tensor gate_of, double p)
{
    gate g = {gate_of, (real)cz_dropout_scale(p)};
    return K(gemm)(exec, dx.data, dx.ld, view_of(dy), view_of(w), cz_rows(dx), cz_cols(dx),
                   cz_cols(dy), false, gate_of.data ? finish_gate : NULL, &g);
}

cz_status K(linear_backward_weight)(cz_exec *exec, cz_tensor dw, cz_tensor dbias, cz_tensor dy,
                                    cz_tensor x)
{
    int N = cz_rows(dy), C = cz_cols(dy);
    if (dbias.data) {
        real *db = dbias.data;
        for (int n = 0; n < N; n++) {
            const real *d = tensor_row(dy, n);
            for (int c = 0; c < C; c++) db[c] += d[c];
        }
    }
    return K(gemm)(exec, dw.data, dw.ld, transpose_of(dy), view_of(x), C, cz_cols(x), N, true, NULL,
                   NULL);
}
