/* Regression trees over a box of parameters. Private to src/report; Local. */
#ifndef CZ_REGRESSION_TREE_H
#define CZ_REGRESSION_TREE_H

#include "czhpc/rng.h"
#include "czhpc/status.h"

#include <stdint.h>

/* One side of the box: the numbers in [low, high], or the choices 0 .. choices-1, at most 32. */
typedef struct tree_axis {
    double low, high;
    int choices; /* 0: numbers */
} tree_axis;

/* What trees are grown on. */
typedef struct tree_data {
    int n, axes;
    const tree_axis *axis; /* (axes) */
    const double *x;       /* (n, axes), inside the box */
    const double *y;       /* (n), finite */
} tree_data;

typedef struct tree_node {
    int axis; /* of the split, -1: a leaf */
    int left, right;
    double threshold; /* numbers up to it go left */
    uint32_t choices; /* bits of the choices that go left */
    double value;     /* the mean of its samples */
} tree_node;

typedef struct regression_tree {
    int axes, nodes;
    const tree_axis *axis; /* the data's */
    tree_node *node;       /* (nodes) the root first, each before its children */
} regression_tree;

/* The part of an axis that a node has. */
typedef struct tree_range {
    double low, high;
    uint32_t choices;
} tree_range;

/* Grows a tree on the samples, each counted weight (n) times, until a leaf has one value, or stands
 * 64 splits deep. A split is the one of least squared error over all axes, and over all subsets of
 * choices (Fisher 1958); between equals `rng` decides. Free with tree_free(), also after an error.
 * CZ_ERR_MEMORY. Breiman, Friedman, Olshen & Stone 1984. */
cz_status tree_grow(regression_tree *tree, const tree_data *data, const int *weight, cz_rng *rng);
void tree_free(regression_tree *tree);

/* The value at x (axes). */
double tree_value(const regression_tree *tree, const double *x);

/* The box of every node: range (nodes, axes). */
void tree_boxes(tree_range *range, const regression_tree *tree);
/* Its part of the axis' length, or of the choices. */
double tree_fraction(const tree_axis *axis, const tree_range *range);

#endif
