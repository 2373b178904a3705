/* Where an axis has its tics, and what stands at them: few, and short enough for small panels.
 * Private to src/report; Local. */
#ifndef CZ_AXIS_TICS_H
#define CZ_AXIS_TICS_H

#include <stdbool.h>
#include <stdio.h>

enum { TICS_MAX = 16, TIC_LABEL = 24 };

typedef struct axis_tics {
    int count;
    double at[TICS_MAX];
    char label[TICS_MAX][TIC_LABEL];
} axis_tics;

typedef enum axis_scale { AXIS_LINEAR, AXIS_WHOLE, AXIS_LOG } axis_scale;

/* At most `most` (up to 15) in [low, high]: whole numbers, decades, or multiples of 1, 2 or 5 of a
 * power of ten. */
axis_tics tics_of(double low, double high, axis_scale scale, int most);

/* "set xtics (...)"; axis: "x", "y", "cb". named: with what stands at them. */
void tics_write(FILE *out, const char *axis, const axis_tics *tics, bool named);

/* The widest label, em. */
double tics_width(const axis_tics *tics);

/* A number of so many digits, below 1e5 at least those before the point, with a short exponent:
 * 1e-5. */
void tic_label(char label[TIC_LABEL], double value, int digits);

/* The ends of an axis that shows [low, high] with room at both. */
void axis_widen(double *low, double *high, axis_scale scale);

#endif
