/* What is computed once for all cells of a batch: label tokens with their keys and values, and
 * the queries of the latents. */
#include "workspace.h"

#include "czhpc/profile.h"

/* A layer whose gradient is not formed block by block: it is set. */
static cz_linear_layer once(cz_linear_layer layer)
{
    layer.add = false;
    return layer;
}

/* Slots in order of first appearance. */
cz_status labels_assign(cz_workspace *ws, const cz_batch *batch)
{
    for (int i = 0; i < ws->used; i++) ws->slot_of[ws->slot_label[i]] = -1;
    ws->used = 0;
    for (int b = 0; b < batch->cells; b++) {
        int label = batch->label[b];
        if (label < 0 || label >= cz_rows(ws->text_vectors))
            return cz_fail(CZ_ERR_BUG, "cell %d has label %d of %d", b, label,
                           cz_rows(ws->text_vectors));
        if (ws->slot_of[label] >= 0) continue;
        if (ws->used == ws->slots)
            return cz_fail(CZ_ERR_BUG, "a batch has more than %d labels", ws->slots);
        ws->slot_of[label] = ws->used;
        ws->slot_label[ws->used++] = label;
    }
    return CZ_OK;
}

/* (S, text_width) rows as (S T, text_width / T) tokens: the same memory. */
static cz_tensor label_slices(const cz_workspace *ws)
{
    int T = ws->model->spec.tokens;
    return cz_matrix(ws->label_vectors.data, ws->dtype, ws->used * T,
                     ws->model->spec.text_width / T);
}

cz_status labels_forward(cz_workspace *ws)
{
    CZ_SPAN("labels forward");
    int M = ws->used * ws->model->spec.tokens;
    cz_tensor tokens = cz_row_range(ws->label_tokens, 0, M);
    const cz_linear_layer kv = ws->cross_rest;
    CZ_TRY(cz_gather_rows(&ws->exec, cz_row_range(ws->label_vectors, 0, ws->used), ws->text_vectors,
                          ws->slot_label));
    CZ_TRY(cz_linear_forward(&ws->exec, tokens, label_slices(ws), ws->text.w, ws->text.b, CZ_LINEAR,
                             NULL, ws->used));
    if (ws->text_positions.data)
        CZ_TRY(cz_add_positions(&ws->exec, tokens3(ws, tokens), ws->text_positions));
    if (ws->training) CZ_TRY(cz_zero(&ws->exec, ws->dlabel_kv));
    return cz_linear_forward(&ws->exec, cz_row_range(ws->label_kv, 0, M), tokens, kv.w, kv.b,
                             CZ_LINEAR, NULL, ws->used);
}

cz_status labels_backward(cz_workspace *ws)
{
    CZ_SPAN("labels backward");
    int M = ws->used * ws->model->spec.tokens;
    cz_tensor dtokens = cz_row_range(ws->dlabel_tokens, 0, M);
    cz_tensor dkv = cz_row_range(ws->label_kv, 0, M); /* whose forward value has served */
    CZ_TRY(cz_copy(&ws->exec, dkv, cz_row_range(ws->dlabel_kv, 0, M)));
    CZ_TRY(cz_linear_layer_backward(&ws->exec, dtokens, dkv, cz_row_range(ws->label_tokens, 0, M),
                                    once(ws->cross_rest), false, 0));
    if (ws->dtext_positions.data)
        CZ_TRY(cz_add_positions_backward(&ws->exec, ws->dtext_positions, tokens3(ws, dtokens)));
    return cz_linear_layer_backward(&ws->exec, (cz_tensor){0}, dtokens, label_slices(ws),
                                    once(ws->text), false, 0);
}

cz_status queries_forward(cz_workspace *ws)
{
    CZ_SPAN("queries forward");
    const cz_linear_layer q = ws->pool_query;
    if (ws->training) CZ_TRY(cz_zero(&ws->exec, ws->dquery));
    CZ_TRY(cz_copy(&ws->exec, ws->latent_rows, ws->latents));
    return cz_linear_forward(&ws->exec, ws->query, ws->latent_rows, q.w, q.b, CZ_LINEAR, NULL, 1);
}

/* Forward values take the gradients: first the queries', then, once dW has them, the latents'. */
cz_status queries_backward(cz_workspace *ws)
{
    CZ_SPAN("queries backward");
    CZ_TRY(cz_copy(&ws->exec, ws->query, ws->dquery));
    CZ_TRY(cz_linear_layer_backward(&ws->exec, ws->latent_rows, ws->query, ws->latent_rows,
                                    once(ws->pool_query), false, 0));
    return cz_add(&ws->exec, ws->dlatents, ws->latent_rows);
}
