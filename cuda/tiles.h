/* Products of matrices, most of them in shared memory, tiles of 16 x 16 by a warp, summed in fp32:
 * by tensor cores where elements are bf16, by multiply-adds of its lanes where they are float.
 *
 * All lanes of the warp call together, after a barrier that made both matrices visible, which stay
 * as they are until the next; what store() wrote the warp may read. A tile begins at a multiple of
 * 32 bytes, and rows lie a multiple of 16 bytes apart, as load_matrix_sync() of CUDA's wmma wants
 * it. */
#ifndef CZ_CUDA_TILES_H
#define CZ_CUDA_TILES_H

#include "kernel.h"

#include <cuda_bf16.h>
#include <mma.h>
#include <type_traits>

static const int TILE = 16;

/* How a factor lies: in rows as it is multiplied, or its transpose does; and where. */
enum lies { PLAIN, TURNED };
enum where { SHARED, ANYWHERE };

/* (16, 16) of the left factor, of the right one, and of their product. */
template <typename T, lies HOW> struct left_tile;
template <typename T, lies HOW> struct right_tile;
template <typename T> struct tile_sum;

/* ---- bf16 ---- */

template <lies HOW> struct tile_order {
    typedef nvcuda::wmma::row_major type;
};
template <> struct tile_order<TURNED> {
    typedef nvcuda::wmma::col_major type;
};
template <typename Use, lies HOW>
using core_tile =
    nvcuda::wmma::fragment<Use, TILE, TILE, TILE, __nv_bfloat16, typename tile_order<HOW>::type>;

/* load_matrix_sync() of shared memory: CUDA's own takes it for memory of any kind, and then reads
 * four bytes a lane at a time, where one instruction has them all. */
#ifdef CZ_EMULATED
#define LOAD_SHARED(factor, order, x, at, ld) nvcuda::wmma::load_matrix_sync(x, at, ld)
#else
#define LOAD_SHARED(factor, order, fragment, at, ld)                                               \
    asm volatile("wmma.load." factor ".sync.aligned." order                                        \
                 ".m16n16k16.shared.bf16 {%0, %1, %2, %3}, [%4], %5;"                              \
                 : "=r"(((unsigned *)&(fragment).x)[0]), "=r"(((unsigned *)&(fragment).x)[1]),     \
                   "=r"(((unsigned *)&(fragment).x)[2]), "=r"(((unsigned *)&(fragment).x)[3])      \
                 : "r"((unsigned)__cvta_generic_to_shared(at)), "r"(ld)                            \
                 : "memory")
#endif

template <typename Use, lies HOW> struct core_factor {
    core_tile<Use, HOW> x;
    template <where W = SHARED> __device__ __forceinline__ void load(const bf16 *data, int ld)
    {
        constexpr bool LEFT = std::is_same<Use, nvcuda::wmma::matrix_a>::value;
        const __nv_bfloat16 *at = (const __nv_bfloat16 *)data;
        unsigned step = (unsigned)ld;
        if constexpr (W == ANYWHERE) nvcuda::wmma::load_matrix_sync(x, at, step);
        else if constexpr (LEFT && HOW == PLAIN) LOAD_SHARED("a", "row", x, at, step);
        else if constexpr (LEFT) LOAD_SHARED("a", "col", x, at, step);
        else if constexpr (HOW == PLAIN) LOAD_SHARED("b", "row", x, at, step);
        else LOAD_SHARED("b", "col", x, at, step);
    }
};
template <lies HOW> struct left_tile<bf16, HOW> : core_factor<nvcuda::wmma::matrix_a, HOW> {
};
template <lies HOW> struct right_tile<bf16, HOW> : core_factor<nvcuda::wmma::matrix_b, HOW> {
};
template <> struct tile_sum<bf16> {
    nvcuda::wmma::fragment<nvcuda::wmma::accumulator, TILE, TILE, TILE, float> x;
    __device__ __forceinline__ void zero() { nvcuda::wmma::fill_fragment(x, 0.0f); }
    __device__ __forceinline__ void load(const float *at, int ld)
    {
        nvcuda::wmma::load_matrix_sync(x, at, (unsigned)ld, nvcuda::wmma::mem_row_major);
    }
    template <lies A, lies B>
    __device__ __forceinline__ void add(const left_tile<bf16, A> &a, const right_tile<bf16, B> &b)
    {
        nvcuda::wmma::mma_sync(x, a.x, b.x, x);
    }
    __device__ __forceinline__ void store(float *at, int ld) const
    {
        nvcuda::wmma::store_matrix_sync(at, x, (unsigned)ld, nvcuda::wmma::mem_row_major);
        __syncwarp();
    }
};

/* ---- float: a lane has two rows of four columns of the sum, and reads what it multiplies ---- */

template <lies HOW> struct tile_place {
    const float *at;
    int ld;
    template <where W = SHARED> __device__ __forceinline__ void load(const float *at_, int ld_)
    {
        at = at_, ld = ld_;
    }
    __device__ __forceinline__ float operator()(int row, int col) const
    {
        return HOW == PLAIN ? at[row * ld + col] : at[col * ld + row];
    }
};
template <lies HOW> struct left_tile<float, HOW> : tile_place<HOW> {
};
template <lies HOW> struct right_tile<float, HOW> : tile_place<HOW> {
};

template <> struct tile_sum<float> {
    float x[2][4];
    static __device__ __forceinline__ int row() { return lane_number() / 4 * 2; }
    static __device__ __forceinline__ int col() { return lane_number() % 4 * 4; }
    __device__ __forceinline__ void zero()
    {
        UNROLL for (int c = 0; c < 4; c++) x[0][c] = x[1][c] = 0;
    }
    __device__ __forceinline__ void load(const float *at, int ld)
    {
        UNROLL for (int r = 0; r < 2; r++)
        {
            UNROLL for (int c = 0; c < 4; c++) x[r][c] = at[(row() + r) * ld + col() + c];
        }
    }
    template <lies A, lies B>
    __device__ __forceinline__ void add(const left_tile<float, A> &a, const right_tile<float, B> &b)
    {
        UNROLL for (int k = 0; k < TILE; k++)
        {
            UNROLL for (int r = 0; r < 2; r++)
            {
                UNROLL for (int c = 0; c < 4; c++) x[r][c] += a(row() + r, k) * b(k, col() + c);
            }
        }
    }
    __device__ __forceinline__ void store(float *at, int ld) const
    {
        UNROLL for (int r = 0; r < 2; r++)
        {
            UNROLL for (int c = 0; c < 4; c++) at[(row() + r) * ld + col() + c] = x[r][c];
        }
        __syncwarp();
    }
};

/* ---- whole products ---- */

/* begin(sum, row, col) and, after the product was added, done(sum, row, col), for each tile of
 * a (rows, inner) times b (inner, cols), all multiples of TILE, shared among the warps of a block.
 */
template <lies A, lies B, where OF_A = SHARED, where OF_B = SHARED, typename T, typename Begin,
          typename Done>
__device__ __forceinline__ void each_tile(int rows, int cols, int inner, const T *a, int lda,
                                          const T *b, int ldb, Begin begin, Done done)
{
    int across = cols / TILE;
    for (int tile = warp_number(); tile < rows / TILE * across; tile += warp_count()) {
        int row = tile / across * TILE, col = tile % across * TILE;
        tile_sum<T> sum;
        begin(sum, row, col);
        UNROLL_FOUR for (int k = 0; k < inner; k += TILE)
        {
            left_tile<T, A> left;
            right_tile<T, B> right;
            left.template load<OF_A>(a + (A == PLAIN ? row * lda + k : k * lda + row), lda);
            right.template load<OF_B>(b + (B == PLAIN ? k * ldb + col : col * ldb + k), ldb);
            sum.add(left, right);
        }
        done(sum, row, col);
    }
}

#endif
