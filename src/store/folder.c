#include "folder.h"

#include "czhpc/file.h"
#include "czhpc/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char BEST[] = "best.h5", LATEST[] = "latest", TEMPORARY[] = ".tmp";

cz_state_name cz_folder_name(int phase, int epoch, int step)
{
    cz_state_name name = {phase, epoch, step, ""};
    snprintf(name.text, sizeof name.text, "phase-%d-epoch-%03d-step-%06d.h5", phase, epoch, step);
    return name;
}

static bool parse_name(cz_state_name *name, const char *text)
{
    int phase, epoch, step;
    if (sscanf(text, "phase-%d-epoch-%d-step-%d.h5", &phase, &epoch, &step) != 3) return false;
    *name = cz_folder_name(phase, epoch, step);
    return !strcmp(name->text, text); /* so "….h5.tmp" and "….h5~" are none of ours */
}

/* One of ours that was being written. */
static bool is_temporary(const char *text)
{
    size_t length = strlen(text), end = strlen(TEMPORARY);
    return length > end && !strcmp(text + length - end, TEMPORARY) &&
           (!strncmp(text, "phase-", 6) || !strncmp(text, BEST, strlen(BEST)) ||
            !strncmp(text, LATEST, strlen(LATEST)));
}

/* Negative where `a` was written before `b`. */
static int order(const cz_state_name *a, const cz_state_name *b)
{
    if (a->phase != b->phase) return a->phase < b->phase ? -1 : 1;
    if (a->epoch != b->epoch) return a->epoch < b->epoch ? -1 : 1;
    return (a->step > b->step) - (a->step < b->step);
}

static int newest_first(const void *a, const void *b) { return order(b, a); }

/* All states of an open folder, newest first. */
static cz_status read_states(cz_state_name **names, int *count, DIR *directory, const char *folder)
{
    int room = 0;
    errno = 0;
    for (struct dirent *entry; (entry = readdir(directory)); errno = 0) {
        cz_state_name name;
        if (!parse_name(&name, entry->d_name)) continue;
        if (*count == room) {
            room = 2 * room + 16;
            cz_state_name *grown = realloc(*names, (size_t)room * sizeof *grown);
            if (!grown) return cz_fail(CZ_ERR_MEMORY, "no memory for the files of %s", folder);
            *names = grown;
        }
        (*names)[(*count)++] = name;
    }
    if (errno)
        return cz_fail(CZ_ERR_INPUT, "%s: the folder cannot be read: %s", folder, strerror(errno));
    if (*count) qsort(*names, (size_t)*count, sizeof **names, newest_first);
    return CZ_OK;
}

static cz_status list_states(cz_state_name **names, int *count, const char *folder)
{
    *names = NULL;
    *count = 0;
    DIR *directory = opendir(folder);
    if (!directory && errno == ENOENT) return CZ_OK;
    if (!directory)
        return cz_fail(CZ_ERR_INPUT, "%s: the folder cannot be read: %s", folder, strerror(errno));
    cz_status status = read_states(names, count, directory, folder);
    closedir(directory);
    if (status) {
        free(*names);
        *names = NULL;
        *count = 0;
    }
    return status;
}

/* What `latest` names, if it is there and names a state. */
static bool read_latest(cz_state_name *name, const char *folder)
{
    char path[CZ_FILE_PATH], line[CZ_STATE_NAME] = "";
    if (snprintf(path, sizeof path, "%s/%s", folder, LATEST) >= (int)sizeof path) return false;
    FILE *file = fopen(path, "r");
    if (!file) return false;
    bool read = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    line[strcspn(line, "\n")] = 0;
    return read && parse_name(name, line);
}

cz_status cz_folder_list(cz_state_name **names, int *count, const char *folder)
{
    cz_state_name latest, *sorted, *tried;
    char best[CZ_FILE_PATH];
    int states, newer = 0, n = 0;
    *names = NULL;
    *count = 0;
    CZ_TRY(cz_file_path(best, folder, BEST));
    CZ_TRY(list_states(&sorted, &states, folder));
    tried = cz_alloc((size_t)states + 2, sizeof *tried, "the names of checkpoints");
    if (!tried) {
        free(sorted);
        return CZ_ERR_MEMORY;
    }
    if (read_latest(&latest, folder)) {
        while (newer < states && order(&sorted[newer], &latest) > 0) newer++;
        /* One that is gone is tried, too: so its absence is told. */
        if (newer == states || order(&sorted[newer], &latest) != 0) tried[n++] = latest;
    }
    for (int i = newer; i < states; i++) tried[n++] = sorted[i];
    for (int i = 0; i < newer; i++) tried[n++] = sorted[i];
    if (!access(best, F_OK)) {
        tried[n] = (cz_state_name){-1, -1, -1, ""};
        snprintf(tried[n++].text, CZ_STATE_NAME, "%s", BEST);
    }
    free(sorted);
    *names = tried;
    *count = n;
    return CZ_OK;
}

cz_status cz_folder_clean(const char *folder)
{
    char path[CZ_FILE_PATH];
    DIR *directory = opendir(folder);
    if (!directory)
        return cz_fail(CZ_ERR_IO, "%s: checkpoints cannot be written there: %s", folder,
                       strerror(errno));
    cz_status status = CZ_OK;
    for (struct dirent *entry; !status && (entry = readdir(directory));) {
        if (!is_temporary(entry->d_name)) continue;
        status = cz_file_path(path, folder, entry->d_name);
        if (!status && unlink(path) && errno != ENOENT)
            status = cz_fail(CZ_ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
    }
    closedir(directory);
    return status;
}

/* A second name for a file, by copying where the file system has no hard links. */
static cz_status link_or_copy(const char *from, const char *to)
{
    char *bytes;
    size_t size;
    unlink(to);
    if (!link(from, to)) return CZ_OK;
    CZ_TRY(cz_file_read(from, &bytes, &size));
    cz_status status = cz_write_file(to, bytes, size);
    free(bytes);
    return status;
}

cz_status cz_folder_set_best(const char *folder, const cz_state_name *name)
{
    char from[CZ_FILE_PATH], to[CZ_FILE_PATH], temporary[CZ_FILE_PATH];
    CZ_TRY(cz_file_path(from, folder, name->text));
    CZ_TRY(cz_file_path(to, folder, BEST));
    CZ_TRY(cz_file_path(temporary, folder, "best.h5.tmp"));
    CZ_TRY(link_or_copy(from, temporary));
    cz_status status = CZ_OK;
    if (rename(temporary, to))
        status = cz_fail(CZ_ERR_IO, "%s: cannot be replaced: %s", to, strerror(errno));
    /* Where both were already names of one file, rename() leaves both. */
    unlink(temporary);
    return status ? status : cz_file_sync_folder(folder);
}

cz_status cz_folder_set_latest(const char *folder, const cz_state_name *name, int keep)
{
    char path[CZ_FILE_PATH], line[CZ_STATE_NAME + 2];
    cz_state_name *states;
    int count, kept = 0;
    int length = snprintf(line, sizeof line, "%s\n", name->text);
    CZ_TRY(cz_file_path(path, folder, LATEST));
    CZ_TRY(cz_write_file(path, line, (size_t)length));
    CZ_TRY(list_states(&states, &count, folder));
    for (int i = 0; i < count; i++) {
        int when = order(&states[i], name);
        if (when == 0 || (when < 0 && kept < keep)) kept++;
        /* A file that stays behind does no harm: the next call tries again. */
        else if (!cz_file_path(path, folder, states[i].text)) unlink(path);
    }
    free(states);
    return CZ_OK;
}
