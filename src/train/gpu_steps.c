/* The steps of an epoch on a GPU: portions of them are written down as records, which the recorded
 * step takes one after the other. */
#include "gpu.h"

#include "czhpc/profile.h"

#include <math.h>
#include <string.h>

static int32_t *numbers(char *record, size_t at) { return (int32_t *)(record + at); }

/* What the kernels of a step read: cells [begin, end) of those that are held. */
static cz_status write_record(cz_trainer *t, char *record, int begin, int end)
{
    const gpu_state *g = t->gpu;
    const record_layout *l = &g->layout;
    const row_set *held = &t->held;
    size_t bytes = (size_t)(end - begin) * sizeof(int32_t);
    cz_step step = t->step;
    if (g->class_weight) step.class_weight[0].data = g->class_weight;
    memcpy(record, &step, sizeof step);
    memcpy(record + l->row, held->place + begin, bytes);
    memcpy(record + l->cell, held->cell + begin, bytes);
    for (int h = 0; h < t->heads; h++) memcpy(record + l->code[h], held->code[h] + begin, bytes);
    if (!l->slots) return CZ_OK;
    int used, labels = cz_rows(g->text);
    int32_t *label = numbers(record, l->slot_label);
    CZ_TRY(cz_assign_slots(numbers(record, l->slot), label, &used, g->slot_of, held->label + begin,
                           end - begin, labels, l->slots));
    for (int s = used; s < l->slots; s++) label[s] = 0; /* no cell reads it: shapes stay the same */
    return CZ_OK;
}

/* Steps [first, first + count) of the epoch, all of them held, on their way to the GPU. What was
 * staged in this half is used up: its sums were collected after the portion before. */
static cz_status upload(cz_trainer *t, int first, int count)
{
    CZ_SPAN("upload");
    gpu_state *g = t->gpu;
    const portion *p = &t->ahead;
    int half = g->half;
    size_t x = (size_t)t->held.count * (size_t)t->setup.cells->width * sizeof *g->x;
    for (int i = 0; i < count; i++) {
        const int *begin = p->begin + (first + i - p->first);
        epoch_set_step(t, first + i, t->progress.steps_done + i);
        CZ_TRY(write_record(t, g->records_staged[half] + (size_t)i * g->layout.bytes, begin[0],
                            begin[1]));
    }
    if (first == p->first) {
        memcpy(g->x_staged[half], t->held.x, x);
        CZ_TRY(cz_gpu_move(g->gpu, g->x, g->x_staged[half], x));
    }
    g->cursor_staged[half] = 0;
    CZ_TRY(
        cz_gpu_move(g->gpu, g->records, g->records_staged[half], (size_t)count * g->layout.bytes));
    return cz_gpu_move(g->gpu, g->cursor, &g->cursor_staged[half], sizeof *g->cursor);
}

static cz_batch current_batch(const cz_trainer *t, int cells)
{
    const gpu_state *g = t->gpu;
    const record_layout *l = &g->layout;
    cz_batch batch = {
        .cells = cells,
        .x = cz_matrix(g->x, CZ_F32, g->capacity, t->setup.cells->width),
        .row = numbers(g->current, l->row),
        .cell = (const uint32_t *)(g->current + l->cell),
    };
    for (int h = 0; h < t->heads; h++) batch.code[h] = numbers(g->current, l->code[h]);
    if (!l->slots) return batch;
    batch.slot = numbers(g->current, l->slot);
    batch.slot_label = numbers(g->current, l->slot_label);
    batch.slots = l->slots;
    return batch;
}

static cz_status sum_scores(const cz_trainer *t, const cz_batch *batch)
{
    const gpu_state *g = t->gpu;
    cz_gpu_scored scored = {.cells = batch->cells, .heads = t->heads};
    for (int h = 0; h < t->heads; h++) {
        scored.loss[h] = g->loss[h];
        scored.best[h] = g->best[h];
        scored.code[h] = batch->code[h];
    }
    return cz_gpu_score(g->gpu, g->sums, g->cursor, &scored);
}

static cz_status update_weights(cz_trainer *t)
{
    const gpu_state *g = t->gpu;
    size_t n = cz_model_params(t->setup.model)->total;
    cz_arena none = {0};
    cz_exec exec = gpu_exec(t, &none);
    cz_tensor w = cz_vector(g->w, t->dtype, (int)n);
    w.packed = g->copy;
    return cz_adam(&exec, w, cz_vector(g->m, t->dtype, (int)n), cz_vector(g->v, t->dtype, (int)n),
                   cz_vector(g->g, t->dtype, (int)n), t->setup.config->train.weight_decay);
}

static cz_status update_there(cz_trainer *t)
{
    size_t n = cz_model_params(t->setup.model)->total;
    if (t->setup.comm->size > 1) CZ_TRY(cz_gpu_sum(t->gpu->gpu, t->gpu->g, n, t->dtype));
    return update_weights(t);
}

/* All work of a step that the GPU does without the host. */
static cz_status ask_for_step(cz_trainer *t, int cells)
{
    gpu_state *g = t->gpu;
    cz_batch batch = current_batch(t, cells);
    cz_outcome outcome = {0};
    for (int h = 0; h < t->heads; h++) {
        outcome.loss[h] = g->loss[h];
        outcome.best[h] = g->best[h];
    }
    CZ_TRY(cz_gpu_feed(g->gpu, g->current, g->records, g->layout.bytes, g->cursor));
    CZ_TRY(cz_model_train(g->workspace, (cz_weights){g->w, g->copy}, g->g, &batch,
                          (const cz_step *)g->current, &outcome));
    CZ_TRY(sum_scores(t, &batch));
    return t->setup.gpu_sums == CZ_SUMS_BY_GPUS ? update_there(t) : CZ_OK;
}

static gpu_shape *shape_of(gpu_state *g, int batch)
{
    for (int i = 0; i < g->shapes; i++)
        if (g->shape[i].batch == batch) return &g->shape[i];
    if (g->shapes == GPU_SHAPES) { /* more than a batch and its rest: the oldest makes room */
        cz_gpu_forget(g->gpu, g->shape[0].graph);
        memmove(g->shape, g->shape + 1, (GPU_SHAPES - 1) * sizeof *g->shape);
        g->shapes--;
    }
    g->shape[g->shapes] = (gpu_shape){.batch = batch};
    return &g->shape[g->shapes++];
}

/* The first step of a shape is done by itself, the second recorded, the others replayed. */
static cz_status run_step(cz_trainer *t, int cells, int batch)
{
    gpu_state *g = t->gpu;
    gpu_shape *shape = shape_of(g, batch);
    if (!shape->done) {
        shape->done = true;
        return ask_for_step(t, cells);
    }
    if (!shape->graph) {
        CZ_TRY(cz_gpu_record(g->gpu));
        cz_status status = ask_for_step(t, cells);
        cz_status ended = cz_gpu_recorded(g->gpu, &shape->graph);
        CZ_TRY(status ? status : ended);
        if (!t->facts.graph_nodes) t->facts.graph_nodes = cz_gpu_nodes(g->gpu, shape->graph);
    }
    return cz_gpu_replay(g->gpu, shape->graph);
}

typedef struct shared_step {
    cz_trainer *trainer;
    cz_status status; /* of this rank's GPU */
} shared_step;

static cz_status reduce(void *context, int thread)
{
    const shared_step *s = context;
    cz_step_sums sums = {.status = (int)s->status};
    return cz_reducer_step(s->trainer->reducer, thread, epoch_update, s->trainer, &sums);
}

/* Where ranks share a GPU: gradients by the host, weights back. What fails on this rank alone is
 * *own, and shows on all with the next sum. */
static cz_status update_here(cz_trainer *t, int step, int64_t done, cz_status *own)
{
    gpu_state *g = t->gpu;
    size_t bytes = cz_model_params(t->setup.model)->total * cz_dtype_size(t->dtype);
    epoch_set_step(t, step, done);
    if (!*own) *own = cz_gpu_move(g->gpu, cz_reducer_gradient(t->reducer, 0), g->g, bytes);
    if (!*own) *own = cz_gpu_wait(g->gpu);
    CZ_TRY(cz_pool_run(t->setup.pool, reduce, &(shared_step){t, *own}));
    *own = gpu_weights_up(t);
    return CZ_OK;
}

/* Where MPI sums in the GPUs' memory: the update follows, on all ranks or on none. */
static cz_status update_by_mpi(cz_trainer *t, cz_status *own)
{
    const cz_comm *comm = t->setup.comm;
    int n = (int)cz_model_params(t->setup.model)->total;
    MPI_Datatype type = t->dtype == CZ_F64 ? MPI_DOUBLE : MPI_FLOAT;
    if (!*own) *own = cz_gpu_wait(t->gpu->gpu);
    CZ_TRY(cz_comm_agree(comm, *own));
    if (MPI_Allreduce(MPI_IN_PLACE, t->gpu->g, n, type, MPI_SUM, comm->mpi))
        return cz_fail(CZ_ERR_MPI, "the ranks could not add their gradients");
    *own = update_weights(t);
    return CZ_OK;
}

/* A launch that finds its queue full waits in the driver, where no time limit counts: never so many
 * are under way. */
static cz_status hold_back(const gpu_state *g, int asked)
{
    enum { MOST = 64 };
    int which = GPU_HALVES + asked / MOST % 2;
    if (asked % MOST) return CZ_OK;
    CZ_TRY(cz_gpu_wait_for(g->gpu, which));
    return cz_gpu_mark(g->gpu, which);
}

/* Steps [first, first + count), uploaded with this status, and their sums. */
static cz_status run_uploaded(cz_trainer *t, int first, int count, cz_status status)
{
    CZ_SPAN("steps");
    gpu_state *g = t->gpu;
    size_t sums = (size_t)count * 3 * (size_t)t->heads * sizeof *g->sums;
    for (int i = 0; i < count; i++) {
        const int *begin = t->ahead.begin + (first + i - t->ahead.first);
        int cells = begin[1] - begin[0];
        if (!status) status = run_step(t, cells, epoch_batch_cells(t, first + i));
        if (!status) status = hold_back(g, i + 1);
        if (t->setup.gpu_sums == CZ_SUMS_BY_HOST)
            CZ_TRY(update_here(t, first + i, t->progress.steps_done + i, &status));
        if (t->setup.gpu_sums == CZ_SUMS_BY_MPI) CZ_TRY(update_by_mpi(t, &status));
        t->worker[0].flops += cz_model_flops(t->setup.model, cells, g->layout.slots, true);
    }
    if (!status) status = cz_gpu_move(g->gpu, g->sums_staged[g->half], g->sums, sums);
    return status ? status : cz_gpu_mark(g->gpu, g->half);
}

/* The sums of all ranks of the portion before, once it is done, unless they are taken already:
 * added step by step, so that they are the same wherever portions are cut. Collective. */
static cz_status collect(cz_trainer *t)
{
    CZ_SPAN("collect");
    gpu_state *g = t->gpu;
    int half = !g->half, each = 3 * t->heads, steps = g->uncollected[half];
    double *sum = g->sums_staged[half];
    if (!steps) return CZ_OK;
    g->uncollected[half] = 0;
    CZ_TRY(cz_comm_agree(t->setup.comm, cz_gpu_wait_for(g->gpu, half)));
    if (t->setup.comm->size > 1 &&
        MPI_Allreduce(MPI_IN_PLACE, sum, steps * each, MPI_DOUBLE, MPI_SUM, t->setup.comm->mpi))
        return cz_fail(CZ_ERR_MPI, "the ranks could not add their losses");
    for (int s = 0; s < steps; s++, sum += each) {
        for (int h = 0; h < t->heads; h++)
            if (!isfinite(sum[sum_loss(h)]))
                return epoch_diverged(t, t->progress.steps_done - steps + s + 1);
        for (int i = 0; i < each; i++) t->progress.partial[i] += sum[i];
    }
    return CZ_OK;
}

/* Steps that are asked for together: held ones, up to the next that is saved. */
static int steps_together(const cz_trainer *t)
{
    int left = t->ahead.first + t->ahead.steps - t->progress.step;
    int every = t->setup.config->checkpoint.every_steps;
    int until = every ? every - (int)(t->progress.steps_done % every) : left;
    return until < left ? until : left;
}

/* The next of them, and what became of those before. */
static cz_status run_portion(cz_trainer *t)
{
    gpu_state *g = t->gpu;
    double begin = MPI_Wtime();
    CZ_TRY(epoch_fetch(t));
    t->facts.fetch_seconds += MPI_Wtime() - begin;
    if (t->facts.first_step_at == 0) t->facts.first_step_at = MPI_Wtime();
    int first = t->progress.step, count = steps_together(t);
    cz_status status = run_uploaded(t, first, count, upload(t, first, count));
    if (status == CZ_ERR_MPI) return status; /* the others may be elsewhere */
    CZ_TRY(cz_comm_agree(t->setup.comm, status));
    CZ_TRY(collect(t));
    t->progress.step += count;
    t->progress.steps_done += count;
    t->facts.steps_here += count;
    g->uncollected[g->half] = count;
    g->half = !g->half;
    return CZ_OK;
}

static cz_status save_where_due(cz_trainer *t)
{
    int every = t->setup.config->checkpoint.every_steps;
    if (!every || t->progress.steps_done % every) return CZ_OK;
    CZ_TRY(collect(t));
    return trainer_save(t, false);
}

static cz_status run_portions(cz_trainer *t)
{
    while (t->progress.step < t->steps) {
        CZ_TRY(run_portion(t));
        trainer_report_step(t);
        cz_status stop = cz_comm_agree(t->setup.comm, *t->setup.stop ? CZ_STOPPED : CZ_OK);
        if (stop == CZ_STOPPED) {
            CZ_TRY(collect(t));
            return trainer_save_and_stop(t);
        }
        CZ_TRY(stop);
        CZ_TRY(save_where_due(t));
    }
    return collect(t);
}

cz_status gpu_run_steps(cz_trainer *t)
{
    CZ_PHASE("epoch");
    CZ_TRY(epoch_prepare(t));
    double started = MPI_Wtime(), fetched = t->facts.fetch_seconds;
    cz_status status = run_portions(t);
    t->facts.step_seconds += MPI_Wtime() - started - (t->facts.fetch_seconds - fetched);
    return status;
}
