/* One epoch: its order, the cells of this rank for its next steps, and the optimiser steps. */
#include "czhpc/profile.h"
#include "czhpc/schedule.h"
#include "trainer.h"

#include <math.h>
#include <string.h>

int epoch_batch_cells(const cz_trainer *t, int step)
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

cz_status epoch_prepare(cz_trainer *t)
{
    CZ_TRY(cz_comm_agree(t->setup.comm, draw_order(t)));
    for (int i = 0; i < t->train_count; i++) t->order[i] = t->train_row[t->order[i]];
    t->ahead.steps = 0;
    return CZ_OK;
}

int epoch_portion_steps(int batch, int ranks, int width)
{
    int cells = share_most(batch, ranks);
    return portion_cells(width, cells) / cells;
}

/* Of a batch of `cells` the first that a thread of this rank takes; of thread `threads`, the end.
 */
static int thread_begin(const cz_trainer *t, int cells, int thread)
{
    return worker_begin(cells, t->setup.comm->rank * t->threads + thread, t->workers);
}

/* This rank's cells of a step: the place in the epoch of the first, and how many. */
static int cells_of_step(int *count, const cz_trainer *t, int step)
{
    int cells = epoch_batch_cells(t, step), begin = thread_begin(t, cells, 0);
    *count = thread_begin(t, cells, t->threads) - begin;
    return step * t->setup.config->train.batch + begin;
}

/* A cell that is drawn twice in a step has two masks: they go by the place in the epoch. */
static void address_masks(cz_trainer *t)
{
    const portion *p = &t->ahead;
    if (t->setup.config->train.sampler != CZ_SAMPLER_BALANCED) return;
    for (int s = 0; s < p->steps; s++) {
        int count, place = cells_of_step(&count, t, p->first + s);
        for (int i = 0; i < count; i++) t->held.cell[p->begin[s] + i] = (uint32_t)(place + i);
    }
}

/* Every rank knows the whole order; it fetches the cells that its workers will take. */
cz_status epoch_fetch(cz_trainer *t)
{
    portion *p = &t->ahead;
    int step = t->progress.step, left = t->steps - step, held = 0;
    if (step >= p->first && step < p->first + p->steps) return CZ_OK;
    CZ_PHASE("fetch cells");
    p->first = step;
    p->steps = left < p->most ? left : p->most;
    for (int s = 0; s < p->steps; s++) {
        int count, place = cells_of_step(&count, t, step + s);
        memcpy(t->held.row + held, t->order + place, (size_t)count * sizeof *t->order);
        p->begin[s] = held;
        held += count;
    }
    p->begin[p->steps] = held;
    t->held.count = held;
    CZ_TRY(row_set_fill(&t->held, t));
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

void epoch_set_step(cz_trainer *t, int step, int64_t done)
{
    const cz_config *config = t->setup.config;
    t->step.step = (uint32_t)done;
    t->step.lr = epoch_lr(t, done);
    t->step.bias1 = 1 - pow(0.9, (double)(done + 1));
    t->step.bias2 = 1 - pow(0.999, (double)(done + 1));
    int cells = epoch_batch_cells(t, step);
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

cz_status epoch_update(void *context, int thread, size_t begin, size_t end, const void *gradient)
{
    cz_trainer *t = context;
    size_t at = begin * cz_dtype_size(t->dtype);
    int n = (int)(end - begin);
    cz_arena none = {0};
    cz_exec exec = {.backend = t->update, .step = &t->step, .scratch = &none};
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
    int cells = epoch_batch_cells(t, job->step);
    int first = t->ahead.begin[job->step - t->ahead.first] - thread_begin(t, cells, 0);
    cz_batch batch = row_set_batch(&t->held, t, first + thread_begin(t, cells, thread),
                                   first + thread_begin(t, cells, thread + 1));
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
    return cz_reducer_step(t->reducer, thread, epoch_update, t, &w->sums);
}

cz_status epoch_diverged(const cz_trainer *t, int64_t step)
{
    return cz_fail(CZ_ERR_DIVERGED,
                   "training diverged: the loss of step %lld (epoch %d) is not finite; lower "
                   "train.lr, or look for huge values among the features",
                   (long long)step, t->progress.epoch + 1);
}

cz_status epoch_step(cz_trainer *t, int step, cz_step_sums *sums)
{
    epoch_set_step(t, step, t->progress.steps_done);
    cz_status status = cz_pool_run(t->setup.pool, train_worker, &(step_job){t, step});
    *sums = t->worker[0].sums;
    if (!status) status = (cz_status)sums->status;
    if (status == CZ_ERR_DIVERGED) return epoch_diverged(t, t->progress.steps_done + 1);
    /* The reduction gave every rank the status; the message is where the failure was. After a
     * failure of MPI itself the others may be elsewhere. */
    return !status || status == CZ_ERR_MPI ? status : cz_comm_agree(t->setup.comm, status);
}

int cz_train_steps(int train_cells, int batch) { return (train_cells + batch - 1) / batch; }
