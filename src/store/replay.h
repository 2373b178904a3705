/* The lines of a study's journal, and the trials that they amount to: what Optuna's
 * JournalStorageReplayResult does. All of it is Local. */
#ifndef CZ_REPLAY_H
#define CZ_REPLAY_H

#include "czhpc/study.h"

/* Operations; Optuna 5 passes over 10. */
enum {
    CZ_OP_CREATE_STUDY,
    CZ_OP_DELETE_STUDY,
    CZ_OP_STUDY_USER,
    CZ_OP_STUDY_SYSTEM,
    CZ_OP_CREATE_TRIAL,
    CZ_OP_PARAM,
    CZ_OP_STATE,
    CZ_OP_STEP,
    CZ_OP_TRIAL_USER,
    CZ_OP_TRIAL_SYSTEM,
    CZ_OP_DISCARD
};

typedef struct cz_replay_study {
    char *name;
    int directions, direction; /* how many objectives; 1 minimise, 2 maximise, of the first */
    bool deleted;
} cz_replay_study;

typedef struct cz_replay {
    const char *path; /* for messages; the caller's */
    char *want;       /* the study that is read, NULL: none, but studies are listed */
    bool timeless;    /* the caller needs no times: they stay NAN */
    int studies, study_room;
    cz_replay_study *study; /* (studies) by id */
    int target;             /* id of the study that is read, -1: not there */
    int ids, id_room;
    int *number; /* (ids) of each trial of the file: its number in the study, -1: in another */
    int trial_room, dimension_room;
    cz_trials trials;
    int64_t line;   /* lines read */
    int64_t offset; /* bytes read: where the next line begins */
    char *rescued;  /* a line, to be written there: see cz_replay_feed(); NULL: none */
    int tail;       /* the last bytes before offset, to see that the file is still the same */
    char last[64];
} cz_replay;

/* Nothing read yet. CZ_ERR_MEMORY. Free with cz_replay_free(). */
cz_status cz_replay_open(cz_replay *replay, const char *path, const char *want);
void cz_replay_free(cz_replay *replay);
/* Forgets what was read, to read from the beginning; a deleted study's trials alone. */
cz_status cz_replay_rewind(cz_replay *replay);
cz_status cz_replay_forget_trials(cz_replay *replay);

/* Reads on in the bytes that follow offset. What a writer that died left at the end is left out:
 * the last line without an end, and lines that are no JSON after which no good one comes. An
 * operation that is whole in there is `rescued`: one that lacks only the end of its line, or that
 * was appended to half a line. A line that is whole but cannot be read is never left out.
 * CZ_ERR_INPUT: FILE:LINE, what is wrong; CZ_ERR_MEMORY. */
cz_status cz_replay_feed(cz_replay *replay, const char *bytes, size_t size);

/* One operation. CZ_ERR_INPUT. */
cz_status cz_replay_apply(cz_replay *replay, const json_t *op);

/* CZ_ERR_INPUT with "FILE:LINE: " of the line being read before it. */
cz_status cz_replay_fail(const cz_replay *replay, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Room for one more element of `size` bytes in an array that grows; zeroed. CZ_ERR_MEMORY. */
cz_status cz_replay_grow(void *array, int count, int *room, size_t size);

/* JSON as Python writes it: NaN, Infinity and -Infinity become the texts of that name, whole
 * numbers of more than 18 digits reals, halves of surrogate pairs U+FFFD. *value NULL: no JSON.
 * CZ_ERR_MEMORY. */
cz_status cz_replay_parse(json_t **value, const char *text, size_t size);

/* Complete, pruned or failed. */
bool cz_replay_is_finished(cz_trial_state state);
/* The last finite value of a trial's steps, NAN: none. Optuna takes it for a pruned trial's. */
double cz_replay_last_value(const cz_trial *trial);

/* A time as datetime.isoformat() writes it, local where it names no zone. False: it is none. */
bool cz_replay_time(const json_t *value, double *seconds);

/* A distribution, the text of a JSON object. *why NULL, or why it is none that a cz_dimension can
 * be. CZ_ERR_MEMORY. */
cz_status cz_replay_distribution(cz_dimension *dimension, const char *name, const json_t *text,
                                 const char **why);
/* A choice as text, as Python prints it (CZ_SPACE_CHOICE bytes). False: it does not fit. */
bool cz_replay_choice(char *text, const json_t *choice);

#endif
