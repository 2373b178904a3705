/* How BLAS computes. Private to src/data, which alone calls it. */
#ifndef CZ_BLAS_H
#define CZ_BLAS_H

/* One thread a call, as it is called inside threads of ours; and kernels that fit the processor.
 * To be called by one thread before BLAS or LAPACK is; again does nothing. Local. */
void blas_prepare(void);

/* Around calls that threads make at the same time. They take turns where they must: an OpenBLAS
 * that was built without threads, as Debian's serial one, has no locks either, and would let two
 * calls work in the same memory. */
void blas_begin(void);
void blas_end(void);

#endif
