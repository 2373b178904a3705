/* Matrix products, by cublasLt. */
#ifndef CZ_CUDA_PRODUCTS_H
#define CZ_CUDA_PRODUCTS_H

#include "kernel.h"

/* A row-major matrix, or one of `batches` of them, `step` elements apart. */
struct operand {
    const void *data;
    cz_dtype dtype;
    ptrdiff_t ld;
    bool transposed; /* what lies there is the transpose */
    ptrdiff_t step;
};
struct target {
    void *data;
    cz_dtype dtype;
    ptrdiff_t ld;
    bool add; /* added to, else set */
    ptrdiff_t step;
};

/* What follows a product at once; of a single one, not of batches. */
struct epilogue {
    const void *bias; /* (N) of the target's type, added to every row; NULL: none */
    bool relu;
};

/* d (M, N) = scale a (M, K) b (K, N), or added to d; summed in fp32. a and b of one type, bf16 or
 * fp32; d of theirs or fp32. Any of M, N, K, batches may be 0. */
cz_status product(cz_exec *exec, target d, operand a, operand b, int M, int N, int K, int batches,
                  real scale, epilogue after);

/* Weights or a bias w (rows, cols), wide, as products read them, of the type of activations: w
 * itself, w.packed, or a copy in exec->scratch, which the caller gives back. */
cz_status stored_operand(cz_exec *exec, cz_tensor w, operand *made);

#endif
