/* Time of one worker's share of a training step at the reference's size, by block of cells:
 *   bench_model [CELLS [BLOCK]]
 * prints ms, GFLOP/s by the operations executed, and the share of the core's measured peak; with a
 * BLOCK that one alone, and where its time goes. */
#include "czhpc/comm.h"
#include "czhpc/model.h"
#include "czhpc/profile.h"
#include "czhpc/report.h"
#include "czhpc/rng.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LABELS = 16, WIDTH = 512, TEXT_WIDTH = 768, REPEATS = 7, EVENTS = 100 };

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of this thread alone, so that what else runs disturbs little. */
static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static cz_status train(cz_workspace *ws, cz_weights w, float *g, const cz_batch *batch,
                       const cz_outcome *out)
{
    CZ_STEP("step");
    cz_step step = {.seed = 1, .lambda = 0.35, .scale = {1.0 / 128, 1.0 / 128}};
    return cz_model_train(ws, w, g, batch, &step, out);
}

static double median_seconds(cz_workspace *ws, cz_weights w, float *g, const cz_batch *batch,
                             const cz_outcome *out, bool training)
{
    double seconds[REPEATS];
    for (int i = -1; i < REPEATS; i++) {
        double started = seconds_now();
        cz_status status =
            training ? train(ws, w, g, batch, out) : cz_model_evaluate(ws, w, batch, out);
        if (status) return 0;
        if (i >= 0) seconds[i] = seconds_now() - started;
    }
    qsort(seconds, REPEATS, sizeof *seconds, by_size);
    return seconds[REPEATS / 2];
}

static int bench(const cz_model *model, cz_dtype dtype, int cells, int block, bool training)
{
    const cz_backend *backend = cz_backend_cpu(dtype, cz_level_best(dtype));
    size_t n = cz_model_params(model)->total;
    float *w = calloc(n, sizeof *w), *g = calloc(n, sizeof *g);
    float *x = malloc((size_t)cells * WIDTH * sizeof *x);
    float *text = malloc((size_t)LABELS * TEXT_WIDTH * sizeof *text);
    int32_t *number = malloc((size_t)cells * 4 * sizeof *number);
    int32_t *best = malloc((size_t)cells * sizeof *best);
    double *loss = malloc((size_t)cells * sizeof *loss);
    cz_rng rng = cz_rng_open(1, 0, 0, 210, 0);
    cz_params_initialise(cz_model_params(model), w, CZ_F32, 0, n, 0);
    for (int i = 0; i < cells * WIDTH; i++) x[i] = (float)cz_rng_normal(&rng);
    for (int i = 0; i < LABELS * TEXT_WIDTH; i++) text[i] = (float)cz_rng_normal(&rng);
    int32_t *row = number, *label = number + cells, *donor = label + cells, *sex = donor + cells;
    for (int i = 0; i < cells; i++) {
        row[i] = i;
        label[i] = i % LABELS;
        donor[i] = i % 14;
        sex[i] = i % 2;
    }
    cz_batch batch = {.cells = cells,
                      .x = cz_matrix(x, CZ_F32, cells, WIDTH),
                      .row = row,
                      .cell = (uint32_t *)row,
                      .label = label,
                      .code = {donor, sex}};
    cz_outcome out = {.loss = {loss, loss}, .best = {best, best}};
    cz_workspace *ws;
    if (cz_workspace_open(&ws, model, backend, NULL, cz_matrix(text, CZ_F32, LABELS, TEXT_WIDTH),
                          block, LABELS)) {
        fprintf(stderr, "%s\n", cz_error_message());
        return 1;
    }
    size_t packed_bytes = cz_model_packed_bytes(model, backend);
    void *packed = packed_bytes ? aligned_alloc(64, packed_bytes) : NULL;
    if (packed) cz_model_pack(model, backend, packed, w, 0, n);
    double seconds = median_seconds(ws, (cz_weights){w, packed}, g, &batch, &out, training);
    double gflops = cz_model_flops(model, cells, LABELS, training) / seconds / 1e9;
    printf("%-8s %s, %d cells in blocks of %3d: %7.2f ms, %6.1f GFLOP/s, %4.1f %% of peak\n",
           training ? "train" : "evaluate", cz_backend_name(backend), cells, block, 1e3 * seconds,
           gflops, 100 * gflops / cz_peak_gflops(backend));
    cz_workspace_close(ws);
    free(packed);
    free(w);
    free(g);
    free(x);
    free(text);
    free(number);
    free(best);
    free(loss);
    return 0;
}

static int bench_profile(const cz_model *model, cz_dtype dtype, int cells, int block)
{
    cz_comm world;
    if (block < 1 || cz_comm_world(&world) || cz_profile_open(cz_profile_clock(), EVENTS)) return 1;
    int failed = bench(model, dtype, cells, block, true) || cz_profile_report(NULL, &world);
    cz_profile_close();
    cz_comm_free(&world);
    return failed;
}

int main(int argc, char **argv)
{
    int cells = argc > 1 ? atoi(argv[1]) : 64, failed = 0;
    MPI_Init(&argc, &argv);
    cz_model_spec spec = {.width = WIDTH,
                          .text_width = TEXT_WIDTH,
                          .text = true,
                          .tokens = 8,
                          .heads = 8,
                          .fusion_dim = 256,
                          .layers = 1,
                          .feedforward = 2048,
                          .latents = 61,
                          .latent_dim = 256,
                          .dropout = 0.114,
                          .head_count = 2,
                          .head = {{"donor", 14, false}, {"sex", 2, true}}};
    cz_model *model;
    if (cells < 1 || cz_model_open(&model, &spec)) return 1;
    static const int blocks[] = {8, 16, 32, 64, 128};
    static const cz_dtype dtypes[] = {CZ_F32, CZ_BF16};
    for (int t = 0; t < 2; t++) {
        if (cz_level_best(dtypes[t]) == CZ_LEVEL_PORTABLE) continue;
        if (argc > 2) failed |= bench_profile(model, dtypes[t], cells, atoi(argv[2]));
        for (int i = 0; i < 5 && argc < 3; i++)
            failed |= bench(model, dtypes[t], cells, blocks[i], true);
        if (argc < 3) failed |= bench(model, dtypes[t], cells, 32, false);
    }
    cz_model_close(model);
    MPI_Finalize();
    return failed;
}
