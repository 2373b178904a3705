/* Predicted classes against true ones. */
#include "metrics.h"

#include <math.h>
#include <stdlib.h>

cz_status known_cells_make(known_cells *known, const cz_evaluation *evaluation, int head,
                           const cz_cells *cells)
{
    const cz_column *column = cz_head_column(cells, head);
    size_t n = (size_t)evaluation->n;
    *known = (known_cells){.classes = column->classes, .log_prob = evaluation->log_prob[head]};
    known->at = cz_alloc(n, sizeof *known->at, "the cells of known class");
    known->truth = cz_alloc(n, sizeof *known->truth, "the cells of known class");
    known->best = cz_alloc(n, sizeof *known->best, "the cells of known class");
    if (!known->at || !known->truth || !known->best) return CZ_ERR_MEMORY;
    for (int i = 0; i < evaluation->n; i++) {
        int truth = column->code[evaluation->row[i]];
        if (truth < 0) continue;
        known->at[known->n] = i;
        known->truth[known->n] = truth;
        known->best[known->n++] = evaluation->best[head][i];
    }
    return CZ_OK;
}

void known_cells_free(known_cells *known)
{
    free(known->at);
    free(known->truth);
    free(known->best);
    *known = (known_cells){0};
}

cz_share share_of(int right, int n)
{
    if (n < 1) return (cz_share){0, NAN, NAN, NAN};
    const double z = 1.959963984540054;
    double p = (double)right / n, scale = 1 / (1 + z * z / n);
    double centre = scale * (p + z * z / (2.0 * n));
    double half = scale * z * sqrt(p * (1 - p) / n + z * z / (4.0 * n * n));
    /* At the ends the bound is 0 or 1 itself; rounding would miss it. */
    return (cz_share){n, p, right ? centre - half : 0, right < n ? centre + half : 1};
}

typedef struct scored_cell {
    float score;
    bool inside;
} scored_cell;

static int by_score(const void *a, const void *b)
{
    float x = ((const scored_cell *)a)->score, y = ((const scored_cell *)b)->score;
    return (x > y) - (x < y);
}

/* The share of pairs (cell inside, cell outside) in which the one inside has the higher
 * probability, equals counted half. In counts, so exact. */
static double auroc(const known_cells *known, int class, scored_cell *cell)
{
    int n = known->n;
    int64_t inside = 0, halves = 0, outside_below = 0;
    for (int i = 0; i < n; i++) {
        cell[i] = (scored_cell){known_row(known, i)[class], known->truth[i] == class};
        inside += cell[i].inside;
    }
    qsort(cell, (size_t)n, sizeof *cell, by_score);
    for (int begin = 0, end; begin < n; begin = end) {
        int64_t in = 0, out = 0;
        for (end = begin; end < n && cell[end].score == cell[begin].score; end++) {
            in += cell[end].inside;
            out += !cell[end].inside;
        }
        halves += in * (2 * outside_below + out);
        outside_below += out;
    }
    int64_t pairs = inside * (n - inside);
    return pairs ? (double)halves / (2.0 * (double)pairs) : NAN;
}

static cz_status score_auroc(cz_head_result *r, const known_cells *known)
{
    scored_cell *cell = cz_alloc((size_t)known->n, sizeof *cell, "an AUROC");
    if (!cell) return CZ_ERR_MEMORY;
    double sum = 0;
    int defined = 0;
    for (int c = 0; c < known->classes; c++) {
        r->of_class[c].auroc = auroc(known, c, cell);
        if (isnan(r->of_class[c].auroc)) continue;
        sum += r->of_class[c].auroc;
        defined++;
    }
    r->macro_auroc = defined ? sum / defined : NAN;
    free(cell);
    return CZ_OK;
}

/* Recall, precision and F1 of every class from the confusions, and their means. */
static void score_confusion(cz_head_result *r)
{
    int classes = r->classes, right = 0, present = 0, seen = 0;
    double recalls = 0, f1s = 0;
    for (int c = 0; c < classes; c++) {
        cz_class_result *one = &r->of_class[c];
        int n = 0, predicted = 0, found = r->confusion[(size_t)c * (size_t)classes + (size_t)c];
        for (int k = 0; k < classes; k++) {
            n += r->confusion[(size_t)c * (size_t)classes + (size_t)k];
            predicted += r->confusion[(size_t)k * (size_t)classes + (size_t)c];
        }
        one->recall = share_of(found, n);
        one->predicted = predicted;
        one->precision = predicted ? (double)found / predicted : NAN;
        one->f1 = n + predicted ? 2.0 * found / (n + predicted) : NAN;
        right += found;
        present += n > 0;
        seen += n + predicted > 0;
        if (n) recalls += one->recall.value;
        if (n + predicted) f1s += one->f1;
    }
    r->accuracy = share_of(right, r->n);
    r->balanced_accuracy = present ? recalls / present : NAN;
    r->macro_f1 = seen ? f1s / seen : NAN;
}

/* Of equal probabilities the first class comes first, as in the prediction. */
static double top3(const known_cells *known)
{
    if (known->classes < 4 || known->n < 1) return NAN;
    int right = 0;
    for (int i = 0; i < known->n; i++) {
        const float *p = known_row(known, i);
        int truth = known->truth[i], before = 0;
        for (int c = 0; c < known->classes; c++)
            before += p[c] > p[truth] || (c < truth && p[c] == p[truth]);
        right += before < 3;
    }
    return (double)right / known->n;
}

cz_status score_classes(cz_head_result *r, const known_cells *known)
{
    size_t classes = (size_t)known->classes;
    r->n = known->n;
    r->of_class = cz_alloc(classes, sizeof *r->of_class, "the classes of a head");
    r->confusion = cz_alloc(classes * classes, sizeof *r->confusion, "the confusions of a head");
    if (!r->of_class || !r->confusion) return CZ_ERR_MEMORY;
    for (int i = 0; i < known->n; i++)
        r->confusion[(size_t)known->truth[i] * classes + (size_t)known->best[i]]++;
    score_confusion(r);
    r->top3 = top3(known);
    return score_auroc(r, known);
}
