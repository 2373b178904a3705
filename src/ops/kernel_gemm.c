/* Matrix products. */
#include "kernel.h"

INLINE real element(view v, int i, int j) { return v.data[i * v.row + j * v.col]; }

cz_status K(gemm)(cz_exec *exec, real *c, ptrdiff_t ldc, view a, view b, int M, int N, int K,
                  bool add, finish_block *finish, const void *context)
{
    (void)exec;
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            real sum = 0;
            for (int k = 0; k < K; k++) sum += element(a, m, k) * element(b, k, n);
            c[m * ldc + n] = add ? c[m * ldc + n] + sum : sum;
        }
    if (finish) finish(context, c, ldc, 0, M, 0, N);
    return CZ_OK;
}
