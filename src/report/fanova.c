#include "fanova.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { TREES = 64 };

/* Where a leaf begins or ends along an axis, and by how much the marginal rises there. */
typedef struct edge {
    double at, rise;
} edge;

/* The leaves of a tree. */
typedef struct leaves {
    const regression_tree *tree;
    tree_range *range; /* (nodes, axes) */
    double *volume;    /* (nodes) as a part of the box; 0: no leaf */
    edge *edge;        /* (2 nodes) */
    double mean;
} leaves;

static int by_place(const void *a, const void *b)
{
    const edge *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

static void measure(leaves *l)
{
    const regression_tree *tree = l->tree;
    tree_boxes(l->range, tree);
    for (int i = 0; i < tree->nodes; i++) {
        if (tree->node[i].axis >= 0) continue;
        double volume = 1;
        for (int a = 0; a < tree->axes; a++)
            volume *= tree_fraction(&tree->axis[a], &l->range[(size_t)i * tree->axes + a]);
        l->volume[i] = volume;
        l->mean += volume * tree->node[i].value;
    }
}

static double variance_of(const leaves *l)
{
    double variance = 0;
    for (int i = 0; i < l->tree->nodes; i++) {
        double off = l->tree->node[i].value - l->mean;
        variance += l->volume[i] * off * off;
    }
    return variance;
}

/* What a leaf adds to the marginal along an axis wherever it reaches, *range of it. */
static double height_of(const leaves *l, int node, int axis, const tree_range **range)
{
    *range = &l->range[(size_t)node * l->tree->axes + axis];
    double along = tree_fraction(&l->tree->axis[axis], *range);
    return along > 0 ? l->volume[node] / along * (l->tree->node[node].value - l->mean) : 0;
}

/* The mean square of a marginal, whose mean is 0: a step at every edge of a leaf. */
static double effect_of_numbers(const leaves *l, int axis)
{
    int count = 0;
    for (int i = 0; i < l->tree->nodes; i++) {
        const tree_range *range;
        if (l->volume[i] <= 0) continue;
        double height = height_of(l, i, axis, &range);
        l->edge[count++] = (edge){range->low, height};
        l->edge[count++] = (edge){range->high, -height};
    }
    qsort(l->edge, (size_t)count, sizeof *l->edge, by_place);
    double marginal = 0, square = 0;
    for (int e = 0; e + 1 < count; e++) {
        marginal += l->edge[e].rise;
        square += marginal * marginal * (l->edge[e + 1].at - l->edge[e].at);
    }
    return square / (l->tree->axis[axis].high - l->tree->axis[axis].low);
}

static double effect_of_choices(const leaves *l, int axis)
{
    int choices = l->tree->axis[axis].choices;
    double square = 0;
    for (int c = 0; c < choices; c++) {
        double marginal = 0;
        for (int i = 0; i < l->tree->nodes; i++) {
            const tree_range *range;
            if (l->volume[i] <= 0) continue;
            double height = height_of(l, i, axis, &range);
            if (range->choices >> c & 1) marginal += height;
        }
        square += marginal * marginal;
    }
    return square / choices;
}

cz_status fanova_tree(double *variance, double *effect, const regression_tree *tree)
{
    const char *what = "the importance of parameters";
    size_t nodes = (size_t)tree->nodes;
    leaves l = {.tree = tree};
    l.range = cz_alloc(nodes * (size_t)tree->axes, sizeof *l.range, what);
    l.volume = cz_alloc(nodes, sizeof *l.volume, what);
    l.edge = cz_alloc(2 * nodes, sizeof *l.edge, what);
    bool whole = l.range && l.volume && l.edge;
    if (whole) {
        measure(&l);
        *variance = variance_of(&l);
        for (int a = 0; a < tree->axes; a++)
            effect[a] = tree->axis[a].choices ? effect_of_choices(&l, a) : effect_of_numbers(&l, a);
    }
    free(l.range);
    free(l.volume);
    free(l.edge);
    return whole ? CZ_OK : CZ_ERR_MEMORY;
}

/* Adds what each axis has of the variance of one more tree. */
static cz_status add_tree(double *share, double *effect, int *weight, const tree_data *data,
                          uint64_t seed, int number)
{
    regression_tree tree;
    double variance = 0;
    cz_rng rng = cz_rng_open(seed, (uint32_t)number, 0, CZ_RNG_FOREST, 0);
    for (int i = 0; i < data->n; i++) weight[i] = 0;
    for (int i = 0; i < data->n; i++) weight[cz_rng_below(&rng, (uint32_t)data->n)]++;
    cz_status status = tree_grow(&tree, data, weight, &rng);
    if (!status) status = fanova_tree(&variance, effect, &tree);
    for (int a = 0; a < data->axes && !status && variance > 0; a++)
        share[a] += effect[a] / variance;
    tree_free(&tree);
    return status;
}

/* Values in [-1, 1], whose squares are numbers; shares do not change. */
static void scale(double *scaled, const double *y, int n)
{
    double largest = 0;
    for (int i = 0; i < n; i++) largest = fmax(largest, fabs(y[i]));
    for (int i = 0; i < n; i++) scaled[i] = largest > 0 ? y[i] / largest : 0;
}

cz_status fanova(double *share, const tree_data *data, uint64_t seed)
{
    const char *what = "the importance of parameters";
    double *effect = cz_alloc((size_t)data->axes, sizeof *effect, what), sum = 0;
    double *y = cz_alloc((size_t)data->n, sizeof *y, what);
    int *weight = cz_alloc((size_t)data->n, sizeof *weight, what);
    tree_data scaled = *data;
    cz_status status = effect && y && weight ? CZ_OK : CZ_ERR_MEMORY;
    if (!status) scale(y, data->y, data->n);
    scaled.y = y;
    for (int a = 0; a < data->axes; a++) share[a] = 0;
    for (int t = 0; t < TREES && !status; t++)
        status = add_tree(share, effect, weight, &scaled, seed, t);
    for (int a = 0; a < data->axes; a++) sum += share[a];
    for (int a = 0; a < data->axes && sum > 0; a++) share[a] /= sum;
    free(effect);
    free(y);
    free(weight);
    return status;
}
