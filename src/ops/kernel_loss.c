/* Softmax cross-entropy. */
#include "vector.h"

/* Index of the largest of x, the first of equals; 0 where nothing is larger than NaN. */
static int largest(const real *x, int C)
{
    vec most = broadcast(x[0]);
    for (int c = 0; c < C; c += LANES)
        most = vec_max(keep_next(load_next(x + c, C - c), most, C - c), most);
    real top = max_lanes(most);
    for (int c = 0; c < C; c++)
        if (x[c] == top) return c;
    return 0;
}

/* e = exp(x - top), and their sum. e may be x. */
static real exponentials(real *e, const real *x, int C, real top)
{
    vec sum = {0};
    for (int c = 0; c < C; c += LANES) {
        vec ec = vec_exp(load_next(x + c, C - c) - broadcast(top));
        store_next(e + c, ec, C - c);
        sum += keep_next(ec, (vec){0}, C - c);
    }
    return sum_lanes(sum);
}

/* d = (e / sum - one-hot of `code`) scale; e is destroyed. */
static void softmax_gradient(stored *d, real *e, int C, real sum, int code, real scale)
{
    vec factor = broadcast(scale / sum);
    real own = (e[code] / sum - 1) * scale;
    for (int c = 0; c < C; c += LANES) store_next(e + c, load_next(e + c, C - c) * factor, C - c);
    e[code] = own;
    for (int c = 0; c < C; c += LANES) store_next(d + c, load_next(e + c, C - c), C - c);
}

/* What the gradient of a cell of class `code` is multiplied by. */
static real cell_scale(const cz_step *step, int head, int code)
{
    const double *weight = step->class_weight[head].data;
    return (real)(step->scale[head] * (weight ? weight[code] : 1));
}

cz_status K(cross_entropy)(cz_exec *exec, cz_tensor dlogits, double *loss, int32_t *best,
                           cz_tensor logits, const int32_t *code, int head)
{
    int B = cz_rows(logits), C = cz_cols(logits);
    size_t kept = exec->scratch->used;
    real *e = take(exec, (size_t)C);
    if (!e) return CZ_ERR_MEMORY;
    cz_status status = CZ_OK;
    for (int b = 0; b < B; b++) {
        const real *x = wide_row(logits, b);
        if (code[b] >= C) {
            status =
                cz_fail(CZ_ERR_BUG, "cz_cross_entropy: cell %d has class %d of %d", b, code[b], C);
            break;
        }
        best[b] = largest(x, C);
        double top = (double)x[best[b]];
        real sum = exponentials(e, x, C, x[best[b]]);
        loss[b] = code[b] < 0 ? 0 : log((double)sum) - ((double)x[code[b]] - top);
        if (!dlogits.data) continue;
        stored *d = tensor_row(dlogits, b);
        if (code[b] < 0) {
            memset(d, 0, (size_t)C * sizeof *d);
            continue;
        }
        softmax_gradient(d, e, C, sum, code[b], cell_scale(exec->step, head, code[b]));
    }
    exec->scratch->used = kept;
    return status;
}
