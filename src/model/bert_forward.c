/* A batch of texts through a BERT: embeddings, encoder layers, pooling. */
#include "bert.h"

#include <stdlib.h>

struct cz_bert_workspace {
    const cz_bert *bert;
    cz_exec exec;
    cz_arena memory, scratch;
    int rows;
    int32_t *type;          /* (rows) the type of every token: 0 */
    cz_tensor x, y;         /* (rows, F) in and out of a layer, in turns */
    cz_tensor residual;     /* (rows, F) of the embeddings */
    cz_encoder_cache cache; /* of the layer at hand; its y is this or the other of x and y */
    cz_tensor query;        /* (rows, F) zeros: the queries of the mean */
};

static cz_tensor carve_of(cz_bert_workspace *ws, cz_dtype dtype, size_t rows, int cols)
{
    size_t bytes = (rows * (size_t)cols * cz_dtype_size(dtype) + 63) & ~(size_t)63;
    void *data = ws->memory.base ? ws->memory.base + ws->memory.used : NULL;
    ws->memory.used += bytes;
    return cz_matrix(data, dtype, (int)rows, cols);
}

static cz_tensor carve(cz_bert_workspace *ws, size_t rows, int cols)
{
    return carve_of(ws, cz_backend_dtype(ws->exec.backend), rows, cols);
}

static cz_tensor carve_statistics(cz_bert_workspace *ws)
{
    return cz_vector(carve_of(ws, CZ_F32, 1, ws->rows).data, CZ_F32, ws->rows);
}

/* Runs twice: without memory, to count bytes, and with it. */
static void carve_all(cz_bert_workspace *ws)
{
    const cz_bert_shape *s = &ws->bert->shape;
    size_t rows = (size_t)ws->rows;
    int longest = ws->rows < s->positions ? ws->rows : s->positions;
    cz_attention_cache *a = &ws->cache.attention;
    ws->memory.used = 0;
    ws->type = carve_of(ws, CZ_F32, rows, 1).data;
    ws->query = carve(ws, rows, s->width);
    ws->x = carve(ws, rows, s->width);
    ws->y = carve(ws, rows, s->width);
    ws->residual = carve(ws, rows, s->width);
    a->qkv = carve(ws, rows, 3 * s->width);
    a->weights = carve(ws, rows * (size_t)longest, s->heads);
    a->mixed = carve(ws, rows, s->width);
    a->sum = carve(ws, rows, s->width);
    a->y = carve(ws, rows, s->width);
    a->mean = carve_statistics(ws);
    a->rstd = carve_statistics(ws);
    ws->cache.hidden = carve(ws, rows, s->feedforward);
    ws->cache.sum = a->sum; /* no way back: what is no longer needed is overwritten */
    ws->cache.mean = a->mean;
    ws->cache.rstd = a->rstd;
}

cz_status cz_bert_workspace_open(cz_bert_workspace **opened, const cz_bert *bert,
                                 const cz_backend *backend, int rows)
{
    const cz_bert_shape *s = &bert->shape;
    int most = 3 * s->width > s->feedforward ? 3 * s->width : s->feedforward;
    *opened = NULL;
    if (cz_dtype_wide(cz_backend_dtype(backend)) != CZ_F32 || rows < 1)
        return cz_fail(CZ_ERR_BUG, "a text model's workspace of %d rows on %s", rows,
                       cz_backend_name(backend));
    cz_bert_workspace *ws = cz_alloc(1, sizeof *ws, "a text model's workspace");
    if (!ws) return CZ_ERR_MEMORY;
    *ws = (cz_bert_workspace){.bert = bert, .rows = rows};
    ws->exec = (cz_exec){.backend = backend, .scratch = &ws->scratch};
    carve_all(ws);
    cz_status status = cz_arena_init(&ws->memory, ws->memory.used);
    if (!status)
        status = cz_arena_init(&ws->scratch, cz_ops_scratch(backend, rows, most, 1, 1, 1, 1));
    if (status) {
        cz_bert_workspace_close(ws);
        return status;
    }
    carve_all(ws);
    *opened = ws;
    return CZ_OK;
}

void cz_bert_workspace_close(cz_bert_workspace *ws)
{
    if (!ws) return;
    cz_arena_free(&ws->memory);
    cz_arena_free(&ws->scratch);
    free(ws);
}

/* x = LN(word + position + type), (cells tokens, F). */
static cz_status embed(cz_bert_workspace *ws, const cz_bert_batch *batch)
{
    const cz_bert *b = ws->bert;
    int N = batch->cells * batch->tokens;
    cz_tensor sum = cz_row_range(ws->cache.sum, 0, N);
    cz_tensor residual = cz_row_range(ws->residual, 0, N);
    CZ_TRY(cz_gather_rows(&ws->exec, sum, b->words, batch->id));
    CZ_TRY(cz_gather_rows(&ws->exec, residual, b->types, ws->type));
    CZ_TRY(cz_add_positions(&ws->exec, cz_tokens(residual, batch->tokens),
                            cz_row_range(b->positions, 0, batch->tokens)));
    return cz_add_dropout_norm_forward(&ws->exec, cz_row_range(ws->x, 0, N),
                                       cz_columns(ws->cache.mean, 0, N),
                                       cz_columns(ws->cache.rstd, 0, N), sum, residual,
                                       b->norm.gain, b->norm.bias, b->norm.eps, NULL, 0);
}

/* The mean over the tokens that count, as the attention of a query of zeros: its softmax gives
 * each of them the same weight. */
static cz_status mean(cz_bert_workspace *ws, cz_tensor vectors, const cz_bert_batch *batch)
{
    int B = batch->cells, T = batch->tokens;
    cz_tensor x = cz_tokens(cz_row_range(ws->x, 0, B * T), T);
    cz_tensor weights = cz_tensor4(ws->cache.attention.weights.data, x.dtype, B, 1, 1, T);
    cz_tensor out = cz_row_range(ws->y, 0, B);
    CZ_TRY(cz_attention_forward(&ws->exec, cz_tokens(out, 1), weights,
                                cz_tokens(cz_row_range(ws->query, 0, B), 1), x, x, NULL,
                                batch->length, 1, NULL));
    return cz_copy(&ws->exec, vectors, out);
}

static cz_status fits(const cz_bert_workspace *ws, cz_tensor vectors, const cz_bert_batch *b)
{
    const cz_bert_shape *s = &ws->bert->shape;
    bool good = b->cells >= 0 && b->tokens > 0 && b->tokens <= s->positions &&
                b->cells <= ws->rows / b->tokens && vectors.dtype == CZ_F32 &&
                cz_rows(vectors) == b->cells && cz_cols(vectors) == s->width;
    if (good) return CZ_OK;
    return cz_fail(CZ_ERR_BUG,
                   "cz_bert_forward: %d texts of %d tokens into (%d, %d), where %d rows and %d "
                   "tokens of %d columns have room",
                   b->cells, b->tokens, cz_rows(vectors), cz_cols(vectors), ws->rows, s->positions,
                   s->width);
}

cz_status cz_bert_forward(cz_bert_workspace *ws, cz_tensor vectors, const cz_bert_batch *batch,
                          cz_pooling pooling)
{
    int layers = ws->bert->shape.layers;
    cz_sequences s = {.cells = batch->cells, .tokens = batch->tokens, .length = batch->length};
    CZ_TRY(fits(ws, vectors, batch));
    CZ_TRY(embed(ws, batch));
    for (int l = 0; l < layers; l++) {
        s.first_only = pooling == CZ_POOLING_CLS && l == layers - 1;
        ws->cache.y = ws->y;
        CZ_TRY(cz_encoder_layer_forward(&ws->exec, &ws->bert->layer[l], &ws->cache, &s,
                                        cz_row_range(ws->x, 0, batch->cells * batch->tokens)));
        cz_tensor out = ws->y;
        ws->y = ws->x;
        ws->x = out;
    }
    if (pooling == CZ_POOLING_CLS)
        return cz_copy(&ws->exec, vectors, cz_row_range(ws->x, 0, batch->cells));
    return mean(ws, vectors, batch);
}
