/* Sums over workers in one fixed binary tree: neighbours 2i and 2i+1 first, then pairs of
 * pairs, and so on. Where there is no right neighbour the left one passes through. So the
 * sum of any aligned 2^k workers may be formed elsewhere, and the whole has the same bits. */
#ifndef CZ_TREE_H
#define CZ_TREE_H

#include "czhpc/tensor.h"

/* A chunk of so many bytes, and its partial sums, stay in a core's cache. */
enum { CZ_TREE_CHUNK = 16384 };

typedef struct cz_tree {
    cz_dtype dtype;
    int leaves, levels; /* 2^levels >= leaves */
    void *scratch;      /* cz_tree_scratch() bytes, aligned to 64; one for each thread */
} cz_tree;

/* Bytes of scratch that a sum over `leaves` needs. Local. */
size_t cz_tree_scratch(int leaves);
cz_tree cz_tree_make(cz_dtype dtype, int leaves, void *scratch);

/* Elements [at, at + count) of the sum over leaf[0 .. leaves-1], at most CZ_TREE_CHUNK bytes
 * of them: written to `out` (from its beginning), or to scratch if that is NULL. Returns
 * where they are; of one leaf alone they stay where they were. Local. */
const void *cz_tree_sum(const cz_tree *tree, const void *const *leaf, size_t at, size_t count,
                        void *out);

#endif
