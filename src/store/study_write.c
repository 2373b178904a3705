/* What the owner of a trial tells of it. */
#include "study_parts.h"

#include <math.h>

/* The trial, NULL where it is not this study's to write to (any more): who runs it hears so. */
static const cz_trial *owned_trial(cz_study *study, int number)
{
    if (cz_lease_find(study, number) < 0) return NULL;
    const cz_trial *trial = cz_lease_mine(study, &study->replay.trials, number);
    if (!trial) cz_lease_drop(study, number);
    return trial;
}

/* Begins a write to a trial; *trial NULL: it is not this study's. */
static cz_status begin(cz_study *study, int number, cz_lines *lines, const cz_trial **trial)
{
    *trial = NULL;
    CZ_TRY(cz_study_begin(study, lines));
    *trial = owned_trial(study, number);
    return CZ_OK;
}

static cz_status end(cz_study *study, cz_lines *lines, cz_status status)
{
    if (!status) status = cz_study_append(study, lines);
    return cz_study_end(study, lines, status);
}

/* The same, where the trial is not this study's any more. */
static cz_status end_trial(cz_study *study, int number, cz_lines *lines, cz_status status)
{
    if (!status) status = cz_study_append(study, lines);
    if (!status) cz_lease_drop(study, number);
    return cz_study_end(study, lines, status);
}

static bool stands(const cz_trial *trial, int64_t step, double value)
{
    for (int i = 0; i < trial->steps; i++)
        if (trial->step[i].step == step)
            return trial->step[i].value == value || (isnan(trial->step[i].value) && isnan(value));
    return false;
}

cz_status cz_study_report(cz_study *study, int number, int64_t step, double value, bool *mine)
{
    cz_lines lines;
    const cz_trial *trial;
    CZ_TRY(begin(study, number, &lines, &trial));
    cz_status status = CZ_OK;
    *mine = trial != NULL;
    if (trial && !stands(trial, step, value)) {
        cz_line_begin(&lines, CZ_OP_STEP);
        cz_line_int(&lines, "trial_id", trial->id);
        cz_line_int(&lines, "step", step);
        cz_line_number(&lines, "intermediate_value", value);
        cz_line_end(&lines);
        status = cz_lease_renew(study, &lines, trial, cz_study_now());
    }
    return end(study, &lines, status);
}

/* What the journal holds as a trial's value, NAN: null. */
static double final_value(const cz_trial *trial, cz_trial_state state, double value)
{
    if (state == CZ_TRIAL_FAILED) return NAN;
    return state == CZ_TRIAL_PRUNED && isnan(value) ? cz_replay_last_value(trial) : value;
}

cz_status cz_study_tell(cz_study *study, int number, cz_trial_state state, double value, bool *mine)
{
    cz_lines lines;
    const cz_trial *trial;
    if (!cz_replay_is_finished(state) || (state == CZ_TRIAL_COMPLETE && isnan(value)))
        return cz_fail(CZ_ERR_BUG, "trial %d is told state %d, value %g", number, (int)state,
                       value);
    CZ_TRY(begin(study, number, &lines, &trial));
    *mine = trial != NULL;
    if (trial)
        cz_lines_state(&lines, trial->id, state, final_value(trial, state, value), cz_study_now());
    return end_trial(study, number, &lines, CZ_OK);
}

cz_status cz_study_release(cz_study *study, int number)
{
    cz_lines lines;
    const cz_trial *trial;
    CZ_TRY(begin(study, number, &lines, &trial));
    cz_status status = CZ_OK;
    if (trial) {
        json_t *lease = cz_lease_make(study->worker, 0, cz_lease_deaths(trial));
        if (lease)
            cz_lines_attribute(&lines, CZ_OP_TRIAL_USER, "trial_id", trial->id, CZ_LEASE, lease);
        else status = cz_fail(CZ_ERR_MEMORY, "no memory for a lease");
        json_decref(lease);
    }
    return end_trial(study, number, &lines, status);
}

static cz_status set_trial(cz_study *study, int number, bool system, const char *name,
                           const json_t *value, bool *mine)
{
    cz_lines lines;
    const cz_trial *trial;
    CZ_TRY(begin(study, number, &lines, &trial));
    cz_status status = CZ_OK;
    *mine = trial != NULL;
    if (trial) {
        cz_lines_attribute(&lines, system ? CZ_OP_TRIAL_SYSTEM : CZ_OP_TRIAL_USER, "trial_id",
                           trial->id, name, value);
        status = cz_lease_renew(study, &lines, trial, cz_study_now());
    }
    return end(study, &lines, status);
}

cz_status cz_study_set_trial(cz_study *study, int number, bool system, const char *name,
                             json_t *value, bool *mine)
{
    cz_status status = value ? set_trial(study, number, system, name, value, mine)
                             : cz_fail(CZ_ERR_BUG, "%s: an attribute without a value", name);
    json_decref(value);
    return status;
}

static cz_status set_study(cz_study *study, bool system, const char *name, const json_t *value)
{
    cz_lines lines;
    CZ_TRY(cz_study_begin(study, &lines));
    cz_lines_attribute(&lines, system ? CZ_OP_STUDY_SYSTEM : CZ_OP_STUDY_USER, "study_id",
                       study->replay.target, name, value);
    return end(study, &lines, CZ_OK);
}

cz_status cz_study_set(cz_study *study, bool system, const char *name, json_t *value)
{
    cz_status status = value ? set_study(study, system, name, value)
                             : cz_fail(CZ_ERR_BUG, "%s: an attribute without a value", name);
    json_decref(value);
    return status;
}
