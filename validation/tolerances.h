/* Every tolerance of the tests, each with its reason. Widening one needs a new reason. */
#ifndef TOLERANCES_H
#define TOLERANCES_H

/* fp64 against PyTorch, one pass and 20 Adam steps: rounding, 1e-16 amplified by sums of 1e4
 * terms and by Adam's first steps. */
#define TOL_F64_PYTORCH 1e-10
/* fp64 loss of 20 steps on 1 to 4 ranks: only the order of sums differs. */
#define TOL_F64_RANKS 1e-12
/* fp32 gradients of one step against fp64, norm-wise per tensor. */
#define TOL_F32_GRADIENT 1e-5
/* fp32 operation against its fp64 form, norm-wise: 2^-24 times the root of the sum's length. */
#define TOL_F32_OP 2e-6
/* fp64 operation against plain loops in double: another order of sums of at most 2048 terms. */
#define TOL_F64_OP 1e-13
/* The fp32 exponential, in units in the last place: the rounding of a polynomial and of its
 * argument's reduction. */
#define TOL_EXP_UNITS 1.5
/* Central differences in fp64, h 1e-5: curvature h^2 and rounding 1e-16 / h. */
#define TOL_FINITE_DIFFERENCE 1e-8
/* The factored resampler against the plain one in fp64: another order of the same sums. */
#define TOL_F64_FORMS 1e-12
/* Two ways to write one learning rate: rounding of the cosine's argument. */
#define TOL_SCHEDULE 1e-14

#endif
