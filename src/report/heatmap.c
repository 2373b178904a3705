#include "heatmap.h"
#include "names.h"

#include <math.h>
#include <stdlib.h>

/* Where things stand in the figure, points. */
typedef struct layout {
    shown_name *row, *column; /* NULL: too many to be read */
    bool upright;             /* column names are turned by 90 degrees */
    double cell_width, cell_height, left, right, bottom, top, width, height;
} layout;

/* The colours' bar with its numbers and title; a line of text with space around. */
static const double BAR = 58, LINE = 11, GAP = 4;

static cz_status fit_names(shown_name **shown, const heatmap_axis *axis, double most)
{
    *shown = NULL;
    if (axis->count > HEATMAP_NAMES || axis->count < 1) return CZ_OK;
    *shown = names_fit(axis->name, axis->count, most / FIGURE_SMALL);
    return *shown ? CZ_OK : CZ_ERR_MEMORY;
}

static double points(const shown_name *name, int count)
{
    return name ? FIGURE_SMALL * names_width(name, count) : 0;
}

static void free_names(layout *l)
{
    free(l->row);
    free(l->column);
}

static cz_status lay_out(layout *l, const heatmap *m)
{
    const double row_of_text = 7.4, least = 84, most = 420; /* heights */
    double largest_cell = fmax(28, least / m->row.count);
    *l = (layout){.width = m->width, .right = BAR, .top = 20};
    cz_status status = fit_names(&l->row, &m->row, 0.3 * m->width);
    if (!status) status = fit_names(&l->column, &m->column, 0.25 * m->width);
    if (status) {
        free_names(l);
        return status;
    }
    int rows = m->row.count, columns = m->column.count;
    double column_name = points(l->column, columns);
    l->left = LINE + 2 * GAP + points(l->row, rows);
    l->cell_width = fmin((l->width - l->left - l->right) / columns, largest_cell);
    l->cell_height = m->square ? l->cell_width : fmin(most / rows, row_of_text);
    if (!m->square && rows <= 16) l->cell_height = fmax(fmin(l->cell_width, 18), least / rows);
    l->upright = l->column && column_name + 2 > l->cell_width;
    l->bottom = 2 * LINE + GAP + (l->upright ? column_name - FIGURE_SMALL : 0);
    /* A small table stands in the middle. */
    l->left += (l->width - l->left - l->right - columns * l->cell_width) / 2;
    l->right = l->width - l->left - columns * l->cell_width;
    l->height = l->top + rows * l->cell_height + l->bottom;
    return CZ_OK;
}

static void write_axis(FILE *out, const heatmap_axis *axis, const char *kind)
{
    fprintf(out, "\n\n# %s\t", kind);
    name_write(out, axis->title);
    fputc('\n', out);
    for (int i = 0; i < axis->count; i++) {
        fprintf(out, "%d\t", i);
        name_write(out, axis->name[i]);
        fputc('\n', out);
    }
}

static void write_data(const figure *f, const heatmap *m)
{
    fprintf(f->data, "# column\trow\t%s%s\n", m->scale, m->number ? "\tcells" : "");
    for (int r = 0; r < m->row.count; r++)
        for (int c = 0; c < m->column.count; c++) {
            size_t i = (size_t)r * m->column.count + c;
            if (isfinite(m->value[i])) fprintf(f->data, "%d\t%d\t%.9g", c, r, m->value[i]);
            else fprintf(f->data, "%d\t%d\tNaN", c, r);
            if (m->number) fprintf(f->data, "\t%d", m->number[i]);
            fputc('\n', f->data);
        }
    write_axis(f->data, &m->row, "row");
    write_axis(f->data, &m->column, "column");
}

static void write_row_names(const figure *f, const heatmap *m, const layout *l)
{
    char x[40], y[40];
    snprintf(x, sizeof x, "screen %.5f", (l->left - GAP) / l->width);
    for (int r = 0; l->row && r < m->row.count; r++) {
        snprintf(y, sizeof y, "first %d", r);
        figure_name(f, l->row[r].text, x, y, "right");
    }
}

static void write_column_names(const figure *f, const heatmap *m, const layout *l)
{
    char x[40], y[40];
    double below = l->upright ? GAP : GAP + FIGURE_SMALL / 2;
    snprintf(y, sizeof y, "screen %.5f", (l->bottom - below) / l->height);
    for (int c = 0; l->column && c < m->column.count; c++) {
        snprintf(x, sizeof x, "first %d", c);
        figure_name(f, l->column[c].text, x, y, l->upright ? "right rotate by 90" : "center");
    }
}

static void write_axis_titles(const figure *f, const heatmap *m, const layout *l)
{
    double most = l->height / FIGURE_FONT - 2;
    shown_name row = name_shorten(m->row.title, most);
    shown_name column = name_shorten(m->column.title, l->width / FIGURE_FONT - 2);
    double names = points(l->row, m->row.count);
    double area = l->width - l->left - l->right;
    fputs("set label ", f->script);
    figure_quote(f->script, row.text);
    fprintf(f->script, " at screen %.5f, graph 0.5 center rotate by 90\nset label ",
            (l->left - names - 2 * GAP - LINE / 2) / l->width);
    figure_quote(f->script, column.text);
    fprintf(f->script, " at screen %.5f, screen %.5f center\n", (l->left + area / 2) / l->width,
            LINE / 2 / l->height);
}

static void write_scale(const figure *f, const heatmap *m, const layout *l)
{
    double tall = fmin(l->height - l->top - l->bottom, 120);
    figure_palette(f, m->from_white);
    fprintf(
        f->script,
        "set cbrange [%.9g:%.9g]\nset cbtics scale 0 offset -0.7,0 tc rgb '#333333' font ',%g'\n"
        "set colorbox user origin %.5f,%.5f size %.5f,%.5f noborder\n",
        m->low, m->high, FIGURE_SMALL, (l->width - l->right + 2 * GAP) / l->width,
        1 - (l->top + tall) / l->height, 6 / l->width, tall / l->height);
    fputs("set cblabel ", f->script);
    figure_quote(f->script, m->scale);
    fputs(" offset -0.8,0\n", f->script);
}

/* The size of numbers that all cells can hold; 0: none is legible. */
static double number_size(const heatmap *m, const layout *l)
{
    int largest = 0;
    if (!m->number) return 0;
    for (size_t i = 0; i < (size_t)m->row.count * m->column.count; i++)
        if (m->number[i] > largest) largest = m->number[i];
    double digits = largest > 9 ? floor(log10(largest)) + 1 : 1;
    bool fits =
        digits * 0.64 * FIGURE_SMALL + 2 <= l->cell_width && l->cell_height >= FIGURE_SMALL + 1.5;
    return fits ? FIGURE_SMALL : 0;
}

static void write_plot(const figure *f, const heatmap *m, const layout *l)
{
    double size = number_size(m, l);
    for (int pdf = 0; pdf < 2; pdf++) {
        figure_output(f, pdf);
        fprintf(f->script, "plot '%s.dat' index 0 using %s", f->name,
                m->row.count > 1 && m->column.count > 1
                    ? "1:2:3 with image"
                    : "1:2:(0.5):(0.5):3 with boxxyerror fs solid noborder lc palette");
        if (size > 0)
            fprintf(f->script,
                    ", \\\n     '' index 0 using 1:2:($4 > 0 ? sprintf('%%d', $4) : ''):"
                    "($3 %s %.9g ? 0xffffff : 0) with labels tc rgb variable font ',%g'",
                    m->from_white ? ">" : "<", (m->low + m->high) / 2, size);
        fputc('\n', f->script);
    }
}

cz_status heatmap_write(figure_list *list, const char *name, const heatmap *map)
{
    layout l;
    figure f;
    CZ_TRY(lay_out(&l, map));
    cz_status status = figure_open(&f, list, name, l.width, l.height);
    if (!status) {
        write_data(&f, map);
        figure_title(&f, map->title);
        figure_margins(&f, l.left, l.right, l.bottom, l.top);
        fprintf(f.script,
                "set xrange [-0.5:%g]\nset yrange [%g:-0.5]\nunset key\nunset grid\nunset tics\n"
                "set border 15 lw 0.5 lc rgb '#999999'\n"
                "set object rectangle from graph 0,0 to graph 1,1 fs solid noborder "
                "fc rgb '#cccccc' behind\n",
                map->column.count - 0.5, map->row.count - 0.5);
        write_row_names(&f, map, &l);
        write_column_names(&f, map, &l);
        write_axis_titles(&f, map, &l);
        write_scale(&f, map, &l);
        write_plot(&f, map, &l);
        status = figure_close(&f);
    }
    free_names(&l);
    return status;
}
