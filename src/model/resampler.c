/* The Perceiver resampler: tokens to one latent vector a cell. */
#include "workspace.h"

#include "czhpc/profile.h"

static cz_pool_weights pool_weights(const cz_workspace *ws)
{
    return (cz_pool_weights){ws->query,      ws->latents,        ws->pool.out.w,
                             ws->pool.out.b, ws->pool.norm.gain, ws->pool.norm.bias};
}

static cz_pool_weights pool_gradients(const cz_workspace *ws)
{
    return (cz_pool_weights){ws->dquery,      ws->dlatents,        ws->pool.out.dw,
                             ws->pool.out.db, ws->pool.norm.dgain, ws->pool.norm.dbias};
}

static cz_tensor kept(const cz_workspace *ws, const cell_block *b)
{
    const cz_model_spec *s = &ws->model->spec;
    cz_tensor u = ws->pool_cache.u;
    return u.data ? cz_row_range(u, 0, b->cells * s->tokens * s->heads) : u;
}

cz_status resampler_forward(cz_workspace *ws, const cell_block *b, cz_tensor x)
{
    CZ_SPAN("resampler forward");
    const cz_model_spec *s = &ws->model->spec;
    int D = s->latent_dim, N = b->cells * s->tokens;
    pool_cache *c = &ws->pool_cache;
    cz_tensor kv = cz_row_range(c->kv, 0, N), weights = c->weights;
    const cz_linear_layer in = ws->pool_rest;
    cz_pool_weights w = pool_weights(ws);
    weights.dim[0] = b->cells;

    if (ws->input.w.data) {
        cz_tensor input = cz_row_range(c->input, 0, N);
        CZ_TRY(cz_linear_forward(&ws->exec, input, x, ws->input.w, ws->input.b, CZ_LINEAR, NULL,
                                 b->cells));
        x = input;
    }
    CZ_TRY(cz_linear_forward(&ws->exec, kv, x, in.w, in.b, CZ_LINEAR, NULL, b->cells));
    return cz_resampler_pool_forward(
        &ws->exec, cz_row_range(c->z, 0, b->cells), weights, cz_row_range(c->mean, 0, b->cells),
        cz_row_range(c->rstd, 0, b->cells), kept(ws, b), tokens3(ws, cz_columns(kv, 0, D)),
        tokens3(ws, cz_columns(kv, D, D)), &w, s->heads, ws->form,
        cz_dropping(ws->training, &c->drop_weights), cz_dropping(ws->training, &c->drop_out));
}

/* dx (N, F) set from d.z. */
cz_status resampler_backward(cz_workspace *ws, const cell_block *b, cz_tensor dx, cz_tensor x)
{
    CZ_SPAN("resampler backward");
    const cz_model_spec *s = &ws->model->spec;
    int D = s->latent_dim, N = b->cells * s->tokens;
    pool_cache *c = &ws->pool_cache;
    cz_tensor kv = cz_row_range(c->kv, 0, N), dkv = cz_row_range(ws->d.kv, 0, N);
    cz_tensor weights = c->weights;
    const cz_linear_layer in = ws->pool_rest;
    cz_pool_weights w = pool_weights(ws), g = pool_gradients(ws);
    weights.dim[0] = b->cells;

    CZ_TRY(cz_resampler_pool_backward(
        &ws->exec, tokens3(ws, cz_columns(dkv, 0, D)), tokens3(ws, cz_columns(dkv, D, D)), &g,
        cz_row_range(ws->d.z, 0, b->cells), weights, cz_row_range(c->mean, 0, b->cells),
        cz_row_range(c->rstd, 0, b->cells), kept(ws, b), tokens3(ws, cz_columns(kv, 0, D)),
        tokens3(ws, cz_columns(kv, D, D)), &w, s->heads, ws->form,
        cz_dropping(ws->training, &c->drop_weights), cz_dropping(ws->training, &c->drop_out)));
    if (!ws->input.w.data) return cz_linear_layer_backward(&ws->exec, dx, dkv, x, in, false, 0);
    cz_tensor input = cz_row_range(c->input, 0, N), dinput = cz_row_range(ws->d.input, 0, N);
    CZ_TRY(cz_linear_layer_backward(&ws->exec, dinput, dkv, input, in, false, 0));
    return cz_linear_layer_backward(&ws->exec, dx, dinput, x, ws->input, false, 0);
}
