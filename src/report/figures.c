/* Curves of a run, drawn by gnuplot from its metrics. */
#include "czhpc/log.h"
#include "czhpc/report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

/* One line of a plot: a column of the data file. */
typedef struct curve {
    const char *split, *title, *colour;
} curve;

typedef struct figure {
    const char *name;
    int head;
    const char *title, *axis;
    double scale; /* of the values: 100 for percentages */
    const char *value;
} figure;

/* Okabe & Ito's palette: told apart by colour-blind readers. */
static const curve curves[] = {{"train", "train", "#0072B2"},
                               {"validation", "validation", "#D55E00"},
                               {"test", "test", "#009E73"}};
enum { CURVES = sizeof curves / sizeof *curves };

static json_t *read_lines(const char *path)
{
    json_t *lines = json_array();
    FILE *in = fopen(path, "r");
    char *text = NULL;
    size_t size = 0;
    while (in && getline(&text, &size, in) > 0) {
        json_t *line = json_loads(text, 0, NULL);
        if (line) json_array_append_new(lines, line);
    }
    free(text);
    if (in) fclose(in);
    return lines;
}

static json_t *value_of(json_t *line, const char *split, const char *head, const char *value)
{
    return json_object_get(json_object_get(json_object_get(line, split), head), value);
}

static cz_status close_written(FILE *out, const char *path)
{
    int failed = ferror(out);
    if (fclose(out) || failed)
        return cz_fail(CZ_ERR_IO, "%s: writing failed: %s", path, strerror(errno));
    return CZ_OK;
}

static FILE *create(char *path, size_t size, const char *folder, const char *name,
                    const char *ending)
{
    snprintf(path, size, "%s/figures/%s.%s", folder, name, ending);
    FILE *out = fopen(path, "w");
    if (!out) cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    return out;
}

static cz_status write_data(const char *folder, const figure *f, json_t *lines, const char *head)
{
    char path[3 * CZ_PATH_MAX];
    FILE *out = create(path, sizeof path, folder, f->name, "dat");
    if (!out) return CZ_ERR_IO;
    fputs("# epoch", out);
    for (int c = 0; c < CURVES; c++) fprintf(out, "\t%s", curves[c].split);
    fputc('\n', out);
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line)
    {
        fprintf(out, "%lld", (long long)json_integer_value(json_object_get(line, "epoch")));
        for (int c = 0; c < CURVES; c++) {
            json_t *value = value_of(line, curves[c].split, head, f->value);
            if (value) fprintf(out, "\t%.10g", f->scale * json_number_value(value));
            else fputs("\tNaN", out);
        }
        fputc('\n', out);
    }
    return close_written(out, path);
}

/* Titles may hold anything: in gnuplot's single quotes only the quote itself is special. */
static void write_quoted(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'') fputc('\'', out);
        fputc((unsigned char)*text < ' ' ? ' ' : *text, out);
    }
    fputc('\'', out);
}

static cz_status write_script(const char *folder, const figure *f, const char *column,
                              json_t *first_line, size_t epochs)
{
    char path[3 * CZ_PATH_MAX], title[CZ_NAME_MAX + 64];
    FILE *out = create(path, sizeof path, folder, f->name, "gp");
    if (!out) return CZ_ERR_IO;
    snprintf(title, sizeof title, "%s of %s", f->title, column);
    fprintf(out, "# Redraw in this folder: gnuplot %s.gp\n", f->name);
    fputs("set xlabel 'epoch'\nset ylabel ", out);
    write_quoted(out, f->axis);
    fputs(" noenhanced\nset title ", out);
    write_quoted(out, title);
    fputs(" noenhanced\nset key outside below horizontal\nset grid ytics lc rgb '#dddddd'\n"
          "set border 3\nset tics nomirror\n"
          "set offsets 0.3, 0.3, 0, 0\n",
          out);
    if (epochs <= 12) fputs("set xtics 1\n", out);
    for (int pdf = 0; pdf < 2; pdf++) {
        fprintf(out, pdf ? "set terminal pdfcairo size 9cm,6.5cm font 'DejaVu Sans,9'\n"
                         : "set terminal pngcairo size 900,640 font 'DejaVu Sans,14'\n");
        fprintf(out, "set output '%s.%s'\n", f->name, pdf ? "pdf" : "png");
        const char *separator = "plot ";
        for (int c = 0; c < CURVES; c++) {
            if (!json_object_get(first_line, curves[c].split)) continue;
            fprintf(out,
                    "%s'%s.dat' using 1:%d with linespoints lw 2 pt 7 ps 0.6 lc rgb '%s' title ",
                    separator, f->name, c + 2, curves[c].colour);
            write_quoted(out, curves[c].title);
            separator = ", \\\n     ";
        }
        fputc('\n', out);
    }
    return close_written(out, path);
}

/* gnuplot runs in the folder of the figures; its words go to the log's file beside them. */
static bool run_gnuplot(const char *folder, const char *name)
{
    char script[CZ_NAME_MAX], directory[3 * CZ_PATH_MAX], words[3 * CZ_PATH_MAX];
    snprintf(directory, sizeof directory, "%s/figures", folder);
    snprintf(words, sizeof words, "%s/figures/gnuplot.log", folder);
    snprintf(script, sizeof script, "%s.gp", name);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, words, O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    posix_spawn_file_actions_addchdir_np(&actions, directory);
    char program[] = "gnuplot", *arguments[] = {program, script, NULL};
    pid_t child;
    int status = posix_spawnp(&child, program, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (status) return false;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

cz_status cz_figures_draw(const char *folder, const cz_cells *cells, bool *drawn)
{
    static const figure all[] = {
        {"training_curves", 0, "Accuracy", "accuracy (%)", 100, "accuracy"},
        {"target_loss", 0, "Cross-entropy", "loss (nats)", 1, "loss"},
        {"adversary_loss", 1, "Cross-entropy", "loss (nats)", 1, "loss"},
    };
    char path[3 * CZ_PATH_MAX];
    snprintf(path, sizeof path, "%s/figures", folder);
    CZ_TRY(cz_make_folder(path));
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    json_t *lines = read_lines(path);
    cz_status status = CZ_OK;
    *drawn = json_array_size(lines) > 0;
    for (size_t i = 0; i < sizeof all / sizeof *all && !status; i++) {
        if (all[i].head > cells->adversaries) continue;
        const char *column = cz_head_column(cells, all[i].head)->name;
        status = write_data(folder, &all[i], lines, column);
        if (!status)
            status = write_script(folder, &all[i], column, json_array_get(lines, 0),
                                  json_array_size(lines));
        if (!status && !run_gnuplot(folder, all[i].name)) *drawn = false;
    }
    json_decref(lines);
    if (!status && !*drawn)
        cz_warn("no figures were drawn: gnuplot is missing or failed (its words are in "
                "%s/figures/gnuplot.log); scripts and data are in %s/figures: run 'gnuplot "
                "NAME.gp' there",
                folder, folder);
    return status;
}
