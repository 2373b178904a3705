/* Classification heads by the other operations, one head after the other. Adversaries stand behind
 * a gradient reversal layer. Ganin et al. 2016. */
#include "czhpc/backend.h"

#include "czhpc/profile.h"

static cz_status forward(cz_exec *exec, cz_tensor z, const cz_head *h)
{
    CZ_SPAN("heads forward");
    int B = cz_rows(z);
    CZ_TRY(cz_linear_forward(exec, h->h1, z, h->w[0], h->b[0], CZ_RELU, h->drop[0], B));
    CZ_TRY(cz_linear_forward(exec, h->h2, h->h1, h->w[1], h->b[1], CZ_RELU, h->drop[1], B));
    return cz_linear_forward(exec, h->logits, h->h2, h->w[2], h->b[2], CZ_LINEAR, NULL, B);
}

/* A matrix in scratch; no two are at one place, empty ones neither. */
static cz_status take(cz_exec *exec, cz_tensor *made, int rows, int cols)
{
    cz_dtype dtype = exec->backend->dtype;
    size_t bytes = (size_t)rows * (size_t)cols * cz_dtype_size(dtype);
    *made = cz_matrix(cz_arena_take(exec->scratch, bytes + !bytes), dtype, rows, cols);
    return made->data ? CZ_OK : CZ_ERR_MEMORY;
}

static cz_status layer_back(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor x,
                            const cz_head *h, int layer)
{
    const cz_dropout *drop = layer ? h->drop[layer - 1] : NULL;
    CZ_TRY(cz_linear_backward_weight(exec, h->dw[layer], h->db[layer], dy, x, h->add));
    return cz_linear_backward_input(exec, dx, dy, h->w[layer], layer ? x : (cz_tensor){0},
                                    drop ? drop->p : 0, false);
}

/* Adds to `total`. */
static cz_status backward(cz_exec *exec, cz_tensor total, cz_tensor z, const cz_head *h)
{
    CZ_SPAN("heads backward");
    cz_tensor dz, dh1, dh2;
    CZ_TRY(take(exec, &dz, cz_rows(z), cz_cols(z)));
    CZ_TRY(take(exec, &dh1, cz_rows(z), cz_cols(h->h1)));
    CZ_TRY(take(exec, &dh2, cz_rows(z), cz_cols(h->h2)));
    CZ_TRY(layer_back(exec, dh2, h->dlogits, h->h2, h, 2));
    CZ_TRY(layer_back(exec, dh1, dh2, h->h1, h, 1));
    CZ_TRY(layer_back(exec, dz, dh1, z, h, 0));
    return h->adversary ? cz_add_reversed(exec, total, dz) : cz_add(exec, total, dz);
}

static cz_status whole_head(cz_exec *exec, cz_tensor dz, cz_tensor z, const cz_head *h, int place)
{
    CZ_TRY(forward(exec, z, h));
    CZ_TRY(cz_cross_entropy(exec, dz.data ? h->dlogits : (cz_tensor){0}, h->loss, h->best,
                            h->logits, h->code, place));
    return dz.data ? backward(exec, dz, z, h) : CZ_OK;
}

cz_status cz_heads_composed(cz_exec *exec, cz_tensor dz, cz_tensor z, const cz_head *head,
                            int heads)
{
    size_t kept = exec->scratch->used;
    cz_status status = dz.data ? cz_zero(exec, dz) : CZ_OK;
    for (int h = 0; h < heads && !status; h++) {
        status = whole_head(exec, dz, z, &head[h], h);
        exec->scratch->used = kept;
    }
    return status;
}
