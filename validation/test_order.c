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

enum { CLASSES = 6 };

/* Classes of 500, 300, 0, 150, 40 and 3 cells, and seven cells without. */
static void uneven(int32_t *code)
{
    const int size[CLASSES] = {500, 300, 0, 150, 40, 3};
    int at = 0;
    for (int k = 0; k < CLASSES; k++)
        for (int i = 0; i < size[k]; i++) code[(at++ * 387) % N] = k;
    while (at < N) code[(at++ * 387) % N] = -1;
}

/* Rounds that hold each class once, and cells of a class that differ by one draw at most. */
static void check_balanced(const int32_t *order, const int32_t *code)
{
    int drawn[N] = {0}, least[CLASSES], most[CLASSES] = {0}, of_class[CLASSES] = {0};
    bool rounds = true, turns = true;
    for (int i = 0; i < N; i += 5) {
        unsigned seen = 0;
        for (int k = i; k < i + 5; k++) seen |= 1u << (code[order[k]] & 31);
        rounds = rounds && seen == 073; /* all but class 2 */
    }
    for (int i = 0; i < N; i++) {
        drawn[order[i]]++;
        of_class[code[order[i]]]++;
    }
    for (int k = 0; k < CLASSES; k++) least[k] = N;
    for (int i = 0; i < N; i++) {
        if (code[i] < 0) continue;
        if (drawn[i] < least[code[i]]) least[code[i]] = drawn[i];
        if (drawn[i] > most[code[i]]) most[code[i]] = drawn[i];
    }
    for (int k = 0; k < CLASSES; k++) turns = turns && (k == 2 || most[k] - least[k] <= 1);
    check(rounds && of_class[0] == N / 5 && of_class[5] == N / 5,
          "balanced: each round of 5 draws holds the 5 classes, %d of 500 cells, %d of 3",
          of_class[0], of_class[5]);
    check(turns && least[5] == N / 15,
          "balanced: no cell of a class comes twice more than another");
}

/* The first draw over many epochs: 1/2 a class, alike within it. Four degrees of freedom, of which
 * 99.99 % lie below 23.5. */
static double first_square(void)
{
    const int32_t code[PLACES] = {0, 1, 0, 1, 0};
    int count[PLACES] = {0}, order[PLACES];
    double square = 0;
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        cz_epoch_order_balanced(order, PLACES, code, 2, 3, 0, epoch);
        count[order[0]]++;
    }
    for (int i = 0; i < PLACES; i++) {
        double expected = (double)EPOCHS / (code[i] ? 4 : 6);
        square += (count[i] - expected) * (count[i] - expected) / expected;
    }
    return square;
}

static void balanced(void)
{
    static int32_t a[N], b[N], code[N];
    uneven(code);
    cz_status status = cz_epoch_order_balanced(a, N, code, CLASSES, 1, 2, 3);
    check(!status, "balanced: an order");
    check_balanced(a, code);
    cz_epoch_order_balanced(b, N, code, CLASSES, 1, 2, 3);
    check(!memcmp(a, b, sizeof a), "balanced: the same each time");
    cz_epoch_order_balanced(b, N, code, CLASSES, 1, 2, 4);
    int same = 0;
    for (int i = 0; i < N; i++) same += a[i] == b[i];
    check(same < 30, "balanced: another epoch, another order");
    memset(code, 0, sizeof code);
    cz_epoch_order_balanced(b, N, code, 1, 1, 2, 3);
    check(is_permutation(b, N), "balanced: of one class each cell once");
    for (int i = 0; i < N; i++) code[i] = -1;
    check(cz_epoch_order_balanced(b, N, code, 4, 1, 2, 3) == CZ_ERR_INPUT &&
              cz_epoch_order_balanced(b, 0, code, 4, 1, 2, 3) == CZ_OK,
          "balanced: cells without a class are refused, no cells are not");
    double square = first_square();
    check(square < 23.5, "balanced: classes, and cells of a class, alike (chi square %.1f of 4)",
          square);
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

    balanced();

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
