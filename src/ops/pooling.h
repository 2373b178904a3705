/* The resampler's pooling, in parts: softmax (kernel_pool.c), the output projection in its two
 * forms (kernel_pool_forms.c), LayerNorm with the mean over latents (kernel_pool_norm.c).
 *
 * A block of cells is in work at a time. Attention lies transposed, [cell][t][h][l] with rows of
 * ldl elements: a softmax over t is then vertical, and both products with U take it as it is. */
#ifndef CZ_POOLING_H
#define CZ_POOLING_H

#include "vector.h"

typedef struct pool {
    cz_exec *exec;
    const cz_pool_weights *w, *dw; /* dw NULL in forward */
    cz_tensor y, k, v, dk, dv;     /* y is dy in backward; dk, dv absent in forward */
    cz_tensor probs, mean, rstd;
    const cz_dropout *drop_attention, *drop_out;
    cz_pool_form form;
    int T, L, D, H, size; /* size: D / H, the columns of a head */
    int ldl;
    int first, cells; /* the block */
    real *scores;     /* before the softmax; in backward the gradient of the weights */
    stored *soft;     /* softmax; the same memory as `weights` without dropout */
    stored *weights;  /* after dropout; in the end the gradient of the scores */
    stored *u;        /* factored: [cell][t][h][d] U, then dU; plain: [cell][l][d] heads */
    real *z;          /* the projection without its bias: (L, D) of the cell in work, and of all
                       * cells of the block in the plain form */
    stored *dz;       /* its gradient, likewise */
    real *row[3];     /* (D) vectors */
} pool;

/* Elements of one cell in `weights`, in `u` and in `z`. */
INLINE size_t cell_weights(const pool *p) { return (size_t)p->T * (size_t)p->H * (size_t)p->ldl; }
INLINE size_t cell_rows(const pool *p) { return (size_t)p->L * (size_t)p->D; }
INLINE size_t cell_u(const pool *p)
{
    return p->form == CZ_POOL_FACTORED ? (size_t)p->T * (size_t)p->H * (size_t)p->D : cell_rows(p);
}

/* Row 0 of the tokens of cell i of the block, columns of head h. */
INLINE stored *head_of(const pool *p, cz_tensor tokens, int i, int h)
{
    return tensor_row(tokens, (p->first + i) * p->T) + h * p->size;
}

/* Columns of head h of a matrix of weights (rows, D). */
INLINE cz_tensor head_columns(const pool *p, cz_tensor t, int h)
{
    return cz_columns(t, h * p->size, p->size);
}

/* The output projection. In order: open for the block, rows for each of its cells `i`, which
 * gives its projection; and in backward, where the cell's dz has been written, back for each
 * cell, close for the block: the gradient of the weights and dv are set, dw_out is added to. */
cz_status K(pool_open)(pool *p);
cz_status K(pool_rows)(pool *p, int i, real **z);
cz_status K(pool_back)(pool *p, int i);
cz_status K(pool_close)(pool *p);

/* dz of cell `i` of the block. */
INLINE stored *dz_of(const pool *p, int i)
{
    return p->form == CZ_POOL_FACTORED ? p->dz : p->dz + (size_t)i * cell_rows(p);
}

/* y, mean and rstd of cell `i` of the block from its projection z, which is destroyed; and back:
 * its dz is set, the gradients of latents, b_out, gain and bias are added to. */
void K(pool_norm_forward)(pool *p, int i, real *z);
void K(pool_norm_backward)(pool *p, int i, real *z);

#endif
