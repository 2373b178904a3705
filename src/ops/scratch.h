/* Scratch of the CPU kernels, in elements where nothing else is said, for every level and type:
 * what each may take beside a product's own. A kernel that takes more, or a new one, belongs here,
 * since cz_ops_scratch() promises the sum. */
#ifndef CZ_SCRATCH_H
#define CZ_SCRATCH_H

#include "czhpc/tensor.h"

#include <stddef.h>
#include <stdint.h>

enum {
    /* Largest packed blocks of A and B but of pairs, and what aligning both adds. */
    CZ_SCRATCH_GEMM = 8 * 16 * (256 + 16) + 256 * 512 + 32,
    CZ_PAIRS_PACKED = 1 << 19, /* elements of an operand that products of pairs pack at once, */
    CZ_PAIRS_LINES = 32,       /* if so many lines of it are not more */
    CZ_QUERY_BLOCK = 32,       /* queries of a head that are in work at once */
    CZ_POOL_BLOCK = 1 << 18,   /* elements that the cells in work at once may fill */
    CZ_POOL_CELLS = 16         /* and how many they are at most */
};

/* A row of `n` elements with what aligns the next. */
static inline size_t cz_padded(int n) { return ((size_t)n + 15) & ~(size_t)15; }

/* At most `keys` keys, and heads of at most `size` columns. */
static inline size_t cz_attention_scratch(int keys, int size)
{
    return cz_padded(keys) * ((size_t)size + 2 * CZ_QUERY_BLOCK) + 3 * 16;
}

/* Of each cell in work: weights, their gradient and the softmax, (T, H, L); U, (T, H, D) of the
 * factored form, or heads, their projection and its gradient, (L, D) each, of the plain one. */
static inline size_t cz_pool_cell_scratch(int T, int L, int D, int H)
{
    size_t rows = (size_t)T * (size_t)H, mixed = 3 * (size_t)L * cz_padded(D);
    size_t u = rows * cz_padded(D);
    return 3 * rows * cz_padded(L) + (u > mixed ? u : mixed);
}
static inline int cz_pool_cells(int T, int L, int D, int H)
{
    size_t fit = CZ_POOL_BLOCK / (cz_pool_cell_scratch(T, L, D, H) + 1);
    return fit < 1 ? 1 : fit < CZ_POOL_CELLS ? (int)fit : CZ_POOL_CELLS;
}

/* With what the cell being normalised takes: its (L, D) rows, their gradient and five vectors. */
static inline size_t cz_pool_scratch(int T, int L, int D, int H)
{
    return (size_t)cz_pool_cells(T, L, D, H) * cz_pool_cell_scratch(T, L, D, H) +
           (2 * (size_t)L + 5) * cz_padded(D) + 12 * 16;
}

/* Of the way back through a head: gradients of the latent and of both hidden layers. */
static inline size_t cz_heads_scratch(int cells, int D)
{
    return (size_t)cells * (2 * (size_t)D + (size_t)D / 2) + 3 * 16;
}

/* cz_ops_scratch() of the CPU's kernels of a type. */
size_t cz_cpu_scratch(cz_dtype dtype, int rows, int cols, int L, int T, int D, int H);

/* Bytes of a bf16 product whose M, N and K are at most `most`, with a result of at most `result`
 * elements: of pairs both operands packed, else the result in fp32 and packed blocks. */
static inline size_t cz_bf16_gemm_bytes(size_t most, size_t result)
{
    size_t lines = CZ_PAIRS_LINES * (most + CZ_PAIRS_LINES);
    size_t packed = 2 * sizeof(uint16_t) * (lines > CZ_PAIRS_PACKED ? lines : CZ_PAIRS_PACKED);
    size_t blocks = (result + CZ_SCRATCH_GEMM) * sizeof(float);
    return (packed > blocks ? packed : blocks) + 128;
}

#endif
