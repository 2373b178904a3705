/* A list of experiments: each a run in a folder of its own, by whichever group is free. */
#include "czhpc/log.h"
#include "czhpc/profile.h"
#include "czhpc/text.h"
#include "room.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rank 0's view. */
typedef struct source {
    const cz_config *list;
    int next, items, failed, done;
} source;

/* What a group works with. */
typedef struct worker {
    const cz_config *list;
    const cz_job_options *options;
    stock stock;
    double budget; /* bytes that this rank may hold */
} worker;

static cz_status next_item(void *context, int group, cz_item *item, cz_next *next)
{
    source *s = context;
    (void)group;
    *next = s->next < s->items ? CZ_NEXT_ITEM : CZ_NEXT_END;
    if (*next == CZ_NEXT_ITEM) *item = (cz_item){.id = s->next++};
    return CZ_OK;
}

static cz_status no_report(void *context, const cz_item *item, int epoch, double value,
                           cz_verdict *verdict)
{
    (void)context, (void)item, (void)epoch, (void)value;
    *verdict = CZ_GO_ON;
    return CZ_OK;
}

static cz_status item_done(void *context, const cz_item *item, const cz_item_outcome *outcome)
{
    source *s = context;
    cz_config_item which;
    if (!cz_config_find_item(&which, s->list, (int)item->id))
        return cz_fail(CZ_ERR_BUG, "the list has no item %lld", (long long)item->id);
    s->done++;
    s->failed += outcome->end == CZ_ITEM_FAILED;
    if (outcome->end == CZ_ITEM_DONE)
        cz_announce("%3d of %d     %s: test accuracy %.2f %%", s->done, s->items, which.folder,
                    100 * outcome->value);
    if (outcome->end == CZ_ITEM_FAILED)
        cz_announce("%3d of %d     %s: failed: %s", s->done, s->items, which.folder,
                    outcome->message);
    return CZ_OK;
}

bool item_failed(cz_item_outcome *outcome, cz_status status, bool own_data)
{
    bool own = status == CZ_ERR_DIVERGED || status == CZ_ERR_MEMORY || status == CZ_ERR_CONFIG;
    if (!own && (status != CZ_ERR_INPUT || !own_data)) return false;
    outcome->end = CZ_ITEM_FAILED;
    outcome->value = NAN;
    snprintf(outcome->message, sizeof outcome->message, "%s", cz_error_message());
    /* Cut between characters: it is told as UTF-8. */
    outcome->message[cz_text_utf8(outcome->message, strlen(outcome->message))] = 0;
    cz_error_clear();
    return true;
}

/* Whether an experiment has cells or labels of its own, so that what is wrong with them is not
 * wrong with the list. */
static bool has_own_data(const cz_config *item, const cz_config *list)
{
    static const char *const keys[] = {"data.", "split.method", "text.", "model.text"};
    const int count = (int)(sizeof keys / sizeof *keys);
    return cz_config_hash_of(item, keys, count, true) != cz_config_hash_of(list, keys, count, true);
}

static cz_status run_item(worker *w, const cz_config *config, cz_queue *queue,
                          cz_item_outcome *outcome)
{
    CZ_PHASE("experiment");
    cz_run_scores scores;
    char folder[2 * CZ_PATH_MAX];
    run_place place = {queue, w->budget};
    cz_status status = run_whole(config, w->options, &w->stock, &place);
    if (item_failed(outcome, status, has_own_data(config, w->list))) return CZ_OK;
    if (status == CZ_STOPPED) outcome->end = CZ_ITEM_LEFT;
    if (status || w->stock.comm->rank) return status;
    run_path(folder, config);
    CZ_TRY(cz_run_scores_read(&scores, folder));
    outcome->value = scores.accuracy;
    return CZ_OK;
}

static cz_status work(void *context, cz_queue *queue, const cz_item *item, const cz_comm *group,
                      cz_item_outcome *outcome)
{
    worker *w = context;
    cz_config_item which;
    cz_config *config = cz_alloc(1, sizeof *config, "a configuration");
    cz_status status =
        config ? cz_config_item_of(config, &which, w->list, (int)item->id) : CZ_ERR_MEMORY;
    status = cz_comm_agree(group, status);
    if (!status) status = run_item(w, config, queue, outcome);
    free(config);
    return status;
}

/* What came of the list, once all is over. Rank 0. */
static cz_status finish(const source *s, const run_folder *folder)
{
    CZ_TRY(experiments_table(s->list));
    if (!s->failed) return CZ_OK;
    return cz_fail(
        CZ_ERR_DIVERGED,
        "%d of %d experiments failed: see their czhpc.log in %s; --resume does them again",
        s->failed, s->items, folder->path);
}

cz_status run_experiments(const cz_config *list, const cz_job_options *options,
                          const run_folder *folder, const cz_comm *comm)
{
    cz_cores cores;
    int ranks = list->run.ranks_per_item ? list->run.ranks_per_item : comm->size;
    cz_queue *queue = NULL;
    cz_timeline timeline = {0};
    gpu_choice gpu;
    CZ_TRY(choose_cores(&cores, list, comm));
    CZ_TRY(choose_gpu(&gpu, list, comm));
    CZ_TRY(cz_queue_open(&queue, comm, ranks, options->stop));
    source s = {.list = list, .items = cz_config_items(list)};
    worker w = {list, options, stock_of(cz_queue_group(queue), &cores, &gpu), 0};
    cz_item_source from = {&s, next_item, no_report, item_done};
    cz_note("Experiments  %d, by %d group%s of %d rank%s", s.items, cz_queue_groups(queue),
            cz_queue_groups(queue) == 1 ? "" : "s", ranks, ranks == 1 ? "" : "s");
    cz_status status = memory_budget(&w.budget, list, comm);
    if (!status) status = cz_queue_run(queue, &from, work, &w, &timeline);
    if (status == CZ_ERR_MPI) return status;
    stock_empty(&w.stock);
    cz_queue_close(queue);
    if (status <= CZ_STOPPED && comm->rank == 0)
        status = timeline_write(folder->path, "experiments", &timeline) ? CZ_ERR_IO : status;
    if (!status) status = cz_comm_agree(comm, comm->rank ? CZ_OK : finish(&s, folder));
    cz_timeline_free(&timeline);
    return status;
}

cz_status experiments_table(const cz_config *list)
{
    char folder[2 * CZ_PATH_MAX];
    run_path(folder, list);
    return cz_experiments_write(folder, list);
}
