/* What the GPU's operations share, on the device and on the host. Every operation is written once
 * for both types of activations: `Stored` is float or bf16, sums are float (`real`).
 *
 * Plain CUDA C++, so that the emulation (cuda/emulated/) can run all of it on a CPU: dynamic shared
 * memory only, by shared_memory(); variables on the device are static; shuffles over whole warps;
 * no barrier in a branch that not all threads of a block take. */
#ifndef CZ_CUDA_KERNEL_H
#define CZ_CUDA_KERNEL_H

#include <cuda_runtime.h>

#include <initializer_list>

extern "C" {
#include "czhpc/backend.h"
#include "czhpc/gpu.h"
#include "czhpc/rng.h"
}

enum { WARP = 32 };
static const unsigned WHOLE_WARP = 0xffffffff;
typedef float real;

/* Rounded to nearest, ties to even, where it is stored. */
struct bf16 {
    uint16_t bits;
};

__device__ __forceinline__ real as_real(float x) { return x; }
__device__ __forceinline__ real as_real(bf16 x)
{
    uint32_t bits = (uint32_t)x.bits << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
__device__ __forceinline__ void put(float *at, real x) { *at = x; }
__device__ __forceinline__ void put(bf16 *at, real x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
    bool nan = (bits & 0x7fffffff) > 0x7f800000;
    at->bits = (uint16_t)((nan ? bits | 0x400000 : rounded) >> 16);
}
/* What `x` is once it has been stored. */
template <typename Stored> __device__ __forceinline__ real stored_as(real x)
{
    Stored s;
    put(&s, x);
    return as_real(s);
}

/* A tensor on the device: rows `ld` elements apart. */
template <typename T> struct rows_of {
    T *data;
    int rows, cols;
    ptrdiff_t ld;
    __device__ __forceinline__ T *at(int row, int col = 0) const
    {
        return data + (ptrdiff_t)row * ld + col;
    }
};
template <typename T> rows_of<T> view(cz_tensor t)
{
    return {(T *)t.data, cz_rows(t), cz_cols(t), t.ld};
}
static inline bool is_wide(cz_tensor t) { return t.dtype == CZ_F32; }

/* Neighbours, read and written at once. */
template <typename T, int N> struct alignas(N * sizeof(T)) piece {
    T x[N];
};

/* Registers have no index: a loop over an array that is to stay in them is unrolled. */
#ifdef CZ_EMULATED
#define UNROLL
#define UNROLL_FOUR
#define UNROLL_FEW
#else
#define UNROLL _Pragma("unroll")
#define UNROLL_FOUR _Pragma("unroll 4")
#define UNROLL_FEW _Pragma("unroll 8")
#endif

__device__ __forceinline__ int lane_number() { return (int)threadIdx.x % WARP; }
__device__ __forceinline__ int warp_number() { return (int)threadIdx.x / WARP; }
__device__ __forceinline__ int warp_count() { return (int)blockDim.x / WARP; }

/* Of the block at work, 128-byte aligned, as much as its launch said. */
#ifdef CZ_EMULATED
__device__ __forceinline__ unsigned char *shared_memory() { return cz_emulated_shared(); }
#else
__device__ __forceinline__ unsigned char *shared_memory()
{
    extern __shared__ __align__(128) unsigned char cz_shared[];
    return cz_shared;
}
#endif

/* The sum over a warp, in every lane, in one fixed order. */
__device__ __forceinline__ real warp_sum(real x)
{
    for (int step = WARP / 2; step; step /= 2) x += __shfl_xor_sync(WHOLE_WARP, x, step);
    return x;
}

/* Calls act(row, column) for every element of (rows, cols), over so many blocks, this one the
 * `block`th; or over the whole grid. */
template <typename Act>
__device__ void each_element(int rows, int cols, unsigned block, unsigned blocks, Act act)
{
    /* 32 bits: a division of 64 takes longer than the element does. */
    unsigned all = (unsigned)rows * (unsigned)cols, stride = blocks * blockDim.x;
    for (unsigned i = block * blockDim.x + threadIdx.x; i < all; i += stride)
        act((int)(i / (unsigned)cols), (int)(i % (unsigned)cols));
}
template <typename Act> __device__ void each_element(int rows, int cols, Act act)
{
    each_element(rows, cols, blockIdx.x, gridDim.x, act);
}

/* ---- dropout masks: ops.h says which element is kept ---- */

/* A site as kernels take it; bits NULL: nothing is dropped. */
struct mask_site {
    uint8_t *bits;
    const uint32_t *cell;
    size_t cell_bytes; /* of a cell's mask */
    uint32_t counter;  /* of block 0 */
    unsigned threshold;
    real scale;
};
static inline mask_site site_of(const cz_dropout *drop, int elements)
{
    if (!drop) return {nullptr, nullptr, 0, 0, 0, 1};
    return {drop->bits,
            drop->cell,
            cz_mask_bytes(elements),
            cz_counter(CZ_RNG_DROPOUT + drop->site, 0),
            cz_dropout_threshold(drop->p),
            (real)cz_dropout_scale(drop->p)};
}

/* Byte `at` of the mask of cell `b`, drawn: elements 8 at .. 8 at + 7, as if there were so many.
 * Philox4x32-10, as cz_philox() has it. */
__device__ __forceinline__ unsigned draw_mask_byte(const mask_site &site, const cz_step *step,
                                                   int b, unsigned at)
{
    uint32_t c0 = site.cell[b], c1 = step->step, c2 = site.counter + at, c3 = step->phase;
    uint32_t k0 = (uint32_t)step->seed, k1 = (uint32_t)(step->seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint32_t high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        uint32_t high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const uint32_t word[4] = {c0, c1, c2, c3};
    unsigned byte = 0;
    for (int i = 0; i < 8; i++)
        byte |= (unsigned)((word[i / 2] >> (i % 2 * 16) & 0xffff) >= site.threshold) << i;
    return byte;
}

/* Whether element e of cell b is kept, as its mask says. */
__device__ __forceinline__ bool kept(const mask_site &site, int b, int e)
{
    return site.bits[(size_t)b * site.cell_bytes + (size_t)e / 8] >> (e % 8) & 1;
}
/* The same of elements e .. e + 3, a bit each, at one read; what is beyond the cell is not kept. */
__device__ __forceinline__ unsigned kept_four(const mask_site &site, int b, int e)
{
    if (!site.bits) return 15;
    const uint8_t *bits = site.bits + (size_t)b * site.cell_bytes;
    size_t at = (size_t)e / 8;
    unsigned two = at < site.cell_bytes ? bits[at] : 0;
    if (e % 8 > 4 && at + 1 < site.cell_bytes) two |= (unsigned)bits[at + 1] << 8;
    return two >> e % 8 & 15;
}

/* ---- the host's side ---- */

/* CZ_ERR_DEVICE (CZ_ERR_MEMORY where memory is what was missing) unless `error` is none. */
cz_status cuda_status(const cz_gpu *gpu, const char *what, cudaError_t error);
cudaStream_t stream_of(const cz_gpu *gpu);
/* For a launch alone: without a table, a step or scratch. */
static inline cz_exec exec_on(cz_gpu *gpu) { return {nullptr, nullptr, nullptr, gpu, false}; }
size_t shared_of(const cz_gpu *gpu); /* bytes of shared memory that a block may have */

/* Where something lies; NULL to NULL where it is empty. */
struct span {
    const char *begin, *end;
    span() : begin(nullptr), end(nullptr) {}
    span(const void *data, size_t bytes) : begin((const char *)data), end(begin + bytes) {}
    span(cz_tensor t);
};
static inline bool overlap(const span &a, const span &b)
{
    return a.begin < b.end && b.begin < a.end;
}

/* Asks for the rows that moves.h has noted. */
cz_status take_moves(const cz_gpu *gpu);

/* What follows waits for the work of deferred.h that reads or writes what it writes, or writes what
 * it reads. */
cz_status settle(const cz_exec *exec, std::initializer_list<span> written,
                 std::initializer_list<span> read);
/* What follows waits for all of that work. */
cz_status join_deferred(const cz_gpu *gpu);
/* `count` elements of scratch, which no deferred work reads any more. */
template <typename T> cz_status take_scratch(cz_exec *exec, T **to, size_t count)
{
    *to = (T *)cz_arena_take(exec->scratch, count * sizeof(T));
    span room(*to, count * sizeof(T));
    return *to ? settle(exec, {room}, {}) : CZ_ERR_MEMORY;
}

/* At most so many blocks of a one-dimensional grid walk over a large array. */
static const size_t MOST_BLOCKS = 132 * 16;
static inline unsigned blocks_for(size_t items, size_t per_block)
{
    size_t blocks = (items + per_block - 1) / per_block;
    return (unsigned)(blocks < MOST_BLOCKS ? blocks : MOST_BLOCKS);
}

/* Asks for a kernel of `threads` threads a block and `shared` bytes; an empty grid is no work. */
template <typename... P, typename... A>
cz_status launch(cz_exec *exec, const char *name, void (*kernel)(P...), dim3 grid, unsigned threads,
                 size_t shared, A... args)
{
    enum { PLAIN_SHARED = 48 << 10 };
    if (!grid.x || !grid.y || !grid.z) return CZ_OK;
    CZ_TRY(take_moves(exec->gpu));
    if (shared > PLAIN_SHARED) /* always the same: recorded launches of it may want more */
        CZ_TRY(cuda_status(exec->gpu, name,
                           cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                (int)shared_of(exec->gpu))));
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared;
    config.stream = stream_of(exec->gpu);
#ifdef CZ_EMULATED
    cz_emulated_next_kernel = name;
#endif
    return cuda_status(exec->gpu, name, cudaLaunchKernelEx(&config, kernel, P(args)...));
}

/* Each file's part of the tables of operations. */
struct cuda_tables {
    cz_backend *f32, *bf16;
};
void fill_rows(cuda_tables t);      /* rows.cu: moves of moves.h, add, add_reversed, positions */
void fill_adam(cuda_tables t);      /* adam.cu */
void fill_norm(cuda_tables t);      /* norm.cu: add_dropout_norm_forward, _backward */
void fill_loss(cuda_tables t);      /* loss.cu: cross_entropy */
void fill_attention(cuda_tables t); /* attention.cu */
void fill_pool(cuda_tables t);      /* pool.cu */
void fill_linear(cuda_tables t);    /* linear.cu */
void fill_heads(cuda_tables t);     /* heads.cu */

/* Bytes of scratch that attention_backward takes where q and k have at most so many rows. */
size_t attention_scratch(int rows, int cols);
/* Bytes of scratch that either direction of the resampler's pooling takes: pool.cu. */
size_t pool_scratch(int B, int T, int L, int D, int H, cz_dtype dtype);
/* The same of heads on (B, D): heads.cu. */
size_t heads_scratch(int B, int D, cz_dtype dtype);

#endif
