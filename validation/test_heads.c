/* Classification heads both ways: variants against their definition, differences, cells alone,
 * scratch, what a GPU's block has no room for, refusals. */
#include "op_check.h"

enum { MOST = 4, MOST_CELLS = 72, WEIGHTED = 1 }; /* heads; cells; the head with class weights */

typedef struct shape {
    int B, D, heads, C[MOST];
} shape;

typedef struct setting {
    shape size;
    bool back, add;
    op_kind biases;
    bool copies;  /* GPUs read weights from a copy, beside which there are none */
    double p;     /* dropout */
    size_t taken; /* of scratch */
    op_dropout drop[MOST][2];
    const cz_dropout *site[MOST][2];
    double *loss[MOST]; /* these are memory that every variant may use */
    int32_t *best[MOST], *code[MOST];
} setting;

/* Arguments: of all heads, then of each. */
enum { DZ, Z, COMMON };
enum { W, B_ = 3, DW = 6, DB = 9, H1 = 12, H2, LOGITS, DLOGITS, OWN };
static int of(int head, int argument) { return COMMON + OWN * head + argument; }

static bool adversary(int head) { return head % 2; }
static int outputs(const shape *s, int head, int layer)
{
    return layer == 0 ? s->D : layer == 1 ? s->D / 2 : s->C[head];
}
static int inputs(const shape *s, int layer) { return layer == 2 ? s->D / 2 : s->D; }

static void setting_open(setting *s)
{
    for (int h = 0; h < s->size.heads; h++) {
        s->loss[h] = shared_room(MOST_CELLS * sizeof **s->loss);
        s->best[h] = shared_room(MOST_CELLS * sizeof **s->best);
        s->code[h] = shared_room(MOST_CELLS * sizeof **s->code);
        for (int b = 0; b < s->size.B; b++)
            s->code[h][b] = b % 5 == 3 ? -1 : (b * 7 + h + 1) % s->size.C[h];
        for (int i = 0; i < 2; i++)
            s->site[h][i] = op_drop(&s->drop[h][i], 40 + 2 * (unsigned)h + (unsigned)i, s->p,
                                    s->size.B, outputs(&s->size, h, i));
    }
}
static void setting_close(setting *s)
{
    for (int h = 0; h < s->size.heads; h++) {
        shared_free(s->loss[h]);
        shared_free(s->best[h]);
        shared_free(s->code[h]);
        for (int i = 0; i < 2; i++)
            if (s->site[h][i]) shared_free(s->site[h][i]->bits);
    }
}

/* What was there before shows. */
static void spoil(setting *s)
{
    for (int h = 0; h < s->size.heads; h++) {
        for (int b = 0; b < MOST_CELLS; b++) {
            s->loss[h][b] = (double)NAN;
            s->best[h][b] = -7;
        }
        for (int i = 0; i < 2 && s->site[h][i]; i++) {
            size_t bytes = (size_t)s->size.B * cz_mask_bytes(outputs(&s->size, h, i));
            memset(s->site[h][i]->bits, 0xff, bytes + 1);
        }
    }
}

/* w with a copy as the GPU's products read it, and NaN in its own place; free both. */
static cz_tensor copied(cz_tensor w, void **copy, void **nothing)
{
    int rows = w.dim[0], cols = w.dim[1];
    size_t n = (size_t)rows * (size_t)cols, room = (size_t)rows * (size_t)w.ld;
    uint16_t *to = *copy = shared_room((n + 1) * sizeof *to);
    *nothing = shared_room((room + 1) * sizeof(float));
    memset(*nothing, 0xff, (room + 1) * sizeof(float));
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) *to++ = bf16_of(read_number(cz_at(w, r, c), CZ_F32));
    w.packed = *copy;
    w.data = *nothing;
    return w;
}

static cz_head head_of(const setting *s, const cz_tensor *t, int h)
{
    cz_head head = {.add = s->add,
                    .adversary = adversary(h),
                    .h1 = t[of(h, H1)],
                    .h2 = t[of(h, H2)],
                    .logits = t[of(h, LOGITS)],
                    .drop = {s->site[h][0], s->site[h][1]},
                    .loss = s->loss[h],
                    .best = s->best[h],
                    .code = s->code[h]};
    if (s->back) head.dlogits = t[of(h, DLOGITS)];
    for (int i = 0; i < 3; i++) {
        head.w[i] = t[of(h, W + i)];
        head.b[i] = t[of(h, B_ + i)];
        if (!s->back) continue;
        head.dw[i] = t[of(h, DW + i)];
        head.db[i] = t[of(h, DB + i)];
    }
    return head;
}

static cz_status call(cz_exec *exec, cz_tensor *t, void *context)
{
    setting *s = context;
    cz_head head[MOST] = {0};
    void *room[MOST][3][2] = {0};
    bool copies = s->copies && exec->gpu && cz_backend_dtype(exec->backend) == CZ_BF16;
    spoil(s);
    for (int h = 0; h < s->size.heads; h++) {
        head[h] = head_of(s, t, h);
        for (int i = 0; i < 3 && copies; i++)
            head[h].w[i] = copied(head[h].w[i], &room[h][i][0], &room[h][i][1]);
    }
    exec->scratch->peak = 0;
    cz_status status = cz_heads(exec, s->back ? t[DZ] : (cz_tensor){0}, t[Z], head, s->size.heads);
    s->taken = exec->scratch->peak;
    status = variant_wait(exec, status);
    for (int h = 0; h < s->size.heads; h++)
        for (int i = 0; i < 3 && copies; i++)
            shared_free(room[h][i][0]), shared_free(room[h][i][1]);
    return status;
}

static int axis(int n) { return n ? n : -1; }

static void add_scaled(op_case *o, const char *name, op_kind kind, int a, int b, double scale)
{
    op_argument *arg = op_add_as(o, name, kind, IN, axis(a), b, 0, 0);
    for (size_t e = 0; e < op_size(arg); e++) arg->value[e] *= scale;
}

static op_case heads_case(setting *s)
{
    op_case o = {.call = call, .context = s};
    int B = axis(s->size.B), D = s->size.D, E = axis(D / 2);
    op_role set = s->back ? SET : IN, sum = s->back ? s->add ? ADDED : SET : IN;
    op_add(&o, "dz", set, B, D, 0, 0);
    op_add(&o, "z", IN, B, D, 0, 0);
    for (int h = 0; h < s->size.heads; h++) {
        for (int i = 0; i < 3; i++) {
            int K = inputs(&s->size, i);
            add_scaled(&o, "w", WEIGHT, outputs(&s->size, h, i), axis(K), sqrt(2.0 / (K + 1)));
        }
        for (int i = 0; i < 3; i++) add_scaled(&o, "b", s->biases, outputs(&s->size, h, i), 0, 0.2);
        for (int i = 0; i < 3; i++)
            op_add_wide(&o, "dw", sum, axis(outputs(&s->size, h, i)), axis(inputs(&s->size, i)));
        for (int i = 0; i < 3; i++) op_add_wide(&o, "db", sum, axis(outputs(&s->size, h, i)), 0);
        op_add(&o, "h1", SET, B, D, 0, 0);
        op_add(&o, "h2", SET, B, E, 0, 0);
        op_add_wide(&o, "logits", SET, B, s->size.C[h]);
        op_add(&o, "dlogits", set, B, s->size.C[h], 0, 0);
    }
    return o;
}

static void weigh(int C)
{
    static const double weights[] = {0.5, 2, 0, 1.25, 3, 7, 0.1, 1};
    static double *all;
    if (!all) all = shared_room(64 * sizeof *all);
    for (int c = 0; c < C; c++) all[c] = weights[c % 8];
    op_step.class_weight[WEIGHTED] = C ? cz_vector(all, CZ_F64, C) : (cz_tensor){0};
}
static double cell_scale(const setting *s, int h, int code)
{
    const double *weight = op_step.class_weight[h].data;
    return s->size.B && code >= 0 ? op_step.scale[h] * (weight ? weight[code] : 1) : 0;
}

/* ---- the definition, from what is seen in the results; what is not is rounded alike ---- */

typedef struct defined {
    const setting *s;
    const op_case *o;
    double **got;
    cz_dtype dtype;
    double worst_stored, worst_wide; /* distances of single results */
    spread stored, wide;             /* and of all */
    bool right;                      /* masks, losses, best classes */
} defined;

static void compare(defined *d, int argument, const double *want)
{
    size_t n = op_size(&d->o->argument[argument]);
    const double *got = d->got[argument];
    bool narrow = d->o->argument[argument].kind == STORED;
    double *worst = narrow ? &d->worst_stored : &d->worst_wide;
    *worst = fmax(*worst, check_distance(got, want, n));
    for (size_t e = 0; e < n; e++) spread_add(narrow ? &d->stored : &d->wide, got[e], want[e]);
}

static bool drawn(const cz_dropout *drop, int cell, int e)
{
    cz_block block =
        cz_philox(op_step.seed, drop->cell[cell], op_step.step,
                  cz_counter(CZ_RNG_DROPOUT + drop->site, (uint32_t)e / 8), op_step.phase);
    return (block.v[e % 8 / 2] >> (e % 2 ? 16 : 0) & 0xffff) >= cz_dropout_threshold(drop->p);
}

/* Layer `layer` of head h, of x, into `y`. */
static void define_layer(defined *d, int h, int layer, const double *x, int y)
{
    const shape *s = &d->s->size;
    int C = outputs(s, h, layer), K = inputs(s, layer);
    const double *w = d->o->argument[of(h, W + layer)].value;
    const double *bias = d->o->argument[of(h, B_ + layer)].value;
    const cz_dropout *drop = layer < 2 ? d->s->site[h][layer] : NULL;
    double *want = op_room((size_t)s->B * (size_t)C);
    for (int b = 0; b < s->B; b++)
        for (int c = 0; c < C; c++) {
            double sum = bias[c];
            for (int k = 0; k < K; k++) sum += x[b * K + k] * w[c * K + k];
            if (layer < 2 && sum < 0) sum = 0;
            bool keep = !drop || drawn(drop, b, c);
            if (drop) sum *= keep ? cz_dropout_scale(drop->p) : 0;
            if (drop) d->right = d->right && op_kept(drop, b, C, c) == keep;
            want[b * C + c] = layer < 2 ? rounded_to(d->dtype, sum) : sum;
        }
    for (int b = 0; drop && b < s->B; b++)
        for (int e = C; e % 8; e++) d->right = d->right && !op_kept(drop, b, C, e);
    if (drop) d->right = d->right && drop->bits[(size_t)s->B * cz_mask_bytes(C)] == 0xff;
    compare(d, y, want);
    free(want);
}

static void define_loss(defined *d, int h)
{
    int B = d->s->size.B, C = d->s->size.C[h];
    const double *logits = d->got[of(h, LOGITS)];
    double tolerance = variant_tolerance(cz_dtype_wide(d->dtype));
    double *want = op_room((size_t)B * (size_t)C);
    for (int b = 0; b < B; b++) {
        const double *x = logits + b * C;
        int code = d->s->code[h][b], best = 0;
        double sum = 0;
        for (int c = 1; c < C; c++)
            if (x[c] > x[best]) best = c;
        for (int c = 0; c < C; c++) sum += exp(x[c] - x[best]);
        double loss = code < 0 ? 0 : log(sum) - (x[code] - x[best]);
        d->right = d->right && d->s->best[h][b] == best &&
                   fabs(d->s->loss[h][b] - loss) <= tolerance * (1 + loss);
        for (int c = 0; c < C; c++) {
            double p = exp(x[c] - x[best]) / sum - (c == code);
            want[b * C + c] = rounded_to(d->dtype, p * cell_scale(d->s, h, code));
        }
    }
    if (d->s->back) compare(d, of(h, DLOGITS), want);
    free(want);
}

static void define_weights(defined *d, int h, int layer, const double *dy, const double *x)
{
    const shape *s = &d->s->size;
    int C = outputs(s, h, layer), K = inputs(s, layer), dw = of(h, DW + layer);
    double *to_w = op_room((size_t)C * (size_t)K), *to_b = op_room((size_t)C);
    if (d->s->add) memcpy(to_w, d->o->argument[dw].value, (size_t)C * (size_t)K * sizeof *to_w);
    if (d->s->add) memcpy(to_b, d->o->argument[of(h, DB + layer)].value, (size_t)C * sizeof *to_b);
    for (int b = 0; b < s->B; b++)
        for (int c = 0; c < C; c++) {
            to_b[c] += dy[b * C + c];
            for (int k = 0; k < K; k++) to_w[c * K + k] += dy[b * C + c] * x[b * K + k];
        }
    compare(d, dw, to_w);
    compare(d, of(h, DB + layer), to_b);
    free(to_w);
    free(to_b);
}

/* The gradient of layer's input, stored; gated by x where it is a hidden layer. */
static double *define_input(const defined *d, int h, int layer, const double *dy, const double *x)
{
    const shape *s = &d->s->size;
    int C = outputs(s, h, layer), K = inputs(s, layer);
    const double *w = d->o->argument[of(h, W + layer)].value;
    double scale = d->s->p > 0 && layer ? cz_dropout_scale(d->s->p) : 1;
    double *dx = op_room((size_t)s->B * (size_t)K);
    for (int b = 0; b < s->B; b++)
        for (int k = 0; k < K; k++) {
            double sum = 0;
            for (int c = 0; c < C; c++) sum += dy[b * C + c] * w[c * K + k];
            bool open = !layer || x[b * K + k] > 0;
            dx[b * K + k] = open ? rounded_to(d->dtype, sum * scale) : 0;
        }
    return dx;
}

static void define_back(defined *d, int h, double *dz)
{
    const double *z = d->o->argument[Z].value, *h1 = d->got[of(h, H1)], *h2 = d->got[of(h, H2)];
    const double *dlogits = d->got[of(h, DLOGITS)];
    double *dh2 = define_input(d, h, 2, dlogits, h2), *dh1 = define_input(d, h, 1, dh2, h1);
    double *own = define_input(d, h, 0, dh1, z), factor = adversary(h) ? -op_step.lambda : 1;
    define_weights(d, h, 2, dlogits, h2);
    define_weights(d, h, 1, dh2, h1);
    define_weights(d, h, 0, dh1, z);
    for (int e = 0; e < d->s->size.B * d->s->size.D; e++)
        dz[e] = rounded_to(d->dtype, dz[e] + factor * own[e]);
    free(dh2);
    free(dh1);
    free(own);
}

static void define(defined *d)
{
    const shape *s = &d->s->size;
    double *dz = op_room((size_t)s->B * (size_t)s->D);
    for (int h = 0; h < s->heads; h++) {
        define_layer(d, h, 0, d->o->argument[Z].value, of(h, H1));
        define_layer(d, h, 1, d->got[of(h, H1)], of(h, H2));
        define_layer(d, h, 2, d->got[of(h, H2)], of(h, LOGITS));
        define_loss(d, h);
        if (d->s->back) define_back(d, h, dz);
    }
    if (d->s->back) compare(d, DZ, dz);
    free(dz);
}

/* Adds one case on one variant, rows padded and not, to what was seen. */
static void define_case(defined *d, setting *s, const op_case *o, int v)
{
    double *got[MOST_ARGUMENTS];
    const cz_backend *backend = variant_backend(v);
    op_case own = op_rounded(o, backend_variants[v].dtype);
    int most = s->size.D;
    for (int h = 0; h < s->size.heads; h++)
        if (s->size.C[h] > most) most = s->size.C[h];
    d->s = s;
    d->o = &own;
    d->got = got;
    d->dtype = backend_variants[v].dtype;
    d->right = op_pads(&own, backend, got) && d->right;
    d->right = d->right && s->taken <= cz_ops_scratch(backend, s->size.B, most, 1, 1, s->size.D, 1);
    define(d);
    op_free_result(&own, got);
    op_free(&own);
}

/* Tolerances of an operation that a sum of sums may be off, of few terms and of many. */
enum { FEW_SUMS = 2, MANY_SUMS = 4 };

static void verdict(const char *name, int v, const defined *d, int cases, int sums)
{
    const char *variant = backend_variants[v].name;
    cz_dtype dtype = backend_variants[v].dtype;
    bool narrow = dtype == CZ_BF16;
    /* In bf16 a number that falls to the other side of a border is seen where there are few. */
    double one = narrow ? TOL_BF16_OP : sums * variant_tolerance(dtype);
    double all = narrow ? levels_tolerance(backend_variants[v].gpu) : one;
    check(d->right, "%s, %s: %d cases, masks, losses and classes, padded rows alike", name, variant,
          cases);
    check(d->worst_stored <= one && d->worst_wide <= one && spread_of(&d->stored) <= all &&
              spread_of(&d->wide) <= all,
          "%s, %s: as defined, worst %.1e, sums %.1e, all %.1e, sums %.1e", name, variant,
          d->worst_stored, d->worst_wide, spread_of(&d->stored), spread_of(&d->wide));
}

static void variants(const char *name, const shape *sizes, int count, bool large)
{
    defined seen[VARIANTS];
    for (int v = 0; v < VARIANTS; v++) seen[v] = (defined){.right = true};
    for (int i = 0; i < count; i++)
        for (int way = 0; way < 4; way++) {
            setting s = {.size = sizes[i],
                         .back = way,
                         .add = way == 2,
                         .biases = large ? WEIGHT : WIDE,
                         .copies = way % 2 == 0,
                         .p = way >= 2 && !large ? 0.3 : 0};
            setting_open(&s);
            weigh(way == 3 && s.size.heads > WEIGHTED ? s.size.C[WEIGHTED] : 0);
            op_case o = heads_case(&s);
            if (large) o.by_products = MANY_SUMS; /* a GPU's block has no room for them */
            for (int v = 0; v < VARIANTS; v++)
                if (variant_backend(v)) define_case(&seen[v], &s, &o, v);
            op_free(&o);
            setting_close(&s);
        }
    weigh(0);
    for (int v = 0; v < VARIANTS; v++)
        if (variant_or_skip(v)) verdict(name, v, &seen[v], 4 * count, large ? MANY_SUMS : FEW_SUMS);
}

/* Weights that bf16 does not hold, without a copy: a GPU's products take them rounded. */
static void rounded_weights(int v)
{
    setting s = {.size = {6, 40, 2, {14, 2}}, .back = true, .biases = WIDE, .p = 0.2};
    defined seen = {.right = true};
    setting_open(&s);
    op_case o = heads_case(&s), wide = op_rounded(&o, CZ_BF16);
    double *got[MOST_ARGUMENTS];
    for (int h = 0; h < s.size.heads; h++)
        for (int i = 0; i < 3; i++) {
            op_argument *w = &wide.argument[of(h, W + i)];
            w->kind = WIDE;
            for (size_t e = 0; e < op_size(w); e++)
                w->value[e] = rounded_to(CZ_F32, o.argument[of(h, W + i)].value[e]);
        }
    seen.right = op_run(&wide, variant_backend(v), 3, got);
    op_case own = op_rounded(&o, CZ_BF16);
    seen.s = &s, seen.o = &own, seen.got = got, seen.dtype = CZ_BF16;
    define(&seen);
    verdict("heads, rounding weights", v, &seen, 1, FEW_SUMS);
    op_free_result(&wide, got);
    op_free(&own);
    op_free(&wide);
    op_free(&o);
    setting_close(&s);
}

/* What all heads' losses come to for the gradient of z, or those of one head for its weights. */
static double objective(const setting *s, int only)
{
    double sum = 0;
    for (int h = 0; h < s->size.heads; h++)
        for (int b = 0; b < s->size.B && (only < 0 || only == h); b++) {
            double factor = only < 0 && adversary(h) ? -op_step.lambda : 1;
            if (s->code[h][b] >= 0) sum += factor * s->loss[h][b] * cell_scale(s, h, s->code[h][b]);
        }
    return sum;
}

static double difference(setting *s, op_case *o, int argument, const double *got, int only)
{
    const double step = 1e-5;
    op_argument *in = &o->argument[argument];
    double *want = op_room(op_size(in)), *moved[MOST_ARGUMENTS];
    for (size_t e = 0; e < op_size(in); e++) {
        double kept = in->value[e], sum[2] = {0, 0};
        for (int side = 0; side < 2; side++) {
            in->value[e] = side ? kept - step : kept + step;
            if (!op_run(o, op_exact(), 0, moved)) return INFINITY;
            sum[side] = objective(s, only);
            op_free_result(o, moved);
        }
        in->value[e] = kept;
        want[e] = (sum[0] - sum[1]) / (2 * step);
    }
    double gap = check_distance(got, want, op_size(in));
    free(want);
    return gap;
}

static void differences(double p)
{
    setting s = {.size = {5, 7, 3, {4, 3, 2}}, .back = true, .biases = WIDE, .p = p};
    setting_open(&s);
    weigh(3);
    op_case o = heads_case(&s);
    double *got[MOST_ARGUMENTS], worst = 0;
    op_run(&o, op_exact(), 0, got);
    double latent = difference(&s, &o, Z, got[DZ], -1);
    for (int h = 0; h < s.size.heads; h++)
        for (int i = 0; i < 6; i++)
            worst = fmax(worst, difference(&s, &o, of(h, W + i), got[of(h, DW + i)], h));
    check(latent < TOL_FINITE_DIFFERENCE && worst < TOL_FINITE_DIFFERENCE,
          "heads: by differences, dropout %.1f: dz %.1e, dw and db %.1e", p, latent, worst);
    weigh(0);
    op_free_result(&o, got);
    op_free(&o);
    setting_close(&s);
}

/* The same bits for a cell alone as among nine. */
static void any_batch(const cz_backend *backend)
{
    setting s = {.size = {9, 37, 2, {14, 2}}, .back = true, .biases = WIDE};
    const int rows[] = {H1, H2, LOGITS, DLOGITS};
    setting_open(&s);
    op_case o = heads_case(&s);
    double *got[MOST_ARGUMENTS], *alone[MOST_ARGUMENTS];
    op_round(&o, cz_backend_dtype(backend));
    op_run(&o, backend, 0, got);
    bool same = true;
    for (int b = 0; b < s.size.B; b++) {
        setting one = s;
        one.size.B = 1;
        setting_open(&one);
        op_case single = heads_case(&one);
        for (int i = 0; i < o.count; i++)
            if (i != Z && single.argument[i].role == IN)
                op_give(&single.argument[i], o.argument[i].value);
        op_give(&single.argument[Z], o.argument[Z].value + b * s.size.D);
        for (int h = 0; h < 2; h++) one.code[h][0] = s.code[h][b];
        op_run(&single, backend, 3, alone);
        same =
            same && !memcmp(alone[DZ], got[DZ] + b * s.size.D, (size_t)s.size.D * sizeof(double));
        for (int i = 0; i < 8; i++) {
            int at = of(i / 4, rows[i % 4]), n = single.argument[at].dim[1];
            same = same && !memcmp(alone[at], got[at] + b * n, (size_t)n * sizeof(double));
        }
        same = same && one.loss[1][0] == s.loss[1][b] && one.best[1][0] == s.best[1][b];
        op_free_result(&single, alone);
        op_free(&single);
        setting_close(&one);
    }
    check(same, "heads: %s gives a cell the same bits in any batch", cz_backend_name(backend));
    op_free_result(&o, got);
    op_free(&o);
    setting_close(&s);
}

static void refused(const char *what, cz_status status, const char *one, const char *other)
{
    const char *said = cz_error_message();
    check(status == CZ_ERR_BUG && strstr(said, "cz_heads") && strstr(said, one) &&
              strstr(said, other),
          "refused, %s: %s", what, said);
    cz_error_clear();
}

static void refusals(void)
{
    setting s = {.size = {4, 6, 1, {5}}, .back = true, .biases = WIDE};
    cz_tensor t[MOST_ARGUMENTS];
    setting_open(&s);
    op_case o = heads_case(&s);
    for (int i = 0; i < o.count; i++) t[i] = op_tensor(&o.argument[i], CZ_F64, 0);
    cz_exec exec = variant_exec(op_exact(), &op_step, op_scratch());
    const cz_head good = head_of(&s, t, 0);
    cz_head bad = good;
    cz_error_clear();
    bad.w[1].dim[0] = 2;
    refused("w", cz_heads(&exec, t[DZ], t[Z], &bad, 1), "w is (2, 6)", "(3, 6)");
    bad = good;
    bad.h2.dim[1] = 2;
    refused("h2", cz_heads(&exec, t[DZ], t[Z], &bad, 1), "h2 is (4, 2)", "(4, 3)");
    bad = good;
    bad.dw[2] = (cz_tensor){0};
    refused("no dw", cz_heads(&exec, t[DZ], t[Z], &bad, 1), "dw", "(5, 3)");
    bad = good;
    bad.dlogits.dtype = CZ_F32;
    refused("dlogits", cz_heads(&exec, t[DZ], t[Z], &bad, 1), "dlogits", "fp32");
    bad = good;
    bad.loss = NULL;
    refused("no losses", cz_heads(&exec, t[DZ], t[Z], &bad, 1), "5 classes", "4 cells");
    refused("dz", cz_heads(&exec, t[of(0, H2)], t[Z], &good, 1), "dz is (4, 3)", "(4, 6)");
    refused("too many", cz_heads(&exec, t[DZ], t[Z], &good, CZ_MAX_HEADS + 1), "13 heads", "12");
    for (int i = 0; i < o.count; i++) shared_free(t[i].data);
    op_free(&o);
    setting_close(&s);
}

int main(void)
{
    const shape sizes[] = {{0, 8, 2, {3, 2}},        {1, 1, 1, {2}},         {1, 7, 1, {2}},
                           {5, 16, 2, {14, 2}},      {3, 33, 3, {40, 2, 5}}, {9, 64, 1, {9}},
                           {4, 50, 2, {33, 8}},      {2, 270, 1, {17}},      {3, 288, 2, {2, 24}},
                           {70, 24, 4, {2, 3, 4, 5}}};
    const shape large = {2, 2, 1, {7000}};
    for (int h = 0; h < CZ_MAX_HEADS; h++) op_step.scale[h] = 1.0 / (3 + h);
    variants("heads", sizes, sizeof sizes / sizeof *sizes, false);
    variants("heads of many classes", &large, 1, true);
    differences(0);
    differences(0.3);
    for (int v = 0; v < VARIANTS; v++) {
        if (!variant_or_skip(v)) continue;
        any_batch(variant_backend(v));
        if (backend_variants[v].gpu && backend_variants[v].dtype == CZ_BF16) rounded_weights(v);
    }
    refusals();
    return check_done();
}
