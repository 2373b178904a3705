/* What a backend is: one constant table. Every entry has the type of the public function of
 * its name (cz_add for `add`) and is called with arguments that function has checked. */
#ifndef CZ_BACKEND_H
#define CZ_BACKEND_H

#include "czhpc/ops.h"

#define CZ_OP(name) __typeof__(cz_##name) *name

struct cz_backend {
    const char *name;
    cz_dtype dtype;
    cz_level level;
    bool gpu;

    CZ_OP(linear_forward);
    CZ_OP(linear_backward_input);
    CZ_OP(linear_backward_weight);
    CZ_OP(attention_forward);
    CZ_OP(attention_backward);
    CZ_OP(attention_tally);
    CZ_OP(add_dropout_norm_forward);
    CZ_OP(add_dropout_norm_backward);
    CZ_OP(resampler_pool_forward);
    CZ_OP(resampler_pool_backward);
    CZ_OP(cross_entropy);
    CZ_OP(heads);
    CZ_OP(gather_rows);
    CZ_OP(zero);
    CZ_OP(copy);
    CZ_OP(add);
    CZ_OP(add_reversed);
    CZ_OP(add_positions);
    CZ_OP(add_positions_backward);
    CZ_OP(adam);

    size_t (*scratch)(int rows, int cols, int L, int T, int D, int H); /* cz_ops_scratch() */
    size_t (*packed_bytes)(int rows, int cols);
    void (*pack)(void *packed, cz_tensor w, int row, int rows);
    double (*peak_gflops)(void); /* of one core, by a loop of multiply-adds in registers */
};

/* cz_heads() by the other operations: every CPU's entry, and a GPU's for what it has no room for.
 */
__typeof__(cz_heads) cz_heads_composed;

#undef CZ_OP

#endif
