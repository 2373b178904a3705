/* Looking into a file in a process of its own. HDF5 1.10 crashes or hangs on some damaged
 * files; so this executable is started anew, with limits of time and memory, to walk through
 * all that will be read and to hand back what it found. */
#ifndef CZ_PROBE_H
#define CZ_PROBE_H

#include "czhpc/bytes.h"

/* Walks through the file that a request names, and answers. Runs in the probe's process: no
 * MPI, no log; a failure is reported by cz_fail() as everywhere. */
typedef cz_status (*cz_probe_walk)(cz_bytes *answer, const void *request, size_t size);

typedef struct cz_probe {
    const char *name; /* "h5ad" */
    cz_probe_walk walk;
} cz_probe;

/* To be called first in main(), before MPI starts: serves and exits where this process was
 * started as a probe, else returns. */
void cz_probe_serve(int argc, char **argv, const cz_probe *probes, int count);

/* Starts a probe, hands it the request, and waits for its answer (free with cz_bytes_free()).
 * Time and memory are limited by the size of the file at `path`: a damaged small file is
 * refused within 10 s. Errors: those of the walk, as if it had run here; CZ_ERR_INPUT: "FILE:
 * is damaged: HDF5 crashed / found no end / wanted more memory than ... while reading its
 * structure". Local; not from inside a probe. */
cz_status cz_probe_ask(cz_bytes *answer, const char *name, const char *path, const void *request,
                       size_t size);

#endif
