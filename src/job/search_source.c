/* A study as the source of a queue. Rank 0. */
#include "czhpc/file.h"
#include "czhpc/log.h"
#include "czhpc/text.h"
#include "search_parts.h"

#include <math.h>
#include <string.h>

bool search_point(double *x, const cz_space *space, const cz_trials *trials, const cz_trial *trial)
{
    for (int d = 0; d < space->count; d++) {
        x[d] = cz_trial_param(trials, trial, space->dimension[d].name);
        if (isnan(x[d])) return false;
    }
    return true;
}

void search_describe(char *text, size_t size, const cz_space *space, const double *x)
{
    size_t used = 0;
    text[0] = 0;
    for (int d = 0; d < space->count && used < size; d++) {
        const cz_dimension *dim = &space->dimension[d];
        char value[CZ_SPACE_CHOICE];
        if (dim->kind == CZ_CATEGORICAL)
            snprintf(value, sizeof value, "%s", dim->choice[(int)x[d]]);
        else snprintf(value, sizeof value, dim->kind == CZ_INTEGER ? "%.0f" : "%.4g", x[d]);
        used += (size_t)snprintf(text + used, size - used, "%s%s %s", d ? ", " : "",
                                 cz_config_reference_name(dim->name), value);
    }
}

void search_value_text(char text[64], const cz_config *config, double value)
{
    if (config->search.objective == CZ_OBJECTIVE_LOSS) snprintf(text, 64, "loss %.4f", value);
    else snprintf(text, 64, "accuracy %.2f %%", 100 * value);
}

/* The runs in full: each candidate on each new seed. */
static void suggest_confirmation(const search_source *s, int number, double *x)
{
    int seeds = s->config->search.confirm_seeds, moved = s->space.count - 1;
    memcpy(x, s->candidate + (size_t)(number / seeds) * (size_t)moved, (size_t)moved * sizeof *x);
    x[moved] = (double)s->config->run.seed + 1 + number % seeds;
}

static cz_status suggest(void *context, const cz_trials *trials, int number, double *x,
                         json_t **attributes)
{
    const search_source *s = context;
    if (s->phase == SEARCH_TRIALS)
        return cz_sample(x, attributes, &s->sampling, &s->space, trials, number);
    suggest_confirmation(s, number, x);
    return CZ_OK;
}

static cz_status next_trial(void *context, int group, cz_item *item, cz_next *next)
{
    search_source *s = context;
    const cz_trials *trials;
    cz_suggester suggester = {s, suggest};
    cz_asked how;
    search_item trial = {0};
    (void)group;
    CZ_TRY(cz_study_ask(s->study, &s->space, suggester, s->limit, &how, &trial.number));
    *next = how == CZ_ASKED_NOTHING ? CZ_NEXT_END
            : how == CZ_ASKED_WAIT  ? CZ_NEXT_WAIT
                                    : CZ_NEXT_ITEM;
    if (*next != CZ_NEXT_ITEM) return CZ_OK;
    CZ_TRY(cz_study_read(s->study, &trials));
    trial.taken = how == CZ_ASKED_TAKEN;
    if (!search_point(trial.x, &s->space, trials, &trials->trial[trial.number]))
        return cz_fail(CZ_ERR_INPUT,
                       "trial %d of study %s has not all parameters of search.space: it was begun "
                       "by another program or for another space",
                       trial.number, cz_study_name(s->study));
    item->id = trial.number;
    item->size = sizeof trial;
    memcpy(item->bytes, &trial, sizeof trial);
    return CZ_OK;
}

/* The rungs stand before the end is told: later trials compare with them. */
static cz_status write_rungs(const search_source *s, int number, json_t *rungs)
{
    const char *name;
    json_t *rung;
    bool mine;
    json_object_foreach(rungs, name, rung)
    {
        CZ_TRY(cz_study_set_trial(s->study, number, true, name, json_incref(rung), &mine));
    }
    return CZ_OK;
}

/* A trial that ends early is told so at once: nothing that comes later makes it complete. */
static cz_status report(void *context, const cz_item *item, int epoch, double value,
                        cz_verdict *verdict)
{
    search_source *s = context;
    const cz_trials *trials;
    json_t *rungs = NULL;
    bool mine, cut = false;
    int number = (int)item->id;
    CZ_TRY(cz_study_report(s->study, number, epoch, value, &mine));
    *verdict = mine ? CZ_GO_ON : CZ_LOST;
    if (!mine) return CZ_OK;
    CZ_TRY(cz_study_read(s->study, &trials));
    CZ_TRY(cz_prune(&cut, &rungs, &s->pruning, trials, number));
    cz_status status = write_rungs(s, number, rungs);
    json_decref(rungs);
    if (status || !cut) return status;
    status = cz_study_tell(s->study, number, CZ_TRIAL_PRUNED, NAN, &mine);
    *verdict = mine ? CZ_CUT : CZ_LOST;
    return status;
}

static void announce(const search_source *s, const search_item *trial, const char *what)
{
    char point[512];
    search_describe(point, sizeof point, &s->space, trial->x);
    cz_announce("%-8s %5d  %s  %s", s->phase == SEARCH_CONFIRM ? "In full" : "Trial", trial->number,
                what, point);
}

/* What a trial that was told leaves is its log and metrics: its states served to go on. */
static cz_status remove_states(const search_source *s, int number)
{
    char path[CZ_FILE_PATH];
    snprintf(path, sizeof path, "%s%05d/checkpoints", s->folder, number);
    return cz_remove_folder(path);
}

static cz_status tell(const search_source *s, int number, const cz_item_outcome *outcome,
                      bool *mine)
{
    *mine = true;
    if (outcome->end == CZ_ITEM_CUT) return CZ_OK; /* told with its last report */
    if (outcome->end == CZ_ITEM_DONE)
        return cz_study_tell(s->study, number, CZ_TRIAL_COMPLETE, outcome->value, mine);
    CZ_TRY(cz_study_set_trial(s->study, number, false, "czhpc:failure",
                              json_string(outcome->message), mine));
    return *mine ? cz_study_tell(s->study, number, CZ_TRIAL_FAILED, NAN, mine) : CZ_OK;
}

static cz_status done(void *context, const cz_item *item, const cz_item_outcome *outcome)
{
    search_source *s = context;
    search_item trial;
    char what[340];
    bool mine;
    memcpy(&trial, item->bytes, sizeof trial);
    if (outcome->end == CZ_ITEM_LEFT) return cz_study_release(s->study, trial.number);
    CZ_TRY(tell(s, trial.number, outcome, &mine));
    search_value_text(what, s->config, outcome->value);
    if (outcome->end == CZ_ITEM_CUT) snprintf(what, sizeof what, "ended early");
    if (outcome->end == CZ_ITEM_FAILED)
        snprintf(what, sizeof what, "failed: %s;", outcome->message);
    if (!mine) snprintf(what, sizeof what, "was taken over by another job");
    announce(s, &trial, what);
    return mine ? remove_states(s, trial.number) : CZ_OK;
}

cz_item_source search_items(search_source *source)
{
    return (cz_item_source){source, next_trial, report, done};
}
