/* Views of the flat arrays, layer by layer, and of the dropout sites. */
#include "workspace.h"

static cz_tensor view(const cz_workspace *ws, int index, const void *flat)
{
    if (!flat || index < 0) return (cz_tensor){0};
    /* Weights are only read: the views of a flat array share one type with its gradient. */
    return cz_params_view(&ws->model->params, index, (void *)flat, cz_dtype_wide(ws->dtype));
}

/* On a GPU, the same place in the copy of all weights. */
static const void *copy_of(const cz_workspace *ws, cz_tensor t, cz_weights w)
{
    size_t at = (size_t)((const char *)t.data - (const char *)w.flat) / cz_dtype_size(t.dtype);
    return w.packed ? (const char *)w.packed + at * cz_dtype_size(ws->dtype) : NULL;
}

static cz_linear_layer bind_linear(const cz_workspace *ws, linear_ids ids, cz_weights w, void *g)
{
    if (ids.w < 0) return (cz_linear_layer){0};
    cz_linear_layer all = {view(ws, ids.w, w.flat), view(ws, ids.b, w.flat), view(ws, ids.w, g),
                           view(ws, ids.b, g), ws->added};
    cz_linear_layer layer = cz_linear_part(all, ids.row, ids.rows);
    if (ws->exec.gpu) {
        layer.w.packed = copy_of(ws, layer.w, w);
        layer.b.packed = copy_of(ws, layer.b, w);
    } else if (w.packed && ids.matrix >= 0) {
        layer.w.packed = (const char *)w.packed + ws->packed_at[ids.matrix];
    }
    return layer;
}

static cz_norm_layer bind_norm(const cz_workspace *ws, norm_ids ids, const void *w, void *g)
{
    return (cz_norm_layer){view(ws, ids.gain, w), view(ws, ids.bias, w), view(ws, ids.gain, g),
                           view(ws, ids.bias, g), CZ_NORM_EPS};
}

static cz_attention_layer bind_attention(const cz_workspace *ws, attention_ids ids, cz_weights w,
                                         void *g)
{
    return (cz_attention_layer){.heads = ws->model->spec.heads,
                                .in = {bind_linear(ws, ids.in, w, g)},
                                .out = bind_linear(ws, ids.out, w, g),
                                .norm = bind_norm(ws, ids.norm, w.flat, g)};
}

void bind_weights(cz_workspace *ws, cz_weights w, void *g, bool added)
{
    const cz_model *m = ws->model;
    const cz_model_spec *s = &m->spec;
    ws->training = g != NULL;
    ws->added = added;
    ws->omics = bind_linear(ws, m->omics, w, g);
    ws->omics_positions = view(ws, m->omics_positions, w.flat);
    ws->domics_positions = view(ws, m->omics_positions, g);
    ws->text_positions = view(ws, m->text_positions, w.flat);
    ws->dtext_positions = view(ws, m->text_positions, g);
    if (s->text) {
        ws->text = bind_linear(ws, m->text, w, g);
        ws->cross = bind_attention(ws, m->cross, w, g);
        ws->cross_query = bind_linear(ws, m->cross.query, w, g);
        ws->cross_rest = bind_linear(ws, m->cross.rest, w, g);
        for (int i = 0; i < 2; i++) ws->ffn[i] = bind_linear(ws, m->ffn[i], w, g);
        for (int l = 0; l < s->layers; l++) {
            const layer_ids *ids = &m->layer[l];
            ws->layer[l] = (cz_encoder_layer){.attention = bind_attention(ws, ids->attention, w, g),
                                              .up = bind_linear(ws, ids->up, w, g),
                                              .down = bind_linear(ws, ids->down, w, g),
                                              .activation = CZ_RELU,
                                              .norm = bind_norm(ws, ids->norm, w.flat, g)};
        }
    }
    ws->latents = view(ws, m->latents, w.flat);
    if (ws->exec.gpu) ws->latents.packed = copy_of(ws, ws->latents, w);
    ws->dlatents = view(ws, m->latents, g);
    ws->input = bind_linear(ws, m->input, w, g);
    ws->pool = bind_attention(ws, m->pool, w, g);
    ws->pool_query = bind_linear(ws, m->pool.query, w, g);
    ws->pool_rest = bind_linear(ws, m->pool.rest, w, g);
    for (int h = 0; h < s->head_count; h++)
        for (int i = 0; i < 3; i++)
            ws->head[h].layer[i] = bind_linear(ws, m->head[h].layer[i], w, g);
}

void bind_masks(cz_workspace *ws, const uint32_t *cell)
{
    const cz_model_spec *s = &ws->model->spec;
    ws->cross_cache.drop_weights.cell = ws->cross_cache.drop_out.cell = cell;
    for (int l = 0; l < s->layers; l++) {
        cz_encoder_cache *c = &ws->layer_cache[l];
        c->attention.drop_weights.cell = c->attention.drop_out.cell = cell;
        c->drop_hidden.cell = c->drop_out.cell = cell;
    }
    ws->pool_cache.drop_weights.cell = ws->pool_cache.drop_out.cell = cell;
    for (int h = 0; h < s->head_count; h++)
        ws->head_cache[h].drop[0].cell = ws->head_cache[h].drop[1].cell = cell;
}

cz_tensor tokens3(const cz_workspace *ws, cz_tensor t)
{
    return cz_tokens(t, ws->model->spec.tokens);
}
