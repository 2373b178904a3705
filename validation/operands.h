/* Operands of operation tests: tensors whose padding is NaN, random numbers in them, and their
 * comparison in double. */
#ifndef OPERANDS_H
#define OPERANDS_H

#include "czhpc/rng.h"
#include "variants.h"

static inline double get(cz_tensor t, int row, int col)
{
    return read_number(cz_at(t, row, col), t.dtype);
}

static inline void put(cz_tensor t, int row, int col, double value)
{
    write_number(cz_at(t, row, col), t.dtype, value);
}

/* Rows `pad` elements longer than they need to be; all NaN. Release with drop_tensor(). */
static inline cz_tensor nan_tensor(cz_dtype dtype, int rows, int cols, int pad)
{
    cz_tensor t = cz_matrix(NULL, dtype, rows, cols + pad);
    size_t size = (size_t)rows * (size_t)(cols + pad) * cz_dtype_size(dtype);
    t.data = shared_room(size);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols + pad; c++) put(t, r, c, NAN);
    t.dim[1] = cols;
    return t;
}

static inline void drop_tensor(cz_tensor t)
{
    if (t.data) shared_free(t.data);
}

/* Uniform in (-1, 1), as `held` holds it; the same for the same seed. */
static inline void fill(cz_tensor t, cz_dtype held, unsigned seed)
{
    cz_rng rng = cz_rng_open(seed, 0, 0, 0, 0);
    for (int r = 0; r < cz_rows(t); r++)
        for (int c = 0; c < cz_cols(t); c++) {
            double x = ((double)(cz_rng_u32(&rng) >> 8) + 0.5) * 0x1p-23 - 1;
            put(t, r, c, rounded_to(held, x));
        }
}

static inline cz_tensor random_tensor(cz_dtype dtype, int rows, int cols, int pad, unsigned seed)
{
    cz_tensor t = nan_tensor(dtype, rows, cols, pad);
    fill(t, dtype, seed);
    return t;
}

/* Weights where activations are `dtype`: wide, but with numbers that `dtype` holds too, so that it
 * makes no difference whether a product takes them rounded. */
static inline cz_tensor random_weights(cz_dtype dtype, int rows, int cols, int pad, unsigned seed)
{
    cz_tensor t = nan_tensor(cz_dtype_wide(dtype), rows, cols, pad);
    fill(t, dtype, seed);
    return t;
}

/* The same numbers in another type that holds them. */
static inline cz_tensor converted(cz_tensor from, cz_dtype dtype)
{
    cz_tensor t = nan_tensor(dtype, cz_rows(from), cz_cols(from), 0);
    for (int r = 0; r < cz_rows(from); r++)
        for (int c = 0; c < cz_cols(from); c++) put(t, r, c, get(from, r, c));
    return t;
}

static inline cz_tensor as_vector(cz_tensor t)
{
    return cz_vector(t.data, t.dtype, cz_rows(t) * cz_cols(t));
}

/* || a - b || / || b ||; infinite where a holds NaN, or where a's padding of rows was written. */
static inline double distance(cz_tensor a, cz_tensor b)
{
    double gap = 0, size = 0;
    for (int r = 0; r < cz_rows(b); r++) {
        for (int c = 0; c < cz_cols(b); c++) {
            double d = get(a, r, c) - get(b, r, c);
            gap += d * d;
            size += get(b, r, c) * get(b, r, c);
        }
        for (int c = cz_cols(a); c < a.ld; c++)
            if (!isnan(get(a, r, c))) return INFINITY;
    }
    double relative = size > 0 ? sqrt(gap / size) : sqrt(gap);
    return isnan(relative) ? INFINITY : relative;
}

static inline void spread_tensor(spread *s, cz_tensor a, cz_tensor b)
{
    for (int r = 0; r < cz_rows(b); r++)
        for (int c = 0; c < cz_cols(b); c++) spread_add(s, get(a, r, c), get(b, r, c));
}

/* Whether rows of two tensors of one type hold the same bits. */
static inline bool same_bits(cz_tensor a, cz_tensor b)
{
    if (cz_rows(a) != cz_rows(b) || cz_cols(a) != cz_cols(b)) return false;
    size_t size = (size_t)cz_cols(a) * cz_dtype_size(a.dtype);
    for (int r = 0; r < cz_rows(a); r++)
        if (memcmp(cz_at(a, r, 0), cz_at(b, r, 0), size) != 0) return false;
    return true;
}

#endif
