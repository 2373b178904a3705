#include "truncated_normal.h"

#include <float.h>
#include <math.h>

static const double LOG_ROOT_2PI = 0.91893853320467274178;
static const double ROOT_HALF = 0.70710678118654752440;
static const double LOGISTIC = 0.55132889542179204; /* sqrt(3) / pi */

double normal_log_density(double x) { return -0.5 * x * x - LOG_ROOT_2PI; }

static double normal_cdf(double x) { return 0.5 * erfc(-x * ROOT_HALF); }

/* log Phi(x) for x far below 0, by its asymptotic series. */
static double log_cdf_far(double x)
{
    double sum = 1, last = 0, term = 1;
    for (int i = 1; fabs(last - sum) > DBL_EPSILON; i++) {
        last = sum;
        term *= -(2 * i - 1) / (x * x);
        sum += term;
    }
    return normal_log_density(x) - log(-x) + log(sum);
}

static double log_normal_cdf(double x)
{
    if (x > 6) return -normal_cdf(-x);
    return x > -20 ? log(normal_cdf(x)) : log_cdf_far(x);
}

/* Of an interval at or below 0. */
static double log_mass_left(double a, double b)
{
    double above = log_normal_cdf(b);
    return above + log1p(-exp(log_normal_cdf(a) - above));
}

double normal_log_mass(double a, double b)
{
    if (b <= 0) return log_mass_left(a, b);
    if (a > 0) return log_mass_left(-b, -a);
    double mass = 0.5 * (erf(b * ROOT_HALF) - erf(a * ROOT_HALF));
    return mass < 0.5 ? log(mass) : log1p(-normal_cdf(a) - normal_cdf(-b));
}

/* x with log Phi(x) = y, by Newton's method; y < 0. Near 0 the upper tail is solved instead. */
static double inverse_log_cdf(double y)
{
    int upper = y > -0.01;
    double z = upper ? log(-expm1(y)) : y;
    double x = z < -5 ? -sqrt(-2 * (z + LOG_ROOT_2PI)) : -LOGISTIC * log(expm1(-z));
    for (int i = 0; i < 100; i++) {
        double log_cdf = log_normal_cdf(x);
        double change = (log_cdf - z) * exp(log_cdf - normal_log_density(x));
        x -= change;
        if (fabs(change) < 1e-8 * fabs(x)) break;
    }
    return upper ? -x : x;
}

static double log_sum(double a, double b)
{
    double high = fmax(a, b);
    return high + log1p(exp(fmin(a, b) - high));
}

double truncated_normal_quantile(double q, double a, double b)
{
    if (q <= 0) return a;
    double mass = normal_log_mass(a, b);
    double y = a < 0 ? log_sum(log_normal_cdf(a), log(q) + mass)
                     : log_sum(log_normal_cdf(-b), log1p(-q) + mass);
    if (y >= 0) return a < 0 ? b : a;
    double x = inverse_log_cdf(y);
    return fmin(fmax(a < 0 ? x : -x, a), b);
}
