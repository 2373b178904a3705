/* One epoch: its order, the cells of this rank, and its optimiser steps. */
#include "czhpc/profile.h"
#include "czhpc/schedule.h"
#include "trainer.h"

#include <math.h>
#include <string.h>

static int batch_cells(const cz_trainer *t, int step)
{
    int batch = t->setup.config->train.batch, left = t->train_count - step * batch;
    return left < batch ? left : batch;
}

/* The cells of the epoch in their order, by place in train_row. */
static cz_status draw_order(cz_trainer *t)
{
    const cz_config *config = t->setup.config;
    int64_t seed = config->run.seed;
    if (config->train.sampler == CZ_SAMPLER_BALANCED)
        return cz_epoch_order_balanced(t->order, t->train_count, t->train_code,
                                       t->setup.cells->target.classes, seed, t->step.phase,
                                       t->progress.epoch);
    cz_epoch_order(t->order, t->train_count, seed, t->step.phase, t->progress.epoch);
    return CZ_OK;
}

/* A cell that is drawn twice in a step has two masks: they go by the place in the epoch. */
static void address_masks(cz_trainer *t)
{
    int rank_first = t->setup.comm->rank * t->threads, batch = t->setup.config->train.batch;
    if (t->setup.config->train.sampler != CZ_SAMPLER_BALANCED) return;
    for (int s = 0; s < t->steps; s++) {
        int first = s * batch + worker_begin(batch_cells(t, s), rank_first, t->workers);
        for (int i = t->step_begin[s]; i < t->step_begin[s + 1]; i++)
            t->epoch.cell[i] = (uint32_t)(first + i - t->step_begin[s]);
    }
}

/* Every rank knows the whole order; it fetches the cells that its workers will take. */
cz_status epoch_prepare(cz_trainer *t)
{
    CZ_PHASE("fetch cells");
    const cz_config *config = t->setup.config;
    int rank = t->setup.comm->rank, batch = config->train.batch, count = 0;
    CZ_TRY(cz_comm_agree(t->setup.comm, draw_order(t)));
    for (int i = 0; i < t->train_count; i++) t->order[i] = t->train_row[t->order[i]];

    for (int s = 0; s < t->steps; s++) {
        int cells = batch_cells(t, s);
        t->step_begin[s] = count;
        count += worker_begin(cells, (rank + 1) * t->threads, t->workers) -
                 worker_begin(cells, rank * t->threads, t->workers);
    }
    t->step_begin[t->steps] = count;
    cz_status status = row_set_reserve(&t->epoch, t, count);
    for (int s = 0; s < t->steps && !status; s++) {
        int first = s * batch + worker_begin(batch_cells(t, s), rank * t->threads, t->workers);
        memcpy(t->epoch.row + t->step_begin[s], t->order + first,
               (size_t)(t->step_begin[s + 1] - t->step_begin[s]) * sizeof *t->order);
    }
    CZ_TRY(cz_comm_agree(t->setup.comm, status));
    CZ_TRY(row_set_fill(&t->epoch, t));
    address_masks(t);
    return CZ_OK;
}

double epoch_lr(const cz_trainer *t, int64_t step)
{
    const cz_config *config = t->setup.config;
    int64_t all = (int64_t)t->steps * config->train.epochs;
    return config->train.lr *
           cz_schedule(step, all, config->train.warmup, config->train.cosine_cycles);
}

/* lr, bias corrections and normalisers of the step to come. */
static void set_step(cz_trainer *t, int step)
{
    const cz_config *config = t->setup.config;
    int64_t done = t->progress.steps_done;
    t->step.step = (uint32_t)done;
    t->step.lr = epoch_lr(t, done);
    t->step.bias1 = 1 - pow(0.9, (double)(done + 1));
    t->step.bias2 = 1 - pow(0.999, (double)(done + 1));
    int cells = batch_cells(t, step);
    const int32_t *row = t->order + (size_t)step * (size_t)config->train.batch;
    for (int h = 0; h < t->heads; h++) {
        const int32_t *code = cz_head_column(t->setup.cells, h)->code;
        const double *weight = t->step.class_weight[h].data;
        double known = 0;
        for (int i = 0; i < cells; i++)
            if (code[row[i]] >= 0) known += weight ? weight[code[row[i]]] : 1;
        t->step.scale[h] = known > 0 ? 1 / known : 0;
    }
}

static cz_status update(void *context, int thread, size_t begin, size_t end, const void *gradient)
{
    cz_trainer *t = context;
    size_t at = begin * cz_dtype_size(t->dtype);
    int n = (int)(end - begin);
    cz_arena none = {0};
    cz_exec exec = {t->setup.backend, &t->step, &none};
    (void)thread;
    return cz_adam(&exec, cz_vector((char *)cz_reducer_weights(t->reducer) + at, t->dtype, n),
                   cz_vector((char *)cz_reducer_moment1(t->reducer) + at, t->dtype, n),
                   cz_vector((char *)cz_reducer_moment2(t->reducer) + at, t->dtype, n),
                   cz_vector((void *)gradient, t->dtype, n), t->setup.config->train.weight_decay);
}

static void add_sums(const cz_trainer *t, worker *w, const cz_batch *batch)
{
    w->sums = (cz_step_sums){.stop = *t->setup.stop != 0};
    for (int h = 0; h < t->heads; h++) {
        double loss = 0, correct = 0, known = 0;
        for (int i = 0; i < batch->cells; i++) {
            if (batch->code[h][i] < 0) continue;
            loss += w->loss[h][i];
            correct += w->best[h][i] == batch->code[h][i];
            known++;
        }
        w->sums.sum[sum_loss(h)] = loss;
        w->sums.sum[sum_correct(h)] = correct;
        w->sums.sum[sum_known(h)] = known;
        if (!isfinite(loss)) w->sums.status = CZ_ERR_DIVERGED;
    }
}

typedef struct step_job {
    cz_trainer *trainer;
    int step;
} step_job;

static cz_status train_worker(void *context, int thread)
{
    CZ_STEP("step");
    const step_job *job = context;
    cz_trainer *t = job->trainer;
    worker *w = &t->worker[thread];
    int cells = batch_cells(t, job->step), index = t->setup.comm->rank * t->threads + thread;
    int rank_first = worker_begin(cells, t->setup.comm->rank * t->threads, t->workers);
    int first = t->step_begin[job->step] - rank_first;
    cz_batch batch = row_set_batch(&t->epoch, t, first + worker_begin(cells, index, t->workers),
                                   first + worker_begin(cells, index + 1, t->workers));
    cz_outcome outcome = {0};
    for (int h = 0; h < t->heads; h++) {
        outcome.loss[h] = w->loss[h];
        outcome.best[h] = w->best[h];
    }
    void *gradient = cz_reducer_gradient(t->reducer, thread);
    cz_status status =
        cz_model_train(w->workspace, trainer_weights(t), gradient, &batch, &t->step, &outcome);
    add_sums(t, w, &batch);
    int labels = cz_workspace_labels(w->workspace);
    w->flops += cz_model_flops(t->setup.model, batch.cells, labels, true);
    if (status) w->sums.status = (int)status;
    return cz_reducer_step(t->reducer, thread, update, t, &w->sums);
}

cz_status epoch_step(cz_trainer *t, int step, cz_step_sums *sums)
{
    set_step(t, step);
    cz_status status = cz_pool_run(t->setup.pool, train_worker, &(step_job){t, step});
    *sums = t->worker[0].sums;
    if (!status) status = (cz_status)sums->status;
    if (status == CZ_ERR_DIVERGED)
        return cz_fail(status,
                       "training diverged: the loss of step %lld (epoch %d) is not finite; lower "
                       "train.lr, or look for huge values among the features",
                       (long long)t->progress.steps_done + 1, t->progress.epoch + 1);
    /* The reduction gave every rank the status; the message is where the failure was. After a
     * failure of MPI itself the others may be elsewhere. */
    return !status || status == CZ_ERR_MPI ? status : cz_comm_agree(t->setup.comm, status);
}

int cz_train_steps(int train_cells, int batch) { return (train_cells + batch - 1) / batch; }
