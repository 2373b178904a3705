/* Softmax cross-entropy of a cell by a warp, for the loss alone and at the end of the heads.
 * Columns are a lane's in turn: lane, lane + 32, ... */
#ifndef CZ_CUDA_LOSS_H
#define CZ_CUDA_LOSS_H

#include "kernel.h"

/* The largest of x, in every lane: of equals the first; x[0] where that is NaN, which nothing is
 * larger than. */
struct maximum {
    real value;
    int at;
};
static inline __device__ maximum largest(const float *x, int C, int lane)
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

/* The largest logit, and the sum of exp(x - top), in every lane. */
struct softmax {
    maximum top;
    real sum;
};
static inline __device__ softmax softmax_of(const float *x, int C, int lane)
{
    softmax s = {largest(x, C, lane), 0};
    for (int c = lane; c < C; c += WARP) s.sum += expf(x[c] - s.top.value);
    s.sum = warp_sum(s.sum);
    return s;
}

static inline __device__ double loss_of(const softmax &s, const float *x, int code)
{
    return code < 0 ? 0 : log((double)s.sum) - ((double)x[code] - (double)s.top.value);
}

/* set(c, d) with d = (e / sum - one-hot of `code`) scale, e = exp(x - top); 0 where nothing is
 * known. */
template <typename Set>
__device__ void softmax_gradient(const softmax &s, const float *x, int C, int lane, int code,
                                 real scale, Set set)
{
    real factor = scale / s.sum;
    for (int c = lane; c < C; c += WARP) {
        real e = code < 0 ? 0 : expf(x[c] - s.top.value);
        set(c, code < 0 ? 0 : c == code ? (e / s.sum - 1) * scale : e * factor);
    }
}

/* What the gradient of a cell of class `code` is multiplied by. */
static inline __device__ real cell_scale(const cz_step *step, int head, int code)
{
    const double *weight = (const double *)step->class_weight[head].data;
    return code < 0 ? 0 : (real)(step->scale[head] * (weight ? weight[code] : 1));
}

#endif
