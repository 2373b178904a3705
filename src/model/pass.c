/* A batch through the whole model, block by block. */
#include "workspace.h"

#include "czhpc/profile.h"

/* The output of the last layer before the resampler. */
static cz_tensor last_tokens(const cz_workspace *ws, int rows)
{
    const cz_model_spec *s = &ws->model->spec;
    cz_tensor t = !s->text ? ws->tokens : s->layers ? ws->layer_cache[s->layers - 1].y : ws->fused;
    return cz_row_range(t, 0, rows);
}

cz_tensor part_gradient(const cz_workspace *ws, const cell_block *b, int part)
{
    return cz_row_range(ws->d.part[part].y, 0, b->cells * ws->model->spec.tokens);
}

static cz_tensor layer_input(const cz_workspace *ws, int layer, int rows)
{
    return cz_row_range(layer ? ws->layer_cache[layer - 1].y : ws->fused, 0, rows);
}

static cz_status tally(cz_workspace *ws, const cell_block *b, int64_t *sum, cz_tensor weights)
{
    weights.dim[0] = b->cells;
    return sum ? cz_attention_tally(&ws->exec, sum, weights) : CZ_OK;
}

static cz_sequences sequences(const cz_workspace *ws, const cell_block *b)
{
    return (cz_sequences){
        .cells = b->cells, .tokens = ws->model->spec.tokens, .training = ws->training};
}

static cz_status block_forward(cz_workspace *ws, const cell_block *b, const cz_outcome *outcome)
{
    const cz_model_spec *s = &ws->model->spec;
    cz_sequences rows = sequences(ws, b);
    int N = b->cells * s->tokens;
    bind_masks(ws, b->batch->cell + b->begin);
    CZ_TRY(tokens_forward(ws, b));
    if (s->text) {
        CZ_TRY(fusion_forward(ws, b));
        CZ_TRY(tally(ws, b, outcome->fusion_attention, ws->cross_cache.weights));
        for (int l = 0; l < s->layers; l++)
            CZ_TRY(cz_encoder_layer_forward(&ws->exec, &ws->layer[l], &ws->layer_cache[l], &rows,
                                            layer_input(ws, l, N)));
    }
    CZ_TRY(resampler_forward(ws, b, last_tokens(ws, N)));
    CZ_TRY(tally(ws, b, outcome->resampler_attention, ws->pool_cache.weights));
    CZ_TRY(heads_pass(ws, b, outcome));
    if (outcome->latent.data)
        CZ_TRY(cz_copy(&ws->exec, cz_row_range(outcome->latent, b->begin, b->cells),
                       cz_row_range(ws->pool_cache.z, 0, b->cells)));
    return CZ_OK;
}

static cz_status block_backward(cz_workspace *ws, const cell_block *b)
{
    const cz_model_spec *s = &ws->model->spec;
    cz_sequences rows = sequences(ws, b);
    int N = b->cells * s->tokens;
    int last = s->text ? FUSION_PART + s->layers : TOKENS_PART;
    CZ_TRY(resampler_backward(ws, b, part_gradient(ws, b, last), last_tokens(ws, N)));
    for (int l = s->layers - 1; s->text && l >= 0; l--)
        CZ_TRY(cz_encoder_layer_backward(
            &ws->exec, &ws->layer[l], &ws->layer_cache[l], &ws->d.part[LAYER_PARTS + l].scratch,
            &rows, part_gradient(ws, b, FUSION_PART + l), layer_input(ws, l, N),
            part_gradient(ws, b, LAYER_PARTS + l)));
    if (s->text) CZ_TRY(fusion_backward(ws, b));
    return tokens_backward(ws, b);
}

/* Whether a linear layer sets the gradient of a parameter. */
static bool set_by_layer(const cz_model *m, int param)
{
    for (int i = 0; i < m->matrices; i++)
        if (m->matrix[i].w == param || m->matrix[i].b == param) return true;
    return false;
}

static cz_status zero_range(cz_workspace *ws, char *g, size_t begin, size_t end)
{
    cz_dtype wide = cz_dtype_wide(ws->dtype);
    return cz_zero(&ws->exec, cz_vector(g + begin * cz_dtype_size(wide), wide, (int)(end - begin)));
}

/* Zeros the gradients that operations add to, and what lies between parameters; on a GPU, where
 * a call costs more than to zero them all, all. */
static cz_status zero_sums(cz_workspace *ws, char *g, bool all)
{
    const cz_params *params = &ws->model->params;
    if (ws->exec.gpu) return zero_range(ws, g, 0, params->total);
    for (int i = 0; i < params->count; i++) {
        size_t from = params->entry[i].offset, size = cz_param_size(&params->entry[i]);
        size_t next = i + 1 < params->count ? params->entry[i + 1].offset : params->total;
        if (!all && set_by_layer(ws->model, i)) from += size;
        if (next > from) CZ_TRY(zero_range(ws, g, from, next));
    }
    return CZ_OK;
}

/* What all cells of a batch read, aside: the cells' own tokens come next. Rows were gathered
 * before, as a GPU likes to do it at once. */
static cz_status shared_forward(cz_workspace *ws)
{
    ws->exec.aside = true;
    cz_status status = ws->model->spec.text ? labels_forward(ws) : CZ_OK;
    if (!status) status = queries_forward(ws);
    ws->exec.aside = false;
    return status;
}

/* Collected together, again for a GPU, and then the latents' part beside the labels'. */
static cz_status shared_backward(cz_workspace *ws)
{
    CZ_TRY(queries_collect(ws));
    if (ws->model->spec.text) CZ_TRY(labels_collect(ws));
    ws->exec.aside = true;
    cz_status status = queries_backward(ws);
    ws->exec.aside = false;
    if (status || !ws->model->spec.text) return status;
    return labels_backward(ws);
}

static cz_status each_block(cz_workspace *ws, cz_weights w, void *g, const cz_batch *batch,
                            const cz_outcome *outcome)
{
    for (int begin = 0; begin < batch->cells; begin += ws->block) {
        int left = batch->cells - begin;
        cell_block b = {begin, left < ws->block ? left : ws->block, batch};
        CZ_TRY(tokens_gather(ws, &b));
        if (begin == 0) CZ_TRY(shared_forward(ws));
        if (begin == ws->block) bind_weights(ws, w, g, true);
        CZ_TRY(block_forward(ws, &b, outcome));
        if (ws->training) CZ_TRY(block_backward(ws, &b));
    }
    return CZ_OK;
}

static cz_status whole_batch(cz_workspace *ws, cz_weights w, void *g, const cz_batch *batch,
                             const cz_outcome *outcome)
{
    CZ_SPAN("compute");
    bind_weights(ws, w, g, false);
    if (g) CZ_TRY(zero_sums(ws, g, batch->cells == 0));
    if (batch->cells == 0) return CZ_OK;
    if (ws->model->spec.text) {
        CZ_TRY(labels_find(ws, batch));
        CZ_TRY(labels_gather(ws));
    }
    CZ_TRY(queries_gather(ws));
    CZ_TRY(each_block(ws, w, g, batch, outcome));
    return ws->training ? shared_backward(ws) : CZ_OK;
}

cz_status cz_model_evaluate(cz_workspace *ws, cz_weights w, const cz_batch *batch,
                            const cz_outcome *outcome)
{
    ws->exec.step = NULL;
    return whole_batch(ws, w, NULL, batch, outcome);
}

cz_status cz_model_train(cz_workspace *ws, cz_weights w, void *g, const cz_batch *batch,
                         const cz_step *step, const cz_outcome *outcome)
{
    ws->exec.step = step;
    return whole_batch(ws, w, g, batch, outcome);
}
