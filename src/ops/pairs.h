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
    BLOCK = 2 * TILE, /* rows and columns of a product that are summed at once */
};

INLINE int tiles_of(int n, int size) { return (n + size - 1) / size; }

/* Tiles of one operand: `line` bytes between the lines of a tile, the tile of the next k and of
 * the next 16 rows or columns that many elements further. */
typedef struct tiles {
    const stored *data;
    size_t line;
    ptrdiff_t deeper, next;
    bool across; /* a line for each pair of k, else for each row or column */
} tiles;

INLINE tiles packed(const void *data, int depth, bool across)
{
    return (tiles){data, 2 * TILE_K, TILE_SIZE, (ptrdiff_t)depth * TILE_SIZE, across};
}

/* `count` <= 16 or 32 elements as bf16, zeros beyond. Where a tile is whole the count is constant,
 * and so is the mask. */
INLINE __m256i read16_wide(const real *at, int count)
{
    if (count <= 0) return _mm256_setzero_si256();
    __mmask16 mask = count >= 16 ? 0xffff : (__mmask16)((1u << count) - 1);
    return narrowed((vec)_mm512_maskz_loadu_ps(mask, at));
}
INLINE __m512i read32(const void *base, ptrdiff_t at, int count, const bool wide)
{
    if (wide) {
        const real *from = (const real *)base + at;
        __m512i low = _mm512_castsi256_si512(read16_wide(from, count));
        return _mm512_inserti64x4(low, read16_wide(from + 16, count - 16), 1);
    }
    if (count <= 0) return _mm512_setzero_si512();
    __mmask32 mask = count >= 32 ? 0xffffffff : (1u << count) - 1;
    return _mm512_maskz_loadu_epi16(mask, (const stored *)base + at);
}

/* Tiles of elements that lie along k, one line of 32 for each of `lines` <= 16 rows or columns. */
INLINE void pack_along(stored *to, const void *base, ptrdiff_t at, ptrdiff_t step, int lines,
                       int depth, const bool across, const bool wide)
{
    vec line[TILE], turned[TILE];
    UNROLL for (int i = 0; i < TILE; i++, at += step)
    {
        line[i] = (vec)read32(base, at, i < lines ? depth : 0, wide);
    }
    if (across) transpose_tile(turned, line);
    UNROLL for (int i = 0; i < TILE; i++)
        store((real *)(void *)to + i * TILE, across ? turned[i] : line[i]);
}

/* Two tiles, `next` apart, of elements that lie across k: a line for each pair of k, of which
 * `depth` <= 32 exist, with the first 16 of `lines` <= 32 in the first, the others in the second,
 * which is not touched where there are none. */
INLINE void pack_across(stored *to, ptrdiff_t next, const void *base, ptrdiff_t at, ptrdiff_t step,
                        int lines, int depth, const bool wide)
{
    static const _Alignas(64) uint16_t pairs[2][TILE_K] = {
        {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
         8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47},
        {16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23, 55,
         24, 56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61, 30, 62, 31, 63}};
    const __m512i low = _mm512_load_si512(pairs[0]), high = _mm512_load_si512(pairs[1]);
    for (int k = 0; k < TILE_K; k += 2, at += 2 * step, to += TILE_K) {
        __m512i first = read32(base, at, k < depth ? lines : 0, wide);
        __m512i second = read32(base, at + step, k + 1 < depth ? lines : 0, wide);
        _mm512_store_si512(to, _mm512_permutex2var_epi16(first, low, second));
        if (lines > TILE)
            _mm512_store_si512(to + next, _mm512_permutex2var_epi16(first, high, second));
    }
}

/* Of what is packed: which way it lies, and which way it is to lie. */
typedef struct packing {
    bool along_k; /* elements of one k after the other in memory */
    bool across;  /* a line of a tile for each pair of k, else for each i */
    bool wide;    /* elements are `real` */
} packing;

/* The two tiles, `next` apart, of the elements (i, k) of a view from (i0, k0), of which `lines` by
 * `depth`, at most 32, exist; the second is not touched where 16 lines or fewer do. */
INLINE void pack_two(stored *to, ptrdiff_t next, view from, int i0, int lines, int k0, int depth,
                     const packing as)
{
    const void *base = from.data;
    ptrdiff_t at = i0 * from.row + k0 * from.col;
    if (as.along_k) {
        pack_along(to, base, at, from.row, smaller(lines, TILE), depth, as.across, as.wide);
        if (lines > TILE)
            pack_along(to + next, base, at + TILE * from.row, from.row, lines - TILE, depth,
                       as.across, as.wide);
    } else if (as.across) {
        pack_across(to, next, base, at, from.col, lines, depth, as.wide);
    } else {
        _Alignas(64) stored turned[2 * TILE_SIZE];
        pack_across(turned, TILE_SIZE, base, at, from.col, lines, depth, as.wide);
        pack_along(to, turned, 0, TILE_K, TILE, TILE_K, true, false);
        if (lines > TILE)
            pack_along(to + next, turned, TILE_SIZE, TILE_K, TILE, TILE_K, true, false);
    }
}

INLINE void pack_as(stored *to, view from, int i0, int count, int K, const packing as)
{
    ptrdiff_t next = (ptrdiff_t)tiles_of(K, TILE_K) * TILE_SIZE;
    for (int i = 0; i < count; i += BLOCK, to += 2 * next)
        for (int k = 0; k < K; k += TILE_K) {
            stored *at = to + k / TILE_K * TILE_SIZE;
            if (count - i >= BLOCK && K - k >= TILE_K)
                pack_two(at, next, from, i0 + i, BLOCK, k, TILE_K, as);
            else
                pack_two(at, next, from, i0 + i, smaller(BLOCK, count - i), k,
                         smaller(TILE_K, K - k), as);
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
