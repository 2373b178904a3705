/* Products too small to be packed: the heads of one cell. */
#ifndef CZ_SMALL_H
#define CZ_SMALL_H

#include "kernel.h"

/* c (M, N) = a (M, K) b (K, N), or c += with `add`; b has contiguous rows, a any strides. The
 * terms of every element are added in order, whatever M and N are. kernel_small.c */
void K(small_product)(real *c, ptrdiff_t ldc, view a, const real *b, ptrdiff_t ldb, int M, int N,
                      int K, bool add);

/* to (cols, rows) = from^T. Rows of `to` are written up to the next multiple of LANES, with
 * zeros, and ldt must leave room for that. kernel_small.c */
void K(transpose_small)(real *to, ptrdiff_t ldt, const real *from, ptrdiff_t ldf, int rows,
                        int cols);

/* Under names that read like a function's. */
INLINE void small_product(real *c, ptrdiff_t ldc, view a, const real *b, ptrdiff_t ldb, int M,
                          int N, int K, bool add)
{
    K(small_product)(c, ldc, a, b, ldb, M, N, K, add);
}
INLINE void transpose_small(real *to, ptrdiff_t ldt, const real *from, ptrdiff_t ldf, int rows,
                            int cols)
{
    K(transpose_small)(to, ldt, from, ldf, rows, cols);
}

#endif
