/* Scratch of the CPU kernels, in elements: what each may take beside a product's own. A kernel
 * that takes more, or a new one, belongs here, since cz_ops_scratch() promises the sum. */
#ifndef CZ_SCRATCH_H
#define CZ_SCRATCH_H

#include <stddef.h>

/* Largest packed blocks of A and B of any level, and what aligning both may add. */
enum { CZ_SCRATCH_GEMM = 8 * 16 * (256 + 16) + 256 * 512 + 32 };

/* The resampler and attention keep a few vectors and matrices of one cell at a time. */
static inline size_t cz_scratch_cell(int L, int T, int D, int H)
{
    size_t l = (size_t)L, t = (size_t)T, d = (size_t)D, h = (size_t)H;
    return 8 * (l * d + l * h * t + h * t * d + d * d + 64);
}

#endif
