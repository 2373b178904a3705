/* AMX tiles: all eight have 16 lines of 16 pairs of bf16, of fp32 16 lines of 16. Operands become
 * tiles here: packed ones lie one after the other, [line / 16][k / 32], with zeros beyond their
 * borders. */
#ifndef CZ_AMX_H
#define CZ_AMX_H

#include "kernel.h"

#include "transpose.h"

#if CZ_AMX

enum {
    TILE = 16,         /* lines of a tile, and pairs of a line */
    TILE_K = 2 * TILE, /* elements of a line */
    TILE_SIZE = TILE * TILE_K,
};

INLINE int smaller(int a, int b) { return a < b ? a : b; }
INLINE int tiles_of(int n, int size) { return (n + size - 1) / size; }

/* What _tile_loadconfig reads. */
typedef struct tile_shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t line_bytes[16];
    uint8_t lines[16];
} tile_shapes;

INLINE void configure_tiles(void)
{
    tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) shapes.line_bytes[i] = 64, shapes.lines[i] = TILE;
    _tile_loadconfig(&shapes);
}

/* Two rows of 16 elements as 16 pairs. */
INLINE __m512i interleave(__m256i first, __m256i second)
{
    return _mm512_or_si512(_mm512_cvtepu16_epi32(first),
                           _mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16));
}

/* Elements at p as bf16: `count` <= 16 or 32 of them, zeros beyond. */
INLINE __m256i read16(const void *base, ptrdiff_t at, int count, bool wide)
{
    if (count <= 0) return _mm256_setzero_si256();
    __mmask16 mask = count >= 16 ? 0xffff : (__mmask16)((1u << count) - 1);
    if (!wide) return _mm256_maskz_loadu_epi16(mask, (const stored *)base + at);
    return narrowed((vec)_mm512_maskz_loadu_ps(mask, (const real *)base + at));
}
INLINE __m512i read32(const void *base, ptrdiff_t at, int count, bool wide)
{
    if (wide) {
        __m512i low = _mm512_castsi256_si512(read16(base, at, count, true));
        return _mm512_inserti64x4(low, read16(base, at + 16, count - 16, true), 1);
    }
    if (count <= 0) return _mm512_setzero_si512();
    __mmask32 mask = count >= 32 ? 0xffffffff : (1u << count) - 1;
    return _mm512_maskz_loadu_epi16(mask, (const stored *)base + at);
}

/* One tile of the elements (i, k) of a view from (i0, k0), `lines` by `depth` of which exist:
 * with `across`, a line for each pair of k, else a line for each i. */
INLINE void pack_tile(stored *to, view from, int i0, int lines, int k0, int depth, bool across,
                      const bool wide)
{
    ptrdiff_t origin = i0 * from.row + k0 * from.col;
    bool along_k = from.col == 1;
    __m512i line[TILE];
    vec in[TILE], out[TILE];
    for (int i = 0; i < TILE; i++) {
        if (along_k)
            line[i] = read32(from.data, origin + i * from.row, i < lines ? depth : 0, wide);
        else {
            int k = 2 * i;
            ptrdiff_t at = origin + k * from.col;
            line[i] = interleave(read16(from.data, at, k < depth ? lines : 0, wide),
                                 read16(from.data, at + from.col, k + 1 < depth ? lines : 0, wide));
        }
    }
    if (along_k == across) {
        for (int i = 0; i < TILE; i++) in[i] = (vec)line[i];
        transpose_tile(out, in);
        for (int i = 0; i < TILE; i++) line[i] = (__m512i)out[i];
    }
    for (int i = 0; i < TILE; i++) _mm512_storeu_si512(to + i * TILE_K, line[i]);
}

/* Lines i0 .. i0 + count of a view, K elements deep, as tiles: [i / 16][k / 32], `across` as for a
 * tile. */
INLINE void pack_tiles(stored *to, view from, int i0, int count, int K, bool across)
{
    for (int i = 0; i < count; i += TILE)
        for (int k = 0; k < K; k += TILE_K, to += TILE_SIZE) {
            int lines = smaller(TILE, count - i), depth = smaller(TILE_K, K - k);
            if (from.wide) pack_tile(to, from, i0 + i, lines, k, depth, across, true);
            else pack_tile(to, from, i0 + i, lines, k, depth, across, false);
        }
}

#endif

#endif
