#include "tree.h"

static void add_f32(float *restrict sum, const float *restrict a, const float *restrict b, size_t n)
{
    for (size_t i = 0; i < n; i++) sum[i] = a[i] + b[i];
}

static void add_f64(double *restrict sum, const double *restrict a, const double *restrict b,
                    size_t n)
{
    for (size_t i = 0; i < n; i++) sum[i] = a[i] + b[i];
}

static int levels_of(int leaves)
{
    int levels = 0;
    while (1 << levels < leaves) levels++;
    return levels;
}

/* Two buffers a level: a left sum waits there while the right one is formed below it. */
size_t cz_tree_scratch(int leaves) { return (size_t)levels_of(leaves) * 2 * CZ_TREE_CHUNK; }

cz_tree cz_tree_make(cz_dtype dtype, int leaves, void *scratch)
{
    return (cz_tree){dtype, leaves, levels_of(leaves), scratch};
}

typedef struct sum_job {
    const cz_tree *tree;
    const void *const *leaf;
    size_t at, count;
    void *out; /* of the root */
} sum_job;

/* The sum over leaves first .. first + 2^level - 1, of those that there are. */
static const void *sum_subtree(const sum_job *job, int first, int level, int side)
{
    const cz_tree *tree = job->tree;
    if (level == 0) return (const char *)job->leaf[first] + job->at * cz_dtype_size(tree->dtype);
    int middle = first + (1 << (level - 1));
    if (middle >= tree->leaves) return sum_subtree(job, first, level - 1, side);

    const void *left = sum_subtree(job, first, level - 1, 0);
    const void *right = sum_subtree(job, middle, level - 1, 1);
    void *sum = (char *)tree->scratch + ((size_t)(level - 1) * 2 + (size_t)side) * CZ_TREE_CHUNK;
    if (level == tree->levels && job->out) sum = job->out;
    if (tree->dtype == CZ_F64) add_f64(sum, left, right, job->count);
    else add_f32(sum, left, right, job->count);
    return sum;
}

const void *cz_tree_sum(const cz_tree *tree, const void *const *leaf, size_t at, size_t count,
                        void *out)
{
    sum_job job = {tree, leaf, at, count, out};
    return sum_subtree(&job, 0, tree->levels, 0);
}
