/* Batches of texts through the model: batch i is for rank i modulo their number, and there for
 * the thread that comes next. */
#include "text_model.h"

#include "czhpc/profile.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct encoder {
    const text_plan *plan;
    const text_model *model;
    cz_pooling pooling;
    const cz_backend *backend;
    int rank, size;
    int *place;      /* (batches) of this rank's: the row of `own` where each begins */
    float *own;      /* (texts of this rank, width) */
    atomic_int left; /* batches of this rank that nobody has taken */
} encoder;

static int texts_of(const text_plan *plan, int batch)
{
    return plan->begin[batch + 1] - plan->begin[batch];
}

static int batches_of(const text_plan *plan, int rank, int size)
{
    return (plan->batches - rank + size - 1) / size;
}

/* id (cells, tokens) and length (cells) filled. */
static void fill(cz_bert_batch *batch, int32_t *id, int32_t *length, const text_plan *plan,
                 int number)
{
    const int *text = plan->order + plan->begin[number];
    int cells = texts_of(plan, number), tokens = plan->length[text[cells - 1]];
    memset(id, 0, (size_t)cells * (size_t)tokens * sizeof *id);
    for (int b = 0; b < cells; b++) {
        length[b] = plan->length[text[b]];
        memcpy(id + (size_t)b * (size_t)tokens, plan->id[text[b]], (size_t)length[b] * sizeof *id);
    }
    *batch = (cz_bert_batch){cells, tokens, id, length};
}

static cz_status encode(void *context, int thread)
{
    encoder *e = context;
    const text_plan *plan = e->plan;
    int width = cz_bert_get_shape(e->model->bert)->width, number;
    cz_bert_workspace *workspace = NULL;
    int32_t *id = cz_alloc((size_t)plan->rows, sizeof *id, "texts");
    int32_t *length = cz_alloc((size_t)plan->rows, sizeof *length, "texts");
    cz_status status = id && length ? CZ_OK : CZ_ERR_MEMORY;
    (void)thread;
    if (!status)
        status = cz_bert_workspace_open(&workspace, e->model->bert, e->backend, plan->rows);
    /* The longest first: what is left at the end is short. */
    while (!status && (number = atomic_fetch_sub(&e->left, 1) - 1) >= 0) {
        cz_bert_batch batch;
        float *to = e->own + (size_t)e->place[number] * (size_t)width;
        fill(&batch, id, length, plan, e->rank + number * e->size);
        status = cz_bert_forward(workspace, cz_matrix(to, CZ_F32, batch.cells, width), &batch,
                                 e->pooling);
    }
    cz_bert_workspace_close(workspace);
    free(id);
    free(length);
    return status;
}

/* Places this rank's batches one after the other; returns their texts. */
static int place_batches(encoder *e)
{
    int texts = 0, batches = batches_of(e->plan, e->rank, e->size);
    for (int i = 0; i < batches; i++) {
        e->place[i] = texts;
        texts += texts_of(e->plan, e->rank + i * e->size);
    }
    atomic_init(&e->left, batches);
    return texts;
}

/* All ranks' rows, rank after rank, each into its text's place. */
static void put_in_order(float *vectors, const float *gathered, const encoder *e, int width)
{
    const text_plan *plan = e->plan;
    for (int rank = 0; rank < e->size; rank++)
        for (int b = rank; b < plan->batches; b += e->size)
            for (int i = plan->begin[b]; i < plan->begin[b + 1]; i++, gathered += width)
                memcpy(vectors + (size_t)plan->order[i] * (size_t)width, gathered,
                       (size_t)width * sizeof *gathered);
}

static cz_status gather(float *vectors, const encoder *e, int width, const cz_comm *comm)
{
    const text_plan *plan = e->plan;
    int *counts = cz_alloc((size_t)comm->size, sizeof *counts, "texts");
    float *all = cz_alloc((size_t)plan->count * (size_t)width, sizeof *all, "label vectors");
    cz_status status = cz_comm_agree(comm, counts && all ? CZ_OK : CZ_ERR_MEMORY);
    if (!status) {
        for (int b = 0; b < plan->batches; b++) counts[b % comm->size] += texts_of(plan, b);
        status = cz_comm_gather_all(comm, all, e->own, counts, (size_t)width * sizeof *all);
    }
    if (!status) put_in_order(vectors, all, e, width);
    free(counts);
    free(all);
    return status;
}

cz_status text_encode(float *vectors, const text_plan *plan, const text_model *model,
                      cz_pooling pooling, const cz_backend *backend, const cz_comm *comm,
                      cz_pool *pool)
{
    CZ_PHASE("encode text");
    int width = cz_bert_get_shape(model->bert)->width;
    encoder e = {.plan = plan,
                 .model = model,
                 .pooling = pooling,
                 .backend = backend,
                 .rank = comm->rank,
                 .size = comm->size};
    e.place = cz_alloc((size_t)plan->batches, sizeof *e.place, "texts");
    cz_status status = e.place ? CZ_OK : CZ_ERR_MEMORY;
    if (!status) {
        int texts = place_batches(&e);
        e.own = cz_alloc((size_t)texts * (size_t)width, sizeof *e.own, "label vectors");
        status = e.own ? CZ_OK : CZ_ERR_MEMORY;
    }
    if (!status) status = cz_pool_run(pool, encode, &e);
    status = cz_comm_agree(comm, status);
    if (!status) status = gather(vectors, &e, width, comm);
    free(e.place);
    free(e.own);
    return status;
}
