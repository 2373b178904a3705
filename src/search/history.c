#include "history.h"

#include "relative.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool finished(const cz_trial *trial)
{
    return trial->state == CZ_TRIAL_COMPLETE || trial->state == CZ_TRIAL_PRUNED;
}

int count_finished(const cz_trials *trials)
{
    int count = 0;
    for (int i = 0; i < trials->count; i++) count += finished(&trials->trial[i]);
    return count;
}

/* By how much a constraint is broken. */
static double broken(const json_t *constraint)
{
    double number;
    return cz_attribute_number(constraint, &number) ? fmax(number, 0) : 0;
}

/* Optuna's constraints are broken by their positive values: a list, or one attribute each, which
 * replaces the list's entry of its name. */
static double broken_constraints(const cz_trial *trial)
{
    const char *key;
    json_t *value, *list = json_object_get(trial->system, "constraints");
    size_t at;
    double sum = 0;
    json_object_foreach(trial->system, key, value)
    {
        if (!strncmp(key, "constraints:", 12)) sum += broken(value);
    }
    json_array_foreach(list, at, value)
    {
        char name[40];
        snprintf(name, sizeof name, "constraints:%zu", at);
        if (!json_object_get(trial->system, name)) sum += broken(value);
    }
    return sum;
}

/* Trials from best to worst: complete, pruned (the longest first), infeasible, running. */
typedef struct ranked {
    int group;
    double first, second;
    const cz_trial *trial;
} ranked;

static ranked rank_trial(const cz_trial *trial, bool maximise)
{
    double sign = maximise ? -1 : 1;
    if (trial->state == CZ_TRIAL_RUNNING) return (ranked){3, 0, 0, trial};
    double breach = broken_constraints(trial);
    if (breach > 0) return (ranked){2, breach, 0, trial};
    if (trial->state == CZ_TRIAL_COMPLETE)
        return (ranked){0, isnan(trial->value) ? INFINITY : sign * trial->value, 0, trial};
    if (trial->steps == 0) return (ranked){1, 1, 0, trial};
    const cz_trial_step *last = &trial->step[trial->steps - 1];
    return (ranked){1, -(double)last->step, isnan(last->value) ? INFINITY : sign * last->value,
                    trial};
}

static int by_rank(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->group != y->group) return x->group - y->group;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    if (x->second != y->second) return x->second < y->second ? -1 : 1;
    return x->trial->number - y->trial->number;
}

static int by_number(const void *a, const void *b)
{
    return (*(const cz_trial *const *)a)->number - (*(const cz_trial *const *)b)->number;
}

/* How many trials count as good ones. */
static int count_below(int finished_ones)
{
    int tenth = (finished_ones + 9) / 10;
    return tenth < 25 ? tenth : 25;
}

cz_status history_make(history *h, const cz_sampling *sampling, const cz_trials *trials, int number)
{
    int n = 0, running = 0;
    ranked *order = cz_alloc((size_t)trials->count, sizeof *order, "the order of trials");
    *h = (history){.trials = trials, .joint = sampling->joint};
    h->trial = cz_alloc((size_t)trials->count, sizeof(const cz_trial *), "the order of trials");
    if (!order || !h->trial) {
        free(order);
        return CZ_ERR_MEMORY;
    }
    for (int i = 0; i < trials->count; i++) {
        const cz_trial *trial = &trials->trial[i];
        bool runs = trial->state == CZ_TRIAL_RUNNING && sampling->constant_liar;
        if (trial->number == number || !(finished(trial) || runs)) continue;
        order[n++] = rank_trial(trial, trials->maximise);
        running += runs;
    }
    qsort(order, (size_t)n, sizeof *order, by_rank);
    for (int i = 0; i < n; i++) h->trial[i] = order[i].trial;
    free(order);
    h->below = count_below(n - running);
    h->above = n - h->below;
    qsort(h->trial, (size_t)h->below, sizeof(const cz_trial *), by_number);
    qsort(h->trial + h->below, (size_t)h->above, sizeof(const cz_trial *), by_number);
    return CZ_OK;
}

void history_free(history *h)
{
    free(h->trial);
    *h = (history){0};
}

/* The dimension of this name that a trial has, NULL for none; *value: what it gave it. */
static const cz_dimension *dimension_of(const cz_trials *trials, const cz_trial *trial,
                                        const char *name, double *value)
{
    for (int i = 0; i < trial->params; i++) {
        const cz_dimension *dimension = &trials->dimension[trial->param[i].dimension];
        if (strcmp(dimension->name, name)) continue;
        *value = trial->param[i].value;
        return dimension;
    }
    return NULL;
}

static bool all_share(const cz_trials *trials, const cz_dimension *wanted)
{
    for (int i = 0; i < trials->count; i++) {
        double value;
        if (!finished(&trials->trial[i])) continue;
        const cz_dimension *its = dimension_of(trials, &trials->trial[i], wanted->name, &value);
        if (!its || !cz_dimension_equal(its, wanted)) return false;
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const cz_dimension *const *)a)->name, (*(const cz_dimension *const *)b)->name);
}

int shared_dimensions(const cz_dimension **shared, const cz_trials *trials)
{
    int first = 0, count = 0;
    while (first < trials->count && !finished(&trials->trial[first])) first++;
    if (first == trials->count) return 0;
    const cz_trial *trial = &trials->trial[first];
    for (int i = 0; i < trial->params; i++) {
        const cz_dimension *dimension = &trials->dimension[trial->param[i].dimension];
        if (!cz_dimension_single(dimension) && all_share(trials, dimension))
            shared[count++] = dimension;
    }
    qsort(shared, (size_t)count, sizeof *shared, by_name);
    return count;
}

/* A kernel needs a choice that there is, and a number that has a logarithm. */
static bool usable(const cz_dimension *dimension, double value)
{
    if (dimension->kind == CZ_CATEGORICAL) return cz_dimension_holds(dimension, value);
    return !isnan(value) && (!dimension->log || value > 0);
}

/* One trial's value of every dimension, of whatever range it had then. */
static bool trial_point(double *x, const cz_trials *trials, const cz_trial *trial,
                        const json_t *relative, const cz_dimension *const *dimension,
                        int dimensions)
{
    for (int i = 0; i < dimensions; i++) {
        const cz_dimension *its = dimension_of(trials, trial, dimension[i]->name, &x[i]);
        if (its && !cz_dimension_agrees(its, dimension[i])) return false;
        if (!its) x[i] = relative_value(relative, dimension[i]);
        if (!usable(dimension[i], x[i])) return false;
    }
    return true;
}

int history_points(double *point, const history *h, const cz_trial *const *trial, int n,
                   const cz_dimension *const *dimension, int dimensions)
{
    int count = 0;
    for (int i = 0; i < n; i++) {
        bool shares = h->joint && trial[i]->state == CZ_TRIAL_RUNNING;
        json_t *relative = shares ? relative_read(trial[i]->system) : NULL;
        count += trial_point(point + (size_t)count * (size_t)dimensions, h->trials, trial[i],
                             relative, dimension, dimensions);
        json_decref(relative);
    }
    return count;
}
