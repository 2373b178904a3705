/* What each operation does to the trials, as Optuna's _apply_ functions decide it: what names a
 * study or trial that is not there, or a trial that is finished, is passed over. */
#include "replay.h"

#include "czhpc/json.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool cz_replay_is_finished(cz_trial_state state)
{
    return state == CZ_TRIAL_COMPLETE || state == CZ_TRIAL_PRUNED || state == CZ_TRIAL_FAILED;
}

double cz_replay_last_value(const cz_trial *trial)
{
    for (int i = trial->steps; i-- > 0;)
        if (isfinite(trial->step[i].value)) return trial->step[i].value;
    return NAN;
}

static cz_status get_int(const cz_replay *replay, const json_t *op, const char *key, int64_t *value)
{
    const json_t *found = json_object_get(op, key);
    *value = json_integer_value(found);
    if (json_is_integer(found)) return CZ_OK;
    return cz_replay_fail(replay, "%s is %s, a whole number was expected", key,
                          cz_json_kind(found));
}

static cz_status get_text(const cz_replay *replay, const json_t *op, const char *key,
                          const char **value)
{
    const json_t *found = json_object_get(op, key);
    *value = json_string_value(found);
    if (*value) return CZ_OK;
    return cz_replay_fail(replay, "%s is %s, a text was expected", key, cz_json_kind(found));
}

static cz_status get_object(const cz_replay *replay, const json_t *op, const char *key,
                            json_t **value)
{
    json_t *found = json_object_get(op, key);
    *value = found;
    if (json_is_object(found)) return CZ_OK;
    return cz_replay_fail(replay, "%s is %s, an object was expected", key, cz_json_kind(found));
}

/* null, or not there: NAN. */
static cz_status get_time(const cz_replay *replay, const json_t *op, const char *key,
                          double *seconds)
{
    const json_t *found = json_object_get(op, key);
    *seconds = NAN;
    if (replay->timeless || !found || json_is_null(found)) return CZ_OK;
    if (cz_replay_time(found, seconds)) return CZ_OK;
    return cz_replay_fail(replay, "%s is no time", key);
}

static cz_status get_state(const cz_replay *replay, const json_t *op, cz_trial_state *state)
{
    int64_t value;
    *state = CZ_TRIAL_RUNNING;
    CZ_TRY(get_int(replay, op, "state", &value));
    if (value < CZ_TRIAL_RUNNING || value > CZ_TRIAL_WAITING)
        return cz_replay_fail(replay, "state %lld is not known", (long long)value);
    *state = (cz_trial_state)value;
    return CZ_OK;
}

/* The study that an operation names: its id, or -1 where there is none. */
static cz_status get_study(const cz_replay *replay, const json_t *op, int *id)
{
    int64_t value;
    CZ_TRY(get_int(replay, op, "study_id", &value));
    *id = value >= 0 && value < replay->studies && !replay->study[value].deleted ? (int)value : -1;
    return CZ_OK;
}

/* The trial that an operation changes, NULL where it is another study's, finished or not there. */
static cz_status get_trial(const cz_replay *replay, const json_t *op, cz_trial **trial)
{
    int64_t id;
    *trial = NULL;
    CZ_TRY(get_int(replay, op, "trial_id", &id));
    if (id < 0 || id >= replay->ids || replay->number[id] < 0) return CZ_OK;
    cz_trial *found = &replay->trials.trial[replay->number[id]];
    if (!cz_replay_is_finished(found->state)) *trial = found;
    return CZ_OK;
}

static cz_status create_study(cz_replay *replay, const json_t *op)
{
    const char *name;
    int64_t direction = 0;
    const json_t *directions = json_object_get(op, "directions");
    CZ_TRY(get_text(replay, op, "study_name", &name));
    size_t count = json_array_size(directions);
    for (size_t i = count; i-- > 0;) {
        const json_t *one = json_array_get(directions, i);
        direction = json_is_integer(one) ? json_integer_value(one) : -1;
        if (direction < 0 || direction > 2) count = 0;
    }
    if (count < 1 || count > INT_MAX)
        return cz_replay_fail(replay, "directions are not a list of 1 (minimise) and 2 (maximise)");
    for (int i = 0; i < replay->studies; i++)
        if (!replay->study[i].deleted && !strcmp(replay->study[i].name, name)) return CZ_OK;
    CZ_TRY(cz_replay_grow(&replay->study, replay->studies, &replay->study_room,
                          sizeof *replay->study));
    char *copied = strdup(name);
    if (!copied) return cz_fail(CZ_ERR_MEMORY, "no memory for the journal of a study");
    replay->study[replay->studies] =
        (cz_replay_study){.name = copied, .directions = (int)count, .direction = (int)direction};
    if (replay->want && !strcmp(replay->want, name)) {
        replay->target = replay->studies;
        replay->trials.maximise = direction == 2;
    }
    replay->studies++;
    return CZ_OK;
}

static cz_status delete_study(cz_replay *replay, const json_t *op)
{
    int id;
    CZ_TRY(get_study(replay, op, &id));
    if (id < 0) return CZ_OK;
    replay->study[id].deleted = true;
    if (id != replay->target) return CZ_OK;
    /* Its trials keep their ids in the file, but are nobody's. */
    for (int i = 0; i < replay->ids; i++) replay->number[i] = -1;
    replay->target = -1;
    return cz_replay_forget_trials(replay);
}

static cz_status set_attributes(const cz_replay *replay, const json_t *op, bool system,
                                json_t *attributes)
{
    json_t *set;
    CZ_TRY(get_object(replay, op, system ? "system_attr" : "user_attr", &set));
    if (json_object_size(set) != 1)
        return cz_replay_fail(replay, "%zu attributes, one was expected", json_object_size(set));
    if (attributes && json_object_update(attributes, set))
        return cz_fail(CZ_ERR_MEMORY, "no memory for the journal of a study");
    return CZ_OK;
}

static cz_status set_study(cz_replay *replay, const json_t *op, bool system)
{
    int id;
    CZ_TRY(get_study(replay, op, &id));
    json_t *mine = system ? replay->trials.system : replay->trials.user;
    return set_attributes(replay, op, system, id >= 0 && id == replay->target ? mine : NULL);
}

static cz_status set_trial(cz_replay *replay, const json_t *op, bool system)
{
    cz_trial *trial;
    CZ_TRY(get_trial(replay, op, &trial));
    json_t *its = !trial ? NULL : system ? trial->system : trial->user;
    return set_attributes(replay, op, system, its);
}

/* The dimension's index among those of the study, where it is put if it is new. */
static cz_status find_dimension(cz_replay *replay, const cz_dimension *dimension, int *index)
{
    cz_trials *trials = &replay->trials;
    for (int i = 0; i < trials->dimensions; i++) {
        if (!cz_dimension_equal(&trials->dimension[i], dimension)) continue;
        *index = i;
        return CZ_OK;
    }
    CZ_TRY(cz_replay_grow(&trials->dimension, trials->dimensions, &replay->dimension_room,
                          sizeof *trials->dimension));
    trials->dimension[trials->dimensions] = *dimension;
    *index = trials->dimensions++;
    return CZ_OK;
}

/* A study has one kind of each parameter: that of the first trial that has it. */
static bool disagrees(const cz_trials *trials, const cz_dimension *dimension)
{
    for (int i = 0; i < trials->dimensions; i++)
        if (!strcmp(trials->dimension[i].name, dimension->name))
            return !cz_dimension_agrees(&trials->dimension[i], dimension);
    return false;
}

static cz_status put_param(cz_replay *replay, cz_trial *trial, const cz_dimension *dimension,
                           double value)
{
    int index, at = 0;
    CZ_TRY(find_dimension(replay, dimension, &index));
    while (at < trial->params &&
           strcmp(replay->trials.dimension[trial->param[at].dimension].name, dimension->name) != 0)
        at++;
    if (at == CZ_SPACE_MAX)
        return cz_replay_fail(replay, "a trial of more than %d parameters", CZ_SPACE_MAX);
    trial->param[at] = (cz_trial_value){.dimension = index, .value = value};
    if (at == trial->params) trial->params++;
    return CZ_OK;
}

/* `check`: pass over what disagrees with the study; a trial that is made with its parameters is
 * not checked. */
static cz_status set_param(cz_replay *replay, cz_trial *trial, const char *name,
                           const json_t *distribution, const json_t *internal, bool check)
{
    cz_dimension dimension;
    const char *why;
    double value;
    CZ_TRY(cz_replay_distribution(&dimension, name, distribution, &why));
    if (why) return cz_replay_fail(replay, "%s: %s", name, why);
    if (!cz_attribute_number(internal, &value) || !isfinite(value))
        return cz_replay_fail(replay, "%s: its value is no number", name);
    if (dimension.kind == CZ_CATEGORICAL && !cz_dimension_holds(&dimension, value))
        return cz_replay_fail(replay, "%s: there is no choice %g", name, value);
    if (check && disagrees(&replay->trials, &dimension)) return CZ_OK;
    return put_param(replay, trial, &dimension, value);
}

static cz_status op_param(cz_replay *replay, const json_t *op)
{
    cz_trial *trial;
    const char *name;
    CZ_TRY(get_trial(replay, op, &trial));
    CZ_TRY(get_text(replay, op, "param_name", &name));
    if (!trial) return CZ_OK;
    return set_param(replay, trial, name, json_object_get(op, "distribution"),
                     json_object_get(op, "param_value_internal"), true);
}

/* What cz_replay_grow() has made room for: 16, and then each power of two. */
static int step_room(int steps)
{
    int room = steps > 0 ? 16 : 0;
    while (room < steps) room *= 2;
    return room;
}

static cz_status put_step(cz_trial *trial, int64_t step, double value)
{
    int at = trial->steps, room = step_room(trial->steps);
    while (at > 0 && trial->step[at - 1].step >= step) at--;
    if (at < trial->steps && trial->step[at].step == step) {
        trial->step[at].value = value;
        return CZ_OK;
    }
    CZ_TRY(cz_replay_grow(&trial->step, trial->steps, &room, sizeof *trial->step));
    memmove(trial->step + at + 1, trial->step + at,
            (size_t)(trial->steps - at) * sizeof *trial->step);
    trial->step[at] = (cz_trial_step){.step = step, .value = value};
    trial->steps++;
    return CZ_OK;
}

static cz_status op_step(cz_replay *replay, const json_t *op)
{
    cz_trial *trial;
    int64_t step;
    double value;
    CZ_TRY(get_trial(replay, op, &trial));
    CZ_TRY(get_int(replay, op, "step", &step));
    if (!cz_attribute_number(json_object_get(op, "intermediate_value"), &value))
        return cz_replay_fail(replay, "intermediate_value is no number");
    return trial ? put_step(trial, step, value) : CZ_OK;
}

/* Values of an operation: NAN where there are none. */
static cz_status get_value(const cz_replay *replay, const json_t *op, double *value)
{
    const json_t *values = json_object_get(op, "values"), *one = json_object_get(op, "value");
    *value = NAN;
    if (json_array_size(values) == 1) one = json_array_get(values, 0);
    else if (values && !json_is_null(values))
        return cz_replay_fail(replay, "values are not a list of one number");
    if (!one || json_is_null(one) || cz_attribute_number(one, value)) return CZ_OK;
    return cz_replay_fail(replay, "its value is no number");
}

/* A pruned trial that was told none has the value of its last step that is finite. */
static void settle_value(cz_trial *trial)
{
    if (trial->state == CZ_TRIAL_PRUNED && isnan(trial->value))
        trial->value = cz_replay_last_value(trial);
}

static cz_status op_state(cz_replay *replay, const json_t *op)
{
    cz_trial *trial;
    cz_trial_state state;
    double value, started, ended;
    CZ_TRY(get_trial(replay, op, &trial));
    CZ_TRY(get_state(replay, op, &state));
    if (!trial || (state == CZ_TRIAL_RUNNING && trial->state == CZ_TRIAL_RUNNING)) return CZ_OK;
    CZ_TRY(get_value(replay, op, &value));
    CZ_TRY(get_time(replay, op, "datetime_start", &started));
    CZ_TRY(get_time(replay, op, "datetime_complete", &ended));
    if (state == CZ_TRIAL_RUNNING) trial->started = started;
    if (cz_replay_is_finished(state)) trial->ended = ended;
    if (!isnan(value)) trial->value = value;
    trial->state = state;
    settle_value(trial);
    return CZ_OK;
}

/* The parameters, steps and attributes that a trial is made with. */
static cz_status fill_params(cz_replay *replay, const json_t *op, cz_trial *trial)
{
    const char *name;
    json_t *params = json_object_get(op, "params"), *internal;
    json_object_foreach(params, name, internal)
    {
        const json_t *distribution = json_object_get(json_object_get(op, "distributions"), name);
        CZ_TRY(set_param(replay, trial, name, distribution, internal, false));
    }
    return CZ_OK;
}

static cz_status fill_steps(const cz_replay *replay, const json_t *op, cz_trial *trial)
{
    const char *key;
    json_t *steps = json_object_get(op, "intermediate_values"), *told;
    json_object_foreach(steps, key, told)
    {
        char *rest;
        double value;
        long long step = strtoll(key, &rest, 10);
        if (!key[0] || *rest || !cz_attribute_number(told, &value))
            return cz_replay_fail(replay, "intermediate_values are no numbers");
        CZ_TRY(put_step(trial, step, value));
    }
    return CZ_OK;
}

static cz_status fill_attributes(json_t *attributes, json_t *set)
{
    if (!json_is_object(set) || !json_object_update(attributes, set)) return CZ_OK;
    return cz_fail(CZ_ERR_MEMORY, "no memory for the journal of a study");
}

static cz_status fill_trial(cz_replay *replay, const json_t *op, cz_trial *trial)
{
    if (json_object_get(op, "state")) CZ_TRY(get_state(replay, op, &trial->state));
    CZ_TRY(get_value(replay, op, &trial->value));
    CZ_TRY(get_time(replay, op, "datetime_start", &trial->started));
    CZ_TRY(get_time(replay, op, "datetime_complete", &trial->ended));
    CZ_TRY(fill_params(replay, op, trial));
    CZ_TRY(fill_steps(replay, op, trial));
    CZ_TRY(fill_attributes(trial->user, json_object_get(op, "user_attrs")));
    CZ_TRY(fill_attributes(trial->system, json_object_get(op, "system_attrs")));
    settle_value(trial);
    return CZ_OK;
}

static cz_status add_trial(cz_replay *replay, cz_trial **trial)
{
    cz_trials *trials = &replay->trials;
    CZ_TRY(
        cz_replay_grow(&trials->trial, trials->count, &replay->trial_room, sizeof *trials->trial));
    cz_trial *added = &trials->trial[trials->count];
    *added = (cz_trial){.number = trials->count, .id = replay->ids, .value = NAN};
    added->user = json_object();
    added->system = json_object();
    trials->count++;
    *trial = added;
    if (added->user && added->system) return CZ_OK;
    return cz_fail(CZ_ERR_MEMORY, "no memory for the journal of a study");
}

static cz_status create_trial(cz_replay *replay, const json_t *op)
{
    int id;
    cz_trial *trial = NULL;
    CZ_TRY(get_study(replay, op, &id));
    if (id < 0) return CZ_OK;
    CZ_TRY(cz_replay_grow(&replay->number, replay->ids, &replay->id_room, sizeof *replay->number));
    bool mine = id == replay->target;
    if (mine) CZ_TRY(add_trial(replay, &trial));
    replay->number[replay->ids++] = mine ? trial->number : -1;
    return mine ? fill_trial(replay, op, trial) : CZ_OK;
}

cz_status cz_replay_apply(cz_replay *replay, const json_t *op)
{
    int64_t code;
    CZ_TRY(get_int(replay, op, "op_code", &code));
    switch (code) {
    case CZ_OP_CREATE_STUDY:
        return create_study(replay, op);
    case CZ_OP_DELETE_STUDY:
        return delete_study(replay, op);
    case CZ_OP_STUDY_USER:
    case CZ_OP_STUDY_SYSTEM:
        return set_study(replay, op, code == CZ_OP_STUDY_SYSTEM);
    case CZ_OP_CREATE_TRIAL:
        return create_trial(replay, op);
    case CZ_OP_PARAM:
        return op_param(replay, op);
    case CZ_OP_STATE:
        return op_state(replay, op);
    case CZ_OP_STEP:
        return op_step(replay, op);
    case CZ_OP_TRIAL_USER:
    case CZ_OP_TRIAL_SYSTEM:
        return set_trial(replay, op, code == CZ_OP_TRIAL_SYSTEM);
    case CZ_OP_DISCARD:
        return CZ_OK;
    default:
        return cz_replay_fail(replay, "op_code %lld is not known: the file is of a newer Optuna",
                              (long long)code);
    }
}
