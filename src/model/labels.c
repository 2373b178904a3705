/* What is computed once for all cells of a batch: label tokens with their keys and values, and
 * the queries of the latents. */
#include "workspace.h"

#include "czhpc/profile.h"

#include <stdlib.h>

/* A layer whose gradient is not formed block by block: it is set. */
static cz_linear_layer once(cz_linear_layer layer)
{
    layer.add = false;
    return layer;
}

static cz_status assign(int32_t *slot, int32_t *slot_label, int *slots, int32_t *slot_of,
                        const int32_t *label, int cells, int labels, int most)
{
    for (int b = 0; b < cells; b++) {
        if (label[b] < 0 || label[b] >= labels)
            return cz_fail(CZ_ERR_BUG, "cell %d has label %d of %d", b, label[b], labels);
        if (slot_of[label[b]] < 0) {
            if (*slots == most) return cz_fail(CZ_ERR_BUG, "a batch has more than %d labels", most);
            slot_of[label[b]] = *slots;
            slot_label[(*slots)++] = label[b];
        }
        slot[b] = slot_of[label[b]];
    }
    return CZ_OK;
}

cz_status cz_assign_slots(int32_t *slot, int32_t *slot_label, int *slots, int32_t *slot_of,
                          const int32_t *label, int cells, int labels, int most)
{
    *slots = 0;
    cz_status status = assign(slot, slot_label, slots, slot_of, label, cells, labels, most);
    for (int i = 0; i < *slots; i++) slot_of[slot_label[i]] = -1;
    return status;
}

static cz_status make_room(cz_workspace *ws, int cells)
{
    if (cells <= ws->found_room) return CZ_OK;
    int32_t *more = realloc(ws->found_slot, (size_t)cells * sizeof *more);
    if (!more) return cz_fail(CZ_ERR_MEMORY, "no memory for the labels of a batch");
    ws->found_slot = more;
    ws->found_room = cells;
    return CZ_OK;
}

cz_status labels_find(cz_workspace *ws, const cz_batch *batch)
{
    ws->slot = batch->slot;
    ws->slot_label = batch->slot_label;
    ws->used = batch->slots;
    if (batch->slot) return CZ_OK;
    CZ_TRY(make_room(ws, batch->cells)); /* once for the largest batch */
    ws->slot = ws->found_slot;
    ws->slot_label = ws->found_label;
    return cz_assign_slots(ws->found_slot, ws->found_label, &ws->used, ws->slot_of, batch->label,
                           batch->cells, cz_rows(ws->text_vectors), ws->slots);
}

/* (S, text_width) rows as (S T, text_width / T) tokens: the same memory. */
static cz_tensor label_slices(const cz_workspace *ws)
{
    int T = ws->model->spec.tokens;
    return cz_matrix(ws->label_vectors.data, ws->dtype, ws->used * T,
                     ws->model->spec.text_width / T);
}

cz_status labels_gather(cz_workspace *ws)
{
    CZ_SPAN("labels forward");
    CZ_TRY(cz_gather_rows(&ws->exec, cz_row_range(ws->label_vectors, 0, ws->used), ws->text_vectors,
                          ws->slot_label));
    return ws->training ? cz_zero(&ws->exec, ws->dlabel_kv) : CZ_OK;
}

cz_status labels_forward(cz_workspace *ws)
{
    CZ_SPAN("labels forward");
    int M = ws->used * ws->model->spec.tokens;
    cz_tensor tokens = cz_row_range(ws->label_tokens, 0, M);
    const cz_linear_layer kv = ws->cross_rest;
    CZ_TRY(cz_linear_forward(&ws->exec, tokens, label_slices(ws), ws->text.w, ws->text.b, CZ_LINEAR,
                             NULL, ws->used));
    if (ws->text_positions.data)
        CZ_TRY(cz_add_positions(&ws->exec, tokens3(ws, tokens), ws->text_positions));
    return cz_linear_forward(&ws->exec, cz_row_range(ws->label_kv, 0, M), tokens, kv.w, kv.b,
                             CZ_LINEAR, NULL, ws->used);
}

/* The forward value, which has served, takes the gradient. */
cz_status labels_collect(cz_workspace *ws)
{
    CZ_SPAN("labels backward");
    int M = ws->used * ws->model->spec.tokens;
    return cz_copy(&ws->exec, cz_row_range(ws->label_kv, 0, M), cz_row_range(ws->dlabel_kv, 0, M));
}

cz_status labels_backward(cz_workspace *ws)
{
    CZ_SPAN("labels backward");
    int M = ws->used * ws->model->spec.tokens;
    cz_tensor dtokens = cz_row_range(ws->dlabel_tokens, 0, M);
    cz_tensor dkv = cz_row_range(ws->label_kv, 0, M);
    CZ_TRY(cz_linear_layer_backward(&ws->exec, dtokens, dkv, cz_row_range(ws->label_tokens, 0, M),
                                    once(ws->cross_rest), false, 0));
    if (ws->dtext_positions.data)
        CZ_TRY(cz_add_positions_backward(&ws->exec, ws->dtext_positions, tokens3(ws, dtokens)));
    return cz_linear_layer_backward(&ws->exec, (cz_tensor){0}, dtokens, label_slices(ws),
                                    once(ws->text), false, 0);
}

/* The latents as activations are stored: what is there already, or a copy; and room for a sum. */
cz_status queries_gather(cz_workspace *ws)
{
    CZ_SPAN("queries forward");
    int L = cz_rows(ws->latents), D = cz_cols(ws->latents);
    bool there = ws->latents.dtype == ws->dtype;
    void *data = there ? ws->latents.data : (void *)ws->latents.packed;
    ws->latent_rows = cz_matrix(data ? data : ws->latent_copy, ws->dtype, L, D);
    if (!data) CZ_TRY(cz_copy(&ws->exec, ws->latent_rows, ws->latents));
    return ws->training ? cz_zero(&ws->exec, ws->dquery) : CZ_OK;
}

cz_status queries_forward(cz_workspace *ws)
{
    CZ_SPAN("queries forward");
    const cz_linear_layer q = ws->pool_query;
    return cz_linear_forward(&ws->exec, ws->query, ws->latent_rows, q.w, q.b, CZ_LINEAR, NULL, 1);
}

/* As labels_collect(). */
cz_status queries_collect(cz_workspace *ws)
{
    CZ_SPAN("queries backward");
    return cz_copy(&ws->exec, ws->query, ws->dquery);
}

cz_status queries_backward(cz_workspace *ws)
{
    CZ_SPAN("queries backward");
    return cz_linear_layer_backward_add(&ws->exec, ws->dlatents, ws->query, ws->latent_rows,
                                        once(ws->pool_query));
}
