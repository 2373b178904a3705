/* The resampler's output projection, z[l] = W_o concat_h(A_h v_h)[l], in its two forms.
 *   factored  z = A^T U over (t, h), U[t, h] = W_o[:, h] v_h[t]
 *   plain     heads[l] = concat_h(A_h v_h)[l], z = heads W_o^T */
#include "pooling.h"
#include "small.h"

INLINE const stored *weights_of(const pool *p, int i)
{
    return p->weights + (size_t)i * cell_weights(p);
}
INLINE real *dweights_of(const pool *p, int i) { return p->scores + (size_t)i * cell_weights(p); }
INLINE stored *u_of(const pool *p, int i) { return p->u + (size_t)i * cell_u(p); }

static cz_status factored_open(pool *p)
{
    for (int h = 0; h < p->H; h++)
        CZ_TRY(K(gemm)(p->exec, set_stored(p->u + h * p->D, (ptrdiff_t)p->H * p->D),
                       rows_of(head_of(p, p->v, 0, h), p->v.ld),
                       transpose_of(head_columns(p, p->w->w_out, h)), p->cells * p->T, p->D,
                       p->size, NULL, NULL));
    return CZ_OK;
}

static cz_status factored_rows(pool *p, int i)
{
    return K(gemm)(p->exec, set_real(p->z, p->D), transposed(weights_of(p, i), p->ldl),
                   rows_of(u_of(p, i), p->D), p->L, p->D, p->T * p->H, NULL, NULL);
}

/* U is not needed any more once the weights have their gradient: dU takes its place. */
static cz_status factored_back(pool *p, int i)
{
    int N = p->T * p->H;
    CZ_TRY(K(gemm)(p->exec, set_real(dweights_of(p, i), p->ldl), rows_of(u_of(p, i), p->D),
                   transposed(p->dz, p->D), N, p->L, p->D, NULL, NULL));
    return K(gemm)(p->exec, set_stored(u_of(p, i), p->D), rows_of(weights_of(p, i), p->ldl),
                   rows_of(p->dz, p->D), N, p->D, p->L, NULL, NULL);
}

static cz_status factored_close(pool *p)
{
    int N = p->cells * p->T;
    ptrdiff_t ld = (ptrdiff_t)p->H * p->D;
    for (int h = 0; h < p->H; h++) {
        const stored *du = p->u + h * p->D;
        CZ_TRY(K(gemm)(p->exec, set_stored(head_of(p, p->dv, 0, h), p->dv.ld), rows_of(du, ld),
                       view_of(head_columns(p, p->w->w_out, h)), N, p->size, p->D, NULL, NULL));
        CZ_TRY(K(gemm)(p->exec, add_tensor(head_columns(p, p->dw->w_out, h)), transposed(du, ld),
                       rows_of(head_of(p, p->v, 0, h), p->v.ld), p->D, p->size, N, NULL, NULL));
    }
    return CZ_OK;
}

static cz_status plain_open(pool *p)
{
    ptrdiff_t step = (ptrdiff_t)p->H * p->ldl;
    for (int i = 0; i < p->cells; i++)
        for (int h = 0; h < p->H; h++) K(small_product)
    (set_stored(u_of(p, i) + h * p->size, p->D), transposed(weights_of(p, i) + h * p->ldl, step),
     rows_of(head_of(p, p->v, i, h), p->v.ld), p->L, p->size, p->T);
    return K(gemm)(p->exec, set_real(p->z, p->D), rows_of(p->u, p->D), transpose_of(p->w->w_out),
                   p->cells * p->L, p->D, p->D, NULL, NULL);
}

/* The heads have served once dw_out has them: their gradient takes their place. */
static cz_status plain_close(pool *p)
{
    int N = p->cells * p->L;
    ptrdiff_t step = (ptrdiff_t)p->H * p->ldl;
    CZ_TRY(K(gemm)(p->exec, add_tensor(p->dw->w_out), transposed(p->dz, p->D), rows_of(p->u, p->D),
                   p->D, p->D, N, NULL, NULL));
    CZ_TRY(K(gemm)(p->exec, set_stored(p->u, p->D), rows_of(p->dz, p->D), view_of(p->w->w_out), N,
                   p->D, p->D, NULL, NULL));
    for (int i = 0; i < p->cells; i++)
        for (int h = 0; h < p->H; h++) {
            const stored *dheads = u_of(p, i) + h * p->size;
            K(small_product)
            (set_stored(head_of(p, p->dv, i, h), p->dv.ld),
             rows_of(weights_of(p, i) + h * p->ldl, step), rows_of(dheads, p->D), p->T, p->size,
             p->L);
            CZ_TRY(K(gemm)(p->exec, set_real(dweights_of(p, i) + h * p->ldl, step),
                           rows_of(head_of(p, p->v, i, h), p->v.ld), transposed(dheads, p->D), p->T,
                           p->L, p->size, NULL, NULL));
        }
    return CZ_OK;
}

cz_status K(pool_open)(pool *p)
{
    return p->form == CZ_POOL_FACTORED ? factored_open(p) : plain_open(p);
}

cz_status K(pool_rows)(pool *p, int i, real **z)
{
    *z = p->z;
    if (p->form == CZ_POOL_FACTORED) return factored_rows(p, i);
    *z += (size_t)i * cell_rows(p);
    return CZ_OK;
}

cz_status K(pool_back)(pool *p, int i)
{
    return p->form == CZ_POOL_FACTORED ? factored_back(p, i) : CZ_OK;
}

cz_status K(pool_close)(pool *p)
{
    return p->form == CZ_POOL_FACTORED ? factored_close(p) : plain_close(p);
}
