/* BLAS after its kernels were chosen anew: as fast as the processor allows, and right. */
#include "../src/data/blas.h"
#include "check.h"
#include "czhpc/ops.h"
#include "czhpc/pool.h"

#include <cblas.h>

enum { M = 131, N = 130, K = 257, THREADS = 2, CALLS = 1000 };

extern char *openblas_get_corename(void) __attribute__((weak));

/* Of multiples of 1/256: exact, so in every order the same. */
static double a[M * K], b[K * N], exact[M * N];

static void make_product(void)
{
    for (int i = 0; i < M * K; i++) a[i] = (i * 37 % 101) / 16.0 - 3;
    for (int i = 0; i < K * N; i++) b[i] = (i * 53 % 97) / 16.0 - 3;
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < K; k++) exact[i * N + j] += a[i * K + k] * b[k * N + j];
}

static double error_of_product(void)
{
    double c[M * N], worst = 0;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, M, N, K, 1, a, K, b, N, 0, c, N);
    for (int i = 0; i < M * N; i++) worst = fmax(worst, fabs(c[i] - exact[i]));
    return worst;
}

/* Many products by two threads at once, each from a barrier on; worst (THREADS). These are the
 * first calls of all: that is when memory is handed out slowest, and most easily twice. */
typedef struct meeting {
    cz_pool *pool;
    double *worst;
} meeting;

static cz_status multiply_often(void *context, int thread)
{
    const meeting *m = context;
    for (int i = 0; i < CALLS; i++) {
        cz_pool_barrier(m->pool);
        blas_begin();
        m->worst[thread] = fmax(m->worst[thread], error_of_product());
        blas_end();
    }
    return CZ_OK;
}

static void check_threads(void)
{
    double worst[THREADS] = {0};
    meeting m = {NULL, worst};
    bool ran = !cz_pool_open(&m.pool, THREADS, NULL) && !cz_pool_run(m.pool, multiply_often, &m);
    check(ran && worst[0] == 0 && worst[1] == 0, "by two threads at once: %g and %g from exact",
          worst[0], worst[1]);
    cz_pool_close(m.pool);
}

int main(void)
{
    make_product();
    check_threads();
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
