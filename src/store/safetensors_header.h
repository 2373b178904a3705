/* The header of a safetensors file, taken apart. Private to src/store. */
#ifndef CZ_SAFETENSORS_HEADER_H
#define CZ_SAFETENSORS_HEADER_H

#include "czhpc/safetensors.h"

#include <jansson.h>

/* Checks all of a file's header. Sets *header, which holds the names and is released with
 * json_decref(), and *tensor (*count), which is free()d, in the order of their data; after a
 * failure, too, each may be set. CZ_ERR_INPUT, CZ_ERR_MEMORY. Local. */
cz_status safetensors_header(json_t **header, cz_stored_tensor **tensor, int *count,
                             const char *path, const char *bytes, size_t size);

#endif
