/* Which trials are given up, by the values of their steps. */
#include "czhpc/sampler.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

cz_pruning cz_pruning_default(void)
{
    return (cz_pruning){.kind = CZ_PRUNE_ASHA, .startup = 5, .eta = 4, .first_rung = 1};
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value of a step, NAN for none. */
static double value_at(const cz_trial *trial, int64_t step)
{
    for (int i = 0; i < trial->steps; i++)
        if (trial->step[i].step == step) return trial->step[i].value;
    return NAN;
}

static double best_of(const cz_trial *trial, bool maximise)
{
    double best = NAN;
    for (int i = 0; i < trial->steps; i++)
        best = maximise ? fmax(best, trial->step[i].value) : fmin(best, trial->step[i].value);
    return best;
}

/* As numpy takes it: an infinity that takes part makes it NAN. Sorts. */
static double median(double *value, int n)
{
    if (n == 0) return NAN;
    qsort(value, (size_t)n, sizeof *value, ascending);
    double low = value[(n - 1) / 2], high = value[n > 1 ? (n - 1) / 2 + 1 : 0];
    return n % 2 ? low + (high - low) * 0 : high - (high - low) * 0.5;
}

/* Room for a number of every trial. */
static double *make_values(const cz_trials *trials)
{
    return cz_alloc((size_t)trials->count, sizeof(double), "the values of a study's trials");
}

/* Worse at its best than half of the complete trials at this step. */
static cz_status prune_by_median(bool *stop, const cz_pruning *pruning, const cz_trials *trials,
                                 const cz_trial *trial)
{
    int complete = 0, n = 0;
    for (int i = 0; i < trials->count; i++) complete += trials->trial[i].state == CZ_TRIAL_COMPLETE;
    int64_t step = trial->step[trial->steps - 1].step;
    if (complete == 0 || complete < pruning->startup || step < pruning->warmup) return CZ_OK;
    double best = best_of(trial, trials->maximise), *value = make_values(trials);
    if (!value) return CZ_ERR_MEMORY;
    for (int i = 0; i < trials->count; i++) {
        value[n] = value_at(&trials->trial[i], step);
        if (trials->trial[i].state == CZ_TRIAL_COMPLETE && !isnan(value[n])) n++;
    }
    double middle = median(value, n);
    *stop = isnan(best) || (trials->maximise ? best < middle : best > middle);
    free(value);
    return CZ_OK;
}

static const char *rung_name(char name[40], int rung)
{
    snprintf(name, 40, "completed_rung_%d", rung);
    return name;
}

/* Written rungs are numbers: the largest one stands for an infinity, in the same order. */
static double bounded(double value) { return fmin(fmax(value, -DBL_MAX), DBL_MAX); }

/* Whether a trial's last value is among the best of eta at a rung, of all trials that came there,
 * itself one of them. `other`: room for them. */
static bool goes_on(const cz_trial *trial, int rung, const cz_pruning *pruning,
                    const cz_trials *trials, double *other)
{
    char name[40];
    double sign = trials->maximise ? -1 : 1;
    double value = sign * bounded(trial->step[trial->steps - 1].value);
    int n = 1;
    rung_name(name, rung);
    other[0] = value;
    for (int i = 0; i < trials->count; i++) {
        double told;
        json_t *there = json_object_get(trials->trial[i].system, name);
        if (i == trial->number || !cz_attribute_number(there, &told) || isnan(told)) continue;
        other[n++] = sign * bounded(told);
    }
    qsort(other, (size_t)n, sizeof *other, ascending);
    int last = n / pruning->eta - 1;
    return value <= other[last < 0 ? 0 : last];
}

/* Steps at the rungs are first_rung times powers of eta. */
static bool reached(const cz_pruning *pruning, int rung, int64_t step)
{
    int64_t at = pruning->first_rung;
    for (; rung > 0; rung--) {
        if (at > step / pruning->eta) return false;
        at *= pruning->eta;
    }
    return step >= at;
}

/* Whether a step before the last one has reached a rung. */
static bool reached_before(const cz_pruning *pruning, int rung, const cz_trial *trial)
{
    return trial->steps > 1 && reached(pruning, rung, trial->step[trial->steps - 2].step);
}

/* Through all rungs that the last step has reached; those that stand since that step are judged
 * again: who wrote them may have died before it told the trial's end. */
static cz_status prune_by_rung(bool *stop, json_t *rungs, const cz_pruning *pruning,
                               const cz_trials *trials, const cz_trial *trial)
{
    const cz_trial_step *last = &trial->step[trial->steps - 1];
    char name[40];
    int rung = 0;
    cz_status status = CZ_OK;
    while (json_object_get(trial->system, rung_name(name, rung)) &&
           reached_before(pruning, rung, trial))
        rung++;
    if (!reached(pruning, rung, last->step)) return CZ_OK;
    *stop = true;
    if (isnan(last->value)) return CZ_OK;
    double *other = cz_alloc((size_t)trials->count + 1, sizeof *other, "the values at a rung");
    if (!other) return CZ_ERR_MEMORY;
    do {
        if (json_object_set_new(rungs, rung_name(name, rung), json_real(bounded(last->value))))
            status = cz_fail(CZ_ERR_MEMORY, "no memory for a trial's rungs");
        *stop = !goes_on(trial, rung++, pruning, trials, other);
    } while (!status && !*stop && reached(pruning, rung, last->step));
    free(other);
    return status;
}

static cz_status prune_by_halving(bool *stop, json_t **rungs, const cz_pruning *pruning,
                                  const cz_trials *trials, const cz_trial *trial)
{
    if (pruning->eta < 2 || pruning->first_rung < 1)
        return cz_fail(CZ_ERR_BUG, "successive halving with eta %d and first rung %d", pruning->eta,
                       pruning->first_rung);
    json_t *written = json_object();
    if (!written) return cz_fail(CZ_ERR_MEMORY, "no memory for a trial's rungs");
    cz_status status = prune_by_rung(stop, written, pruning, trials, trial);
    if (!status && json_object_size(written)) *rungs = written;
    else json_decref(written);
    return status;
}

cz_status cz_prune(bool *stop, json_t **rungs, const cz_pruning *pruning, const cz_trials *trials,
                   int number)
{
    *stop = false;
    *rungs = NULL;
    if (number < 0 || number >= trials->count)
        return cz_fail(CZ_ERR_BUG, "trial %d of %d is to be pruned", number, trials->count);
    const cz_trial *trial = &trials->trial[number];
    if (trial->steps == 0) return CZ_OK;
    switch (pruning->kind) {
    case CZ_PRUNE_MEDIAN:
        return prune_by_median(stop, pruning, trials, trial);
    case CZ_PRUNE_ASHA:
        return prune_by_halving(stop, rungs, pruning, trials, trial);
    case CZ_PRUNE_NONE:
        break;
    }
    return CZ_OK;
}
