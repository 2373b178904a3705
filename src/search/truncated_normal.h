/* The standard normal distribution, also between two bounds, accurate in its tails. As SciPy's
 * truncnorm, whose code Optuna's is. All of it is Local. */
#ifndef TRUNCATED_NORMAL_H
#define TRUNCATED_NORMAL_H

double normal_log_density(double x);

/* log(Phi(b) - Phi(a)), a < b. */
double normal_log_mass(double a, double b);

/* The x between a and b below which a share q in [0, 1) of the mass between them lies. */
double truncated_normal_quantile(double q, double a, double b);

#endif
