/* Scores of the heads on the test cells, and the predictions themselves. */
#include "czhpc/log.h"
#include "czhpc/report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Wilson 1927, score interval at 95 %. */
static void wilson(double p, int n, double *low, double *high)
{
    const double z = 1.959963984540054;
    double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4.0 * n * n));
    *low = n ? centre - half : NAN;
    *high = n ? centre + half : NAN;
}

static int commonest_training_class(const cz_column *column, const cz_cells *cells)
{
    int *count = calloc((size_t)column->classes, sizeof *count), best = 0;
    if (!count) return 0;
    for (int i = 0; i < cells->n; i++)
        if (cells->split[i] == CZ_TRAIN && column->code[i] >= 0) count[column->code[i]]++;
    for (int c = 1; c < column->classes; c++)
        if (count[c] > count[best]) best = c;
    free(count);
    return best;
}

/* Mean over the classes present of the share found. */
static double balanced_accuracy(const cz_column *column, const cz_evaluation *test, int h)
{
    typedef struct tally {
        int cells, found;
    } tally;
    tally *of_class = calloc((size_t)column->classes, sizeof *of_class);
    if (!of_class) return NAN;
    for (int i = 0; i < test->n; i++) {
        int truth = column->code[test->row[i]];
        if (truth < 0) continue;
        of_class[truth].cells++;
        of_class[truth].found += test->best[h][i] == truth;
    }
    double sum = 0;
    int present = 0;
    for (int c = 0; c < column->classes; c++) {
        if (!of_class[c].cells) continue;
        sum += (double)of_class[c].found / of_class[c].cells;
        present++;
    }
    free(of_class);
    return present ? sum / present : NAN;
}

void cz_head_results(cz_head_result *result, const cz_evaluation *test, const cz_cells *cells)
{
    cz_scores scores = cz_evaluation_scores(test, cells);
    for (int h = 0; h < test->heads; h++) {
        const cz_column *column = cz_head_column(cells, h);
        int common = commonest_training_class(column, cells), of_common = 0;
        cz_head_result *r = &result[h];
        *r = (cz_head_result){.name = column->name,
                              .adversary = h > 0,
                              .classes = column->classes,
                              .accuracy = scores.accuracy[h],
                              .loss = scores.loss[h],
                              .balanced_accuracy = balanced_accuracy(column, test, h),
                              .chance = 1.0 / column->classes};
        for (int i = 0; i < test->n; i++) {
            int truth = column->code[test->row[i]];
            r->n += truth >= 0;
            of_common += truth == common;
        }
        r->majority = r->n ? (double)of_common / r->n : NAN;
        if (!r->n) r->accuracy = r->loss = NAN;
        wilson(r->accuracy, r->n, &r->low, &r->high);
    }
}

/* RFC 4180: quoted where needed, quotes doubled. */
static void write_field(FILE *out, const char *text, char end)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, out);
    } else {
        fputc('"', out);
        for (; *text; text++) {
            if (*text == '"') fputc('"', out);
            fputc(*text, out);
        }
        fputc('"', out);
    }
    fputc(end, out);
}

static const char *cell_name(const cz_cells *cells, int row, char *buffer, size_t size)
{
    if (cells->cell_name && cells->cell_name[row]) return cells->cell_name[row];
    snprintf(buffer, size, "%d", row);
    return buffer;
}

static const char *class_name(const cz_column *column, int code)
{
    return code >= 0 && column->class_name ? column->class_name[code] : "";
}

cz_status cz_predictions_write(const char *path, const cz_evaluation *test, const cz_cells *cells)
{
    FILE *out = fopen(path, "w");
    if (!out) return cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    fputs("cell,row,label,true,predicted,probability\n", out);
    for (int i = 0; i < test->n; i++) {
        char number[24];
        int row = test->row[i];
        write_field(out, cell_name(cells, row, number, sizeof number), ',');
        fprintf(out, "%d,", row);
        write_field(out, class_name(&cells->label, cells->label.code[row]), ',');
        write_field(out, class_name(&cells->target, cells->target.code[row]), ',');
        write_field(out, class_name(&cells->target, test->best[0][i]), ',');
        fprintf(out, "%.6f\n", test->confidence[i]);
    }
    int failed = ferror(out);
    if (fclose(out) || failed)
        return cz_fail(CZ_ERR_IO, "%s: writing failed: %s", path, strerror(errno));
    return CZ_OK;
}

void cz_samples_print(const cz_evaluation *test, const cz_cells *cells)
{
    enum { SAMPLES = 5 };
    if (test->n < 1) return;
    cz_note("Five test cells");
    for (int k = 0; k < SAMPLES && k < test->n; k++) {
        char number[24];
        int middle = (int)((2 * (int64_t)k + 1) * test->n / SAMPLES / 2);
        int i = test->n < SAMPLES ? k : middle, row = test->row[i];
        cz_note("  %-22s %-34s %s: %s, predicted %s (%.0f %%)%s",
                cell_name(cells, row, number, sizeof number),
                class_name(&cells->label, cells->label.code[row]), cells->target.name,
                class_name(&cells->target, cells->target.code[row]),
                class_name(&cells->target, test->best[0][i]), 100 * test->confidence[i],
                test->best[0][i] == cells->target.code[row] ? "" : "  wrong");
    }
}
