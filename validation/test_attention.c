/* Multi-head attention: variants, finite differences, definition, slots, one cell in any batch. */
#include "op_check.h"

typedef struct setting {
    int B, S, Tq, Tk, F, H;
    const int32_t *slot;
    const cz_dropout *drop;
    const int32_t *length;
} setting;

enum { OUT, PROBS, Q, K, V };

static cz_status forward(cz_exec *exec, cz_tensor *t, void *context)
{
    setting *s = context;
    return cz_attention_forward(exec, t[OUT], t[PROBS], t[Q], t[K], t[V], s->slot, s->length, s->H,
                                s->drop);
}

enum { DQ, DK, DV, DOUT, PROBS2, Q2, K2, V2 };

static cz_status backward(cz_exec *exec, cz_tensor *t, void *context)
{
    setting *s = context;
    return cz_attention_backward(exec, t[DQ], t[DK], t[DV], t[DOUT], t[PROBS2], t[Q2], t[K2], t[V2],
                                 s->slot, s->H, s->drop);
}

static int axis(int n) { return n ? n : -1; }

static op_case forward_case(setting *s)
{
    op_case o = {.call = forward, .context = s};
    int B = axis(s->B), S = axis(s->S), Tk = axis(s->Tk);
    op_add(&o, "out", SET, B, s->Tq, s->F, 0);
    op_add(&o, "probs", SET, B, s->H, s->Tq, Tk);
    op_add(&o, "q", IN, B, s->Tq, s->F, 0);
    op_add(&o, "k", IN, S, Tk, s->F, 0);
    op_add(&o, "v", IN, S, Tk, s->F, 0);
    return o;
}

static op_case backward_case(setting *s, const op_case *f, double **result)
{
    op_case o = {.call = backward, .context = s};
    op_role shared = s->slot ? ADDED : SET;
    int B = axis(s->B), S = axis(s->S), Tk = axis(s->Tk);
    op_add(&o, "dq", SET, B, s->Tq, s->F, 0);
    op_kind kind = s->slot ? WIDE : STORED;
    op_add_as(&o, "dk", kind, shared, S, Tk, s->F, 0);
    op_add_as(&o, "dv", kind, shared, S, Tk, s->F, 0);
    op_add(&o, "dout", IN, B, s->Tq, s->F, 0);
    op_give(op_add(&o, "probs", IN, B, s->H, s->Tq, Tk), result[PROBS]);
    op_give(op_add(&o, "q", IN, B, s->Tq, s->F, 0), f->argument[Q].value);
    op_give(op_add(&o, "k", IN, S, Tk, s->F, 0), f->argument[K].value);
    op_give(op_add(&o, "v", IN, S, Tk, s->F, 0), f->argument[V].value);
    return o;
}

enum { MOST_CELLS = 320 };

/* The slot of each cell: 0, 1 or 2; in memory that every variant may use. */
static const int32_t *slots(void)
{
    const int32_t slot[] = {2, 0, 2, 1, 1, 2, 0, 0};
    static int32_t *all;
    if (!all) all = shared_room(MOST_CELLS * sizeof *all);
    for (int b = 0; b < MOST_CELLS; b++) all[b] = slot[b % 8];
    return all;
}

/* How many of `keys` keys of each slot count: all, one, and between; until the next call. */
static const int32_t *lengths(int keys)
{
    static int32_t *all;
    if (!all) all = shared_room(MOST_CELLS * sizeof *all);
    for (int s = 0; s < MOST_CELLS; s++)
        all[s] = s % 3 == 0 ? keys : s % 3 == 1 ? 1 : (keys + 1) / 2;
    return all;
}

static void variants(void)
{
    const int shape[][5] = {/* B, Tq, Tk, F, H */
                            {0, 3, 3, 8, 2},     {1, 1, 1, 1, 1},   {2, 3, 5, 27, 3},
                            {3, 8, 8, 64, 8},    {2, 1, 17, 40, 5}, {2, 40, 35, 66, 2},
                            {2, 5, 3, 56, 1},    {4, 8, 8, 256, 8}, {1, 70, 130, 64, 2},
                            {40, 8, 8, 32, 2},   {37, 5, 7, 12, 3}, {300, 1, 3, 16, 2},
                            {1, 40, 100, 700, 1}};
    op_gaps worst_forward = {0}, worst_backward = {0};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int variant = 0; variant < 8; variant++) {
            const int *n = shape[i];
            setting s = {.B = n[0], .S = 3, .Tq = n[1], .Tk = n[2], .F = n[3], .H = n[4]};
            if (variant & 1) s.slot = slots();
            int elements = s.H * s.Tq * s.Tk;
            op_dropout d;
            if (!s.slot) s.S = s.B;
            if (variant & 4) s.length = lengths(s.Tk);
            s.drop = op_drop(&d, 6, variant & 2 ? 0.3 : 0, s.B, elements);
            op_case f = forward_case(&s);
            double *result[MOST_ARGUMENTS];
            op_variants(&f, &worst_forward);
            op_run(&f, op_exact(), 0, result);
            op_case b = backward_case(&s, &f, result);
            op_variants(&b, &worst_backward);
            op_free_result(&f, result);
            op_free(&f);
            op_free(&b);
            if (s.drop) shared_free(s.drop->bits);
        }
    op_verdict("attention forward", &worst_forward, 1, 0);
    op_verdict("attention backward", &worst_backward, 1, 0);
}

/* Cells dealt to S slots: all to one, one and the rest to two, in turn; until the next call. */
enum { TO_ONE, TO_TWO, IN_TURN, DEALS };
static const int32_t *dealt(int S, int how)
{
    static int32_t *all;
    if (!all) all = shared_room(MOST_CELLS * sizeof *all);
    for (int b = 0; b < MOST_CELLS; b++)
        all[b] = how == IN_TURN ? b % S : how == TO_ONE ? S / 2 : b == 2 ? 0 : S - 1;
    return all;
}

/* A GPU gives a slot to several blocks: more than it has cells, fewer than groups of queries, with
 * a last group that is not full. 1025 heads of slots are more than it counts blocks of. */
static void slots_apart(void)
{
    const int shape[][6] = {/* B, S, Tq, Tk, F, H */
                            {64, 2, 8, 8, 32, 4},   {131, 3, 8, 8, 24, 3},  {128, 16, 8, 8, 16, 2},
                            {7, 1, 70, 9, 12, 1},   {9, 2, 40, 130, 8, 2},  {128, 1, 1, 3, 8, 2},
                            {320, 128, 2, 1, 8, 8}, {320, 41, 5, 2, 25, 25}};
    op_gaps worst = {0};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int how = 0; how < DEALS; how++) {
            const int *n = shape[i];
            setting s = {.B = n[0], .S = n[1], .Tq = n[2], .Tk = n[3], .F = n[4], .H = n[5]};
            op_dropout d;
            s.slot = dealt(s.S, how);
            s.drop = op_drop(&d, 6, how == TO_TWO ? 0.3 : 0, s.B, s.H * s.Tq * s.Tk);
            op_case f = forward_case(&s);
            double *result[MOST_ARGUMENTS];
            op_run(&f, op_exact(), 0, result);
            op_case b = backward_case(&s, &f, result);
            op_variants(&b, &worst);
            op_free_result(&f, result);
            op_free(&f);
            op_free(&b);
            if (s.drop) shared_free(s.drop->bits);
        }
    op_verdict("attention backward, slots apart", &worst, 1, 0);
}

/* The sums of a slot have the same bits whichever of its blocks comes last; the emulation takes
 * blocks in another order each time. */
static void any_order(const cz_backend *backend)
{
    enum { B = 128, S = 2, T = 8, F = 32, TIMES = 6 };
    setting s = {.B = B, .S = S, .Tq = T, .Tk = T, .F = F, .H = 4, .slot = dealt(S, TO_TWO)};
    double *result[MOST_ARGUMENTS], *first[MOST_ARGUMENTS], *again[MOST_ARGUMENTS];
    op_case f = forward_case(&s);
    op_run(&f, op_exact(), 0, result);
    op_case b = backward_case(&s, &f, result);
    op_round(&b, cz_backend_dtype(backend));
    op_run(&b, backend, 0, first);
    bool same = true;
    for (int i = 1; i < TIMES; i++) {
        op_run(&b, backend, 0, again);
        for (int a = DQ; a <= DV; a++)
            same = same && !memcmp(first[a], again[a], op_size(&b.argument[a]) * sizeof **again);
        op_free_result(&b, again);
    }
    check(same, "attention: %s sums a slot in one order", cz_backend_name(backend));
    op_free_result(&f, result);
    op_free_result(&b, first);
    op_free(&f);
    op_free(&b);
}

/* One element of the output from its definition. */
static double defined(const setting *s, const op_case *f, int b, int i, int c)
{
    int n = s->F / s->H, h = c / n, key = (s->slot ? s->slot[b] : b) * s->Tk;
    const double *q = f->argument[Q].value, *k = f->argument[K].value, *v = f->argument[V].value;
    double sum = 0, out = 0;
    int keys = s->length ? s->length[key / s->Tk] : s->Tk;
    for (int j = 0; j < keys; j++) {
        double score = 0;
        for (int e = h * n; e < (h + 1) * n; e++)
            score += q[(b * s->Tq + i) * s->F + e] * k[(key + j) * s->F + e];
        double p = exp(score / sqrt(n));
        bool kept =
            !s->drop || op_kept(s->drop, b, s->H * s->Tq * s->Tk, (h * s->Tq + i) * s->Tk + j);
        sum += p;
        if (kept) out += p * (s->drop ? cz_dropout_scale(s->drop->p) : 1) * v[(key + j) * s->F + c];
    }
    return out / sum;
}

static void differences(const int32_t *slot, double p, int Tq, bool padded)
{
    setting s = {.B = 3, .S = 3, .Tq = Tq, .Tk = 5, .F = 9, .H = 3, .slot = slot};
    if (padded) s.length = lengths(s.Tk);
    op_dropout d;
    s.drop = op_drop(&d, 6, p, s.B, s.H * s.Tq * s.Tk);
    op_case f = forward_case(&s);
    double *result[MOST_ARGUMENTS], *gradient[MOST_ARGUMENTS], worst = 0;
    op_run(&f, op_exact(), 0, result);
    op_case b = backward_case(&s, &f, result);
    op_run(&b, op_exact(), 0, gradient);
    const char *with = padded ? slot ? "padded slots" : "padded keys" : slot ? "slots" : "own keys";
    for (int i = 0; i < 3; i++) {
        const op_argument *into = &b.argument[i];
        for (size_t j = 0; j < op_size(into) && into->role == ADDED; j++)
            gradient[i][j] -= into->value[j];
        double gap = op_difference(&f, OUT, b.argument[DOUT].value, Q + i, gradient[i]);
        check(gap < TOL_FINITE_DIFFERENCE,
              "attention: %s by differences, %d queries, %s, "
              "dropout %.1f: %.1e",
              into->name, Tq, with, p, gap);
    }
    for (int n = 0; n < s.B * s.Tq * s.F; n++)
        worst = fmax(
            worst, fabs(result[OUT][n] - defined(&s, &f, n / s.F / s.Tq, n / s.F % s.Tq, n % s.F)));
    check(worst < TOL_F64_OP, "attention: as defined, %d queries, %s, dropout %.1f: %.1e", Tq, with,
          p, worst);
    op_free_result(&f, result);
    op_free_result(&b, gradient);
    op_free(&f);
    op_free(&b);
    if (s.drop) shared_free(s.drop->bits);
}

/* The same bits for a cell among padded ones as for one whose keys all count. */
static void any_padding(const cz_backend *backend)
{
    enum { B = 3, LONG = 37, F = 64, H = 4 };
    setting s = {.B = B, .S = B, .Tq = LONG, .Tk = LONG, .F = F, .H = H};
    s.length = lengths(LONG);
    op_case f = forward_case(&s);
    double *padded[MOST_ARGUMENTS], *alone[MOST_ARGUMENTS];
    op_round(&f, cz_backend_dtype(backend));
    op_run(&f, backend, 0, padded);
    bool same = true, none = true;
    for (int b = 0; b < B; b++) {
        int T = s.length[b];
        setting one = {.B = 1, .S = 1, .Tq = T, .Tk = T, .F = F, .H = H};
        op_case g = forward_case(&one);
        for (int i = Q; i <= V; i++)
            op_give(&g.argument[i], f.argument[i].value + (size_t)b * LONG * F);
        op_run(&g, backend, 0, alone);
        same = same && !memcmp(alone[OUT], padded[OUT] + (size_t)b * LONG * F,
                               (size_t)T * F * sizeof(double));
        for (int i = 0; i < H * LONG; i++)
            for (int j = T; j < LONG; j++)
                none = none && padded[PROBS][((size_t)b * H * LONG + (size_t)i) * LONG + j] == 0;
        op_free_result(&g, alone);
        op_free(&g);
    }
    check(same && none, "attention: %s gives a cell the same bits whatever the padding",
          cz_backend_name(backend));
    op_free_result(&f, padded);
    op_free(&f);
}

/* The same bits for a cell alone as for a cell of five. */
static void any_batch(const cz_backend *backend)
{
    setting all = {.B = 5, .S = 5, .Tq = 8, .Tk = 8, .F = 64, .H = 4};
    op_dropout d;
    all.drop = op_drop(&d, 6, 0.2, all.B, all.H * all.Tq * all.Tk);
    op_case f = forward_case(&all);
    double *result[MOST_ARGUMENTS], *gradient[MOST_ARGUMENTS];
    op_round(&f, cz_backend_dtype(backend));
    op_run(&f, backend, 0, result);
    op_case b = backward_case(&all, &f, result);
    op_round(&b, cz_backend_dtype(backend));
    op_run(&b, backend, 0, gradient);
    bool same = true;
    for (int cell = 0; cell < all.B; cell++) {
        cz_dropout own = *all.drop;
        setting one = all;
        double *alone[MOST_ARGUMENTS], *back[MOST_ARGUMENTS];
        one.B = one.S = 1;
        one.drop = &own;
        own.cell += cell;
        own.bits += (size_t)cell * cz_mask_bytes(all.H * all.Tq * all.Tk);
        op_case g = forward_case(&one);
        for (int i = Q; i <= V; i++)
            op_give(&g.argument[i], f.argument[i].value + (size_t)cell * op_size(&g.argument[i]));
        op_run(&g, backend, 3, alone);
        op_case h = backward_case(&one, &g, alone);
        op_give(&h.argument[DOUT],
                b.argument[DOUT].value + (size_t)cell * op_size(&h.argument[DOUT]));
        op_run(&h, backend, 3, back);
        for (int i = 0; i < 5; i++) {
            size_t n = op_size(&g.argument[i]), m = op_size(&h.argument[i]);
            if (i <= PROBS)
                same = same && !memcmp(alone[i], result[i] + cell * n, n * sizeof(double));
            if (i <= DV)
                same = same && !memcmp(back[i], gradient[i] + cell * m, m * sizeof(double));
        }
        op_free_result(&g, alone);
        op_free_result(&h, back);
        op_free(&g);
        op_free(&h);
    }
    check(same, "attention: %s gives a cell the same bits in any batch", cz_backend_name(backend));
    op_free_result(&f, result);
    op_free_result(&b, gradient);
    op_free(&f);
    op_free(&b);
    shared_free(all.drop->bits);
}

/* Scratch of a slot's blocks is given back, never more than promised, and its lack an error. */
static void scratch(const cz_backend *backend)
{
    enum { B = 64, S = 2, T = 8, F = 32, LITTLE = 4096 };
    setting s = {.B = B, .S = S, .Tq = T, .Tk = T, .F = F, .H = 4, .slot = dealt(S, TO_TWO)};
    size_t promised = cz_ops_scratch(backend, B * T, F, 1, T, 1, 1), peak = 0;
    double *result[MOST_ARGUMENTS];
    cz_status status[2];
    bool back = true;
    op_case f = forward_case(&s);
    op_run(&f, op_exact(), 0, result);
    op_case b = backward_case(&s, &f, result);
    for (int i = 0; i < 2; i++) {
        cz_tensor t[MOST_ARGUMENTS];
        cz_arena room = shared_arena(i ? promised : LITTLE);
        cz_exec exec = variant_exec(backend, NULL, &room);
        for (int a = 0; a < b.count; a++)
            t[a] = op_tensor(&b.argument[a], cz_backend_dtype(backend), 0);
        status[i] = variant_wait(&exec, b.call(&exec, t, &s));
        back = back && !room.used;
        peak = room.peak;
        for (int a = 0; a < b.count; a++) shared_free(t[a].data);
        shared_arena_free(&room);
        if (!i) cz_error_clear();
    }
    check(back && status[0] == CZ_ERR_MEMORY && !status[1] && peak > LITTLE,
          "attention: %s, a slot's blocks take %zu bytes of %zu, %d are too few",
          cz_backend_name(backend), peak, promised, (int)LITTLE);
    op_free_result(&f, result);
    op_free(&f);
    op_free(&b);
}

/* Scores whose exponentials no type holds: the whole weight is one key's. */
static void far_apart(const cz_backend *backend)
{
    enum { T = 64, F = 32, MOST = 50 };
    setting s = {.B = 1, .S = 1, .Tq = T, .Tk = T, .F = F, .H = 1};
    op_case f = forward_case(&s);
    double *q = f.argument[Q].value, *k = f.argument[K].value, *v = f.argument[V].value;
    for (int i = 0; i < T * F; i++) {
        q[i] = i % F ? 0 : 256;
        k[i] = i % F ? 1 : i / F == MOST ? 64 : -64;
    }
    op_round(&f, cz_backend_dtype(backend));
    double *result[MOST_ARGUMENTS];
    op_run(&f, backend, 0, result);
    bool right = true;
    for (int i = 0; i < T * F; i++) right = right && result[OUT][i] == v[MOST * F + i % F];
    check(right, "attention: %s, of scores far apart the largest takes all",
          cz_backend_name(backend));
    op_free_result(&f, result);
    op_free(&f);
}

/* Every bit of every cell's mask is that of fp64, and none beyond is written. */
static void masks(const cz_backend *backend)
{
    const int shape[][3] = {/* Tq, Tk, H */
                            {1, 1, 1}, {3, 5, 3}, {8, 8, 4}, {35, 7, 2}, {67, 3, 5}, {33, 71, 1}};
    bool same = true;
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        const int *n = shape[i];
        setting s = {.B = 3, .S = 3, .Tq = n[0], .Tk = n[1], .F = 2 * n[2], .H = n[2]};
        int elements = s.H * s.Tq * s.Tk;
        size_t bytes = (size_t)s.B * cz_mask_bytes(elements) + 1;
        op_dropout d;
        s.drop = op_drop(&d, 6, 0.3, s.B, elements);
        op_case f = forward_case(&s);
        double *result[MOST_ARGUMENTS];
        uint8_t *want = malloc(bytes);
        if (!want) exit(2);
        op_round(&f, cz_backend_dtype(backend));
        for (int fp64 = 1; fp64 >= 0; fp64--) {
            memset(d.drop.bits, 0xff, bytes);
            op_run(&f, fp64 ? op_exact() : backend, 0, result);
            if (fp64) memcpy(want, d.drop.bits, bytes);
            op_free_result(&f, result);
        }
        same = same && want[bytes - 1] == 0xff && !memcmp(want, d.drop.bits, bytes);
        op_free(&f);
        free(want);
        shared_free(d.drop.bits);
    }
    check(same, "attention: %s writes the masks that fp64 does", cz_backend_name(backend));
}

/* Sums over cells and heads, to the unit, whatever else stands in the sum and in the padding. */
static void tally(const cz_backend *backend)
{
    enum { B = 9, H = 4, Tq = 3, Tk = 5 };
    op_argument probs = {.name = "probs", .rank = 4, .dim = {B, H, Tq, Tk}};
    cz_dtype dtype = cz_backend_dtype(backend);
    probs.value = op_random(B * H * Tq * Tk, 0.1);
    int64_t *sum = shared_room(Tq * Tk * sizeof *sum), expected[Tq * Tk];
    for (int i = 0; i < Tq * Tk; i++) sum[i] = expected[i] = i;
    for (int i = 0; i < B * H * Tq * Tk; i++) {
        probs.value[i] = i == 77 ? (double)NAN : rounded_to(dtype, fabs(probs.value[i]));
        if (i != 77) expected[i % (Tq * Tk)] += llround(ldexp(probs.value[i], CZ_TALLY_BITS));
    }
    cz_tensor t = op_tensor(&probs, dtype, 3);
    cz_exec exec = op_exec(backend);
    cz_status status = variant_wait(&exec, cz_attention_tally(&exec, sum, t));
    check(!status && !memcmp(sum, expected, sizeof expected), "attention: %s adds whole numbers",
          cz_backend_name(backend));
    check(cz_attention_tally(&exec, NULL, t) == CZ_ERR_BUG &&
              cz_attention_tally(&exec, sum, cz_flat(t)) == CZ_ERR_BUG,
          "attention: %s, no sum, or a matrix, is refused", cz_backend_name(backend));
    op_tensor_free(t, 3);
    shared_free(sum);
    free(probs.value);
}

/* A GPU says what it has no room for. */
static void too_wide(const cz_backend *backend)
{
    setting s = {.B = 1, .S = 1, .Tq = 32, .Tk = 3, .F = 4096, .H = 1};
    double *result[MOST_ARGUMENTS];
    op_case f = forward_case(&s);
    op_run(&f, op_exact(), 0, result);
    op_case b = backward_case(&s, &f, result);
    cz_exec exec = op_exec(backend);
    for (int back = 0; back < 2; back++) {
        op_case *o = back ? &b : &f;
        cz_tensor t[MOST_ARGUMENTS];
        for (int i = 0; i < o->count; i++)
            t[i] = op_tensor(&o->argument[i], cz_backend_dtype(backend), 0);
        cz_error_clear();
        check(o->call(&exec, t, &s) == CZ_ERR_CONFIG &&
                  strstr(cz_error_message(), "set run.device: cpu"),
              "attention: %s refuses a head of 4096 columns, %s: %s", cz_backend_name(backend),
              back ? "backward" : "forward", cz_error_message());
        for (int i = 0; i < o->count; i++) shared_free(t[i].data);
    }
    op_free_result(&f, result);
    op_free(&f);
    op_free(&b);
}

static void refusals(void)
{
    setting s = {.B = 2, .S = 3, .Tq = 2, .Tk = 2, .F = 4, .H = 2};
    const int32_t beyond[] = {0, 3}, below[] = {-1, 0};
    cz_tensor t[5];
    cz_exec exec = op_exec(op_exact());
    for (int i = 0; i < 2; i++) {
        s.slot = i ? below : beyond;
        op_case f = forward_case(&s);
        for (int j = 0; j < f.count; j++) t[j] = op_tensor(&f.argument[j], CZ_F64, 0);
        cz_error_clear();
        check(forward(&exec, t, &s) == CZ_ERR_BUG && strstr(cz_error_message(), "slot"),
              "attention: slot %d of 3 is refused: %s", i ? -1 : 3, cz_error_message());
        for (int j = 0; j < f.count; j++) shared_free(t[j].data);
        op_free(&f);
    }
    s.slot = NULL;
    s.S = 2;
    const int32_t none[] = {2, 0}, more[] = {3, 1};
    for (int i = 0; i < 2; i++) {
        s.length = i ? more : none;
        op_case f = forward_case(&s);
        for (int j = 0; j < f.count; j++) t[j] = op_tensor(&f.argument[j], CZ_F64, 0);
        cz_error_clear();
        check(forward(&exec, t, &s) == CZ_ERR_BUG && strstr(cz_error_message(), "count"),
              "attention: a wrong number of keys is refused: %s", cz_error_message());
        for (int j = 0; j < f.count; j++) shared_free(t[j].data);
        op_free(&f);
    }
}

int main(void)
{
    variants();
    slots_apart();
    for (int variant = 0; variant < 8; variant++)
        differences(variant & 1 ? slots() : NULL, variant & 2 ? 0.3 : 0, 4, variant & 4);
    differences(slots(), 0.3, 35, false); /* more than one block of queries */
    differences(NULL, 0, 35, true);
    for (int v = 0; v < VARIANTS; v++) {
        const cz_backend *backend = variant_or_skip(v);
        if (!backend) continue;
        any_batch(backend);
        any_order(backend);
        any_padding(backend);
        far_apart(backend);
        masks(backend);
        tally(backend);
        if (backend_variants[v].gpu) scratch(backend);
        if (backend_variants[v].gpu) too_wide(backend);
    }
    refusals();
    return check_done();
}
