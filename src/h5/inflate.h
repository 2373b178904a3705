/* Unpacking what deflate packed. Private to src/h5. */
#ifndef CZ_INFLATE_H
#define CZ_INFLATE_H

#include <stdbool.h>
#include <stddef.h>

/* What one thread unpacks with. */
typedef struct inflater inflater;

/* NULL: no memory. Local. */
inflater *inflater_open(void);
void inflater_close(inflater *one);

/* Unpacks a whole zlib stream of `size` bytes that gives exactly `bytes`; false: it does not, or
 * its checksum is wrong. Local. */
bool inflate_all(inflater *one, void *to, size_t bytes, const void *from, size_t size);

#endif
