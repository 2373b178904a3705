/* What the files of a study share. */
#ifndef CZ_STUDY_PARTS_H
#define CZ_STUDY_PARTS_H

#include "journal.h"
#include "replay.h"
#include "study_lines.h"

#include <pthread.h>

#define CZ_LEASE "czhpc:lease"

/* A trial that this study runs, and when its lease was last renewed. It stays here after its lease
 * was lost, until who runs it hears so: only then may this study run it again. */
typedef struct cz_owned {
    int number;
    double beat;
} cz_owned;

struct cz_study {
    char *name, *worker; /* worker NULL: opened to read alone */
    cz_journal journal;
    cz_replay replay;     /* the caller's thread alone */
    pthread_mutex_t pen;  /* held by the thread that has the lock; guards what follows */
    pthread_cond_t close; /* closing has been set */
    bool closing;
    cz_status broken; /* a heartbeat failed, and why */
    char why[1024];
    int count, room;
    cz_owned *owned; /* (count) */
    bool beats;      /* the thread of heartbeats is there */
    pthread_t thread;
};

/* Reads what was appended since, or all of a file that is not the same any more. Without the lock
 * what another writes just now is left out. CZ_ERR_INPUT; CZ_ERR_MEMORY. */
cz_status cz_study_sync(const cz_journal *journal, cz_replay *replay);

/* The same under the lock, and writes what was rescued. */
cz_status cz_study_catch_up(const cz_journal *journal, cz_replay *replay);
/* Ends the lines and appends them, if there are any, and reads them; under the lock. CZ_ERR_IO:
 * they do not read back. */
cz_status cz_lines_append(cz_lines *lines, const cz_journal *journal, cz_replay *replay);

/* Takes the pen and the lock, catches up, and opens `lines`. After an error nothing is held. */
cz_status cz_study_begin(cz_study *study, cz_lines *lines);
cz_status cz_study_append(cz_study *study, cz_lines *lines);
/* Lets go of both, frees lines, passes status on. */
cz_status cz_study_end(cz_study *study, cz_lines *lines, cz_status status);

double cz_study_now(void); /* seconds since 1970 */

/* A trial that runs under a lease of this study's, NULL where it does not (any more). `trials`: as
 * the caller's thread has read them. */
const cz_trial *cz_lease_mine(const cz_study *study, const cz_trials *trials, int number);
/* Whether a running trial has a lease and it is over. */
bool cz_lease_is_over(const cz_trial *trial, double now);
/* How often in a row the owner of a trial died without a new step, and the steps there were when
 * it was last taken over. */
typedef struct cz_deaths {
    int count, steps;
} cz_deaths;
cz_deaths cz_lease_deaths(const cz_trial *trial);
/* A new lease (the caller's to free). beat 0: it is given up. NULL: no memory. */
json_t *cz_lease_make(const char *owner, double beat, cz_deaths deaths);
/* Puts a renewed lease into `lines`, unless it is young. */
cz_status cz_lease_renew(cz_study *study, cz_lines *lines, const cz_trial *trial, double now);

/* With the pen. The index of a trial among those that the study runs, -1: none of them. */
int cz_lease_find(const cz_study *study, int number);
/* Takes a trial among them, and starts the thread of heartbeats. CZ_ERR_MEMORY. */
cz_status cz_lease_own(cz_study *study, int number, double beat);
void cz_lease_drop(cz_study *study, int number);
/* Ends the thread. */
void cz_lease_close(cz_study *study);

#endif
