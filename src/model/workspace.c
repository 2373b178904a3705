#include "workspace.h"

#include "czhpc/gpu.h"

#include <stdlib.h>
#include <string.h>

/* Buffers are laid out by one function that runs twice: with no memory, to count bytes, and
 * with it. */
static void *carve(cz_workspace *ws, size_t bytes)
{
    void *at = ws->memory.base ? ws->memory.base + ws->memory.used : NULL;
    ws->memory.used += (bytes + 63) & ~(size_t)63;
    return at;
}

static cz_tensor carve_matrix(cz_workspace *ws, int rows, int cols)
{
    void *data = carve(ws, (size_t)rows * (size_t)cols * cz_dtype_size(ws->dtype));
    return cz_matrix(data, ws->dtype, rows, cols);
}

/* Rows that do not all fall into the same few lines of a cache, as rows of 4096 bytes would. */
static cz_tensor carve_spread(cz_workspace *ws, int rows, int cols)
{
    const int line = 64 / (int)cz_dtype_size(ws->dtype);
    cz_tensor t = carve_matrix(ws, rows, cols + line);
    t.dim[1] = cols;
    return t;
}

/* What is summed in. */
static cz_tensor carve_wide(cz_workspace *ws, int rows, int cols)
{
    cz_dtype wide = cz_dtype_wide(ws->dtype);
    return cz_matrix(carve(ws, (size_t)rows * (size_t)cols * cz_dtype_size(wide)), wide, rows,
                     cols);
}

static cz_tensor carve_statistics(cz_workspace *ws, int n)
{
    return cz_vector(carve_wide(ws, 1, n).data, cz_dtype_wide(ws->dtype), n);
}

static cz_tensor carve_weights(cz_workspace *ws, int queries)
{
    const cz_model_spec *s = &ws->model->spec;
    void *data = carve(ws, (size_t)ws->block * (size_t)s->heads * (size_t)queries *
                               (size_t)s->tokens * cz_dtype_size(ws->dtype));
    return cz_tensor4(data, ws->dtype, ws->block, s->heads, queries, s->tokens);
}

static cz_dropout carve_site(cz_workspace *ws, unsigned site, int elements)
{
    uint8_t *bits = carve(ws, (size_t)ws->block * cz_mask_bytes(elements));
    return (cz_dropout){.site = site, .p = ws->model->spec.dropout, .bits = bits};
}

static cz_attention_cache carve_attention(cz_workspace *ws, int columns, unsigned weights_site,
                                          unsigned out_site)
{
    const cz_model_spec *s = &ws->model->spec;
    int N = ws->block * s->tokens, F = s->fusion_dim;
    return (cz_attention_cache){
        .qkv = carve_matrix(ws, N, columns),
        .weights = carve_weights(ws, s->tokens),
        .mixed = carve_matrix(ws, N, F),
        .sum = carve_matrix(ws, N, F),
        .mean = carve_statistics(ws, N),
        .rstd = carve_statistics(ws, N),
        .y = carve_matrix(ws, N, F),
        .drop_weights = carve_site(ws, weights_site, s->heads * s->tokens * s->tokens),
        .drop_out = carve_site(ws, out_site, s->tokens * F),
    };
}

static cz_encoder_cache carve_layer(cz_workspace *ws, unsigned site)
{
    const cz_model_spec *s = &ws->model->spec;
    int N = ws->block * s->tokens, F = s->fusion_dim;
    return (cz_encoder_cache){
        .attention = carve_attention(ws, 3 * F, site, site + 1),
        .hidden = carve_spread(ws, N, s->feedforward),
        .sum = carve_matrix(ws, N, F),
        .mean = carve_statistics(ws, N),
        .rstd = carve_statistics(ws, N),
        .y = carve_matrix(ws, N, F),
        .drop_hidden = carve_site(ws, site + 2, s->tokens * s->feedforward),
        .drop_out = carve_site(ws, site + 3, s->tokens * F),
    };
}

static void carve_labels(cz_workspace *ws)
{
    const cz_model_spec *s = &ws->model->spec;
    int M = ws->slots * s->tokens, F = s->fusion_dim;
    ws->label_vectors = carve_matrix(ws, ws->slots, s->text_width);
    ws->label_tokens = carve_matrix(ws, M, F);
    ws->label_kv = carve_matrix(ws, M, 2 * F);
    ws->dlabel_kv = carve_wide(ws, M, 2 * F);
    ws->dlabel_tokens = carve_matrix(ws, M, F);
}

static void carve_pool(cz_workspace *ws)
{
    const cz_model_spec *s = &ws->model->spec;
    int B = ws->block, N = B * s->tokens, L = s->latents, D = s->latent_dim;
    pool_cache *c = &ws->pool_cache;
    if (D != s->fusion_dim) c->input = carve_matrix(ws, N, D);
    c->kv = carve_matrix(ws, N, 2 * D);
    c->weights = carve_weights(ws, L);
    c->mean = carve_wide(ws, B, L);
    c->rstd = carve_wide(ws, B, L);
    if (cz_backend_on_gpu(ws->exec.backend)) c->u = carve_matrix(ws, N * s->heads, cz_pool_row(D));
    c->z = carve_matrix(ws, B, D);
    c->drop_weights = carve_site(ws, CZ_SITE_POOL_WEIGHTS, s->heads * L * s->tokens);
    c->drop_out = carve_site(ws, CZ_SITE_POOL_OUT, L * D);
    ws->query = carve_matrix(ws, L, D);
    ws->dquery = carve_wide(ws, L, D);
    ws->latent_copy = carve_matrix(ws, L, D).data;
}

static int part_count(const cz_model_spec *s) { return s->text ? LAYER_PARTS + s->layers : 1; }

static part_gradients carve_part(cz_workspace *ws, bool scratch, int hidden)
{
    const cz_model_spec *s = &ws->model->spec;
    int N = ws->block * s->tokens, F = s->fusion_dim;
    part_gradients g = {.y = carve_matrix(ws, N, F)};
    if (!scratch) return g;
    cz_tensor branch = carve_matrix(ws, N, F);
    g.scratch = (cz_encoder_scratch){
        .branch = branch,
        .attended = cz_backend_on_gpu(ws->exec.backend) ? carve_matrix(ws, N, F) : branch,
        .mixed = carve_matrix(ws, N, F),
        .extra = carve_matrix(ws, N, F),
        .qkv = carve_matrix(ws, N, 3 * F),
        .hidden = carve_spread(ws, N, hidden),
    };
    return g;
}

static void carve_gradients(cz_workspace *ws)
{
    const cz_model_spec *s = &ws->model->spec;
    int B = ws->block, N = B * s->tokens, F = s->fusion_dim, D = s->latent_dim;
    bool apart = cz_backend_on_gpu(ws->exec.backend);
    int widest = s->feedforward > F ? s->feedforward : F;
    for (int i = 0; i < part_count(s); i++)
        if (apart)
            ws->d.part[i] = carve_part(ws, i != TOKENS_PART, i == FUSION_PART ? F : s->feedforward);
        else ws->d.part[i] = i ? ws->d.part[0] : carve_part(ws, s->text, widest);
    ws->d.kv = carve_matrix(ws, N, 2 * D);
    if (D != F) ws->d.input = carve_matrix(ws, N, D);
    ws->d.z = carve_matrix(ws, B, D);
}

static void carve_all(cz_workspace *ws)
{
    const cz_model_spec *s = &ws->model->spec;
    int B = ws->block, N = B * s->tokens, F = s->fusion_dim, D = s->latent_dim;
    ws->features = carve_matrix(ws, B, s->width);
    ws->tokens = carve_matrix(ws, N, F);
    if (s->text) {
        carve_labels(ws);
        ws->cross_cache = carve_attention(ws, F, CZ_SITE_CROSS_WEIGHTS, CZ_SITE_CROSS_OUT);
        ws->ffn_hidden = carve_matrix(ws, N, F);
        ws->fused = carve_matrix(ws, N, F);
        for (int l = 0; l < s->layers; l++)
            ws->layer_cache[l] = carve_layer(ws, CZ_SITE_LAYER + 4 * (unsigned)l);
    }
    carve_pool(ws);
    for (int h = 0; h < s->head_count; h++) {
        head_cache *c = &ws->head_cache[h];
        unsigned site = CZ_SITE_HEAD + 2 * (unsigned)h;
        *c = (head_cache){carve_matrix(ws, B, D),
                          carve_matrix(ws, B, D / 2),
                          carve_wide(ws, B, s->head[h].classes),
                          carve_matrix(ws, B, s->head[h].classes),
                          {carve_site(ws, site, D), carve_site(ws, site + 1, D / 2)}};
    }
    carve_gradients(ws);
}

static int largest(const int *values, int count)
{
    int most = 0;
    for (int i = 0; i < count; i++)
        if (values[i] > most) most = values[i];
    return most;
}

static size_t scratch_bytes(const cz_model_spec *s, const cz_backend *backend, int block, int slots)
{
    int classes = 0;
    for (int h = 0; h < s->head_count; h++)
        if (s->head[h].classes > classes) classes = s->head[h].classes;
    int rows[] = {block * s->tokens, slots * s->tokens, s->latents};
    int cols[] = {3 * s->fusion_dim, s->feedforward, 3 * s->latent_dim,
                  s->width,          classes,        s->text ? s->text_width : 0};
    return cz_ops_scratch(backend, largest(rows, 3), largest(cols, 6), s->latents, s->tokens,
                          s->latent_dim, s->heads);
}

size_t cz_workspace_bytes(const cz_model *model, const cz_backend *backend, int block, int slots)
{
    cz_workspace counting = {.model = model,
                             .dtype = cz_backend_dtype(backend),
                             .block = block,
                             .slots = slots,
                             .exec = {.backend = backend}};
    counting.layer_cache = calloc((size_t)model->spec.layers + 1, sizeof *counting.layer_cache);
    counting.d.part = calloc((size_t)part_count(&model->spec), sizeof *counting.d.part);
    if (counting.layer_cache && counting.d.part) carve_all(&counting);
    free(counting.layer_cache);
    free(counting.d.part);
    if (!counting.memory.used) return 0;
    return counting.memory.used + scratch_bytes(&model->spec, backend, block, slots);
}

/* What finds the slots of a batch that does not say them. */
static cz_status open_slots(cz_workspace *ws, int labels)
{
    ws->slot_of = cz_alloc((size_t)labels, sizeof *ws->slot_of, "a workspace");
    ws->found_label = cz_alloc((size_t)ws->slots, sizeof *ws->found_label, "a workspace");
    if (!ws->slot_of || !ws->found_label) return CZ_ERR_MEMORY;
    for (int i = 0; i < labels; i++) ws->slot_of[i] = -1;
    return CZ_OK;
}

static cz_status open_arena(const cz_workspace *ws, cz_arena *arena, size_t bytes)
{
    void *base;
    if (!ws->exec.gpu) return cz_arena_init(arena, bytes);
    CZ_TRY(cz_gpu_allocate(ws->exec.gpu, &base, bytes));
    *arena = (cz_arena){.base = base, .size = bytes};
    return CZ_OK;
}

static void close_arena(const cz_workspace *ws, cz_arena *arena)
{
    if (!ws->exec.gpu) cz_arena_free(arena);
    else if (arena->base) cz_gpu_release(ws->exec.gpu, arena->base);
}

cz_status cz_workspace_open(cz_workspace **opened, const cz_model *model, const cz_backend *backend,
                            cz_gpu *gpu, cz_tensor text, int block, int slots)
{
    const cz_model_spec *s = &model->spec;
    *opened = NULL;
    cz_workspace *ws = cz_alloc(1, sizeof *ws, "a workspace");
    if (!ws) return CZ_ERR_MEMORY;
    *ws = (cz_workspace){.model = model,
                         .dtype = cz_backend_dtype(backend),
                         .block = block,
                         .slots = slots,
                         .text_vectors = text};
    ws->exec = (cz_exec){.backend = backend, .scratch = &ws->scratch, .gpu = gpu};
    ws->layer = cz_alloc((size_t)s->layers, sizeof *ws->layer, "a workspace");
    ws->layer_cache = cz_alloc((size_t)s->layers, sizeof *ws->layer_cache, "a workspace");
    ws->packed_at = cz_alloc((size_t)model->matrices, sizeof *ws->packed_at, "a workspace");
    ws->d.part = cz_alloc((size_t)part_count(s), sizeof *ws->d.part, "a workspace");
    bool there = ws->layer && ws->layer_cache && ws->packed_at && ws->d.part;
    cz_status status = there ? CZ_OK : CZ_ERR_MEMORY;
    if (!status) packed_places(model, backend, ws->packed_at);
    if (!status && s->text && (!text.data || cz_cols(text) != s->text_width))
        status = cz_fail(CZ_ERR_BUG,
                         "workspace: label vectors are (%d, %d), the model wants %d "
                         "columns",
                         cz_rows(text), cz_cols(text), s->text_width);
    if (!status && s->text) status = open_slots(ws, cz_rows(text));
    if (!status) {
        carve_all(ws);
        status = open_arena(ws, &ws->memory, ws->memory.used);
    }
    if (!status) status = open_arena(ws, &ws->scratch, scratch_bytes(s, backend, block, slots));
    if (status) {
        cz_workspace_close(ws);
        return status;
    }
    carve_all(ws);
    *opened = ws;
    return CZ_OK;
}

void cz_workspace_close(cz_workspace *ws)
{
    if (!ws) return;
    close_arena(ws, &ws->memory);
    close_arena(ws, &ws->scratch);
    free(ws->slot_of);
    free(ws->found_label);
    free(ws->found_slot);
    free(ws->layer);
    free(ws->layer_cache);
    free(ws->d.part);
    free(ws->packed_at);
    free(ws);
}

int cz_workspace_labels(const cz_workspace *ws) { return ws->used; }

void cz_workspace_set_pool(cz_workspace *ws, cz_pool_form form) { ws->form = form; }
