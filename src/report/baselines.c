/* What a head must beat before its accuracy says anything. */
#include "metrics.h"

#include <math.h>
#include <stdlib.h>

/* commonest[g]: the class that most training cells of group g have, the first of equals; in
 * commonest[groups], and for groups without a cell, that of all training cells. group (n) of each
 * cell, -1 = none; NULL: no groups. The caller frees; NULL without memory. */
static int32_t *commonest_classes(const cz_column *column, const int32_t *group, int groups,
                                  const cz_cells *cells)
{
    size_t classes = (size_t)column->classes, rows = (size_t)groups + 1;
    int32_t *commonest = cz_alloc(rows, sizeof *commonest, "the commonest classes");
    int *count = cz_alloc(rows * classes, sizeof *count, "the commonest classes");
    for (int i = 0; i < cells->n && commonest && count; i++) {
        int class = column->code[i];
        if (cells->split[i] != CZ_TRAIN || class < 0) continue;
        count[(size_t)groups * classes + (size_t) class]++;
        if (group && group[i] >= 0) count[(size_t)group[i] * classes + (size_t) class]++;
    }
    for (int g = groups; g >= 0 && commonest && count; g--) {
        const int *of = count + (size_t)g * classes;
        int best = 0;
        for (int c = 1; c < column->classes; c++)
            if (of[c] > of[best]) best = c;
        commonest[g] = of[best] ? best : commonest[groups];
    }
    if (!count) {
        free(commonest);
        return NULL;
    }
    free(count);
    return commonest;
}

/* The share of known test cells whose class is named: named[group of the cell]. of_cell (test
 * cells) -1 = none; NULL: no groups. */
static cz_share score_named(const cz_evaluation *test, const cz_column *column,
                            const int32_t *named, const int32_t *of_cell, int groups)
{
    int right = 0, n = 0;
    for (int i = 0; i < test->n; i++) {
        int truth = column->code[test->row[i]], group = of_cell ? of_cell[i] : -1;
        if (truth < 0) continue;
        right += named[group < 0 ? groups : group] == truth;
        n++;
    }
    return share_of(right, n);
}

static cz_status score_majority(cz_head_result *r, const cz_evaluation *test,
                                const cz_column *column, const cz_cells *cells)
{
    int32_t *common = commonest_classes(column, NULL, 0, cells);
    if (!common) return CZ_ERR_MEMORY;
    r->majority = score_named(test, column, common, NULL, 0);
    free(common);
    return CZ_OK;
}

static cz_status score_from_label(cz_head_result *r, const cz_evaluation *test,
                                  const cz_column *column, const cz_cells *cells)
{
    const cz_column *label = &cells->label;
    int32_t *common = commonest_classes(column, label->code, label->classes, cells);
    int32_t *of_cell = cz_alloc((size_t)test->n, sizeof *of_cell, "the labels of test cells");
    for (int i = 0; i < test->n && of_cell; i++) of_cell[i] = label->code[test->row[i]];
    if (common && of_cell)
        r->from_label = score_named(test, column, common, of_cell, label->classes);
    free(of_cell);
    free(common);
    return common && of_cell ? CZ_OK : CZ_ERR_MEMORY;
}

static cz_status score_from_quality(cz_head_result *r, const cz_evaluation *test,
                                    const cz_column *column, const cz_cells *cells)
{
    int32_t *named = NULL;
    int right = 0, n = 0;
    if (!cells->measures || !cells->measure) return CZ_OK;
    CZ_TRY(cz_quality_classes(&named, test->row, test->n, cells));
    for (int i = 0; i < test->n; i++) {
        int truth = column->code[test->row[i]];
        right += truth >= 0 && named[i] == truth;
        n += truth >= 0;
    }
    r->from_quality = share_of(right, n);
    free(named);
    return CZ_OK;
}

static cz_status score_floor(cz_head_result *r, const cz_evaluation *test, const cz_column *column,
                             const cz_cells *cells)
{
    const cz_column *target = &cells->target;
    int32_t *common = commonest_classes(column, target->code, target->classes, cells);
    if (!common) return CZ_ERR_MEMORY;
    r->floor = score_named(test, column, common, test->best[0], target->classes);
    free(common);
    return CZ_OK;
}

cz_status score_baselines(cz_head_result *r, const cz_evaluation *test, int head,
                          const cz_cells *cells)
{
    const cz_column *column = cz_head_column(cells, head);
    r->chance = 1.0 / column->classes;
    r->from_label = r->from_quality = r->floor = share_of(0, 0);
    CZ_TRY(score_majority(r, test, column, cells));
    if (head > 0) return score_floor(r, test, column, cells);
    CZ_TRY(score_from_label(r, test, column, cells));
    return score_from_quality(r, test, column, cells);
}
