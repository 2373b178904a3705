/* A post-norm transformer encoder layer. Vaswani et al. 2017, section 3.1. */
#include "workspace.h"

static cz_status self_attention_forward(cz_workspace *ws, const cell_block *b, int layer,
                                        cz_tensor x)
{
    const cz_model_spec *s = &ws->model->spec;
    int F = s->fusion_dim, N = b->cells * s->tokens;
    attention_cache *c = &ws->layer_cache[layer].attention;
    const attention *a = &ws->layer[layer].attention;
    cz_tensor qkv = cz_row_range(c->qkv, 0, N), mixed = cz_row_range(c->mixed, 0, N);
    cz_tensor sum = cz_row_range(c->sum, 0, N), weights = c->weights;
    weights.dim[0] = b->cells;

    CZ_TRY(cz_linear_forward(&ws->exec, qkv, x, a->in.w, a->in.b, CZ_LINEAR, NULL, b->cells));
    CZ_TRY(cz_attention_forward(
        &ws->exec, tokens3(ws, mixed, N), weights, tokens3(ws, cz_columns(qkv, 0, F), N),
        tokens3(ws, cz_columns(qkv, F, F), N), tokens3(ws, cz_columns(qkv, 2 * F, F), N), NULL,
        s->heads, dropout(ws, &c->drop_weights)));
    CZ_TRY(cz_linear_forward(&ws->exec, sum, mixed, a->out.w, a->out.b, CZ_LINEAR, NULL, b->cells));
    return cz_add_dropout_norm_forward(
        &ws->exec, cz_row_range(c->y, 0, N), cz_columns(c->mean, 0, N), cz_columns(c->rstd, 0, N),
        sum, x, a->norm.gain, a->norm.bias, dropout(ws, &c->drop_out), b->cells);
}

/* dx (N, F) set from dy, the gradient of the block's output. */
static cz_status self_attention_backward(cz_workspace *ws, const cell_block *b, int layer,
                                         cz_tensor dx, cz_tensor x, cz_tensor dy)
{
    const cz_model_spec *s = &ws->model->spec;
    int F = s->fusion_dim, N = b->cells * s->tokens;
    attention_cache *c = &ws->layer_cache[layer].attention;
    const attention *a = &ws->layer[layer].attention;
    cz_tensor qkv = cz_row_range(c->qkv, 0, N), dqkv = cz_row_range(ws->d.qkv, 0, N);
    cz_tensor branch = cz_row_range(ws->d.branch, 0, N), mixed = cz_row_range(ws->d.mixed, 0, N);
    cz_tensor weights = c->weights;
    weights.dim[0] = b->cells;

    CZ_TRY(cz_add_dropout_norm_backward(&ws->exec, branch, dx, a->norm.dgain, a->norm.dbias, dy,
                                        cz_row_range(c->sum, 0, N), cz_columns(c->mean, 0, N),
                                        cz_columns(c->rstd, 0, N), a->norm.gain,
                                        dropout(ws, &c->drop_out), b->cells));
    CZ_TRY(linear_backward(ws, mixed, branch, cz_row_range(c->mixed, 0, N), a->out, false, 0));
    CZ_TRY(cz_attention_backward(
        &ws->exec, tokens3(ws, cz_columns(dqkv, 0, F), N), tokens3(ws, cz_columns(dqkv, F, F), N),
        tokens3(ws, cz_columns(dqkv, 2 * F, F), N), tokens3(ws, mixed, N), weights,
        tokens3(ws, cz_columns(qkv, 0, F), N), tokens3(ws, cz_columns(qkv, F, F), N),
        tokens3(ws, cz_columns(qkv, 2 * F, F), N), NULL, s->heads, dropout(ws, &c->drop_weights)));
    CZ_TRY(linear_backward(ws, branch, dqkv, x, a->in, false, 0));
    return cz_add(&ws->exec, dx, branch);
}

cz_status encoder_forward(cz_workspace *ws, const cell_block *b, int layer, cz_tensor x)
{
    int N = b->cells * ws->model->spec.tokens;
    layer_cache *c = &ws->layer_cache[layer];
    const struct layer *w = &ws->layer[layer];
    CZ_TRY(self_attention_forward(ws, b, layer, x));
    cz_tensor middle = cz_row_range(c->attention.y, 0, N);
    cz_tensor hidden = cz_row_range(c->hidden, 0, N), sum = cz_row_range(c->sum, 0, N);
    CZ_TRY(cz_linear_forward(&ws->exec, hidden, middle, w->up.w, w->up.b, CZ_RELU,
                             dropout(ws, &c->drop_hidden), b->cells));
    CZ_TRY(
        cz_linear_forward(&ws->exec, sum, hidden, w->down.w, w->down.b, CZ_LINEAR, NULL, b->cells));
    return cz_add_dropout_norm_forward(
        &ws->exec, cz_row_range(c->y, 0, N), cz_columns(c->mean, 0, N), cz_columns(c->rstd, 0, N),
        sum, middle, w->norm.gain, w->norm.bias, dropout(ws, &c->drop_out), b->cells);
}

/* dy (N, F): the gradient of the layer's output comes in, that of its input x goes out. */
cz_status encoder_backward(cz_workspace *ws, const cell_block *b, int layer, cz_tensor x,
                           cz_tensor dy)
{
    const cz_model_spec *s = &ws->model->spec;
    int N = b->cells * s->tokens;
    layer_cache *c = &ws->layer_cache[layer];
    const struct layer *w = &ws->layer[layer];
    cz_tensor middle = cz_row_range(c->attention.y, 0, N), hidden = cz_row_range(c->hidden, 0, N);
    cz_tensor dmiddle = cz_row_range(ws->d.extra, 0, N);
    cz_tensor branch = cz_row_range(ws->d.branch, 0, N);
    cz_tensor dhidden = cz_columns(cz_row_range(ws->d.hidden, 0, N), 0, s->feedforward);

    CZ_TRY(cz_add_dropout_norm_backward(&ws->exec, branch, dmiddle, w->norm.dgain, w->norm.dbias,
                                        dy, cz_row_range(c->sum, 0, N), cz_columns(c->mean, 0, N),
                                        cz_columns(c->rstd, 0, N), w->norm.gain,
                                        dropout(ws, &c->drop_out), b->cells));
    double p = dropout(ws, &c->drop_hidden) ? s->dropout : 0;
    CZ_TRY(linear_backward(ws, dhidden, branch, hidden, w->down, true, p));
    CZ_TRY(linear_backward(ws, branch, dhidden, middle, w->up, false, 0));
    CZ_TRY(cz_add(&ws->exec, dmiddle, branch));
    return self_attention_backward(ws, b, layer, dy, x, dmiddle);
}
