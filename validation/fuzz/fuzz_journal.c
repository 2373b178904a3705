/* The journal of a study: an input that begins with '{' is the file, the rest of any other stands
 * after the two lines that make a study and a trial. What is read must be a study, and the same
 * one where it is read in two parts; the first byte says where they meet. */
#include "fuzz.h"
#include "store/replay.h"

#include <math.h>

static const char begun[] =
    "{\"op_code\":0,\"worker_id\":\"w\",\"study_name\":\"s\",\"directions\":[1]}\n"
    "{\"op_code\":4,\"worker_id\":\"w\",\"study_id\":0,\"datetime_start\":null}\n";

static void check_trial(const cz_replay *replay, int number)
{
    const cz_trials *trials = &replay->trials;
    const cz_trial *trial = &trials->trial[number];
    fuzz_must(trial->number == number && trial->id >= 0 && trial->id < replay->ids);
    fuzz_must(replay->number[trial->id] == number);
    fuzz_must(trial->state >= CZ_TRIAL_RUNNING && trial->state <= CZ_TRIAL_WAITING);
    fuzz_must(json_is_object(trial->user) && json_is_object(trial->system));
    fuzz_must(trial->params >= 0 && trial->params <= CZ_SPACE_MAX);
    for (int i = 0; i < trial->params; i++) {
        int at = trial->param[i].dimension;
        fuzz_must(at >= 0 && at < trials->dimensions && isfinite(trial->param[i].value));
        double value = cz_trial_param(trials, trial, trials->dimension[at].name);
        fuzz_must(value == trial->param[i].value);
        const cz_dimension *d = &trials->dimension[at];
        fuzz_must(d->kind == CZ_CATEGORICAL ? cz_dimension_holds(d, value) : d->low <= d->high);
    }
    for (int i = 1; i < trial->steps; i++) fuzz_must(trial->step[i - 1].step < trial->step[i].step);
}

static void check_replay(const cz_replay *replay)
{
    fuzz_must(replay->trials.count <= replay->ids && replay->target < replay->studies);
    for (int i = 0; i < replay->trials.count; i++) check_trial(replay, i);
    int best = cz_trials_best(&replay->trials);
    fuzz_must(best < 0 || replay->trials.trial[best].state == CZ_TRIAL_COMPLETE);
}

static cz_status read_from(cz_replay *replay, const char *bytes, size_t size)
{
    size_t from = (size_t)replay->offset;
    fuzz_must(from <= size && (!from || bytes[from - 1] == '\n'));
    return cz_replay_feed(replay, bytes + from, size - from);
}

/* The first half alone may end within a line, and may be wrong where the whole is not. */
static void check_parts(const cz_replay *whole, const char *bytes, size_t size, size_t half)
{
    cz_replay parts;
    fuzz_must(!cz_replay_open(&parts, "fuzz", "s"));
    cz_status status = read_from(&parts, bytes, half);
    cz_error_clear();
    if (!status) {
        fuzz_must(!read_from(&parts, bytes, size));
        fuzz_must(parts.offset == whole->offset && parts.line == whole->line);
        fuzz_must(parts.trials.count == whole->trials.count && parts.ids == whole->ids);
        check_replay(&parts);
    }
    cz_replay_free(&parts);
}

static void check_file(const char *bytes, size_t size, size_t half)
{
    cz_replay replay;
    fuzz_must(!cz_replay_open(&replay, "fuzz", "s"));
    cz_status status = read_from(&replay, bytes, size);
    check_replay(&replay);
    if (fuzz_good(status, CZ_ERR_INPUT, CZ_ERR_MEMORY)) check_parts(&replay, bytes, size, half);
    cz_replay_free(&replay);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool whole = size && data[0] == '{';
    size_t before = whole ? 0 : sizeof begun - 1, skip = !whole && size ? 1 : 0;
    size_t total = before + size - skip;
    char *bytes = malloc(total ? total : 1); /* of its own size, so that reading beyond shows */
    if (!bytes) exit(2);
    memcpy(bytes, begun, before);
    if (size > skip) memcpy(bytes + before, data + skip, size - skip);
    check_file(bytes, total, total * (size ? data[0] : 0) / 256);
    free(bytes);
    return 0;
}
