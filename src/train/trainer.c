/* A training run from its first weights to its last epoch. */
#include "trainer.h"
#include "gpu.h"

#include "czhpc/profile.h"
#include "czhpc/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int count_split(const cz_cells *cells, cz_split part)
{
    int count = 0;
    for (int i = 0; i < cells->n; i++) count += cells->split[i] == part;
    return count;
}

int worker_cells(int batch, int workers)
{
    int cells = share_most(batch, workers);
    return cells > EVALUATION_BLOCK ? cells : EVALUATION_BLOCK;
}

/* By measurement (validation/bench_model.c): what products of pairs pack for a block, both operands
 * of every dW, costs more than a larger block's activations do. All levels of a type take the same
 * blocks. */
int block_cells(const cz_config *config, cz_dtype dtype)
{
    if (config->train.block) return config->train.block;
    return dtype == CZ_BF16 ? 64 : 32;
}

/* By the thread that works with it: what it writes first lies near its core. */
static cz_status open_worker(void *context, int thread)
{
    cz_trainer *t = context;
    worker *w = &t->worker[thread];
    const cz_trainer_setup *s = &t->setup;
    int cells = worker_cells(s->config->train.batch, t->workers);
    int labels = s->text.data ? cz_rows(s->text) : 0;
    for (int h = 0; h < t->heads; h++) {
        w->loss[h] = cz_alloc((size_t)cells, sizeof **w->loss, "a worker");
        w->best[h] = cz_alloc((size_t)cells, sizeof **w->best, "a worker");
        if (!w->loss[h] || !w->best[h]) return CZ_ERR_MEMORY;
    }
    return cz_workspace_open(&w->workspace, s->model, s->backend, NULL, s->text,
                             block_cells(s->config, cz_backend_dtype(s->backend)),
                             slot_count(labels, cells));
}

static cz_status print_config(cz_trainer *t)
{
    size_t size;
    FILE *out = open_memstream(&t->config_text, &size);
    if (!out) return cz_fail(CZ_ERR_MEMORY, "no memory for the text of the configuration");
    cz_status status = cz_config_print(t->setup.config, out);
    if (fclose(out) && !status) status = cz_fail(CZ_ERR_MEMORY, "no memory for the configuration");
    return status;
}

static cz_status list_training_cells(cz_trainer *t)
{
    const cz_cells *cells = t->setup.cells;
    t->train_count = count_split(cells, CZ_TRAIN);
    t->steps = cz_train_steps(t->train_count, t->setup.config->train.batch);
    if (t->train_count < 1 || count_split(cells, CZ_VALIDATION) < 1)
        return cz_fail(CZ_ERR_INPUT,
                       "%s: of %d cells %d are for training and %d for validation: both need at "
                       "least one, see split.train and split.validation",
                       cells->facts.source, cells->n, t->train_count,
                       count_split(cells, CZ_VALIDATION));
    t->train_row = cz_alloc((size_t)t->train_count, sizeof *t->train_row, "the order of cells");
    t->train_code = cz_alloc((size_t)t->train_count, sizeof *t->train_code, "the order of cells");
    t->order = cz_alloc((size_t)t->train_count, sizeof *t->order, "the order of cells");
    if (!t->train_row || !t->train_code || !t->order) return CZ_ERR_MEMORY;
    for (int i = 0, k = 0; i < cells->n; i++) {
        if (cells->split[i] != CZ_TRAIN) continue;
        t->train_row[k] = i;
        t->train_code[k++] = cells->target.code[i];
    }
    return CZ_OK;
}

/* Room for the cells of the steps that fetch together. */
static cz_status open_portion(cz_trainer *t)
{
    int batch = t->setup.config->train.batch, ranks = t->setup.comm->size;
    int most = epoch_portion_steps(batch, ranks, t->setup.cells->width);
    t->ahead.most = most < t->steps ? most : t->steps;
    t->ahead.begin =
        cz_alloc((size_t)t->ahead.most + 1, sizeof *t->ahead.begin, "the cells of coming steps");
    if (!t->ahead.begin) return CZ_ERR_MEMORY;
    return row_set_reserve(&t->held, t, t->ahead.most * share_most(batch, ranks));
}

/* N / (K N_k) for N training cells in K classes, N_k of class k; 0 for a class without. */
static cz_status weigh_classes(cz_trainer *t)
{
    int classes = t->setup.cells->target.classes, known = 0, present = 0;
    if (t->setup.config->train.class_weights == CZ_WEIGHTS_NONE) return CZ_OK;
    double *weight = cz_alloc((size_t)classes, sizeof *weight, "the weights of the classes");
    t->class_weight = weight;
    if (!weight) return CZ_ERR_MEMORY;
    for (int i = 0; i < t->train_count; i++)
        if (t->train_code[i] >= 0) weight[t->train_code[i]]++, known++;
    for (int k = 0; k < classes; k++) present += weight[k] > 0;
    for (int k = 0; k < classes; k++)
        if (weight[k] > 0) weight[k] = known / (present * weight[k]);
    t->step.class_weight[0] = cz_vector(weight, CZ_F64, classes);
    return CZ_OK;
}

/* All that is local to the rank. */
static cz_status open_local(cz_trainer *t)
{
    t->config_hash = cz_config_hash(t->setup.config);
    t->data_hash = cz_cells_hash(t->setup.cells);
    if (t->setup.text.data)
        t->data_hash = cz_hash(t->data_hash, &t->setup.text_identity, sizeof(uint64_t));
    CZ_TRY(print_config(t));
    CZ_TRY(list_training_cells(t));
    CZ_TRY(open_portion(t));
    CZ_TRY(weigh_classes(t));
    t->worker = cz_alloc((size_t)t->threads, sizeof *t->worker, "the workers");
    if (!t->worker) return CZ_ERR_MEMORY;
    return t->setup.gpu ? gpu_open(t) : cz_pool_run(t->setup.pool, open_worker, t);
}

static cz_transport transport_of(const cz_config *config)
{
    if (!strcmp(config->run.transport, "window")) return CZ_TRANSPORT_WINDOW;
    if (!strcmp(config->run.transport, "messages")) return CZ_TRANSPORT_MESSAGES;
    return CZ_TRANSPORT_AUTO;
}

static size_t border(const void *context, size_t at)
{
    const cz_trainer *t = context;
    return cz_model_border(t->setup.model, at);
}

static void pack(const void *context, void *packed, const void *weights, size_t begin, size_t end)
{
    const cz_trainer *t = context;
    cz_model_pack(t->setup.model, t->setup.backend, packed, weights, begin, end);
}

cz_weights trainer_weights(const cz_trainer *t)
{
    return (cz_weights){cz_reducer_weights(t->reducer), cz_reducer_packed(t->reducer)};
}

cz_status cz_trainer_open(cz_trainer **opened, const cz_trainer_setup *setup)
{
    CZ_PHASE("open trainer");
    cz_trainer *t = cz_alloc(1, sizeof *t, "the trainer");
    *opened = t;
    cz_status status = t ? CZ_OK : CZ_ERR_MEMORY;
    if (t) {
        t->setup = *setup;
        t->heads = 1 + setup->cells->adversaries;
        if (setup->gpu) status = cz_pool_open(&t->own_pool, 1, NULL);
        if (t->own_pool) t->setup.pool = t->own_pool;
        t->threads = cz_pool_threads(t->setup.pool);
        t->workers = t->threads * setup->comm->size;
        t->dtype = cz_dtype_wide(cz_backend_dtype(setup->backend));
        t->update = setup->gpu ? cz_backend_best(t->dtype, CZ_LEVELS - 1) : setup->backend;
        t->progress.best_epoch = -1;
        t->step = (cz_step){.seed = (uint64_t)setup->config->run.seed,
                            .lambda = setup->config->train.adv_lambda};
        if (!status) status = open_local(t);
    }
    CZ_TRY(cz_comm_agree(setup->comm, status));

    const cz_params *params = cz_model_params(setup->model);
    cz_packer packer = {cz_model_packed_bytes(setup->model, setup->backend), border, pack, t};
    CZ_TRY(cz_reducer_open(&t->reducer, setup->comm, t->setup.pool, params->total, t->dtype,
                           transport_of(setup->config), &packer));
    size_t begin, end;
    cz_reducer_rank_slice(t->reducer, &begin, &end);
    cz_params_initialise(params, cz_reducer_weights(t->reducer), t->dtype, begin, end,
                         setup->config->run.seed);
    CZ_TRY(cz_reducer_publish(t->reducer));
    if (t->gpu) CZ_TRY(gpu_begin(t));
    return trainer_open_writer(t);
}

void cz_trainer_close(cz_trainer *t)
{
    if (!t) return;
    cz_writer_close(t->writer);
    gpu_close(t);
    for (int i = 0; t->worker && i < t->threads; i++) {
        cz_workspace_close(t->worker[i].workspace);
        for (int h = 0; h < CZ_MAX_HEADS; h++) {
            free(t->worker[i].loss[h]);
            free(t->worker[i].best[h]);
        }
    }
    free(t->worker);
    row_set_free(&t->held);
    free(t->ahead.begin);
    free(t->train_row);
    free(t->train_code);
    free(t->class_weight);
    free(t->order);
    free(t->config_text);
    cz_metrics_close(t->metrics);
    cz_reducer_close(t->reducer);
    cz_pool_close(t->own_pool);
    free(t);
}

static cz_scores epoch_scores(const cz_trainer *t)
{
    cz_scores scores = {0};
    for (int h = 0; h < t->heads; h++) {
        double known = t->progress.partial[sum_known(h)];
        scores.loss[h] = known > 0 ? t->progress.partial[sum_loss(h)] / known : 0;
        scores.accuracy[h] = known > 0 ? t->progress.partial[sum_correct(h)] / known : 0;
    }
    return scores;
}

void trainer_report_step(cz_trainer *t)
{
    if (!t->setup.observer.step) return;
    cz_scores scores = epoch_scores(t);
    int cells = t->progress.step * t->setup.config->train.batch;
    t->setup.observer.step(
        t->setup.observer.context,
        &(cz_step_report){.epoch = t->progress.epoch + 1,
                          .epochs = t->setup.config->train.epochs,
                          .step = t->progress.step,
                          .steps = t->steps,
                          .cells = cells < t->train_count ? cells : t->train_count,
                          .loss =
                              t->progress.partial[sum_known(0)] > 0 ? scores.loss[0] : (double)NAN,
                          .accuracy = scores.accuracy[0]});
}

cz_status trainer_save_and_stop(cz_trainer *t)
{
    CZ_TRY(trainer_save(t, false));
    return CZ_STOPPED;
}

/* The steps of the epoch that are still to do. */
static cz_status run_steps(cz_trainer *t)
{
    CZ_PHASE("epoch");
    const cz_config *config = t->setup.config;
    double fetched = MPI_Wtime();
    CZ_TRY(epoch_prepare(t));
    while (t->progress.step < t->steps) {
        cz_step_sums sums;
        CZ_TRY(epoch_fetch(t));
        double begin = MPI_Wtime();
        t->facts.fetch_seconds += begin - fetched;
        if (t->facts.first_step_at == 0) t->facts.first_step_at = begin;
        CZ_TRY(epoch_step(t, t->progress.step, &sums));
        t->facts.step_seconds += MPI_Wtime() - begin;
        for (int i = 0; i < 3 * t->heads; i++) t->progress.partial[i] += sums.sum[i];
        t->progress.step++;
        t->progress.steps_done++;
        t->facts.steps_here++;
        trainer_report_step(t);
        if (sums.stop) return trainer_save_and_stop(t);
        int every = config->checkpoint.every_steps;
        if (every && t->progress.steps_done % every == 0) CZ_TRY(trainer_save(t, false));
        fetched = MPI_Wtime();
    }
    return CZ_OK;
}

static cz_status scores_of(cz_trainer *t, cz_split part, cz_scores *scores)
{
    cz_evaluation evaluation;
    CZ_TRY(cz_trainer_evaluate(t, part, false, &evaluation, NULL));
    *scores = cz_evaluation_scores(&evaluation, t->setup.cells);
    cz_evaluation_free(&evaluation);
    return CZ_OK;
}

static cz_status finish_epoch(cz_trainer *t, double seconds)
{
    const cz_config *config = t->setup.config;
    cz_epoch_report report = {.epoch = t->progress.epoch + 1,
                              .epochs = config->train.epochs,
                              .lr = epoch_lr(t, t->progress.steps_done - 1),
                              .train = epoch_scores(t)};
    double started = MPI_Wtime();
    CZ_TRY(scores_of(t, CZ_VALIDATION, &report.validation));
    report.has_test = config->eval.test_every_epoch;
    if (report.has_test) CZ_TRY(scores_of(t, CZ_TEST, &report.test));
    report.seconds = seconds + MPI_Wtime() - started;

    bool stop, enough = false;
    const cz_observer *observer = &t->setup.observer;
    stopping_update(t, &report, &report.best, &stop);
    if (observer->judge) CZ_TRY(observer->judge(observer->context, &report, &enough));
    CZ_TRY(metrics_append_epoch(t, &report));
    memset(t->progress.partial, 0, sizeof *t->progress.partial * 3 * CZ_MAX_HEADS);
    t->progress.step = 0;
    t->progress.epoch++;
    t->progress.finished = stop || enough || t->progress.epoch == config->train.epochs;
    if (observer->epoch) observer->epoch(observer->context, &report);

    int every = config->checkpoint.every;
    bool due = (every && t->progress.epoch % every == 0) || report.best || t->progress.finished;
    if (due && !enough) CZ_TRY(trainer_save(t, report.best));
    return CZ_OK;
}

static cz_status run_epochs(cz_trainer *t)
{
    CZ_TRY(metrics_open(t));
    while (!t->progress.finished) {
        double started = MPI_Wtime();
        CZ_TRY(t->gpu ? gpu_run_steps(t) : run_steps(t));
        CZ_TRY(finish_epoch(t, MPI_Wtime() - started));
    }
    return CZ_OK;
}

cz_status cz_trainer_run(cz_trainer *t)
{
    cz_status status = run_epochs(t);
    if (!status && t->gpu) status = gpu_state_down(t);
    t->failed = status > CZ_STOPPED;
    if (status == CZ_ERR_MPI) return status;
    cz_status saved = trainer_saved(t);
    return status > CZ_STOPPED || !saved ? status : saved;
}

cz_training_facts cz_trainer_facts(const cz_trainer *t)
{
    cz_training_facts facts = t->facts;
    int64_t evaluated = 0;
    facts.epochs_run = t->progress.epoch;
    facts.best_epoch = t->progress.best_epoch + 1;
    facts.best_value = t->progress.best_value;
    facts.steps = t->progress.steps_done;
    facts.exposed_seconds = cz_reducer_exposed_seconds(t->reducer);
    facts.transport = !t->gpu || t->setup.gpu_sums == CZ_SUMS_BY_HOST
                          ? cz_reducer_transport(t->reducer)
                      : t->setup.comm->size == 1            ? "none"
                      : t->setup.gpu_sums == CZ_SUMS_BY_MPI ? "mpi"
                                                            : "nccl";
    facts.workers = t->workers;
    for (int i = 0; i < t->threads; i++) {
        facts.flops += t->worker[i].flops;
        facts.evaluate_flops += t->worker[i].evaluate_flops;
        evaluated += t->worker[i].evaluated;
    }
    facts.evaluate_flops = evaluated ? facts.evaluate_flops / (double)evaluated : NAN;
    return facts;
}

const void *cz_trainer_weights(const cz_trainer *t) { return cz_reducer_weights(t->reducer); }
