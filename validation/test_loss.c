/* Softmax cross-entropy: variants, definition, gradient, ties, large logits, unknown classes,
 * weights. */
#include "op_check.h"

enum { MOST_CELLS = 64 };

typedef struct setting {
    int B, head;
    bool wants_gradient;
    int32_t *code; /* these are memory that every variant may use */
    double *loss;
    int32_t *best;
} setting;

static setting setting_open(const int32_t *code, int B, int head, bool wants_gradient)
{
    setting s = {B,
                 head,
                 wants_gradient,
                 shared_room(MOST_CELLS * sizeof *s.code),
                 shared_room(MOST_CELLS * sizeof *s.loss),
                 shared_room(MOST_CELLS * sizeof *s.best)};
    if (B) memcpy(s.code, code, (size_t)B * sizeof *code);
    return s;
}
static void setting_close(setting *s)
{
    shared_free(s->code);
    shared_free(s->loss);
    shared_free(s->best);
}

enum { DLOGITS, LOGITS };

static cz_status call(cz_exec *exec, cz_tensor *t, void *context)
{
    setting *s = context;
    for (int b = 0; b < MOST_CELLS; b++) {
        s->loss[b] = (double)NAN;
        s->best[b] = -7;
    }
    cz_tensor absent = {0};
    return cz_cross_entropy(exec, s->wants_gradient ? t[DLOGITS] : absent, s->loss, s->best,
                            t[LOGITS], s->code, s->head);
}

static op_case loss_case(setting *s, int C)
{
    op_case o = {.call = call, .context = s};
    int B = s->B ? s->B : -1;
    op_add(&o, "dlogits", s->wants_gradient ? SET : IN, B, C, 0, 0);
    op_add_wide(&o, "logits", IN, B, C);
    return o;
}

static double largest_of(const double *x, int C)
{
    double top = x[0];
    for (int c = 1; c < C; c++) top = fmax(top, x[c]);
    return top;
}

/* Of class `code` under head 2, which has weights here; those of the others are absent. */
static const double weights[] = {0.5, 2, 0, 1.25, 3, 7, 0.1, 1};
static double weight_of(const setting *s, int code)
{
    return s->head == 2 && op_step.class_weight[2].data ? weights[code % 8] : 1;
}

/* Everything from the definition, with long double inside; what is stored as `dtype`. */
static bool defined(const setting *s, const op_case *o, double **got, int C, cz_dtype dtype)
{
    bool good = true;
    double tolerance = variant_tolerance(cz_dtype_wide(dtype));
    for (int b = 0; b < s->B; b++) {
        const double *x = o->argument[LOGITS].value + b * C;
        double top = largest_of(x, C);
        long double sum = 0;
        int best = 0;
        while (x[best] != top) best++;
        for (int c = 0; c < C; c++) sum += expl((long double)x[c] - top);
        double loss = s->code[b] < 0 ? 0 : (double)(logl(sum) - ((long double)x[s->code[b]] - top));
        good = good && s->best[b] == best && fabs(s->loss[b] - loss) <= tolerance * (1 + loss);
        for (int c = 0; c < C; c++) {
            double p = (double)(expl((long double)x[c] - top) / sum);
            double d = s->code[b] < 0 ? 0
                                      : (p - (c == s->code[b])) * op_step.scale[s->head] *
                                            weight_of(s, s->code[b]);
            double rounding = dtype == CZ_BF16 ? fabs(d) * TOL_BF16_OP : 0;
            if (s->wants_gradient)
                good = good && fabs(got[DLOGITS][b * C + c] - d) <= tolerance + rounding;
        }
    }
    return good;
}

static bool run_defined(setting *s, const op_case *o, int C, int v)
{
    double *got[MOST_ARGUMENTS];
    cz_dtype dtype = backend_variants[v].dtype;
    op_case own = op_rounded(o, dtype);
    bool good = op_run(&own, variant_backend(v), 2, got);
    good = defined(s, &own, got, C, dtype) && good;
    op_free_result(&own, got);
    op_free(&own);
    return good;
}

/* Gives head 2 the weights of C classes; 0: none. */
static void weigh(int C)
{
    static double *all;
    if (!all) all = shared_room(1024 * sizeof *all);
    for (int c = 0; c < C; c++) all[c] = weights[c % 8];
    op_step.class_weight[2] = C ? cz_vector(all, CZ_F64, C) : (cz_tensor){0};
}

static void variants(void)
{
    const int shape[][2] = {{0, 3}, {1, 1}, {2, 2}, {7, 14}, {5, 33}, {64, 16}, {3, 981}};
    op_gaps worst = {0};
    bool right[VARIANTS];
    for (int v = 0; v < VARIANTS; v++) right[v] = true;
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int variant = 0; variant < 4; variant++) {
            int B = shape[i][0], C = shape[i][1];
            weigh(variant & 2 ? C : 0);
            int32_t code[MOST_CELLS];
            for (int b = 0; b < B; b++) code[b] = b % 5 == 3 ? -1 : (b * 7 + 1) % C;
            setting s = setting_open(code, B, 2, variant & 1);
            op_case o = loss_case(&s, C);
            for (size_t e = 0; e < (size_t)B * (size_t)C; e++) o.argument[LOGITS].value[e] *= 4;
            op_variants(&o, &worst);
            for (int v = 0; v < VARIANTS; v++)
                right[v] = right[v] && (!variant_backend(v) || run_defined(&s, &o, C, v));
            op_free(&o);
            setting_close(&s);
        }
    op_verdict("cross-entropy", &worst, 1, 0);
    for (int v = 0; v < VARIANTS; v++)
        if (variant_or_skip(v))
            check(right[v], "cross-entropy: %s, loss, best class and gradient as defined",
                  backend_variants[v].name);
}

static void differences(bool weighted)
{
    enum { B = 6, C = 5, HEAD = 2 };
    const int32_t code[B] = {0, 4, -1, 2, 2, 1};
    const double h = 1e-5;
    setting s = setting_open(code, B, HEAD, true);
    op_case o = loss_case(&s, C);
    weigh(weighted ? C : 0);
    double *got[MOST_ARGUMENTS], *moved[MOST_ARGUMENTS], worst = 0;
    op_run(&o, op_exact(), 0, got);
    for (int e = 0; e < B * C; e++) {
        double sum[2] = {0, 0}, *x = o.argument[LOGITS].value + e, kept = *x;
        for (int side = 0; side < 2; side++) {
            *x = side ? kept - h : kept + h;
            op_run(&o, op_exact(), 0, moved);
            for (int b = 0; b < B; b++)
                if (code[b] >= 0)
                    sum[side] += s.loss[b] * op_step.scale[HEAD] * weight_of(&s, code[b]);
            op_free_result(&o, moved);
        }
        *x = kept;
        worst = fmax(worst, fabs((sum[0] - sum[1]) / (2 * h) - got[DLOGITS][e]));
    }
    check(worst < TOL_FINITE_DIFFERENCE, "cross-entropy: dlogits by differences, %s: %.1e",
          weighted ? "classes weighed" : "all classes alike", worst);
    weigh(0);
    op_free_result(&o, got);
    op_free(&o);
    setting_close(&s);
}

/* Logits that overflow exp, that underflow it, that tie, and that are not finite. */
static void extremes(const cz_backend *backend)
{
    enum { B = 6, C = 18 };
    const int32_t code[B] = {0, 1, 3, -1, 17, 2};
    setting s = setting_open(code, B, 0, true);
    op_case o = loss_case(&s, C);
    double *x = o.argument[LOGITS].value, *got[MOST_ARGUMENTS];
    for (int c = 0; c < C; c++) {
        x[c] = c == 0 ? 1e4 : -1e4;      /* certain and right */
        x[C + c] = c == 0 ? 1e4 : 0;     /* certain and wrong: a loss of 1e4 */
        x[2 * C + c] = c == 3 || c == 9; /* a tie */
        x[3 * C + c] = 5 - (c == 1);     /* unknown, a tie of nearly all */
        x[4 * C + c] = -0x1p100;         /* all equal */
    }
    x[5 * C + 4] = (double)NAN;
    const cz_step kept = op_step;
    op_step.scale[0] = 0.25;
    bool ran = op_run(&o, backend, 1, got);
    op_step = kept;
    double n = log(16 + 2 * exp(1)), *d = got[DLOGITS];
    bool finite = ran;
    for (int e = 0; e < 5 * C; e++) finite = finite && isfinite(d[e]);
    check(finite && s.loss[0] == 0 && s.loss[1] == 1e4 && d[C] == 0.25 && d[C + 1] == -0.25,
          "cross-entropy: %s with logits of 1e4", cz_backend_name(backend));
    check(s.best[2] == 3 && s.best[3] == 0 && s.best[4] == 0 &&
              fabs(s.loss[2] - n + 1) < TOL_F32_OP && fabs(s.loss[4] - log(18)) < TOL_F32_OP,
          "cross-entropy: %s takes the first of equals", cz_backend_name(backend));
    bool silent = s.loss[3] == 0;
    for (int c = 0; c < C; c++) silent = silent && d[3 * C + c] == 0;
    check(silent, "cross-entropy: %s, an unknown class costs nothing", cz_backend_name(backend));
    check(isnan(s.loss[5]) && s.best[5] >= 0 && s.best[5] < C,
          "cross-entropy: %s shows a NaN in the loss", cz_backend_name(backend));
    op_free_result(&o, got);
    op_free(&o);
    setting_close(&s);
}

/* The same for a cell alone as among others. */
static void any_batch(const cz_backend *backend)
{
    enum { B = 9, C = 21 };
    int32_t code[B];
    for (int b = 0; b < B; b++) code[b] = b == 4 ? -1 : b * 5 % C;
    setting all = setting_open(code, B, 2, true);
    op_case o = loss_case(&all, C);
    double *got[MOST_ARGUMENTS], *alone[MOST_ARGUMENTS];
    op_round(&o, cz_backend_dtype(backend));
    op_run(&o, backend, 0, got);
    bool same = true;
    for (int b = 0; b < B; b++) {
        setting one = setting_open(code + b, 1, 2, true);
        op_case single = loss_case(&one, C);
        op_give(&single.argument[LOGITS], o.argument[LOGITS].value + b * C);
        op_run(&single, backend, 3, alone);
        same = same && one.loss[0] == all.loss[b] && one.best[0] == all.best[b] &&
               !memcmp(alone[DLOGITS], got[DLOGITS] + b * C, C * sizeof(double));
        op_free_result(&single, alone);
        op_free(&single);
        setting_close(&one);
    }
    check(same, "cross-entropy: %s gives a cell the same bits in any batch",
          cz_backend_name(backend));
    op_free_result(&o, got);
    op_free(&o);
    setting_close(&all);
}

static void refusals(void)
{
    const int32_t code[] = {0, 4};
    setting s = setting_open(code, 2, 0, true);
    op_case o = loss_case(&s, 4);
    cz_tensor t[2];
    cz_exec exec = variant_exec(op_exact(), &op_step, op_scratch());
    for (int i = 0; i < 2; i++) t[i] = op_tensor(&o.argument[i], CZ_F64, 0);
    cz_error_clear();
    check(call(&exec, t, &s) == CZ_ERR_BUG, "cross-entropy: class 4 of 4 is refused: %s",
          cz_error_message());
    s.head = 2;
    weigh(3);
    cz_error_clear();
    check(call(&exec, t, &s) == CZ_ERR_BUG && strstr(cz_error_message(), "class_weight"),
          "cross-entropy: weights of 3 classes for 4 are refused: %s", cz_error_message());
    weigh(0);
    for (int i = 0; i < 2; i++) shared_free(t[i].data);
    op_free(&o);
    setting_close(&s);
}

int main(void)
{
    for (int h = 0; h < CZ_MAX_HEADS; h++) op_step.scale[h] = 1.0 / (3 + h);
    variants();
    differences(false);
    differences(true);
    for (int v = 0; v < VARIANTS; v++) {
        if (!variant_or_skip(v)) continue;
        extremes(variant_backend(v));
        any_batch(variant_backend(v));
    }
    refusals();
    return check_done();
}
