/* The last 24 bytes of a checkpoint: a mark, the size and a hash of all bytes before. A file
 * whose seal holds is, to the byte, what was written, so HDF5, which crashes or hangs on some
 * damaged files, never sees one. HDF5's tools take no notice of bytes after its own end.
 * Private to src/store. */
#ifndef CZ_STORE_SEAL_H
#define CZ_STORE_SEAL_H

#include "czhpc/status.h"

/* Appends the seal and brings the file to disk. CZ_ERR_IO. */
cz_status cz_seal(const char *path);

/* CZ_OK if the seal is there and holds. CZ_ERR_INPUT: not, or the file cannot be read. */
cz_status cz_seal_check(const char *path);

#endif
