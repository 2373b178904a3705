/* LayerNorm of a residual sum, and positions: levels, finite differences, definition. */
#include "op_check.h"

typedef struct setting {
    const cz_dropout *drop;
    int cells;
    double eps;
    bool in_place; /* y is the residual; dresidual is dy */
} setting;

enum { Y, MEAN, RSTD, X, RESIDUAL, GAIN, BIAS };

static cz_status forward(cz_exec *exec, cz_tensor *t, void *context)
{
    setting *s = context;
    return cz_add_dropout_norm_forward(exec, s->in_place ? t[RESIDUAL] : t[Y], t[MEAN], t[RSTD],
                                       t[X], t[RESIDUAL], t[GAIN], t[BIAS], s->eps, s->drop,
                                       s->cells);
}

enum { DX, DRESIDUAL, DGAIN, DBIAS, DY, SUM, MEAN2, RSTD2, GAIN2 };

static cz_status backward(cz_exec *exec, cz_tensor *t, void *context)
{
    setting *s = context;
    return cz_add_dropout_norm_backward(exec, t[DX], s->in_place ? t[DY] : t[DRESIDUAL], t[DGAIN],
                                        t[DBIAS], t[DY], t[SUM], t[MEAN2], t[RSTD2], t[GAIN2],
                                        s->drop, s->cells);
}

static int axis(int n) { return n ? n : -1; }

static op_case forward_case(setting *s, int N, int C)
{
    op_case o = {.call = forward, .context = s};
    op_add(&o, "y", SET, axis(N), C, 0, 0);
    op_add(&o, "mean", SET, axis(N), 0, 0, 0);
    op_add(&o, "rstd", SET, axis(N), 0, 0, 0);
    op_argument *x = op_add(&o, "x", CHANGED, axis(N), C, 0, 0);
    for (size_t i = 0; i < op_size(x); i++) x->value[i] += 3; /* a mean far from 0 */
    op_add(&o, "residual", s->in_place ? CHANGED : IN, axis(N), C, 0, 0);
    op_add(&o, "gain", IN, C, 0, 0, 0);
    op_add(&o, "bias", IN, C, 0, 0, 0);
    if (s->in_place) o.argument[Y].role = IN;
    return o;
}

/* Of what the forward form left in `result`. */
static op_case backward_case(setting *s, const op_case *f, double **result, int N, int C)
{
    op_case o = {.call = backward, .context = s};
    op_add(&o, "dx", SET, axis(N), C, 0, 0);
    op_add(&o, "dresidual", s->in_place ? IN : SET, axis(N), C, 0, 0);
    op_add(&o, "dgain", ADDED, C, 0, 0, 0);
    op_add(&o, "dbias", ADDED, C, 0, 0, 0);
    op_add(&o, "dy", s->in_place ? CHANGED : IN, axis(N), C, 0, 0);
    op_give(op_add(&o, "s", IN, axis(N), C, 0, 0), result[X]);
    op_give(op_add(&o, "mean", IN, axis(N), 0, 0, 0), result[MEAN]);
    op_give(op_add(&o, "rstd", IN, axis(N), 0, 0, 0), result[RSTD]);
    op_give(op_add(&o, "gain", IN, C, 0, 0, 0), f->argument[GAIN].value);
    /* What fp32 reads must be exact there. */
    for (int i = SUM; i <= RSTD2; i++)
        for (size_t j = 0; j < op_size(&o.argument[i]); j++)
            o.argument[i].value[j] = (double)(float)o.argument[i].value[j];
    return o;
}

static void levels(void)
{
    const int shape[][3] = {{0, 0, 7},  {1, 1, 5},  {3, 2, 16},   {2, 3, 33},
                            {5, 8, 64}, {4, 1, 97}, {16, 8, 256}, {3, 7, 2049}};
    double worst_forward[CZ_LEVELS] = {0}, worst_backward[CZ_LEVELS] = {0};
    bool good = true;
    int cases = 0;
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int variant = 0; variant < 4; variant++, cases++) {
            int cells = shape[i][0], rows = shape[i][1], C = shape[i][2], N = cells * rows;
            op_dropout d;
            const cz_dropout *drop = op_drop(&d, 4, variant & 1 ? 0.3 : 0, cells, rows * C);
            setting s = {drop, cells, variant & 2 ? 1e-12 : 1e-5, variant & 2};
            op_case f = forward_case(&s, N, C);
            double *result[MOST_ARGUMENTS];
            good = op_levels(&f, worst_forward) && op_run(&f, op_exact(), 0, result) && good;
            op_case b = backward_case(&s, &f, result, N, C);
            good = op_levels(&b, worst_backward) && good;
            op_free_result(&f, result);
            op_free(&f);
            op_free(&b);
            if (drop) free(drop->bits);
        }
    op_verdict("norm forward", good, worst_forward, cases, TOL_F32_OP);
    op_verdict("norm backward", good, worst_backward, cases, TOL_F32_OP);
}

static void differences(double p, double eps)
{
    enum { CELLS = 2, ROWS = 3, C = 11, N = CELLS * ROWS };
    op_dropout d;
    const cz_dropout *drop = op_drop(&d, 4, p, CELLS, ROWS * C);
    setting s = {drop, CELLS, eps, false};
    op_case f = forward_case(&s, N, C);
    double *result[MOST_ARGUMENTS], *gradient[MOST_ARGUMENTS];
    op_run(&f, op_exact(), 0, result);
    op_case b = backward_case(&s, &f, result, N, C);
    for (int i = SUM; i <= RSTD2; i++) /* not rounded here */
        op_give(&b.argument[i], result[i == SUM ? X : i == MEAN2 ? MEAN : RSTD]);
    op_run(&b, op_exact(), 0, gradient);
    const int input[] = {X, RESIDUAL, GAIN, BIAS};
    for (int i = 0; i < 4; i++) {
        const op_argument *into = &b.argument[i];
        for (size_t j = 0; j < op_size(into) && into->role == ADDED; j++)
            gradient[i][j] -= into->value[j];
        double gap = op_difference(&f, Y, b.argument[DY].value, input[i], gradient[i]);
        check(gap < TOL_FINITE_DIFFERENCE, "norm: %s by differences, dropout %.1f, eps %g: %.1e",
              into->name, p, eps, gap);
    }
    double *y = op_random(N * C, 0), *sum = f.argument[RESIDUAL].value;
    for (int n = 0; n < N; n++) {
        double mean = 0, variance = 0, at[C];
        for (int c = 0; c < C; c++) {
            bool kept = !drop || op_kept(drop, n / ROWS, ROWS * C, n % ROWS * C + c);
            double x = kept ? f.argument[X].value[n * C + c] * (drop ? cz_dropout_scale(p) : 1) : 0;
            at[c] = sum[n * C + c] + x;
            mean += at[c] / C;
        }
        for (int c = 0; c < C; c++) variance += (at[c] - mean) * (at[c] - mean) / C;
        for (int c = 0; c < C; c++)
            y[n * C + c] = f.argument[GAIN].value[c] * (at[c] - mean) / sqrt(variance + eps) +
                           f.argument[BIAS].value[c];
    }
    double gap = check_distance(result[Y], y, N * C);
    check(gap < TOL_F64_OP, "norm: as defined, dropout %.1f, eps %g: %.1e", p, eps, gap);
    free(y);
    op_free_result(&f, result);
    op_free_result(&b, gradient);
    op_free(&f);
    op_free(&b);
    if (drop) free(drop->bits);
}

static cz_status positions(cz_exec *exec, cz_tensor *t, void *context)
{
    (void)context;
    return cz_add_positions(exec, t[0], t[1]);
}
static cz_status positions_backward(cz_exec *exec, cz_tensor *t, void *context)
{
    (void)context;
    return cz_add_positions_backward(exec, t[1], t[0]);
}

static void places(void)
{
    const int shape[][3] = {{0, 3, 4}, {1, 1, 1}, {3, 8, 33}, {5, 3, 256}};
    double worst[CZ_LEVELS] = {0};
    bool good = true, right = true;
    for (size_t i = 0; i < 4; i++) {
        int B = shape[i][0], T = shape[i][1], C = shape[i][2], n = T * C;
        op_case f = {.call = positions}, b = {.call = positions_backward};
        double *got[MOST_ARGUMENTS], *back[MOST_ARGUMENTS];
        const double *x = op_add(&f, "x", CHANGED, axis(B), T, C, 0)->value;
        const double *code = op_add(&f, "code", IN, T, C, 0, 0)->value;
        const double *dx = op_add(&b, "dx", IN, axis(B), T, C, 0)->value;
        const double *into = op_add(&b, "dcode", ADDED, T, C, 0, 0)->value;
        good = op_levels(&f, worst) && op_levels(&b, worst) && good;
        good = op_run(&f, op_exact(), 0, got) && op_run(&b, op_exact(), 0, back) && good;
        for (int e = 0; e < n; e++) {
            double sum = into[e];
            for (int c = 0; c < B; c++) {
                right = right && got[0][c * n + e] == x[c * n + e] + code[e];
                sum += dx[c * n + e];
            }
            right = right && fabs(back[1][e] - sum) < TOL_F64_OP;
        }
        op_free_result(&f, got);
        op_free_result(&b, back);
        op_free(&f);
        op_free(&b);
    }
    check(right, "positions: as defined, both ways");
    op_verdict("positions", good, worst, 8, TOL_F32_OP);
}

int main(void)
{
    levels();
    differences(0, 1e-12);
    differences(0.3, 1e-5);
    differences(0.3, 1);
    places();
    return check_done();
}
