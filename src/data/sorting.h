/* Sorting of rows by a hash that they carry. Private to src/data. */
#ifndef CZ_SORTING_H
#define CZ_SORTING_H

#include "czhpc/status.h"

/* Orders n rows of `size` bytes as qsort() does. At `key` bytes into a row is a uint64_t that
 * compare() looks at first. Where these are spread as hashes are it takes time in proportion to n;
 * the order is the same whatever they are. Local. CZ_ERR_MEMORY: there is none for a copy. */
cz_status sort_by_hash(void *rows, size_t n, size_t size, size_t key,
                       int (*compare)(const void *, const void *));

#endif
