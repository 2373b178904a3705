#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

cz_status cz_journal_name(cz_journal *journal, const char *path, double grace)
{
    char folder[CZ_FILE_PATH] = "";
    if (path[0] != '/' && !getcwd(folder, sizeof folder))
        return cz_fail(CZ_ERR_IO, "%s: the working folder is not known: %s", path, strerror(errno));
    *journal = (cz_journal){.grace = grace};
    if (path[0] == '/') {
        if (snprintf(journal->path, sizeof journal->path, "%s", path) >= CZ_FILE_PATH)
            return cz_fail(CZ_ERR_IO, "%.100s...: the path is too long", path);
    } else {
        CZ_TRY(cz_file_path(journal->path, folder, path));
    }
    snprintf(journal->lock, sizeof journal->lock, "%s.lock", journal->path);
    return CZ_OK;
}

cz_status cz_journal_create(const cz_journal *journal)
{
    struct stat status;
    if (!stat(journal->path, &status)) return CZ_OK;
    int fd = open(journal->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return cz_fail(CZ_ERR_IO, "%s: cannot be created: %s", journal->path, strerror(errno));
    close(fd);
    return cz_file_sync_parent(journal->path);
}

/* Opened anew each time: a network file system then shows what others have written. */
static cz_status open_journal(const cz_journal *journal, int flags, int *fd, int64_t *size)
{
    struct stat status;
    cz_status failure = flags == O_RDONLY ? CZ_ERR_INPUT : CZ_ERR_IO;
    *size = 0;
    *fd = open(journal->path, flags | O_CLOEXEC);
    if (*fd < 0 || fstat(*fd, &status)) {
        int failed = errno;
        if (*fd >= 0) close(*fd);
        return cz_fail(failure, "%s: cannot be %s: %s", journal->path,
                       flags == O_RDONLY ? "read" : "written", strerror(failed));
    }
    if (S_ISREG(status.st_mode)) {
        *size = status.st_size;
        return CZ_OK;
    }
    close(*fd);
    return cz_fail(failure, "%s: is no file, a study's journal was expected", journal->path);
}

cz_status cz_journal_read(const cz_journal *journal, int64_t from, char **bytes, size_t *size)
{
    int fd;
    int64_t end;
    *bytes = NULL;
    *size = 0;
    CZ_TRY(open_journal(journal, O_RDONLY, &fd, &end));
    size_t length = end > from ? (size_t)(end - from) : 0;
    char *text = cz_alloc(length + 1, 1, "the journal of a study");
    cz_status status = text ? CZ_OK : CZ_ERR_MEMORY;
    while (!status && *size < length) {
        ssize_t more = pread(fd, text + *size, length - *size, (off_t)(from + (int64_t)*size));
        if (more < 0 && errno == EINTR) continue;
        if (more < 0)
            status =
                cz_fail(CZ_ERR_INPUT, "%s: cannot be read: %s", journal->path, strerror(errno));
        if (more <= 0) break;
        *size += (size_t)more;
    }
    close(fd);
    if (status) free(text);
    else *bytes = text;
    return status;
}

static cz_status cut(const cz_journal *journal, int fd, int64_t end)
{
    if (!ftruncate(fd, (off_t)end)) return CZ_OK;
    return cz_fail(CZ_ERR_IO, "%s: cannot be cut after byte %lld: %s", journal->path,
                   (long long)end, strerror(errno));
}

static cz_status sync_journal(const cz_journal *journal, int fd)
{
    if (!fsync(fd) || errno == EINVAL) return CZ_OK;
    return cz_fail(CZ_ERR_IO, "%s: cannot be brought to disk: %s", journal->path, strerror(errno));
}

cz_status cz_journal_append(const cz_journal *journal, int64_t end, const char *lines, size_t size)
{
    int fd;
    int64_t before;
    if (!cz_journal_locked(journal))
        return cz_fail(CZ_ERR_IO,
                       "%s: was taken away: this process stood still for more than %g s; run it "
                       "again to go on",
                       journal->lock, journal->grace);
    CZ_TRY(open_journal(journal, O_RDWR | O_APPEND, &fd, &before));
    cz_status status = CZ_OK;
    if (before > end) status = cut(journal, fd, end);
    if (!status) {
        status = cz_file_write(fd, journal->path, lines, size);
        if (!status) status = sync_journal(journal, fd);
        /* Half a line must not stay, nor a line that its writer does not believe in. */
        if (status) (void)!ftruncate(fd, (off_t)end);
    }
    close(fd);
    return status;
}
