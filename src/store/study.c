#include "study_parts.h"

#include "czhpc/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

double cz_study_lease_seconds(void)
{
    const char *text = getenv("CZHPC_LEASE");
    double seconds = text ? strtod(text, NULL) : 0;
    return seconds > 0 && isfinite(seconds) ? seconds : 60;
}

double cz_study_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* A random UUID, and the process. */
static char *make_worker(void)
{
    uint16_t r[8] = {0};
    char text[64];
    if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r) return NULL;
    snprintf(text, sizeof text, "%04x%04x-%04x-4%03x-%04x-%04x%04x%04x-%ld", r[0], r[1], r[2],
             r[3] & 0xfff, 0x8000 | (r[4] & 0x3fff), r[5], r[6], r[7], (long)getpid());
    return strdup(text);
}

/* A study of this name that has read nothing yet. */
static cz_status make(cz_study **made, const char *path, const char *name)
{
    /* Half a lease: the 30 s of Optuna where nothing else is asked for. */
    const double grace = cz_study_lease_seconds() / 2;
    cz_study *study = cz_alloc(1, sizeof *study, "a study");
    *made = study;
    if (!study) return CZ_ERR_MEMORY;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&study->close, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&study->pen, NULL);
    CZ_TRY(cz_journal_name(&study->journal, path, grace));
    if (name && name[cz_text_utf8(name, strlen(name))])
        return cz_fail(CZ_ERR_CONFIG, "the study's name is not UTF-8");
    if (name && !(study->name = strdup(name)))
        return cz_fail(CZ_ERR_MEMORY, "no memory for a study");
    return cz_replay_open(&study->replay, study->journal.path, name);
}

void cz_study_close(cz_study *study)
{
    if (!study) return;
    cz_lease_close(study);
    cz_replay_free(&study->replay);
    pthread_cond_destroy(&study->close);
    pthread_mutex_destroy(&study->pen);
    free(study->owned);
    free(study->name);
    free(study->worker);
    free(study);
}

const char *cz_study_name(const cz_study *study) { return study->name; }

/* Whether the bytes before offset are those that were read. */
static bool is_same(const cz_replay *replay, const char *bytes, size_t size)
{
    size_t tail = (size_t)replay->tail;
    return size >= tail && !memcmp(bytes, replay->last, tail);
}

cz_status cz_study_sync(const cz_journal *journal, cz_replay *replay)
{
    char *bytes;
    size_t size;
    CZ_TRY(cz_journal_read(journal, replay->offset - replay->tail, &bytes, &size));
    cz_status status = CZ_OK;
    if (!is_same(replay, bytes, size)) {
        free(bytes);
        CZ_TRY(cz_replay_rewind(replay));
        CZ_TRY(cz_journal_read(journal, 0, &bytes, &size));
    }
    size_t known = (size_t)replay->tail;
    status = cz_replay_feed(replay, bytes + known, size - known);
    free(bytes);
    return status;
}

static cz_status check_target(const cz_study *study)
{
    const cz_replay *replay = &study->replay;
    if (replay->target < 0)
        return cz_fail(CZ_ERR_INPUT, "%s: the study '%s' was deleted", replay->path, study->name);
    if (replay->study[replay->target].directions == 1) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT, "%s: the study '%s' has %d objectives, one was expected",
                   replay->path, study->name, replay->study[replay->target].directions);
}

/* Appends, and reads it: lines that a reader would pass over are an error at once. */
static cz_status append(const cz_journal *journal, cz_replay *replay, const char *lines,
                        size_t size)
{
    int64_t end = replay->offset;
    CZ_TRY(cz_journal_append(journal, end, lines, size));
    CZ_TRY(cz_study_sync(journal, replay));
    if (replay->offset >= end + (int64_t)size) return CZ_OK;
    return cz_fail(CZ_ERR_IO, "%s: what was appended after byte %lld does not read back",
                   replay->path, (long long)end);
}

cz_status cz_study_catch_up(const cz_journal *journal, cz_replay *replay)
{
    CZ_TRY(cz_study_sync(journal, replay));
    if (!replay->rescued) return CZ_OK;
    char *line = replay->rescued;
    size_t length = strlen(line);
    replay->rescued = NULL;
    line[length] = '\n'; /* in the place of its final 0 */
    cz_status status = append(journal, replay, line, length + 1);
    free(line);
    return status;
}

cz_status cz_lines_append(cz_lines *lines, const cz_journal *journal, cz_replay *replay)
{
    CZ_TRY(cz_lines_text(lines));
    return lines->size ? append(journal, replay, lines->text, lines->size) : CZ_OK;
}

cz_status cz_study_append(cz_study *study, cz_lines *lines)
{
    return cz_lines_append(lines, &study->journal, &study->replay);
}

static cz_status begin(cz_study *study, cz_lines *lines, bool create)
{
    *lines = (cz_lines){0};
    if (!study->worker) return cz_fail(CZ_ERR_BUG, "%s: was opened to read", study->journal.path);
    pthread_mutex_lock(&study->pen);
    cz_status status = study->broken;
    if (status) cz_fail(status, "%s", study->why);
    else status = cz_journal_lock(&study->journal);
    if (status) {
        pthread_mutex_unlock(&study->pen);
        return status;
    }
    if (create) status = cz_journal_create(&study->journal);
    if (!status) status = cz_study_catch_up(&study->journal, &study->replay);
    if (!status && !create) status = check_target(study);
    if (!status) status = cz_lines_open(lines, study->worker);
    return status ? cz_study_end(study, lines, status) : CZ_OK;
}

cz_status cz_study_begin(cz_study *study, cz_lines *lines) { return begin(study, lines, false); }

cz_status cz_study_end(cz_study *study, cz_lines *lines, cz_status status)
{
    cz_lines_free(lines);
    cz_journal_unlock(&study->journal);
    pthread_mutex_unlock(&study->pen);
    return status;
}

static void put_study(cz_lines *lines, const char *name, bool maximise)
{
    json_t *directions = json_pack("[i]", maximise ? 2 : 1);
    cz_line_begin(lines, CZ_OP_CREATE_STUDY);
    cz_line_text(lines, "study_name", name);
    cz_line_json(lines, "directions", directions);
    cz_line_end(lines);
    json_decref(directions);
}

static cz_status check_direction(const cz_study *study, bool maximise)
{
    const cz_replay *replay = &study->replay;
    CZ_TRY(check_target(study));
    int direction = replay->study[replay->target].direction;
    if (direction == (maximise ? 2 : 1)) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT,
                   "%s: the study '%s' %s, the job wants to %s: give the search another study",
                   replay->path, study->name,
                   direction == 2 ? "maximises"
                   : direction    ? "minimises"
                                  : "has no direction",
                   maximise ? "maximise" : "minimise");
}

/* Makes the study where it is not there. */
static cz_status join(cz_study *study, bool maximise)
{
    cz_lines lines;
    CZ_TRY(begin(study, &lines, true));
    if (study->replay.target < 0) put_study(&lines, study->name, maximise);
    cz_status status = cz_study_append(study, &lines);
    if (!status) status = check_direction(study, maximise);
    return cz_study_end(study, &lines, status);
}

cz_status cz_study_open(cz_study **study, const char *path, const char *name, bool maximise)
{
    cz_study *opened;
    *study = NULL;
    cz_status status = make(&opened, path, name);
    if (!status && !(opened->worker = make_worker()))
        status = cz_fail(CZ_ERR_MEMORY, "no memory for a study");
    if (!status) status = join(opened, maximise);
    if (status) cz_study_close(opened);
    else *study = opened;
    return status;
}

/* The studies of the file, for messages. */
static void list(char *text, size_t size, const cz_replay *replay)
{
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < replay->studies && used < size; i++) {
        char name[128];
        if (replay->study[i].deleted) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
                                 cz_text_printable(name, sizeof name, replay->study[i].name));
    }
}

/* The first study of the file, to be read. */
static cz_status choose(cz_study *study)
{
    cz_replay *replay = &study->replay;
    int first = 0;
    while (first < replay->studies && replay->study[first].deleted) first++;
    if (first == replay->studies) return cz_fail(CZ_ERR_INPUT, "%s: holds no study", replay->path);
    study->name = strdup(replay->study[first].name);
    replay->want = strdup(replay->study[first].name);
    if (!study->name || !replay->want) return cz_fail(CZ_ERR_MEMORY, "no memory for a study");
    CZ_TRY(cz_replay_rewind(replay));
    return cz_study_sync(&study->journal, replay);
}

void cz_study_names(char *text, size_t size, const cz_study *study)
{
    list(text, size, &study->replay);
}

static cz_status open_read(cz_study *study)
{
    char names[512];
    CZ_TRY(cz_study_sync(&study->journal, &study->replay));
    if (!study->name) CZ_TRY(choose(study));
    if (study->replay.target >= 0) return check_target(study);
    list(names, sizeof names, &study->replay);
    return cz_fail(CZ_ERR_INPUT, "%s: there is no study '%s'; it holds %s", study->journal.path,
                   study->name, names[0] ? names : "none");
}

cz_status cz_study_open_read(cz_study **study, const char *path, const char *name)
{
    cz_study *opened;
    *study = NULL;
    cz_status status = make(&opened, path, name);
    if (!status) status = open_read(opened);
    if (status) cz_study_close(opened);
    else *study = opened;
    return status;
}

cz_status cz_study_read(cz_study *study, const cz_trials **trials)
{
    *trials = &study->replay.trials;
    CZ_TRY(cz_study_sync(&study->journal, &study->replay));
    return check_target(study);
}
