/* The three products of a linear layer: fp64 against loops, every other variant against fp64 on the
 * same numbers, every bf16 one against the portable one, over shapes around every border of the
 * blocks, and the independence of an element from its place. */
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

/* Operands and results of one shape where activations are of one type. */
typedef struct layer {
    cz_tensor x, w, dy;
    cz_tensor y, dx, dw, y_wide; /* y_wide: y as logits are, of the type of weights */
} layer;

static layer layer_make(cz_dtype dtype, shape s, int pad, unsigned seed)
{
    cz_dtype wide = cz_dtype_wide(dtype);
    return (layer){.x = random_tensor(dtype, s.N, s.K, pad, seed),
                   .w = random_weights(dtype, s.C, s.K, 2 * pad, seed + 1),
                   .dy = random_tensor(dtype, s.N, s.C, pad, seed + 2),
                   .y = nan_tensor(dtype, s.N, s.C, pad),
                   .dx = nan_tensor(dtype, s.N, s.K, 3 * pad),
                   .dw = random_tensor(wide, s.C, s.K, pad, seed + 3),
                   .y_wide = nan_tensor(wide, s.N, s.C, 2 * pad)};
}

/* The same operands in another type that holds them. */
static layer layer_converted(const layer *l, cz_dtype dtype)
{
    cz_dtype wide = cz_dtype_wide(dtype);
    return (layer){.x = converted(l->x, dtype),
                   .w = converted(l->w, wide),
                   .dy = converted(l->dy, dtype),
                   .y = converted(l->y, dtype),
                   .dx = converted(l->dx, dtype),
                   .dw = converted(l->dw, wide),
                   .y_wide = converted(l->y_wide, wide)};
}

static void layer_drop(layer *l)
{
    drop_tensor(l->x), drop_tensor(l->w), drop_tensor(l->dy), drop_tensor(l->y);
    drop_tensor(l->dx), drop_tensor(l->dw), drop_tensor(l->y_wide);
}

static cz_status product(cz_exec *exec, cz_tensor y, cz_tensor x, cz_tensor w)
{
    return variant_wait(exec, cz_linear_forward(exec, y, x, w, (cz_tensor){0}, CZ_LINEAR, NULL, 0));
}
static cz_status product_back(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor w)
{
    return variant_wait(exec, cz_linear_backward_input(exec, dx, dy, w, (cz_tensor){0}, 0, false));
}
static cz_status product_weight(cz_exec *exec, cz_tensor dw, cz_tensor dy, cz_tensor x)
{
    return variant_wait(exec, cz_linear_backward_weight(exec, dw, (cz_tensor){0}, dy, x, true));
}

static bool layer_run(const cz_backend *backend, layer *l)
{
    cz_exec exec = variant_exec(backend, NULL, &scratch);
    return !product(&exec, l->y, l->x, l->w) && !product(&exec, l->y_wide, l->x, l->w) &&
           !product_back(&exec, l->dx, l->dy, l->w) && !product_weight(&exec, l->dw, l->dy, l->x);
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
    memcpy(l->y_wide.data, l->y.data, (size_t)N * (size_t)C * sizeof(double));
}

/* The worst distances from fp64 over all shapes, of fp64 from the definition; and of bf16 from its
 * portable form. */
typedef struct gaps {
    double y, y_wide, dx, dw;
    double portable_wide;
    spread portable;
} gaps;

static void compare(gaps *worst, const layer *got, const layer *want)
{
    worst->y = fmax(worst->y, distance(got->y, want->y));
    worst->y_wide = fmax(worst->y_wide, distance(got->y_wide, want->y_wide));
    worst->dx = fmax(worst->dx, distance(got->dx, want->dx));
    worst->dw = fmax(worst->dw, distance(got->dw, want->dw));
}

static void compare_levels(gaps *worst, const layer *got, const layer *portable)
{
    worst->portable_wide = fmax(worst->portable_wide, distance(got->y_wide, portable->y_wide));
    worst->portable_wide = fmax(worst->portable_wide, distance(got->dw, portable->dw));
    spread_tensor(&worst->portable, got->y, portable->y);
    spread_tensor(&worst->portable, got->dx, portable->dx);
}

static bool run_shape(const cz_backend *backend, layer *got, gaps *worst)
{
    cz_dtype dtype = cz_backend_dtype(backend);
    layer want = layer_converted(got, CZ_F64), portable = layer_converted(got, dtype);
    bool ran = layer_run(backend, got);
    if (dtype == CZ_F64) layer_define(&want);
    else ran = layer_run(cz_backend_cpu(CZ_F64, CZ_LEVEL_PORTABLE), &want) && ran;
    compare(worst, got, &want);
    if (dtype == CZ_BF16) {
        ran = layer_run(cz_backend_cpu(CZ_BF16, CZ_LEVEL_PORTABLE), &portable) && ran;
        compare_levels(worst, got, &portable);
    }
    layer_drop(&want);
    layer_drop(&portable);
    return ran;
}

static void check_backend(const cz_backend *backend)
{
    gaps worst = {0};
    bool ran = true;
    cz_rng rng = cz_rng_open(11, 0, 0, 0, 0);
    cz_dtype dtype = cz_backend_dtype(backend);
    for (int i = 0; i < SHAPES + RANDOM_SHAPES; i++) {
        shape s = shape_of(i, &rng);
        int pad = i % 3 ? (int)cz_rng_below(&rng, 9) : 0;
        layer got = layer_make(dtype, s, pad, 100 + (unsigned)i);
        ran = run_shape(backend, &got, &worst) && ran;
        layer_drop(&got);
    }
    const char *name = cz_backend_name(backend);
    double stored = variant_tolerance(dtype), wide = variant_tolerance(cz_dtype_wide(dtype));
    check(ran && worst.y < stored, "%s: x w^T, worst distance %.1e", name, worst.y);
    check(ran && worst.y_wide < wide, "%s: x w^T of the type of weights, worst distance %.1e", name,
          worst.y_wide);
    check(ran && worst.dx < stored, "%s: dy w, worst distance %.1e", name, worst.dx);
    check(ran && worst.dw < wide, "%s: dy^T x added, worst distance %.1e", name, worst.dw);
    if (dtype != CZ_BF16) return;
    double apart = spread_of(&worst.portable);
    check(ran && apart < levels_tolerance(cz_backend_on_gpu(backend)) && worst.portable_wide < wide,
          "%s: %.1e from the portable level, %.1e where not rounded", name, apart,
          worst.portable_wide);
}

/* Any range of rows and outputs gives the bits that the whole gives. */
static void check_place(const cz_backend *backend)
{
    enum { N = 150, C = 70, K = 300, RANGES = 40 };
    cz_dtype dtype = cz_backend_dtype(backend), wide = cz_dtype_wide(dtype);
    cz_exec exec = variant_exec(backend, NULL, &scratch);
    layer l = layer_make(dtype, (shape){N, C, K}, 3, 7);
    cz_tensor dw = random_tensor(wide, C, K, 3, 10); /* l.dw as it began */
    bool forward = layer_run(backend, &l), input = forward, weight = forward;
    cz_rng rng = cz_rng_open(12, 0, 0, 0, 0);
    for (int i = 0; i < RANGES; i++) {
        int n = (int)cz_rng_below(&rng, N), rows = 1 + (int)cz_rng_below(&rng, N - (unsigned)n);
        int c = (int)cz_rng_below(&rng, C), outs = 1 + (int)cz_rng_below(&rng, C - (unsigned)c);
        int k = (int)cz_rng_below(&rng, K), ins = 1 + (int)cz_rng_below(&rng, K - (unsigned)k);
        cz_tensor y = nan_tensor(dtype, rows, outs, i % 2), dx = nan_tensor(dtype, rows, ins, 0);
        cz_tensor y_wide = nan_tensor(wide, rows, outs, 1);
        cz_tensor x_rows = cz_row_range(l.x, n, rows), w_rows = cz_row_range(l.w, c, outs);
        product(&exec, y, x_rows, w_rows);
        product(&exec, y_wide, x_rows, w_rows);
        forward &= same_bits(y, cz_columns(cz_row_range(l.y, n, rows), c, outs));
        forward &= same_bits(y_wide, cz_columns(cz_row_range(l.y_wide, n, rows), c, outs));

        product_back(&exec, dx, cz_row_range(l.dy, n, rows), cz_columns(l.w, k, ins));
        input &= same_bits(dx, cz_columns(cz_row_range(l.dx, n, rows), k, ins));

        cz_tensor part = cz_columns(cz_row_range(dw, c, outs), k, ins);
        product_weight(&exec, part, cz_columns(l.dy, c, outs), cz_columns(l.x, k, ins));
        weight &= same_bits(part, cz_columns(cz_row_range(l.dw, c, outs), k, ins));
        fill(dw, wide, 10);
        drop_tensor(y), drop_tensor(y_wide), drop_tensor(dx);
    }
    const char *name = cz_backend_name(backend);
    check(forward, "%s: y of a range of rows and outputs, bit for bit", name);
    check(input, "%s: dx of a range of rows and inputs, bit for bit", name);
    check(weight, "%s: dw of a range of outputs and inputs, bit for bit", name);
    layer_drop(&l);
    drop_tensor(dw);
}

/* Weights that were packed, in parts, are multiplied by instead of those themselves, to the bit,
 * where a variant packs them. */
static void check_packed(const cz_backend *backend)
{
    static const shape packings[] = {{5, 1, 1},     {40, 32, 32},   {33, 31, 65},
                                     {64, 256, 64}, {50, 100, 130}, {70, 300, 257}};
    bool same = true, asked = false;
    for (size_t i = 0; i < sizeof packings / sizeof *packings; i++) {
        shape s = packings[i];
        layer l = layer_make(cz_backend_dtype(backend), s, 3, 50);
        layer other = layer_converted(&l, cz_backend_dtype(backend));
        size_t bytes = cz_packed_bytes(backend, s.C, s.K);
        void *packed = aligned_alloc(64, (bytes + 64) & ~(size_t)63);
        if (!packed) exit(1);
        same = layer_run(backend, &l) && same;
        for (int row = 0; row < s.C; row += CZ_PACK_ROWS)
            cz_pack(backend, packed, other.w, row,
                    s.C - row < CZ_PACK_ROWS ? s.C - row : CZ_PACK_ROWS);
        other.w.packed = bytes ? packed : NULL;
        for (int c = 0; c < s.C && bytes; c++)
            for (int k = 0; k < s.K; k++) put(other.w, c, k, NAN);
        same = layer_run(backend, &other) && same_bits(l.y, other.y) &&
               same_bits(l.y_wide, other.y_wide) && same_bits(l.dx, other.dx) && same;
        asked = asked || bytes;
        free(packed);
        layer_drop(&l);
        layer_drop(&other);
    }
    if (asked) check(same, "%s: packed weights give the same bits", cz_backend_name(backend));
}

/* Rows a page apart, or a little more, give the same bits. */
static void check_pages(const cz_backend *backend)
{
    static const shape wide_rows[] = {{45, 33, 2048}, {45, 2048, 33}};
    bool same = true;
    for (size_t i = 0; i < sizeof wide_rows / sizeof *wide_rows; i++) {
        layer l = layer_make(cz_backend_dtype(backend), wide_rows[i], 0, 70);
        layer apart = layer_make(cz_backend_dtype(backend), wide_rows[i], 32, 70);
        same = layer_run(backend, &l) && layer_run(backend, &apart) && same;
        same = same_bits(l.y, apart.y) && same_bits(l.y_wide, apart.y_wide) && same;
        same = same_bits(l.dx, apart.dx) && same_bits(l.dw, apart.dw) && same;
        layer_drop(&l);
        layer_drop(&apart);
    }
    check(same, "%s: rows a page apart, or a little more, give the same bits",
          cz_backend_name(backend));
}

/* Without adding dw is set, whatever it was, to what added to 0 it would be. */
static void check_set(const cz_backend *backend)
{
    enum { SETS = 20 };
    cz_exec exec = variant_exec(backend, NULL, &scratch);
    cz_dtype dtype = cz_backend_dtype(backend), wide = cz_dtype_wide(dtype);
    cz_rng rng = cz_rng_open(15, 0, 0, 0, 0);
    bool same = true;
    for (int i = 0; i < SETS; i++) {
        shape s = shape_of(SHAPES, &rng);
        layer l = layer_make(dtype, s, 2, 60);
        cz_tensor set = nan_tensor(wide, s.C, s.K, i % 3), bias = nan_tensor(wide, 1, s.C, 0);
        cz_tensor sums = nan_tensor(wide, 1, s.C, 0);
        same = !cz_zero(&exec, l.dw) && !cz_zero(&exec, sums) && same;
        same = !cz_linear_backward_weight(&exec, l.dw, as_vector(sums), l.dy, l.x, true) && same;
        same = !cz_linear_backward_weight(&exec, set, as_vector(bias), l.dy, l.x, false) && same;
        same = !variant_wait(&exec, CZ_OK) && same;
        same = same_bits(set, l.dw) && same_bits(bias, sums) && same;
        drop_tensor(set), drop_tensor(bias), drop_tensor(sums);
        layer_drop(&l);
    }
    check(same, "%s: dw and dbias set are what they are added to 0", cz_backend_name(backend));
}

/* Scratch is given back, never more than promised, and its lack is an error. */
static void check_scratch(const cz_backend *backend)
{
    shape s = {300, 700, 600};
    size_t promised = cz_ops_scratch(backend, s.N, s.C, 1, 1, 1, 1);
    layer l = layer_make(cz_backend_dtype(backend), s, 0, 3);
    scratch.used = scratch.peak = 0;
    bool ran = layer_run(backend, &l);
    check(ran && scratch.used == 0 && scratch.peak <= promised,
          "%s: scratch of %zu bytes within the %zu promised", cz_backend_name(backend),
          scratch.peak, promised);
    if (cz_backend_on_gpu(backend) && cz_backend_dtype(backend) == CZ_F32) { /* takes none */
        layer_drop(&l);
        return;
    }
    cz_arena small = shared_arena(4096);
    cz_exec exec = variant_exec(backend, NULL, &small);
    cz_status status = product(&exec, l.y, l.x, l.w);
    check(status == CZ_ERR_MEMORY && small.used == 0, "%s: too little scratch is an error",
          cz_backend_name(backend));
    cz_error_clear();
    shared_arena_free(&small);
    layer_drop(&l);
}

int main(void)
{
    scratch = shared_arena((size_t)16 << 20);
    for (int v = 0; v < VARIANTS; v++) {
        const cz_backend *backend = variant_or_skip(v);
        if (!backend) continue;
        check_backend(backend);
        check_scratch(backend);
        if (cz_backend_on_gpu(backend)) continue; /* cublasLt chooses, and rounds, by shape */
        check_place(backend);
        check_packed(backend);
        check_pages(backend);
        check_set(backend);
    }
    shared_arena_free(&scratch);
    return check_done();
}
