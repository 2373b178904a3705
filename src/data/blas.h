/* How BLAS computes. Private to src/data, which alone calls it. */
#ifndef CZ_BLAS_H
#define CZ_BLAS_H

/* One thread a call, as it is called inside threads of ours; and kernels that fit the processor.
 * To be called by one thread before BLAS or LAPACK is; again does nothing. Local. */
void blas_prepare(void);

#endif
