/* Transposing tiles of LANES x LANES in registers, for packing. */
#ifndef CZ_TRANSPOSE_H
#define CZ_TRANSPOSE_H

#include "kernel.h"

/* to[i][j] = from[j][i] of a whole tile. */
#if CZ_VECTOR_BYTES == 64
INLINE void transpose_tile(vec out[LANES], const vec in[LANES])
{
    __m512 a[16], b[16];
    for (int i = 0; i < 16; i += 2) { /* pairs of rows */
        a[i] = _mm512_unpacklo_ps((__m512)in[i], (__m512)in[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps((__m512)in[i], (__m512)in[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) /* fours: b[i + j] holds columns j, j + 4, j + 8, j + 12 */
        for (int j = 0; j < 2; j++) {
            __m512d low = _mm512_castps_pd(a[i + j]), high = _mm512_castps_pd(a[i + j + 2]);
            b[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
            b[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
        }
    for (int j = 0; j < 4; j++) { /* quarters of a vector */
        __m512 even_low = _mm512_shuffle_f32x4(b[j], b[4 + j], 0x88);
        __m512 odd_low = _mm512_shuffle_f32x4(b[j], b[4 + j], 0xdd);
        __m512 even_high = _mm512_shuffle_f32x4(b[8 + j], b[12 + j], 0x88);
        __m512 odd_high = _mm512_shuffle_f32x4(b[8 + j], b[12 + j], 0xdd);
        out[j] = (vec)_mm512_shuffle_f32x4(even_low, even_high, 0x88);
        out[j + 8] = (vec)_mm512_shuffle_f32x4(even_low, even_high, 0xdd);
        out[j + 4] = (vec)_mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
        out[j + 12] = (vec)_mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
    }
}
#elif CZ_VECTOR_BYTES == 32
INLINE void transpose_tile(vec out[LANES], const vec in[LANES])
{
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps((__m256)in[i], (__m256)in[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps((__m256)in[i], (__m256)in[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) /* b[i + j] holds columns j and j + 4 */
        for (int j = 0; j < 2; j++) {
            __m256d low = _mm256_castps_pd(a[i + j]), high = _mm256_castps_pd(a[i + j + 2]);
            b[i + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(low, high));
            b[i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low, high));
        }
    for (int j = 0; j < 4; j++) {
        out[j] = (vec)_mm256_permute2f128_ps(b[j], b[4 + j], 0x20);
        out[j + 4] = (vec)_mm256_permute2f128_ps(b[j], b[4 + j], 0x31);
    }
}
#else
INLINE void transpose_tile(vec out[LANES], const vec in[LANES])
{
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++) out[i][j] = in[j][i];
}
#endif

/* to (LANES, LANES) = from^T, where only the first `rows` of from have to be read, zeros for
 * the others, and only the first `cols` elements of each, which become rows of to. */
INLINE void transpose(real *to, ptrdiff_t ldt, int cols, const stored *from, ptrdiff_t ldf,
                      int rows)
{
    vec in[LANES], out[LANES];
    if (rows >= LANES && cols >= LANES) {
        for (int i = 0; i < LANES; i++) in[i] = load(from + i * ldf);
        transpose_tile(out, in);
        for (int i = 0; i < LANES; i++) store(to + i * ldt, out[i]);
        return;
    }
    for (int i = 0; i < LANES; i++) {
        in[i] = (vec){0};
        if (i < rows)
            in[i] = cols >= LANES ? load(from + i * ldf) : load_part(from + i * ldf, cols);
    }
    transpose_tile(out, in);
    for (int i = 0; i < LANES && i < cols; i++) store(to + i * ldt, out[i]);
}

#endif
