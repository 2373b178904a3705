/* The peak of one core: multiply-adds on registers alone. */
#include "kernel.h"

#include "pairs_amx.h"
#include "pairs_vector.h"

#include <time.h>

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#if CZ_AMX
/* Four sums, as a product has them. */
enum { ROUNDS = 1 << 18, ROUND_OPERATIONS = 4 * 2 * 16 * 16 * 32, TRIES = 12 };

static void multiply(real factor)
{
    (void)factor;
    prepare_tiles();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (int n = 0; n < ROUNDS; n++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
}
#else
/* More chains than latency times units of any core. */
enum {
    CHAINS = 12,
    ROUNDS = 1 << 20,
    ROUND_OPERATIONS = 2 * CHAINS * LANES * (1 + CZ_PAIRS),
    TRIES = 12
};

#if CZ_PAIRS
INLINE vec add_product(vec x, vec factor, vec term)
{
    return (vec)add_pairs((__m512)x, (__m512i)factor, (__m512i)term);
}
#else
INLINE vec add_product(vec x, vec factor, vec term) { return x * factor + term; }
#endif

static void multiply(real by)
{
    vec x[CHAINS], factor = broadcast(by), term = broadcast(1);
    for (int i = 0; i < CHAINS; i++) x[i] = broadcast((real)i);
    for (int n = 0; n < ROUNDS; n++)
        for (int i = 0; i < CHAINS; i++) x[i] = add_product(x[i], factor, term);
    vec sum = x[0];
    for (int i = 1; i < CHAINS; i++) sum += x[i];
    volatile real sink = sum_lanes(sum);
    (void)sink;
}
#endif

double K(peak_gflops)(void)
{
    volatile real factor = (real)0.5;
    double best = 0;
    for (int i = 0; i < TRIES; i++) {
        double start = seconds();
        multiply(factor);
        double rate = (double)ROUND_OPERATIONS * ROUNDS / (seconds() - start) * 1e-9;
        if (rate > best) best = rate;
    }
    return best;
}
