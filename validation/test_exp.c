/* The exponential of the fp32 kernels against libm's in double, over its whole range. */
#define CZ_VARIANT check
#define CZ_REAL_BITS 32
#define CZ_VECTOR_BYTES 16
#define CZ_LEVEL CZ_LEVEL_PORTABLE
#include "../src/ops/vector.h"
#include "check.h"

static float exp_of(float x) { return vec_exp(broadcast(x))[LANES - 1]; }

int main(void)
{
    double worst = 0;
    long count = 0;
    /* The bits of a negative float grow as it falls. */
    uint32_t bits = 0x80000000;
    for (float x = -0.0f; x >= -87; bits += 991, memcpy(&x, &bits, sizeof x), count++) {
        double exact = exp((double)x);
        int exponent;
        frexp(exact, &exponent);
        worst = fmax(worst, fabs((double)exp_of(x) - exact) / ldexp(1, exponent - 24));
    }
    check(worst < TOL_EXP_UNITS, "exp: %.3f units in the last place at worst, of %ld numbers",
          worst, count);
    check(exp_of(0) == 1 && exp_of(-0.0f) == 1, "exp: of 0 is 1");
    check(exp_of(-87.001f) == 0 && exp_of(-1e30f) == 0 && exp_of(-INFINITY) == 0,
          "exp: is 0 below -87");
    check(isnan(exp_of(NAN)), "exp: of NaN is NaN");
    return check_done();
}
