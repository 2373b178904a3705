/* Microseconds a cell of every kernel beside the matrix products, at the shapes of base.yaml, on
 * one core of each level: attention, LayerNorm, the resampler's pooling, the loss. */
#include "czhpc/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { T = 8, F = 256, H = 8, L = 61, SLOTS = 16, CLASSES = 14 };
static const double P = 0.11378010821029086;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *numbers(size_t n)
{
    float *x = aligned_alloc(64, (n * sizeof *x + 63) & ~(size_t)63);
    if (!x) exit(1);
    for (size_t i = 0; i < n; i++) x[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    return x;
}

typedef struct bench {
    cz_exec exec;
    int B, D;
    cz_pool_form form;
    const cz_dropout *attention, *weights, *rows, *out;
    const int32_t *slot;
    float *kv, *dkv, *x, *y, *probs, *mean, *rstd, *w, *dw, *latents, *dlatents;
    int32_t *code, *best;
    double *loss;
} bench;

static cz_tensor tokens(float *data, int B, int D, int column)
{
    return cz_columns(cz_tensor3(data, CZ_F32, B, T, 3 * D), column * D, D);
}
static cz_tensor vector(float *data, int n) { return cz_vector(data, CZ_F32, n); }
static cz_tensor matrix(float *data, int n, int m) { return cz_matrix(data, CZ_F32, n, m); }

static cz_status attention_forward(bench *b)
{
    int S = b->slot ? SLOTS : b->B;
    return cz_attention_forward(&b->exec, cz_tensor3(b->y, CZ_F32, b->B, T, F),
                                cz_tensor4(b->probs, CZ_F32, b->B, H, T, T),
                                tokens(b->kv, b->B, F, 0), tokens(b->kv, S, F, 1),
                                tokens(b->kv, S, F, 2), b->slot, NULL, H, b->attention);
}
static cz_status attention_backward(bench *b)
{
    int S = b->slot ? SLOTS : b->B;
    return cz_attention_backward(&b->exec, tokens(b->dkv, b->B, F, 0), tokens(b->dkv, S, F, 1),
                                 tokens(b->dkv, S, F, 2), cz_tensor3(b->y, CZ_F32, b->B, T, F),
                                 cz_tensor4(b->probs, CZ_F32, b->B, H, T, T),
                                 tokens(b->kv, b->B, F, 0), tokens(b->kv, S, F, 1),
                                 tokens(b->kv, S, F, 2), b->slot, H, b->attention);
}

static cz_status norm_forward(bench *b)
{
    int N = b->B * T;
    return cz_add_dropout_norm_forward(&b->exec, matrix(b->y, N, F), vector(b->mean, N),
                                       vector(b->rstd, N), matrix(b->x, N, F), matrix(b->kv, N, F),
                                       vector(b->w, F), vector(b->w + F, F), 1e-5, b->rows, b->B);
}
static cz_status norm_backward(bench *b)
{
    int N = b->B * T;
    return cz_add_dropout_norm_backward(&b->exec, matrix(b->dkv, N, F), matrix(b->kv, N, F),
                                        vector(b->dw, F), vector(b->dw + F, F), matrix(b->y, N, F),
                                        matrix(b->x, N, F), vector(b->mean, N), vector(b->rstd, N),
                                        vector(b->w, F), b->rows, b->B);
}

static cz_pool_weights pool_weights(float *latents, float *w, int D)
{
    return (cz_pool_weights){matrix(latents, L, D), matrix(latents + L * D, L, D),
                             matrix(w, D, D),       vector(w + D * D, D),
                             vector(w, D),          vector(w + D, D)};
}
static cz_status pool_forward(bench *b)
{
    cz_pool_weights w = pool_weights(b->latents, b->w, b->D);
    return cz_resampler_pool_forward(
        &b->exec, matrix(b->y, b->B, b->D), cz_tensor4(b->probs, CZ_F32, b->B, H, L, T),
        matrix(b->mean, b->B, L), matrix(b->rstd, b->B, L), (cz_tensor){0},
        tokens(b->kv, b->B, b->D, 1), tokens(b->kv, b->B, b->D, 2), &w, H, b->form, b->weights,
        b->out);
}
static cz_status pool_backward(bench *b)
{
    cz_pool_weights w = pool_weights(b->latents, b->w, b->D);
    cz_pool_weights g = pool_weights(b->dlatents, b->dw, b->D);
    return cz_resampler_pool_backward(
        &b->exec, tokens(b->dkv, b->B, b->D, 1), tokens(b->dkv, b->B, b->D, 2), &g,
        matrix(b->y, b->B, b->D), cz_tensor4(b->probs, CZ_F32, b->B, H, L, T),
        matrix(b->mean, b->B, L), matrix(b->rstd, b->B, L), (cz_tensor){0},
        tokens(b->kv, b->B, b->D, 1), tokens(b->kv, b->B, b->D, 2), &w, H, b->form, b->weights,
        b->out);
}

static cz_status cross_entropy(bench *b)
{
    return cz_cross_entropy(&b->exec, matrix(b->y, b->B, CLASSES), b->loss, b->best,
                            matrix(b->x, b->B, CLASSES), b->code, 0);
}

/* The best of many short tries, in time of this thread: other work disturbs that least. */
static double measure(bench *b, cz_status (*call)(bench *))
{
    double best = INFINITY;
    int repeats = 1;
    for (int i = 0; i < 40; i++) {
        double start = seconds();
        for (int r = 0; r < repeats; r++)
            if (call(b)) {
                fprintf(stderr, "%s\n", cz_error_message());
                exit(1);
            }
        double took = seconds() - start;
        if (i && took / repeats < best) best = took / repeats;
        if (took < 0.003) repeats = (int)(0.003 / (took / repeats + 1e-9)) + 1;
    }
    return best / b->B * 1e6;
}

static void print(const char *name, double forward, double backward, double mflop_forward,
                  double mflop_backward)
{
    printf("    %-30s %8.2f %8.2f", name, forward, backward);
    if (mflop_forward > 0)
        printf("    %6.1f %6.1f GFLOP/s", mflop_forward / forward * 1e3,
               mflop_backward / backward * 1e3);
    printf("\n");
}

static double factored_mflop(double D) { return 2e-6 * (L * T * D + T * D * D + L * T * H * D); }
static double plain_mflop(double D) { return 2e-6 * (2 * L * T * D + L * D * D); }

static void pool(bench *b, const char *name, int D, cz_pool_form form)
{
    double scores = 2e-6 * L * T * D;
    double once = form == CZ_POOL_FACTORED ? factored_mflop(D) : plain_mflop(D);
    b->D = D;
    b->form = form;
    double forward = measure(b, pool_forward), backward = measure(b, pool_backward);
    /* Backward: everything twice, and the projection a third time to have its rows again. */
    print(name, forward, backward, once, 3 * once - scores);
}

static void all(bench *b, const cz_dropout drop[4])
{
    static const int32_t slot[64] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};
    for (int with = 0; with < 2; with++) {
        b->attention = with ? &drop[0] : NULL;
        b->weights = with ? &drop[1] : NULL;
        b->rows = with ? &drop[2] : NULL;
        b->out = with ? &drop[3] : NULL;
        printf("  %d cells, %s dropout: microseconds a cell, forward and backward\n", b->B,
               with ? "with" : "without");
        b->slot = NULL;
        print("self-attention", measure(b, attention_forward), measure(b, attention_backward), 0,
              0);
        b->slot = slot;
        print("cross-attention by slots", measure(b, attention_forward),
              measure(b, attention_backward), 0, 0);
        print("add, dropout, norm", measure(b, norm_forward), measure(b, norm_backward), 0, 0);
        pool(b, "pool, factored, D 256", 256, CZ_POOL_FACTORED);
        pool(b, "pool, plain, D 256", 256, CZ_POOL_PLAIN);
        pool(b, "pool, factored, D 64", 64, CZ_POOL_FACTORED);
        pool(b, "pool, plain, D 64", 64, CZ_POOL_PLAIN);
    }
    print("cross-entropy, 14 classes, both", measure(b, cross_entropy), 0, 0, 0);
}

int main(int argc, char **argv)
{
    int B = argc > 1 ? atoi(argv[1]) : 16;
    cz_level only = CZ_LEVELS;
    if (B < 1 || B > 64 || (argc > 2 && !cz_level_parse(argv[2], &only))) {
        fprintf(stderr, "usage: %s [cells, 1 to 64 [level]]\n", argv[0]);
        return 2;
    }
    uint32_t cell[64];
    uint8_t *bits = calloc(4, 64 * L * F / 8);
    cz_step step = {.seed = 1, .scale = {1}};
    cz_arena scratch;
    if (!bits || cz_arena_init(&scratch, (size_t)64 << 20)) return 1;
    for (int i = 0; i < 64; i++) cell[i] = (uint32_t)i;
    cz_dropout drop[4];
    for (int i = 0; i < 4; i++)
        drop[i] = (cz_dropout){(unsigned)i, P, cell, bits + (size_t)i * 64 * L * F / 8};

    size_t kv = 64 * T * 3 * F, weights = F * F + 2 * F;
    int32_t code[64] = {0}, best[64];
    double loss[64];
    bench b = {.B = B,
               .kv = numbers(kv),
               .dkv = numbers(kv),
               .x = numbers(64 * T * F),
               .y = numbers(64 * T * F),
               .probs = numbers(64 * H * L * T),
               .mean = numbers(64 * L),
               .rstd = numbers(64 * L),
               .w = numbers(weights),
               .dw = numbers(weights),
               .latents = numbers(2 * L * F),
               .dlatents = numbers(2 * L * F),
               .code = code,
               .best = best,
               .loss = loss};
    for (int level = 0; level < CZ_LEVELS; level++) {
        const cz_backend *backend = cz_backend_cpu(CZ_F32, (cz_level)level);
        if (!backend || (only < CZ_LEVELS && level != (int)only)) continue;
        b.exec = (cz_exec){.backend = backend, .step = &step, .scratch = &scratch};
        printf("%s: peak %.1f GFLOP/s\n", cz_backend_name(backend), cz_peak_gflops(backend));
        all(&b, drop);
    }
    cz_arena_free(&scratch);
    float *owned[] = {b.kv,   b.dkv, b.x,  b.y,       b.probs,   b.mean,
                      b.rstd, b.w,   b.dw, b.latents, b.dlatents};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
    free(bits);
    return 0;
}
