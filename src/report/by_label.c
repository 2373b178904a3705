/* The target's accuracy within each class of the label, with intervals. */
#include "figures.h"
#include "names.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Labels beyond this many stand without names, which are in the data. */
enum { NAMED = 80 };

typedef struct point {
    const cz_share *share;
    char *name;
} point;

/* Best first; labels without cells are left out. */
static int by_accuracy(const void *a, const void *b)
{
    const point *x = a, *y = b;
    if (x->share->value != y->share->value) return x->share->value < y->share->value ? 1 : -1;
    if (x->share->n != y->share->n) return x->share->n < y->share->n ? 1 : -1;
    return strverscmp(x->name, y->name);
}

static int collect(point *of, const cz_results *results, const cz_column *label)
{
    int count = 0;
    for (int c = 0; c < label->classes; c++) {
        const cz_share *s = &results->of_label[c];
        if (s->n > 0 && isfinite(s->value)) of[count++] = (point){s, label->class_name[c]};
    }
    qsort(of, (size_t)count, sizeof *of, by_accuracy);
    return count;
}

static void write_line(FILE *out, double value, int count)
{
    if (isfinite(value))
        fprintf(out, "\n\n%.9g\t-0.5\n%.9g\t%g\n", 100 * value, 100 * value, count - 0.5);
    else fputs("\n\nNaN\tNaN\n", out);
}

static void write_data(const figure *f, const point *of, int count, const cz_head_result *r)
{
    fputs("# row\taccuracy (%)\tlow\thigh\tcells\tlabel\n", f->data);
    for (int i = 0; i < count; i++) {
        const cz_share *s = of[i].share;
        fprintf(f->data, "%d\t%.9g\t%.9g\t%.9g\t%d\t", i, 100 * s->value, 100 * s->low,
                100 * s->high, s->n);
        name_write(f->data, of[i].name);
        fputc('\n', f->data);
    }
    write_line(f->data, r->accuracy.value, count);
    write_line(f->data, r->majority.value, count);
}

static void write_names(const figure *f, const shown_name *name, const point *of, int count,
                        double left, double numbers)
{
    char x[40], y[40], number[16];
    for (int i = 0; i < count; i++) {
        snprintf(y, sizeof y, "first %d", i);
        snprintf(number, sizeof number, "%d", of[i].share->n);
        snprintf(x, sizeof x, "screen %.5f", (left - 6) / f->width);
        figure_name(f, number, x, y, "right tc rgb '#666666'");
        snprintf(x, sizeof x, "screen %.5f", (left - numbers) / f->width);
        figure_name(f, name[i].text, x, y, "right");
    }
    snprintf(x, sizeof x, "screen %.5f", (left - 6) / f->width);
    figure_name(f, "cells", x, "graph 1 ", "right offset 0,0.5 tc rgb '#666666'");
}

static void write_script(const figure *f, const cz_head_result *r, int count)
{
    fprintf(f->script,
            "set xrange [0:100]\nset yrange [%g:-0.5]\nset xtics 20\nset grid xtics\nset border 1\n"
            "set xlabel 'accuracy (%%), 95 %% interval' offset 0,0.3\n"
            "set key at screen 0.5, screen %.5f center bottom vertical Left reverse\n",
            count - 0.5, 3 / f->height);
    for (int pdf = 0; pdf < 2; pdf++) {
        figure_output(f, pdf);
        fprintf(f->script,
                "plot '%s.dat' index 1 using 1:2 with lines lw 2 lc rgb '" FIGURE_ORANGE "' "
                "title 'all cells, %.1f %%', \\\n     ",
                f->name, 100 * r->accuracy.value);
        fprintf(f->script,
                "'' index 2 using 1:2 with lines lw 2 dt (6,4) lc rgb '" FIGURE_GREY "' "
                "title 'commonest class alone, %.1f %%', \\\n     ",
                100 * r->majority.value);
        fputs("'' index 0 using 2:1:3:4 with xerrorbars ls 1 lw 1.5 lc rgb '" FIGURE_BLUE
              "' notitle\n",
              f->script);
    }
}

/* Of the largest number of cells; at least the width of the word above them. */
static int digits(const point *of, int count)
{
    int most = 4;
    for (int i = 0; i < count; i++) {
        int written = snprintf(NULL, 0, "%d", of[i].share->n);
        if (written > most) most = written;
    }
    return most;
}

static cz_status write_figure(figure_list *list, const point *of, char **name, int count,
                              const cz_head_result *r, const char *label)
{
    const double column = FIGURE_SMALL, row = 8.5;
    int named = count <= NAMED ? count : 0;
    bool wide = false;
    for (int i = 0; i < named; i++) {
        name[i] = of[i].name;
        wide |= name_width(name[i]) * column > 0.4 * FIGURE_COLUMN;
    }
    double width = wide ? FIGURE_PAGE : FIGURE_COLUMN;
    shown_name *shown = names_fit(name, named, 0.4 * width / column);
    if (!shown) return CZ_ERR_MEMORY;
    double numbers = 12 + 0.64 * column * digits(of, count);
    double left = named ? fmax(numbers + 8 + column * names_width(shown, named), 60) : 24;
    double height = fmax(count * (named ? row : fmin(row, 600.0 / count)), 24);
    char title[2 * CZ_NAME_MAX + 96];
    figure f;
    cz_status status = figure_open(&f, list, "accuracy_by_label", width, height + 24 + 44);
    if (!status) {
        snprintf(title, sizeof title, "Accuracy of %s by %s, %d test cells", r->name, label, r->n);
        figure_title(&f, title);
        figure_margins(&f, left, 12, 44, 24);
        write_data(&f, of, count, r);
        if (named) fputs("unset ytics\n", f.script);
        if (named) write_names(&f, shown, of, count, left, numbers);
        write_script(&f, r, count);
        status = figure_close(&f);
    }
    free(shown);
    return status;
}

cz_status by_label_write(figure_list *list, const cz_results *results, const cz_cells *cells)
{
    size_t classes = (size_t)cells->label.classes;
    if (!classes || !results->of_label) return CZ_OK;
    point *of = cz_alloc(classes, sizeof *of, "the accuracy of labels");
    char **name = cz_alloc(classes, sizeof *name, "the accuracy of labels");
    cz_status status = of && name ? CZ_OK : CZ_ERR_MEMORY;
    int count = status ? 0 : collect(of, results, &cells->label);
    if (count) status = write_figure(list, of, name, count, &results->head[0], cells->label.name);
    free(of);
    free(name);
    return status;
}
