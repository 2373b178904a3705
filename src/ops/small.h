/* Products too small to be packed: the heads of one cell. */
#ifndef CZ_SMALL_H
#define CZ_SMALL_H

#include "kernel.h"

/* C (M, N) = A (M, K) B (K, N), or C += A B; b has contiguous rows, a any strides. Of bf16
 * these are there: a wide and b not, c either; b and c wide and a not; none wide. The terms of
 * every element are added in order, whatever M and N are. kernel_small.c */
void K(small_product)(target c, view a, view b, int M, int N, int K);

/* to (cols, rows) = from^T. Rows of `to` are written up to the next multiple of LANES, with
 * zeros, and ldt must leave room for that. kernel_small.c */
void K(transpose_small)(real *to, ptrdiff_t ldt, const stored *from, ptrdiff_t ldf, int rows,
                        int cols);

/* Scratch as operands. */
INLINE view real_rows(const real *data, ptrdiff_t ld) { return (view){data, ld, 1, true, NULL}; }
INLINE view real_transposed(const real *data, ptrdiff_t ld)
{
    return (view){data, 1, ld, true, NULL};
}

#endif
