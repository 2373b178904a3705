/* What the CPU kernels share. Every kernel_*.c is compiled once for each variant (levels.mk),
 * an instruction level and a type:
 *   CZ_VARIANT       its name, the suffix of every function that leaves a file: K(add)
 *   CZ_STORED_BITS   of an activation in memory: 16 (bf16), 32 or 64
 *   CZ_VECTOR_BYTES  width of `vec`, LANES elements of `real`
 *   CZ_LEVEL         the cz_level
 * One source serves all of them through the helpers below; intrinsics only where the compiler's
 * vector extensions do not reach. No function here may be called from another variant's file. */
#ifndef CZ_KERNEL_H
#define CZ_KERNEL_H

#include "czhpc/backend.h"

#ifndef CZ_VARIANT /* a tool that reads one file by itself sees the plainest variant */
#define CZ_VARIANT portable_f32
#define CZ_NAME "cpu, portable, fp32"
#define CZ_STORED_BITS 32
#define CZ_VECTOR_BYTES 16
#define CZ_LEVEL CZ_LEVEL_PORTABLE
#endif

/* Products of pairs of bf16, on AMX tiles where CZ_AMX is 1, else by AVX512_BF16. */
#define CZ_PAIRS (CZ_STORED_BITS == 16 && CZ_VECTOR_BYTES == 64)
#ifndef CZ_AMX
#define CZ_AMX 0
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* `real` is what is computed with and summed in; `stored` what activations are stored as. */
#if CZ_STORED_BITS == 64
#define CZ_REAL_BITS 64
typedef double real;
typedef int64_t real_int;
typedef real stored;
#define REAL_DTYPE CZ_F64
#define STORED_DTYPE CZ_F64
#else
#define CZ_REAL_BITS 32
typedef float real;
typedef int32_t real_int;
#define REAL_DTYPE CZ_F32
#if CZ_STORED_BITS == 16
typedef uint16_t stored;
#define STORED_DTYPE CZ_BF16
#else
typedef real stored;
#define STORED_DTYPE CZ_F32
#endif
#endif

#if CZ_STORED_BITS == 16
enum { NARROW = true }; /* `stored` is not `real` */
#else
enum { NARROW = false };
#endif

enum { LANES = CZ_VECTOR_BYTES * 8 / CZ_REAL_BITS };

#define K_JOIN(name, variant) cz_##name##_##variant
#define K_EXPAND(name, variant) K_JOIN(name, variant)
#define K(name) K_EXPAND(name, CZ_VARIANT)

#define INLINE static inline __attribute__((always_inline, unused))

/* Before a loop of constant length: unrolled whole, so that arrays of vec become registers. */
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

/* LANES elements. Arithmetic by the usual operators; a * b + c is one rounding on the levels
 * that have FMA. Comparisons give a vec_int of 0 and -1. */
typedef real vec __attribute__((vector_size(CZ_VECTOR_BYTES)));
typedef real_int vec_int __attribute__((vector_size(CZ_VECTOR_BYTES)));
#if CZ_REAL_BITS == 32
typedef uint32_t vec_bits __attribute__((vector_size(CZ_VECTOR_BYTES)));
#endif
typedef real vec_any __attribute__((vector_size(CZ_VECTOR_BYTES), aligned(4), may_alias));

INLINE vec load_real(const real *p) { return *(const vec_any *)p; }
INLINE void store_real(real *p, vec v) { *(vec_any *)p = v; }
INLINE vec broadcast(real x) { return x - (vec){0}; } /* exact, -0 included */

/* a where mask is -1, b where it is 0. */
INLINE vec choose(vec_int mask, vec a, vec b)
{
    return (vec)(((vec_int)a & mask) | ((vec_int)b & ~mask));
}
INLINE vec vec_max(vec a, vec b) { return choose(a > b, a, b); } /* b if either is NaN */

#if CZ_VECTOR_BYTES > 16
#include <immintrin.h>
#endif

#if CZ_VECTOR_BYTES == 64
INLINE vec load_part_real(const real *p, int n)
{
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
INLINE void store_part_real(real *p, vec v, int n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}
/* Lanes whose bit is set, lane 0 by bit 0; 0 in the others. */
INLINE vec keep_lanes(vec v, unsigned bits)
{
    return (vec)_mm512_maskz_mov_ps((__mmask16)bits, (__m512)v);
}
INLINE unsigned lane_bits(vec_int mask) { return _mm512_movepi32_mask((__m512i)mask); }
/* Sum and maximum over the lanes, halves first. */
INLINE real sum_lanes(vec v) { return _mm512_reduce_add_ps((__m512)v); }
INLINE real max_lanes(vec v) { return _mm512_reduce_max_ps((__m512)v); }

#elif CZ_VECTOR_BYTES == 32
INLINE __m256i first_lanes(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE vec load_part_real(const real *p, int n)
{
    return (vec)_mm256_maskload_ps(p, first_lanes(n));
}
INLINE void store_part_real(real *p, vec v, int n)
{
    _mm256_maskstore_ps(p, first_lanes(n), (__m256)v);
}
INLINE vec keep_lanes(vec v, unsigned bits)
{
    __m256i place = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    __m256i set = _mm256_and_si256(_mm256_set1_epi32((int)bits), place);
    return (vec)_mm256_and_ps((__m256)v, _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, place)));
}
INLINE unsigned lane_bits(vec_int mask) { return (unsigned)_mm256_movemask_ps((__m256)mask); }
INLINE real sum_lanes(vec v)
{
    __m128 half =
        _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
INLINE real max_lanes(vec v)
{
    __m128 half =
        _mm_max_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

#else
INLINE vec load_part_real(const real *p, int n)
{
    vec v = {0};
    for (int i = 0; i < n; i++) v[i] = p[i];
    return v;
}
INLINE void store_part_real(real *p, vec v, int n)
{
    for (int i = 0; i < n; i++) p[i] = v[i];
}
INLINE vec keep_lanes(vec v, unsigned bits)
{
    vec_int mask = {0};
    for (int i = 0; i < LANES; i++) mask[i] = -(real_int)(bits >> i & 1);
    return choose(mask, v, (vec){0});
}
INLINE unsigned lane_bits(vec_int mask)
{
    unsigned bits = 0;
    for (int i = 0; i < LANES; i++) bits |= (unsigned)(mask[i] & 1) << i;
    return bits;
}
INLINE real sum_lanes(vec v)
{
    real lane[LANES];
    memcpy(lane, &v, sizeof v);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}
INLINE real max_lanes(vec v)
{
    real lane[LANES];
    memcpy(lane, &v, sizeof v);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] = lane[i] > lane[i + half] ? lane[i] : lane[i + half];
    return lane[0];
}
#endif

#if CZ_STORED_BITS == 16
#include "bf16.h"
/* f_real or f_stored, by what p points to. */
#define BY_TYPE(f, p)                                                                              \
    _Generic((p), real * : f##_real, const real * : f##_real, stored * : f##_stored, const stored * : f##_stored)
INLINE real as_real(stored x) { return from_bf16(x); }
#else
#define BY_TYPE(f, p) f##_real
INLINE real as_real(stored x) { return x; }
#endif

/* LANES elements, and the first n < LANES; the others read as 0 and are not written. */
#define load(p) BY_TYPE(load, p)(p)
#define store(p, v) BY_TYPE(store, p)(p, v)
#define load_part(p, n) BY_TYPE(load_part, p)(p, n)
#define store_part(p, v, n) BY_TYPE(store_part, p)(p, v, n)

/* The next LANES elements, or as many as are left (> 0); the other lanes are 0. */
#define EACH_TYPE(type, name)                                                                      \
    INLINE vec load_next_##name(const type *p, int left)                                           \
    {                                                                                              \
        return left >= LANES ? load(p) : load_part(p, left);                                       \
    }                                                                                              \
    INLINE void store_next_##name(type *p, vec v, int left)                                        \
    {                                                                                              \
        if (left >= LANES) store(p, v);                                                            \
        else store_part(p, v, left);                                                               \
    }                                                                                              \
    INLINE void add_next_##name(type *p, vec v, int left)                                          \
    {                                                                                              \
        store_next_##name(p, load_next_##name(p, left) + v, left);                                 \
    }
EACH_TYPE(real, real)
#if CZ_STORED_BITS == 16
EACH_TYPE(stored, stored)
#endif
#undef EACH_TYPE
#define load_next(p, left) BY_TYPE(load_next, p)(p, left)
#define store_next(p, v, left) BY_TYPE(store_next, p)(p, v, left)
#define add_next(p, v, left) BY_TYPE(add_next, p)(p, v, left)

/* The same at element `at` of memory whose type is only known as wide, `real`, or not, `stored`. */
INLINE vec load_any(const void *data, ptrdiff_t at, int left, const bool wide)
{
    return wide ? load_next((const real *)data + at, left)
                : load_next((const stored *)data + at, left);
}
INLINE void store_any(void *data, ptrdiff_t at, vec v, int left, const bool wide)
{
    if (wide) store_next((real *)data + at, v, left);
    else store_next((stored *)data + at, v, left);
}

/* Bits [at, at + count) of a mask, count <= 16; only the bytes that hold them are read. */
INLINE unsigned mask_bits(const uint8_t *bits, size_t at, int count)
{
    unsigned shift = (unsigned)(at % 8), need = shift + (unsigned)count;
    const uint8_t *byte = bits + at / 8;
    unsigned word = byte[0];
    if (need > 8) word |= (unsigned)byte[1] << 8;
    if (need > 16) word |= (unsigned)byte[2] << 16;
    return word >> shift & ((1u << count) - 1);
}

/* Row of a tensor of activations, and of one that is summed in. */
INLINE stored *tensor_row(cz_tensor t, int row)
{
    return (stored *)t.data + (size_t)row * (size_t)t.ld;
}
INLINE real *wide_row(cz_tensor t, int row) { return (real *)t.data + (size_t)row * (size_t)t.ld; }
INLINE bool is_wide(cz_tensor t) { return NARROW && t.dtype == REAL_DTYPE; }

INLINE int smaller(int a, int b) { return a < b ? a : b; }

INLINE real *take(cz_exec *exec, size_t elements)
{
    return cz_arena_take(exec->scratch, elements * sizeof(real));
}
INLINE stored *take_stored(cz_exec *exec, size_t elements)
{
    return cz_arena_take(exec->scratch, elements * sizeof(stored));
}

/* The dropout mask of one cell: bit e % 8 of byte e / 8 of cz_mask_bytes(elements) bytes is 1
 * where element e is kept; the bits beyond `elements` are 0. kernel_mask.c */
void K(mask)(uint8_t *bits, const cz_step *step, unsigned site, double p, uint32_t cell,
             int elements);

/* Element (i, j) of a matrix at data[i * row + j * col]; one of row and col must be 1. */
typedef struct view {
    const void *data;
    ptrdiff_t row, col;
    bool wide;          /* elements are `real`, else `stored` */
    const void *packed; /* as a right operand: it as tiles, if not NULL. kernel_pack.c */
} view;
INLINE view rows_of(const stored *data, ptrdiff_t ld) { return (view){data, ld, 1, false, NULL}; }
INLINE view transposed(const stored *data, ptrdiff_t ld)
{
    return (view){data, 1, ld, false, NULL};
}
INLINE view view_of(cz_tensor t) { return (view){t.data, t.ld, 1, is_wide(t), NULL}; }
INLINE view transpose_of(cz_tensor t) { return (view){t.data, 1, t.ld, is_wide(t), NULL}; }

/* Weights (C, K) as the right operand of x w^T and of dy w. kernel_pack.c */
view K(weights_forward)(cz_tensor w);
view K(weights_backward)(cz_tensor w);

/* Where the rows of a product go: set, or added to. What is added to should be wide. */
typedef struct target {
    void *data;
    ptrdiff_t ld;
    bool wide, add;
} target;
INLINE target set_stored(stored *data, ptrdiff_t ld) { return (target){data, ld, false, false}; }
INLINE target set_real(real *data, ptrdiff_t ld) { return (target){data, ld, true, false}; }
INLINE target add_real(real *data, ptrdiff_t ld) { return (target){data, ld, true, true}; }
INLINE target set_tensor(cz_tensor t) { return (target){t.data, t.ld, is_wide(t), false}; }
INLINE target add_tensor(cz_tensor t) { return (target){t.data, t.ld, is_wide(t), true}; }

/* What happens to rows [row, row + rows) and columns [col, col + cols) of a product as soon as
 * they are complete, instead of being stored: `c` points at element (row, col), rows ldc apart,
 * and may be where the target has them. */
typedef void finish_block(const void *context, const real *c, ptrdiff_t ldc, int row, int rows,
                          int col, int cols);

/* C (M, N) = A (M, K) B (K, N), or C += A B. With `finish` it stores. The terms of every element
 * are added in the same order whatever M, N and its place in C are, so that a row of C depends,
 * bit for bit, on its row of A alone. K may be 0. Takes cz_gemm_scratch() elements.
 * kernel_gemm.c, kernel_gemm_pairs.c */
cz_status K(gemm)(cz_exec *exec, target c, view a, view b, int M, int N, int K,
                  finish_block *finish, const void *context);

/* Stores a block where the target that `context` points to wants it. kernel_gemm_store.c */
finish_block K(store_block);

/* The entries of the table, each in the file that is named for it. */
#define ENTRY(name) __typeof__(cz_##name) K(name)
ENTRY(linear_forward);
ENTRY(linear_backward_input);
ENTRY(linear_backward_weight);
ENTRY(attention_forward);
ENTRY(attention_backward);
ENTRY(attention_tally);
ENTRY(add_dropout_norm_forward);
ENTRY(add_dropout_norm_backward);
ENTRY(resampler_pool_forward);
ENTRY(resampler_pool_backward);
ENTRY(cross_entropy);
ENTRY(gather_rows);
ENTRY(zero);
ENTRY(copy);
ENTRY(add);
ENTRY(add_reversed);
ENTRY(add_positions);
ENTRY(add_positions_backward);
ENTRY(adam);
#undef ENTRY
size_t K(packed_bytes)(int rows, int cols);
void K(pack)(void *packed, cz_tensor w, int row, int rows);
double K(peak_gflops)(void);

#endif
