/* The public operation on heads: checks, then the backend. */
#include "czhpc/backend.h"
#include "shape.h"

#include "czhpc/profile.h"

/* Weights and what is beside them: of the layer's outputs and inputs. */
static cz_status layer_fits(const cz_fit *wide, const cz_head *h, int layer, int inputs,
                            int outputs, bool back)
{
    CZ_TRY(cz_fit_matrix(wide, "w", h->w[layer], outputs, inputs));
    CZ_TRY(cz_fit_vector(wide, "b", h->b[layer], outputs));
    if (!back) return CZ_OK;
    CZ_TRY(cz_fit_matrix(wide, "dw", h->dw[layer], outputs, inputs));
    return cz_fit_vector(wide, "db", h->db[layer], outputs);
}

static cz_status head_fits(const cz_fit *to_z, const cz_head *h, bool back)
{
    cz_fit wide = cz_fit_wide(*to_z);
    cz_fit own = {"heads", "logits", h->logits, wide.dtype};
    CZ_TRY(cz_fit_self(&own, 2));
    int B = cz_rows(to_z->to), D = cz_cols(to_z->to), C = cz_cols(h->logits);
    CZ_TRY(layer_fits(&wide, h, 0, D, D, back));
    CZ_TRY(layer_fits(&wide, h, 1, D, D / 2, back));
    CZ_TRY(layer_fits(&wide, h, 2, D / 2, C, back));
    CZ_TRY(cz_fit_matrix(to_z, "h1", h->h1, B, D));
    CZ_TRY(cz_fit_matrix(to_z, "h2", h->h2, B, D / 2));
    CZ_TRY(cz_fit_matrix(&wide, "logits", h->logits, B, C));
    if (back) CZ_TRY(cz_fit_matrix(to_z, "dlogits", h->dlogits, B, C));
    CZ_TRY(cz_fit_dropout(to_z, h->drop[0], B, D));
    CZ_TRY(cz_fit_dropout(to_z, h->drop[1], B, D / 2));
    if (B && (C < 1 || !h->loss || !h->best || !h->code))
        return cz_fail(CZ_ERR_BUG, "cz_heads: a head of %d classes on %d cells lacks an array", C,
                       B);
    return CZ_OK;
}

/* Of the products. */
static double head_flops(int B, int D, const cz_head *h, bool back)
{
    double weights = (double)D * D + (D + (double)cz_cols(h->logits)) * (D / 2);
    return (back ? 6.0 : 2.0) * B * weights;
}

cz_status cz_heads(cz_exec *exec, cz_tensor dz, cz_tensor z, const cz_head *head, int heads)
{
    cz_fit to_z = {"heads", "z", z, exec->backend->dtype};
    CZ_TRY(cz_fit_self(&to_z, 2));
    if (dz.data) CZ_TRY(cz_fit_matrix(&to_z, "dz", dz, cz_rows(z), cz_cols(z)));
    if (heads < 0 || heads > CZ_MAX_HEADS || (heads && !head))
        return cz_fail(CZ_ERR_BUG, "cz_heads: %d heads of at most %d", heads, CZ_MAX_HEADS);
    double flops = 0;
    for (int h = 0; h < heads; h++) {
        CZ_TRY(head_fits(&to_z, &head[h], dz.data));
        flops += head_flops(cz_rows(z), cz_cols(z), &head[h], dz.data);
    }
    CZ_SPAN_FLOPS("heads", exec->gpu ? flops : 0); /* a CPU's products say their own */
    return exec->backend->heads(exec, dz, z, head, heads);
}
