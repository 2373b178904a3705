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
/* A step of the model in bf16, in what fp64's is moved by where a rounding to bf16 moves each of
 * its weights: activations are rounded as often as weights. */
#define TOL_BF16_MODEL 2
/* The loss of a batch in bf16, as a part of it: roundings average out over its cells. */
#define TOL_BF16_LOSS 0x1p-11
/* Losses of some 20 steps in fp32 on a GPU against a CPU, relative: other orders of sums. */
#define TOL_GPU_LOSS 1e-5
/* And the weights after them, norm-wise: where a gradient is next to nothing, Adam divides its
 * rounding by its size, and moves a weight by up to a step. */
#define TOL_GPU_WEIGHTS 1e-3
/* How far losses of 100 steps in bf16 on a GPU are from fp32's, in what those of a CPU's bf16 are:
 * as many roundings of the same size, in other places. */
#define TOL_BF16_TRAJECTORY 2
/* fp32 operation against its fp64 form, norm-wise: 2^-24 times the root of the sum's length. */
#define TOL_F32_OP 2e-6
/* bf16 operation against fp64 on the same numbers, norm-wise: one rounding of a result to 8 bits,
 * at most 2^-8 of it, about 2^-9.3 over many. */
#define TOL_BF16_OP 0x1p-8
/* A bf16 level against the portable one on the same numbers, norm-wise: sums in another order fall
 * to the other side of a border between two numbers now and then. */
#define TOL_BF16_LEVELS 5e-5
/* A GPU against the portable level: tensor cores add 16 terms at a time, cut off after two bits
 * more than fp32 has; such sums, calculated, fall to the other side for 4.3e-5. */
#define TOL_BF16_GPU 1e-4
/* fp64 operation against plain loops in double: another order of sums of at most 2048 terms. */
#define TOL_F64_OP 1e-13
/* The fp32 exponential, in units in the last place: the rounding of a polynomial and of its
 * argument's reduction. */
#define TOL_EXP_UNITS 1
/* The fp32 GELU: two roundings of the result's size and those within the exponential. */
#define TOL_GELU 0x1p-22
/* Central differences in fp64, h 1e-5: curvature h^2 and rounding 1e-16 / h. */
#define TOL_FINITE_DIFFERENCE 1e-8
/* The factored resampler against the plain one in fp64: another order of the same sums. */
#define TOL_F64_FORMS 1e-12
/* Mean attention weights, relative to weights of 1/20 to 1: each is rounded to 2^-30 for an exact
 * sum. */
#define TOL_ATTENTION 1e-8
/* Two ways to write one learning rate: rounding of the cosine's argument. */
#define TOL_SCHEDULE 1e-14
/* Means, singular values and loadings of counts against LAPACK's SVD in Python: sums are taken
 * in multiples of a unit 2^-51 of their bound, and singular values are roots of eigenvalues. */
#define TOL_COUNTS_EXACT 1e-9
/* The same where far fewer components than genes are sought: the subspace iteration has then
 * converged this far on the fixture: values to 1e-10, vectors to about the root of that. */
#define TOL_COUNTS_ITERATED 5e-5
/* The real cells have no gap in their singular values: of 64 found the first 16 and the last are
 * off by this part, and the part of the variance that they explain. */
#define TOL_COUNTS_FIRST 1e-6
#define TOL_COUNTS_LAST 5e-3
#define TOL_COUNTS_EXPLAINED 2e-4
/* Features are fp32 of size about 1 to 10. */
#define TOL_COUNTS_FEATURES 2e-6
/* Normals in single precision against double, absolute: logarithm and root to 1e-7, of values
 * below 6. */
#define TOL_NORMAL 2e-6
/* Posterior of synthetic cells from 24 effects against the whole covariance: exponents are
 * differences of squares of some thousands, known to 1e-16 of themselves. */
#define TOL_POSTERIOR 1e-11
/* Scores of predictions against scikit-learn and SciPy, relative to at least 1: sums of some
 * hundred terms in another order, and a root found to 1e-15. */
#define TOL_METRICS 1e-9
/* Vectors of a text model in fp32 against PyTorch's, of entries up to about 3: rounding through 2
 * to 12 layers. */
#define TOL_TEXT_VECTORS 1e-5

/* The same through the whole model: rounding of a loss of about 5 over 2 h, relative to gradients
 * from 1e-3 up. */
#define TOL_MODEL_DIFFERENCE 1e-7
/* Log ratios of densities against Optuna's: logarithms of sums of at most 260 kernels. Whole
 * numbers of a range of 1e6 cost Optuna seven digits of a kernel's mass. */
#define TOL_TPE 1e-9

#endif
