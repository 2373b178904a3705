#include "scratch.h"

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Of one product, the resampler's included. */
static size_t gemm_bytes(cz_dtype dtype, size_t rows, size_t cols, size_t cells, int L, int T,
                         int D, int H)
{
    if (dtype != CZ_BF16) return CZ_SCRATCH_GEMM * cz_dtype_size(dtype);
    size_t pool_rows = cells * larger((size_t)L, (size_t)T * (size_t)H), width = (size_t)D;
    return cz_bf16_gemm_bytes(larger(larger(rows, cols), larger(pool_rows, width)),
                              larger(rows * cols, pool_rows * width));
}

size_t cz_cpu_scratch(cz_dtype dtype, int rows, int cols, int L, int T, int D, int H)
{
    size_t wide = 8 * ((size_t)cols + (size_t)rows); /* vectors of one operation */
    size_t attention = cz_attention_scratch(rows, cols), pool = cz_pool_scratch(T, L, D, H);
    size_t heads = cz_heads_scratch((rows + T - 1) / T, D);
    size_t cells = (size_t)cz_pool_cells(T, L, D, H);
    size_t product = (size_t)rows * (size_t)cols * cz_dtype_size(dtype) + 64; /* dx, to be added */
    return product + gemm_bytes(dtype, (size_t)rows, (size_t)cols, cells, L, T, D, H) +
           (wide + larger(larger(attention, pool), heads)) * cz_dtype_size(cz_dtype_wide(dtype));
}
