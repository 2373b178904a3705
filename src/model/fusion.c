/* Expression tokens, their cross-attention on label tokens, and the feed-forward network. */
#include "workspace.h"

#include "czhpc/profile.h"

static cz_tensor feature_slices(const cz_workspace *ws, int rows)
{
    return cz_matrix(ws->features.data, ws->dtype, rows,
                     ws->model->spec.width / ws->model->spec.tokens);
}

cz_status tokens_gather(cz_workspace *ws, const cell_block *b)
{
    CZ_SPAN("tokens forward");
    return cz_gather_rows(&ws->exec, cz_row_range(ws->features, 0, b->cells), b->batch->x,
                          b->batch->row + b->begin);
}

cz_status tokens_forward(cz_workspace *ws, const cell_block *b)
{
    CZ_SPAN("tokens forward");
    int N = b->cells * ws->model->spec.tokens;
    cz_tensor tokens = cz_row_range(ws->tokens, 0, N);
    CZ_TRY(cz_linear_forward(&ws->exec, tokens, feature_slices(ws, N), ws->omics.w, ws->omics.b,
                             CZ_LINEAR, NULL, b->cells));
    if (!ws->omics_positions.data) return CZ_OK;
    return cz_add_positions(&ws->exec, tokens3(ws, tokens), ws->omics_positions);
}

cz_status tokens_backward(cz_workspace *ws, const cell_block *b)
{
    CZ_SPAN("tokens backward");
    int N = b->cells * ws->model->spec.tokens;
    cz_tensor dy = part_gradient(ws, b, TOKENS_PART);
    if (ws->domics_positions.data)
        CZ_TRY(cz_add_positions_backward(&ws->exec, ws->domics_positions, tokens3(ws, dy)));
    return cz_linear_layer_backward(&ws->exec, (cz_tensor){0}, dy, feature_slices(ws, N), ws->omics,
                                    false, 0);
}

static cz_status cross_forward(cz_workspace *ws, const cell_block *b)
{
    CZ_SPAN("cross-attention forward");
    const cz_model_spec *s = &ws->model->spec;
    int F = s->fusion_dim, N = b->cells * s->tokens, M = ws->used * s->tokens;
    cz_attention_cache *c = &ws->cross_cache;
    const cz_linear_layer q = ws->cross_query;
    cz_tensor tokens = cz_row_range(ws->tokens, 0, N), query = cz_row_range(c->qkv, 0, N);
    cz_tensor mixed = cz_row_range(c->mixed, 0, N), sum = cz_row_range(c->sum, 0, N);
    cz_tensor weights = c->weights, kv = cz_row_range(ws->label_kv, 0, M);
    weights.dim[0] = b->cells;

    CZ_TRY(cz_linear_forward(&ws->exec, query, tokens, q.w, q.b, CZ_LINEAR, NULL, b->cells));
    CZ_TRY(cz_attention_forward(&ws->exec, tokens3(ws, mixed), weights, tokens3(ws, query),
                                tokens3(ws, cz_columns(kv, 0, F)),
                                tokens3(ws, cz_columns(kv, F, F)), ws->slot + b->begin, NULL,
                                s->heads, cz_dropping(ws->training, &c->drop_weights)));
    CZ_TRY(cz_linear_forward(&ws->exec, sum, mixed, ws->cross.out.w, ws->cross.out.b, CZ_LINEAR,
                             NULL, b->cells));
    return cz_add_dropout_norm_forward(
        &ws->exec, cz_row_range(c->y, 0, N), cz_columns(c->mean, 0, N), cz_columns(c->rstd, 0, N),
        sum, tokens, ws->cross.norm.gain, ws->cross.norm.bias, ws->cross.norm.eps,
        cz_dropping(ws->training, &c->drop_out), b->cells);
}

/* dtokens (N, F) set. */
static cz_status cross_backward(cz_workspace *ws, const cell_block *b, cz_tensor dtokens,
                                cz_tensor dy)
{
    CZ_SPAN("cross-attention backward");
    const cz_model_spec *s = &ws->model->spec;
    int F = s->fusion_dim, N = b->cells * s->tokens, M = ws->used * s->tokens;
    cz_attention_cache *c = &ws->cross_cache;
    const cz_encoder_scratch *d = &ws->d.part[FUSION_PART].scratch;
    cz_tensor branch = cz_row_range(d->branch, 0, N), mixed = cz_row_range(d->mixed, 0, N);
    cz_tensor dquery = cz_columns(cz_row_range(d->qkv, 0, N), 0, F);
    cz_tensor query = cz_row_range(c->qkv, 0, N), weights = c->weights;
    cz_tensor kv = cz_row_range(ws->label_kv, 0, M), dkv = cz_row_range(ws->dlabel_kv, 0, M);
    weights.dim[0] = b->cells;

    CZ_TRY(cz_add_dropout_norm_backward(
        &ws->exec, branch, dtokens, ws->cross.norm.dgain, ws->cross.norm.dbias, dy,
        cz_row_range(c->sum, 0, N), cz_columns(c->mean, 0, N), cz_columns(c->rstd, 0, N),
        ws->cross.norm.gain, cz_dropping(ws->training, &c->drop_out), b->cells));
    CZ_TRY(cz_linear_layer_backward(&ws->exec, mixed, branch, cz_row_range(c->mixed, 0, N),
                                    ws->cross.out, false, 0));
    CZ_TRY(cz_attention_backward(&ws->exec, tokens3(ws, dquery), tokens3(ws, cz_columns(dkv, 0, F)),
                                 tokens3(ws, cz_columns(dkv, F, F)), tokens3(ws, mixed), weights,
                                 tokens3(ws, query), tokens3(ws, cz_columns(kv, 0, F)),
                                 tokens3(ws, cz_columns(kv, F, F)), ws->slot + b->begin, s->heads,
                                 cz_dropping(ws->training, &c->drop_weights)));
    return cz_linear_layer_backward_add(&ws->exec, dtokens, dquery, cz_row_range(ws->tokens, 0, N),
                                        ws->cross_query);
}

cz_status fusion_forward(cz_workspace *ws, const cell_block *b)
{
    int N = b->cells * ws->model->spec.tokens;
    cz_tensor hidden = cz_row_range(ws->ffn_hidden, 0, N);
    CZ_TRY(cross_forward(ws, b));
    CZ_SPAN("feed-forward forward");
    CZ_TRY(cz_linear_forward(&ws->exec, hidden, cz_row_range(ws->cross_cache.y, 0, N), ws->ffn[0].w,
                             ws->ffn[0].b, CZ_RELU, NULL, b->cells));
    return cz_linear_forward(&ws->exec, cz_row_range(ws->fused, 0, N), hidden, ws->ffn[1].w,
                             ws->ffn[1].b, CZ_LINEAR, NULL, b->cells);
}

/* From the gradient of `fused` to that of `tokens`. */
cz_status fusion_backward(cz_workspace *ws, const cell_block *b)
{
    int F = ws->model->spec.fusion_dim, N = b->cells * ws->model->spec.tokens;
    const cz_encoder_scratch *d = &ws->d.part[FUSION_PART].scratch;
    cz_tensor dhidden = cz_columns(cz_row_range(d->hidden, 0, N), 0, F);
    cz_tensor dcross = cz_row_range(d->extra, 0, N), dy = part_gradient(ws, b, FUSION_PART);
    {
        CZ_SPAN("feed-forward backward");
        CZ_TRY(cz_linear_layer_backward(&ws->exec, dhidden, dy, cz_row_range(ws->ffn_hidden, 0, N),
                                        ws->ffn[1], true, 0));
        CZ_TRY(cz_linear_layer_backward(&ws->exec, dcross, dhidden,
                                        cz_row_range(ws->cross_cache.y, 0, N), ws->ffn[0], false,
                                        0));
    }
    return cross_backward(ws, b, part_gradient(ws, b, TOKENS_PART), dcross);
}
