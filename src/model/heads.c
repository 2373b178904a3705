/* Classification heads on the pooled latent, targets plain, adversaries behind a gradient
 * reversal layer. */
#include "workspace.h"

static cz_head head_at(const cz_workspace *ws, const cell_block *b, const cz_outcome *outcome,
                       int h)
{
    const cz_linear_layer *l = ws->head[h].layer;
    const head_cache *c = &ws->head_cache[h];
    return (cz_head){
        .w = {l[0].w, l[1].w, l[2].w},
        .b = {l[0].b, l[1].b, l[2].b},
        .dw = {l[0].dw, l[1].dw, l[2].dw},
        .db = {l[0].db, l[1].db, l[2].db},
        .add = l[0].add,
        .adversary = ws->model->spec.head[h].adversary,
        .h1 = cz_row_range(c->h1, 0, b->cells),
        .h2 = cz_row_range(c->h2, 0, b->cells),
        .logits = cz_row_range(c->logits, 0, b->cells),
        .dlogits = cz_row_range(c->dlogits, 0, b->cells),
        .drop = {cz_dropping(ws->training, &c->drop[0]), cz_dropping(ws->training, &c->drop[1])},
        .loss = outcome->loss[h] + b->begin,
        .best = outcome->best[h] + b->begin,
        .code = b->batch->code[h] + b->begin};
}

cz_status heads_pass(cz_workspace *ws, const cell_block *b, const cz_outcome *outcome)
{
    cz_head head[CZ_MAX_HEADS] = {0};
    int heads = ws->model->spec.head_count;
    cz_tensor z = cz_row_range(ws->pool_cache.z, 0, b->cells), dz = {0};
    if (ws->training) dz = cz_row_range(ws->d.z, 0, b->cells);
    for (int h = 0; h < heads; h++) head[h] = head_at(ws, b, outcome, h);
    CZ_TRY(cz_heads(&ws->exec, dz, z, head, heads));
    for (int h = 0; h < heads; h++)
        if (outcome->logits[h].data)
            CZ_TRY(cz_copy(&ws->exec, cz_row_range(outcome->logits[h], b->begin, b->cells),
                           head[h].logits));
    return CZ_OK;
}
