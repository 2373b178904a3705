#include "sorting.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 64 }; /* rows that are not worth dividing */

static size_t bucket_of(const char *row, size_t key, int shift)
{
    uint64_t value;
    memcpy(&value, row + key, sizeof value);
    return (size_t)(value >> shift);
}

/* By their highest bits into as many buckets as there are rows or so, then bucket by bucket. */
cz_status sort_by_hash(void *rows, size_t n, size_t size, size_t key,
                       int (*compare)(const void *, const void *))
{
    if (n <= FEW) {
        qsort(rows, n, size, compare);
        return CZ_OK;
    }
    int shift = 63;
    while (shift > 1 && (size_t)1 << (64 - shift) < n / 2) shift--;
    size_t buckets = (size_t)1 << (64 - shift);
    char *to = rows, *from = cz_alloc(n, size, "sorting of cells");
    size_t *end = cz_alloc(buckets + 1, sizeof *end, "sorting of cells");
    cz_status status = from && end ? CZ_OK : CZ_ERR_MEMORY;
    if (status) goto done;
    memcpy(from, rows, n * size);
    for (size_t i = 0; i < n; i++) end[bucket_of(from + i * size, key, shift) + 1]++;
    for (size_t b = 0; b < buckets; b++) end[b + 1] += end[b];
    /* end[b] is where bucket b begins, and after the last of its rows where it ends. */
    for (size_t i = 0; i < n; i++) {
        const char *row = from + i * size;
        memcpy(to + end[bucket_of(row, key, shift)]++ * size, row, size);
    }
    for (size_t b = 0, begin = 0; b < buckets; begin = end[b++])
        if (end[b] - begin > 1) qsort(to + begin * size, end[b] - begin, size, compare);
done:
    free(from);
    free(end);
    return status;
}
