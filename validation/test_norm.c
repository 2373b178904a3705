/* LayerNorm of a residual sum, and positions: variants, finite differences, definition. */
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
    op_add_wide(&o, "mean", SET, axis(N), 0);
    op_add_wide(&o, "rstd", SET, axis(N), 0);
    op_argument *x = op_add(&o, "x", CHANGED, axis(N), C, 0, 0);
    for (size_t i = 0; i < op_size(x); i++) x->value[i] += 3; /* a mean far from 0 */
    op_add(&o, "residual", s->in_place ? CHANGED : IN, axis(N), C, 0, 0);
    op_add_wide(&o, "gain", IN, C, 0);
    op_add_wide(&o, "bias", IN, C, 0);
    if (s->in_place) o.argument[Y].role = IN;
    return o;
}

/* Of what the forward form left in `result`. */
static op_case backward_case(setting *s, const op_case *f, double **result, int N, int C)
{
    op_case o = {.call = backward, .context = s};
    op_add(&o, "dx", SET, axis(N), C, 0, 0);
    op_add(&o, "dresidual", s->in_place ? IN : SET, axis(N), C, 0, 0);
    op_add_wide(&o, "dgain", ADDED, C, 0);
    op_add_wide(&o, "dbias", ADDED, C, 0);
    op_add(&o, "dy", s->in_place ? CHANGED : IN, axis(N), C, 0, 0);
    op_give(op_add(&o, "s", IN, axis(N), C, 0, 0), result[X]);
    op_give(op_add_wide(&o, "mean", IN, axis(N), 0), result[MEAN]);
    op_give(op_add_wide(&o, "rstd", IN, axis(N), 0), result[RSTD]);
    op_give(op_add_wide(&o, "gain", IN, C, 0), f->argument[GAIN].value);
    return o;
}

static void variants(void)
{
    const int shape[][3] = {{0, 0, 7},  {1, 1, 5},    {3, 2, 16},   {2, 3, 33},
                            {5, 8, 64}, {4, 1, 97},   {16, 8, 256}, {3, 7, 2049},
                            {5, 7, 6},  {3, 5, 1000}, {60, 9, 7},   {9, 30, 1025}};
    op_gaps worst_forward = {0}, worst_backward = {0};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int variant = 0; variant < 4; variant++) {
            int cells = shape[i][0], rows = shape[i][1], C = shape[i][2], N = cells * rows;
            op_dropout d;
            const cz_dropout *drop = op_drop(&d, 4, variant & 1 ? 0.3 : 0, cells, rows * C);
            setting s = {drop, cells, variant & 2 ? 1e-12 : 1e-5, variant & 2};
            op_case f = forward_case(&s, N, C);
            double *result[MOST_ARGUMENTS];
            op_variants(&f, &worst_forward);
            op_run(&f, op_exact(), 0, result);
            op_case b = backward_case(&s, &f, result, N, C);
            op_variants(&b, &worst_backward);
            op_free_result(&f, result);
            op_free(&f);
            op_free(&b);
            if (drop) shared_free(drop->bits);
        }
    /* s, then y; what s loses is of its mean of 3, not of its deviations. */
    op_verdict("norm forward", &worst_forward, 2, 2);
    op_verdict("norm backward", &worst_backward, 1, 0);
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
    double *y = op_room(N * C), *sum = f.argument[RESIDUAL].value;
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
    if (drop) shared_free(drop->bits);
}

/* A row of a case of one row of many: operands from `from`, a row each. */
static void give_row(op_argument *to, const op_argument *from, int row)
{
    size_t n = op_size(to);
    op_give(to, from->value + (op_size(from) > n ? (size_t)row * n : 0));
}

/* The same bits for a row alone as for a row of seven. */
static void any_rows(const cz_backend *backend)
{
    enum { N = 7, C = 75 };
    cz_dtype dtype = cz_backend_dtype(backend);
    op_dropout d;
    const cz_dropout *drop = op_drop(&d, 4, 0.3, N, C);
    setting all = {drop, N, 1e-5, false};
    double *result[MOST_ARGUMENTS], *gradient[MOST_ARGUMENTS], *alone[MOST_ARGUMENTS];
    op_case f = forward_case(&all, N, C);
    op_round(&f, dtype);
    op_run(&f, backend, 0, result);
    op_case b = backward_case(&all, &f, result, N, C);
    op_round(&b, dtype);
    op_run(&b, backend, 0, gradient);
    bool same = true;
    for (int n = 0; n < N; n++) {
        cz_dropout own = *drop;
        setting one = {&own, 1, 1e-5, false};
        own.cell += n;
        own.bits += (size_t)n * cz_mask_bytes(C);
        op_case g = forward_case(&one, 1, C), h = backward_case(&one, &f, result, 1, C);
        for (int i = X; i <= BIAS; i++) give_row(&g.argument[i], &f.argument[i], n);
        for (int i = DY; i <= GAIN2; i++) give_row(&h.argument[i], &b.argument[i], n);
        op_round(&h, dtype); /* the sums that it begins with */
        op_run(&g, backend, 3, alone);
        same = same && !memcmp(alone[Y], result[Y] + n * C, C * sizeof(double)) &&
               alone[MEAN][0] == result[MEAN][n] && alone[RSTD][0] == result[RSTD][n];
        op_free_result(&g, alone);
        op_run(&h, backend, 3, alone);
        for (int i = DX; i <= DRESIDUAL; i++)
            same = same && !memcmp(alone[i], gradient[i] + n * C, C * sizeof(double));
        op_free_result(&h, alone);
        op_free(&g);
        op_free(&h);
    }
    check(same, "norm: %s gives a row the same bits among any", cz_backend_name(backend));
    op_free_result(&f, result);
    op_free_result(&b, gradient);
    op_free(&f);
    op_free(&b);
    shared_free(drop->bits);
}

/* Sums over many rows, of whole numbers: the same in every order. */
static void many_rows(const cz_backend *backend, int N, int C)
{
    setting s = {NULL, 0, 1e-5, false};
    double *result[MOST_ARGUMENTS], *want[MOST_ARGUMENTS], *got[MOST_ARGUMENTS];
    op_case f = forward_case(&s, N, C);
    op_run(&f, op_exact(), 0, result);
    op_case b = backward_case(&s, &f, result, N, C);
    for (int i = DGAIN; i <= GAIN2; i++)
        for (size_t e = 0; e < op_size(&b.argument[i]); e++) {
            double *x = &b.argument[i].value[e];
            *x = i == MEAN2 ? 0 : i == RSTD2 ? 1 : nearbyint(4 * *x);
        }
    op_run(&b, op_exact(), 0, want);
    op_run(&b, backend, 0, got);
    check(!memcmp(got[DGAIN], want[DGAIN], (size_t)C * sizeof(double)) &&
              !memcmp(got[DBIAS], want[DBIAS], (size_t)C * sizeof(double)),
          "norm: %s sums whole numbers over %d rows of %d exactly", cz_backend_name(backend), N, C);
    op_free_result(&f, result);
    op_free_result(&b, want);
    op_free_result(&b, got);
    op_free(&f);
    op_free(&b);
}

/* Every bit of every cell's mask is that of the portable fp64, and none beyond is written. */
static void mask_bits(const cz_backend *backend)
{
    const int shape[][3] = {{1, 1, 1},  {3, 7, 3},   {2, 5, 33},
                            {3, 4, 64}, {2, 3, 700}, {1, 2, 1100}};
    bool same = true;
    for (int i = 0; i < 12; i++) {
        int cells = shape[i / 2][0], rows = shape[i / 2][1], C = shape[i / 2][2];
        size_t bytes = (size_t)cells * cz_mask_bytes(rows * C) + 1;
        op_dropout d;
        const cz_dropout *drop = op_drop(&d, 4, 0.3, cells, rows * C);
        if (i % 2) d.drop.p = 0;
        setting s = {drop, cells, 1e-5, false};
        op_case f = forward_case(&s, cells * rows, C);
        double *result[MOST_ARGUMENTS];
        uint8_t *want = malloc(bytes);
        if (!want) exit(2);
        memset(drop->bits, 0xff, bytes);
        op_round(&f, cz_backend_dtype(backend));
        op_run(&f, op_exact(), 0, result);
        memcpy(want, drop->bits, bytes);
        op_free_result(&f, result);
        memset(drop->bits, 0xff, bytes);
        op_run(&f, backend, 0, result);
        same = same && want[bytes - 1] == 0xff && !memcmp(want, drop->bits, bytes);
        op_free_result(&f, result);
        op_free(&f);
        free(want);
        shared_free(drop->bits);
    }
    check(same, "norm: %s writes the masks that fp64 does", cz_backend_name(backend));
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
    op_gaps worst = {0};
    bool right = true;
    for (size_t i = 0; i < 4; i++) {
        int B = shape[i][0], T = shape[i][1], C = shape[i][2], n = T * C;
        op_case f = {.call = positions}, b = {.call = positions_backward};
        double *got[MOST_ARGUMENTS], *back[MOST_ARGUMENTS];
        const double *x = op_add(&f, "x", CHANGED, axis(B), T, C, 0)->value;
        const double *code = op_add_wide(&f, "code", IN, T, C)->value;
        const double *dx = op_add(&b, "dx", IN, axis(B), T, C, 0)->value;
        const double *into = op_add_wide(&b, "dcode", ADDED, T, C)->value;
        op_variants(&f, &worst);
        op_variants(&b, &worst);
        right = op_run(&f, op_exact(), 0, got) && right;
        right = op_run(&b, op_exact(), 0, back) && right;
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
    op_verdict("positions", &worst, 1, 0);
}

int main(void)
{
    variants();
    differences(0, 1e-12);
    differences(0.3, 1e-5);
    differences(0.3, 1);
    places();
    for (int v = 0; v < VARIANTS; v++) {
        if (!variant_or_skip(v)) continue;
        any_rows(variant_backend(v));
        many_rows(variant_backend(v), 2100, 7);
        many_rows(variant_backend(v), 300, 1030);
        mask_bits(variant_backend(v));
    }
    return check_done();
}
