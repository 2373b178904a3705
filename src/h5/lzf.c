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

/* Unpacks a chunk of unknown size; returns its bytes, 0 if that fails. */
static size_t grow(void **plain, const void *chunk, size_t size)
{
    size_t most = size < UINT_MAX / LZF_RATIO ? size * LZF_RATIO : UINT_MAX;
    for (size_t room = size;; room = 2 * room < most ? 2 * room : most) {
        *plain = malloc(room);
        if (!*plain) return 0;
        size_t bytes = lzf_decompress(chunk, (unsigned)size, *plain, (unsigned)room);
        if (bytes > 0) return bytes;
        free(*plain);
        *plain = NULL;
        if (errno != E2BIG || room == most) return 0;
    }
}

/* Unpacks a chunk to the size that h5py noted for all chunks; files are not written so. Of texts
 * of variable length HDF5 lets it note none. */
static size_t unpack(unsigned flags, size_t count, const unsigned value[], size_t size,
                     size_t *room, void **chunk)
{
    void *plain = NULL;
    size_t found = 0;
    if (!(flags & H5Z_FLAG_REVERSE)) return refuse("lzf is read only");
    unsigned bytes = count < LZF_VALUES ? 0 : value[LZF_CHUNK_BYTES];
    if (size < 1 || size > UINT_MAX || bytes / LZF_RATIO > size)
        return refuse("a chunk packed by lzf has an impossible size");
    if (bytes == 0) found = grow(&plain, *chunk, size);
    else if ((plain = malloc(bytes))) found = lzf_decompress(*chunk, (unsigned)size, plain, bytes);
    if (found == 0 || (bytes && found != bytes)) {
        free(plain);
        return refuse("a chunk packed by lzf cannot be unpacked");
    }
    free(*chunk);
    *chunk = plain;
    *room = found;
    return found;
}

void lzf_register(void)
{
    /* Said to pack too: else no dataset with it can be made, as tests do. */
    static const H5Z_class2_t filter = {
        H5Z_CLASS_T_VERS, LZF_FILTER, 1, 1, "lzf", NULL, NULL, unpack,
    };
    if (H5Zfilter_avail(LZF_FILTER) <= 0) H5Zregister(&filter);
}
