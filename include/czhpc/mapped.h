/* The bytes of a file, mapped for reading: no copy is made, and processes share the memory. */
#ifndef CZ_MAPPED_H
#define CZ_MAPPED_H

#include "czhpc/status.h"

typedef struct cz_mapped {
    const char *bytes; /* never NULL of a file that is open */
    size_t size;
} cz_mapped;

/* CZ_ERR_INPUT: the file is missing, may not be read, or is a folder or a device. A file that
 * shrinks while it is mapped kills who reads beyond its end. Free with cz_mapped_close(), which
 * is harmless on {0}. Local. */
cz_status cz_mapped_open(cz_mapped *file, const char *path);
void cz_mapped_close(cz_mapped *file);

#endif
