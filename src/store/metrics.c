#include "czhpc/store.h"

#include "czhpc/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct cz_metrics {
    int fd;
    int64_t bytes;
    char path[CZ_FILE_PATH];
};

/* Cuts the file to `keep`, which must be the end of a line of it. */
static cz_status cut(cz_metrics *metrics, int64_t keep)
{
    struct stat file;
    char last = '\n';
    if (fstat(metrics->fd, &file))
        return cz_fail(CZ_ERR_IO, "%s: cannot be read: %s", metrics->path, strerror(errno));
    if (file.st_size < keep)
        return cz_fail(
            CZ_ERR_INPUT,
            "%s: has %lld bytes, the checkpoint continues after %lld: it was cut or "
            "replaced; put the run's own file back, or start afresh under a new run.name",
            metrics->path, (long long)file.st_size, (long long)keep);
    if (keep > 0 && (pread(metrics->fd, &last, 1, (off_t)keep - 1) != 1 || last != '\n'))
        return cz_fail(CZ_ERR_INPUT,
                       "%s: the checkpoint continues after byte %lld, which is not the end of a "
                       "line: the file was changed; put the run's own file back, or start afresh "
                       "under a new run.name",
                       metrics->path, (long long)keep);
    if (ftruncate(metrics->fd, (off_t)keep))
        return cz_fail(CZ_ERR_IO, "%s: cannot be cut: %s", metrics->path, strerror(errno));
    metrics->bytes = keep;
    return CZ_OK;
}

cz_status cz_metrics_open(cz_metrics **metrics, const char *path, int64_t keep_bytes)
{
    *metrics = NULL;
    cz_metrics *opened = cz_alloc(1, sizeof *opened, "the metrics");
    if (!opened) return CZ_ERR_MEMORY;
    snprintf(opened->path, sizeof opened->path, "%s", path);
    opened->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    cz_status status = CZ_OK;
    if (opened->fd < 0)
        status = cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    if (!status) status = cut(opened, keep_bytes);
    if (!status) status = cz_file_sync_parent(path);
    if (status) cz_metrics_close(opened);
    else *metrics = opened;
    return status;
}

cz_status cz_metrics_append(cz_metrics *metrics, const json_t *line)
{
    /* 17 digits: a double reads back as the same bits. */
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (!text) return cz_fail(CZ_ERR_BUG, "%s: a line that is no JSON", metrics->path);
    size_t length = strlen(text);
    text[length] = '\n'; /* in one write with the line: a reader sees whole lines */
    cz_status status = cz_file_write(metrics->fd, metrics->path, text, length + 1);
    free(text);
    if (!status && fsync(metrics->fd) && errno != EINVAL)
        status =
            cz_fail(CZ_ERR_IO, "%s: cannot be brought to disk: %s", metrics->path, strerror(errno));
    /* A part of a line must not stay: what is appended later would make one line with it. */
    if (status && ftruncate(metrics->fd, (off_t)metrics->bytes)) return status;
    if (!status) metrics->bytes += (int64_t)length + 1;
    return status;
}

int64_t cz_metrics_bytes(const cz_metrics *metrics) { return metrics->bytes; }

void cz_metrics_close(cz_metrics *metrics)
{
    if (!metrics) return;
    if (metrics->fd >= 0) close(metrics->fd);
    free(metrics);
}
