#include "checkpoint.h"

#include "czhpc/log.h"
#include "folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The files to try, on rank 0. */
typedef struct file_list {
    cz_state_name *name; /* NULL: `path` itself is the file */
    int count;
} file_list;

static cz_status find_files(file_list *files, const char *path)
{
    struct stat status;
    size_t length = strlen(path);
    bool there = !stat(path, &status);
    if (!there && errno == ENOENT && (length < 3 || strcmp(path + length - 3, ".h5") != 0))
        return CZ_OK; /* a folder that is still to be made */
    if (!there) return cz_fail(CZ_ERR_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode)) return cz_folder_list(&files->name, &files->count, path);
    files->count = 1;
    return CZ_OK;
}

/* Turns the recorded error into a warning, or, after the last file, into one that says so. */
static void fall_back(const char *folder, const file_list *files, int next)
{
    char reason[2048];
    snprintf(reason, sizeof reason, "%s", cz_error_message());
    cz_error_clear();
    if (next < files->count) cz_warn("%s; trying %s", reason, files->name[next].text);
    else
        cz_fail(CZ_ERR_INPUT,
                "%s: no checkpoint in it can be read (%d tried), the last one: %s: start afresh "
                "under a new run.name",
                folder, files->count, reason);
}

/* Goes on to the first usable candidate from *next on; the outcome is in
 * `findings`. On rank 0. */
static void choose(cz_findings *findings, char **config, const cz_checkpoint *checkpoint,
                   const char *path, const file_list *files, int *next)
{
    findings->found = false;
    findings->status = CZ_OK;
    while (*next < files->count) {
        int i = (*next)++;
        free(*config);
        *config = NULL;
        if (!files->name) {
            snprintf(findings->path, sizeof findings->path, "%s", path);
        } else if (cz_file_path(findings->path, path, files->name[i].text)) {
            findings->status = CZ_ERR_IO;
            return;
        }
        findings->found = true;
        findings->status = cz_checkpoint_check(findings, config, checkpoint);
        if (findings->status != CZ_ERR_INPUT || !findings->damaged || !files->name) return;
        fall_back(path, files, *next);
    }
}

/* What was found into `checkpoint`, and the configuration's text to all. Collective. */
static cz_status take_results(cz_checkpoint *checkpoint, const cz_findings *findings, char *config,
                              const cz_comm *comm)
{
    char *text = cz_alloc(findings->config_size, 1, "a checkpoint's configuration");
    if (text && config) memcpy(text, config, findings->config_size);
    cz_status status = cz_comm_agree(comm, text ? CZ_OK : CZ_ERR_MEMORY);
    if (!status) status = cz_comm_broadcast(comm, CZ_OK, text, findings->config_size);
    if (status) {
        free(text);
        return status;
    }
    checkpoint->progress = findings->progress;
    checkpoint->config_hash = findings->config_hash;
    checkpoint->data_hash = findings->data_hash;
    checkpoint->workers = findings->workers;
    memcpy(checkpoint->backend, findings->backend, sizeof checkpoint->backend);
    checkpoint->config = text;
    return CZ_OK;
}

cz_status cz_checkpoint_load(const char *path, cz_checkpoint *checkpoint, int whole_weights,
                             int *found, const cz_comm *comm)
{
    file_list files = {NULL, 0};
    char *config = NULL;
    int next = 0;
    cz_findings *findings = cz_alloc(1, sizeof *findings, "what a checkpoint holds");
    cz_status status = cz_comm_agree(comm, findings ? CZ_OK : CZ_ERR_MEMORY);
    *found = 0;
    if (status) goto done;
    if (comm->rank == 0) status = find_files(&files, path);
    status = cz_comm_broadcast(comm, status, NULL, 0);

    while (!status) {
        if (comm->rank == 0) choose(findings, &config, checkpoint, path, &files, &next);
        status = cz_comm_broadcast(comm, CZ_OK, findings, sizeof *findings);
        if (!status) status = findings->status;
        if (status || !findings->found) break;
        cz_status moved =
            cz_state_move(findings->path, checkpoint, false, whole_weights != 0, comm);
        if (!moved) {
            status = take_results(checkpoint, findings, config, comm);
            *found = !status;
            break;
        }
        /* The disk gave other bytes than a moment ago: an older state may still be read. */
        int more = next < files.count;
        status = cz_comm_broadcast(comm, CZ_OK, &more, sizeof more);
        if (!status && (!more || moved != CZ_ERR_INPUT)) status = moved;
        if (!status && comm->rank == 0) fall_back(path, &files, next);
    }

done:
    free(files.name);
    free(config);
    free(findings);
    return status;
}
