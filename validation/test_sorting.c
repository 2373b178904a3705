/* Sorting by a hash against qsort(), for hashes as they are and as they should not be. */
#include "../src/data/sorting.h"
#include "check.h"
#include "czhpc/rng.h"

enum { MOST = 20000 };

typedef struct item {
    int32_t place;
    uint64_t hash;
} item;

static item mine[MOST], theirs[MOST];

static int by_hash(const void *left, const void *right)
{
    const item *a = left, *b = right;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static uint64_t spread(uint64_t i) { return cz_hash(0, &i, sizeof i); }
static uint64_t few(uint64_t i) { return spread(i % 5); }
static uint64_t equal(uint64_t i) { return 7 + 0 * i; }
static uint64_t low_bits(uint64_t i) { return spread(i) >> 44; }
static uint64_t falling(uint64_t i) { return UINT64_MAX - i; }
static uint64_t extremes(uint64_t i) { return i % 3 ? UINT64_MAX : 0; }

static void check_hashes(const char *what, uint64_t (*hash)(uint64_t))
{
    static const int sizes[] = {0, 1, 2, 63, 64, 65, 128, 129, 1000, MOST};
    bool same = true;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t n = (size_t)sizes[k];
        for (size_t i = 0; i < n; i++)
            mine[i] = theirs[i] = (item){(int32_t)(i * 7919 % MOST), hash(i)};
        qsort(theirs, n, sizeof *theirs, by_hash);
        same = same && !sort_by_hash(mine, n, sizeof *mine, offsetof(item, hash), by_hash);
        for (size_t i = 0; i < n; i++) same = same && !by_hash(&mine[i], &theirs[i]);
    }
    check(same, "%s: the order of qsort(), 0 to %d rows", what, MOST);
}

int main(void)
{
    check_hashes("hashes", spread);
    check_hashes("five different hashes", few);
    check_hashes("equal hashes", equal);
    check_hashes("hashes of 20 bits", low_bits);
    check_hashes("falling hashes", falling);
    check_hashes("smallest and largest hashes", extremes);
    return check_done();
}
