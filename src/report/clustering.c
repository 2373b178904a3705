#include "clustering.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A slot holds a cluster of a tree's leaves; a cluster that joins another leaves its slot empty. */
typedef struct slot {
    int age;   /* rows, then joins, counted from 0 */
    int size;  /* leaves; 0 = empty */
    int *leaf; /* (size) */
} slot;

static double distance(const double *a, const double *b, int columns)
{
    double sum = 0;
    for (int c = 0; c < columns; c++) sum += (a[c] - b[c]) * (a[c] - b[c]);
    return isfinite(sum) ? sqrt(sum) : INFINITY;
}

static void nearest_pair(int *a, int *b, const slot *cluster, const double *gap, int rows)
{
    *a = *b = -1;
    for (int i = 0; i < rows; i++)
        for (int j = i + 1; j < rows && cluster[i].size; j++) {
            if (!cluster[j].size) continue;
            if (*a >= 0 && gap[(size_t)i * rows + j] >= gap[(size_t)*a * rows + *b]) continue;
            *a = i;
            *b = j;
        }
}

/* Into slot a; b becomes empty. */
static void join(slot *cluster, double *gap, int a, int b, int age, int rows)
{
    slot *to = &cluster[a], *from = &cluster[b];
    for (int k = 0; k < rows; k++) {
        if (k == a || k == b || !cluster[k].size) continue;
        double mean =
            (to->size * gap[(size_t)a * rows + k] + from->size * gap[(size_t)b * rows + k]) /
            (to->size + from->size);
        gap[(size_t)a * rows + k] = gap[(size_t)k * rows + a] = mean;
    }
    /* The older one's leaves come first. */
    if (to->age < from->age) {
        memcpy(to->leaf + to->size, from->leaf, (size_t)from->size * sizeof *to->leaf);
    } else {
        memmove(to->leaf + from->size, to->leaf, (size_t)to->size * sizeof *to->leaf);
        memcpy(to->leaf, from->leaf, (size_t)from->size * sizeof *to->leaf);
    }
    to->size += from->size;
    to->age = age;
    from->size = 0;
}

cz_status cluster_order(int *order, const double *x, int rows, int columns)
{
    const char *what = "the clustering of rows";
    size_t n = (size_t)rows;
    if (rows < 1) return CZ_OK;
    slot *cluster = cz_alloc(n, sizeof *cluster, what);
    int *leaves = cz_alloc(n * n, sizeof *leaves, what);
    double *gap = cz_alloc(n * n, sizeof *gap, what);
    cz_status status = cluster && leaves && gap ? CZ_OK : CZ_ERR_MEMORY;
    for (int i = 0; i < rows && !status; i++) {
        cluster[i] = (slot){i, 1, leaves + i * n};
        cluster[i].leaf[0] = i;
        for (int j = 0; j < rows; j++)
            gap[i * n + j] = distance(x + (size_t)i * columns, x + (size_t)j * columns, columns);
    }
    for (int step = 0; step + 1 < rows && !status; step++) {
        int a, b;
        nearest_pair(&a, &b, cluster, gap, rows);
        join(cluster, gap, a, b, rows + step, rows);
    }
    for (int i = 0; i < rows && !status; i++)
        if (cluster[i].size) memcpy(order, cluster[i].leaf, n * sizeof *order);
    free(cluster);
    free(leaves);
    free(gap);
    return status;
}
