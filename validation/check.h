/* What every test program uses: numbered verdicts on stdout, counted by run_checks.sh. */
#ifndef CHECK_H
#define CHECK_H

#include "tolerances.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_failures;

/* One verdict; `ok` must already be agreed where a test runs on several ranks, and only
 * rank 0 may call. */
__attribute__((format(printf, 2, 3))) static inline bool check(bool ok, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs(ok ? "ok   " : "FAIL ", stdout);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout);
    va_end(arguments);
    if (!ok) check_failures++;
    return ok;
}

__attribute__((format(printf, 1, 2))) static inline void check_skip(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("SKIP ", stdout);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}

/* The exit status of main. */
static inline int check_done(void) { return check_failures != 0; }

/* |a - b| in the 2-norm over |b|, of n doubles; the absolute norm where b is 0. Infinite where a
 * NaN is among them, so that the worst of many shows it. */
static inline double check_distance(const double *a, const double *b, size_t n)
{
    double gap = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        gap += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    double relative = size > 0 ? sqrt(gap / size) : sqrt(gap);
    return isnan(relative) ? INFINITY : relative;
}

#endif
