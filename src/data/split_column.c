/* Splits that a column of obs decides: by whole groups, or part by part. */
#include "column.h"
#include "split.h"

#include "czhpc/rng.h"

#include <stdlib.h>
#include <string.h>

typedef struct group {
    int class, cells;
    uint64_t key;
    const char *name;
} group;

static int by_key(const void *left, const void *right)
{
    const group *a = left, *b = right;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* The part furthest behind `share`, of those without a group if `empty`. */
static int furthest_behind(const double share[CZ_SPLITS], const int cells[CZ_SPLITS], int n,
                           bool empty)
{
    int best = -1;
    double most = 0;
    for (int p = 0; p < CZ_SPLITS; p++) {
        double behind = share[p] * n - cells[p];
        if ((empty && cells[p]) || (best >= 0 && behind <= most)) continue;
        best = p;
        most = behind;
    }
    return best;
}

/* The target's classes within the groups: those of group g are pair[first[g]].b onwards. */
typedef struct within {
    column_pair *pair;
    int *first;       /* (groups + 1) */
    int *left;        /* (classes) groups of the class that are not dealt yet */
    uint8_t *several; /* (classes) it has more than one group */
    uint8_t *trained; /* (classes) one of them trains */
} within;

static void within_free(within *w)
{
    free(w->pair);
    free(w->first);
    free(w->left);
    free(w->several);
    free(w->trained);
}

static cz_status within_make(within *w, const cz_cells *cells)
{
    size_t classes = (size_t)cells->target.classes, groups = (size_t)cells->group.classes;
    int pairs;
    w->pair = column_pairs(&pairs, &cells->group, &cells->target, cells->n);
    w->first = cz_alloc(groups + 1, sizeof *w->first, "the classes of groups");
    w->left = cz_alloc(classes, sizeof *w->left, "the groups of classes");
    w->several = cz_alloc(classes, 1, "the groups of classes");
    w->trained = cz_alloc(classes, 1, "the groups of classes");
    if (!w->pair || !w->first || !w->left || !w->several || !w->trained) return CZ_ERR_MEMORY;
    for (int p = 0; p < pairs; p++) {
        w->first[w->pair[p].a + 1] = p + 1;
        w->several[w->pair[p].b] = w->left[w->pair[p].b]++ > 0;
    }
    return CZ_OK;
}

/* Whether a class would be left untrained that need not be. */
static bool must_train(const within *w, int g)
{
    for (int p = w->first[g]; p < w->first[g + 1]; p++) {
        int32_t class = w->pair[p].b;
        if (w->several[class] && !w->trained[class] && w->left[class] == 1) return true;
    }
    return false;
}

/* part (groups) of groups in their order. */
static void deal_groups(uint8_t *part, const group *order, int groups, within *w, int n,
                        const cz_config *config)
{
    double train = config->split.train, validation = config->split.validation;
    const double share[CZ_SPLITS] = {train, validation, 1 - train - validation};
    int cells[CZ_SPLITS] = {0}, filled = 0;
    for (int g = 0; g < groups; g++) {
        int class = order[g].class;
        /* The last groups go where there is none yet. */
        bool empty = groups - g <= CZ_SPLITS - filled;
        int p = furthest_behind(share, cells, n, empty);
        if (!empty && must_train(w, class)) p = CZ_TRAIN;
        filled += cells[p] == 0;
        cells[p] += order[g].cells;
        part[class] = (uint8_t)p;
        for (int k = w->first[class]; k < w->first[class + 1]; k++) {
            w->left[w->pair[k].b]--;
            w->trained[w->pair[k].b] |= p == CZ_TRAIN;
        }
    }
}

static void order_groups(group *order, const cz_column *column, const int *count, int64_t seed)
{
    for (int g = 0; g < column->classes; g++) {
        const char *name = column->class_name[g];
        uint64_t hash = cz_hash(0, name, strlen(name));
        cz_block key = cz_philox((uint64_t)seed, (uint32_t)hash, (uint32_t)(hash >> 32),
                                 cz_counter(CZ_RNG_SPLIT, 1), 0);
        order[g] = (group){g, count[g], (uint64_t)key.v[1] << 32 | key.v[0], name};
    }
    qsort(order, (size_t)column->classes, sizeof *order, by_key);
}

cz_status split_groups(cz_cells *cells, const cz_config *config)
{
    const cz_column *column = &cells->group;
    int groups = column->classes;
    if (groups < CZ_SPLITS)
        return cz_fail(CZ_ERR_INPUT,
                       "split.method group:%s: there are %d groups, and three parts need three: "
                       "name another column, or split by stratified",
                       column->name, groups);
    within w = {0};
    int *count = column_count(column, NULL, cells->n);
    group *order = cz_alloc((size_t)groups, sizeof *order, "the groups of the split");
    uint8_t *part = cz_alloc((size_t)groups, 1, "the groups of the split");
    cz_status status = count && order && part ? within_make(&w, cells) : CZ_ERR_MEMORY;
    if (!status) {
        order_groups(order, column, count, config->split.seed);
        deal_groups(part, order, groups, &w, cells->n, config);
        for (int i = 0; i < cells->n; i++) cells->split[i] = part[column->code[i]];
    }
    within_free(&w);
    free(count);
    free(order);
    free(part);
    return status;
}

/* Cuts validation cells out of the training cells, class by class, in the proportion of the
 * shares. */
static cz_status cut_validation(cz_cells *cells, const cz_config *config)
{
    size_t n = (size_t)cells->n;
    int32_t *cell = cz_alloc(n, sizeof *cell, "the training cells");
    int32_t *code = cz_alloc(n, sizeof *code, "the training cells");
    uint64_t *hash = cz_alloc(n, sizeof *hash, "the training cells");
    uint8_t *split = cz_alloc(n, 1, "the training cells");
    cz_status status = cell && code && hash && split ? CZ_OK : CZ_ERR_MEMORY;
    double share = config->split.validation / (config->split.train + config->split.validation);
    int rows = 0, cut = 0;
    for (int i = 0; i < cells->n && !status; i++) {
        if (cells->split[i] != CZ_TRAIN) continue;
        cell[rows] = i;
        code[rows] = cells->target.code[i];
        hash[rows++] = cells->row_hash[i];
    }
    if (!status)
        status = cz_split_cells(split, rows, code, cells->target.classes, hash, CZ_SPLIT_STRATIFIED,
                                1 - share, share, config->split.seed);
    for (int k = 0; k < rows && !status; k++) {
        cells->split[cell[k]] = split[k];
        cut += split[k] == CZ_VALIDATION;
    }
    if (!status)
        rules_say(&cells->facts, "validation cells", cut,
                  "%d of %d training cells validate: no cell's %s says validation", cut, rows,
                  cells->group.name);
    free(cell);
    free(code);
    free(hash);
    free(split);
    return status;
}

cz_status split_column(cz_cells *cells, const cz_config *config)
{
    uint8_t *part = cz_alloc((size_t)cells->group.classes, 1, "the parts of a column");
    cz_status status = part ? rules_parts(part, &cells->group, NULL, cells->n) : CZ_ERR_MEMORY;
    int validate = 0;
    for (int i = 0; i < cells->n && !status; i++) {
        cells->split[i] = part[cells->group.code[i]];
        validate += cells->split[i] == CZ_VALIDATION;
    }
    free(part);
    if (status || validate) return status;
    return cut_validation(cells, config);
}
