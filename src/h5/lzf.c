#include "lzf.h"

#include <errno.h>
#include <hdf5.h>
#include <limits.h>
#include <lzf.h>
#include <stdlib.h>

static size_t refuse(const char *reason)
{
    H5Epush2(H5E_DEFAULT, __FILE__, __func__, __LINE__, H5E_ERR_CLS, H5E_PLINE, H5E_CANTFILTER,
             "%s", reason);
    return 0;
}

/* Unpacks a chunk to the size that h5py noted for all chunks; files are not written so. */
static size_t unpack(unsigned flags, size_t count, const unsigned value[], size_t size,
                     size_t *room, void **chunk)
{
    if (!(flags & H5Z_FLAG_REVERSE)) return refuse("lzf is read only");
    if (count < LZF_VALUES) return refuse("the lzf filter does not know the size of its chunks");
    unsigned bytes = value[LZF_CHUNK_BYTES];
    if (size < 1 || size > UINT_MAX || bytes < 1 || bytes / LZF_RATIO > size)
        return refuse("a chunk packed by lzf has an impossible size");
    void *plain = malloc(bytes);
    if (!plain) return refuse("no memory for a chunk packed by lzf");
    if (lzf_decompress(*chunk, (unsigned)size, plain, bytes) != bytes) {
        free(plain);
        return refuse("a chunk packed by lzf cannot be unpacked");
    }
    free(*chunk);
    *chunk = plain;
    *room = bytes;
    return bytes;
}

void lzf_register(void)
{
    /* Said to pack too: else no dataset with it can be made, as tests do. */
    static const H5Z_class2_t filter = {
        H5Z_CLASS_T_VERS, LZF_FILTER, 1, 1, "lzf", NULL, NULL, unpack,
    };
    if (H5Zfilter_avail(LZF_FILTER) <= 0) H5Zregister(&filter);
}
