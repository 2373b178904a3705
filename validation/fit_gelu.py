"""The polynomial of the kernels' normal distribution function, fitted anew: validation/fit_gelu.py

GELU(x) = x Phi(x), and for x <= 0, with t = 1 / (1 - 0.3 x), Phi(x) = t exp(P(t) - x^2 / 2). P is
fitted to the smallest greatest error of x Phi(x), by least squares whose weights follow the error
(Lawson 1961). validation/test_exp.c measures what the kernels make of it. Needs SciPy.
"""

import numpy as np
from scipy.special import log_ndtr, ndtr

SLOPE, DEGREE, FARTHEST, POINTS = 0.3, 7, 14, 4000

least = 1 / (1 + SLOPE * FARTHEST)
t = (1 + least) / 2 + (1 - least) / 2 * np.cos(np.pi * (np.arange(POINTS) + 0.5) / POINTS)
x = (1 / t - 1) / SLOPE
wanted = log_ndtr(-x) + x * x / 2 - np.log(t)
powers = np.vander(t, DEGREE + 1, increasing=True)
importance = np.minimum(1, 3 * np.exp(-x * x / 4)) + 1e-3
weight = importance.copy()
for _ in range(200):
    coefficients = np.linalg.lstsq(powers * weight[:, None], wanted * weight, rcond=None)[0]
    error = np.abs(powers @ coefficients - wanted) * importance
    weight *= np.sqrt(1 + error / error.max())
    weight /= weight.max()
for power, coefficient in enumerate(coefficients):
    print(f"t^{power} {coefficient:.9g}")
worst = np.abs((powers @ coefficients - wanted) * x * ndtr(-x)).max()
print(f"error of GELU without rounding: {worst:.1e} at most")
