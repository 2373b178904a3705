/* Curves of a run over its epochs, from its metrics. */
#include "figures.h"

#include <jansson.h>
#include <stdlib.h>

/* One line of a plot: a column of the data file. */
typedef struct curve {
    const char *split, *colour;
} curve;

typedef struct curve_figure {
    const char *name;
    int head;
    const char *title, *axis;
    double scale; /* of the values: 100 for percentages */
    const char *value;
} curve_figure;

static const curve curves[] = {
    {"train", FIGURE_BLUE}, {"validation", FIGURE_ORANGE}, {"test", FIGURE_GREEN}};
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

static void write_data(const figure *f, const curve_figure *of, json_t *lines, const char *head)
{
    fputs("# epoch", f->data);
    for (int c = 0; c < CURVES; c++) fprintf(f->data, "\t%s", curves[c].split);
    fputc('\n', f->data);
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line)
    {
        fprintf(f->data, "%lld", (long long)json_integer_value(json_object_get(line, "epoch")));
        for (int c = 0; c < CURVES; c++) {
            json_t *value = value_of(line, curves[c].split, head, of->value);
            if (value) fprintf(f->data, "\t%.10g", of->scale * json_number_value(value));
            else fputs("\tNaN", f->data);
        }
        fputc('\n', f->data);
    }
}

static void write_script(const figure *f, const curve_figure *of, json_t *lines, const char *head)
{
    char title[CZ_NAME_MAX + 64];
    snprintf(title, sizeof title, "%s of %s", of->title, head);
    figure_title(f, title);
    figure_margins(f, 40, 8, 44, 18);
    fprintf(f->script,
            "set xlabel 'epoch' offset 0,0.3\nset ylabel '%s' offset 0.8,0\n"
            "set key at screen 0.5, screen 0.02 center bottom horizontal Left reverse\n"
            "set grid ytics\nset autoscale xfix\nset offsets 0.3, 0.3, 0, 0\n",
            of->axis);
    if (json_array_size(lines) <= 12) fputs("set xtics 1\n", f->script);
    for (int pdf = 0; pdf < 2; pdf++) {
        figure_output(f, pdf);
        const char *separator = "plot ";
        for (int c = 0; c < CURVES; c++) {
            if (!json_object_get(json_array_get(lines, 0), curves[c].split)) continue;
            fprintf(f->script, "%s'%s.dat' using 1:%d with linespoints ls 1 lc rgb '%s' title '%s'",
                    separator, f->name, c + 2, curves[c].colour, curves[c].split);
            separator = ", \\\n     ";
        }
        fputc('\n', f->script);
    }
}

static cz_status write_figure(figure_list *list, const curve_figure *of, json_t *lines,
                              const char *head)
{
    figure f;
    CZ_TRY(figure_open(&f, list, of->name, FIGURE_COLUMN, 180));
    write_data(&f, of, lines, head);
    write_script(&f, of, lines, head);
    return figure_close(&f);
}

cz_status curves_write(figure_list *list, const char *metrics, const cz_cells *cells)
{
    static const curve_figure all[] = {
        {"training_curves", 0, "Accuracy", "accuracy (%)", 100, "accuracy"},
        {"target_loss", 0, "Cross-entropy", "loss (nats)", 1, "loss"},
        {"adversary_loss", 1, "Cross-entropy", "loss (nats)", 1, "loss"},
    };
    json_t *lines = read_lines(metrics);
    cz_status status = CZ_OK;
    for (size_t i = 0; i < sizeof all / sizeof *all && json_array_size(lines) && !status; i++)
        if (all[i].head <= cells->adversaries)
            status = write_figure(list, &all[i], lines, cz_head_column(cells, all[i].head)->name);
    json_decref(lines);
    return status;
}
