/* What the tests of operations share: an operation is described once, by its arguments and a
 * function that calls it, and then run on every variant, with padded rows, and against finite
 * differences of its forward form.
 *
 * Outputs are filled with NaN before (what is not set shows), padding is NaN before and must be
 * after, accumulators hold random numbers before, inputs must not change. */
#ifndef OP_CHECK_H
#define OP_CHECK_H

#include "czhpc/rng.h"
#include "variants.h"

enum { MOST_ARGUMENTS = 72 };

typedef enum op_role { IN, SET, ADDED, CHANGED } op_role;

/* Which type an argument is of, where activations are stored as another than they are summed in. */
typedef enum op_kind {
    STORED, /* that of activations */
    WIDE,   /* that of sums */
    WEIGHT  /* of sums, with numbers that both hold: a product may take them as either */
} op_kind;

typedef struct op_argument {
    const char *name;
    op_role role;
    op_kind kind;
    int rank, dim[4];
    double *value; /* before the operation; of SET nothing is read */
} op_argument;

typedef cz_status op_call(cz_exec *exec, cz_tensor *t, void *context);

typedef struct op_case {
    op_call *call;
    void *context;
    void *like_gpu;  /* where GPUs do it in another way: context of what they are compared with */
    int by_products; /* of a GPU's library, which chooses by shape and alignment in which order it
                      * adds: there not the same bits, but numbers so many tolerances apart */
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

static inline double *op_room(size_t n)
{
    double *x = calloc(n + 1, sizeof *x);
    if (!x) exit(2);
    return x;
}

/* Standard normals times `scale`, exact in fp32, from a stream of their own each time. */
static inline double *op_random(size_t n, double scale)
{
    cz_rng rng = cz_rng_open(99, op_numbers++, 0, CZ_RNG_INIT, 0);
    double *x = op_room(n);
    for (size_t i = 0; i < n; i++) x[i] = (double)(float)(scale * cz_rng_normal(&rng));
    return x;
}

static inline double *op_copy(const double *x, size_t n)
{
    double *y = op_room(n);
    memcpy(y, x, n * sizeof *y);
    return y;
}

/* Adds an argument of shape a (b, c, d: 0 where there is no such axis; -1 for an axis of 0) with
 * random values; returns it, to be given others. */
static inline op_argument *op_add_as(op_case *o, const char *name, op_kind kind, op_role role,
                                     int a, int b, int c, int d)
{
    op_argument *arg = &o->argument[o->count++];
    int dim[4] = {a, b, c, d};
    *arg = (op_argument){.name = name, .role = role, .kind = kind};
    for (; arg->rank < 4 && dim[arg->rank]; arg->rank++)
        arg->dim[arg->rank] = dim[arg->rank] < 0 ? 0 : dim[arg->rank];
    arg->value = op_random(op_size(arg), 1);
    return arg;
}
static inline op_argument *op_add(op_case *o, const char *name, op_role role, int a, int b, int c,
                                  int d)
{
    return op_add_as(o, name, STORED, role, a, b, c, d);
}
static inline op_argument *op_add_wide(op_case *o, const char *name, op_role role, int a, int b)
{
    return op_add_as(o, name, WIDE, role, a, b, 0, 0);
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

static inline cz_dtype op_dtype(const op_argument *a, cz_dtype stored)
{
    return a->kind == STORED ? stored : cz_dtype_wide(stored);
}

/* Rounds what is read to numbers that a variant of the type reads exactly. */
static inline void op_round(op_case *o, cz_dtype stored)
{
    for (int i = 0; i < o->count; i++) {
        op_argument *a = &o->argument[i];
        cz_dtype holds = a->kind == WEIGHT ? stored : op_dtype(a, stored);
        for (size_t e = 0; e < op_size(a); e++) a->value[e] = rounded_to(holds, a->value[e]);
    }
}

/* A copy of its own, so rounded; op_free(). */
static inline op_case op_rounded(const op_case *o, cz_dtype stored)
{
    op_case own = *o;
    for (int i = 0; i < o->count; i++)
        own.argument[i].value = op_copy(o->argument[i].value, op_size(&o->argument[i]));
    op_round(&own, stored);
    return own;
}

/* For a backend whose activations are `stored`, rows `pad` elements longer than they need be, the
 * first as many elements after a border of 64 bytes. Release with op_tensor_free(). */
static inline cz_tensor op_tensor(const op_argument *a, cz_dtype stored, int pad)
{
    cz_tensor t = {NULL,         op_dtype(a, stored),       a->rank,
                   {1, 1, 1, 1}, a->dim[a->rank - 1] + pad, NULL};
    for (int i = 0; i < a->rank; i++) t.dim[i] = a->dim[i];
    size_t rows = (size_t)cz_rows(t), cols = (size_t)cz_cols(t), ld = (size_t)t.ld;
    size_t size = cz_dtype_size(t.dtype), offset = (size_t)pad * size;
    t.data = (char *)shared_room((rows * ld + 1) * size + offset) + offset;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < ld; c++) {
            bool given = c < cols && a->role != SET;
            double x = given ? a->value[r * cols + c] : (double)NAN;
            write_number(cz_at(t, (int)r, (int)c), t.dtype, x);
        }
    return t;
}

static inline void op_tensor_free(cz_tensor t, int pad)
{
    shared_free((char *)t.data - (size_t)pad * cz_dtype_size(t.dtype));
}

/* Values of the tensor into `to`; false if its padding was written to. */
static inline bool op_fetch(double *to, cz_tensor t)
{
    int rows = cz_rows(t), cols = cz_cols(t);
    bool clean = true;
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < t.ld; c++) {
            double x = read_number(cz_at(t, r, c), t.dtype);
            if (c < cols) *to++ = x;
            else clean = clean && isnan(x);
        }
    return clean;
}

/* Scratch that holds NaN wherever an operation has not written. */
static inline cz_arena *op_scratch(void)
{
    enum { BYTES = 16 << 20 };
    static cz_arena arena;
    if (!arena.base) arena = (cz_arena){shared_room(BYTES), BYTES, 0, BYTES};
    memset(arena.base, 0xff, arena.peak);
    arena.peak = 0;
    return &arena;
}

/* Where a backend's operations run in these tests: with op_step, for a GPU in memory that it can
 * read, as it stands now. */
static inline cz_exec op_exec(const cz_backend *backend)
{
    static cz_step *shared;
    if (!cz_backend_on_gpu(backend)) return variant_exec(backend, &op_step, op_scratch());
    if (!shared) shared = shared_room(sizeof *shared);
    *shared = op_step;
    return variant_exec(backend, shared, op_scratch());
}

/* Runs it on a backend; result[i], of the size of argument i, is the caller's to free. Vectors
 * are never padded. False, with a verdict, if it failed or wrote where it must not. */
static inline bool op_run(const op_case *o, const cz_backend *backend, int pad, double **result)
{
    cz_tensor t[MOST_ARGUMENTS];
    cz_exec exec = op_exec(backend);
    for (int i = 0; i < o->count; i++)
        t[i] = op_tensor(&o->argument[i], cz_backend_dtype(backend),
                         o->argument[i].rank > 1 ? pad : 0);
    cz_error_clear();
    cz_status status = variant_wait(&exec, o->call(&exec, t, o->context));
    bool good = status == CZ_OK && exec.scratch->used == 0;
    const char *name = cz_backend_name(backend);
    if (!good) check(false, "%s: status %d: %s", name, (int)status, cz_error_message());
    for (int i = 0; i < o->count; i++) {
        const op_argument *a = &o->argument[i];
        size_t n = op_size(a);
        result[i] = op_room(n);
        bool clean = op_fetch(result[i], t[i]);
        if (a->role == IN) clean = clean && memcmp(result[i], a->value, n * sizeof(double)) == 0;
        if (!clean) good = check(false, "%s: %s was written outside its elements", name, a->name);
        op_tensor_free(t[i], a->rank > 1 ? pad : 0);
    }
    return good;
}

static inline void op_free_result(const op_case *o, double **result)
{
    for (int i = 0; i < o->count; i++) free(result[i]);
}

static inline const cz_backend *op_exact(void) { return cz_backend_cpu(CZ_F64, CZ_LEVEL_PORTABLE); }

/* What op_variants() has seen over some cases, by variant. */
typedef struct op_gaps {
    int cases;
    bool failed[VARIANTS]; /* to run, to be finite, or to give padded rows their bits */
    double stored[VARIANTS], wide[VARIANTS]; /* worst distances of results from fp64 */
    spread portable[VARIANTS];               /* of what is stored from the portable level */
} op_gaps;

static inline void op_compare(op_gaps *worst, int v, const op_case *o, double **got, double **exact,
                              double **portable)
{
    for (int i = 0; i < o->count; i++) {
        const op_argument *a = &o->argument[i];
        size_t n = op_size(a);
        double gap = check_distance(got[i], exact[i], n);
        double *at = a->kind == STORED ? &worst->stored[v] : &worst->wide[v];
        if (!isnan(*at) && !(gap <= *at)) *at = gap;
        for (size_t e = 0; e < n && a->role != IN && a->kind == STORED; e++)
            spread_add(&worst->portable[v], got[i][e], portable[i][e]);
    }
}

/* Whether two runs of it are as alike as its backend promises. */
static inline bool op_alike(const op_case *o, const cz_backend *backend, const double *a,
                            const double *b, size_t n)
{
    if (!o->by_products || !cz_backend_on_gpu(backend)) return !memcmp(a, b, n * sizeof *a);
    return check_distance(a, b, n) <= o->by_products * variant_tolerance(cz_backend_dtype(backend));
}

/* Runs with rows of several lengths: alike, the first kept. */
static inline bool op_pads(const op_case *o, const cz_backend *backend, double **got)
{
    bool good = op_run(o, backend, 0, got);
    for (int pad = 3; pad < 8; pad += 3) {
        double *padded[MOST_ARGUMENTS];
        good = op_run(o, backend, pad, padded) && good;
        for (int i = 0; i < o->count; i++)
            good = good && op_alike(o, backend, got[i], padded[i], op_size(&o->argument[i]));
        op_free_result(o, padded);
    }
    return good;
}

static inline bool op_variant(const op_case *o, op_gaps *worst, int v)
{
    const cz_backend *portable = cz_backend_cpu(backend_variants[v].dtype, CZ_LEVEL_PORTABLE);
    double *exact[MOST_ARGUMENTS], *plain[MOST_ARGUMENTS], *got[MOST_ARGUMENTS];
    op_case own = op_rounded(o, backend_variants[v].dtype), alike = own;
    if (backend_variants[v].gpu && o->like_gpu) alike.context = o->like_gpu;
    bool good = op_run(&own, op_exact(), 0, exact);
    good = op_run(&alike, portable, 0, plain) && good;
    good = op_pads(&own, variant_backend(v), got) && good;
    op_compare(worst, v, &own, got, exact, plain);
    if (isinf(worst->stored[v]) || isinf(worst->wide[v]))
        good = check(false, "%s: case %d is infinitely far from fp64", backend_variants[v].name,
                     worst->cases);
    op_free_result(&own, exact);
    op_free_result(&own, plain);
    op_free_result(&own, got);
    op_free(&own);
    return good;
}

/* Every variant that this machine has, on numbers that its type holds, with and without padding,
 * which may change no bit (but see by_products), against portable fp64 on the same numbers. Until
 * one fails. */
static inline void op_variants(const op_case *o, op_gaps *worst)
{
    worst->cases++;
    for (int v = 0; v < VARIANTS; v++)
        if (variant_backend(v) && !worst->failed[v]) worst->failed[v] = !op_variant(o, worst, v);
}

/* The verdicts on what op_variants() has gathered. `roundings`: to bf16, how many of them what is
 * stored as it may be off, and what is not; those of a sum's terms average out. */
static inline void op_verdict(const char *name, const op_gaps *worst, int roundings,
                              int roundings_wide)
{
    for (int v = 0; v < VARIANTS; v++) {
        const char *variant = backend_variants[v].name;
        bool narrow = backend_variants[v].dtype == CZ_BF16;
        double stored = narrow ? roundings * TOL_BF16_OP : TOL_F32_OP;
        double wide = narrow && roundings_wide ? roundings_wide * TOL_BF16_OP : TOL_F32_OP;
        double apart = spread_of(&worst->portable[v]);
        if (!variant_backend(v)) {
            check_skip("%s, %s: %s", name, variant, variant_lacks(v));
            continue;
        }
        check(!worst->failed[v], "%s, %s: %d cases, whole rows and padded", name, variant,
              worst->cases);
        if (backend_variants[v].dtype == CZ_F64) continue;
        check(worst->stored[v] <= stored && worst->wide[v] <= wide,
              "%s, %s: against fp64 %.1e, sums %.1e", name, variant, worst->stored[v],
              worst->wide[v]);
        if (narrow && (backend_variants[v].gpu || backend_variants[v].level != CZ_LEVEL_PORTABLE))
            check(apart <= roundings * levels_tolerance(backend_variants[v].gpu),
                  "%s, %s: against the portable level %.1e", name, variant, apart);
    }
}

/* Central differences in fp64: `got` is what a backward form returned for argument `input` of the
 * forward form, where the gradient of its argument `output` was `cotangent`. */
static inline double op_difference(op_case *forward, int output, const double *cotangent, int input,
                                   const double *got)
{
    const double h = 1e-5;
    op_argument *in = &forward->argument[input];
    size_t n = op_size(in), m = op_size(&forward->argument[output]);
    double *expected = op_room(n);
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

/* A dropout over B cells of `elements` elements; free its bits, and its cells go with them. p 0:
 * none. */
typedef struct op_dropout {
    cz_dropout drop;
    uint32_t *cell;
} op_dropout;

static inline const cz_dropout *op_drop(op_dropout *d, unsigned site, double p, int B, int elements)
{
    if (p == 0) return NULL;
    size_t bytes = (((size_t)B + 1) * (cz_mask_bytes(elements) + 1) + 63) / 64 * 64;
    uint8_t *bits = shared_room(bytes + (size_t)B * sizeof *d->cell);
    memset(bits, 0, bytes);
    d->cell = (uint32_t *)(bits + bytes);
    for (int b = 0; b < B; b++) d->cell[b] = 1000 + 37 * (uint32_t)b;
    d->drop = (cz_dropout){site, p, d->cell, bits};
    return &d->drop;
}

static inline bool op_kept(const cz_dropout *d, int cell, int elements, int e)
{
    return d->bits[(size_t)cell * cz_mask_bytes(elements) + (size_t)e / 8] >> e % 8 & 1;
}

#endif
