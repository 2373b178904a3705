/* Operations one after the other on the same few tensors, at random: a GPU, which does some of them
 * later, some together and some beside others, ends with the numbers of a CPU that does each when
 * it is asked for. */
#include "variants.h"

#include "czhpc/rng.h"

enum { B = 18, T = 8, N = B * T, F = 16, H = 2, L = 5, S = 2, LABELS = 7 };
enum { MATRICES = 5, WEIGHTS = 2, VECTORS = 8, SUMS = 2, PROGRAMS = 160, OPERATIONS = 16 };

static const double CLOSE = 1e-4; /* of what is not rounded to bf16 on its way */

/* All that an operation may read or write. */
typedef struct machine {
    const cz_backend *backend;
    cz_exec exec;
    cz_arena scratch;
    cz_tensor matrix[MATRICES];     /* (N, F) stored */
    cz_tensor weights[WEIGHTS];     /* (F, F) wide, the others too where nothing is said */
    cz_tensor vector[VECTORS];      /* (F) */
    cz_tensor keys[SUMS];           /* (S T, F) */
    cz_tensor sums[SUMS];           /* (L, F) */
    cz_tensor table;                /* (LABELS, F) fp32 */
    cz_tensor mean, rstd;           /* (N) */
    cz_tensor latents;              /* (L, F) */
    cz_tensor dy, query;            /* (B, F), (L, F) stored */
    cz_tensor probs, pool_probs;    /* (B, H, T, T), (B, H, L, T) stored */
    cz_tensor pool_mean, pool_rstd; /* (B, L) */
    int32_t *index, *slot;          /* (N), (B) */
} machine;

static uint64_t seed;
static unsigned draws;
static double uniform(void) { return (double)cz_philox(seed, draws++, 0, 0, 0).v[0] / 0x1p32; }
static int pick(int n) { return (int)(uniform() * n); }

/* ---- memory ---- */

static cz_tensor room(cz_dtype dtype, int rows, int cols)
{
    size_t bytes = (size_t)rows * (size_t)cols * cz_dtype_size(dtype);
    return cz_matrix(shared_room(bytes), dtype, rows, cols);
}
static cz_tensor vector(cz_dtype dtype, int n)
{
    return cz_vector(room(dtype, 1, n).data, dtype, n);
}

static void fill(cz_tensor t, double least, double most)
{
    for (int i = 0; i < cz_rows(t) * cz_cols(t); i++)
        write_number((char *)t.data + (size_t)i * cz_dtype_size(t.dtype), t.dtype,
                     rounded_to(CZ_BF16, least + (most - least) * uniform()));
}

static machine open_machine(const cz_backend *backend)
{
    machine m = {.backend = backend};
    cz_dtype stored = cz_backend_dtype(backend), wide = cz_dtype_wide(stored);
    m.scratch = shared_arena(cz_ops_scratch(backend, N, F, L, T, F, H));
    for (int i = 0; i < MATRICES; i++) m.matrix[i] = room(stored, N, F);
    for (int i = 0; i < WEIGHTS; i++) m.weights[i] = room(wide, F, F);
    for (int i = 0; i < VECTORS; i++) m.vector[i] = vector(wide, F);
    for (int i = 0; i < SUMS; i++) m.keys[i] = room(wide, S * T, F);
    for (int i = 0; i < SUMS; i++) m.sums[i] = room(wide, L, F);
    m.table = room(CZ_F32, LABELS, F);
    m.mean = vector(wide, N);
    m.rstd = vector(wide, N);
    m.latents = room(wide, L, F);
    m.dy = room(stored, B, F);
    m.query = room(stored, L, F);
    m.probs = cz_tensor4(room(stored, B * H * T, T).data, stored, B, H, T, T);
    m.pool_probs = cz_tensor4(room(stored, B * H * L, T).data, stored, B, H, L, T);
    m.pool_mean = room(wide, B, L);
    m.pool_rstd = room(wide, B, L);
    m.index = shared_room(N * sizeof *m.index);
    m.slot = shared_room(B * sizeof *m.slot);
    return m;
}

static void close_machine(machine *m)
{
    cz_tensor *const some[] = {&m->table,     &m->latents,  &m->mean,  &m->rstd,
                               &m->dy,        &m->query,    &m->probs, &m->pool_probs,
                               &m->pool_mean, &m->pool_rstd};
    for (int i = 0; i < MATRICES; i++) shared_free(m->matrix[i].data);
    for (int i = 0; i < WEIGHTS; i++) shared_free(m->weights[i].data);
    for (int i = 0; i < VECTORS; i++) shared_free(m->vector[i].data);
    for (int i = 0; i < SUMS; i++) shared_free(m->keys[i].data);
    for (int i = 0; i < SUMS; i++) shared_free(m->sums[i].data);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) shared_free(some[i]->data);
    shared_free(m->index);
    shared_free(m->slot);
    shared_arena_free(&m->scratch);
}

static void fill_machine(machine *m, uint64_t program)
{
    seed = program;
    draws = 0;
    for (int i = 0; i < MATRICES; i++) fill(m->matrix[i], -1, 1);
    for (int i = 0; i < WEIGHTS; i++) fill(m->weights[i], -0.4, 0.4);
    for (int i = 0; i < VECTORS; i++) fill(m->vector[i], 0.5, 1.5);
    for (int i = 0; i < SUMS; i++) fill(m->keys[i], -1, 1);
    for (int i = 0; i < SUMS; i++) fill(m->sums[i], -1, 1);
    fill(m->table, -1, 1);
    fill(m->mean, -0.1, 0.1);
    fill(m->rstd, 0.5, 1.5);
    fill(m->latents, -1, 1);
    fill(m->dy, -1, 1);
    fill(m->query, -1, 1);
    fill(m->probs, 0, 0.25);
    fill(m->pool_probs, 0, 0.25);
    fill(m->pool_mean, -0.1, 0.1);
    fill(m->pool_rstd, 0.5, 1.5);
    for (int n = 0; n < N; n++) m->index[n] = pick(LABELS);
    for (int b = 0; b < B; b++) m->slot[b] = pick(S);
}

/* ---- operations ---- */

static cz_tensor tokens(cz_tensor t) { return cz_tensor3(t.data, t.dtype, cz_rows(t) / T, T, F); }

static cz_status pool_back(machine *m, cz_tensor a, cz_tensor b, cz_tensor c, cz_tensor d,
                           cz_tensor w)
{
    int i = pick(SUMS), j = pick(3);
    const cz_tensor *v = m->vector, *to = m->sums;
    cz_pool_weights weights = {m->query, m->latents, m->weights[0], v[5], v[6], v[7]};
    cz_pool_weights g = {to[i], to[!i], w, v[j], v[j + 1], v[j + 2]};
    return cz_resampler_pool_backward(&m->exec, tokens(a), tokens(b), &g, m->dy, m->pool_probs,
                                      m->pool_mean, m->pool_rstd, (cz_tensor){0}, tokens(c),
                                      tokens(d), &weights, H, CZ_POOL_FACTORED, NULL, NULL);
}

static cz_status attention_back(machine *m, cz_tensor a, cz_tensor b, cz_tensor c, cz_tensor d)
{
    cz_tensor key = cz_row_range(c, 0, S * T), value = cz_row_range(d, 0, S * T);
    return cz_attention_backward(&m->exec, tokens(a), tokens(m->keys[0]), tokens(m->keys[1]),
                                 tokens(b), m->probs, tokens(b), tokens(key), tokens(value),
                                 m->slot, H, NULL);
}

/* Any of them, on any tensors that may be given. */
static cz_status any_operation(machine *m)
{
    int order[MATRICES];
    for (int i = 0; i < MATRICES; i++) order[i] = i;
    for (int i = MATRICES - 1; i > 0; i--) {
        int j = pick(i + 1), other = order[i];
        order[i] = order[j];
        order[j] = other;
    }
    cz_tensor a = m->matrix[order[0]], b = m->matrix[order[1]], c = m->matrix[order[2]];
    cz_tensor d = m->matrix[order[3]], w = m->weights[pick(WEIGHTS)], none = {0};
    int first = pick(VECTORS), second = (first + 1) % VECTORS;
    cz_tensor u = m->vector[first], v = m->vector[second];
    m->exec.aside = pick(2);
    switch (pick(13)) {
    case 0:
        return cz_zero(&m->exec, a);
    case 1:
        return cz_copy(&m->exec, a, b);
    case 2:
        return cz_add(&m->exec, a, b);
    case 3:
        return cz_gather_rows(&m->exec, a, m->table, m->index);
    case 4:
        return cz_linear_forward(&m->exec, a, b, w, u, CZ_RELU, NULL, B);
    case 5:
        return cz_linear_backward_input(&m->exec, a, b, w, none, 0, pick(2));
    case 6:
    case 7:
        return cz_linear_backward_weight(&m->exec, w, u, a, b, pick(2));
    case 8: /* the second result takes the gradient's place now and then */
        return cz_add_dropout_norm_backward(&m->exec, a, pick(2) ? b : c, u, v, b, d, m->mean,
                                            m->rstd, m->vector[(second + 1) % VECTORS], NULL, B);
    case 9:
        return cz_add_dropout_norm_forward(&m->exec, a, m->mean, m->rstd, b, c, u, v, 1e-5, NULL,
                                           B);
    case 10:
        return pool_back(m, a, b, c, d, m->weights[1 + pick(WEIGHTS - 1)]);
    case 11:
        return attention_back(m, a, b, c, d);
    default:
        return cz_copy(&m->exec, cz_row_range(a, 0, L), m->sums[pick(SUMS)]);
    }
}

/* ---- what came out ---- */

/* The largest number of a, and the largest distance from b's; each infinite where one is not
 * finite. */
typedef struct gaps {
    double size, gap;
} gaps;

static void compare(gaps *g, cz_tensor a, cz_tensor b)
{
    double size = 0, gap = 0;
    for (int i = 0; i < cz_rows(a) * cz_cols(a); i++) {
        size_t at = (size_t)i * cz_dtype_size(a.dtype);
        double x = read_number((char *)a.data + at, a.dtype);
        double apart = fabs(x - read_number((char *)b.data + at, b.dtype));
        size = fmax(size, isfinite(x) ? fabs(x) : INFINITY);
        gap = fmax(gap, isfinite(apart) ? apart : INFINITY);
    }
    g->size = fmax(g->size, size);
    g->gap = fmax(g->gap, gap / fmax(size, 1));
}

static gaps compare_all(const machine *a, const machine *b)
{
    gaps g = {0};
    for (int i = 0; i < MATRICES; i++) compare(&g, a->matrix[i], b->matrix[i]);
    for (int i = 0; i < WEIGHTS; i++) compare(&g, a->weights[i], b->weights[i]);
    for (int i = 0; i < VECTORS; i++) compare(&g, a->vector[i], b->vector[i]);
    for (int i = 0; i < SUMS; i++) compare(&g, a->keys[i], b->keys[i]);
    for (int i = 0; i < SUMS; i++) compare(&g, a->sums[i], b->sums[i]);
    compare(&g, a->mean, b->mean);
    compare(&g, a->rstd, b->rstd);
    return g;
}

static cz_status run_program(machine *m, uint64_t program)
{
    cz_status status = CZ_OK;
    fill_machine(m, program);
    m->exec = variant_exec(m->backend, NULL, &m->scratch);
    for (int i = 0; i < OPERATIONS && !status; i++) status = any_operation(m);
    return variant_wait(&m->exec, status);
}

/* Numbers that have grown so large by chance may do so elsewhere to infinity. */
static const double TOO_LARGE = 1e12;

static void check_variant(const cz_backend *backend, const cz_backend *plain, double allowed)
{
    machine here = open_machine(backend), there = open_machine(plain);
    double worst = 0;
    int compared = 0, wrong = 0, first = -1;
    cz_status status = CZ_OK;
    for (int p = 0; p < PROGRAMS && !status; p++) {
        status = run_program(&there, (uint64_t)p);
        if (!status) status = run_program(&here, (uint64_t)p);
        gaps g = compare_all(&there, &here);
        if (status) fprintf(stderr, "program %d: %s\n", p, cz_error_message());
        if (status || g.size > TOO_LARGE) continue;
        compared++;
        if (g.gap > allowed && !wrong++) first = p;
        worst = fmax(worst, g.gap);
    }
    check(!status && !wrong && compared > PROGRAMS * 3 / 4,
          "%s: %d random sequences of %d operations, at most %.1e apart (%d wrong, first %d)",
          cz_backend_name(backend), compared, OPERATIONS, worst, wrong, first);
    close_machine(&here);
    close_machine(&there);
}

/* ---- an operation aside, before work that is put off and was asked for earlier ---- */

/* Weights as products on a GPU read them, so that a layer needs no scratch; NULL: as they are. */
static void *packed_copy(cz_tensor w, cz_dtype stored)
{
    if (w.dtype == stored) return NULL;
    char *copy = room(stored, F, F).data;
    for (size_t i = 0; i < (size_t)F * F; i++)
        write_number(copy + i * cz_dtype_size(stored), stored,
                     read_number((char *)w.data + i * cz_dtype_size(w.dtype), w.dtype));
    return copy;
}

static cz_status overtake(machine *m, bool packed)
{
    cz_exec *exec = &m->exec;
    const cz_tensor *x = m->matrix, none = {0};
    cz_tensor weights = m->weights[1];
    fill_machine(m, PROGRAMS);
    void *copy = packed ? packed_copy(weights, x[0].dtype) : NULL;
    weights.packed = copy;
    *exec = variant_exec(m->backend, NULL, &m->scratch);
    cz_status status = cz_linear_backward_weight(exec, m->weights[0], none, x[0], x[1], true);
    exec->aside = true;
    if (!status) status = cz_linear_forward(exec, x[2], x[3], weights, none, CZ_RELU, NULL, B);
    exec->aside = false;
    if (!status) status = cz_add(exec, x[4], x[2]); /* waits for what was done aside, */
    if (!status) status = cz_zero(exec, x[0]);      /* and this for the gradient */
    status = variant_wait(exec, status);
    shared_free(copy);
    return status;
}

static void check_overtaken(const cz_backend *backend, const cz_backend *plain, double allowed)
{
    machine here = open_machine(backend), there = open_machine(plain);
    bool good = !overtake(&there, false) && !overtake(&here, true);
    gaps g = compare_all(&there, &here);
    check(good && g.gap < allowed, "%s: a layer aside, with a gradient put off: %.1e apart",
          cz_backend_name(backend), g.gap);
    close_machine(&here);
    close_machine(&there);
}

/* ---- more gradients than a GPU can put off ---- */

enum { TARGETS = 40, ROUNDS = 10 };
enum { FULL = 8 * 32 }; /* of them fill the queue: then comes a layer aside */

typedef struct gradients {
    cz_tensor dw[TARGETS], db[TARGETS], w; /* (F, F), (F), (F, F) */
    cz_tensor dy, x, y;                    /* (N, F) */
} gradients;

static cz_status run_gradients(gradients *g, const cz_backend *backend)
{
    cz_dtype stored = cz_backend_dtype(backend), wide = cz_dtype_wide(stored);
    cz_arena scratch = shared_arena(cz_ops_scratch(backend, N, F, L, T, F, H));
    cz_exec exec = variant_exec(backend, NULL, &scratch);
    cz_status status = CZ_OK;
    seed = PROGRAMS;
    draws = 0;
    fill(g->dy = room(stored, N, F), -1, 1);
    fill(g->x = room(stored, N, F), -1, 1);
    fill(g->y = room(stored, N, F), -1, 1);
    fill(g->w = room(wide, F, F), -1, 1);
    for (int t = 0; t < TARGETS; t++) {
        fill(g->dw[t] = room(wide, F, F), -1, 1);
        fill(g->db[t] = vector(wide, F), -1, 1);
    }
    for (int i = 0; i < TARGETS * ROUNDS && !status; i++) {
        int t = i % TARGETS, rows = 1 + pick(N);
        status = cz_linear_backward_weight(&exec, g->dw[t], g->db[t], cz_row_range(g->dy, 0, rows),
                                           cz_row_range(g->x, 0, rows), pick(4) > 0);
        exec.aside = true;
        if (!status && i == FULL - 1)
            status = cz_linear_forward(&exec, g->y, g->x, g->w, (cz_tensor){0}, CZ_LINEAR, NULL, B);
        exec.aside = false;
    }
    status = variant_wait(&exec, status);
    shared_arena_free(&scratch);
    return status;
}

static void free_gradients(gradients *g)
{
    for (int t = 0; t < TARGETS; t++) {
        shared_free(g->dw[t].data);
        shared_free(g->db[t].data);
    }
    shared_free(g->dy.data);
    shared_free(g->x.data);
    shared_free(g->y.data);
    shared_free(g->w.data);
}

static void check_many(const cz_backend *backend, const cz_backend *plain)
{
    gradients here, there;
    gaps g = {0};
    bool good = !run_gradients(&there, plain) && !run_gradients(&here, backend);
    for (int t = 0; t < TARGETS; t++) {
        compare(&g, there.dw[t], here.dw[t]);
        compare(&g, there.db[t], here.db[t]);
    }
    check(good && g.gap < CLOSE, "%s: %d sums of gradients without a wait: %.1e apart",
          cz_backend_name(backend), TARGETS * ROUNDS, g.gap);
    free_gradients(&here);
    free_gradients(&there);
}

int main(void)
{
    for (int v = 0; v < VARIANTS; v++) {
        if (!backend_variants[v].gpu) continue;
        const cz_backend *backend = variant_or_skip(v);
        cz_dtype dtype = backend_variants[v].dtype;
        if (!backend) continue;
        const cz_backend *plain = cz_backend_cpu(dtype, CZ_LEVEL_PORTABLE);
        check_variant(backend, plain, dtype == CZ_F32 ? CLOSE : 3e-1);
        check_overtaken(backend, plain, dtype == CZ_F32 ? CLOSE : 1e-2);
        check_many(backend, plain);
    }
    return check_done();
}
