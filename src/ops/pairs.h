/* Operands of the products of pairs of bf16 (kernel_gemm_pairs.c) as tiles: 16 lines of 16 pairs,
 * one after the other, [line / 16][k / 32], with zeros beyond their borders. */
#ifndef CZ_PAIRS_H
#define CZ_PAIRS_H

#include "kernel.h"

#include "transpose.h"

#if CZ_PAIRS

enum {
    TILE = 16,         /* lines of a tile, and pairs of a line */
    TILE_K = 2 * TILE, /* elements of a line */
    TILE_SIZE = TILE * TILE_K,
};

INLINE int tiles_of(int n, int size) { return (n + size - 1) / size; }

enum { BLOCK = 2 * TILE }; /* rows and columns of a product that are summed at once */

/* Tiles of one operand: `line` bytes between the lines of a tile, the tile of the next k and of
 * the next 16 rows or columns that many elements further. */
typedef struct tiles {
    const stored *data;
    size_t line;
    ptrdiff_t deeper, next;
} tiles;

INLINE tiles packed(const void *data, int depth)
{
    return (tiles){data, 2 * TILE_K, TILE_SIZE, (ptrdiff_t)depth * TILE_SIZE};
}

/* Two rows of 16 elements as 16 pairs. */
INLINE __m512i interleave(__m256i first, __m256i second)
{
    return _mm512_or_si512(_mm512_cvtepu16_epi32(first),
                           _mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16));
}

/* `count` <= 16 or 32 elements as bf16, zeros beyond. Where a tile is whole the count is constant,
 * and so is the mask. */
INLINE __m256i read16(const void *base, ptrdiff_t at, int count, const bool wide)
{
    if (count <= 0) return _mm256_setzero_si256();
    __mmask16 mask = count >= 16 ? 0xffff : (__mmask16)((1u << count) - 1);
    if (!wide) return _mm256_maskz_loadu_epi16(mask, (const stored *)base + at);
    return narrowed((vec)_mm512_maskz_loadu_ps(mask, (const real *)base + at));
}
INLINE __m512i read32(const void *base, ptrdiff_t at, int count, const bool wide)
{
    if (wide) {
        __m512i low = _mm512_castsi256_si512(read16(base, at, count, true));
        return _mm512_inserti64x4(low, read16(base, at + 16, count - 16, true), 1);
    }
    if (count <= 0) return _mm512_setzero_si512();
    __mmask32 mask = count >= 32 ? 0xffffffff : (1u << count) - 1;
    return _mm512_maskz_loadu_epi16(mask, (const stored *)base + at);
}

/* Of what is packed: which way it lies, and which way it is to lie. */
typedef struct packing {
    bool along_k; /* elements of one k after the other in memory */
    bool across;  /* a line of a tile for each pair of k, else for each i */
    bool wide;    /* elements are `real` */
} packing;

/* The tile of the elements (i, k) of a view from (i0, k0), `lines` by `depth` of which exist. */
INLINE void pack_tile(stored *to, view from, int i0, int lines, int k0, int depth, const packing as)
{
    ptrdiff_t origin = i0 * from.row + k0 * from.col;
    vec line[TILE], turned[TILE];
    UNROLL for (int i = 0; i < TILE; i++)
    {
        if (as.along_k) {
            int count = i < lines ? depth : 0;
            line[i] = (vec)read32(from.data, origin + i * from.row, count, as.wide);
        } else {
            ptrdiff_t at = origin + 2 * i * from.col;
            int first = 2 * i < depth ? lines : 0, second = 2 * i + 1 < depth ? lines : 0;
            line[i] = (vec)interleave(read16(from.data, at, first, as.wide),
                                      read16(from.data, at + from.col, second, as.wide));
        }
    }
    if (as.along_k == as.across) {
        transpose_tile(turned, line);
        UNROLL for (int i = 0; i < TILE; i++) store((real *)(void *)to + i * TILE, turned[i]);
    } else UNROLL for (int i = 0; i < TILE; i++) store((real *)(void *)to + i * TILE, line[i]);
}

/* Two columns of tiles at a time, which share the cache lines that lie across them. */
INLINE void pack_as(stored *to, view from, int i0, int count, int K, const packing as)
{
    ptrdiff_t next = (ptrdiff_t)tiles_of(K, TILE_K) * TILE_SIZE;
    for (int i = 0; i < count; i += 2 * TILE, to += 2 * next)
        for (int k = 0; k < K; k += TILE_K) {
            stored *at = to + k / TILE_K * TILE_SIZE;
            if (count - i >= 2 * TILE && K - k >= TILE_K) {
                pack_tile(at, from, i0 + i, TILE, k, TILE_K, as);
                pack_tile(at + next, from, i0 + i + TILE, TILE, k, TILE_K, as);
                continue;
            }
            int lines = count - i, depth = smaller(TILE_K, K - k);
            pack_tile(at, from, i0 + i, smaller(TILE, lines), k, depth, as);
            if (lines > TILE)
                pack_tile(at + next, from, i0 + i + TILE, smaller(TILE, lines - TILE), k, depth,
                          as);
        }
}

/* Lines i0 .. i0 + count of a view, K elements deep, as tiles: [i / 16][k / 32]. */
static __attribute__((unused)) void pack_tiles(stored *to, view from, int i0, int count, int K,
                                               bool across)
{
#define AS(a, b, c)                                                                                \
    if ((from.col == 1) == a && across == b && from.wide == c)                                     \
    pack_as(to, from, i0, count, K, (packing){a, b, c})
    AS(false, false, false);
    AS(false, true, false);
    AS(true, false, false);
    AS(true, true, false);
    AS(false, true, true); /* what is wide is a right operand */
    AS(true, true, true);
#undef AS
    if (from.wide && !across) __builtin_trap(); /* no left operand is wide */
}

#endif

#endif
