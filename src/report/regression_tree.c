#include "regression_tree.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 64, CHOICES_MAX = 32 };

/* Samples of a node: a part of every axis' order. */
typedef struct span {
    int node, begin, end, depth;
} span;

typedef struct split {
    double gain; /* by which the squared error falls; negative: there is none */
    int axis;
    double threshold;
    uint32_t choices;
} split;

typedef struct growing {
    regression_tree *tree;
    const tree_data *data;
    const int *weight;
    cz_rng *rng;
    int m;       /* samples that count */
    int *order;  /* (axes, m) samples sorted along each axis, within each node */
    int *spare;  /* (m) */
    int *mixed;  /* (axes) */
    bool *left;  /* (n) */
    span *stack; /* (m + 1) */
    int waiting;
} growing;

typedef struct choice_sum {
    int choice;
    double weight, sum;
} choice_sum;

static double x_of(const growing *g, int sample, int axis)
{
    return g->data->x[(size_t)sample * g->data->axes + axis];
}

static int *order_of(const growing *g, int axis) { return g->order + (size_t)axis * g->m; }

typedef struct place {
    double x;
    int sample;
} place;

static int by_x(const void *a, const void *b)
{
    const place *p = a, *q = b;
    if (p->x != q->x) return p->x < q->x ? -1 : 1;
    return p->sample - q->sample;
}

static cz_status sort_samples(growing *g)
{
    place *all = cz_alloc((size_t)g->m, sizeof *all, "a regression tree");
    if (!all) return CZ_ERR_MEMORY;
    for (int a = 0; a < g->data->axes; a++) {
        int count = 0;
        for (int i = 0; i < g->data->n; i++)
            if (g->weight[i] > 0) all[count++] = (place){x_of(g, i, a), i};
        qsort(all, (size_t)count, sizeof *all, by_x);
        for (int i = 0; i < count; i++) order_of(g, a)[i] = all[i].sample;
    }
    free(all);
    return CZ_OK;
}

/* The mean of a node; *error: the squared error around it, 0 where all are equal. */
static double mean_of(const growing *g, const span *s, double *error)
{
    const int *order = order_of(g, 0) + s->begin;
    double weight = 0, sum = 0, first = g->data->y[order[0]];
    bool equal = true;
    for (int i = 0; i < s->end - s->begin; i++) {
        double y = g->data->y[order[i]], w = g->weight[order[i]];
        weight += w;
        sum += w * (y - first);
        equal &= y == first;
    }
    double mean = first + sum / weight;
    *error = 0;
    for (int i = 0; i < s->end - s->begin && !equal; i++) {
        double off = g->data->y[order[i]] - mean;
        *error += g->weight[order[i]] * off * off;
    }
    return mean;
}

static double weight_of(const growing *g, const span *s)
{
    double weight = 0;
    for (int i = s->begin; i < s->end; i++) weight += g->weight[order_of(g, 0)[i]];
    return weight;
}

/* How far the squared error falls where `sum` of what is off the mean goes left. */
static double gain_of(double sum, double left, double right)
{
    return sum * sum * (1 / left + 1 / right);
}

static split split_numbers(const growing *g, const span *s, int axis, double mean, double whole)
{
    const int *order = order_of(g, axis);
    split best = {.gain = -1, .axis = axis};
    double weight = 0, sum = 0;
    for (int i = s->begin; i + 1 < s->end; i++) {
        double x = x_of(g, order[i], axis), next = x_of(g, order[i + 1], axis);
        weight += g->weight[order[i]];
        sum += g->weight[order[i]] * (g->data->y[order[i]] - mean);
        if (!(x < next) || gain_of(sum, weight, whole - weight) <= best.gain) continue;
        best.gain = gain_of(sum, weight, whole - weight);
        best.threshold = x + (next - x) / 2;
        if (best.threshold >= next) best.threshold = x;
    }
    return best;
}

static int by_mean(const void *a, const void *b)
{
    const choice_sum *p = a, *q = b;
    double x = p->sum / p->weight, y = q->sum / q->weight;
    if (x != y) return x < y ? -1 : 1;
    return p->choice - q->choice;
}

/* The choices that the samples have, by their mean. */
static int sum_choices(choice_sum *of, const growing *g, const span *s, int axis, double mean)
{
    const int *order = order_of(g, axis);
    int count = 0;
    for (int i = s->begin; i < s->end; i++) { /* sorted: equal choices stand together */
        int choice = (int)x_of(g, order[i], axis);
        if (!count || of[count - 1].choice != choice) of[count++] = (choice_sum){.choice = choice};
        of[count - 1].weight += g->weight[order[i]];
        of[count - 1].sum += g->weight[order[i]] * (g->data->y[order[i]] - mean);
    }
    qsort(of, (size_t)count, sizeof *of, by_mean);
    return count;
}

static uint32_t all_choices(int choices)
{
    return choices ? (uint32_t)(((uint64_t)1 << choices) - 1) : 0;
}

/* The best subset is one of the first k by their mean. Choices that no sample has go with the
 * heavier side. */
static split split_choices(const growing *g, const span *s, int axis, double mean, double whole)
{
    choice_sum of[CHOICES_MAX] = {0};
    split best = {.gain = -1, .axis = axis};
    int count = sum_choices(of, g, s, axis, mean);
    uint32_t present = 0, first = 0;
    double weight = 0, sum = 0;
    for (int c = 0; c < count; c++) present |= 1u << of[c].choice;
    uint32_t absent = all_choices(g->data->axis[axis].choices) & ~present;
    for (int c = 0; c + 1 < count; c++) {
        first |= 1u << of[c].choice;
        weight += of[c].weight;
        sum += of[c].sum;
        if (gain_of(sum, weight, whole - weight) <= best.gain) continue;
        best.gain = gain_of(sum, weight, whole - weight);
        best.choices = first | (2 * weight >= whole ? absent : 0);
    }
    return best;
}

/* The best over all axes, which come in any order: what is equal but for rounding has a draw. */
static split find_split(const growing *g, const span *s, double mean, double error)
{
    split best = {.gain = -1};
    double whole = weight_of(g, s);
    for (int left = g->data->axes; left > 0; left--) {
        int drawn = (int)cz_rng_below(g->rng, (uint32_t)left), axis = g->mixed[drawn];
        g->mixed[drawn] = g->mixed[left - 1];
        g->mixed[left - 1] = axis;
        split its = g->data->axis[axis].choices ? split_choices(g, s, axis, mean, whole)
                                                : split_numbers(g, s, axis, mean, whole);
        if (its.gain >= 0 && (best.gain < 0 || its.gain > best.gain + 1e-9 * error)) best = its;
    }
    return best;
}

static bool goes_left(const tree_node *node, const tree_axis *axis, double x)
{
    return axis->choices ? node->choices >> (int)x & 1 : x <= node->threshold;
}

/* Parts the samples of a node in every order; where the right ones begin. */
static int part(const growing *g, const span *s, const tree_node *node)
{
    int middle = s->begin;
    const tree_axis *of = &g->data->axis[node->axis];
    for (int i = s->begin; i < s->end; i++) {
        int sample = order_of(g, 0)[i];
        g->left[sample] = goes_left(node, of, x_of(g, sample, node->axis));
    }
    for (int a = 0; a < g->data->axes; a++) {
        int *order = order_of(g, a), right = 0;
        middle = s->begin;
        for (int i = s->begin; i < s->end; i++) {
            if (g->left[order[i]]) order[middle++] = order[i];
            else g->spare[right++] = order[i];
        }
        memcpy(order + middle, g->spare, (size_t)right * sizeof *order);
    }
    return middle;
}

static int add(growing *g, int begin, int end, int depth)
{
    int node = g->tree->nodes++;
    g->tree->node[node] = (tree_node){.axis = -1};
    g->stack[g->waiting++] = (span){node, begin, end, depth};
    return node;
}

static void grow(growing *g)
{
    add(g, 0, g->m, 0);
    while (g->waiting > 0) {
        span s = g->stack[--g->waiting];
        tree_node *node = &g->tree->node[s.node];
        double error;
        node->value = mean_of(g, &s, &error);
        if (error <= 0 || s.depth == DEEPEST) continue;
        split best = find_split(g, &s, node->value, error);
        if (best.gain < 0) continue;
        node->axis = best.axis;
        node->threshold = best.threshold;
        node->choices = best.choices;
        int middle = part(g, &s, node);
        node->left = add(g, s.begin, middle, s.depth + 1);
        node->right = add(g, middle, s.end, s.depth + 1);
    }
}

static cz_status make_room(growing *g)
{
    const char *what = "a regression tree";
    size_t n = (size_t)g->data->n, m = (size_t)g->m, axes = (size_t)g->data->axes;
    g->order = cz_alloc(axes * m, sizeof *g->order, what);
    g->spare = cz_alloc(m, sizeof *g->spare, what);
    g->mixed = cz_alloc(axes, sizeof *g->mixed, what);
    g->left = cz_alloc(n, sizeof *g->left, what);
    g->stack = cz_alloc(m + 1, sizeof *g->stack, what);
    g->tree->node = cz_alloc(2 * m, sizeof *g->tree->node, what);
    if (!g->order || !g->spare || !g->mixed || !g->left || !g->stack || !g->tree->node)
        return CZ_ERR_MEMORY;
    for (int a = 0; a < g->data->axes; a++) g->mixed[a] = a;
    return sort_samples(g);
}

cz_status tree_grow(regression_tree *tree, const tree_data *data, const int *weight, cz_rng *rng)
{
    growing g = {.tree = tree, .data = data, .weight = weight, .rng = rng};
    *tree = (regression_tree){.axes = data->axes, .axis = data->axis};
    for (int i = 0; i < data->n; i++) g.m += weight[i] > 0;
    if (g.m == 0 || data->axes == 0) return cz_fail(CZ_ERR_BUG, "a regression tree of no samples");
    cz_status status = make_room(&g);
    if (!status) grow(&g);
    free(g.order);
    free(g.spare);
    free(g.mixed);
    free(g.left);
    free(g.stack);
    return status;
}

void tree_free(regression_tree *tree)
{
    free(tree->node);
    tree->node = NULL;
}

double tree_value(const regression_tree *tree, const double *x)
{
    const tree_node *node = tree->node;
    while (node->axis >= 0) {
        bool left = goes_left(node, &tree->axis[node->axis], x[node->axis]);
        node = &tree->node[left ? node->left : node->right];
    }
    return node->value;
}

void tree_boxes(tree_range *range, const regression_tree *tree)
{
    size_t axes = (size_t)tree->axes;
    for (int a = 0; a < tree->axes; a++)
        range[a] =
            (tree_range){tree->axis[a].low, tree->axis[a].high, all_choices(tree->axis[a].choices)};
    for (int i = 0; i < tree->nodes; i++) {
        const tree_node *node = &tree->node[i];
        if (node->axis < 0) continue;
        const tree_range *whole = range + (size_t)i * axes;
        tree_range *left = range + (size_t)node->left * axes;
        tree_range *right = range + (size_t)node->right * axes;
        memcpy(left, whole, axes * sizeof *whole);
        memcpy(right, whole, axes * sizeof *whole);
        left[node->axis].high = right[node->axis].low = node->threshold;
        left[node->axis].choices &= node->choices;
        right[node->axis].choices &= ~node->choices;
    }
}

double tree_fraction(const tree_axis *axis, const tree_range *range)
{
    if (axis->choices) return (double)__builtin_popcount(range->choices) / axis->choices;
    return (range->high - range->low) / (axis->high - axis->low);
}
