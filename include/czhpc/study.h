/* A study: the trials of a search, in a file that several jobs and Optuna share.
 *
 * The file is an Optuna journal (JournalStorage over JournalFileBackend of Optuna 3 to 5): one JSON
 * object a line, appended under the lock FILE.lock. All of this is Local and, but for the
 * heartbeats, called from one thread. The clocks of those who share a study must agree to within a
 * few seconds: leases are told by them. */
#ifndef CZ_STUDY_H
#define CZ_STUDY_H

#include "czhpc/space.h"
#include "czhpc/status.h"

#include <jansson.h>
#include <stdint.h>

/* As Optuna numbers them. */
typedef enum cz_trial_state {
    CZ_TRIAL_RUNNING,
    CZ_TRIAL_COMPLETE,
    CZ_TRIAL_PRUNED,
    CZ_TRIAL_FAILED,
    CZ_TRIAL_WAITING
} cz_trial_state;

typedef struct cz_trial_value {
    int dimension; /* index in cz_trials.dimension */
    double value;
} cz_trial_value;

typedef struct cz_trial_step {
    int64_t step;
    double value; /* NAN, infinities: as told */
} cz_trial_step;

typedef struct cz_trial {
    int number; /* counts within the study, from 0 */
    int64_t id; /* counts within the file */
    cz_trial_state state;
    double value; /* of the objective; NAN: none. A pruned trial has its last finite step's */
    int params;
    cz_trial_value param[CZ_SPACE_MAX]; /* in the order in which they were set */
    int steps;
    cz_trial_step *step;   /* (steps) in the order of step; told again: the last one counts */
    json_t *user, *system; /* attributes: objects, never NULL; see cz_attribute_number() */
    double started, ended; /* seconds since 1970, NAN where not known */
} cz_trial;

/* All trials of one study, and every dimension that stands in the file: the same name twice where
 * its bounds changed. */
typedef struct cz_trials {
    bool maximise;
    int dimensions;
    cz_dimension *dimension;
    int count;
    cz_trial *trial;       /* (count) by number */
    json_t *user, *system; /* attributes of the study */
} cz_trials;

/* The value that a trial gives the dimension of this name, NAN for none. */
double cz_trial_param(const cz_trials *trials, const cz_trial *trial, const char *name);
/* The lease of a running trial: its owner (the trial's own text), and when that was last heard of,
 * in seconds since 1970, 0 where it gave the trial up. False: the trial has none, as those of other
 * programs. */
bool cz_trial_lease(const cz_trial *trial, const char **owner, double *beat);
/* The best complete trial, the first of equals; -1: none. */
int cz_trials_best(const cz_trials *trials);

/* An attribute's number: false: it is none. Attributes hold NaN and the infinities, which JSON has
 * not, as the texts "NaN", "Infinity" and "-Infinity". */
bool cz_attribute_number(const json_t *attribute, double *number);

typedef struct cz_study cz_study;

/* Opens the study `name` of a journal, to write. Where the file or the study is not there it is
 * made, with that direction. A torn last line, of a writer that died, is healed at the first
 * append. Every trial that this study owns is kept alive by a thread, until it is told.
 * CZ_ERR_INPUT: FILE:LINE, no journal, another direction, an operation that is not known;
 * CZ_ERR_IO. Free with cz_study_close(). */
cz_status cz_study_open(cz_study **study, const char *path, const char *name, bool maximise);
/* Opens to read alone; name NULL: the first study of the file. CZ_ERR_INPUT: there is none, or none
 * of that name (the message lists those there are). */
cz_status cz_study_open_read(cz_study **study, const char *path, const char *name);
void cz_study_close(
    cz_study *study); /* NULL is fine. Trials that are owned stay running: their lease ends */

const char *cz_study_name(const cz_study *study);
/* "a, b": the studies of the file, as far as it was read, cut where they do not fit. */
void cz_study_names(char *text, size_t size, const cz_study *study);

/* What stands in the file by now. The trials stay the study's, and as they are until the next call
 * that takes the study. */
cz_status cz_study_read(cz_study *study, const cz_trials **trials);

/* Where a new trial's values come from. number: of the trial to be; x (space->count) to be filled.
 * *attributes: system attributes that go with it, an object of the callee's that the caller frees,
 * or left NULL. */
typedef struct cz_suggester {
    void *context;
    cz_status (*suggest)(void *context, const cz_trials *trials, int number, double *x,
                         json_t **attributes);
} cz_suggester;

/* How a trial came to its owner. */
typedef enum cz_asked {
    CZ_ASKED_NOTHING, /* as many trials as were wanted are there, and none may be taken over */
    CZ_ASKED_WAIT,    /* likewise, but some run elsewhere: they may have to be taken over */
    CZ_ASKED_NEW,
    CZ_ASKED_TAKEN, /* running, its owner's lease is over: resume it from its checkpoint */
    CZ_ASKED_QUEUED /* was waiting (Optuna's enqueue_trial), with the values it fixes */
} cz_asked;

/* One trial to run, all under one lock: first one whose lease is over, then one that waits, then a
 * new one while fewer than `limit` trials are in the study (failed ones count). `space`: what is
 * suggested; a dimension of a queued trial that it fixes keeps that value. *number: the trial.
 * A trial of another program, without a lease, is never taken over. One whose owner died for the
 * fifth time without a new step is not either: it fails, and its user attribute czhpc:failure says
 * so. CZ_ERR_CONFIG: a dimension does not agree with one of that name in the study, or a trial
 * would have more than CZ_SPACE_MAX parameters. */
cz_status cz_study_ask(cz_study *study, const cz_space *space, cz_suggester suggester, int limit,
                       cz_asked *how, int *number);

/* Tells the value of a step (an epoch, from 1). *mine = false, and nothing is written, where the
 * lease was lost to another owner; so with all below. A step that stands there is told again only
 * with another value. */
cz_status cz_study_report(cz_study *study, int number, int64_t step, double value, bool *mine);
/* Ends a trial. value: NAN for CZ_TRIAL_FAILED. */
cz_status cz_study_tell(cz_study *study, int number, cz_trial_state state, double value,
                        bool *mine);
/* Gives a running trial up, for whoever comes next, without waiting for its lease to end. */
cz_status cz_study_release(cz_study *study, int number);

/* Attributes; of a trial only by its owner. The study takes over `value`, also after an error. */
cz_status cz_study_set_trial(cz_study *study, int number, bool system, const char *name,
                             json_t *value, bool *mine);
cz_status cz_study_set(cz_study *study, bool system, const char *name, json_t *value);

/* Seconds without a heartbeat after which a lease is over: 60, or CZHPC_LEASE (tests). */
double cz_study_lease_seconds(void);

#endif
