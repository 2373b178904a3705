/* The three products of a linear layer: fp64 against loops, every fp32 level against fp64, over
 * shapes around every border of the blocks, and the independence of an element from its place. */
#include "operands.h"

static cz_arena scratch;

typedef struct shape {
    int N, C, K;
} shape;

/* Empty, single, odd, around tiles and vectors, around blocks (112, 256, 512), and the model's. */
static const shape shapes[] = {
    {0, 0, 0},     {0, 5, 3},    {3, 0, 5},     {5, 3, 0},      {1, 1, 1},       {1, 1, 300},
    {1, 300, 1},   {300, 1, 1},  {2, 3, 5},     {13, 15, 17},   {14, 16, 16},    {15, 17, 15},
    {7, 31, 33},   {28, 32, 32}, {29, 33, 31},  {6, 48, 16},    {5, 8, 8},       {61, 256, 64},
    {64, 14, 128}, {128, 2, 77}, {111, 40, 20}, {112, 40, 255}, {113, 40, 256},  {225, 9, 257},
    {33, 511, 70}, {3, 512, 64}, {40, 513, 61}, {20, 1030, 40}, {130, 300, 700}, {96, 256, 520},
};
enum { SHAPES = sizeof shapes / sizeof *shapes, RANDOM_SHAPES = 60 };

static shape shape_of(int i, cz_rng *rng)
{
    if (i < SHAPES) return shapes[i];
    return (shape){(int)cz_rng_below(rng, 150), (int)cz_rng_below(rng, 150),
                   (int)cz_rng_below(rng, 150)};
}

/* Operands and results of one shape in one type. */
typedef struct layer {
    cz_tensor x, w, dy, y, dx, dw;
} layer;

static layer layer_make(cz_dtype dtype, shape s, int pad, unsigned seed)
{
    return (layer){.x = random_tensor(dtype, s.N, s.K, pad, seed),
                   .w = random_tensor(dtype, s.C, s.K, 2 * pad, seed + 1),
                   .dy = random_tensor(dtype, s.N, s.C, pad, seed + 2),
                   .y = nan_tensor(dtype, s.N, s.C, pad),
                   .dx = nan_tensor(dtype, s.N, s.K, 3 * pad),
                   .dw = random_tensor(dtype, s.C, s.K, pad, seed + 3)};
}

static void layer_drop(layer *l)
{
    drop_tensor(l->x), drop_tensor(l->w), drop_tensor(l->dy);
    drop_tensor(l->y), drop_tensor(l->dx), drop_tensor(l->dw);
}

static bool layer_run(const cz_backend *backend, layer *l)
{
    cz_exec exec = {backend, NULL, &scratch};
    cz_tensor none = {0};
    return !cz_linear_forward(&exec, l->y, l->x, l->w, none, CZ_LINEAR, NULL, 0) &&
           !cz_linear_backward_input(&exec, l->dx, l->dy, l->w, none, 0) &&
           !cz_linear_backward_weight(&exec, l->dw, none, l->dy, l->x, true);
}

/* The definition, in double. */
static void layer_define(layer *l)
{
    int N = cz_rows(l->x), K = cz_cols(l->x), C = cz_rows(l->w);
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++) put(l->y, n, c, 0);
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++) put(l->dx, n, k, 0);
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            for (int k = 0; k < K; k++) {
                double x = get(l->x, n, k), w = get(l->w, c, k), dy = get(l->dy, n, c);
                put(l->y, n, c, get(l->y, n, c) + x * w);
                put(l->dx, n, k, get(l->dx, n, k) + dy * w);
                put(l->dw, c, k, get(l->dw, c, k) + dy * x);
            }
}

/* The worst distances of a backend from the fp64 one over all shapes; of the fp64 one itself
 * from the definition. */
static void check_backend(const cz_backend *backend, double tolerance)
{
    double y = 0, dx = 0, dw = 0;
    bool ran = true;
    cz_rng rng = cz_rng_open(11, 0, 0, 0, 0);
    for (int i = 0; i < SHAPES + RANDOM_SHAPES; i++) {
        shape s = shape_of(i, &rng);
        int pad = i % 3 ? (int)cz_rng_below(&rng, 9) : 0;
        cz_dtype dtype = cz_backend_dtype(backend);
        layer got = layer_make(dtype, s, pad, 100 + (unsigned)i);
        layer want = layer_make(CZ_F64, s, 0, 100 + (unsigned)i);
        ran = layer_run(backend, &got) && ran;
        if (dtype == CZ_F64) layer_define(&want);
        else ran = layer_run(cz_backend_cpu(CZ_F64, CZ_LEVEL_PORTABLE), &want) && ran;
        y = fmax(y, distance(got.y, want.y));
        dx = fmax(dx, distance(got.dx, want.dx));
        dw = fmax(dw, distance(got.dw, want.dw));
        layer_drop(&got);
        layer_drop(&want);
    }
    const char *name = cz_backend_name(backend);
    check(ran && y < tolerance, "%s: x w^T, worst distance %.1e", name, y);
    check(ran && dx < tolerance, "%s: dy w, worst distance %.1e", name, dx);
    check(ran && dw < tolerance, "%s: dy^T x added, worst distance %.1e", name, dw);
}

/* Any range of rows and outputs gives the bits that the whole gives. */
static void check_place(const cz_backend *backend)
{
    enum { N = 150, C = 70, K = 300, RANGES = 40 };
    cz_dtype dtype = cz_backend_dtype(backend);
    cz_exec exec = {backend, NULL, &scratch};
    layer l = layer_make(dtype, (shape){N, C, K}, 3, 7);
    cz_tensor none = {0}, dw = random_tensor(dtype, C, K, 3, 10); /* l.dw as it began */
    bool forward = layer_run(backend, &l), input = forward, weight = forward;
    cz_rng rng = cz_rng_open(12, 0, 0, 0, 0);
    for (int i = 0; i < RANGES; i++) {
        int n = (int)cz_rng_below(&rng, N), rows = 1 + (int)cz_rng_below(&rng, N - (unsigned)n);
        int c = (int)cz_rng_below(&rng, C), outs = 1 + (int)cz_rng_below(&rng, C - (unsigned)c);
        int k = (int)cz_rng_below(&rng, K), ins = 1 + (int)cz_rng_below(&rng, K - (unsigned)k);
        cz_tensor y = nan_tensor(dtype, rows, outs, i % 2), dx = nan_tensor(dtype, rows, ins, 0);
        cz_tensor x_rows = cz_row_range(l.x, n, rows), w_rows = cz_row_range(l.w, c, outs);
        cz_linear_forward(&exec, y, x_rows, w_rows, none, CZ_LINEAR, NULL, 0);
        forward &= same_bits(y, cz_columns(cz_row_range(l.y, n, rows), c, outs));

        cz_linear_backward_input(&exec, dx, cz_row_range(l.dy, n, rows), cz_columns(l.w, k, ins),
                                 none, 0);
        input &= same_bits(dx, cz_columns(cz_row_range(l.dx, n, rows), k, ins));

        cz_tensor part = cz_columns(cz_row_range(dw, c, outs), k, ins);
        cz_linear_backward_weight(&exec, part, none, cz_columns(l.dy, c, outs),
                                  cz_columns(l.x, k, ins), true);
        weight &= same_bits(part, cz_columns(cz_row_range(l.dw, c, outs), k, ins));
        fill(dw, 10);
        drop_tensor(y), drop_tensor(dx);
    }
    const char *name = cz_backend_name(backend);
    check(forward, "%s: y of a range of rows and outputs, bit for bit", name);
    check(input, "%s: dx of a range of rows and inputs, bit for bit", name);
    check(weight, "%s: dw of a range of outputs and inputs, bit for bit", name);
    layer_drop(&l);
    drop_tensor(dw);
}

/* Scratch is given back, never more than promised, and its lack is an error. */
static void check_scratch(const cz_backend *backend)
{
    shape s = {300, 700, 600};
    size_t promised = cz_ops_scratch(cz_backend_dtype(backend), s.N, s.C, 1, 1, 1, 1);
    layer l = layer_make(cz_backend_dtype(backend), s, 0, 3);
    scratch.used = scratch.peak = 0;
    bool ran = layer_run(backend, &l);
    check(ran && scratch.used == 0 && scratch.peak <= promised,
          "%s: scratch of %zu bytes within the %zu promised", cz_backend_name(backend),
          scratch.peak, promised);
    cz_arena small;
    if (cz_arena_init(&small, 4096)) exit(1);
    cz_exec exec = {backend, NULL, &small};
    cz_status status = cz_linear_forward(&exec, l.y, l.x, l.w, (cz_tensor){0}, CZ_LINEAR, NULL, 0);
    check(status == CZ_ERR_MEMORY && small.used == 0, "%s: too little scratch is an error",
          cz_backend_name(backend));
    cz_error_clear();
    cz_arena_free(&small);
    layer_drop(&l);
}

int main(void)
{
    if (cz_arena_init(&scratch, (size_t)16 << 20)) return 1;
    const cz_backend *exact = cz_backend_cpu(CZ_F64, CZ_LEVEL_PORTABLE);
    check_backend(exact, TOL_F64_OP);
    check_place(exact);
    check_scratch(exact);
    for (int level = 0; level < CZ_LEVELS; level++) {
        const cz_backend *backend = backend_or_skip(level);
        if (!backend) continue;
        check_backend(backend, TOL_F32_OP);
        check_place(backend);
        check_scratch(backend);
    }
    cz_arena_free(&scratch);
    return check_done();
}
