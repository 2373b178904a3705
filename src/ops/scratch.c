#include "scratch.h"

#include "czhpc/ops.h"

size_t cz_ops_scratch(cz_dtype dtype, int rows, int cols, int L, int T, int D, int H)
{
    size_t wide = 8 * ((size_t)cols + (size_t)rows); /* vectors of one operation */
    size_t attention = cz_attention_scratch(rows, cols), pool = cz_pool_scratch(T, L, D, H);
    return (CZ_SCRATCH_GEMM + wide + (attention > pool ? attention : pool)) * cz_dtype_size(dtype);
}
