/* Every figure of every head. */
#include "czhpc/results.h"
#include "czhpc/profile.h"
#include "metrics.h"

#include <stdlib.h>

static cz_status score_head(cz_head_result *r, const cz_evaluation *test,
                            const cz_evaluation *validation, int head, const cz_cells *cells)
{
    const cz_column *column = cz_head_column(cells, head);
    known_cells known = {0}, fitted = {0};
    *r = (cz_head_result){.name = column->name, .adversary = head > 0, .classes = column->classes};
    cz_status status = known_cells_make(&known, test, head, cells);
    if (!status) status = known_cells_make(&fitted, validation, head, cells);
    if (!status) status = score_classes(r, &known);
    if (!status) status = score_probabilities(r, &known, &fitted);
    if (!status) status = score_baselines(r, test, head, cells);
    known_cells_free(&fitted);
    known_cells_free(&known);
    return status;
}

/* The target's accuracy within each class of the label. */
static cz_status score_labels(cz_results *results, const cz_evaluation *test, const cz_cells *cells)
{
    size_t labels = (size_t)cells->label.classes;
    int *n = cz_alloc(labels, sizeof *n, "the labels of test cells");
    int *right = cz_alloc(labels, sizeof *right, "the labels of test cells");
    results->of_label = cz_alloc(labels, sizeof *results->of_label, "the labels of test cells");
    cz_status status = n && right && results->of_label ? CZ_OK : CZ_ERR_MEMORY;
    for (int i = 0; i < test->n && !status; i++) {
        int row = test->row[i], truth = cells->target.code[row], label = cells->label.code[row];
        if (truth < 0 || label < 0) continue;
        n[label]++;
        right[label] += test->best[0][i] == truth;
    }
    for (size_t l = 0; l < labels && !status; l++) results->of_label[l] = share_of(right[l], n[l]);
    free(right);
    free(n);
    return status;
}

cz_status cz_results_make(cz_results *results, const cz_evaluation *test,
                          const cz_evaluation *validation, const cz_cells *cells)
{
    CZ_PHASE("scores");
    *results = (cz_results){.heads = test->heads};
    cz_status status = CZ_OK;
    for (int h = 0; h < test->heads && !status; h++)
        status = score_head(&results->head[h], test, validation, h, cells);
    if (!status) status = score_labels(results, test, cells);
    if (status) cz_results_free(results);
    return status;
}

void cz_results_free(cz_results *results)
{
    for (int h = 0; h < CZ_MAX_HEADS; h++) {
        free(results->head[h].of_class);
        free(results->head[h].confusion);
    }
    free(results->of_label);
    *results = (cz_results){0};
}
