/* AMX's tiles, all of 16 lines of 64 bytes, made of AVX512_BF16: the kernels for AMX can then be
 * tested on a processor that has none (make emulate). Included before all else in their files.
 * Sums are added pair by pair, which may differ in the last bits from what tiles give; and what
 * only a processor with AMX shows is left out: shapes, and the permission to use tiles. */
#ifndef EMULATED_TILES_H
#define EMULATED_TILES_H

#include <immintrin.h>
#include <string.h>

enum { TILE_LINES = 16 };

typedef struct emulated_tile {
    __m512i line[TILE_LINES];
} emulated_tile;

static _Thread_local __attribute__((unused)) emulated_tile emulated[8];

static inline void emulate_load(emulated_tile *to, const void *from, size_t step)
{
    for (size_t i = 0; i < TILE_LINES; i++)
        to->line[i] = _mm512_loadu_si512((const char *)from + i * step);
}

static inline void emulate_store(const emulated_tile *from, void *to, size_t step)
{
    for (size_t i = 0; i < TILE_LINES; i++)
        _mm512_storeu_si512((char *)to + i * step, from->line[i]);
}

static inline void emulate_products(emulated_tile *sum, const emulated_tile *a,
                                    const emulated_tile *b)
{
    for (int m = 0; m < TILE_LINES; m++) {
        int pair[TILE_LINES];
        memcpy(pair, &a->line[m], sizeof pair);
        __m512 s = (__m512)sum->line[m];
        for (int k = 0; k < TILE_LINES; k++)
            s = _mm512_dpbf16_ps(s, (__m512bh)_mm512_set1_epi32(pair[k]), (__m512bh)b->line[k]);
        sum->line[m] = (__m512i)s;
    }
}

#undef _tile_loadconfig
#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#define _tile_loadconfig(shapes) ((void)(shapes))
#define _tile_loadd(tile, from, step) emulate_load(&emulated[tile], from, step)
#define _tile_stored(tile, to, step) emulate_store(&emulated[tile], to, step)
#define _tile_zero(tile) memset(&emulated[tile], 0, sizeof *emulated)
#define _tile_dpbf16ps(sum, a, b) emulate_products(&emulated[sum], &emulated[a], &emulated[b])

#endif
