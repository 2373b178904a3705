/* The confusion matrix of the target on the test cells. */
#include "figures.h"
#include "heatmap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct named {
    const char *name;
    int class;
} named;

/* donor_2 before donor_10. */
static int by_name(const void *a, const void *b)
{
    const named *x = a, *y = b;
    int order = strverscmp(x->name, y->name);
    return order ? order : x->class - y->class;
}

/* The matrix with its classes in the order of their names, and each row's shares; *empty: some
 * row has no cells. */
static void order_matrix(char **name, int *number, double *share, bool *empty, named *order,
                         const cz_column *column, const cz_head_result *r)
{
    int n = r->classes;
    for (int c = 0; c < n; c++) order[c] = (named){column->class_name[c], c};
    qsort(order, (size_t)n, sizeof *order, by_name);
    *empty = false;
    for (int i = 0; i < n; i++) {
        const int *row = r->confusion + (size_t)order[i].class * n;
        double cells = 0;
        name[i] = column->class_name[order[i].class];
        for (int j = 0; j < n; j++) cells += row[j];
        *empty |= cells == 0;
        for (int j = 0; j < n; j++) {
            size_t at = (size_t)i * n + j;
            number[at] = row[order[j].class];
            share[at] = cells > 0 ? number[at] / cells : NAN;
        }
    }
}

cz_status confusion_write(figure_list *list, const cz_results *results, const cz_cells *cells)
{
    const cz_head_result *r = &results->head[0];
    const size_t n = (size_t)r->classes;
    const char *what = "the confusion matrix";
    char title[CZ_NAME_MAX + 96], rows[CZ_NAME_MAX + 32], columns[CZ_NAME_MAX + 16];
    char **name = cz_alloc(n, sizeof *name, what);
    named *order = cz_alloc(n, sizeof *order, what);
    int *number = cz_alloc(n * n, sizeof *number, what);
    double *share = cz_alloc(n * n, sizeof *share, what);
    bool empty;
    cz_status status = CZ_ERR_MEMORY;
    if (name && order && number && share) {
        order_matrix(name, number, share, &empty, order, &cells->target, r);
        snprintf(title, sizeof title, "Confusion of %s, %d test cells", r->name, r->n);
        snprintf(rows, sizeof rows, "true %s%s", r->name, empty ? " (grey: no cells)" : "");
        snprintf(columns, sizeof columns, "predicted %s", r->name);
        heatmap map = {.width = n > 6 ? FIGURE_PAGE : FIGURE_COLUMN,
                       .title = title,
                       .scale = "share of the row",
                       .row = {rows, r->classes, name},
                       .column = {columns, r->classes, name},
                       .value = share,
                       .number = number,
                       .high = 1,
                       .square = true,
                       .from_white = true};
        status = heatmap_write(list, "confusion_matrix", &map);
    }
    free(name);
    free(order);
    free(number);
    free(share);
    return status;
}
