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

/* part (groups) of groups in their order. */
static void deal_groups(uint8_t *part, const group *order, int groups, int n,
                        const cz_config *config)
{
    double train = config->split.train, validation = config->split.validation;
    const double share[CZ_SPLITS] = {train, validation, 1 - train - validation};
    int cells[CZ_SPLITS] = {0}, filled = 0;
    for (int g = 0; g < groups; g++) {
        /* The last groups go where there is none yet. */
        bool empty = groups - g <= CZ_SPLITS - filled;
        int p = furthest_behind(share, cells, n, empty);
        filled += cells[p] == 0;
        cells[p] += order[g].cells;
        part[order[g].class] = (uint8_t)p;
    }
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
    int *count = column_count(column, NULL, cells->n);
    group *order = cz_alloc((size_t)groups, sizeof *order, "the groups of the split");
    uint8_t *part = cz_alloc((size_t)groups, 1, "the groups of the split");
    cz_status status = count && order && part ? CZ_OK : CZ_ERR_MEMORY;
    if (!status) {
        for (int g = 0; g < groups; g++) {
            const char *name = column->class_name[g];
            uint64_t hash = cz_hash(0, name, strlen(name));
            cz_block key = cz_philox((uint64_t)config->split.seed, (uint32_t)hash,
                                     (uint32_t)(hash >> 32), cz_counter(CZ_RNG_SPLIT, 1), 0);
            order[g] = (group){g, count[g], (uint64_t)key.v[1] << 32 | key.v[0], name};
        }
        qsort(order, (size_t)groups, sizeof *order, by_key);
        deal_groups(part, order, groups, cells->n, config);
        for (int i = 0; i < cells->n; i++) cells->split[i] = part[column->code[i]];
    }
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
