/* The public operations on layers, rows and vectors: checks, then the backend. */
#include "czhpc/backend.h"
#include "shape.h"

#include "czhpc/profile.h"

/* The rows of fit->to are those of `cells` equal cells, as its dropout wants. */
static cz_status cells_fit(const cz_fit *fit, const cz_dropout *drop, int cells)
{
    int rows = cz_rows(fit->to);
    if (!drop) return CZ_OK;
    if (cells < 0 || (cells ? rows % cells : rows))
        return cz_fail(CZ_ERR_BUG, "cz_%s: the %d rows of %s are not those of %d cells", fit->op,
                       rows, fit->name, cells);
    double elements = cells ? (double)(rows / cells) * cz_cols(fit->to) : 0;
    return cz_fit_dropout(fit, drop, cells, elements);
}

cz_status cz_linear_forward(cz_exec *exec, cz_tensor y, cz_tensor x, cz_tensor w, cz_tensor bias,
                            cz_activation act, const cz_dropout *drop, int cells)
{
    cz_fit to_x = {"linear_forward", "x", x, exec->backend->dtype};
    CZ_TRY(cz_fit_self(&to_x, 0));
    cz_fit to_y = cz_fit_either((cz_fit){"linear_forward", "y", y, exec->backend->dtype}, y);
    CZ_TRY(cz_fit_self(&to_y, 0));
    cz_fit x_wide = cz_fit_wide(to_x), y_wide = cz_fit_wide(to_y);
    cz_fit rows = cz_fit_either(to_x, y);
    CZ_TRY(cz_fit_matrix(&rows, "y", y, cz_rows(x), cz_cols(y)));
    cz_fit to_w = cz_fit_either((cz_fit){"linear_forward", "w", w, exec->backend->dtype}, y);
    CZ_TRY(cz_fit_matrix(&x_wide, "w", w, cz_rows(w), cz_cols(x)));
    CZ_TRY(cz_fit_matrix(&to_w, "y", y, cz_rows(x), cz_rows(w)));
    if (bias.data) CZ_TRY(cz_fit_vector(&y_wide, "bias", bias, cz_cols(y)));
    CZ_TRY(cells_fit(&to_y, drop, cells));
    CZ_SPAN_FLOPS("linear_forward", 2.0 * cz_rows(x) * cz_rows(w) * cz_cols(w));
    return exec->backend->linear_forward(exec, y, x, w, bias, act, drop, cells);
}

cz_status cz_linear_backward_input(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor w,
                                   cz_tensor gate, double p)
{
    cz_fit to_dy = {"linear_backward_input", "dy", dy, exec->backend->dtype};
    CZ_TRY(cz_fit_self(&to_dy, 0));
    cz_fit to_dx = {"linear_backward_input", "dx", dx, exec->backend->dtype};
    CZ_TRY(cz_fit_self(&to_dx, 0));
    CZ_TRY(cz_fit_matrix(&to_dy, "dx", dx, cz_rows(dy), cz_cols(dx)));
    cz_fit to_w = {"linear_backward_input", "w", w, exec->backend->dtype};
    cz_fit dy_wide = cz_fit_wide(to_dy);
    CZ_TRY(cz_fit_matrix(&dy_wide, "w", w, cz_cols(dy), cz_cols(w)));
    CZ_TRY(cz_fit_matrix(&to_w, "dx", dx, cz_rows(dy), cz_cols(w)));
    if (gate.data) {
        CZ_TRY(cz_fit_matrix(&to_dx, "gate", gate, cz_rows(dx), cz_cols(dx)));
        if (!(p >= 0) || cz_dropout_threshold(p) >= 65536)
            return cz_fail(CZ_ERR_BUG, "cz_linear_backward_input: a dropout of %g", p);
    }
    if (dx.data && (dx.data == dy.data || dx.data == gate.data))
        return cz_fail(CZ_ERR_BUG, "cz_linear_backward_input: dx is %s",
                       dx.data == dy.data ? "dy" : "its gate");
    CZ_SPAN_FLOPS("linear_backward_input", 2.0 * cz_rows(dy) * cz_rows(w) * cz_cols(w));
    return exec->backend->linear_backward_input(exec, dx, dy, w, gate, p);
}

cz_status cz_linear_backward_weight(cz_exec *exec, cz_tensor dw, cz_tensor dbias, cz_tensor dy,
                                    cz_tensor x, bool add)
{
    cz_fit to_dy = {"linear_backward_weight", "dy", dy, exec->backend->dtype};
    CZ_TRY(cz_fit_self(&to_dy, 0));
    cz_fit to_x = {"linear_backward_weight", "x", x, exec->backend->dtype};
    CZ_TRY(cz_fit_matrix(&to_dy, "x", x, cz_rows(dy), cz_cols(x)));
    cz_fit dy_wide = cz_fit_wide(to_dy), x_wide = cz_fit_wide(to_x);
    CZ_TRY(cz_fit_matrix(&dy_wide, "dw", dw, cz_cols(dy), cz_cols(dw)));
    CZ_TRY(cz_fit_matrix(&x_wide, "dw", dw, cz_cols(dy), cz_cols(x)));
    if (dbias.data) CZ_TRY(cz_fit_vector(&dy_wide, "dbias", dbias, cz_cols(dy)));
    CZ_SPAN_FLOPS("linear_backward_weight", 2.0 * cz_rows(dy) * cz_rows(dw) * cz_cols(dw));
    return exec->backend->linear_backward_weight(exec, dw, dbias, dy, x, add);
}

cz_status cz_add_dropout_norm_forward(cz_exec *exec, cz_tensor y, cz_tensor mean, cz_tensor rstd,
                                      cz_tensor x, cz_tensor residual, cz_tensor gain,
                                      cz_tensor bias, double eps, const cz_dropout *drop, int cells)
{
    cz_fit to_x = {"add_dropout_norm_forward", "x", x, exec->backend->dtype};
    CZ_TRY(cz_fit_self(&to_x, 0));
    int N = cz_rows(x), C = cz_cols(x);
    CZ_TRY(cz_fit_matrix(&to_x, "y", y, N, C));
    CZ_TRY(cz_fit_matrix(&to_x, "residual", residual, N, C));
    cz_fit wide = cz_fit_wide(to_x);
    CZ_TRY(cz_fit_vector(&wide, "mean", mean, N));
    CZ_TRY(cz_fit_vector(&wide, "rstd", rstd, N));
    CZ_TRY(cz_fit_vector(&wide, "gain", gain, C));
    CZ_TRY(cz_fit_vector(&wide, "bias", bias, C));
    CZ_TRY(cells_fit(&to_x, drop, cells));
    if (!(eps > 0)) return cz_fail(CZ_ERR_BUG, "cz_add_dropout_norm_forward: eps is %g", eps);
    CZ_SPAN("add_dropout_norm_forward");
    return exec->backend->add_dropout_norm_forward(exec, y, mean, rstd, x, residual, gain, bias,
                                                   eps, drop, cells);
}

cz_status cz_add_dropout_norm_backward(cz_exec *exec, cz_tensor dx, cz_tensor dresidual,
                                       cz_tensor dgain, cz_tensor dbias, cz_tensor dy, cz_tensor s,
                                       cz_tensor mean, cz_tensor rstd, cz_tensor gain,
                                       const cz_dropout *drop, int cells)
{
    cz_fit to_dy = {"add_dropout_norm_backward", "dy", dy, exec->backend->dtype};
    CZ_TRY(cz_fit_self(&to_dy, 0));
    int N = cz_rows(dy), C = cz_cols(dy);
    CZ_TRY(cz_fit_matrix(&to_dy, "dx", dx, N, C));
    CZ_TRY(cz_fit_matrix(&to_dy, "dresidual", dresidual, N, C));
    CZ_TRY(cz_fit_matrix(&to_dy, "s", s, N, C));
    cz_fit wide = cz_fit_wide(to_dy);
    CZ_TRY(cz_fit_vector(&wide, "mean", mean, N));
    CZ_TRY(cz_fit_vector(&wide, "rstd", rstd, N));
    CZ_TRY(cz_fit_vector(&wide, "gain", gain, C));
    CZ_TRY(cz_fit_vector(&wide, "dgain", dgain, C));
    CZ_TRY(cz_fit_vector(&wide, "dbias", dbias, C));
    CZ_TRY(cells_fit(&to_dy, drop, cells));
    CZ_SPAN("add_dropout_norm_backward");
    return exec->backend->add_dropout_norm_backward(exec, dx, dresidual, dgain, dbias, dy, s, mean,
                                                    rstd, gain, drop, cells);
}

static cz_status class_weight_fits(const cz_fit *to_logits, const cz_step *step, int head)
{
    if (head < 0 || head >= CZ_MAX_HEADS || !step->class_weight[head].data) return CZ_OK;
    cz_fit fit = *to_logits;
    fit.dtype = CZ_F64;
    return cz_fit_vector(&fit, "class_weight", step->class_weight[head], cz_cols(fit.to));
}

cz_status cz_cross_entropy(cz_exec *exec, cz_tensor dlogits, double *loss, int32_t *best,
                           cz_tensor logits, const int32_t *code, int head)
{
    cz_fit narrow = {"cross_entropy", "logits", logits, exec->backend->dtype};
    cz_fit to_logits = cz_fit_wide(narrow);
    CZ_TRY(cz_fit_self(&to_logits, 2));
    int B = cz_rows(logits), C = cz_cols(logits);
    if (dlogits.data) CZ_TRY(cz_fit_matrix(&narrow, "dlogits", dlogits, B, C));
    /* A GPU's step is not for the host to read. */
    if (dlogits.data && !exec->gpu) CZ_TRY(class_weight_fits(&to_logits, exec->step, head));
    if (head < 0 || head >= CZ_MAX_HEADS || (B && (C < 1 || !loss || !best || !code)))
        return cz_fail(CZ_ERR_BUG, "cz_cross_entropy: head %d of %d, %d cells, %d classes", head,
                       CZ_MAX_HEADS, B, C);
    CZ_SPAN("cross_entropy");
    return exec->backend->cross_entropy(exec, dlogits, loss, best, logits, code, head);
}

cz_status cz_gather_rows(cz_exec *exec, cz_tensor y, cz_tensor x, const int32_t *index)
{
    cz_fit to_y = {"gather_rows", "y", y, exec->backend->dtype};
    CZ_TRY(cz_fit_self(&to_y, 0));
    cz_fit rows = {"gather_rows", "y", y, CZ_F32};
    CZ_TRY(cz_fit_matrix(&rows, "x", x, cz_rows(x), cz_cols(y)));
    if (cz_rows(y) && !index) return cz_fail(CZ_ERR_BUG, "cz_gather_rows: no index");
    CZ_SPAN("gather_rows");
    return exec->backend->gather_rows(exec, y, x, index);
}

cz_status cz_zero(cz_exec *exec, cz_tensor x)
{
    cz_fit to_x = cz_fit_either((cz_fit){"zero", "x", x, exec->backend->dtype}, x);
    CZ_TRY(cz_fit_self(&to_x, 0));
    CZ_SPAN("zero");
    return exec->backend->zero(exec, x);
}

cz_status cz_copy(cz_exec *exec, cz_tensor y, cz_tensor x)
{
    cz_fit fit = {"copy", "y", y, exec->backend->dtype};
    cz_fit to_y = cz_fit_either(fit, y), like_x = cz_fit_either(fit, x);
    CZ_TRY(cz_fit_self(&to_y, 0));
    CZ_TRY(cz_fit_matrix(&like_x, "x", x, cz_rows(y), cz_cols(y)));
    CZ_SPAN("copy");
    return exec->backend->copy(exec, y, x);
}

cz_status cz_add(cz_exec *exec, cz_tensor y, cz_tensor x)
{
    cz_fit fit = {"add", "y", y, exec->backend->dtype};
    cz_fit to_y = cz_fit_either(fit, y), like_x = cz_fit_either(fit, x);
    CZ_TRY(cz_fit_self(&to_y, 0));
    CZ_TRY(cz_fit_matrix(&like_x, "x", x, cz_rows(y), cz_cols(y)));
    CZ_SPAN("add");
    return exec->backend->add(exec, y, x);
}

cz_status cz_add_reversed(cz_exec *exec, cz_tensor dx, cz_tensor dy)
{
    cz_fit fit = {"add_reversed", "dx", dx, exec->backend->dtype};
    cz_fit to_dx = cz_fit_either(fit, dx), like_dy = cz_fit_either(fit, dy);
    CZ_TRY(cz_fit_self(&to_dx, 0));
    CZ_TRY(cz_fit_matrix(&like_dy, "dy", dy, cz_rows(dx), cz_cols(dx)));
    CZ_SPAN("add_reversed");
    return exec->backend->add_reversed(exec, dx, dy);
}

cz_status cz_add_positions(cz_exec *exec, cz_tensor x, cz_tensor code)
{
    cz_fit to_x = {"add_positions", "x", x, exec->backend->dtype};
    CZ_TRY(cz_fit_self(&to_x, 3));
    cz_fit wide = cz_fit_wide(to_x);
    CZ_TRY(cz_fit_matrix(&wide, "code", code, x.dim[1], x.dim[2]));
    CZ_SPAN("add_positions");
    return exec->backend->add_positions(exec, x, code);
}

cz_status cz_add_positions_backward(cz_exec *exec, cz_tensor dcode, cz_tensor dx)
{
    cz_fit to_dx = {"add_positions_backward", "dx", dx, exec->backend->dtype};
    CZ_TRY(cz_fit_self(&to_dx, 3));
    cz_fit wide = cz_fit_wide(to_dx);
    CZ_TRY(cz_fit_matrix(&wide, "dcode", dcode, dx.dim[1], dx.dim[2]));
    CZ_SPAN("add_positions_backward");
    return exec->backend->add_positions_backward(exec, dcode, dx);
}

cz_status cz_adam(cz_exec *exec, cz_tensor w, cz_tensor m, cz_tensor v, cz_tensor g, double decay)
{
    cz_fit to_w = cz_fit_wide((cz_fit){"adam", "w", w, exec->backend->dtype});
    CZ_TRY(cz_fit_self(&to_w, 1));
    CZ_TRY(cz_fit_vector(&to_w, "m", m, cz_cols(w)));
    CZ_TRY(cz_fit_vector(&to_w, "v", v, cz_cols(w)));
    CZ_TRY(cz_fit_vector(&to_w, "g", g, cz_cols(w)));
    CZ_SPAN("adam");
    return exec->backend->adam(exec, w, m, v, g, decay);
}
