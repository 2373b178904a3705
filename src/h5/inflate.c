/* By libdeflate where it was there to build with: it unpacks at three to four times zlib's speed.
 */
#include "inflate.h"

#include <stdlib.h>

#ifdef CZ_LIBDEFLATE
#include <libdeflate.h>

struct inflater {
    struct libdeflate_decompressor *state;
};

static bool begin(inflater *one) { return (one->state = libdeflate_alloc_decompressor()) != NULL; }

static void end(inflater *one) { libdeflate_free_decompressor(one->state); }

bool inflate_all(inflater *one, void *to, size_t bytes, const void *from, size_t size)
{
    return libdeflate_zlib_decompress(one->state, from, size, to, bytes, NULL) ==
           LIBDEFLATE_SUCCESS;
}
#else
#include <zlib.h>

struct inflater {
    z_stream state;
};

static bool begin(inflater *one) { return inflateInit(&one->state) == Z_OK; }

static void end(inflater *one) { inflateEnd(&one->state); }

bool inflate_all(inflater *one, void *to, size_t bytes, const void *from, size_t size)
{
    z_stream *state = &one->state;
    if (inflateReset(state) != Z_OK) return false;
    state->next_in = (z_const Bytef *)from;
    state->avail_in = (uInt)size;
    state->next_out = to;
    state->avail_out = (uInt)bytes;
    return inflate(state, Z_FINISH) == Z_STREAM_END && state->avail_out == 0;
}
#endif

inflater *inflater_open(void)
{
    inflater *one = calloc(1, sizeof *one);
    if (one && begin(one)) return one;
    free(one);
    return NULL;
}

void inflater_close(inflater *one)
{
    if (one) end(one);
    free(one);
}
