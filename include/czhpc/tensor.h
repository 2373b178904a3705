/* A view of memory that somebody else owns: passed by value, the last axis contiguous. */
#ifndef CZ_TENSOR_H
#define CZ_TENSOR_H

#include <stddef.h>

typedef enum cz_dtype { CZ_F32, CZ_F64, CZ_BF16 } cz_dtype;

static inline size_t cz_dtype_size(cz_dtype dtype)
{
    return dtype == CZ_F64 ? 8 : dtype == CZ_F32 ? 4 : 2;
}

/* "bf16" */
static inline const char *cz_dtype_name(cz_dtype dtype)
{
    return dtype == CZ_F64 ? "fp64" : dtype == CZ_F32 ? "fp32" : "bf16";
}

/* The type in which what is stored as `dtype` is summed: of weights, their gradients and moments,
 * and of statistics, where activations are `dtype`. */
static inline cz_dtype cz_dtype_wide(cz_dtype dtype) { return dtype == CZ_BF16 ? CZ_F32 : dtype; }

/* Axes before the last are packed over rows `ld` elements apart: element (i, j, k) of a
 * rank 3 view is data[(i * dim[1] + j) * ld + k]. A NULL `data` means "absent". */
typedef struct cz_tensor {
    void *data;
    cz_dtype dtype;
    int rank;
    int dim[4];
    int ld;
    const void *packed; /* of a whole matrix of weights: what cz_pack() made of it, or NULL */
} cz_tensor;

static inline cz_tensor cz_vector(void *data, cz_dtype dtype, int n)
{
    return (cz_tensor){data, dtype, 1, {n, 1, 1, 1}, n, NULL};
}
static inline cz_tensor cz_matrix(void *data, cz_dtype dtype, int rows, int cols)
{
    return (cz_tensor){data, dtype, 2, {rows, cols, 1, 1}, cols, NULL};
}
static inline cz_tensor cz_tensor3(void *data, cz_dtype dtype, int a, int b, int c)
{
    return (cz_tensor){data, dtype, 3, {a, b, c, 1}, c, NULL};
}
static inline cz_tensor cz_tensor4(void *data, cz_dtype dtype, int a, int b, int c, int d)
{
    return (cz_tensor){data, dtype, 4, {a, b, c, d}, d, NULL};
}

/* Product of the axes before the last, and the last. */
static inline int cz_rows(cz_tensor t)
{
    int n = 1;
    for (int i = 0; i + 1 < t.rank; i++) n *= t.dim[i];
    return n;
}
static inline int cz_cols(cz_tensor t) { return t.dim[t.rank - 1]; }

/* The same rows as a matrix, whatever the rank was. */
static inline cz_tensor cz_flat(cz_tensor t)
{
    return (cz_tensor){t.data, t.dtype, 2, {cz_rows(t), cz_cols(t), 1, 1}, t.ld, NULL};
}

static inline void *cz_at(cz_tensor t, int row, int col)
{
    return (char *)t.data + ((size_t)row * (size_t)t.ld + (size_t)col) * cz_dtype_size(t.dtype);
}

/* Columns [begin, begin + count) of every row, and rows likewise (as a matrix). */
static inline cz_tensor cz_columns(cz_tensor t, int begin, int count)
{
    t.data = t.data ? cz_at(t, 0, begin) : NULL;
    t.dim[t.rank - 1] = count;
    t.packed = NULL;
    return t;
}
static inline cz_tensor cz_row_range(cz_tensor t, int begin, int count)
{
    t = cz_flat(t);
    t.data = t.data ? cz_at(t, begin, 0) : NULL;
    t.dim[0] = count;
    return t;
}

#endif
