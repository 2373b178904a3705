/* Views of the flat arrays, layer by layer, and of the dropout sites. */
#include "workspace.h"

static cz_tensor view(const cz_workspace *ws, int index, const void *flat)
{
    if (!flat || index < 0) return (cz_tensor){0};
    /* Weights are only read: the views of a flat array share one type with its gradient. */
    return cz_params_view(&ws->model->params, index, (void *)flat, ws->dtype);
}

static linear bind_linear(const cz_workspace *ws, linear_ids ids, const void *w, void *g)
{
    return (linear){view(ws, ids.w, w), view(ws, ids.b, w), view(ws, ids.w, g), view(ws, ids.b, g)};
}

static norm bind_norm(const cz_workspace *ws, norm_ids ids, const void *w, void *g)
{
    return (norm){view(ws, ids.gain, w), view(ws, ids.bias, w), view(ws, ids.gain, g),
                  view(ws, ids.bias, g)};
}

static attention bind_attention(const cz_workspace *ws, attention_ids ids, const void *w, void *g)
{
    return (attention){bind_linear(ws, ids.in, w, g), bind_linear(ws, ids.out, w, g),
                       bind_norm(ws, ids.norm, w, g)};
}

void bind_weights(cz_workspace *ws, const void *w, void *g)
{
    const cz_model *m = ws->model;
    const cz_model_spec *s = &m->spec;
    ws->training = g != NULL;
    ws->omics = bind_linear(ws, m->omics, w, g);
    ws->omics_positions = view(ws, m->omics_positions, w);
    ws->domics_positions = view(ws, m->omics_positions, g);
    ws->text_positions = view(ws, m->text_positions, w);
    ws->dtext_positions = view(ws, m->text_positions, g);
    if (s->text) {
        ws->text = bind_linear(ws, m->text, w, g);
        ws->cross = bind_attention(ws, m->cross, w, g);
        for (int i = 0; i < 2; i++) ws->ffn[i] = bind_linear(ws, m->ffn[i], w, g);
        for (int l = 0; l < s->layers; l++) {
            const layer_ids *ids = &m->layer[l];
            ws->layer[l] = (struct layer){
                bind_attention(ws, ids->attention, w, g), bind_linear(ws, ids->up, w, g),
                bind_linear(ws, ids->down, w, g), bind_norm(ws, ids->norm, w, g)};
        }
    }
    ws->latents = view(ws, m->latents, w);
    ws->dlatents = view(ws, m->latents, g);
    ws->input = bind_linear(ws, m->input, w, g);
    ws->pool = bind_attention(ws, m->pool, w, g);
    for (int h = 0; h < s->head_count; h++)
        for (int i = 0; i < 3; i++)
            ws->head[h].layer[i] = bind_linear(ws, m->head[h].layer[i], w, g);
}

void bind_masks(cz_workspace *ws, const uint32_t *cell)
{
    const cz_model_spec *s = &ws->model->spec;
    ws->cross_cache.drop_weights.cell = ws->cross_cache.drop_out.cell = cell;
    for (int l = 0; l < s->layers; l++) {
        layer_cache *c = &ws->layer_cache[l];
        c->attention.drop_weights.cell = c->attention.drop_out.cell = cell;
        c->drop_hidden.cell = c->drop_out.cell = cell;
    }
    ws->pool_cache.drop_weights.cell = ws->pool_cache.drop_out.cell = cell;
    for (int h = 0; h < s->head_count; h++)
        ws->head_cache[h].drop[0].cell = ws->head_cache[h].drop[1].cell = cell;
}

const cz_dropout *dropout(const cz_workspace *ws, const cz_dropout *site)
{
    return ws->training && cz_dropout_threshold(site->p) > 0 ? site : NULL;
}

cz_tensor tokens3(const cz_workspace *ws, cz_tensor t, int rows)
{
    int T = ws->model->spec.tokens;
    return (cz_tensor){t.data, t.dtype, 3, {rows / T, T, cz_cols(t), 1}, t.ld};
}

linear linear_part(linear l, int begin, int count)
{
    l.w = cz_row_range(l.w, begin, count);
    l.b = cz_columns(l.b, begin, count);
    if (l.dw.data) {
        l.dw = cz_row_range(l.dw, begin, count);
        l.db = cz_columns(l.db, begin, count);
    }
    return l;
}

cz_status linear_backward(cz_workspace *ws, cz_tensor dx, cz_tensor dy, cz_tensor x, linear l,
                          bool gated, double p)
{
    CZ_TRY(cz_linear_backward_weight(&ws->exec, l.dw, l.db, dy, x));
    if (!dx.data) return CZ_OK;
    return cz_linear_backward_input(&ws->exec, dx, dy, l.w, gated ? x : (cz_tensor){0}, p);
}
