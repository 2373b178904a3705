/* The split: margins by largest remainders, equal rows together, a pure function of its key. */
#include "check.h"
#include "czhpc/data.h"
#include "czhpc/rng.h"

enum { N = 3000, CLASSES = 14 };

static int32_t code[N];
static uint64_t hash[N];
static uint8_t split[N], again[N];

static bool cut(uint8_t *into, int n, int classes, cz_split_method method, int64_t seed)
{
    memset(into, 255, N);
    return !cz_split_cells(into, n, code, classes, hash, method, 0.7, 0.15, seed);
}

static void counts(int count[CZ_SPLITS], const uint8_t *from, int n, int class)
{
    for (int p = 0; p < CZ_SPLITS; p++) count[p] = 0;
    for (int i = 0; i < n; i++)
        if ((class < 0 || code[i] == class) && from[i] < CZ_SPLITS) count[from[i]]++;
}

/* Classes of very different sizes, rows all different. */
static void make_cells(void)
{
    cz_rng rng = cz_rng_open(5, 0, 0, CZ_RNG_SPLIT, 9);
    for (int i = 0; i < N; i++) {
        uint32_t a = cz_rng_below(&rng, CLASSES), b = cz_rng_below(&rng, CLASSES);
        code[i] = (int32_t)(a < b ? a : b);
        hash[i] = (uint64_t)cz_rng_u32(&rng) << 32 | cz_rng_u32(&rng);
    }
}

static void check_margins(void)
{
    bool near = cut(split, N, CLASSES, CZ_SPLIT_STRATIFIED, 1), none = true;
    const double part[CZ_SPLITS] = {0.7, 0.15, 0.15};
    int count[CZ_SPLITS], left = 0;
    for (int k = 0; k < CLASSES; k++) {
        counts(count, split, N, k);
        int n = count[0] + count[1] + count[2];
        double low = 1, high = 0; /* remainders given, remainders not given */
        for (int p = 0; p < CZ_SPLITS; p++) {
            double floored = floor(n * part[p] + 1e-6), rest = n * part[p] - floored;
            near = near && (count[p] == (int)floored || count[p] == (int)floored + 1);
            if (count[p] > floored) low = fmin(low, rest);
            else high = fmax(high, rest);
        }
        none = none && low >= high - 1e-6;
        left += n;
    }
    check(near && left == N, "each class within one cell of its parts");
    check(none, "the cells left over go to the largest remainders");
    cut(split, N, CLASSES, CZ_SPLIT_RANDOM, 1);
    counts(count, split, N, -1);
    check(count[0] == 2100 && count[1] == 450 && count[2] == 450, "random: parts of all cells");
}

static void check_key(void)
{
    cut(split, N, CLASSES, CZ_SPLIT_STRATIFIED, 1);
    bool same = cut(again, N, CLASSES, CZ_SPLIT_STRATIFIED, 1) && !memcmp(split, again, N);
    check(same, "the same each time");
    int equal = 0;
    cut(again, N, CLASSES, CZ_SPLIT_STRATIFIED, 2);
    for (int i = 0; i < N; i++) equal += split[i] == again[i];
    /* Two independent splits agree on 0.49 + 0.0225 + 0.0225 of the cells. */
    check(equal > 0.48 * N && equal < 0.59 * N, "another seed, another split (%d of %d agree)",
          equal, N);

    int32_t kept_code[N];
    uint64_t kept_hash[N];
    memcpy(kept_code, code, sizeof code);
    memcpy(kept_hash, hash, sizeof hash);
    for (int i = 0; i < N; i++) {
        code[i] = kept_code[N - 1 - i];
        hash[i] = kept_hash[N - 1 - i];
    }
    bool moved = cut(again, N, CLASSES, CZ_SPLIT_STRATIFIED, 1);
    for (int i = 0; i < N && moved; i++) moved = again[i] == split[N - 1 - i];
    check(moved, "a cell keeps its part when cells change places");
    memcpy(code, kept_code, sizeof code);
    memcpy(hash, kept_hash, sizeof hash);
}

static void check_equal_rows(void)
{
    bool together = true;
    int count[CZ_SPLITS];
    for (int i = 0; i < N; i++) {
        code[i] = i / 20 % 3;
        hash[i] = (uint64_t)(i / 20) << 33; /* 150 rows, each 20 times */
    }
    cut(split, N, 3, CZ_SPLIT_STRATIFIED, 1);
    for (int i = 0; i < N; i++) together = together && split[i] == split[i / 20 * 20];
    counts(count, split, N, -1);
    check(together && count[1] > 300 && count[2] > 300, "equal rows fall together (%d/%d/%d)",
          count[0], count[1], count[2]);
    for (int i = 0; i < N; i++) hash[i] = 42;
    cut(split, N, 3, CZ_SPLIT_STRATIFIED, 1);
    counts(count, split, N, -1);
    check(count[0] == N, "all rows equal: all in training");
}

static void check_small_classes(void)
{
    int count[CZ_SPLITS];
    bool right = true;
    for (int i = 0; i < N; i++) hash[i] = (uint64_t)i * 7919;
    for (int i = 0; i < N; i++) code[i] = i;
    cut(split, N, N, CZ_SPLIT_STRATIFIED, 1);
    counts(count, split, N, -1);
    check(count[0] == N, "classes of one cell: all in training");
    for (int i = 0; i < N; i++) code[i] = i / 2;
    cut(split, N, N / 2, CZ_SPLIT_STRATIFIED, 1);
    counts(count, split, N, -1);
    check(count[0] == N, "classes of two cells: all in training");
    for (int i = 0; i < N; i++) code[i] = i / 3;
    cut(split, N, N / 3, CZ_SPLIT_STRATIFIED, 1);
    for (int k = 0; k < N / 3; k++) {
        counts(count, split, N, k);
        right = right && count[0] == 2;
    }
    counts(count, split, N, -1);
    check(right && count[1] == N / 6 && count[2] == N / 6,
          "classes of three cells: two train, the third validates or tests by turns");
}

static void check_edges(void)
{
    uint8_t untouched = 9;
    check(!cz_split_cells(&untouched, 0, code, 0, hash, CZ_SPLIT_STRATIFIED, 0.7, 0.15, 1) &&
              untouched == 9,
          "no cells: nothing written");
    memset(code, 0, sizeof code);
    bool all = !cz_split_cells(split, N, code, 1, hash, CZ_SPLIT_STRATIFIED, 0, 0, 1);
    for (int i = 0; i < N; i++) all = all && split[i] == CZ_TEST;
    check(all, "parts 0, 0 and 1: all test");
    bool refused =
        cz_split_cells(split, N, code, 1, hash, CZ_SPLIT_RANDOM, 0.9, 0.2, 1) == CZ_ERR_CONFIG;
    cz_error_clear();
    code[5] = 1;
    refused = refused &&
              cz_split_cells(split, N, code, 1, hash, CZ_SPLIT_RANDOM, 0.7, 0.15, 1) == CZ_ERR_BUG;
    check(refused, "parts above 1, a class out of range: refused");
}

int main(void)
{
    make_cells();
    check_margins();
    check_key();
    check_equal_rows();
    check_small_classes();
    check_edges();
    return check_done();
}
