/* The exponential of the fp32 kernels and their GELU against libm's in double, over all that they
 * take. */
#define CZ_VARIANT check
#define CZ_STORED_BITS 32
#define CZ_VECTOR_BYTES 16
#define CZ_LEVEL CZ_LEVEL_PORTABLE
#include "../src/ops/vector.h"
#include "check.h"

static float exp_of(float x) { return vec_exp(broadcast(x))[LANES - 1]; }

static float gelu_of(float x) { return vec_gelu(broadcast(x))[LANES - 1]; }

/* Relative to the greater of 1 and the result. */
static void check_gelu(void)
{
    double worst = 0;
    for (float x = -15; x < 15; x += 0x1p-15f) {
        double exact = (double)x * erfc((double)-x * sqrt(0.5)) / 2;
        worst = fmax(worst, fabs((double)gelu_of(x) - exact) / fmax(1, fabs(exact)));
    }
    check(worst < TOL_GELU, "gelu: %.1e at worst", worst);
    check(gelu_of(0) == 0 && gelu_of(1e30f) == 1e30f && gelu_of(-1e30f) == 0,
          "gelu: 0 and what lies far away");
    check(isnan(gelu_of(NAN)), "gelu: of NaN is NaN");
}

int main(void)
{
    check_gelu();
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
