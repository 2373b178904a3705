#include "replay.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cz_status cz_replay_fail(const cz_replay *replay, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return cz_fail(CZ_ERR_INPUT, "%s:%lld: %s", replay->path, (long long)replay->line + 1, text);
}

cz_status cz_replay_grow(void *array, int count, int *room, size_t size)
{
    void *kept, *memory;
    if (count < *room) return CZ_OK;
    memcpy(&kept, array, sizeof kept);
    int more = *room ? 2 * *room : 16;
    memory = *room > INT_MAX / 2 ? NULL : realloc(kept, (size_t)more * size);
    if (!memory) return cz_fail(CZ_ERR_MEMORY, "no memory for the journal of a study");
    memset((char *)memory + (size_t)count * size, 0, (size_t)(more - count) * size);
    memcpy(array, &memory, sizeof memory);
    *room = more;
    return CZ_OK;
}

static void free_trials(cz_trials *trials)
{
    for (int i = 0; i < trials->count; i++) {
        free(trials->trial[i].step);
        json_decref(trials->trial[i].user);
        json_decref(trials->trial[i].system);
    }
    free(trials->trial);
    free(trials->dimension);
    json_decref(trials->user);
    json_decref(trials->system);
    *trials = (cz_trials){0};
}

static void free_studies(cz_replay *replay)
{
    free(replay->rescued);
    for (int i = 0; i < replay->studies; i++) free(replay->study[i].name);
    free(replay->study);
    free(replay->number);
}

void cz_replay_free(cz_replay *replay)
{
    free_studies(replay);
    free_trials(&replay->trials);
    free(replay->want);
    *replay = (cz_replay){0};
}

cz_status cz_replay_forget_trials(cz_replay *replay)
{
    free_trials(&replay->trials);
    replay->trial_room = replay->dimension_room = 0;
    replay->trials.user = json_object();
    replay->trials.system = json_object();
    if (replay->trials.user && replay->trials.system) return CZ_OK;
    return cz_fail(CZ_ERR_MEMORY, "no memory for the journal of a study");
}

cz_status cz_replay_rewind(cz_replay *replay)
{
    free_studies(replay);
    cz_replay fresh = {
        .path = replay->path, .want = replay->want, .timeless = replay->timeless, .target = -1};
    fresh.trials = replay->trials;
    *replay = fresh;
    return cz_replay_forget_trials(replay);
}

cz_status cz_replay_open(cz_replay *replay, const char *path, const char *want)
{
    *replay = (cz_replay){.path = path, .target = -1};
    if (want && !(replay->want = strdup(want)))
        return cz_fail(CZ_ERR_MEMORY, "no memory for the journal of a study");
    cz_status status = cz_replay_forget_trials(replay);
    if (status) cz_replay_free(replay);
    return status;
}

static const char begins[] = "{\"op_code\":"; /* each line that Optuna or czhpc writes */

static cz_status is_operation(const char *at, size_t size, bool *is)
{
    json_t *op;
    CZ_TRY(cz_replay_parse(&op, at, size));
    *is = json_is_object(op);
    json_decref(op);
    return CZ_OK;
}

/* Whether a line has both its ends: what is wrong with it no dying writer has done. */
static bool is_whole(const char *at, size_t size)
{
    size_t length = sizeof begins - 1;
    return size > length && !memcmp(at, begins, length) && at[size - 1] == '}';
}

/* Whether one of the lines that end in these bytes is an operation, or may be one. */
static cz_status any_good(const char *at, const char *end, bool *good)
{
    const char *stop;
    *good = false;
    for (; !*good && (stop = memchr(at, '\n', (size_t)(end - at))); at = stop + 1) {
        CZ_TRY(is_operation(at, (size_t)(stop - at), good));
        if (is_whole(at, (size_t)(stop - at))) *good = true;
    }
    return CZ_OK;
}

/* Whether bytes may be the beginning of the first line of a journal: a file that is none is not
 * taken for one that was torn. */
static bool may_begin(const char *bytes, size_t size)
{
    size_t length = sizeof begins - 1;
    return !memcmp(bytes, begins, size < length ? size : length);
}

static void keep_last(cz_replay *replay, const char *line, size_t size)
{
    size_t keep = size < sizeof replay->last ? size : sizeof replay->last;
    memcpy(replay->last, line + size - keep, keep);
    replay->tail = (int)keep;
}

/* Finds the whole operation that ends these bytes, which stand where one line should. */
static cz_status rescue(cz_replay *replay, const char *at, size_t size)
{
    const char *end = at + size, *found;
    bool good = false;
    for (; (found = memmem(at, (size_t)(end - at), begins, sizeof begins - 1)); at = found + 1) {
        CZ_TRY(is_operation(found, (size_t)(end - found), &good));
        if (!good) continue;
        replay->rescued = strndup(found, (size_t)(end - found));
        if (replay->rescued) return CZ_OK;
        return cz_fail(CZ_ERR_MEMORY, "no memory for the journal of a study");
    }
    return CZ_OK;
}

/* What stands after the last good line. */
static cz_status check_rest(cz_replay *replay, const char *at, const char *end)
{
    bool good = false;
    if (at == end) return CZ_OK;
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    size_t size = (size_t)((stop ? stop : end) - at);
    if (stop) CZ_TRY(any_good(stop + 1, end, &good));
    if (good)
        return cz_replay_fail(replay, "is no JSON, though lines that are follow it: a writer died "
                                      "here; remove this line to go on");
    if (!replay->offset && !may_begin(at, (size_t)(end - at)))
        return cz_replay_fail(replay, "is no line of an Optuna journal");
    CZ_TRY(rescue(replay, at, size));
    if (!stop || replay->rescued || !is_whole(at, size)) return CZ_OK;
    return cz_replay_fail(replay, "is whole, but no JSON that czhpc reads: mend or remove it");
}

cz_status cz_replay_feed(cz_replay *replay, const char *bytes, size_t size)
{
    const char *at = bytes, *end = bytes + size, *stop;
    free(replay->rescued);
    replay->rescued = NULL;
    while (at < end && (stop = memchr(at, '\n', (size_t)(end - at)))) {
        json_t *op;
        CZ_TRY(cz_replay_parse(&op, at, (size_t)(stop - at)));
        if (!op) break;
        cz_status status = cz_replay_apply(replay, op);
        json_decref(op);
        if (status) return status;
        size_t length = (size_t)(stop + 1 - at);
        keep_last(replay, at, length);
        replay->line++;
        replay->offset += (int64_t)length;
        at += length;
    }
    return check_rest(replay, at, end);
}
