/* The order of an epoch: a permutation, a pure function of its key, and without preference. */
#include "check.h"
#include "czhpc/data.h"

#include <time.h>

enum { N = 1000, LARGE = 1000000, PLACES = 5, EPOCHS = 20000 };

static bool is_permutation(const int32_t *order, int n)
{
    char *seen = calloc((size_t)n + 1, 1);
    bool whole = true;
    for (int i = 0; i < n; i++) {
        whole = whole && order[i] >= 0 && order[i] < n && !seen[order[i]];
        if (whole) seen[order[i]] = 1;
    }
    free(seen);
    return whole;
}

/* Chi square of the places that each of 5 cells takes over many epochs: 16 degrees of freedom,
 * of which 99.99 % lie below 44.5. */
static double place_square(void)
{
    int count[PLACES][PLACES] = {{0}}, order[PLACES];
    double square = 0, expected = (double)EPOCHS / PLACES;
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        cz_epoch_order(order, PLACES, 3, 0, epoch);
        for (int i = 0; i < PLACES; i++) count[i][order[i]]++;
    }
    for (int i = 0; i < PLACES; i++)
        for (int k = 0; k < PLACES; k++)
            square += (count[i][k] - expected) * (count[i][k] - expected) / expected;
    return square;
}

int main(void)
{
    static int32_t a[N], b[N];
    cz_epoch_order(a, N, 1, 2, 3);
    cz_epoch_order(b, N, 1, 2, 3);
    check(is_permutation(a, N) && !memcmp(a, b, sizeof a), "a permutation, the same each time");
    const struct {
        const char *what;
        int64_t seed;
        uint32_t phase;
        int epoch;
    } other[] = {{"seed", 2, 2, 3},
                 {"seed's upper half", 1 + (1LL << 32), 2, 3},
                 {"phase", 1, 3, 3},
                 {"epoch", 1, 2, 4}};
    for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
        int same = 0;
        cz_epoch_order(b, N, other[k].seed, other[k].phase, other[k].epoch);
        for (int i = 0; i < N; i++) same += a[i] == b[i];
        check(is_permutation(b, N) && same < 10, "another %s, another order", other[k].what);
    }
    b[0] = 7;
    cz_epoch_order(b, 0, 1, 2, 3);
    check(b[0] == 7, "no cells: nothing written");
    cz_epoch_order(b, 1, 1, 2, 3);
    check(b[0] == 0, "one cell");
    double square = place_square();
    check(square < 44.5, "every place equally likely (chi square %.1f of 16)", square);

    int32_t *large = malloc(LARGE * sizeof *large);
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    cz_epoch_order(large, LARGE, 1, 2, 3);
    clock_gettime(CLOCK_MONOTONIC, &end);
    check(is_permutation(large, LARGE), "a million cells, in %.0f ms",
          (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6);
    free(large);
    return check_done();
}
