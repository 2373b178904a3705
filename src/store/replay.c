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

/* Whether one of the lines that end in these bytes is an object. */
static bool any_good(const char *at, const char *end)
{
    const char *stop;
    bool good = false;
    for (; !good && (stop = memchr(at, '\n', (size_t)(end - at))); at = stop + 1) {
        json_t *op = cz_replay_parse(at, (size_t)(stop - at));
        good = json_is_object(op);
        json_decref(op);
    }
    return good;
}

/* Whether bytes may be the beginning of the first line of a journal: a file that is none is not
 * taken for one that was torn. */
static bool may_begin(const char *bytes, size_t size)
{
    static const char first[] = "{\"op_code\":";
    size_t length = sizeof first - 1;
    return !memcmp(bytes, first, size < length ? size : length);
}

static void keep_last(cz_replay *replay, const char *line, size_t size)
{
    size_t keep = size < sizeof replay->last ? size : sizeof replay->last;
    memcpy(replay->last, line + size - keep, keep);
    replay->tail = (int)keep;
}

/* The whole operation that ends these bytes, which stand where one line should. */
static char *rescue(const char *at, size_t size)
{
    static const char first[] = "{\"op_code\":";
    const char *end = at + size, *found;
    for (; (found = memmem(at, (size_t)(end - at), first, sizeof first - 1)); at = found + 1) {
        json_t *op = cz_replay_parse(found, (size_t)(end - found));
        bool good = json_is_object(op);
        json_decref(op);
        if (good) return strndup(found, (size_t)(end - found));
    }
    return NULL;
}

/* What stands after the last good line. */
static cz_status check_rest(cz_replay *replay, const char *at, const char *end)
{
    const char *stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    if (stop && any_good(stop + 1, end))
        return cz_replay_fail(replay, "is no JSON, though lines that are follow it: a writer died "
                                      "here; remove this line to go on");
    if (at < end && !replay->offset && !may_begin(at, (size_t)(end - at)))
        return cz_replay_fail(replay, "is no line of an Optuna journal");
    if (at < end) replay->rescued = rescue(at, (size_t)((stop ? stop : end) - at));
    return CZ_OK;
}

cz_status cz_replay_feed(cz_replay *replay, const char *bytes, size_t size)
{
    const char *at = bytes, *end = bytes + size, *stop;
    free(replay->rescued);
    replay->rescued = NULL;
    while (at < end && (stop = memchr(at, '\n', (size_t)(end - at)))) {
        json_t *op = cz_replay_parse(at, (size_t)(stop - at));
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
