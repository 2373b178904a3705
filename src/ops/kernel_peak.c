/* The peak of one core: multiply-adds on registers alone. */
#include "kernel.h"

#include <time.h>

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* More chains than latency times units of any core. */
enum { CHAINS = 12, ROUNDS = 1 << 20, TRIES = 12 };

static vec chains(vec factor, vec term)
{
    vec x[CHAINS];
    for (int i = 0; i < CHAINS; i++) x[i] = broadcast((real)i);
    for (int n = 0; n < ROUNDS; n++)
        for (int i = 0; i < CHAINS; i++) x[i] = x[i] * factor + term;
    vec sum = x[0];
    for (int i = 1; i < CHAINS; i++) sum += x[i];
    return sum;
}

double K(peak_gflops)(void)
{
    volatile real factor = (real)0.5, sink;
    double best = 0;
    for (int i = 0; i < TRIES; i++) {
        double start = seconds();
        sink = sum_lanes(chains(broadcast(factor), broadcast(1)));
        double rate = 2.0 * CHAINS * ROUNDS * LANES / (seconds() - start) * 1e-9;
        if (rate > best) best = rate;
    }
    (void)sink;
    return best;
}
