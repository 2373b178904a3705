/* A post-norm transformer encoder layer, forward and backward. */
#include "czhpc/layers.h"
#include "czhpc/profile.h"

/* The rows of the tokens whose output is wanted, of all rows t (cells tokens, C): a view. */
static cz_tensor wanted_rows(cz_tensor t, const cz_sequences *s)
{
    t = cz_row_range(t, 0, s->cells * s->tokens);
    if (!s->first_only) return t;
    t.dim[0] = s->cells;
    t.ld *= s->tokens;
    return t;
}

static cz_status project(cz_exec *exec, const cz_attention_layer *a, cz_tensor qkv, cz_tensor x)
{
    int parts = a->apart ? 3 : 1, width = cz_cols(qkv) / parts;
    for (int i = 0; i < parts; i++)
        CZ_TRY(cz_linear_forward(exec, cz_columns(qkv, i * width, width), x, a->in[i].w, a->in[i].b,
                                 CZ_LINEAR, NULL, 0));
    return CZ_OK;
}

static cz_status self_attention_forward(cz_exec *exec, const cz_attention_layer *a,
                                        const cz_attention_cache *c, const cz_sequences *s,
                                        cz_tensor x)
{
    CZ_SPAN("self-attention forward");
    int F = cz_cols(x), T = s->tokens, Tq = s->first_only ? 1 : T;
    cz_tensor qkv = cz_row_range(c->qkv, 0, s->cells * T), query = wanted_rows(c->qkv, s);
    cz_tensor mixed = cz_row_range(c->mixed, 0, s->cells * Tq);
    cz_tensor sum = cz_row_range(c->sum, 0, s->cells * Tq);
    cz_tensor weights = cz_tensor4(c->weights.data, x.dtype, s->cells, a->heads, Tq, T);

    CZ_TRY(project(exec, a, qkv, x));
    CZ_TRY(cz_attention_forward(
        exec, cz_tokens(mixed, Tq), weights, cz_tokens(cz_columns(query, 0, F), Tq),
        cz_tokens(cz_columns(qkv, F, F), T), cz_tokens(cz_columns(qkv, 2 * F, F), T), NULL,
        s->length, a->heads, cz_dropping(s->training, &c->drop_weights)));
    CZ_TRY(cz_linear_forward(exec, sum, mixed, a->out.w, a->out.b, CZ_LINEAR, NULL, s->cells));
    return cz_add_dropout_norm_forward(
        exec, cz_row_range(c->y, 0, s->cells * Tq), cz_columns(c->mean, 0, s->cells * Tq),
        cz_columns(c->rstd, 0, s->cells * Tq), sum, wanted_rows(x, s), a->norm.gain, a->norm.bias,
        a->norm.eps, cz_dropping(s->training, &c->drop_out), s->cells);
}

/* dx (N, F) set from dy, the gradient of the block's output. */
static cz_status self_attention_backward(cz_exec *exec, const cz_attention_layer *a,
                                         const cz_attention_cache *c, const cz_encoder_scratch *d,
                                         const cz_sequences *s, cz_tensor dx, cz_tensor x,
                                         cz_tensor dy)
{
    CZ_SPAN("self-attention backward");
    int F = cz_cols(x), T = s->tokens, N = s->cells * T;
    cz_tensor qkv = cz_row_range(c->qkv, 0, N), dqkv = cz_row_range(d->qkv, 0, N);
    cz_tensor branch = cz_row_range(d->attended, 0, N), mixed = cz_row_range(d->mixed, 0, N);
    cz_tensor weights = cz_tensor4(c->weights.data, x.dtype, s->cells, a->heads, T, T);

    CZ_TRY(cz_add_dropout_norm_backward(exec, branch, dx, a->norm.dgain, a->norm.dbias, dy,
                                        cz_row_range(c->sum, 0, N), cz_columns(c->mean, 0, N),
                                        cz_columns(c->rstd, 0, N), a->norm.gain,
                                        cz_dropping(s->training, &c->drop_out), s->cells));
    CZ_TRY(cz_linear_layer_backward(exec, mixed, branch, cz_row_range(c->mixed, 0, N), a->out,
                                    false, 0));
    CZ_TRY(cz_attention_backward(
        exec, cz_tokens(cz_columns(dqkv, 0, F), T), cz_tokens(cz_columns(dqkv, F, F), T),
        cz_tokens(cz_columns(dqkv, 2 * F, F), T), cz_tokens(mixed, T), weights,
        cz_tokens(cz_columns(qkv, 0, F), T), cz_tokens(cz_columns(qkv, F, F), T),
        cz_tokens(cz_columns(qkv, 2 * F, F), T), NULL, a->heads,
        cz_dropping(s->training, &c->drop_weights)));
    return cz_linear_layer_backward_add(exec, dx, dqkv, x, a->in[0]);
}

cz_status cz_encoder_layer_forward(cz_exec *exec, const cz_encoder_layer *layer,
                                   const cz_encoder_cache *c, const cz_sequences *s, cz_tensor x)
{
    CZ_SPAN("encoder forward");
    int rows = s->first_only ? s->cells : s->cells * s->tokens;
    CZ_TRY(self_attention_forward(exec, &layer->attention, &c->attention, s, x));
    cz_tensor middle = cz_row_range(c->attention.y, 0, rows);
    cz_tensor hidden = cz_row_range(c->hidden, 0, rows), sum = cz_row_range(c->sum, 0, rows);
    CZ_TRY(cz_linear_forward(exec, hidden, middle, layer->up.w, layer->up.b, layer->activation,
                             cz_dropping(s->training, &c->drop_hidden), s->cells));
    CZ_TRY(cz_linear_forward(exec, sum, hidden, layer->down.w, layer->down.b, CZ_LINEAR, NULL,
                             s->cells));
    return cz_add_dropout_norm_forward(
        exec, cz_row_range(c->y, 0, rows), cz_columns(c->mean, 0, rows),
        cz_columns(c->rstd, 0, rows), sum, middle, layer->norm.gain, layer->norm.bias,
        layer->norm.eps, cz_dropping(s->training, &c->drop_out), s->cells);
}

cz_status cz_encoder_layer_backward(cz_exec *exec, const cz_encoder_layer *layer,
                                    const cz_encoder_cache *c, const cz_encoder_scratch *d,
                                    const cz_sequences *s, cz_tensor dx, cz_tensor x, cz_tensor dy)
{
    CZ_SPAN("encoder backward");
    int N = s->cells * s->tokens;
    cz_tensor middle = cz_row_range(c->attention.y, 0, N), hidden = cz_row_range(c->hidden, 0, N);
    cz_tensor dmiddle = cz_row_range(d->extra, 0, N), branch = cz_row_range(d->branch, 0, N);
    cz_tensor dhidden = cz_columns(cz_row_range(d->hidden, 0, N), 0, cz_cols(hidden));

    CZ_TRY(cz_add_dropout_norm_backward(exec, branch, dmiddle, layer->norm.dgain, layer->norm.dbias,
                                        dy, cz_row_range(c->sum, 0, N), cz_columns(c->mean, 0, N),
                                        cz_columns(c->rstd, 0, N), layer->norm.gain,
                                        cz_dropping(s->training, &c->drop_out), s->cells));
    double p = cz_dropping(s->training, &c->drop_hidden) ? c->drop_hidden.p : 0;
    CZ_TRY(cz_linear_layer_backward(exec, dhidden, branch, hidden, layer->down, true, p));
    CZ_TRY(cz_linear_layer_backward_add(exec, dmiddle, dhidden, middle, layer->up));
    return self_attention_backward(exec, &layer->attention, &c->attention, d, s, dx, x, dmiddle);
}
