/* GFLOP/s of the products of a training step, on one core, beside the peak of that core; weights
 * are packed where products want them so. */
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
    float *x, *w, *y, *dx, *dw; /* x, y and dx are of `type` */
    void *packed;
    cz_dtype type;
    cz_exec *exec;
} job;

static cz_tensor weights(const job *j)
{
    cz_tensor w = cz_matrix(j->w, CZ_F32, j->C, j->K);
    w.packed = j->packed;
    return w;
}
static void forward(const job *j)
{
    cz_linear_forward(j->exec, cz_matrix(j->y, j->type, j->N, j->C),
                      cz_matrix(j->x, j->type, j->N, j->K), weights(j), (cz_tensor){0}, CZ_LINEAR,
                      NULL, 0);
}
static void backward_input(const job *j)
{
    cz_linear_backward_input(j->exec, cz_matrix(j->dx, j->type, j->N, j->K),
                             cz_matrix(j->y, j->type, j->N, j->C), weights(j), (cz_tensor){0}, 0,
                             false);
}
static void backward_weight(const job *j)
{
    cz_linear_backward_weight(j->exec, cz_matrix(j->dw, CZ_F32, j->C, j->K), (cz_tensor){0},
                              cz_matrix(j->y, j->type, j->N, j->C),
                              cz_matrix(j->x, j->type, j->N, j->K), true);
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

enum { NUMBERS = 1 << 21 };

/* The same numbers as the type of a backend. */
static float *as_type(cz_exec *exec, const float *from)
{
    float *to = numbers(NUMBERS);
    cz_dtype type = cz_backend_dtype(exec->backend);
    cz_copy(exec, cz_matrix(to, type, 1, NUMBERS), cz_matrix((float *)from, CZ_F32, 1, NUMBERS));
    return to;
}

/* A line of the table: N, C, K. */
static void bench(job j, const int shape[3], double peak, bool blas)
{
    j.N = shape[0], j.C = shape[1], j.K = shape[2];
    size_t packed = cz_packed_bytes(j.exec->backend, j.C, j.K);
    if (packed) {
        j.packed = numbers(packed / sizeof(float) + 1);
        cz_pack(j.exec->backend, j.packed, cz_matrix(j.w, CZ_F32, j.C, j.K), 0, j.C);
    }
    double f = rate(forward, &j), i = rate(backward_input, &j), g = rate(backward_weight, &j);
    printf("%8d %6d %6d  %6.1f (%4.1f %%) %6.1f (%4.1f %%) %6.1f (%4.1f %%)", j.N, j.C, j.K, f,
           100 * f / peak, i, 100 * i / peak, g, 100 * g / peak);
    if (blas)
        printf("   %6.1f %6.1f %6.1f", rate(blas_forward, &j), rate(blas_input, &j),
               rate(blas_weight, &j));
    printf("\n");
    free(j.packed);
}

static void bench_backend(const cz_backend *backend, cz_arena *scratch)
{
    static const int shape[][3] = {
        {512, 2048, 256}, {512, 256, 2048}, {512, 256, 256},  {512, 768, 256}, {512, 256, 64},
        {1024, 256, 256}, {128, 256, 256},  {128, 2048, 256}, {61, 256, 64},   {64, 14, 128}};
    cz_exec exec = {.backend = backend, .scratch = scratch};
    cz_dtype type = cz_backend_dtype(backend);
    float *from = numbers(NUMBERS), *x = as_type(&exec, from), *y = as_type(&exec, from);
    float *dx = numbers(NUMBERS), *dw = numbers(NUMBERS);
    job j = {.x = x, .w = from, .y = y, .dx = dx, .dw = dw, .type = type, .exec = &exec};
    bool blas = type == CZ_F32 && cz_backend_level(backend) == cz_level_best(type);
    double peak = cz_peak_gflops(backend);
    printf("%s: peak %.1f GFLOP/s\n", cz_backend_name(backend), peak);
    printf("%22s %15s %15s %15s%s\n", "rows, outputs, inputs", "forward", "input", "weight",
           blas ? "   OpenBLAS" : "");
    for (size_t s = 0; s < sizeof shape / sizeof *shape; s++) bench(j, shape[s], peak, blas);
    free(from), free(x), free(y), free(dx), free(dw);
}

int main(void)
{
    openblas_set_num_threads(1);
    cz_arena scratch;
    if (cz_arena_init(&scratch, (size_t)64 << 20)) return 1;
    static const cz_dtype types[] = {CZ_F32, CZ_BF16};
    for (int t = 0; t < 2; t++)
        for (cz_level level = CZ_LEVEL_PORTABLE; level < CZ_LEVELS; level++) {
            const cz_backend *backend = cz_backend_cpu(types[t], level);
            bool hopeless = types[t] == CZ_BF16 && level == CZ_LEVEL_PORTABLE;
            if (backend && !hopeless) bench_backend(backend, &scratch);
        }
    cz_arena_free(&scratch);
    return 0;
}
