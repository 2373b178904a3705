#include "checkpoint.h"

#include "czhpc/file.h"
#include "folder.h"
#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first element of [begin, end) that is not finite, or `end`. */
static size_t first_bad(const void *array, cz_dtype dtype, size_t begin, size_t end)
{
    enum { BLOCK = 4096 };
    const float *f = array;
    const double *d = array;
    for (size_t at = begin; at < end; at += BLOCK) {
        size_t stop = end - at < BLOCK ? end : at + BLOCK;
        int bad = 0;
        /* The difference is NaN, which differs from 0; what the compiler makes vectors of. */
        if (dtype == CZ_F64)
            for (size_t i = at; i < stop; i++) bad |= d[i] - d[i] != 0;
        else
            for (size_t i = at; i < stop; i++) bad |= f[i] - f[i] != 0;
        for (size_t i = at; bad && i < stop; i++)
            if (!isfinite(dtype == CZ_F64 ? d[i] : (double)f[i])) return i;
    }
    return end;
}

static cz_status check_finite(const cz_checkpoint *checkpoint)
{
    static const char *const what[CZ_STATES] = {"weight", "first moment", "second moment"};
    for (int a = 0; a < CZ_STATES; a++) {
        size_t i = first_bad(cz_state_array(checkpoint, a), checkpoint->dtype, checkpoint->begin,
                             checkpoint->end);
        if (i == checkpoint->end) continue;
        const char *name = "padding";
        for (int p = 0; p < checkpoint->count; p++) {
            const cz_param_entry *entry = &checkpoint->params[p];
            if (i >= entry->offset && i - entry->offset < cz_param_size(entry)) name = entry->name;
        }
        return cz_fail(CZ_ERR_DIVERGED,
                       "the %s of %s is not finite, so the state of phase %d, epoch %d, step %d "
                       "is not saved: lower train.lr",
                       what[a], name, checkpoint->progress.phase, checkpoint->progress.epoch,
                       checkpoint->progress.step);
    }
    return CZ_OK;
}

/* The slices of the ranks, in their order, must be the arrays. Collective. */
static cz_status check_slices(const cz_checkpoint *checkpoint, const cz_comm *comm)
{
    size_t own[2] = {checkpoint->begin, checkpoint->end}, at = 0;
    int *ones = cz_alloc((size_t)comm->size, sizeof *ones, "the slices of ranks");
    size_t(*all)[2] = cz_alloc((size_t)comm->size, sizeof *all, "the slices of ranks");
    cz_status status = cz_comm_agree(comm, ones && all ? CZ_OK : CZ_ERR_MEMORY);
    for (int r = 0; !status && r < comm->size; r++) ones[r] = 1;
    if (!status) status = cz_comm_gather_all(comm, all, own, ones, sizeof own);
    for (int r = 0; !status && r < comm->size; at = all[r++][1])
        if (all[r][0] != at || all[r][1] < at)
            status = cz_fail(CZ_ERR_BUG, "rank %d saves elements %zu to %zu, %zu is next", r,
                             all[r][0], all[r][1], at);
    if (!status && (at != checkpoint->n || at == 0))
        status = cz_fail(CZ_ERR_BUG, "the ranks save %zu elements of %zu", at, checkpoint->n);
    free(all);
    free(ones);
    return cz_comm_agree(comm, status);
}

/* Bytes that the finished file may need: they are claimed before, for a disk that fills up
 * inside a collective write could leave ranks waiting. */
static off_t room_for(const cz_checkpoint *checkpoint, size_t image)
{
    size_t chunks = (checkpoint->n + CZ_STATE_CHUNK - 1) / CZ_STATE_CHUNK;
    size_t chunk = CZ_STATE_CHUNK * cz_dtype_size(checkpoint->dtype) + 4; /* + Fletcher32 */
    enum { INDEX = 4096, SLACK = 1 << 16 };
    return (off_t)(image + CZ_STATES * chunks * (chunk + INDEX / 16) + INDEX + SLACK);
}

/* Creates the file with all but the state, on rank 0. */
static cz_status create_file(const char *path, const cz_checkpoint *checkpoint)
{
    void *image = NULL;
    size_t size = 0;
    CZ_TRY(cz_checkpoint_image(&image, &size, checkpoint));
    cz_status status = CZ_OK;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        status = cz_fail(CZ_ERR_IO, "%s: cannot be created: %s", path, strerror(errno));
        goto done;
    }
    off_t room = room_for(checkpoint, size);
    status = cz_file_write(fd, path, image, size);
    int refused = status ? 0 : posix_fallocate(fd, 0, room);
    if (refused)
        status = cz_fail(CZ_ERR_IO,
                         "%s: no room for a checkpoint of %lld bytes: %s (make room, or lower "
                         "checkpoint.keep)",
                         path, (long long)room, strerror(refused));
    if (close(fd) && !status)
        status = cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));

done:
    free(image);
    return status;
}

/* From a complete .tmp to the latest checkpoint, on rank 0. */
static cz_status publish(const char *folder, const cz_state_name *name, const char *temporary,
                         int keep, int best)
{
    char path[CZ_FILE_PATH];
    CZ_TRY(cz_file_path(path, folder, name->text));
    CZ_TRY(cz_seal(temporary));
    if (rename(temporary, path))
        return cz_fail(CZ_ERR_IO, "%s: cannot be replaced: %s", path, strerror(errno));
    CZ_TRY(cz_file_sync_folder(folder));
    /* The best first: killed in between, a resumed run repeats the step to this very state. */
    if (best) CZ_TRY(cz_folder_set_best(folder, name));
    return cz_folder_set_latest(folder, name, keep);
}

cz_status cz_checkpoint_save(const char *folder, const cz_checkpoint *checkpoint, int keep,
                             int best, const cz_comm *comm)
{
    char path[CZ_FILE_PATH] = "", temporary[CZ_STATE_NAME + 8];
    const cz_progress *progress = &checkpoint->progress;
    cz_state_name name = cz_folder_name(progress->phase, progress->epoch, progress->step);
    snprintf(temporary, sizeof temporary, "%s.tmp", name.text);
    CZ_TRY(cz_comm_agree(comm, check_finite(checkpoint)));
    CZ_TRY(check_slices(checkpoint, comm));

    cz_status status = CZ_OK;
    if (comm->rank == 0) {
        status = cz_file_path(path, folder, temporary);
        if (!status) status = cz_folder_clean(folder);
        if (!status) status = create_file(path, checkpoint);
    }
    status = cz_comm_broadcast(comm, status, path, sizeof path);
    if (!status) status = cz_state_move(path, checkpoint, true, false, comm);
    /* Other nodes' caches; rank 0's own is brought to disk with the seal. */
    if (!status)
        status = cz_comm_agree(comm, comm->node_rank == 0 && comm->rank != 0 ? cz_file_sync(path)
                                                                             : CZ_OK);
    if (comm->rank == 0) {
        if (!status) status = publish(folder, &name, path, keep, best);
        if (status && path[0]) unlink(path);
    }
    return cz_comm_broadcast(comm, status, path, sizeof path);
}
