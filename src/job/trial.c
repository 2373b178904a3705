/* One trial of a search, by a group of ranks. */
#include "czhpc/file.h"
#include "czhpc/log.h"
#include "czhpc/profile.h"
#include "search_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct trial {
    search_worker *worker;
    cz_queue *queue;
    const cz_config *config; /* of this trial */
    const search_item *item;
    cz_cells cells; /* the stock's, in SEARCH_TRIALS with the fold as validation cells */
    run_folder folder;
    cz_model *model;
    cz_progress_bar *bar;
    cz_trainer *trainer;
    cz_verdict verdict;
} trial;

/* The training cells but a fold train, the fold validates, no others are looked at. */
static cz_status make_fold(uint8_t **fold, const cz_cells *cells, const cz_config *config)
{
    int n = 0;
    int32_t *code = cz_alloc((size_t)cells->n, sizeof *code, "the fold of the search");
    uint64_t *hash = cz_alloc((size_t)cells->n, sizeof *hash, "the fold of the search");
    uint8_t *part = cz_alloc((size_t)cells->n, 1, "the fold of the search");
    *fold = cz_alloc((size_t)cells->n, 1, "the fold of the search");
    cz_status status = code && hash && part && *fold ? CZ_OK : CZ_ERR_MEMORY;
    for (int i = 0; i < cells->n && !status; i++) {
        (*fold)[i] = CZ_TEST;
        if (cells->split[i] != CZ_TRAIN) continue;
        code[n] = cells->target.code[i];
        hash[n++] = cells->row_hash[i];
    }
    if (!status)
        status = cz_split_cells(part, n, code, cells->target.classes, hash, CZ_SPLIT_STRATIFIED,
                                1 - config->search.fold, config->search.fold, config->search.seed);
    n = 0;
    for (int i = 0; i < cells->n && !status; i++)
        if (cells->split[i] == CZ_TRAIN) (*fold)[i] = part[n++];
    free(code);
    free(hash);
    free(part);
    return status;
}

cz_status search_prepare(search_worker *w)
{
    CZ_TRY(stock_fill(&w->stock, w->config));
    return cz_comm_agree(w->stock.comm, make_fold(&w->fold, &w->stock.cells, w->config));
}

/* What a trial trains with; CZ_ERR_CONFIG where the values do not fit together. */
static cz_status configure(cz_config *config, const search_worker *w, const search_item *item)
{
    cz_space moved = w->space;
    *config = *w->config;
    config->eval.test_every_epoch = false;
    config->eval.select = CZ_SELECT_VALIDATION;
    config->checkpoint.keep = 1;
    if (w->phase == SEARCH_TRIALS) {
        config->train.epochs = config->search.epochs;
        config->train.stopping = CZ_STOPPING_NONE;
    } else config->run.seed = (int64_t)item->x[--moved.count];
    return cz_config_set_point(config, &moved, item->x);
}

static void tell_step(void *context, const cz_step_report *report)
{
    (void)report;
    cz_queue_serve(((const trial *)context)->queue);
}

static double value_of(const cz_scores *scores, const cz_config *config)
{
    return config->search.objective == CZ_OBJECTIVE_LOSS ? scores->loss[0] : scores->accuracy[0];
}

static cz_status judge(void *context, const cz_epoch_report *report, bool *enough)
{
    trial *t = context;
    double value = value_of(&report->validation, t->config);
    cz_status status = cz_queue_report(t->queue, report->epoch, value, &t->verdict);
    /* All leave: after this epoch, whose state is saved, the flag of the queue says so. */
    if (status == CZ_STOPPED) t->verdict = CZ_GO_ON;
    else if (status) return status;
    if (t->verdict == CZ_LOST) return CZ_STOPPED;
    *enough = t->verdict == CZ_CUT;
    return CZ_OK;
}

static void tell_epoch(void *context, const cz_epoch_report *report)
{
    const trial *t = context;
    if (t->bar) cz_progress_epoch(t->bar, report);
}

/* Who takes a trial over takes its states to a folder of his own: its former owner, should it wake
 * up, can write there no more. Rank 0 of the group. */
static cz_status claim_states(const trial *t, int *turn)
{
    enum { MOST = 10000 };
    char from[sizeof t->folder.checkpoints + 16], to[sizeof from];
    for (*turn = 0; *turn < MOST; ++*turn) {
        snprintf(from, sizeof from, "%s/checkpoints/%d", t->folder.path, *turn);
        if (access(from, F_OK) == 0) break;
    }
    if (*turn == MOST) *turn = 0;
    else {
        snprintf(to, sizeof to, "%s/checkpoints/%d", t->folder.path, ++*turn);
        if (rename(from, to) == 0) return CZ_OK;
        return cz_fail(CZ_ERR_IO, "%s: cannot become %s: %s", from, to, strerror(errno));
    }
    snprintf(to, sizeof to, "%s/checkpoints/0", t->folder.path);
    return cz_make_folder(to);
}

/* On the group's rank 0: its folder, empty for a new trial, and its log. */
static cz_status open_folder(trial *t, int *turn)
{
    char log[sizeof t->folder.path + 16];
    if (!t->item->taken) CZ_TRY(cz_remove_folder(t->folder.path));
    CZ_TRY(cz_make_folder(t->folder.path));
    CZ_TRY(claim_states(t, turn));
    snprintf(log, sizeof log, "%s/czhpc.log", t->folder.path);
    CZ_TRY(cz_log_enter(log));
    return cz_progress_open(&t->bar, t->cells.adversaries ? t->cells.adversary[0].name : NULL);
}

static cz_status enter_folder(trial *t)
{
    int turn = 0;
    const cz_comm *group = t->worker->stock.comm;
    cz_status status = group->rank ? CZ_OK : open_folder(t, &turn);
    CZ_TRY(cz_comm_broadcast(group, status, &turn, sizeof turn));
    snprintf(t->folder.checkpoints, sizeof t->folder.checkpoints, "%s/checkpoints/%d",
             t->folder.path, turn);
    return CZ_OK;
}

static cz_status train(trial *t)
{
    CZ_PHASE("train");
    const stock *s = &t->worker->stock;
    bool found = false;
    cz_status status = build_model(&t->model, t->config, &t->cells, s->text.width);
    CZ_TRY(cz_comm_agree(s->comm, status));
    CZ_TRY(check_memory(t->config, t->model, &t->cells, s->threads, s->backend, t->worker->budget,
                        s->comm));
    CZ_TRY(open_trainer(&t->trainer, t->config, s, &t->cells, t->model, &t->folder,
                        cz_queue_stop(t->queue), (cz_observer){t, tell_step, tell_epoch, judge}));
    if (t->item->taken) CZ_TRY(cz_trainer_resume(t->trainer, t->folder.checkpoints, &found));
    if (found)
        cz_note("Resumed      after %lld steps", (long long)cz_trainer_facts(t->trainer).steps);
    return cz_trainer_run(t->trainer);
}

/* Evaluated anew: a trial that was resumed after its last epoch has not been judged here. */
static cz_status final_value(trial *t, double *value)
{
    cz_evaluation evaluation = {0};
    if (t->worker->phase == SEARCH_CONFIRM) CZ_TRY(cz_trainer_take_best(t->trainer));
    CZ_TRY(cz_trainer_evaluate(t->trainer, CZ_VALIDATION, false, &evaluation, NULL));
    cz_scores scores = cz_evaluation_scores(&evaluation, &t->cells);
    cz_evaluation_free(&evaluation);
    *value = value_of(&scores, t->config);
    return CZ_OK;
}

static cz_status run_trial(trial *t, cz_item_outcome *outcome)
{
    const cz_comm *group = t->worker->stock.comm;
    char point[512];
    CZ_TRY(enter_folder(t));
    search_describe(point, sizeof point, &t->worker->space, t->item->x);
    cz_note("Trial %d: %s", t->item->number, point);
    CZ_TRY(train(t));
    outcome->end = t->verdict == CZ_CUT ? CZ_ITEM_CUT : CZ_ITEM_DONE;
    outcome->value = NAN;
    if (t->verdict == CZ_CUT) return CZ_OK;
    CZ_TRY(final_value(t, &outcome->value));
    if (isfinite(outcome->value)) return CZ_OK;
    return cz_comm_agree(group, cz_fail(CZ_ERR_DIVERGED, "the objective's value is not finite"));
}

static void close_trial(trial *t)
{
    cz_trainer_close(t->trainer);
    cz_progress_close(t->bar);
    cz_model_close(t->model);
    cz_log_leave();
}

/* A state could not be written because another job has taken the trial and its folder. */
static cz_status look_for_states(trial *t, cz_status status)
{
    const cz_comm *group = t->worker->stock.comm;
    bool gone = group->rank == 0 && access(t->folder.checkpoints, F_OK) != 0;
    CZ_TRY(cz_comm_broadcast(group, CZ_OK, &gone, sizeof gone));
    if (!gone) return status;
    cz_error_clear();
    t->verdict = CZ_LOST;
    return CZ_STOPPED;
}

/* How an item ended of whose work this is the status. */
static cz_status settle(trial *t, cz_status status, cz_item_outcome *outcome)
{
    if (item_failed(outcome, status, false)) {
        if (t->bar) cz_note("failed: %s", outcome->message); /* else its log is not open */
        return CZ_OK;
    }
    if (status == CZ_ERR_IO) status = look_for_states(t, status);
    if (status != CZ_STOPPED) return status;
    outcome->end = CZ_ITEM_LEFT;
    if (t->verdict != CZ_LOST) return CZ_STOPPED;
    cz_note("Another job has taken this trial over");
    return CZ_OK;
}

cz_status search_work(void *context, cz_queue *queue, const cz_item *item, const cz_comm *group,
                      cz_item_outcome *outcome)
{
    CZ_PHASE("trial");
    search_worker *w = context;
    search_item told;
    char path[sizeof w->folder + 16];
    memcpy(&told, item->bytes, sizeof told);
    trial t = {.worker = w, .queue = queue, .item = &told};
    cz_config *config = cz_alloc(1, sizeof *config, "a configuration");
    cz_status status = cz_comm_agree(group, config ? configure(config, w, &told) : CZ_ERR_MEMORY);
    t.config = config;
    t.cells = w->stock.cells;
    if (w->phase == SEARCH_TRIALS) t.cells.split = w->fold;
    snprintf(path, sizeof path, "%s%05d", w->folder, told.number);
    run_folder_name(&t.folder, path);
    if (!status) status = run_trial(&t, outcome);
    if (status != CZ_ERR_MPI) {
        status = settle(&t, status, outcome);
        close_trial(&t);
    }
    free(config);
    return status;
}
