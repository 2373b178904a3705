/* Leases of running trials, and the thread that renews them. */
#include "czhpc/thread.h"
#include "study_parts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool cz_trial_lease(const cz_trial *trial, const char **owner, double *beat)
{
    const json_t *lease = json_object_get(trial->user, CZ_LEASE);
    *owner = json_string_value(json_object_get(lease, "owner"));
    return trial->state == CZ_TRIAL_RUNNING && *owner &&
           cz_attribute_number(json_object_get(lease, "beat"), beat);
}

const cz_trial *cz_lease_mine(const cz_study *study, const cz_trials *trials, int number)
{
    const char *owner;
    double beat;
    const cz_trial *trial = number < trials->count ? &trials->trial[number] : NULL;
    if (!trial || !cz_trial_lease(trial, &owner, &beat)) return NULL;
    return strcmp(owner, study->worker) ? NULL : trial;
}

bool cz_lease_is_over(const cz_trial *trial, double now)
{
    const char *owner;
    double beat;
    return cz_trial_lease(trial, &owner, &beat) && !(beat > now - cz_study_lease_seconds());
}

static int count_of(const cz_trial *trial, const char *key)
{
    const json_t *lease = json_object_get(trial->user, CZ_LEASE);
    json_int_t count = json_integer_value(json_object_get(lease, key));
    return count > 0 && count < INT_MAX ? (int)count : 0;
}

cz_deaths cz_lease_deaths(const cz_trial *trial)
{
    return (cz_deaths){count_of(trial, "taken"), count_of(trial, "steps")};
}

json_t *cz_lease_make(const char *owner, double beat, cz_deaths deaths)
{
    return json_pack("{sssfsisi}", "owner", owner, "beat", beat, "taken", deaths.count, "steps",
                     deaths.steps);
}

static double third(void) { return cz_study_lease_seconds() / 3; }

static cz_status put_lease(const cz_study *study, cz_lines *lines, const cz_trial *trial,
                           double now)
{
    json_t *lease = cz_lease_make(study->worker, now, cz_lease_deaths(trial));
    if (!lease) return cz_fail(CZ_ERR_MEMORY, "no memory for a lease");
    cz_lines_attribute(lines, CZ_OP_TRIAL_USER, "trial_id", trial->id, CZ_LEASE, lease);
    json_decref(lease);
    return CZ_OK;
}

int cz_lease_find(const cz_study *study, int number)
{
    for (int i = 0; i < study->count; i++)
        if (study->owned[i].number == number) return i;
    return -1;
}

void cz_lease_drop(cz_study *study, int number)
{
    int at = cz_lease_find(study, number);
    if (at >= 0) study->owned[at] = study->owned[--study->count];
}

/* Whether a trial's lease is to be renewed with what is written anyway. */
static bool is_due(const cz_study *study, int number, double now)
{
    int at = cz_lease_find(study, number);
    return at >= 0 && now - study->owned[at].beat >= third() / 2;
}

cz_status cz_lease_renew(cz_study *study, cz_lines *lines, const cz_trial *trial, double now)
{
    if (!is_due(study, trial->number, now)) return CZ_OK;
    CZ_TRY(put_lease(study, lines, trial, now));
    study->owned[cz_lease_find(study, trial->number)].beat = now;
    return CZ_OK;
}

/* Renews what is due of the trials that are still this study's. */
static cz_status renew_all(cz_study *study, const cz_replay *replay, cz_lines *lines)
{
    double now = cz_study_now();
    for (int i = 0; i < study->count; i++) {
        cz_owned *owned = &study->owned[i];
        const cz_trial *trial = cz_lease_mine(study, &replay->trials, owned->number);
        if (trial) CZ_TRY(cz_lease_renew(study, lines, trial, now));
        else owned->beat = now; /* lost: looked at again when the others are */
    }
    return CZ_OK;
}

static bool any_due(const cz_study *study)
{
    double now = cz_study_now();
    for (int i = 0; i < study->count; i++)
        if (now - study->owned[i].beat >= 0.75 * third()) return true;
    return false;
}

/* With the pen. One append for all trials. */
static cz_status beat_once(cz_study *study, cz_replay *replay)
{
    cz_lines lines;
    CZ_TRY(cz_lines_open(&lines, study->worker));
    cz_status status = cz_journal_lock(&study->journal);
    if (!status) {
        status = cz_study_catch_up(&study->journal, replay);
        if (!status) status = renew_all(study, replay, &lines);
        if (!status) status = cz_lines_append(&lines, &study->journal, replay);
        cz_journal_unlock(&study->journal);
    }
    cz_lines_free(&lines);
    return status;
}

static void wait_for_quarter(cz_study *study)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    double at = (double)until.tv_sec + 1e-9 * (double)until.tv_nsec + third() / 4;
    until.tv_sec = (time_t)at;
    until.tv_nsec = (long)((at - (double)until.tv_sec) * 1e9);
    pthread_cond_timedwait(&study->close, &study->pen, &until);
}

/* Reads the file for itself: what the caller of cz_study_read() looks at must not move. All of it
 * before the pen and the lock are taken: later there is little to read. */
static cz_status open_beats(cz_study *study, cz_replay *replay)
{
    CZ_TRY(cz_replay_open(replay, study->journal.path, study->name));
    replay->timeless = true;
    return cz_study_sync(&study->journal, replay);
}

static void *beat_on(void *context)
{
    cz_study *study = context;
    cz_replay replay;
    char why[sizeof study->why] = "";
    cz_error_divert(why, sizeof why); /* the process's message may be of another failure */
    cz_status status = open_beats(study, &replay);
    pthread_mutex_lock(&study->pen);
    while (!study->closing && !status) {
        wait_for_quarter(study);
        if (!study->closing && any_due(study)) status = beat_once(study, &replay);
    }
    study->broken = status;
    memcpy(study->why, why, sizeof why);
    pthread_mutex_unlock(&study->pen);
    cz_replay_free(&replay);
    return NULL;
}

static cz_status start_beats(cz_study *study)
{
    if (study->beats) return CZ_OK;
    cz_status status =
        cz_thread_start(&study->thread, beat_on, study, "for the heartbeats of a study");
    study->beats = !status;
    return status;
}

cz_status cz_lease_own(cz_study *study, int number, double beat)
{
    cz_lease_drop(study, number);
    CZ_TRY(cz_replay_grow(&study->owned, study->count, &study->room, sizeof *study->owned));
    study->owned[study->count++] = (cz_owned){.number = number, .beat = beat};
    return start_beats(study);
}

void cz_lease_close(cz_study *study)
{
    if (!study->beats) return;
    pthread_mutex_lock(&study->pen);
    study->closing = true;
    pthread_cond_signal(&study->close);
    pthread_mutex_unlock(&study->pen);
    pthread_join(study->thread, NULL);
}
