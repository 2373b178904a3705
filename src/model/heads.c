/* Classification heads on the pooled latent, targets plain, adversaries behind a gradient
 * reversal layer. Ganin et al. 2016. */
#include "workspace.h"

#include "czhpc/profile.h"

static cz_status head_forward(cz_workspace *ws, const cell_block *b, int h)
{
    CZ_SPAN("heads forward");
    const cz_linear_layer *l = ws->head[h].layer;
    head_cache *c = &ws->head_cache[h];
    cz_tensor z = cz_row_range(ws->pool_cache.z, 0, b->cells);
    cz_tensor h1 = cz_row_range(c->h1, 0, b->cells), h2 = cz_row_range(c->h2, 0, b->cells);
    CZ_TRY(cz_linear_forward(&ws->exec, h1, z, l[0].w, l[0].b, CZ_RELU,
                             cz_dropping(ws->training, &c->drop[0]), b->cells));
    CZ_TRY(cz_linear_forward(&ws->exec, h2, h1, l[1].w, l[1].b, CZ_RELU,
                             cz_dropping(ws->training, &c->drop[1]), b->cells));
    return cz_linear_forward(&ws->exec, cz_row_range(c->logits, 0, b->cells), h2, l[2].w, l[2].b,
                             CZ_LINEAR, NULL, b->cells);
}

/* Adds to d.z. */
static cz_status head_backward(cz_workspace *ws, const cell_block *b, int h)
{
    CZ_SPAN("heads backward");
    const cz_linear_layer *l = ws->head[h].layer;
    const cz_model_spec *s = &ws->model->spec;
    head_cache *c = &ws->head_cache[h];
    cz_tensor z = cz_row_range(ws->pool_cache.z, 0, b->cells);
    cz_tensor h1 = cz_row_range(c->h1, 0, b->cells), h2 = cz_row_range(c->h2, 0, b->cells);
    cz_tensor dh1 = cz_row_range(ws->d.h1, 0, b->cells), dh2 = cz_row_range(ws->d.h2, 0, b->cells);
    cz_tensor dz = cz_row_range(ws->d.dz, 0, b->cells), total = cz_row_range(ws->d.z, 0, b->cells);
    double p = cz_dropping(ws->training, &c->drop[0]) ? s->dropout : 0;
    CZ_TRY(cz_linear_layer_backward(&ws->exec, dh2, cz_row_range(c->dlogits, 0, b->cells), h2, l[2],
                                    true, p));
    CZ_TRY(cz_linear_layer_backward(&ws->exec, dh1, dh2, h1, l[1], true, p));
    CZ_TRY(cz_linear_layer_backward(&ws->exec, dz, dh1, z, l[0], false, 0));
    return s->head[h].adversary ? cz_add_reversed(&ws->exec, total, dz)
                                : cz_add(&ws->exec, total, dz);
}

cz_status heads_pass(cz_workspace *ws, const cell_block *b, const cz_outcome *outcome)
{
    CZ_SPAN("heads");
    if (ws->training) CZ_TRY(cz_zero(&ws->exec, cz_row_range(ws->d.z, 0, b->cells)));
    for (int h = 0; h < ws->model->spec.head_count; h++) {
        cz_tensor logits = cz_row_range(ws->head_cache[h].logits, 0, b->cells);
        cz_tensor dlogits = cz_row_range(ws->head_cache[h].dlogits, 0, b->cells);
        CZ_TRY(head_forward(ws, b, h));
        if (outcome->logits[h].data)
            CZ_TRY(
                cz_copy(&ws->exec, cz_row_range(outcome->logits[h], b->begin, b->cells), logits));
        CZ_TRY(cz_cross_entropy(&ws->exec, ws->training ? dlogits : (cz_tensor){0},
                                outcome->loss[h] + b->begin, outcome->best[h] + b->begin, logits,
                                b->batch->code[h] + b->begin, h));
        if (ws->training) CZ_TRY(head_backward(ws, b, h));
    }
    return CZ_OK;
}
