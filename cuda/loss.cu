/* Softmax cross-entropy, a warp a cell. Columns are a lane's in turn: lane, lane + 32, ... */
#include "kernel.h"

static const int WARPS = 4;

/* The largest of x, in every lane: of equals the first; x[0] where that is NaN, which nothing is
 * larger than. */
struct maximum {
    real value;
    int at;
};
static __device__ maximum largest(const float *x, int C, int lane)
{
    maximum most = {x[0], 0};
    for (int c = lane; c < C; c += WARP)
        if (x[c] > most.value) most = {x[c], c};
    for (int step = WARP / 2; step; step /= 2) {
        real value = __shfl_xor_sync(WHOLE_WARP, most.value, step);
        int at = __shfl_xor_sync(WHOLE_WARP, most.at, step);
        if (value > most.value || (value == most.value && at < most.at)) most = {value, at};
    }
    return most;
}

/* d = (e / sum - one-hot of `code`) scale with e = exp(x - top); 0 where nothing is known. */
template <typename Stored>
__device__ void softmax_gradient(Stored *d, const float *x, int C, int lane, real top, real sum,
                                 int code, real scale)
{
    real factor = scale / sum;
    for (int c = lane; c < C; c += WARP) {
        real e = code < 0 ? 0 : expf(x[c] - top);
        put(d + c, code < 0 ? 0 : c == code ? (e / sum - 1) * scale : e * factor);
    }
}

/* What the gradient of a cell of class `code` is multiplied by. */
static __device__ real cell_scale(const cz_step *step, int head, int code)
{
    const double *weight = (const double *)step->class_weight[head].data;
    return (real)(step->scale[head] * (weight ? weight[code] : 1));
}

template <typename Stored>
__global__ void losses(rows_of<Stored> dlogits, double *loss, int32_t *best,
                       rows_of<const float> logits, const int32_t *codes, const cz_step *step,
                       int head)
{
    int b = (int)(blockIdx.x * WARPS + threadIdx.x / WARP), lane = (int)(threadIdx.x % WARP);
    int C = logits.cols;
    if (b >= logits.rows) return;
    const float *x = logits.at(b);
    /* The host has refused classes that there are not. */
    int code = codes[b] < C ? codes[b] : -1;
    maximum top = largest(x, C, lane);
    real sum = 0;
    for (int c = lane; c < C; c += WARP) sum += expf(x[c] - top.value);
    sum = warp_sum(sum);
    if (lane == 0) {
        best[b] = top.at;
        loss[b] = code < 0 ? 0 : log((double)sum) - ((double)x[code] - (double)top.value);
    }
    if (!dlogits.data) return;
    real scale = code < 0 ? 0 : cell_scale(step, head, code);
    softmax_gradient(dlogits.at(b), x, C, lane, top.value, sum, code, scale);
}

template <typename Stored>
static cz_status cross_entropy(cz_exec *exec, cz_tensor dlogits, double *loss, int32_t *best,
                               cz_tensor logits, const int32_t *code, int head)
{
    unsigned blocks = ((unsigned)cz_rows(logits) + WARPS - 1) / WARPS;
    rows_of<Stored> d = {};
    CZ_TRY(settle(exec, {dlogits}));
    if (dlogits.data) d = view<Stored>(dlogits);
    return launch(exec, "cross_entropy", losses<Stored>, dim3(blocks), WARPS * WARP, 0, d, loss,
                  best, view<const float>(logits), code, exec->step, head);
}

void fill_loss(cuda_tables t)
{
    t.f32->cross_entropy = cross_entropy<float>;
    t.bf16->cross_entropy = cross_entropy<bf16>;
}
