/* BLAS after its kernels were chosen anew: as fast as the processor allows, and right. */
#include "../src/data/blas.h"
#include "check.h"
#include "czhpc/ops.h"

#include <cblas.h>

enum { M = 67, N = 45, K = 129 };

extern char *openblas_get_corename(void) __attribute__((weak));

static double error_of_product(void)
{
    static double a[M * K], b[K * N], c[M * N];
    double worst = 0;
    for (int i = 0; i < M * K; i++) a[i] = (i * 37 % 101) / 16.0 - 3;
    for (int i = 0; i < K * N; i++) b[i] = (i * 53 % 97) / 16.0 - 3;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, M, N, K, 1, a, K, b, N, 0, c, N);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0; /* of multiples of 1/256: exact, so in every order the same */
            for (int k = 0; k < K; k++) sum += a[i * K + k] * b[k * N + j];
            worst = fmax(worst, fabs(c[i * N + j] - sum));
        }
    return worst;
}

int main(void)
{
    double before = error_of_product();
    blas_prepare();
    double after = error_of_product();
    check(before == 0 && after == 0, "products before and after the choice: %g and %g from exact",
          before, after);
    if (!openblas_get_corename || cz_level_best(CZ_F32) == CZ_LEVEL_PORTABLE) {
        check_skip("the choice of kernels: another BLAS, or no AVX2");
        return check_done();
    }
    if (getenv("OPENBLAS_CORETYPE")) {
        check_skip("the choice of kernels: OPENBLAS_CORETYPE chooses");
        return check_done();
    }
    char first[64];
    snprintf(first, sizeof first, "%s", openblas_get_corename());
    blas_prepare();
    check(strcmp(first, "Prescott") != 0 && !getenv("OPENBLAS_CORETYPE"), "on %s OpenBLAS takes %s",
          cz_level_name(cz_level_best(CZ_F32)), first);
    check(!strcmp(first, openblas_get_corename()), "and keeps it");
    return check_done();
}
