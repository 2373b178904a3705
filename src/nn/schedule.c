#include "czhpc/schedule.h"

#include <math.h>

double cz_schedule(int64_t step, int64_t total, double warmup, double cycles)
{
    const double pi = 3.14159265358979323846;
    double warm = floor(warmup * (double)total);
    if ((double)step < warm) return (double)step / warm;
    double rest = (double)total - warm;
    double progress = rest > 0 ? ((double)step - warm) / rest : 1;
    return 0.5 * (1 + cos(pi * cycles * progress));
}
