/* The table of a list of experiments: for people, for programs, for papers. */
#include "csv.h"
#include "czhpc/file.h"
#include "czhpc/log.h"
#include "czhpc/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct column {
    const char *name, *title; /* in table.csv; in the other two */
    size_t at;                /* in cz_run_scores */
    double unit;              /* 100: shown in % */
    int digits;
} column;

static const column columns[] = {
    {"accuracy", "accuracy, %", offsetof(cz_run_scores, accuracy), 100, 2},
    {"balanced_accuracy", "balanced, %", offsetof(cz_run_scores, balanced_accuracy), 100, 2},
    {"macro_f1", "macro-F1, %", offsetof(cz_run_scores, macro_f1), 100, 2},
    {"loss", "loss", offsetof(cz_run_scores, loss), 1, 4},
    {"calibration_error", "calibration error", offsetof(cz_run_scores, calibration_error), 1, 4},
    {"adversary_accuracy", "held out, %", offsetof(cz_run_scores, adversary_accuracy), 100, 2},
    {"floor", "its floor, %", offsetof(cz_run_scores, floor), 100, 2},
    {"adversary_loss", "its loss", offsetof(cz_run_scores, adversary_loss), 1, 4},
    {"total_s", "time, s", offsetof(cz_run_scores, total_s), 1, 1},
};
enum { COLUMNS = (int)(sizeof columns / sizeof *columns) };

/* Mean and standard deviation (n - 1) of the numbers that are there. */
typedef struct spread {
    int n;
    double mean, sd; /* NAN of fewer than one and two */
} spread;

/* One experiment. */
typedef struct row {
    const cz_experiment *about;
    int runs, finished;
    cz_run_scores *run; /* (runs) seeds of the first split, then of the next */
    bool *has;          /* (runs) is finished */
    spread score[COLUMNS], difference;
} row;

static double score_of(const cz_run_scores *run, int c)
{
    double value;
    memcpy(&value, (const char *)run + columns[c].at, sizeof value);
    return value * columns[c].unit;
}

/* Two passes. */
static spread spread_of(const double *value, int n)
{
    spread s = {0, 0, 0};
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        if (isnan(value[i])) continue;
        sum += value[i];
        s.n++;
    }
    s.mean = s.n ? sum / s.n : NAN;
    for (int i = 0; i < n; i++)
        if (!isnan(value[i])) squares += (value[i] - s.mean) * (value[i] - s.mean);
    s.sd = s.n > 1 ? sqrt(squares / (s.n - 1)) : NAN;
    return s;
}

static spread spread_of_column(const row *r, int c)
{
    double value[CZ_EXPERIMENT_SEEDS * CZ_EXPERIMENT_SEEDS];
    for (int i = 0; i < r->runs; i++) value[i] = r->has[i] ? score_of(&r->run[i], c) : NAN;
    return spread_of(value, r->runs);
}

/* The run of a seed and split; -1: there is none that is finished. */
static int find_run(const row *r, int64_t seed, int64_t split)
{
    for (int i = 0; i < r->runs; i++)
        if (r->has[i] && r->about->seed[i % r->about->seeds] == seed &&
            r->about->split[i / r->about->seeds] == split)
            return i;
    return -1;
}

/* Accuracy above another experiment's, run by run. */
static spread spread_of_difference(const row *r, const row *other)
{
    double value[CZ_EXPERIMENT_SEEDS * CZ_EXPERIMENT_SEEDS];
    for (int i = 0; i < r->runs; i++) {
        int pair = find_run(other, r->about->seed[i % r->about->seeds],
                            r->about->split[i / r->about->seeds]);
        value[i] =
            r->has[i] && pair >= 0 ? score_of(&r->run[i], 0) - score_of(&other->run[pair], 0) : NAN;
    }
    return spread_of(value, r->runs);
}

static cz_status read_row(row *r, int first, const char *folder, const cz_config *list,
                          cz_config *item)
{
    char path[CZ_FILE_PATH];
    r->run = cz_alloc((size_t)r->runs, sizeof *r->run, "the table");
    r->has = cz_alloc((size_t)r->runs, sizeof *r->has, "the table");
    if (!r->run || !r->has) return CZ_ERR_MEMORY;
    for (int i = 0; i < r->runs; i++) {
        cz_config_item which;
        char how[CZ_FILE_PATH];
        CZ_TRY(cz_config_item_of(item, &which, list, first + i));
        snprintf(path, sizeof path, "%s/%s/summary.json", folder, which.folder);
        r->has[i] = access(path, F_OK) == 0;
        snprintf(path, sizeof path, "%s/%s/config.yaml", folder, which.folder);
        if (r->has[i] && !cz_config_is_of(how, sizeof how, item, path)) {
            cz_warn("%s is of another configuration (%s): the table leaves its run out", path, how);
            r->has[i] = false;
        }
        snprintf(path, sizeof path, "%s/%s", folder, which.folder);
        if (r->has[i]) CZ_TRY(cz_run_scores_read(&r->run[i], path));
        r->finished += r->has[i];
    }
    for (int c = 0; c < COLUMNS; c++) r->score[c] = spread_of_column(r, c);
    return CZ_OK;
}

static cz_status read_rows(row *rows, const char *folder, const cz_config *list)
{
    cz_config *item = cz_alloc(1, sizeof *item, "a configuration");
    cz_status status = item ? CZ_OK : CZ_ERR_MEMORY;
    for (int e = 0, first = 0; e < list->experiments && !status; first += rows[e++].runs) {
        const cz_experiment *x = &list->experiment[e];
        rows[e] = (row){.about = x, .runs = x->seeds * x->splits};
        status = read_row(&rows[e], first, folder, list, item);
    }
    free(item);
    for (int e = 0; e < list->experiments && !status; e++) {
        rows[e].difference = (spread){0, NAN, NAN};
        for (int o = 0; o < list->experiments; o++)
            if (strcmp(list->experiment[o].name, rows[e].about->compare_to) == 0)
                rows[e].difference = spread_of_difference(&rows[e], &rows[o]);
    }
    return status;
}

/* "68.68 ± 0.41", the sign between as the format writes it. */
static void print_spread(FILE *out, const spread *s, int digits, const char *sign)
{
    if (!s->n) fputs("-", out);
    else if (s->n == 1) fprintf(out, "%.*f", digits, s->mean);
    else fprintf(out, "%.*f%s%.*f", digits, s->mean, sign, digits, s->sd);
}

static void print_difference(FILE *out, const row *r, const char *sign)
{
    if (r->difference.n && r->difference.mean >= 0) fputc('+', out);
    print_spread(out, &r->difference, 2, sign);
}

static void write_markdown(FILE *out, const row *rows, int n)
{
    fputs("| experiment | runs |", out);
    for (int c = 0; c < COLUMNS; c++) fprintf(out, " %s |", columns[c].title);
    fputs(" accuracy above, points |\n|---|---|", out);
    for (int c = 0; c <= COLUMNS; c++) fputs("---|", out);
    for (const row *r = rows; r < rows + n; r++) {
        fprintf(out, "\n| %s | %d of %d |", r->about->name, r->finished, r->runs);
        for (int c = 0; c < COLUMNS; c++) {
            fputc(' ', out);
            print_spread(out, &r->score[c], columns[c].digits, " ± ");
            fputs(" |", out);
        }
        fputc(' ', out);
        print_difference(out, r, " ± ");
        if (r->about->compare_to[0])
            fprintf(out, " (%s, %d pairs)", r->about->compare_to, r->difference.n);
        fputs(" |", out);
    }
    fputs("\n\nOn the test cells; mean ± standard deviation over the runs (seeds and splits) that "
          "are "
          "finished. Held out: the first adversary. Differences are of runs of the same seed and "
          "split.\n",
          out);
}

static void write_csv(FILE *out, const row *rows, int n)
{
    fputs("experiment,runs,finished", out);
    for (int c = 0; c < COLUMNS; c++) fprintf(out, ",%s,%s_sd", columns[c].name, columns[c].name);
    fputs(",compare_to,pairs,accuracy_difference,accuracy_difference_sd\n", out);
    for (const row *r = rows; r < rows + n; r++) {
        csv_text(out, "", r->about->name, "");
        fprintf(out, ",%d,%d,", r->runs, r->finished);
        for (int c = 0; c < COLUMNS; c++) {
            csv_number(out, r->score[c].mean / columns[c].unit, ",");
            csv_number(out, r->score[c].sd / columns[c].unit, ",");
        }
        csv_text(out, "", r->about->compare_to, "");
        fprintf(out, ",%d,", r->difference.n);
        csv_number(out, r->difference.mean / 100, ",");
        csv_number(out, r->difference.sd / 100, "\n");
    }
}

/* The text with what TeX takes for a command escaped. */
static void print_tex(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("_%&#$", *text)) fputc('\\', out);
        fputc(*text, out);
    }
}

static void write_tex(FILE *out, const row *rows, int n)
{
    fprintf(out, "%% \\usepackage{booktabs}\n\\begin{tabular}{l%.*s}\n\\toprule\nexperiment & runs",
            COLUMNS + 2, "rrrrrrrrrrrrrrrr");
    for (int c = 0; c < COLUMNS; c++) {
        fputs(" & ", out);
        print_tex(out, columns[c].title);
    }
    fputs(" & difference \\\\\n\\midrule\n", out);
    for (const row *r = rows; r < rows + n; r++) {
        print_tex(out, r->about->name);
        fprintf(out, " & %d", r->finished);
        for (int c = 0; c < COLUMNS; c++) {
            fputs(" & $", out);
            print_spread(out, &r->score[c], columns[c].digits, " \\pm ");
            fputc('$', out);
        }
        fputs(" & $", out);
        print_difference(out, r, " \\pm ");
        fputs("$ \\\\\n", out);
    }
    fputs("\\bottomrule\n\\end{tabular}\n", out);
}

static cz_status write_table(const char *folder, const char *name, const row *rows, int n,
                             void (*write)(FILE *, const row *, int))
{
    char path[CZ_FILE_PATH], *text = NULL;
    size_t size = 0;
    CZ_TRY(cz_file_path(path, folder, name));
    FILE *out = open_memstream(&text, &size);
    if (!out) return cz_fail(CZ_ERR_MEMORY, "no memory for %s", name);
    write(out, rows, n);
    cz_status status = fclose(out) ? cz_fail(CZ_ERR_MEMORY, "no memory for %s", name) : CZ_OK;
    /* Jobs that end at the same time may write it all at once. */
    if (!status) status = cz_write_file(path, text, size);
    free(text);
    return status;
}

static cz_status write_tables(const char *folder, const row *rows, int n)
{
    CZ_TRY(write_table(folder, "table.md", rows, n, write_markdown));
    CZ_TRY(write_table(folder, "table.csv", rows, n, write_csv));
    return write_table(folder, "table.tex", rows, n, write_tex);
}

/* Writes what there is, unless there are as many finished runs as before. */
static cz_status write_news(int *finished, const char *folder, const cz_config *list)
{
    int before = *finished;
    row *rows = cz_alloc((size_t)list->experiments, sizeof *rows, "the table");
    cz_status status = rows ? read_rows(rows, folder, list) : CZ_ERR_MEMORY;
    *finished = 0;
    for (int e = 0; e < list->experiments && !status; e++) *finished += rows[e].finished;
    if (!status && *finished != before) status = write_tables(folder, rows, list->experiments);
    for (int e = 0; rows && e < list->experiments; e++) {
        free(rows[e].run);
        free(rows[e].has);
    }
    free(rows);
    return status;
}

cz_status cz_experiments_write(const char *folder, const cz_config *list)
{
    int before, finished = 0;
    /* A run that ended since we looked may stand in another job's table, which ours replaced. */
    do {
        before = finished;
        CZ_TRY(write_news(&finished, folder, list));
    } while (finished != before);
    if (finished) cz_note("Table        %s/table.md, .csv and .tex", folder);
    return CZ_OK;
}
