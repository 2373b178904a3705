#include "scratch.h"

#include "czhpc/ops.h"

size_t cz_ops_scratch(cz_dtype dtype, int rows, int cols, int L, int T, int D, int H)
{
    size_t wide = 8 * ((size_t)cols + (size_t)rows); /* vectors of one operation */
    return (CZ_SCRATCH_GEMM + wide + cz_scratch_cell(L, T, D, H)) * cz_dtype_size(dtype);
}
