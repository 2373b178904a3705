/* GFLOP/s of the products of a training step, on one core, beside the peak of that core. */
#include "czhpc/ops.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void openblas_set_num_threads(int count);

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* One product: rows, outputs, inputs; and what it is computed on. */
typedef struct job {
    int N, C, K;
    float *x, *w, *y, *dx, *dw;
    cz_exec *exec;
} job;

static void forward(const job *j)
{
    cz_linear_forward(j->exec, cz_matrix(j->y, CZ_F32, j->N, j->C),
                      cz_matrix(j->x, CZ_F32, j->N, j->K), cz_matrix(j->w, CZ_F32, j->C, j->K),
                      (cz_tensor){0}, CZ_LINEAR, NULL, 0);
}
static void backward_input(const job *j)
{
    cz_linear_backward_input(j->exec, cz_matrix(j->dx, CZ_F32, j->N, j->K),
                             cz_matrix(j->y, CZ_F32, j->N, j->C),
                             cz_matrix(j->w, CZ_F32, j->C, j->K), (cz_tensor){0}, 0);
}
static void backward_weight(const job *j)
{
    cz_linear_backward_weight(j->exec, cz_matrix(j->dw, CZ_F32, j->C, j->K), (cz_tensor){0},
                              cz_matrix(j->y, CZ_F32, j->N, j->C),
                              cz_matrix(j->x, CZ_F32, j->N, j->K), true);
}
static void blas_forward(const job *j)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, j->N, j->C, j->K, 1, j->x, j->K, j->w,
                j->K, 0, j->y, j->C);
}
static void blas_input(const job *j)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, j->N, j->K, j->C, 1, j->y, j->C, j->w,
                j->K, 0, j->dx, j->K);
}
static void blas_weight(const job *j)
{
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, j->C, j->K, j->N, 1, j->y, j->C, j->x,
                j->K, 1, j->dw, j->K);
}

/* The best of several tries of about 20 ms each. */
static double rate(void (*run)(const job *), const job *j)
{
    double flops = 2.0 * j->N * j->C * j->K, best = 0;
    int repeats = (int)(2e9 / flops) + 1;
    for (int i = 0; i < 10; i++) {
        double start = seconds();
        for (int r = 0; r < repeats; r++) run(j);
        double got = flops * repeats / (seconds() - start) * 1e-9;
        if (got > best) best = got;
    }
    return best;
}

static float *numbers(size_t n)
{
    float *x = aligned_alloc(64, (n * sizeof *x + 63) & ~(size_t)63);
    if (!x) exit(1);
    for (size_t i = 0; i < n; i++) x[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    return x;
}

int main(void)
{
    const int shape[][3] = {{512, 2048, 256}, {512, 256, 2048}, {512, 256, 256}, {512, 768, 256},
                            {512, 256, 64},   {1024, 256, 256}, {128, 256, 256}, {128, 2048, 256},
                            {61, 256, 64},    {64, 14, 128}};
    openblas_set_num_threads(1);
    cz_arena scratch;
    if (cz_arena_init(&scratch, (size_t)64 << 20)) return 1;
    float *x = numbers(1 << 21), *w = numbers(1 << 21), *y = numbers(1 << 21);
    float *dx = numbers(1 << 21), *dw = numbers(1 << 21);
    for (int level = 0; level < CZ_LEVELS; level++) {
        const cz_backend *backend = cz_backend_cpu(CZ_F32, (cz_level)level);
        if (!backend) continue;
        cz_exec exec = {backend, NULL, &scratch};
        double peak = cz_peak_gflops(backend);
        printf("%s: peak %.1f GFLOP/s\n", cz_backend_name(backend), peak);
        printf("%22s %15s %15s %15s   OpenBLAS\n", "rows, outputs, inputs", "forward", "input",
               "weight");
        for (size_t s = 0; s < sizeof shape / sizeof *shape; s++) {
            job j = {shape[s][0], shape[s][1], shape[s][2], x, w, y, dx, dw, &exec};
            double f = rate(forward, &j), i = rate(backward_input, &j);
            double g = rate(backward_weight, &j);
            printf("%8d %6d %6d  %6.1f (%4.1f %%) %6.1f (%4.1f %%) %6.1f (%4.1f %%)", j.N, j.C, j.K,
                   f, 100 * f / peak, i, 100 * i / peak, g, 100 * g / peak);
            if (level == (int)cz_level_best(CZ_F32))
                printf("   %6.1f %6.1f %6.1f", rate(blas_forward, &j), rate(blas_input, &j),
                       rate(blas_weight, &j));
            printf("\n");
        }
    }
    cz_arena_free(&scratch);
    free(x), free(w), free(y), free(dx), free(dw);
    return 0;
}
