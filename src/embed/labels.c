/* Label vectors for a job: from a table, from the cache, from a text model. */
#include "czhpc/embed.h"
#include "label_cache.h"
#include "text_model.h"

#include "czhpc/log.h"
#include "czhpc/profile.h"
#include "czhpc/rng.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cz_embedding_free(cz_embedding *embedding)
{
    free(embedding->vectors);
    *embedding = (cz_embedding){0};
}

const char *cz_pooling_name(cz_pooling pooling)
{
    return pooling == CZ_POOLING_MEAN ? "mean" : "cls";
}

/* Rank 0 has read the vectors, or failed: to all. */
static cz_status share(cz_embedding *e, int count, const cz_comm *comm, cz_status status)
{
    struct {
        uint64_t identity;
        int width;
    } head = {e->identity, e->width};
    CZ_TRY(cz_comm_broadcast(comm, status, &head, sizeof head));
    size_t values = (size_t)count * (size_t)head.width;
    if (comm->rank) e->vectors = cz_alloc(values, sizeof *e->vectors, "label vectors");
    e->identity = head.identity;
    e->width = head.width;
    CZ_TRY(cz_comm_agree(comm, e->vectors ? CZ_OK : CZ_ERR_MEMORY));
    return cz_comm_broadcast(comm, CZ_OK, e->vectors, values * sizeof *e->vectors);
}

static cz_status read_table(cz_embedding *e, char *const *label, int count, const cz_config *config,
                            const cz_comm *comm)
{
    cz_status status = CZ_OK;
    if (comm->rank == 0) {
        status = cz_label_vectors(&e->vectors, &e->width, label, count, config);
        if (!status)
            e->identity =
                cz_hash(0, e->vectors, (size_t)count * (size_t)e->width * sizeof *e->vectors);
        const char *table = config->text.table;
        snprintf(e->about, sizeof e->about, "%d vectors from %.900s", count,
                 strcmp(table, "embedded") ? table : "the table that comes along");
    }
    return share(e, count, comm, status);
}

/* The labels that no cache holds. */
typedef struct missing {
    int count;
    int *index;     /* (count) into the labels */
    char **label;   /* (count) */
    float *vectors; /* (count, width) */
} missing;

static void missing_free(missing *m)
{
    free(m->index);
    free(m->label);
    free(m->vectors);
}

/* Rank 0 tells the others which they are. */
static cz_status find_missing(missing *m, char *const *label, int count, const label_cache *cache,
                              const cz_comm *comm)
{
    m->index = cz_alloc((size_t)count, sizeof *m->index, "labels");
    m->label = cz_alloc((size_t)count, sizeof *m->label, "labels");
    CZ_TRY(cz_comm_agree(comm, m->index && m->label ? CZ_OK : CZ_ERR_MEMORY));
    for (int i = 0; i < count && comm->rank == 0; i++)
        if (cz_label_row(&cache->table, label[i]) < 0) m->index[m->count++] = i;
    CZ_TRY(cz_comm_broadcast(comm, CZ_OK, &m->count, sizeof m->count));
    CZ_TRY(cz_comm_broadcast(comm, CZ_OK, m->index, (size_t)m->count * sizeof *m->index));
    for (int i = 0; i < m->count; i++) m->label[i] = label[m->index[i]];
    return CZ_OK;
}

/* A folder of the same name may hold another model on another node, or have been given another one
 * since its key was made: such vectors are nobody's. */
static cz_status check_key(uint64_t key, const cz_config *config, const cz_comm *comm)
{
    uint64_t own, first = key;
    cz_status status = text_model_key(&own, config);
    CZ_TRY(cz_comm_broadcast(comm, CZ_OK, &first, sizeof first));
    if (!status && own != first)
        status = cz_fail(CZ_ERR_INPUT,
                         "%s: its files are not those that rank 0 found there before: they must "
                         "not change while a job runs",
                         config->text.model);
    return cz_comm_agree(comm, status);
}

static cz_status check_finite(const missing *m, int width, const cz_config *config)
{
    for (int i = 0; i < m->count; i++)
        for (int c = 0; c < width; c++)
            if (!isfinite(m->vectors[(size_t)i * (size_t)width + (size_t)c]))
                return cz_fail(CZ_ERR_INPUT,
                               "%s: the vector of '%.200s' is not finite: the weights are damaged",
                               config->text.model, m->label[i]);
    return CZ_OK;
}

static void warn_of_texts(const text_plan *plan, int limit)
{
    if (plan->cut)
        cz_warn("%d of %d labels are longer than the text model's %d tokens and are cut", plan->cut,
                plan->count, limit);
    if (plan->unknown)
        cz_warn("%d of %d labels hold words that the text model's vocabulary cannot spell",
                plan->unknown, plan->count);
}

static cz_status compute(missing *m, const text_model *model, const cz_config *config,
                         const cz_backend *backend, const cz_comm *comm, cz_pool *pool)
{
    int width = cz_bert_get_shape(model->bert)->width;
    text_plan plan;
    cz_status status =
        text_plan_make(&plan, model, m->label, m->count, comm->size * cz_pool_threads(pool));
    m->vectors = cz_alloc((size_t)m->count * (size_t)width, sizeof *m->vectors, "label vectors");
    if (!status && !m->vectors) status = CZ_ERR_MEMORY;
    status = cz_comm_agree(comm, status);
    if (!status)
        status = text_encode(m->vectors, &plan, model, config->text.pooling, backend, comm, pool);
    if (!status) status = cz_comm_agree(comm, check_finite(m, width, config));
    if (!status) warn_of_texts(&plan, model->limit);
    text_plan_free(&plan);
    return status;
}

/* All vectors in their order, padded, on rank 0. */
static cz_status put_together(cz_embedding *e, char *const *label, int count, const missing *m,
                              const label_cache *cache, int found, const cz_config *config)
{
    size_t bytes = (size_t)found * sizeof *e->vectors;
    CZ_TRY(cz_label_width(&e->width, found, config->text.model, config));
    e->vectors = cz_alloc((size_t)count * (size_t)e->width, sizeof *e->vectors, "label vectors");
    if (!e->vectors) return CZ_ERR_MEMORY;
    for (int i = 0; i < m->count; i++)
        memcpy(e->vectors + (size_t)m->index[i] * (size_t)e->width,
               m->vectors + (size_t)i * (size_t)found, bytes);
    for (int i = 0; i < count; i++) {
        int row = cz_label_row(&cache->table, label[i]);
        if (row >= 0 && cache->table.vector)
            memcpy(e->vectors + (size_t)i * (size_t)e->width,
                   cache->table.vector + (size_t)row * (size_t)found, bytes);
    }
    return CZ_OK;
}

static void describe_made(cz_embedding *e, int count, int computed, const label_cache *cache)
{
    int used = snprintf(e->made, sizeof e->made, "%d made now", computed);
    if (cache->path[0])
        snprintf(e->made + used, sizeof e->made - (size_t)used, ", %d from %.900s",
                 count - computed, cache->path);
}

static const char *pooling_words(const cz_config *config)
{
    return config->text.pooling == CZ_POOLING_MEAN ? "mean of all tokens" : "[CLS]";
}

static void describe(cz_embedding *e, int count, const text_model *model, int computed,
                     const label_cache *cache, const cz_config *config)
{
    const cz_bert_shape *s = cz_bert_get_shape(model->bert);
    snprintf(e->about, sizeof e->about, "%d vectors by %.800s: BERT of %d layers x %d, %s, %s",
             count, config->text.model, s->layers, s->width, cz_tokenizer_origin(model->tokenizer),
             pooling_words(config));
    describe_made(e, count, computed, cache);
    int unused;
    const char *names = cz_bert_unused(model->bert, &unused);
    if (unused) cz_log("%s: %d tensors are not used: %s", config->text.model, unused, names);
}

static cz_status with_cache(cz_embedding *e, char *const *label, int count, const cz_config *config,
                            label_cache *cache, const text_model *model, const cz_backend *backend,
                            const cz_comm *comm, cz_pool *pool)
{
    int width = cz_bert_get_shape(model->bert)->width;
    missing m = {0};
    cz_status status = find_missing(&m, label, count, cache, comm);
    if (!status && m.count) {
        status = compute(&m, model, config, backend, comm, pool);
        if (!status) status = check_key(e->identity, config, comm);
    }
    if (!status && comm->rank == 0) {
        status = put_together(e, label, count, &m, cache, width, config);
        if (!status) label_cache_add(cache, m.label, m.vectors, m.count, width, config);
        if (!status) describe(e, count, model, m.count, cache, config);
    }
    if (status != CZ_ERR_MPI) status = share(e, count, comm, cz_comm_agree(comm, status));
    missing_free(&m);
    return status;
}

/* All of them, on rank 0: no rank opens the model. */
static cz_status from_cache(cz_embedding *e, char *const *label, int count, const cz_config *config,
                            const label_cache *cache, const cz_comm *comm)
{
    cz_status status = CZ_OK;
    if (comm->rank == 0) {
        status = put_together(e, label, count, &(missing){0}, cache, cache->table.width, config);
        snprintf(e->about, sizeof e->about, "%d vectors by %.800s, %s", count, config->text.model,
                 pooling_words(config));
        describe_made(e, count, 0, cache);
    }
    return share(e, count, comm, status);
}

static cz_status by_model(cz_embedding *e, char *const *label, int count, const cz_config *config,
                          label_cache *cache, const cz_backend *backend, const cz_comm *comm,
                          cz_pool *pool)
{
    text_model model = {0};
    int padded;
    cz_status status = text_model_open(&model, config);
    int width = status ? 0 : cz_bert_get_shape(model.bert)->width;
    if (!status) status = cz_label_width(&padded, width, config->text.model, config);
    status = cz_comm_agree(comm, status);
    if (!status && comm->rank == 0) label_cache_check(cache, width);
    if (!status) status = with_cache(e, label, count, config, cache, &model, backend, comm, pool);
    text_model_close(&model);
    return status;
}

static cz_status by_model_or_cache(cz_embedding *e, char *const *label, int count,
                                   const cz_config *config, const char *folder,
                                   const cz_backend *backend, const cz_comm *comm, cz_pool *pool)
{
    label_cache cache = {0};
    bool kept = false;
    /* The key first: what is opened later cannot be older. */
    cz_status status = comm->rank ? CZ_OK : text_model_key(&e->identity, config);
    if (!status && comm->rank == 0) {
        label_cache_open(&cache, folder, text_cache_key(e->identity, backend));
        kept = label_cache_holds(&cache, label, count);
    }
    status = cz_comm_broadcast(comm, status, &kept, sizeof kept);
    if (!status)
        status = kept ? from_cache(e, label, count, config, &cache, comm)
                      : by_model(e, label, count, config, &cache, backend, comm, pool);
    label_cache_close(&cache);
    return status;
}

cz_status cz_embed_labels(cz_embedding *e, char *const *label, int count, const cz_config *config,
                          const char *cache, const cz_backend *backend, const cz_comm *comm,
                          cz_pool *pool)
{
    CZ_PHASE("label text");
    *e = (cz_embedding){0};
    cz_status status = config->text.model[0]
                           ? by_model_or_cache(e, label, count, config, cache, backend, comm, pool)
                           : read_table(e, label, count, config, comm);
    if (status) cz_embedding_free(e);
    return status;
}

cz_status cz_embed_shape(int *width, cz_bert_size *weights, char *const *label, int count,
                         const cz_config *config)
{
    text_model model;
    float *vectors;
    *weights = (cz_bert_size){0};
    if (!config->text.model[0]) {
        CZ_TRY(cz_label_vectors(&vectors, width, label, count, config));
        free(vectors);
        return CZ_OK;
    }
    CZ_TRY(text_model_open(&model, config));
    cz_status status =
        cz_label_width(width, cz_bert_get_shape(model.bert)->width, config->text.model, config);
    *weights = cz_bert_memory(model.bert);
    text_model_close(&model);
    return status;
}
