/* All that a study holds, as JSON; validation/make_study.py makes the same of what Optuna reads.
 * What JSON cannot say is a text: "NaN", "Infinity", "-Infinity". */
#ifndef STUDY_DUMP_H
#define STUDY_DUMP_H

#include "czhpc/study.h"

#include <math.h>

static inline json_t *dump_number(double value)
{
    if (isnan(value)) return json_string("NaN");
    if (isinf(value)) return json_string(value < 0 ? "-Infinity" : "Infinity");
    return json_real(value);
}

static inline json_t *dump_dimension(const cz_dimension *d)
{
    static const char *const kinds[] = {"float", "int", "categorical"};
    json_t *made = json_pack("{ss}", "kind", kinds[d->kind]);
    if (d->kind == CZ_CATEGORICAL) {
        json_t *choices = json_array();
        for (int i = 0; i < d->choices; i++)
            json_array_append_new(choices, json_string(d->choice[i]));
        json_object_set_new(made, "choices", choices);
        return made;
    }
    json_object_set_new(made, "low", dump_number(d->low));
    json_object_set_new(made, "high", dump_number(d->high));
    json_object_set_new(made, "step", dump_number(d->step));
    json_object_set_new(made, "log", json_boolean(d->log));
    return made;
}

static inline json_t *dump_trial(const cz_trials *trials, const cz_trial *trial)
{
    json_t *params = json_object(), *steps = json_array();
    for (int i = 0; i < trial->params; i++) {
        const cz_dimension *d = &trials->dimension[trial->param[i].dimension];
        json_t *one = dump_dimension(d);
        json_object_set_new(one, "value", dump_number(trial->param[i].value));
        json_object_set_new(params, d->name, one);
    }
    for (int i = 0; i < trial->steps; i++)
        json_array_append_new(steps, json_pack("[Io]", (json_int_t)trial->step[i].step,
                                               dump_number(trial->step[i].value)));
    return json_pack("{si, sI, si, so, so, so, sO, sO, so, so}", "number", trial->number, "id",
                     (json_int_t)trial->id, "state", (int)trial->state, "value",
                     dump_number(trial->value), "params", params, "steps", steps, "user",
                     trial->user, "system", trial->system, "started", dump_number(trial->started),
                     "ended", dump_number(trial->ended));
}

static inline json_t *dump_trials(const cz_trials *trials)
{
    json_t *list = json_array();
    for (int i = 0; i < trials->count; i++)
        json_array_append_new(list, dump_trial(trials, &trials->trial[i]));
    return json_pack("{sb, sO, sO, so}", "maximise", trials->maximise, "user", trials->user,
                     "system", trials->system, "trials", list);
}

#endif
