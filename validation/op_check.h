/* What the tests of operations share: an operation is described once, by its arguments and a
 * function that calls it, and then run on every level, with padded rows, and against finite
 * differences of its forward form.
 *
 * Outputs are filled with NaN before (what is not set shows), padding is NaN before and must be
 * after, accumulators hold random numbers before, inputs must not change. */
#ifndef OP_CHECK_H
#define OP_CHECK_H

#include "check.h"
#include "czhpc/ops.h"
#include "czhpc/rng.h"

enum { MOST_ARGUMENTS = 24 };

typedef enum op_role { IN, SET, ADDED, CHANGED } op_role;

typedef struct op_argument {
    const char *name;
    op_role role;
    int rank, dim[4];
    double *value; /* before the operation; of SET nothing is read */
} op_argument;

typedef cz_status op_call(cz_exec *exec, cz_tensor *t, void *context);

typedef struct op_case {
    op_call *call;
    void *context;
    int count;
    op_argument argument[MOST_ARGUMENTS];
} op_case;

static cz_step op_step = {.seed = 20240611, .phase = 3, .step = 17, .lambda = 0.7};
static uint32_t op_numbers;

static inline size_t op_size(const op_argument *a)
{
    size_t n = 1;
    for (int i = 0; i < a->rank; i++) n *= (size_t)a->dim[i];
    return n;
}

/* Standard normals times `scale`, exact in fp32, from a stream of their own each time. */
static inline double *op_random(size_t n, double scale)
{
    cz_rng rng = cz_rng_open(99, op_numbers++, 0, CZ_RNG_INIT, 0);
    double *x = malloc((n + 1) * sizeof *x);
    if (!x) exit(2);
    for (size_t i = 0; i < n; i++) x[i] = (double)(float)(scale * cz_rng_normal(&rng));
    return x;
}

static inline double *op_copy(const double *x, size_t n)
{
    double *y = malloc((n + 1) * sizeof *y);
    if (!y) exit(2);
    memcpy(y, x, n * sizeof *y);
    return y;
}

/* Adds an argument of shape a (b, c, d: 0 where there is no such axis; -1 for an axis of 0) with
 * random values; returns it, to be given others. */
static inline op_argument *op_add(op_case *o, const char *name, op_role role, int a, int b, int c,
                                  int d)
{
    op_argument *arg = &o->argument[o->count++];
    int dim[4] = {a, b, c, d};
    *arg = (op_argument){.name = name, .role = role};
    for (; arg->rank < 4 && dim[arg->rank]; arg->rank++)
        arg->dim[arg->rank] = dim[arg->rank] < 0 ? 0 : dim[arg->rank];
    arg->value = op_random(op_size(arg), 1);
    return arg;
}
static inline void op_give(op_argument *a, const double *value)
{
    memcpy(a->value, value, op_size(a) * sizeof *value);
}
static inline void op_free(op_case *o)
{
    for (int i = 0; i < o->count; i++) free(o->argument[i].value);
    o->count = 0;
}

static inline double op_read(cz_tensor t, size_t i)
{
    return t.dtype == CZ_F64 ? ((double *)t.data)[i] : (double)((float *)t.data)[i];
}
static inline void op_write(cz_tensor t, size_t i, double x)
{
    if (t.dtype == CZ_F64) ((double *)t.data)[i] = x;
    else ((float *)t.data)[i] = (float)x;
}

static inline cz_tensor op_tensor(const op_argument *a, cz_dtype dtype, int pad)
{
    cz_tensor t = {NULL, dtype, a->rank, {1, 1, 1, 1}, a->dim[a->rank - 1] + pad, NULL};
    for (int i = 0; i < a->rank; i++) t.dim[i] = a->dim[i];
    size_t rows = (size_t)cz_rows(t), cols = (size_t)cz_cols(t), ld = (size_t)t.ld;
    t.data = malloc((rows * ld + 1) * cz_dtype_size(dtype));
    if (!t.data) exit(2);
    for (size_t i = 0; i < rows * ld; i++) op_write(t, i, (double)NAN);
    for (size_t r = 0; r < rows && a->role != SET; r++)
        for (size_t c = 0; c < cols; c++) op_write(t, r * ld + c, a->value[r * cols + c]);
    return t;
}

/* Values of the tensor into `to`; false if its padding was written to. */
static inline bool op_fetch(double *to, cz_tensor t)
{
    size_t rows = (size_t)cz_rows(t), cols = (size_t)cz_cols(t), ld = (size_t)t.ld;
    bool clean = true;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < ld; c++)
            if (c < cols) to[r * cols + c] = op_read(t, r * ld + c);
            else clean = clean && isnan(op_read(t, r * ld + c));
    return clean;
}

/* Scratch that holds NaN wherever an operation has not written. */
static inline cz_arena *op_scratch(void)
{
    enum { BYTES = 16 << 20 };
    static cz_arena arena;
    if (!arena.base) {
        if (cz_arena_init(&arena, BYTES)) exit(2);
        arena.peak = BYTES;
    }
    memset(arena.base, 0xff, arena.peak);
    arena.peak = 0;
    return &arena;
}

/* Runs it on a backend; result[i], of the size of argument i, is the caller's to free. Vectors
 * are never padded. False, with a verdict, if it failed or wrote where it must not. */
static inline bool op_run(const op_case *o, const cz_backend *backend, int pad, double **result)
{
    cz_tensor t[MOST_ARGUMENTS];
    cz_exec exec = {backend, &op_step, op_scratch()};
    for (int i = 0; i < o->count; i++)
        t[i] = op_tensor(&o->argument[i], cz_backend_dtype(backend),
                         o->argument[i].rank > 1 ? pad : 0);
    cz_error_clear();
    cz_status status = o->call(&exec, t, o->context);
    bool good = status == CZ_OK && exec.scratch->used == 0;
    if (!good) check(false, "status %d: %s", (int)status, cz_error_message());
    for (int i = 0; i < o->count; i++) {
        const op_argument *a = &o->argument[i];
        size_t n = op_size(a);
        result[i] = op_random(n, 0);
        bool clean = op_fetch(result[i], t[i]);
        if (a->role == IN) clean = clean && memcmp(result[i], a->value, n * sizeof(double)) == 0;
        if (!clean) good = check(false, "%s was written to outside its elements", a->name);
        free(t[i].data);
    }
    return good;
}

static inline void op_free_result(const op_case *o, double **result)
{
    for (int i = 0; i < o->count; i++) free(result[i]);
}

static inline const cz_backend *op_exact(void) { return cz_backend_cpu(CZ_F64, CZ_LEVEL_PORTABLE); }

/* Every fp32 level that this machine has, with and without padding, against portable fp64, whose
 * padding may change no bit; the worst distance of any output of the case is kept in worst[]. */
static inline bool op_levels(const op_case *o, double worst[CZ_LEVELS])
{
    double *exact[MOST_ARGUMENTS], *got[MOST_ARGUMENTS];
    bool good = op_run(o, op_exact(), 0, exact) && op_run(o, op_exact(), 5, got);
    for (int i = 0; i < o->count && good; i++)
        good = memcmp(exact[i], got[i], op_size(&o->argument[i]) * sizeof(double)) == 0;
    op_free_result(o, got);
    for (int level = 0; level < CZ_LEVELS; level++) {
        const cz_backend *backend = cz_backend_cpu(CZ_F32, (cz_level)level);
        for (int pad = 0; backend && pad < 8; pad += 3) {
            good = op_run(o, backend, pad, got) && good;
            for (int i = 0; i < o->count; i++) {
                double gap = check_distance(got[i], exact[i], op_size(&o->argument[i]));
                if (!(gap <= worst[level])) worst[level] = gap;
            }
            op_free_result(o, got);
        }
    }
    op_free_result(o, exact);
    return good;
}

/* The verdicts on what op_levels() gathered over `cases` cases. */
static inline void op_verdict(const char *name, bool good, const double worst[CZ_LEVELS], int cases,
                              double tolerance)
{
    check(good, "%s: %d cases in fp64, whole rows and padded", name, cases);
    for (int level = 0; level < CZ_LEVELS; level++)
        if (cz_backend_cpu(CZ_F32, (cz_level)level))
            check(worst[level] <= tolerance, "%s: %s against fp64 %.1e", name,
                  cz_level_name((cz_level)level), worst[level]);
        else check_skip("%s: this processor has no %s", name, cz_level_name((cz_level)level));
}

/* Central differences in fp64: `got` is what a backward form returned for argument `input` of the
 * forward form, where the gradient of its argument `output` was `cotangent`. */
static inline double op_difference(op_case *forward, int output, const double *cotangent, int input,
                                   const double *got)
{
    const double h = 1e-5;
    op_argument *in = &forward->argument[input];
    size_t n = op_size(in), m = op_size(&forward->argument[output]);
    double *expected = op_random(n, 0);
    for (size_t i = 0; i < n; i++) {
        double kept = in->value[i], sum[2] = {0, 0};
        for (int side = 0; side < 2; side++) {
            double *result[MOST_ARGUMENTS];
            in->value[i] = side ? kept - h : kept + h;
            if (!op_run(forward, op_exact(), 0, result)) return INFINITY;
            for (size_t j = 0; j < m; j++) sum[side] += cotangent[j] * result[output][j];
            op_free_result(forward, result);
        }
        in->value[i] = kept;
        expected[i] = (sum[0] - sum[1]) / (2 * h);
    }
    double gap = check_distance(got, expected, n);
    free(expected);
    return gap;
}

/* A dropout over B cells of `elements` elements; free its bits. p 0: none. */
typedef struct op_dropout {
    cz_dropout drop;
    uint32_t cell[64];
} op_dropout;

static inline const cz_dropout *op_drop(op_dropout *d, unsigned site, double p, int B, int elements)
{
    if (p == 0) return NULL;
    for (int b = 0; b < B; b++) d->cell[b] = 1000 + 37 * (uint32_t)b;
    d->drop = (cz_dropout){site, p, d->cell, NULL};
    d->drop.bits = calloc((size_t)B + 1, cz_mask_bytes(elements) + 1);
    if (!d->drop.bits) exit(2);
    return &d->drop;
}

static inline bool op_kept(const cz_dropout *d, int cell, int elements, int e)
{
    return d->bits[(size_t)cell * cz_mask_bytes(elements) + (size_t)e / 8] >> e % 8 & 1;
}

#endif
