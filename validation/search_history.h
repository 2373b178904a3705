/* A study's trials in memory, for the tests of samplers and pruners. */
#ifndef SEARCH_HISTORY_H
#define SEARCH_HISTORY_H

#include "czhpc/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HISTORY_STEPS = 64 };

/* A new trial that runs, with room for HISTORY_STEPS steps. */
static inline cz_trial *history_add(cz_trials *trials)
{
    size_t size = (size_t)trials->count + 1;
    trials->trial = realloc(trials->trial, size * sizeof *trials->trial);
    cz_trial *trial = &trials->trial[trials->count];
    *trial = (cz_trial){.number = trials->count++, .value = NAN, .started = NAN, .ended = NAN};
    trial->step = calloc(HISTORY_STEPS, sizeof *trial->step);
    trial->user = json_object();
    trial->system = json_object();
    return trial;
}

/* Its values of a space, whose dimensions are the study's. */
static inline void history_set(cz_trial *trial, const double *x, int count)
{
    trial->params = count;
    for (int i = 0; i < count; i++) trial->param[i] = (cz_trial_value){i, x[i]};
}

static inline void history_report(cz_trial *trial, int64_t step, double value)
{
    if (trial->steps < HISTORY_STEPS) trial->step[trial->steps++] = (cz_trial_step){step, value};
}

static inline void history_tell(cz_trial *trial, cz_trial_state state, double value)
{
    trial->state = state;
    trial->value = value;
}

/* All but the dimensions. */
static inline void history_drop(cz_trials *trials)
{
    for (int i = 0; i < trials->count; i++) {
        free(trials->trial[i].step);
        json_decref(trials->trial[i].user);
        json_decref(trials->trial[i].system);
    }
    free(trials->trial);
    trials->trial = NULL;
    trials->count = 0;
}

#endif
