#include "axis_tics.h"
#include "names.h"

#include <float.h>
#include <math.h>
#include <string.h>

void tic_label(char label[TIC_LABEL], double value, int digits)
{
    const double plain = 1e5;
    double size = fabs(value);
    if (size >= 1 && size < plain) digits = (int)fmax(digits, floor(log10(size)) + 1);
    snprintf(label, TIC_LABEL, "%.*g", digits, value);
    char *exponent = strchr(label, 'e');
    if (!exponent) return;
    char *from = exponent + 1, *to = from;
    if (*from == '-') to++;
    from++;
    while (*from == '0' && from[1]) from++;
    memmove(to, from, strlen(from) + 1);
}

static void add(axis_tics *tics, double at, int digits)
{
    if (tics->count == TICS_MAX) return;
    tics->at[tics->count] = at;
    tic_label(tics->label[tics->count++], at, digits);
}

/* The smallest 1, 2 or 5 times a power of ten that is not below `least`. */
static double round_step(double least)
{
    double power = pow(10, floor(log10(least)));
    static const double times[] = {1, 2, 5};
    for (int i = 0; i < 3; i++)
        if (times[i] * power >= least * (1 - 1e-9)) return times[i] * power;
    return 10 * power;
}

static void linear(axis_tics *tics, double low, double high, bool whole, int most)
{
    double least = (high - low) / most;
    if (!(least > 0) || !isfinite(least)) return;
    double step = round_step(whole ? fmax(least, 1) : least), slack = 1e-9 * step;
    double first = ceil((low - slack) / step), last = floor((high + slack) / step);
    double digits = ceil(log10(fmax(fmax(fabs(low), fabs(high)) / step, 1) * 1.0001)) + 1;
    for (int i = 0; i < TICS_MAX && first + i <= last; i++)
        add(tics, first + i == 0 ? 0 : (first + i) * step, (int)fmin(digits, 15));
}

/* 1, 2 and 5 times the powers of ten within the ends. */
static void in_steps(axis_tics *tics, double low, double high)
{
    static const double times[] = {1, 2, 5};
    for (int i = (int)floor(log10(low)); i <= log10(high); i++)
        for (int t = 0; t < 3; t++) {
            double at = times[t] * pow(10, i);
            if (at >= low * (1 - 1e-9) && at <= high * (1 + 1e-9)) add(tics, at, 3);
        }
}

/* Decades, every so many; where those are few, and there is room, what is between. */
static void logarithmic(axis_tics *tics, double low, double high, int most)
{
    int first = (int)ceil(log10(low) - 1e-9), last = (int)floor(log10(high) + 1e-9);
    int every = (last - first) / most + 1;
    if (last - first < 2) in_steps(tics, low, high);
    if (tics->count > 1 && tics->count <= most + 1) return;
    tics->count = 0;
    for (int i = (int)ceil((double)first / every) * every; i <= last; i += every)
        add(tics, pow(10, i), 3);
}

axis_tics tics_of(double low, double high, axis_scale scale, int most)
{
    axis_tics tics = {0};
    if (scale == AXIS_LOG) logarithmic(&tics, low, high, most);
    if (tics.count < 2) {
        tics.count = 0;
        linear(&tics, low, high, scale == AXIS_WHOLE, most);
    }
    return tics;
}

void tics_write(FILE *out, const char *axis, const axis_tics *tics, bool named)
{
    fprintf(out, "set %stics (", axis);
    for (int i = 0; i < tics->count; i++)
        fprintf(out, "%s'%s' %.12g", i ? ", " : "", named ? tics->label[i] : "", tics->at[i]);
    fputs(")\n", out);
}

double tics_width(const axis_tics *tics)
{
    double widest = 0;
    for (int i = 0; i < tics->count; i++) widest = fmax(widest, name_width(tics->label[i]));
    return widest;
}

void axis_widen(double *low, double *high, axis_scale scale)
{
    const double room = 0.05;
    if (scale == AXIS_LOG) {
        double gap = *low < *high ? room * (log(*high) - log(*low)) : 0.4;
        *low = fmax(*low * exp(-gap), DBL_MIN);
        *high = fmin(*high * exp(gap), DBL_MAX);
        return;
    }
    double gap = room * (*high - *low);
    if (!(*low < *high)) gap = *low == 0 || scale == AXIS_WHOLE ? 1 : 0.1 * fabs(*low);
    *low -= gap;
    *high += gap;
}
