/* A block of a product by the dot products of pairs of AVX512_BF16: a line of a tile of B is a
 * vector, a pair of A is broadcast. 92 to 98 % of a Zen 4's peak at the model's shapes, 82 to 93
 * for dW, which packs both operands (validation/bench_gemm.c). */
#ifndef CZ_PAIRS_VECTOR_H
#define CZ_PAIRS_VECTOR_H

#include "pairs.h"

#if CZ_PAIRS && !CZ_AMX

INLINE void prepare_tiles(void) {}

/* What of A lies across k stays so: a pair is broadcast from anywhere. */
enum { LEFT_ACROSS = true };

/* Rows 4 KB apart share the few lines of one set of the first level cache, and would drive each
 * other out before the pairs of a line are used up. */
INLINE bool read_in_place(ptrdiff_t row) { return row * (ptrdiff_t)sizeof(stored) % 4096 != 0; }

INLINE __m512 add_pairs(__m512 sum, __m512i a, __m512i b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

/* Rows of A that are summed at once: with two vectors of B, 16 chains of sums. */
enum { ROWS = 8 };

/* sum (ROWS, 16 nt), rows BLOCK apart, over `depth` tiles of k; of A `row` apart. */
INLINE void multiply_lines(float *sum, const int nt, const bool across, ptrdiff_t row, tiles a,
                           tiles b, int depth)
{
    __m512 s[ROWS][2];
    const ptrdiff_t deeper = across ? TILE_K : 2;
    UNROLL for (int r = 0; r < ROWS; r++) s[r][0] = s[r][1] = _mm512_setzero_ps();
    for (int k = 0; k < depth; k++, a.data += a.deeper, b.data += b.deeper) {
        for (int pair = 0; pair < TILE; pair++) {
            const stored *column = b.data + pair * TILE_K;
            __m512i b0 = _mm512_load_si512(column), b1 = b0;
            if (nt > 1) b1 = _mm512_load_si512(column + b.next);
            UNROLL for (int r = 0; r < ROWS; r++)
            {
                int32_t both;
                memcpy(&both, a.data + r * row + pair * deeper, sizeof both);
                __m512i x = _mm512_set1_epi32(both);
                s[r][0] = add_pairs(s[r][0], x, b0);
                if (nt > 1) s[r][1] = add_pairs(s[r][1], x, b1);
            }
        }
    }
    UNROLL for (int r = 0; r < ROWS; r++)
    {
        _mm512_store_ps(sum + r * BLOCK, s[r][0]);
        if (nt > 1) _mm512_store_ps(sum + r * BLOCK + TILE, s[r][1]);
    }
}

INLINE void multiply_as(float *sum, int rows, const int nt, const bool across, tiles a, tiles b,
                        int depth)
{
    const ptrdiff_t row = across ? 2 : (ptrdiff_t)(a.line / sizeof(stored));
    for (int r = 0; r < rows; r += ROWS) {
        tiles from = a;
        from.data += r / TILE * a.next + r % TILE * row;
        multiply_lines(sum + r * BLOCK, nt, across, row, from, b, depth);
    }
}

INLINE void multiply_block(float *sum, int rows, int cols, tiles a, tiles b, int depth)
{
    if (cols > TILE && a.across) multiply_as(sum, rows, 2, true, a, b, depth);
    else if (cols > TILE) multiply_as(sum, rows, 2, false, a, b, depth);
    else if (a.across) multiply_as(sum, rows, 1, true, a, b, depth);
    else multiply_as(sum, rows, 1, false, a, b, depth);
}

#endif

#endif
