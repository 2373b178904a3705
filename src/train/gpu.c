/* What a trainer has on a GPU, and the state's way there and back. */
#include "gpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static cz_status take(gpu_state *g, void **to, size_t bytes, bool pinned)
{
    if (g->owned_count == GPU_ARRAYS) return cz_fail(CZ_ERR_BUG, "too many arrays on a GPU");
    CZ_TRY(pinned ? cz_gpu_allocate_host(g->gpu, to, bytes) : cz_gpu_allocate(g->gpu, to, bytes));
    g->owned[g->owned_count++] = (gpu_array){*to, pinned};
    return CZ_OK;
}

cz_status gpu_take(gpu_state *g, void *at, size_t bytes) { return take(g, at, bytes, false); }
cz_status gpu_take_host(gpu_state *g, void *at, size_t bytes) { return take(g, at, bytes, true); }

cz_exec gpu_exec(const cz_trainer *t, cz_arena *scratch)
{
    return (cz_exec){.backend = t->setup.backend,
                     .step = (const cz_step *)t->gpu->current,
                     .scratch = scratch,
                     .gpu = t->gpu->gpu};
}

/* 16 bytes a time is what a record is fed in. */
static size_t part(size_t *at, size_t bytes)
{
    size_t begin = *at;
    *at += (bytes + 15) & ~(size_t)15;
    return begin;
}

static record_layout layout_of(int heads, int most, int slots)
{
    record_layout l = {.most = most, .slots = slots};
    size_t cells = (size_t)most * sizeof(int32_t);
    part(&l.bytes, sizeof(cz_step));
    l.row = part(&l.bytes, cells);
    l.cell = part(&l.bytes, cells);
    l.slot = part(&l.bytes, cells);
    l.slot_label = part(&l.bytes, (size_t)slots * sizeof(int32_t));
    for (int h = 0; h < heads; h++) l.code[h] = part(&l.bytes, cells);
    return l;
}

static cz_status take_state(cz_trainer *t, gpu_state *g)
{
    size_t n = cz_model_params(t->setup.model)->total, wide = n * cz_dtype_size(t->dtype);
    cz_dtype stored = cz_backend_dtype(t->setup.backend);
    CZ_TRY(gpu_take(g, &g->w, wide));
    CZ_TRY(gpu_take(g, &g->g, wide));
    if (stored != t->dtype) CZ_TRY(gpu_take(g, &g->copy, n * cz_dtype_size(stored)));
    if (t->setup.gpu_sums == CZ_SUMS_BY_HOST) return CZ_OK;
    CZ_TRY(gpu_take(g, &g->m, wide));
    return gpu_take(g, &g->v, wide);
}

/* Label vectors and class weights, which stay. */
static cz_status take_constants(cz_trainer *t, gpu_state *g)
{
    const cz_trainer_setup *s = &t->setup;
    int classes = s->cells->target.classes;
    size_t text = (size_t)cz_rows(s->text) * (size_t)cz_cols(s->text) * sizeof(float);
    if (s->text.data) {
        g->text = s->text;
        CZ_TRY(gpu_take(g, &g->text.data, text));
        CZ_TRY(cz_gpu_move(g->gpu, g->text.data, s->text.data, text));
        g->slot_of = cz_alloc((size_t)cz_rows(s->text), sizeof *g->slot_of, "label slots");
        if (!g->slot_of) return CZ_ERR_MEMORY;
        for (int i = 0; i < cz_rows(s->text); i++) g->slot_of[i] = -1;
    }
    if (t->class_weight) {
        size_t bytes = (size_t)classes * sizeof *g->class_weight;
        CZ_TRY(gpu_take(g, &g->class_weight, bytes));
        CZ_TRY(cz_gpu_move(g->gpu, g->class_weight, t->class_weight, bytes));
    }
    return cz_gpu_wait(g->gpu);
}

static cz_status take_portion(cz_trainer *t, gpu_state *g)
{
    size_t steps = (size_t)t->ahead.most, cells = (size_t)g->capacity;
    size_t x = cells * (size_t)t->setup.cells->width * sizeof *g->x;
    size_t sums = steps * 3 * (size_t)t->heads * sizeof *g->sums;
    CZ_TRY(gpu_take(g, &g->x, x));
    CZ_TRY(gpu_take(g, &g->records, steps * g->layout.bytes));
    CZ_TRY(gpu_take(g, &g->current, g->layout.bytes));
    CZ_TRY(gpu_take(g, &g->cursor, sizeof *g->cursor));
    CZ_TRY(gpu_take(g, &g->sums, sums));
    CZ_TRY(gpu_take_host(g, &g->cursor_staged, GPU_HALVES * sizeof *g->cursor_staged));
    for (int i = 0; i < GPU_HALVES; i++) {
        CZ_TRY(gpu_take_host(g, &g->x_staged[i], x));
        CZ_TRY(gpu_take_host(g, &g->records_staged[i], steps * g->layout.bytes));
        CZ_TRY(gpu_take_host(g, &g->sums_staged[i], sums));
    }
    for (int h = 0; h < t->heads; h++) {
        CZ_TRY(gpu_take(g, &g->loss[h], cells * sizeof **g->loss));
        CZ_TRY(gpu_take(g, &g->best[h], cells * sizeof **g->best));
    }
    return CZ_OK;
}

static cz_status take_evaluation(cz_trainer *t, gpu_state *g, int labels)
{
    const cz_model_spec *s = cz_model_get_spec(t->setup.model);
    size_t cells = (size_t)g->capacity, number = sizeof(int32_t), T = (size_t)s->tokens;
    size_t block = (size_t)g->evaluation_block, blocks = (cells + block - 1) / block;
    size_t slots = (size_t)slot_count(labels, g->evaluation_block);
    CZ_TRY(gpu_take(g, &g->row, cells * number));
    CZ_TRY(gpu_take(g, &g->cell, cells * number));
    CZ_TRY(gpu_take(g, &g->slot, cells * number));
    CZ_TRY(gpu_take(g, &g->slot_label, blocks * slots * number));
    for (int h = 0; h < t->heads; h++) {
        size_t classes = (size_t)s->head[h].classes;
        CZ_TRY(gpu_take(g, &g->code[h], cells * number));
        CZ_TRY(gpu_take(g, &g->logits[h], cells * classes * cz_dtype_size(t->dtype)));
    }
    return gpu_take(g, &g->tally, T * ((size_t)s->latents + T) * sizeof *g->tally);
}

/* Evaluations come in portions of their own size. */
static int most_cells(int steps, int batch_share, int width)
{
    int train = steps * batch_share, blocks = portion_cells(width, EVALUATION_BLOCK);
    return train > blocks ? train : blocks;
}

size_t gpu_pinned_bytes(const cz_config *config, int width, int heads, int labels, int train,
                        int ranks)
{
    int batch = config->train.batch, most = share_most(batch, ranks);
    int ahead = epoch_portion_steps(batch, ranks, width), steps = cz_train_steps(train, batch);
    if (ahead > steps) ahead = steps;
    size_t record = layout_of(heads, most, slot_count(labels, most)).bytes;
    size_t x = (size_t)most_cells(ahead, most, width) * (size_t)width * sizeof(float);
    size_t sums = 3 * (size_t)heads * sizeof(double);
    return GPU_HALVES * (x + (size_t)ahead * (record + sums));
}

/* Several batches of them where those are small: a block of few cells costs a GPU no less. The
 * workspace, of training too, has room for as many, or for train.block. */
static int evaluation_cells(int batch, int ranks)
{
    const int batches = 4, most = 512;
    int share = share_most(batch, ranks), least = worker_cells(batch, ranks);
    int cells = share < most / batches ? batches * share : most;
    return cells > least ? cells : least;
}

cz_status gpu_open(cz_trainer *t)
{
    const cz_trainer_setup *s = &t->setup;
    gpu_state *g = t->gpu = cz_alloc(1, sizeof *g, "what a GPU needs");
    if (!g) return CZ_ERR_MEMORY;
    int labels = s->text.data ? cz_rows(s->text) : 0;
    int most = share_most(s->config->train.batch, s->comm->size);
    g->gpu = s->gpu;
    g->layout = layout_of(t->heads, most, slot_count(labels, most));
    g->capacity = most_cells(t->ahead.most, most, s->cells->width);
    g->evaluation_block = evaluation_cells(s->config->train.batch, s->comm->size);
    int block = s->config->train.block ? s->config->train.block : g->evaluation_block;
    CZ_TRY(take_state(t, g));
    CZ_TRY(take_constants(t, g));
    CZ_TRY(take_portion(t, g));
    CZ_TRY(take_evaluation(t, g, labels));
    return cz_workspace_open(&g->workspace, s->model, s->backend, g->gpu, g->text, block,
                             slot_count(labels, g->evaluation_block));
}

void gpu_close(cz_trainer *t)
{
    gpu_state *g = t->gpu;
    if (!g) return;
    if (t->failed) cz_gpu_give_up(g->gpu); /* another rank's GPU may have failed */
    cz_gpu_wait(g->gpu);
    for (int i = 0; i < g->shapes; i++) cz_gpu_forget(g->gpu, g->shape[i].graph);
    cz_workspace_close(g->workspace);
    for (int i = 0; i < g->owned_count; i++)
        if (g->owned[i].pinned) cz_gpu_release_host(g->gpu, g->owned[i].data);
        else cz_gpu_release(g->gpu, g->owned[i].data);
    free(g->slot_of);
    free(g);
    t->gpu = NULL;
}

/* The GPUs of the group, so that they can sum by themselves. */
static cz_status join(cz_trainer *t)
{
    const cz_comm *comm = t->setup.comm;
    char id[CZ_GPU_ID_BYTES] = {0};
    if (comm->size == 1 || t->setup.gpu_sums != CZ_SUMS_BY_GPUS) return CZ_OK;
    cz_status status = comm->rank ? CZ_OK : cz_gpu_group_id(t->gpu->gpu, id);
    CZ_TRY(cz_comm_broadcast(comm, status, id, sizeof id));
    return cz_comm_agree(comm, cz_gpu_join(t->gpu->gpu, id, comm->rank, comm->size));
}

cz_status gpu_begin(cz_trainer *t)
{
    CZ_TRY(join(t));
    return gpu_state_up(t);
}

/* The copy of the weights that products read. */
static cz_status refresh_copy(cz_trainer *t)
{
    gpu_state *g = t->gpu;
    int n = (int)cz_model_params(t->setup.model)->total;
    cz_arena none = {0};
    cz_exec exec = gpu_exec(t, &none);
    if (!g->copy) return CZ_OK;
    return cz_copy(&exec, cz_vector(g->copy, cz_backend_dtype(t->setup.backend), n),
                   cz_vector(g->w, t->dtype, n));
}

cz_status gpu_weights_up(cz_trainer *t)
{
    gpu_state *g = t->gpu;
    size_t n = cz_model_params(t->setup.model)->total;
    CZ_TRY(cz_gpu_move(g->gpu, g->w, cz_reducer_weights(t->reducer), n * cz_dtype_size(t->dtype)));
    return refresh_copy(t);
}

/* A rank may have only its slices of the moments: all of them go to every GPU. */
static cz_status moment_up(cz_trainer *t, void *to, void *moment, const int *counts)
{
    const gpu_state *g = t->gpu;
    size_t begin, end, size = cz_dtype_size(t->dtype), n = cz_model_params(t->setup.model)->total;
    cz_reducer_rank_slice(t->reducer, &begin, &end);
    char *all = cz_alloc(n, size, "the moments of a state");
    cz_status status = cz_comm_agree(t->setup.comm, all ? CZ_OK : CZ_ERR_MEMORY);
    if (!status)
        status =
            cz_comm_gather_all(t->setup.comm, all, (char *)moment + begin * size, counts, size);
    if (status == CZ_ERR_MPI) goto done;
    if (!status) status = cz_gpu_move(g->gpu, to, all, n * size);
    if (!status) status = cz_gpu_wait(g->gpu);
    status = cz_comm_agree(t->setup.comm, status);
done:
    free(all);
    return status;
}

static cz_status moments_up(cz_trainer *t)
{
    const cz_comm *comm = t->setup.comm;
    size_t begin, end;
    cz_reducer_rank_slice(t->reducer, &begin, &end);
    int own = (int)(end - begin), *counts = cz_alloc((size_t)comm->size, sizeof *counts, "slices");
    cz_status status = cz_comm_agree(comm, counts ? CZ_OK : CZ_ERR_MEMORY);
    if (!status && MPI_Allgather(&own, 1, MPI_INT, counts, 1, MPI_INT, comm->mpi) != MPI_SUCCESS)
        status = cz_fail(CZ_ERR_MPI, "the ranks could not agree on slices of the state");
    if (!status) status = moment_up(t, t->gpu->m, cz_reducer_moment1(t->reducer), counts);
    if (!status) status = moment_up(t, t->gpu->v, cz_reducer_moment2(t->reducer), counts);
    free(counts);
    return status;
}

cz_status gpu_state_up(cz_trainer *t)
{
    cz_status status = gpu_weights_up(t);
    if (!status) status = cz_gpu_wait(t->gpu->gpu);
    CZ_TRY(cz_comm_agree(t->setup.comm, status));
    return t->setup.gpu_sums == CZ_SUMS_BY_HOST ? CZ_OK : moments_up(t);
}

static cz_status slice_down(cz_trainer *t, void *to, const void *from)
{
    size_t begin, end, size = cz_dtype_size(t->dtype);
    cz_reducer_rank_slice(t->reducer, &begin, &end);
    return cz_gpu_move(t->gpu->gpu, (char *)to + begin * size, (const char *)from + begin * size,
                       (end - begin) * size);
}

/* A GPU's ReLU may make a NaN 0, so that what lies before it is broken and no loss shows it. */
static cz_status check_weights(const cz_trainer *t)
{
    const float *w = cz_reducer_weights(t->reducer);
    size_t begin, end;
    cz_reducer_rank_slice(t->reducer, &begin, &end);
    bool finite = true;
    for (size_t i = begin; i < end; i++) finite = finite && isfinite(w[i]);
    if (finite) return CZ_OK;
    return cz_fail(CZ_ERR_DIVERGED,
                   "training diverged: weights are not finite after step %lld; lower train.lr, or "
                   "look for huge values among the features",
                   (long long)t->progress.steps_done);
}

static cz_status state_down(cz_trainer *t)
{
    gpu_state *g = t->gpu;
    if (t->setup.gpu_sums == CZ_SUMS_BY_HOST) return CZ_OK;
    cz_status status = slice_down(t, cz_reducer_weights(t->reducer), g->w);
    if (!status) status = slice_down(t, cz_reducer_moment1(t->reducer), g->m);
    if (!status) status = slice_down(t, cz_reducer_moment2(t->reducer), g->v);
    if (!status) status = cz_gpu_wait(g->gpu);
    CZ_TRY(cz_comm_agree(t->setup.comm, status));
    return cz_reducer_publish(t->reducer);
}

cz_status gpu_state_down(cz_trainer *t)
{
    CZ_TRY(state_down(t));
    return cz_comm_agree(t->setup.comm, check_weights(t));
}
