/* The public attention and resampler: checks, then the backend. */
#include "czhpc/backend.h"
#include "shape.h"

#include "czhpc/profile.h"

/* What both directions share; `out` is the output or its gradient. */
static cz_status attention_fits(const cz_fit *to_q, cz_tensor out, cz_tensor probs, cz_tensor k,
                                cz_tensor v, const char *out_name, const int32_t *slot, int H,
                                const cz_dropout *drop)
{
    cz_tensor q = to_q->to;
    CZ_TRY(cz_fit_self(to_q, 3));
    CZ_TRY(cz_fit_parts(to_q, H));
    cz_fit to_k = {to_q->op, "k", k, to_q->dtype};
    CZ_TRY(cz_fit_self(&to_k, 3));
    int B = q.dim[0], Tq = q.dim[1], F = q.dim[2], S = slot ? k.dim[0] : B, Tk = k.dim[1];
    CZ_TRY(cz_fit_tensor3(to_q, "k", k, S, Tk, F));
    CZ_TRY(cz_fit_tensor3(&to_k, "v", v, S, Tk, F));
    CZ_TRY(cz_fit_tensor3(to_q, out_name, out, B, Tq, F));
    CZ_TRY(cz_fit_tensor4(to_q, "probs", probs, B, H, Tq, Tk));
    return cz_fit_dropout(to_q, drop, B, (double)H * Tq * Tk);
}

/* Of one product of queries with keys or values, all heads. */
static double attention_flops(cz_tensor q, cz_tensor k)
{
    return 2.0 * cz_rows(q) * k.dim[1] * cz_cols(q);
}

cz_status cz_attention_forward(cz_exec *exec, cz_tensor out, cz_tensor probs, cz_tensor q,
                               cz_tensor k, cz_tensor v, const int32_t *slot, const int32_t *length,
                               int H, const cz_dropout *drop)
{
    cz_fit to_q = {"attention_forward", "q", q, exec->backend->dtype};
    CZ_TRY(attention_fits(&to_q, out, probs, k, v, "out", slot, H, drop));
    CZ_SPAN_FLOPS("attention_forward", 2 * attention_flops(q, k));
    return exec->backend->attention_forward(exec, out, probs, q, k, v, slot, length, H, drop);
}

cz_status cz_attention_backward(cz_exec *exec, cz_tensor dq, cz_tensor dk, cz_tensor dv,
                                cz_tensor dout, cz_tensor probs, cz_tensor q, cz_tensor k,
                                cz_tensor v, const int32_t *slot, int H, const cz_dropout *drop)
{
    cz_fit to_q = {"attention_backward", "q", q, exec->backend->dtype};
    CZ_TRY(attention_fits(&to_q, dout, probs, k, v, "dout", slot, H, drop));
    cz_fit to_k = {"attention_backward", "k", k, exec->backend->dtype};
    CZ_TRY(cz_fit_tensor3(&to_q, "dq", dq, q.dim[0], q.dim[1], q.dim[2]));
    if (slot) to_k = cz_fit_wide(to_k); /* added to */
    CZ_TRY(cz_fit_tensor3(&to_k, "dk", dk, k.dim[0], k.dim[1], k.dim[2]));
    CZ_TRY(cz_fit_tensor3(&to_k, "dv", dv, k.dim[0], k.dim[1], k.dim[2]));
    CZ_SPAN_FLOPS("attention_backward", 4 * attention_flops(q, k));
    return exec->backend->attention_backward(exec, dq, dk, dv, dout, probs, q, k, v, slot, H, drop);
}

cz_status cz_attention_tally(cz_exec *exec, int64_t *sum, cz_tensor probs)
{
    cz_fit to_probs = {"attention_tally", "probs", probs, exec->backend->dtype};
    CZ_TRY(cz_fit_self(&to_probs, 4));
    if (!sum) return cz_fail(CZ_ERR_BUG, "cz_attention_tally: no sum");
    CZ_SPAN("attention_tally");
    return exec->backend->attention_tally(exec, sum, probs);
}

cz_pool_form cz_pool_cheapest(int T, int L, int D, int H)
{
    double factored = (double)T * D + (double)L * H * T, plain = (double)L * T + (double)L * D;
    return factored < plain ? CZ_POOL_FACTORED : CZ_POOL_PLAIN;
}

/* Without their queries, which are activations where their gradient is summed. */
static cz_status weights_fit(const cz_fit *to_k, const cz_pool_weights *weights, int L, int D)
{
    cz_fit wide = cz_fit_wide(*to_k);
    CZ_TRY(cz_fit_matrix(&wide, "latents", weights->latents, L, D));
    CZ_TRY(cz_fit_matrix(&wide, "w_out", weights->w_out, D, D));
    CZ_TRY(cz_fit_vector(&wide, "b_out", weights->b_out, D));
    CZ_TRY(cz_fit_vector(&wide, "gain", weights->gain, D));
    return cz_fit_vector(&wide, "bias", weights->bias, D);
}

static cz_status pool_fits(const cz_fit *to_k, cz_tensor v, cz_tensor y, const char *y_name,
                           cz_tensor probs, cz_tensor mean, cz_tensor rstd, cz_tensor u,
                           const cz_pool_weights *weights, int H, const cz_dropout *attention,
                           const cz_dropout *out)
{
    CZ_TRY(cz_fit_self(to_k, 3));
    CZ_TRY(cz_fit_parts(to_k, H));
    int B = to_k->to.dim[0], T = to_k->to.dim[1], D = to_k->to.dim[2], L = cz_rows(weights->q);
    CZ_TRY(cz_fit_matrix(to_k, "q", weights->q, L, D));
    CZ_TRY(weights_fit(to_k, weights, L, D));
    CZ_TRY(cz_fit_tensor3(to_k, "v", v, B, T, D));
    CZ_TRY(cz_fit_matrix(to_k, y_name, y, B, D));
    CZ_TRY(cz_fit_tensor4(to_k, "probs", probs, B, H, L, T));
    if (u.data) CZ_TRY(cz_fit_matrix(to_k, "u", u, B * T * H, cz_pool_row(D)));
    cz_fit wide = cz_fit_wide(*to_k);
    CZ_TRY(cz_fit_matrix(&wide, "mean", mean, B, L));
    CZ_TRY(cz_fit_matrix(&wide, "rstd", rstd, B, L));
    CZ_TRY(cz_fit_dropout(to_k, attention, B, (double)H * L * T));
    return cz_fit_dropout(to_k, out, B, (double)L * D);
}

static cz_pool_form chosen(cz_pool_form form, cz_tensor k, const cz_pool_weights *weights, int H)
{
    if (form != CZ_POOL_AUTO) return form;
    return cz_pool_cheapest(k.dim[1], cz_rows(weights->q), k.dim[2], H);
}

/* Of its matrix products; backward computes the output once more. */
static double pool_flops(cz_tensor k, const cz_pool_weights *weights, int H, cz_pool_form form,
                         bool backward)
{
    double N = cz_rows(k), BL = (double)k.dim[0] * cz_rows(weights->q), T = k.dim[1], D = k.dim[2];
    double scores = 2 * BL * T * D;
    double rest = form == CZ_POOL_FACTORED ? 2 * D * (N * D + BL * H * T) : 2 * BL * D * (T + D);
    return backward ? 2 * scores + 3 * rest : scores + rest;
}

cz_status cz_resampler_pool_forward(cz_exec *exec, cz_tensor y, cz_tensor probs, cz_tensor mean,
                                    cz_tensor rstd, cz_tensor u, cz_tensor k, cz_tensor v,
                                    const cz_pool_weights *weights, int H, cz_pool_form form,
                                    const cz_dropout *drop_attention, const cz_dropout *drop_out)
{
    cz_fit to_k = {"resampler_pool_forward", "k", k, exec->backend->dtype};
    CZ_TRY(pool_fits(&to_k, v, y, "y", probs, mean, rstd, u, weights, H, drop_attention, drop_out));
    form = chosen(form, k, weights, H);
    CZ_SPAN_FLOPS("resampler_pool_forward", pool_flops(k, weights, H, form, false));
    return exec->backend->resampler_pool_forward(exec, y, probs, mean, rstd, u, k, v, weights, H,
                                                 form, drop_attention, drop_out);
}

cz_status cz_resampler_pool_backward(cz_exec *exec, cz_tensor dk, cz_tensor dv,
                                     const cz_pool_weights *gradients, cz_tensor dy,
                                     cz_tensor probs, cz_tensor mean, cz_tensor rstd, cz_tensor u,
                                     cz_tensor k, cz_tensor v, const cz_pool_weights *weights,
                                     int H, cz_pool_form form, const cz_dropout *drop_attention,
                                     const cz_dropout *drop_out)
{
    cz_fit to_k = {"resampler_pool_backward", "k", k, exec->backend->dtype};
    CZ_TRY(
        pool_fits(&to_k, v, dy, "dy", probs, mean, rstd, u, weights, H, drop_attention, drop_out));
    cz_fit wide = cz_fit_wide(to_k);
    CZ_TRY(cz_fit_matrix(&wide, "dq", gradients->q, cz_rows(weights->q), k.dim[2]));
    CZ_TRY(weights_fit(&to_k, gradients, cz_rows(weights->q), k.dim[2]));
    CZ_TRY(cz_fit_tensor3(&to_k, "dk", dk, k.dim[0], k.dim[1], k.dim[2]));
    CZ_TRY(cz_fit_tensor3(&to_k, "dv", dv, k.dim[0], k.dim[1], k.dim[2]));
    form = chosen(form, k, weights, H);
    CZ_SPAN_FLOPS("resampler_pool_backward", pool_flops(k, weights, H, form, true));
    return exec->backend->resampler_pool_backward(exec, dk, dv, gradients, dy, probs, mean, rstd, u,
                                                  k, v, weights, H, form, drop_attention, drop_out);
}
