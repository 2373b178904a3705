/* The table of one variant. */
#include "kernel.h"
#include "scratch.h"

static size_t scratch(int rows, int cols, int L, int T, int D, int H)
{
    return cz_cpu_scratch(STORED_DTYPE, rows, cols, L, T, D, H);
}

extern const cz_backend K(backend);
const cz_backend K(backend) = {
    .name = CZ_NAME,
    .dtype = STORED_DTYPE,
    .level = CZ_LEVEL,
    .linear_forward = K(linear_forward),
    .linear_backward_input = K(linear_backward_input),
    .linear_backward_weight = K(linear_backward_weight),
    .attention_forward = K(attention_forward),
    .attention_backward = K(attention_backward),
    .attention_tally = K(attention_tally),
    .add_dropout_norm_forward = K(add_dropout_norm_forward),
    .add_dropout_norm_backward = K(add_dropout_norm_backward),
    .resampler_pool_forward = K(resampler_pool_forward),
    .resampler_pool_backward = K(resampler_pool_backward),
    .cross_entropy = K(cross_entropy),
    .heads = cz_heads_composed,
    .gather_rows = K(gather_rows),
    .zero = K(zero),
    .copy = K(copy),
    .add = K(add),
    .add_reversed = K(add_reversed),
    .add_positions = K(add_positions),
    .add_positions_backward = K(add_positions_backward),
    .adam = K(adam),
    .scratch = scratch,
    .packed_bytes = K(packed_bytes),
    .pack = K(pack),
    .peak_gflops = K(peak_gflops),
};
