#include "czhpc/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

cz_status cz_file_path(char *path, const char *folder, const char *name)
{
    if (snprintf(path, CZ_FILE_PATH, "%s/%s", folder, name) < CZ_FILE_PATH) return CZ_OK;
    return cz_fail(CZ_ERR_IO, "%s/%s: the path is too long", folder, name);
}

cz_status cz_file_write(int fd, const char *path, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0)
            return cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
        at += written;
        size -= (size_t)written;
    }
    return CZ_OK;
}

static cz_status sync_opened(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) return cz_fail(CZ_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    /* EINVAL: a file system that has nothing to synchronise. */
    int failed = fsync(fd) && errno != EINVAL ? errno : 0;
    close(fd);
    if (!failed) return CZ_OK;
    return cz_fail(CZ_ERR_IO, "%s: cannot be brought to disk: %s", path, strerror(failed));
}

cz_status cz_file_sync(const char *path) { return sync_opened(path, O_RDONLY); }

cz_status cz_file_sync_folder(const char *folder)
{
    return sync_opened(folder, O_RDONLY | O_DIRECTORY);
}

/* The folder that holds a file. */
static cz_status parent(char folder[CZ_FILE_PATH], const char *path)
{
    const char *slash = strrchr(path, '/');
    int length = slash ? (int)(slash - path) : 1;
    if (length >= CZ_FILE_PATH) return cz_fail(CZ_ERR_IO, "%s: the path is too long", path);
    if (!slash || !length) snprintf(folder, CZ_FILE_PATH, "%s", slash ? "/" : ".");
    else snprintf(folder, CZ_FILE_PATH, "%.*s", length, path);
    return CZ_OK;
}

cz_status cz_file_sync_parent(const char *path)
{
    char folder[CZ_FILE_PATH];
    CZ_TRY(parent(folder, path));
    return cz_file_sync_folder(folder);
}

cz_status cz_file_read(const char *path, char **bytes, size_t *size)
{
    struct stat status;
    *bytes = NULL;
    *size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status)) {
        int failed = errno;
        if (fd >= 0) close(fd);
        return cz_fail(CZ_ERR_INPUT, "%s: cannot be read: %s", path, strerror(failed));
    }
    size_t length = S_ISREG(status.st_mode) ? (size_t)status.st_size : 0, got = 0;
    char *text = cz_alloc(length + 1, 1, path);
    while (text && got < length) {
        ssize_t more = read(fd, text + got, length - got);
        if (more < 0 && errno == EINTR) continue;
        if (more <= 0) break;
        got += (size_t)more;
    }
    close(fd);
    if (!text) return CZ_ERR_MEMORY;
    *bytes = text;
    *size = got;
    return CZ_OK;
}

static cz_status make_one(const char *path)
{
    struct stat status;
    if (!mkdir(path, 0777)) return CZ_OK;
    int failed = errno;
    bool there = !stat(path, &status);
    if (there && S_ISDIR(status.st_mode)) return CZ_OK;
    return cz_fail(CZ_ERR_IO, "%s: the folder cannot be created: %s", path,
                   failed != EEXIST ? strerror(failed)
                   : there          ? "it is a file"
                                    : "it is a link to nothing");
}

cz_status cz_make_folder(const char *path)
{
    char part[CZ_FILE_PATH];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part)
        return cz_fail(CZ_ERR_IO, "'%s': not a path of a folder", path);
    memcpy(part, path, length + 1);
    for (size_t i = 1; i < length; i++) {
        if (part[i] != '/') continue;
        part[i] = 0;
        CZ_TRY(make_one(part));
        part[i] = '/';
    }
    return make_one(part);
}

/* A device or pipe is not replaced by a file. */
static cz_status check_target(const char *path)
{
    struct stat status;
    if (stat(path, &status) || S_ISREG(status.st_mode)) return CZ_OK;
    return cz_fail(CZ_ERR_IO, "%s: is %s, expected a file or nothing", path,
                   S_ISDIR(status.st_mode) ? "a folder" : "a device or a pipe");
}

cz_status cz_may_create_file(const char *path)
{
    char folder[CZ_FILE_PATH];
    struct stat status;
    CZ_TRY(check_target(path));
    CZ_TRY(parent(folder, path));
    if (access(folder, W_OK | X_OK))
        return cz_fail(CZ_ERR_IO, "%s: cannot be written: its folder: %s", path, strerror(errno));
    if (stat(path, &status)) return CZ_OK;
    return cz_fail(CZ_ERR_USAGE, "%s is there already: name another file, or remove it", path);
}

cz_status cz_new_file_open(cz_new_file *f, const char *path)
{
    struct timespec now;
    *f = (cz_new_file){0};
    CZ_TRY(check_target(path));
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(f->path, sizeof f->path, "%s", path);
    if (snprintf(f->temporary, sizeof f->temporary, "%s.%ld-%ld.tmp", path, (long)getpid(),
                 now.tv_nsec) >= (int)sizeof f->temporary)
        return cz_fail(CZ_ERR_IO, "%.100s...: the path is too long", path);
    f->out = fopen(f->temporary, "we");
    if (f->out) return CZ_OK;
    return cz_fail(CZ_ERR_IO, "%s: cannot be created: %s", f->temporary, strerror(errno));
}

static cz_status finish(cz_new_file *f)
{
    bool failed = ferror(f->out);
    errno = 0;
    if (failed) fputc('\n', f->out); /* the reason was long ago: it is met once more */
    if (fflush(f->out) || failed)
        return cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", f->temporary,
                       errno ? strerror(errno) : "a part of it was refused");
    if (fsync(fileno(f->out)) && errno != EINVAL)
        return cz_fail(CZ_ERR_IO, "%s: cannot be brought to disk: %s", f->temporary,
                       strerror(errno));
    if (rename(f->temporary, f->path))
        return cz_fail(CZ_ERR_IO, "%s: cannot be replaced: %s", f->path, strerror(errno));
    return CZ_OK;
}

cz_status cz_new_file_close(cz_new_file *f)
{
    cz_status status = finish(f);
    if (status) {
        cz_new_file_drop(f);
        return status;
    }
    fclose(f->out);
    return cz_file_sync_parent(f->path);
}

void cz_new_file_drop(cz_new_file *f)
{
    if (!f->out) return;
    fclose(f->out);
    unlink(f->temporary);
    f->out = NULL;
}

cz_status cz_write_file(const char *path, const void *bytes, size_t size)
{
    cz_new_file file;
    CZ_TRY(cz_new_file_open(&file, path));
    if (size) fwrite(bytes, 1, size, file.out); /* what is refused, close tells */
    return cz_new_file_close(&file);
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    (void)about, (void)kind, (void)place;
    return remove(path) && errno != ENOENT ? -1 : 0;
}

cz_status cz_remove_folder(const char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT) return CZ_OK;
    return cz_fail(CZ_ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
}
