/* The part of CUDA's wmma that czhpc uses: bf16 factors, fp32 sums. What a fragment holds is the
 * warp's, and here its first lane's; the other lanes come along. */
#ifndef CZ_EMULATED_MMA_H
#define CZ_EMULATED_MMA_H

#include "cuda_bf16.h"
#include "cuda_runtime.h"

#include <cstdlib>
#include <type_traits>

namespace nvcuda::wmma
{

struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major, mem_col_major };

template <typename Use, int M, int N, int K, typename T, typename Layout = void> struct fragment {
    static_assert(M == 16 && N == 16 && K == 16, "the only tiles here");
    float x[16][16];
};

/* All lanes are here; their memory is not ordered by it. */
inline void cz_emulated_meet() { cz_emulated_exchange(0xffffffffu, 0, (int)cz_emulated_lane()); }

/* As the hardware wants it: 32 bytes, and rows a multiple of 16 bytes apart. */
template <typename T> void cz_emulated_aligned(const T *at, unsigned ld)
{
    if ((uintptr_t)at % 32 || ld * sizeof(T) % 16) abort();
}
inline float cz_emulated_float(__nv_bfloat16 x)
{
    uint32_t bits = (uint32_t)x.bits << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

template <typename Use, typename Layout>
void load_matrix_sync(fragment<Use, 16, 16, 16, __nv_bfloat16, Layout> &f, const __nv_bfloat16 *at,
                      unsigned ld)
{
    cz_emulated_aligned(at, ld);
    cz_emulated_meet();
    if (cz_emulated_lane()) return;
    for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < 16; j++)
            f.x[i][j] = cz_emulated_float(std::is_same<Layout, row_major>::value ? at[i * ld + j]
                                                                                 : at[j * ld + i]);
}

template <typename Use> void fill_fragment(fragment<Use, 16, 16, 16, float> &f, float value)
{
    for (auto &row : f.x)
        for (float &x : row) x = value;
}

template <typename A, typename B>
void mma_sync(fragment<accumulator, 16, 16, 16, float> &d,
              const fragment<matrix_a, 16, 16, 16, __nv_bfloat16, A> &a,
              const fragment<matrix_b, 16, 16, 16, __nv_bfloat16, B> &b,
              const fragment<accumulator, 16, 16, 16, float> &c)
{
    if (cz_emulated_lane()) return;
    d = c;
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 16; k++)
            for (int j = 0; j < 16; j++) d.x[i][j] += a.x[i][k] * b.x[k][j];
}

inline void load_matrix_sync(fragment<accumulator, 16, 16, 16, float> &f, const float *at,
                             unsigned ld, layout_t order)
{
    cz_emulated_aligned(at, ld);
    cz_emulated_meet();
    if (cz_emulated_lane()) return;
    for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < 16; j++)
            f.x[i][j] = at[order == mem_row_major ? i * ld + j : j * ld + i];
}

inline void store_matrix_sync(float *at, const fragment<accumulator, 16, 16, 16, float> &f,
                              unsigned ld, layout_t order)
{
    cz_emulated_aligned(at, ld);
    cz_emulated_meet(); /* before: what is stored others see only after a barrier of theirs */
    if (cz_emulated_lane()) return;
    for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < 16; j++)
            at[order == mem_row_major ? i * ld + j : j * ld + i] = f.x[i][j];
}

} // namespace nvcuda::wmma

#endif
