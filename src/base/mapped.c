#include "czhpc/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static cz_status map(cz_mapped *file, int fd, const char *path)
{
    struct stat status;
    if (fstat(fd, &status))
        return cz_fail(CZ_ERR_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return cz_fail(CZ_ERR_INPUT, "%s: is %s, expected a file", path,
                       S_ISDIR(status.st_mode) ? "a folder" : "a device or a pipe");
    *file = (cz_mapped){"", 0};
    if (!status.st_size) return CZ_OK;
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        *file = (cz_mapped){0};
        return cz_fail(CZ_ERR_MEMORY, "%s: cannot be mapped: %s", path, strerror(errno));
    }
    *file = (cz_mapped){bytes, (size_t)status.st_size};
    return CZ_OK;
}

cz_status cz_mapped_open(cz_mapped *file, const char *path)
{
    *file = (cz_mapped){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused, not waited for */
    if (fd < 0) return cz_fail(CZ_ERR_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    cz_status status = map(file, fd, path);
    close(fd);
    return status;
}

void cz_mapped_close(cz_mapped *file)
{
    if (file->size) munmap((void *)file->bytes, file->size);
    *file = (cz_mapped){0};
}
