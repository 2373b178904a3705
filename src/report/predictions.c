/* What the model said of every cell. */
#include "cells.h"
#include "csv.h"
#include "words.h"

#include "czhpc/file.h"
#include "czhpc/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct cz_predictions {
    cz_new_file file;
    const cz_cells *cells;
};

static const char *class_name(const cz_column *column, int code)
{
    return code >= 0 && column->class_name ? column->class_name[code] : "";
}

static double probability(const cz_evaluation *e, const cz_cells *cells, int head, int i, int class)
{
    size_t classes = (size_t)cz_head_column(cells, head)->classes;
    return exp((double)e->log_prob[head][(size_t)i * classes + (size_t) class]);
}

/* ",prob_CLASS" for each class, of an adversary ",prob_COLUMN_CLASS". */
static void write_class_header(FILE *out, const cz_column *column, bool adversary)
{
    char prefix[CZ_NAME_MAX + 16] = "prob_";
    if (adversary) snprintf(prefix, sizeof prefix, "prob_%s_", column->name);
    for (int c = 0; c < column->classes; c++) {
        fputc(',', out);
        csv_text(out, prefix, class_name(column, c), "");
    }
}

static void write_header(FILE *out, const cz_cells *cells)
{
    fputs("cell,row,split,label,true,predicted,probability", out);
    write_class_header(out, &cells->target, false);
    for (int a = 0; a < cells->adversaries; a++) {
        static const char *const asked[] = {"true_", "predicted_", "probability_"};
        for (int k = 0; k < 3; k++) {
            fputc(',', out);
            csv_text(out, asked[k], cells->adversary[a].name, "");
        }
        write_class_header(out, &cells->adversary[a], true);
    }
    fputc('\n', out);
}

cz_status cz_predictions_open(cz_predictions **opened, const char *path, const cz_cells *cells)
{
    cz_predictions *p = *opened = cz_alloc(1, sizeof *p, "the table of predictions");
    if (!p) return CZ_ERR_MEMORY;
    p->cells = cells;
    CZ_TRY(cz_new_file_open(&p->file, path));
    write_header(p->file.out, cells);
    return CZ_OK;
}

static void write_outcome(cz_predictions *p, const cz_evaluation *e, int head, int i)
{
    const cz_column *column = cz_head_column(p->cells, head);
    int best = e->best[head][i];
    csv_text(p->file.out, "", class_name(column, column->code[e->row[i]]), ",");
    csv_text(p->file.out, "", class_name(column, best), ",");
    fprintf(p->file.out, "%.6g", probability(e, p->cells, head, i, best));
}

void cz_predictions_add(cz_predictions *p, const cz_evaluation *e, int i)
{
    const cz_cells *cells = p->cells;
    char number[24];
    int row = e->row[i];
    csv_text(p->file.out, "", cell_name(cells, row, number, sizeof number), ",");
    fprintf(p->file.out, "%d,%s,", row, split_name(cells->split[row]));
    csv_text(p->file.out, "", class_name(&cells->label, cells->label.code[row]), ",");
    for (int h = 0; h < e->heads; h++) {
        if (h) fputc(',', p->file.out);
        write_outcome(p, e, h, i);
        for (int c = 0; c < cz_head_column(cells, h)->classes; c++)
            fprintf(p->file.out, ",%.6g", probability(e, cells, h, i, c));
    }
    fputc('\n', p->file.out);
}

cz_status cz_predictions_close(cz_predictions *p, bool whole)
{
    cz_status status = CZ_OK;
    if (!p) return CZ_OK;
    if (whole) status = cz_new_file_close(&p->file);
    else cz_new_file_drop(&p->file);
    free(p);
    return status;
}

void cz_samples_print(const cz_evaluation *test, const cz_cells *cells)
{
    enum { SAMPLES = 5 };
    char number[24], text[4][SHOWN_MAX];
    if (test->n < 1) return;
    cz_note("Five test cells");
    cz_note("  %-20s %-28s %-16s %-16s %6s", "cell", shown(text[0], cells->label.name, 28),
            shown(text[1], cells->target.name, 16), "predicted", "%");
    for (int k = 0; k < SAMPLES && k < test->n; k++) {
        int middle = (int)((2 * (int64_t)k + 1) * test->n / SAMPLES / 2);
        int i = test->n < SAMPLES ? k : middle, row = test->row[i], best = test->best[0][i];
        cz_note("  %s %s %s %s %6.1f%s",
                shown(text[0], cell_name(cells, row, number, sizeof number), 20),
                shown(text[1], class_name(&cells->label, cells->label.code[row]), 28),
                shown(text[2], class_name(&cells->target, cells->target.code[row]), 16),
                shown(text[3], class_name(&cells->target, best), 16),
                100 * probability(test, cells, 0, i, best),
                best == cells->target.code[row] ? "" : "  wrong");
    }
}
