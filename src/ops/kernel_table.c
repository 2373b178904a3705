/* The table of one variant. */
#include "kernel.h"

extern const cz_backend K(backend);
const cz_backend K(backend) = {
    .name = CZ_NAME,
    .dtype = REAL_DTYPE,
    .level = CZ_LEVEL,
    .linear_forward = K(linear_forward),
    .linear_backward_input = K(linear_backward_input),
    .linear_backward_weight = K(linear_backward_weight),
    .gather_rows = K(gather_rows),
    .add = K(add),
    .add_reversed = K(add_reversed),
    .adam = K(adam),
    .peak_gflops = K(peak_gflops),
};
