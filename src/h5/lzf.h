/* The filter of h5py's compression="lzf". Private to src/h5. */
#ifndef CZ_LZF_H
#define CZ_LZF_H

#include <stddef.h>

enum { LZF_FILTER = 32000, LZF_VALUES = 3, LZF_CHUNK_BYTES = 2 }; /* among the filter's values */

/* At most 264 bytes come out of 3. */
enum { LZF_RATIO = 88 };

/* Makes HDF5 able to read such datasets; again and again is harmless. */
void lzf_register(void);

#endif
