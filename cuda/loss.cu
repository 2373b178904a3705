/* Softmax cross-entropy, a warp a cell. */
#include "loss.h"

static const int WARPS = 4;

template <typename Stored>
__global__ void losses(rows_of<Stored> dlogits, double *loss, int32_t *best,
                       rows_of<const float> logits, const int32_t *codes, const cz_step *step,
                       int head)
{
    int b = (int)blockIdx.x * WARPS + warp_number(), lane = lane_number();
    int C = logits.cols;
    if (b >= logits.rows) return;
    const float *x = logits.at(b);
    /* The host has refused classes that there are not. */
    int code = codes[b] < C ? codes[b] : -1;
    softmax s = softmax_of(x, C, lane);
    if (lane == 0) {
        best[b] = s.top.at;
        loss[b] = loss_of(s, x, code);
    }
    if (!dlogits.data) return;
    softmax_gradient(s, x, C, lane, code, cell_scale(step, head, code),
                     [&](int c, real d) { put(dlogits.at(b, c), d); });
}

template <typename Stored>
static cz_status cross_entropy(cz_exec *exec, cz_tensor dlogits, double *loss, int32_t *best,
                               cz_tensor logits, const int32_t *code, int head)
{
    unsigned blocks = ((unsigned)cz_rows(logits) + WARPS - 1) / WARPS;
    rows_of<Stored> d = {};
    size_t cells = (size_t)cz_rows(logits);
    span losses_are(loss, cells * sizeof *loss), best_are(best, cells * sizeof *best);
    CZ_TRY(settle(exec, {dlogits, losses_are, best_are}, {logits}));
    if (dlogits.data) d = view<Stored>(dlogits);
    return launch(exec, "cross_entropy", losses<Stored>, dim3(blocks), WARPS * WARP, 0, d, loss,
                  best, view<const float>(logits), code, exec->step, head);
}

void fill_loss(cuda_tables t)
{
    t.f32->cross_entropy = cross_entropy<float>;
    t.bf16->cross_entropy = cross_entropy<bf16>;
}
