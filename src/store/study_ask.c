/* How a trial comes to its owner. */
#include "study_parts.h"

#include "czhpc/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEATHS = 5 }; /* of which a trial is given up */

/* An ask while it lasts. */
typedef struct asking {
    cz_study *study;
    const cz_space *space;
    cz_suggester suggester;
    cz_lines *lines;
    double now;
    double x[CZ_SPACE_MAX];
    json_t *attributes;
} asking;

/* A parameter keeps its kind, log and choices while a study lasts. */
static cz_status check_space(const cz_study *study, const cz_space *space)
{
    const cz_trials *trials = &study->replay.trials;
    for (int i = 0; i < space->count; i++)
        for (int j = 0; j < trials->dimensions; j++) {
            const cz_dimension *wanted = &space->dimension[i], *there = &trials->dimension[j];
            if (strcmp(wanted->name, there->name) != 0 || cz_dimension_agrees(wanted, there))
                continue;
            return cz_fail(CZ_ERR_CONFIG,
                           "%s: the study '%s' has %s with another kind, scale or choices: leave "
                           "them as they are (bounds may change), or give the search another study",
                           study->journal.path, study->name, wanted->name);
        }
    return CZ_OK;
}

static cz_status suggest(asking *ask, int number)
{
    const cz_space *space = ask->space;
    const cz_suggester *from = &ask->suggester;
    CZ_TRY(
        from->suggest(from->context, &ask->study->replay.trials, number, ask->x, &ask->attributes));
    for (int i = 0; i < space->count; i++)
        if (!cz_dimension_holds(&space->dimension[i], ask->x[i]))
            return cz_fail(CZ_ERR_BUG, "trial %d: %s = %g was suggested, which is outside", number,
                           space->dimension[i].name, ask->x[i]);
    return CZ_OK;
}

/* The value that Optuna's enqueue_trial() fixes, NAN: none, or none that the dimension can be. */
static double fixed_value(const cz_trial *trial, const cz_dimension *dimension)
{
    char choice[CZ_SPACE_CHOICE];
    double value;
    const json_t *fixed =
        json_object_get(json_object_get(trial->system, "fixed_params"), dimension->name);
    if (!fixed) return NAN;
    if (dimension->kind != CZ_CATEGORICAL) {
        bool good = cz_attribute_number(fixed, &value) && isfinite(value) &&
                    (dimension->kind == CZ_FLOAT || value == floor(value));
        if (good) return value;
    } else if (cz_replay_choice(choice, fixed)) {
        for (int i = 0; i < dimension->choices; i++)
            if (!strcmp(choice, dimension->choice[i])) return i;
    }
    cz_warn("trial %d was queued with a value of %s that it cannot have; another is taken",
            trial->number, dimension->name);
    return NAN;
}

/* More could not be read again. */
static cz_status check_room(const asking *ask, const cz_trial *trial)
{
    int params = trial->params;
    for (int i = 0; i < ask->space->count; i++)
        params +=
            isnan(cz_trial_param(&ask->study->replay.trials, trial, ask->space->dimension[i].name));
    if (params <= CZ_SPACE_MAX) return CZ_OK;
    return cz_fail(CZ_ERR_CONFIG,
                   "%s: trial %d would have %d parameters with those of the search, at most %d can "
                   "be: delete it, or give the search another study",
                   ask->study->journal.path, trial->number, params, CZ_SPACE_MAX);
}

/* Puts the parameters that a trial of another's making lacks. */
static cz_status complete_trial(asking *ask, const cz_trial *trial)
{
    const cz_space *space = ask->space;
    const cz_trials *trials = &ask->study->replay.trials;
    bool suggested = false;
    CZ_TRY(check_room(ask, trial));
    for (int i = 0; i < space->count; i++) {
        const cz_dimension *dimension = &space->dimension[i];
        if (!isnan(cz_trial_param(trials, trial, dimension->name))) continue;
        double value = fixed_value(trial, dimension);
        if (isnan(value) && !suggested) {
            CZ_TRY(suggest(ask, trial->number));
            suggested = true;
        }
        cz_lines_param(ask->lines, trial->id, dimension, isnan(value) ? ask->x[i] : value);
    }
    const char *name;
    json_t *value;
    json_object_foreach(ask->attributes, name, value)
    {
        cz_lines_attribute(ask->lines, CZ_OP_TRIAL_SYSTEM, "trial_id", trial->id, name, value);
    }
    return CZ_OK;
}

static cz_status put_text(const asking *ask, const cz_trial *trial, const char *name,
                          const char *text)
{
    json_t *value = json_string(text);
    if (!value) return cz_fail(CZ_ERR_MEMORY, "no memory for a trial");
    cz_lines_attribute(ask->lines, CZ_OP_TRIAL_USER, "trial_id", trial->id, name, value);
    json_decref(value);
    return CZ_OK;
}

/* A lease of this study's for a trial whose owners died so often. */
static cz_status put_lease(const asking *ask, const cz_trial *trial, cz_deaths deaths)
{
    json_t *lease = cz_lease_make(ask->study->worker, ask->now, deaths);
    if (!lease) return cz_fail(CZ_ERR_MEMORY, "no memory for a lease");
    cz_lines_attribute(ask->lines, CZ_OP_TRIAL_USER, "trial_id", trial->id, CZ_LEASE, lease);
    json_decref(lease);
    return CZ_OK;
}

/* How often its owners died, this one too, where it has not given the trial up. Who brought it a
 * step further did not die of it. */
static cz_deaths deaths_of(const cz_trial *trial)
{
    const char *owner;
    double beat;
    cz_deaths deaths = cz_lease_deaths(trial);
    if (trial->steps > deaths.steps) deaths = (cz_deaths){0, trial->steps};
    else deaths.count += cz_trial_lease(trial, &owner, &beat) && beat != 0;
    return deaths;
}

/* The lease comes first: who dies here leaves a trial that the next one completes. */
static cz_status take(asking *ask, const cz_trial *trial)
{
    CZ_TRY(put_lease(ask, trial, deaths_of(trial)));
    CZ_TRY(complete_trial(ask, trial));
    if (trial->state != CZ_TRIAL_RUNNING)
        cz_lines_state(ask->lines, trial->id, CZ_TRIAL_RUNNING, NAN, ask->now);
    return CZ_OK;
}

/* Ends a trial that every process dies of: else each job would begin with it, and die. */
static cz_status give_up(const asking *ask, const cz_trial *trial)
{
    static const char why[] = "its process died five times in one epoch";
    CZ_TRY(put_text(ask, trial, "czhpc:failure", why));
    cz_lines_state(ask->lines, trial->id, CZ_TRIAL_FAILED, NAN, ask->now);
    cz_warn("trial %d failed: %s", trial->number, why);
    return CZ_OK;
}

static cz_status make(asking *ask, int number)
{
    CZ_TRY(suggest(ask, number));
    json_t *lease = cz_lease_make(ask->study->worker, ask->now, (cz_deaths){0});
    json_t *user = json_pack("{so}", CZ_LEASE, lease);
    if (!user) return cz_fail(CZ_ERR_MEMORY, "no memory for a trial");
    cz_lines_trial(ask->lines, ask->study->replay.target, ask->now, ask->space, ask->x, user,
                   ask->attributes);
    json_decref(user);
    return CZ_OK;
}

/* The first trial that may be taken over, -1: none. Those that were too often are given up. One
 * that was lost is left alone while who runs it here has not heard so. */
static cz_status find_over(const asking *ask, int *found)
{
    const cz_trials *trials = &ask->study->replay.trials;
    *found = -1;
    for (int i = 0; *found < 0 && i < trials->count; i++) {
        const cz_trial *trial = &trials->trial[i];
        if (!cz_lease_is_over(trial, ask->now) || cz_lease_find(ask->study, i) >= 0) continue;
        if (deaths_of(trial).count < DEATHS) *found = i;
        else CZ_TRY(give_up(ask, trial));
    }
    return CZ_OK;
}

static int find_waiting(const asking *ask)
{
    const cz_trials *trials = &ask->study->replay.trials;
    for (int i = 0; i < trials->count; i++)
        if (trials->trial[i].state == CZ_TRIAL_WAITING) return i;
    return -1;
}

/* Whether another study runs a trial under a lease. Where one is over it has just been given up. */
static bool any_elsewhere(const asking *ask)
{
    const cz_trials *trials = &ask->study->replay.trials;
    const char *owner;
    double beat;
    for (int i = 0; i < trials->count; i++) {
        const cz_trial *trial = &trials->trial[i];
        if (!cz_trial_lease(trial, &owner, &beat)) continue;
        bool here = cz_lease_find(ask->study, i) >= 0;
        if (here ? !cz_lease_mine(ask->study, trials, i) : !cz_lease_is_over(trial, ask->now))
            return true;
    }
    return false;
}

static cz_status answer(asking *ask, int limit, cz_asked *how, int *number)
{
    const cz_trials *trials = &ask->study->replay.trials;
    int found;
    CZ_TRY(check_space(ask->study, ask->space));
    CZ_TRY(find_over(ask, &found));
    if (found >= 0) {
        *how = CZ_ASKED_TAKEN;
        CZ_TRY(take(ask, &trials->trial[found]));
    } else if ((found = find_waiting(ask)) >= 0) {
        *how = CZ_ASKED_QUEUED;
        CZ_TRY(take(ask, &trials->trial[found]));
    } else if (trials->count < limit) {
        *how = CZ_ASKED_NEW;
        found = trials->count;
        CZ_TRY(make(ask, found));
    } else {
        *how = any_elsewhere(ask) ? CZ_ASKED_WAIT : CZ_ASKED_NOTHING;
        return CZ_OK;
    }
    *number = found;
    return CZ_OK;
}

/* Believes in what is written when it reads back. */
static cz_status own(cz_study *study, int number, double now)
{
    if (cz_lease_mine(study, &study->replay.trials, number))
        return cz_lease_own(study, number, now);
    return cz_fail(CZ_ERR_IO, "%s: trial %d went to another process while it was asked for",
                   study->journal.path, number);
}

cz_status cz_study_ask(cz_study *study, const cz_space *space, cz_suggester suggester, int limit,
                       cz_asked *how, int *number)
{
    cz_lines lines;
    *how = CZ_ASKED_NOTHING;
    *number = -1;
    CZ_TRY(cz_study_begin(study, &lines));
    asking ask = {.study = study, .space = space, .suggester = suggester, .lines = &lines};
    ask.now = cz_study_now();
    cz_status status = answer(&ask, limit, how, number);
    json_decref(ask.attributes);
    if (!status) status = cz_study_append(study, &lines);
    if (!status && *number >= 0) status = own(study, *number, ask.now);
    return cz_study_end(study, &lines, status);
}
