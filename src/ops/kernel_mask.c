/* Dropout masks from Philox4x32-10, several counters at once. One block of four words is eight
 * elements, so one byte of a mask. */
#include "kernel.h"

#include "czhpc/rng.h"

/* The four words of LINES blocks, each word in the low half of a 64-bit lane: one multiplication
 * then gives both halves of a product, and what is left in the high halves does no harm. */
#if CZ_VECTOR_BYTES == 64
typedef __m512i wide;
enum { LINES = 8 };
INLINE wide multiply(wide a, wide b) { return _mm512_mul_epu32(a, b); }
INLINE wide high(wide a) { return _mm512_srli_epi64(a, 32); }
INLINE wide xor3(wide a, wide b, wide c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
INLINE wide every(uint32_t x) { return _mm512_set1_epi64(x); }
/* Blocks 0, 4, 1, 5 ..: the order in which kept() reads the lanes. */
INLINE wide numbered(uint32_t first)
{
    return _mm512_add_epi64(every(first), _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7));
}
INLINE void kept(uint8_t *bytes, wide c0, wide c1, wide c2, wide c3, unsigned threshold)
{
    const __mmask16 odd = 0xaaaa;
    wide w01 = _mm512_mask_shuffle_epi32(c0, odd, c1, _MM_PERM_CCAA);
    wide w23 = _mm512_mask_shuffle_epi32(c2, odd, c3, _MM_PERM_CCAA);
    wide limit = _mm512_set1_epi16((short)threshold);
    uint32_t low = _mm512_cmpge_epu16_mask(_mm512_unpacklo_epi64(w01, w23), limit);
    uint32_t up = _mm512_cmpge_epu16_mask(_mm512_unpackhi_epi64(w01, w23), limit);
    uint64_t both = (uint64_t)up << 32 | low;
    memcpy(bytes, &both, sizeof both);
}
#elif CZ_VECTOR_BYTES == 32
typedef __m256i wide;
enum { LINES = 4 };
INLINE wide multiply(wide a, wide b) { return _mm256_mul_epu32(a, b); }
INLINE wide high(wide a) { return _mm256_srli_epi64(a, 32); }
INLINE wide xor3(wide a, wide b, wide c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
INLINE wide every(uint32_t x) { return _mm256_set1_epi64x(x); }
INLINE wide numbered(uint32_t first)
{
    return _mm256_add_epi64(every(first), _mm256_setr_epi64x(0, 1, 2, 3));
}
INLINE void kept(uint8_t *bytes, wide c0, wide c1, wide c2, wide c3, unsigned threshold)
{
    enum { odd = 0xaa };
    wide w01 = _mm256_blend_epi32(c0, _mm256_slli_epi64(c1, 32), odd);
    wide w23 = _mm256_blend_epi32(c2, _mm256_slli_epi64(c3, 32), odd);
    wide limit = _mm256_set1_epi16((short)threshold);
    wide low = _mm256_unpacklo_epi64(w01, w23), up = _mm256_unpackhi_epi64(w01, w23);
    low = _mm256_cmpeq_epi16(_mm256_max_epu16(low, limit), low); /* unsigned low >= limit */
    up = _mm256_cmpeq_epi16(_mm256_max_epu16(up, limit), up);
    int both = _mm256_movemask_epi8(_mm256_packs_epi16(low, up));
    memcpy(bytes, &both, sizeof both);
}
#endif

#if CZ_VECTOR_BYTES > 16
enum { CHAINS = 4, BLOCKS = CHAINS * LINES }; /* independent, to hide the latency of a round */

/* Bytes of blocks first .. first + BLOCKS - 1. */
static void philox_bytes(uint8_t *bytes, uint64_t key, uint32_t cell, uint32_t step, uint32_t first,
                         uint32_t phase, unsigned threshold)
{
    const wide m0 = every(0xD2511F53), m1 = every(0xCD9E8D57);
    wide c0[CHAINS], c1[CHAINS], c2[CHAINS], c3[CHAINS];
    UNROLL for (int i = 0; i < CHAINS; i++)
    {
        c0[i] = every(cell);
        c1[i] = every(step);
        c2[i] = numbered(first + (uint32_t)(i * LINES));
        c3[i] = every(phase);
    }
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    UNROLL for (int round = 0; round < 10; round++)
    {
        wide key0 = every(k0), key1 = every(k1);
        UNROLL for (int i = 0; i < CHAINS; i++)
        {
            wide p0 = multiply(c0[i], m0), p1 = multiply(c2[i], m1);
            c0[i] = xor3(high(p1), c1[i], key0);
            c2[i] = xor3(high(p0), c3[i], key1);
            c1[i] = p1;
            c3[i] = p0;
        }
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    UNROLL for (int i = 0; i < CHAINS; i++)
        kept(bytes + i * LINES, c0[i], c1[i], c2[i], c3[i], threshold);
}
#else
enum { BLOCKS = 1 };

static void philox_bytes(uint8_t *bytes, uint64_t key, uint32_t cell, uint32_t step, uint32_t first,
                         uint32_t phase, unsigned threshold)
{
    cz_block block = cz_philox(key, cell, step, first, phase);
    unsigned byte = 0;
    for (int i = 0; i < 8; i++)
        byte |= (unsigned)((block.v[i / 2] >> (i % 2 * 16) & 0xffff) >= threshold) << i;
    *bytes = (uint8_t)byte;
}
#endif

void K(mask)(uint8_t *bits, const cz_step *step, unsigned site, double p, uint32_t cell,
             int elements)
{
    size_t size = cz_mask_bytes(elements);
    uint32_t first = cz_counter(CZ_RNG_DROPOUT + site, 0);
    unsigned threshold = cz_dropout_threshold(p);
    for (size_t at = 0; at < size; at += BLOCKS) {
        uint8_t bytes[BLOCKS];
        bool whole = size - at >= BLOCKS;
        philox_bytes(whole ? bits + at : bytes, step->seed, cell, step->step, first + (uint32_t)at,
                     step->phase, threshold);
        if (!whole) memcpy(bits + at, bytes, size - at);
    }
    if (elements % 8) bits[size - 1] &= (uint8_t)((1 << elements % 8) - 1);
}
