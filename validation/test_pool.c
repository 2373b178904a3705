/* The resampler's pooling: variants, both forms, definition, finite differences, any batch. */
#include "op_check.h"

typedef struct setting {
    int B, T, L, D, H;
    cz_pool_form form;
    const cz_dropout *drop_attention, *drop_out;
} setting;

enum { Y, PROBS, MEAN, RSTD, K, V, QUERY, LATENTS, W_OUT, B_OUT, GAIN, BIAS, FORWARD };

static cz_pool_weights weights_at(const cz_tensor *t)
{
    return (cz_pool_weights){t[0], t[1], t[2], t[3], t[4], t[5]};
}

/* Wrong, until forward draws them. */
static void spoil_mask(const cz_dropout *d, int B, int elements)
{
    if (d) memset(d->bits, 0xaa, (size_t)B * cz_mask_bytes(elements));
}

static cz_status forward(cz_exec *exec, cz_tensor *t, void *context)
{
    setting *s = context;
    spoil_mask(s->drop_attention, s->B, s->H * s->L * s->T);
    spoil_mask(s->drop_out, s->B, s->L * s->D);
    cz_pool_weights w = weights_at(t + QUERY);
    return cz_resampler_pool_forward(exec, t[Y], t[PROBS], t[MEAN], t[RSTD], (cz_tensor){0}, t[K],
                                     t[V], &w, s->H, s->form, s->drop_attention, s->drop_out);
}

enum {
    DK,
    DV,
    GRADIENTS,
    DY = GRADIENTS + 6,
    PROBS2,
    MEAN2,
    RSTD2,
    K2,
    V2,
    WEIGHTS,
    BACKWARD = WEIGHTS + 6
};

static cz_status backward(cz_exec *exec, cz_tensor *t, void *context)
{
    setting *s = context;
    cz_pool_weights g = weights_at(t + GRADIENTS), w = weights_at(t + WEIGHTS);
    return cz_resampler_pool_backward(exec, t[DK], t[DV], &g, t[DY], t[PROBS2], t[MEAN2], t[RSTD2],
                                      (cz_tensor){0}, t[K2], t[V2], &w, s->H, s->form,
                                      s->drop_attention, s->drop_out);
}

/* The queries are stored; their gradient, as all of them, is summed. */
static void add_weights(op_case *o, const setting *s, op_role role, const char *const name[6])
{
    op_add_as(o, name[0], role == IN ? STORED : WIDE, role, s->L, s->D, 0, 0);
    op_add_wide(o, name[1], role, s->L, s->D);
    op_add_as(o, name[2], role == IN ? WEIGHT : WIDE, role, s->D, s->D, 0, 0);
    for (int i = 3; i < 6; i++) op_add_wide(o, name[i], role, s->D, 0);
}

static const char *const weight_name[] = {"q", "latents", "w_out", "b_out", "gain", "bias"};
static const char *const gradient_name[] = {"dq", "dlatents", "dw_out", "db_out", "dgain", "dbias"};

static op_case forward_case(setting *s)
{
    op_case o = {.call = forward, .context = s, .by_products = 1};
    int B = s->B ? s->B : -1;
    op_add(&o, "y", SET, B, s->D, 0, 0);
    op_add(&o, "probs", SET, B, s->H, s->L, s->T);
    op_add_wide(&o, "mean", SET, B, s->L);
    op_add_wide(&o, "rstd", SET, B, s->L);
    op_add(&o, "k", IN, B, s->T, s->D, 0);
    op_add(&o, "v", IN, B, s->T, s->D, 0);
    add_weights(&o, s, IN, weight_name);
    double *w = o.argument[W_OUT].value; /* of the size that training starts with */
    for (size_t i = 0; i < op_size(&o.argument[W_OUT]); i++)
        w[i] = (double)(float)(w[i] / sqrt(s->D));
    return o;
}

static op_case backward_case(setting *s, const op_case *f, double **result)
{
    op_case o = {.call = backward, .context = s, .by_products = 1};
    int B = s->B ? s->B : -1;
    op_add(&o, "dk", SET, B, s->T, s->D, 0);
    op_add(&o, "dv", SET, B, s->T, s->D, 0);
    add_weights(&o, s, ADDED, gradient_name);
    op_add(&o, "dy", IN, B, s->D, 0, 0);
    op_give(op_add(&o, "probs", IN, B, s->H, s->L, s->T), result[PROBS]);
    op_give(op_add_wide(&o, "mean", IN, B, s->L), result[MEAN]);
    op_give(op_add_wide(&o, "rstd", IN, B, s->L), result[RSTD]);
    op_give(op_add(&o, "k", IN, B, s->T, s->D, 0), f->argument[K].value);
    op_give(op_add(&o, "v", IN, B, s->T, s->D, 0), f->argument[V].value);
    add_weights(&o, s, IN, weight_name);
    for (int i = 0; i < 6; i++) op_give(&o.argument[WEIGHTS + i], f->argument[QUERY + i].value);
    return o;
}

/* GPUs factor whatever the form: what is compared with them is rounded where they round. */
static setting factored(const setting *s)
{
    setting own = *s;
    own.form = CZ_POOL_FACTORED;
    return own;
}

typedef struct drops {
    op_dropout attention, out;
} drops;

static void set_drops(setting *s, drops *d, double p)
{
    s->drop_attention = op_drop(&d->attention, 8, p, s->B, s->H * s->L * s->T);
    s->drop_out = op_drop(&d->out, 9, p / 2, s->B, s->L * s->D);
}
static void free_drops(const setting *s)
{
    if (s->drop_attention) shared_free(s->drop_attention->bits);
    if (s->drop_out) shared_free(s->drop_out->bits);
}

/* Whole bytes of both masks, as what ran last drew them; to be freed. */
static size_t mask_bytes(const setting *s, bool out)
{
    return (size_t)s->B * cz_mask_bytes(out ? s->L * s->D : s->H * s->L * s->T);
}
static uint8_t *masks(const setting *s)
{
    uint8_t *copy = malloc(mask_bytes(s, false) + mask_bytes(s, true) + 1);
    if (!copy) exit(2);
    if (s->drop_attention) memcpy(copy, s->drop_attention->bits, mask_bytes(s, false));
    if (s->drop_out) memcpy(copy + mask_bytes(s, false), s->drop_out->bits, mask_bytes(s, true));
    return copy;
}

static void variants(cz_pool_form form, const char *name)
{
    /* Of the last two a GPU has parts in its shared memory. */
    const int shape[][5] = {/* B, T, L, D, H */
                            {0, 2, 3, 8, 2},    {3, 1, 2, 9, 1},     {2, 3, 5, 24, 3},
                            {3, 8, 16, 64, 8},  {2, 5, 17, 66, 2},   {5, 1, 33, 40, 5},
                            {3, 8, 61, 256, 8}, {2, 19, 20, 56, 1},  {40, 4, 9, 32, 4},
                            {2, 1, 70, 600, 8}, {2, 30, 19, 264, 12}};
    op_gaps worst_forward = {0}, worst_backward = {0};
    bool drawn = true;
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int with = 0; with < 2; with++) {
            setting s = {shape[i][0], shape[i][1], shape[i][2], shape[i][3],
                         shape[i][4], form,        NULL,        NULL};
            drops d;
            double *result[MOST_ARGUMENTS];
            set_drops(&s, &d, with ? 0.3 : 0);
            setting on_gpu = factored(&s);
            op_case f = forward_case(&s);
            f.like_gpu = &on_gpu;
            op_variants(&f, &worst_forward);
            uint8_t *last = masks(&s);
            op_run(&f, op_exact(), 0, result);
            uint8_t *right = masks(&s);
            size_t bytes = mask_bytes(&s, false) + mask_bytes(&s, true);
            drawn = drawn && (!with || !memcmp(last, right, bytes));
            free(last);
            free(right);
            op_case b = backward_case(&s, &f, result);
            b.like_gpu = &on_gpu;
            op_variants(&b, &worst_backward);
            op_free_result(&f, result);
            op_free(&f);
            op_free(&b);
            free_drops(&s);
        }
    check(drawn, "pool, %s: the masks of the last variant, byte by byte", name);
    char title[64];
    snprintf(title, sizeof title, "pool forward, %s", name);
    op_verdict(title, &worst_forward, 1, 1);
    snprintf(title, sizeof title, "pool backward, %s", name);
    op_verdict(title, &worst_backward, 2, 1);
}

static double kept(const cz_dropout *d, int cell, int elements, int e)
{
    if (!d) return 1;
    return op_kept(d, cell, elements, e) ? cz_dropout_scale(d->p) : 0;
}

/* The pooled vector of cell b from its definition. */
static void define(const setting *s, const op_case *f, int b, double *y)
{
    int T = s->T, L = s->L, D = s->D, n = D / s->H;
    const double *k = f->argument[K].value, *v = f->argument[V].value;
    const double *q = f->argument[QUERY].value, *latents = f->argument[LATENTS].value;
    const double *w = f->argument[W_OUT].value, *bo = f->argument[B_OUT].value;
    double *heads = op_room((size_t)D), *z = op_room((size_t)D);
    for (int d = 0; d < D; d++) y[d] = f->argument[BIAS].value[d];
    for (int l = 0; l < L; l++) {
        for (int d = 0; d < D; d++) heads[d] = 0;
        for (int h = 0; h < s->H; h++) {
            double sum = 0;
            for (int pass = 0; pass < 2; pass++)
                for (int t = 0; t < T; t++) {
                    double score = 0;
                    for (int e = h * n; e < (h + 1) * n; e++)
                        score += q[l * D + e] * k[(b * T + t) * D + e];
                    double p = exp(score / sqrt(n));
                    if (!pass) sum += p;
                    p *= kept(s->drop_attention, b, s->H * L * T, (h * L + l) * T + t) / sum;
                    for (int e = h * n; e < (h + 1) * n && pass; e++)
                        heads[e] += p * v[(b * T + t) * D + e];
                }
        }
        double mean = 0, variance = 0;
        for (int d = 0; d < D; d++) {
            z[d] = bo[d];
            for (int e = 0; e < D; e++) z[d] += w[d * D + e] * heads[e];
            z[d] = latents[l * D + d] + z[d] * kept(s->drop_out, b, L * D, l * D + d);
            mean += z[d] / D;
        }
        for (int d = 0; d < D; d++) variance += (z[d] - mean) * (z[d] - mean) / D;
        for (int d = 0; d < D; d++)
            y[d] += f->argument[GAIN].value[d] * (z[d] - mean) / sqrt(variance + 1e-5) / L;
    }
    free(heads);
    free(z);
}

static void differences(cz_pool_form form, double p)
{
    const char *name = form == CZ_POOL_PLAIN ? "plain" : "factored";
    setting s = {3, 3, 5, 12, 3, form, NULL, NULL};
    drops d;
    double *result[MOST_ARGUMENTS], *gradient[MOST_ARGUMENTS], *y = op_room(3 * 12);
    set_drops(&s, &d, p);
    op_case f = forward_case(&s);
    op_run(&f, op_exact(), 0, result);
    op_case b = backward_case(&s, &f, result);
    op_run(&b, op_exact(), 0, gradient);
    for (int i = 0; i < GRADIENTS + 6; i++) {
        const op_argument *into = &b.argument[i];
        for (size_t j = 0; j < op_size(into) && into->role == ADDED; j++)
            gradient[i][j] -= into->value[j];
        double gap = op_difference(&f, Y, b.argument[DY].value, K + i, gradient[i]);
        check(gap < TOL_FINITE_DIFFERENCE, "pool, %s: %s by differences, dropout %.1f: %.1e", name,
              into->name, p, gap);
    }
    for (int cell = 0; cell < s.B; cell++) define(&s, &f, cell, y + cell * s.D);
    double gap = check_distance(result[Y], y, (size_t)(s.B * s.D));
    check(gap < TOL_F64_OP, "pool, %s: as defined, dropout %.1f: %.1e", name, p, gap);
    free(y);
    op_free_result(&f, result);
    op_free_result(&b, gradient);
    op_free(&f);
    op_free(&b);
    free_drops(&s);
}

/* Both forms, on the same numbers. */
static void forms(void)
{
    const int shape[][5] = {{2, 3, 5, 24, 3}, {3, 8, 61, 64, 8}, {20, 5, 16, 66, 2}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        setting s = {shape[i][0], shape[i][1],      shape[i][2], shape[i][3],
                     shape[i][4], CZ_POOL_FACTORED, NULL,        NULL};
        drops d;
        double *result[2][MOST_ARGUMENTS], *gradient[2][MOST_ARGUMENTS], worst = 0;
        set_drops(&s, &d, 0.2);
        op_case f = forward_case(&s);
        op_run(&f, op_exact(), 0, result[0]);
        op_case b = backward_case(&s, &f, result[0]);
        op_run(&b, op_exact(), 0, gradient[0]);
        s.form = CZ_POOL_PLAIN;
        op_run(&f, op_exact(), 0, result[1]);
        op_run(&b, op_exact(), 0, gradient[1]);
        for (int j = 0; j < FORWARD; j++)
            worst =
                fmax(worst, check_distance(result[0][j], result[1][j], op_size(&f.argument[j])));
        for (int j = 0; j < BACKWARD; j++)
            worst = fmax(worst,
                         check_distance(gradient[0][j], gradient[1][j], op_size(&b.argument[j])));
        check(worst < TOL_F64_FORMS, "pool: both forms agree, %d tokens, %d latents of %d: %.1e",
              s.T, s.L, s.D, worst);
        for (int j = 0; j < 2; j++) {
            op_free_result(&f, result[j]);
            op_free_result(&b, gradient[j]);
        }
        op_free(&f);
        op_free(&b);
        free_drops(&s);
    }
    check(cz_pool_cheapest(8, 61, 256, 8) == CZ_POOL_FACTORED &&
              cz_pool_cheapest(8, 61, 64, 8) == CZ_POOL_PLAIN,
          "pool: auto factors at width 256, not at 64");
}

/* A cell alone is as one among twenty, which are more than one block: of a CPU, to the bit. */
static void any_batch(const cz_backend *backend, cz_pool_form form)
{
    setting all = {20, 8, 16, 64, 4, form, NULL, NULL};
    drops d;
    double *result[MOST_ARGUMENTS], *gradient[MOST_ARGUMENTS];
    set_drops(&all, &d, 0.2);
    op_case f = forward_case(&all);
    op_round(&f, cz_backend_dtype(backend));
    op_run(&f, backend, 0, result);
    op_case b = backward_case(&all, &f, result);
    op_round(&b, cz_backend_dtype(backend));
    op_run(&b, backend, 0, gradient);
    bool same = true;
    for (int cell = 0; cell < all.B; cell += 3) {
        cz_dropout attention = *all.drop_attention, out = *all.drop_out;
        setting one = all;
        double *alone[MOST_ARGUMENTS], *back[MOST_ARGUMENTS];
        one.B = 1;
        one.drop_attention = &attention;
        one.drop_out = &out;
        attention.cell += cell;
        attention.bits += (size_t)cell * cz_mask_bytes(all.H * all.L * all.T);
        out.cell += cell;
        out.bits += (size_t)cell * cz_mask_bytes(all.L * all.D);
        op_case g = forward_case(&one);
        for (int i = K; i < FORWARD; i++) {
            size_t n = op_size(&g.argument[i]);
            op_give(&g.argument[i], f.argument[i].value + (i <= V ? (size_t)cell * n : 0));
        }
        op_run(&g, backend, 3, alone);
        op_case h = backward_case(&one, &g, alone);
        op_give(&h.argument[DY], b.argument[DY].value + cell * all.D);
        op_run(&h, backend, 3, back);
        for (int i = Y; i <= RSTD; i++) {
            size_t n = op_size(&g.argument[i]);
            same = same && op_alike(&g, backend, alone[i], result[i] + (size_t)cell * n, n);
        }
        for (int i = DK; i <= DV; i++) {
            size_t n = op_size(&h.argument[i]);
            same = same && op_alike(&h, backend, back[i], gradient[i] + (size_t)cell * n, n);
        }
        op_free_result(&g, alone);
        op_free_result(&h, back);
        op_free(&g);
        op_free(&h);
    }
    check(same, "pool, %s: %s gives a cell the same %s in any batch",
          form == CZ_POOL_PLAIN ? "plain" : "factored", cz_backend_name(backend),
          cz_backend_on_gpu(backend) ? "numbers" : "bits");
    op_free_result(&f, result);
    op_free_result(&b, gradient);
    op_free(&f);
    op_free(&b);
    free_drops(&all);
}

/* cz_ops_scratch() is enough, of every variant, where the resampler is what needs most. */
static void scratch(void)
{
    const int shape[][4] = {{8, 61, 256, 8}, {8, 64, 64, 8}, {1, 16, 33, 1}, {64, 16, 248, 8}};
    bool enough = true;
    for (size_t i = 0; i < 4; i++)
        for (int form = CZ_POOL_PLAIN; form <= CZ_POOL_FACTORED; form++) {
            setting s = {20,          shape[i][0],        shape[i][1], shape[i][2],
                         shape[i][3], (cz_pool_form)form, NULL,        NULL};
            drops d;
            double *result[MOST_ARGUMENTS];
            set_drops(&s, &d, 0.2);
            op_case f = forward_case(&s);
            op_run(&f, op_exact(), 0, result);
            op_case b = backward_case(&s, &f, result);
            for (int v = 0; v < VARIANTS; v++) {
                const cz_backend *backend = variant_backend(v);
                if (!backend) continue;
                cz_dtype dtype = cz_backend_dtype(backend);
                cz_tensor t[MOST_ARGUMENTS];
                size_t bytes = cz_ops_scratch(backend, s.B * s.T, s.D, s.L, s.T, s.D, s.H);
                cz_arena arena = {shared_room(bytes), bytes, 0, 0};
                cz_exec exec = op_exec(backend);
                exec.scratch = &arena;
                for (int j = 0; j < b.count; j++) t[j] = op_tensor(&b.argument[j], dtype, 0);
                enough = enough && !variant_wait(&exec, backward(&exec, t, &s));
                for (int j = 0; j < b.count; j++) shared_free(t[j].data);
                shared_free(arena.base);
            }
            op_free_result(&f, result);
            op_free(&f);
            op_free(&b);
            free_drops(&s);
        }
    check(enough, "pool: cz_ops_scratch() is enough");
}

/* What a GPU's block has no room for is refused, with what to change. */
static void refused(const cz_backend *backend)
{
    setting s = {1, 1, 4096, 64, 1, CZ_POOL_AUTO, NULL, NULL};
    double *result[MOST_ARGUMENTS];
    cz_tensor t[MOST_ARGUMENTS];
    op_case f = forward_case(&s);
    op_run(&f, op_exact(), 0, result);
    op_case b = backward_case(&s, &f, result);
    cz_exec exec = op_exec(backend);
    for (int j = 0; j < b.count; j++)
        t[j] = op_tensor(&b.argument[j], cz_backend_dtype(backend), 0);
    cz_status status = backward(&exec, t, &s);
    check(status == CZ_ERR_CONFIG && strstr(cz_error_message(), "model.latents: 4096") &&
              exec.scratch->used == 0,
          "pool, %s: 4096 latents are refused: %s", cz_backend_name(backend), cz_error_message());
    cz_error_clear();
    variant_wait(&exec, CZ_OK);
    for (int j = 0; j < b.count; j++) shared_free(t[j].data);
    op_free_result(&f, result);
    op_free(&f);
    op_free(&b);
}

int main(void)
{
    variants(CZ_POOL_PLAIN, "plain");
    variants(CZ_POOL_FACTORED, "factored");
    forms();
    for (int variant = 0; variant < 4; variant++)
        differences(variant & 1 ? CZ_POOL_PLAIN : CZ_POOL_FACTORED, variant & 2 ? 0.3 : 0);
    for (int v = 0; v < VARIANTS; v++) {
        const cz_backend *backend = variant_or_skip(v);
        if (!backend) continue;
        any_batch(backend, CZ_POOL_PLAIN);
        any_batch(backend, CZ_POOL_FACTORED);
        if (backend_variants[v].gpu) refused(backend);
    }
    scratch();
    return check_done();
}
