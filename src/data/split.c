/* Training, validation and test cells, cut by class. */
#include "split.h"
#include "sorting.h"

#include "czhpc/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows of a class in the order of their keys. */
static int by_place(const void *left, const void *right)
{
    const placed *a = left, *b = right;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return a->cell < b->cell ? -1 : a->cell > b->cell;
}

/* Shares n cells by `part` (sum 1): rounded down, then one more for the largest remainders.
 * Among equal remainders the part that is furthest behind over all classes so far comes
 * first, so that many small classes do not all starve the same part. */
static void share(int count[CZ_SPLITS], double behind[CZ_SPLITS], int n,
                  const double part[CZ_SPLITS])
{
    const double same = 1e-6; /* 1 - 0.7 - 0.15 is not quite 0.15 */
    double remainder[CZ_SPLITS];
    int left = n;
    for (int p = 0; p < CZ_SPLITS; p++) {
        count[p] = (int)floor(n * part[p] + same);
        remainder[p] = n * part[p] - count[p];
        left -= count[p];
    }
    for (; left > 0; left--) {
        int best = 0;
        for (int p = 1; p < CZ_SPLITS; p++) {
            double more = remainder[p] - remainder[best];
            double later = behind[p] + n * part[p] - (behind[best] + n * part[best]) -
                           (count[p] - count[best]);
            if (more > same || (more > -same && later > same)) best = p;
        }
        count[best]++;
        remainder[best] = -1;
    }
    for (int p = 0; p < CZ_SPLITS; p++) behind[p] += n * part[p] - count[p];
}

/* Cuts one class; rows that are equal go where the first of them goes. */
static void cut(uint8_t *split, const placed *row, int n, const int count[CZ_SPLITS])
{
    int p = CZ_TRAIN, end = count[CZ_TRAIN];
    for (int i = 0; i < n; i++) {
        int again = i > 0 && row[i].hash == row[i - 1].hash;
        while (!again && i >= end && p + 1 < CZ_SPLITS) end += count[++p];
        split[row[i].cell] = (uint8_t)p;
    }
}

/* end (classes): where the rows of each class begin, one class after the other. */
static cz_status begin_classes(int *end, int n, const int32_t *code, int classes)
{
    for (int i = 0; i < n; i++) {
        if (code[i] < 0 || code[i] >= classes)
            return cz_fail(CZ_ERR_BUG, "cell %d has class %d of %d: it cannot be split", i, code[i],
                           classes);
        end[code[i]]++;
    }
    for (int k = 0, sum = 0; k < classes; k++) {
        int count = end[k];
        end[k] = sum;
        sum += count;
    }
    return CZ_OK;
}

cz_status split_place(placed *row, int n, const int32_t *code, int classes,
                      const uint64_t *row_hash, bool by_class, int64_t seed)
{
    int *end = cz_alloc((size_t)classes, sizeof *end, "the classes of cells");
    cz_status status = end ? begin_classes(end, n, code, classes) : CZ_ERR_MEMORY;
    for (int i = 0; i < n && !status; i++) {
        cz_block key = cz_philox((uint64_t)seed, (uint32_t)row_hash[i],
                                 (uint32_t)(row_hash[i] >> 32), cz_counter(CZ_RNG_SPLIT, 0), 0);
        row[by_class ? end[code[i]]++ : i] =
            (placed){by_class ? code[i] : 0, i, (uint64_t)key.v[1] << 32 | key.v[0], row_hash[i]};
    }
    for (int begin = 0, last; begin < n && !status; begin = last) {
        for (last = begin; last < n && row[last].class == row[begin].class;) last++;
        status = sort_by_hash(row + begin, (size_t)(last - begin), sizeof *row,
                              offsetof(placed, key), by_place);
    }
    free(end);
    return status;
}

cz_status cz_split_cells(uint8_t *split, int n, const int32_t *code, int classes,
                         const uint64_t *row_hash, cz_split_method method, double train,
                         double validation, int64_t seed)
{
    const double part[CZ_SPLITS] = {train, validation, fmax(0, 1 - train - validation)};
    if (!(train >= 0 && validation >= 0 && train + validation <= 1 + 1e-9))
        return cz_fail(CZ_ERR_CONFIG,
                       "split.train %g and split.validation %g must not be negative, and their "
                       "sum not above 1",
                       train, validation);
    placed *row = cz_alloc((size_t)n, sizeof *row, "the split of the cells");
    if (!row) return CZ_ERR_MEMORY;
    cz_status status =
        split_place(row, n, code, classes, row_hash, method == CZ_SPLIT_STRATIFIED, seed);
    double behind[CZ_SPLITS] = {0};
    for (int begin = 0, end; begin < n && !status; begin = end) {
        int count[CZ_SPLITS];
        for (end = begin; end < n && row[end].class == row[begin].class;) end++;
        share(count, behind, end - begin, part);
        cut(split, row + begin, end - begin, count);
    }
    free(row);
    return status;
}

/* The fold with the fewest cells of this class, of those the one with the fewest of all. */
static int emptiest(const int *of_class, const int *of_all, int folds)
{
    int best = 0;
    for (int f = 1; f < folds; f++)
        if (of_class[f] < of_class[best] ||
            (of_class[f] == of_class[best] && of_all[f] < of_all[best]))
            best = f;
    return best;
}

cz_status split_folds(uint8_t *split, int n, const int32_t *code, int classes,
                      const uint64_t *row_hash, int folds, int fold, int64_t seed)
{
    placed *row = cz_alloc((size_t)n, sizeof *row, "the folds of the cells");
    int *of_class = cz_alloc((size_t)folds, sizeof *of_class, "the folds of the cells");
    int *of_all = cz_alloc((size_t)folds, sizeof *of_all, "the folds of the cells");
    cz_status status = row && of_class && of_all ? CZ_OK : CZ_ERR_MEMORY;
    if (!status) status = split_place(row, n, code, classes, row_hash, true, seed);
    for (int i = 0, f = 0; i < n && !status; i++) {
        bool first = i == 0 || row[i].class != row[i - 1].class;
        if (first) memset(of_class, 0, (size_t)folds * sizeof *of_class);
        if (first || row[i].hash != row[i - 1].hash) f = emptiest(of_class, of_all, folds);
        of_class[f]++;
        of_all[f]++;
        int after = (f - fold + folds) % folds;
        split[row[i].cell] = after == 0 ? CZ_TEST : after == 1 ? CZ_VALIDATION : CZ_TRAIN;
    }
    free(row);
    free(of_class);
    free(of_all);
    return status;
}
