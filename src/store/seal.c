#include "seal.h"

#include "czhpc/file.h"
#include "czhpc/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct seal {
    char mark[8];
    uint64_t size, hash;
} seal;

static const char MARK[8] = {'c', 'z', 's', 'e', 'a', 'l', '1', '\n'};

enum { BLOCK = 1 << 20 };

/* The hash of the first `size` bytes. Blocks of a fixed size, for the hash depends on them. */
static cz_status hash_file(uint64_t *hash, int fd, const char *path, uint64_t size)
{
    cz_status status = CZ_OK;
    char *block = cz_alloc(BLOCK, 1, "a block of a file");
    if (!block) return CZ_ERR_MEMORY;
    *hash = 0;
    for (uint64_t at = 0; at < size && !status;) {
        size_t want = size - at < BLOCK ? (size_t)(size - at) : BLOCK, got = 0;
        while (got < want) {
            ssize_t more = pread(fd, block + got, want - got, (off_t)(at + got));
            if (more < 0 && errno == EINTR) continue;
            if (more <= 0) break;
            got += (size_t)more;
        }
        if (got < want)
            status = cz_fail(CZ_ERR_INPUT, "%s: cannot be read: %s", path,
                             errno ? strerror(errno) : "it ends too early");
        *hash = cz_hash(*hash, block, want);
        at += want;
    }
    free(block);
    return status;
}

cz_status cz_seal(const char *path)
{
    struct stat file;
    seal end = {{0}, 0, 0};
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &file)) {
        cz_fail(CZ_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return CZ_ERR_IO;
    }
    memcpy(end.mark, MARK, sizeof MARK);
    end.size = (uint64_t)file.st_size;
    cz_status status = hash_file(&end.hash, fd, path, end.size) ? CZ_ERR_IO : CZ_OK;
    if (!status && lseek(fd, 0, SEEK_END) < 0)
        status = cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    if (!status) status = cz_file_write(fd, path, &end, sizeof end);
    if (!status && fsync(fd) && errno != EINVAL)
        status = cz_fail(CZ_ERR_IO, "%s: cannot be brought to disk: %s", path, strerror(errno));
    if (close(fd) && !status)
        status = cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    return status;
}

static cz_status check_opened(int fd, const char *path)
{
    struct stat file;
    seal end;
    if (fstat(fd, &file))
        return cz_fail(CZ_ERR_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    if (!S_ISREG(file.st_mode)) return cz_fail(CZ_ERR_INPUT, "%s: is not a file", path);
    off_t size = file.st_size - (off_t)sizeof end;
    if (size <= 0 || pread(fd, &end, sizeof end, size) != (ssize_t)sizeof end ||
        memcmp(end.mark, MARK, sizeof MARK) != 0 || end.size != (uint64_t)size)
        return cz_fail(CZ_ERR_INPUT,
                       "%s: does not end as a checkpoint of czhpc does: it is cut short, was "
                       "changed, or is something else",
                       path);
    uint64_t hash;
    CZ_TRY(hash_file(&hash, fd, path, end.size));
    if (hash != end.hash)
        return cz_fail(CZ_ERR_INPUT, "%s: is damaged: its checksum is not that of its bytes", path);
    return CZ_OK;
}

cz_status cz_seal_check(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return cz_fail(CZ_ERR_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    cz_status status = check_opened(fd, path);
    close(fd);
    return status;
}
