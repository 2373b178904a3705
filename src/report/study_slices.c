/* Values over each parameter: a panel each. */
#include "axis_tics.h"
#include "names.h"
#include "study_figures.h"

#include <math.h>
#include <stdlib.h>

/* Points of more trials than MANY are smaller. */
enum { PANELS = 12, COLUMNS = 4, MANY = 500 };

/* The value axis; where panels stand, points. */
typedef struct grid {
    int panels, columns, rows;
    bool upright[PANELS / COLUMNS + 1]; /* of rows: choices are turned by 90 degrees */
    double below[PANELS / COLUMNS + 1]; /* what stands under a row's panels takes this */
    double top[PANELS / COLUMNS + 1];   /* where a row's panels begin */
    double low, high, width, height, left, right, cell_width;
    axis_tics value;
} grid;

static const double PANEL = 78, GAP = 9, LINE = 9;

/* Names of choices that fit below their panel side by side: em each. */
static double room_of(const grid *g, int choices) { return (g->cell_width - GAP) / choices - 3; }

static double widest_choice(const study_param *param)
{
    char text[STUDY_TEXT];
    double widest = 0;
    for (int c = 0; c < param->about->choices; c++)
        widest = fmax(widest, FIGURE_SMALL * name_width(study_text(text, param, c)));
    return widest;
}

/* What stands under the panels of a row. */
static void lay_out_row(grid *g, const study_view *view, int row)
{
    const double most = 40;
    double widest = 0;
    for (int p = row * g->columns; p < g->panels && p < (row + 1) * g->columns; p++) {
        const study_param *param = &view->param[view->important[p]];
        double its = widest_choice(param);
        if (param->about->kind != CZ_CATEGORICAL) continue;
        widest = fmax(widest, fmin(its, most));
        g->upright[row] |= its > room_of(g, param->about->choices);
    }
    g->below[row] = 4 + (g->upright[row] ? widest : LINE);
}

static void lay_out(grid *g, const study_view *view)
{
    g->panels = view->params < PANELS ? view->params : PANELS;
    g->columns = g->panels < COLUMNS ? g->panels : COLUMNS;
    g->rows = (g->panels + g->columns - 1) / g->columns;
    g->width = g->columns > 2 ? FIGURE_PAGE : FIGURE_COLUMN;
    g->left = 22 + FIGURE_SMALL * tics_width(&g->value);
    g->right = 44;
    g->height = 19;
    g->cell_width = (g->width - g->left - g->right) / g->columns;
    for (int row = 0; row < g->rows; row++) {
        lay_out_row(g, view, row);
        g->top[row] = g->height + LINE;
        g->height = g->top[row] + PANEL + g->below[row] + GAP;
    }
}

/* Choices are spread a little, so that trials do not cover each other. */
static double drawn_at(const study_param *param, double value, int number)
{
    const double turn = 0.6180339887;
    if (param->about->kind != CZ_CATEGORICAL) return value;
    return value + 0.4 * (number * turn - floor(number * turn) - 0.5);
}

static void write_data(FILE *out, const study_view *view, int panels)
{
    char text[STUDY_TEXT];
    for (int p = 0; p < panels; p++) {
        int of = view->important[p];
        fprintf(out, "%s# trial\tdrawn at\tvalue\t", p ? "\n\n" : "");
        name_write(out, study_param_name(&view->param[of]));
        fputc('\n', out);
        for (int i = 0; i < view->trials->count; i++) {
            const cz_trial *t = &view->trials->trial[i];
            double value = study_value(view, i, of);
            if (t->state != CZ_TRIAL_COMPLETE || !isfinite(t->value) || isnan(value)) continue;
            fprintf(out, "%d\t%.10g\t%.10g\t", i, drawn_at(&view->param[of], value, i), t->value);
            name_write(out, study_text(text, &view->param[of], value));
            fputc('\n', out);
        }
        fputs("NaN\tNaN\tNaN\t\n", out);
    }
}

static void write_choices(const figure *f, const grid *g, const study_param *param, int row,
                          double bottom)
{
    char x[40], y[40], text[STUDY_TEXT];
    bool upright = g->upright[row];
    axis_tics tics = {.count = param->about->choices};
    double room = upright ? g->below[row] - 4 : room_of(g, param->about->choices);
    snprintf(y, sizeof y, "screen %.5f", (bottom - (upright ? 4 : 7)) / g->height);
    for (int c = 0; c < param->about->choices; c++) {
        shown_name name = name_shorten(study_text(text, param, c), room / FIGURE_SMALL);
        tics.at[c] = c;
        snprintf(x, sizeof x, "first %d", c);
        figure_name(f, name.text, x, y, upright ? "right rotate by 90" : "center");
    }
    fprintf(f->script, "set xrange [-0.5:%g]\n", param->about->choices - 0.5);
    tics_write(f->script, "x", &tics, false);
}

static void write_numbers(const figure *f, const study_param *param)
{
    bool whole = param->about->kind == CZ_INTEGER;
    axis_scale scale = param->about->log ? AXIS_LOG : whole ? AXIS_WHOLE : AXIS_LINEAR;
    double low = param->low, high = param->high;
    axis_widen(&low, &high, scale);
    axis_tics tics = tics_of(low, high, scale, 4);
    if (param->about->log) fputs("set logscale x\n", f->script);
    fprintf(f->script, "set xrange [%.12g:%.12g]\n", low, high);
    tics_write(f->script, "x", &tics, true);
}

static void write_title(const figure *f, const study_view *view, int panels)
{
    char title[128];
    if (panels == view->params)
        snprintf(title, sizeof title, "Complete trials over each parameter");
    else
        snprintf(title, sizeof title, "Complete trials over %d of %d parameters%s", panels,
                 view->params, view->unknown ? "" : ", the most important");
    figure_title(f, title);
}

static void write_panel(const figure *f, const grid *g, const study_view *view, int panel)
{
    const study_param *param = &view->param[view->important[panel]];
    int row = panel / g->columns, column = panel % g->columns;
    double left = g->left + column * g->cell_width, right = g->left + (column + 1) * g->cell_width;
    double bottom = g->height - g->top[row] - PANEL;
    char x[40], y[40];
    fputs("unset label\nunset logscale x\n", f->script);
    figure_margins(f, left, g->width - right + GAP, bottom, g->top[row]);
    if (param->about->kind == CZ_CATEGORICAL) write_choices(f, g, param, row, bottom);
    else write_numbers(f, param);
    tics_write(f->script, "y", &g->value, column == 0);
    snprintf(x, sizeof x, "screen %.5f", (left + right - GAP) / 2 / g->width);
    snprintf(y, sizeof y, "screen %.5f", 1 - (g->top[row] - LINE / 2) / g->height);
    shown_name name = name_shorten(study_param_name(param), (g->cell_width - 4) / FIGURE_SMALL);
    figure_name(f, name.text, x, y, "center");
    if (column == 0) {
        snprintf(x, sizeof x, "screen %.5f", 8 / g->width);
        figure_name(f, "value", x, "graph 0.5", "center rotate by 90");
    }
    if (panel == 0) {
        write_title(f, view, g->panels);
        fprintf(f->script, "set colorbox user origin %.5f,%.5f size %.5f,%.5f noborder\n",
                (g->width - g->right + 2) / g->width, bottom / g->height, 6 / g->width,
                PANEL / g->height);
    } else fputs("unset colorbox\n", f->script);
    fprintf(f->script, "plot '%s.dat' index %d using 2:3:1 with points pt 7 ps %g lc palette\n",
            f->name, panel, view->complete > MANY ? 0.2 : 0.4);
}

/* The bar of colours: numbers of trials. */
static void write_scale(const figure *f, const grid *g, int trials)
{
    axis_tics tics = tics_of(0, trials > 1 ? trials - 1 : 1, AXIS_WHOLE, 5);
    figure_palette(f, false);
    fprintf(f->script,
            "set palette negative\nset cbrange [0:%d]\nset cblabel 'trial' offset 1.2,0\n"
            "unset key\nset xtics offset 0,0.4 font ',%g'\nset ytics font ',%g'\n"
            "set yrange [%.12g:%.12g]\nset cbtics scale 0 offset -0.7,0 font ',%g'\n",
            trials > 1 ? trials - 1 : 1, FIGURE_SMALL, FIGURE_SMALL, g->low, g->high, FIGURE_SMALL);
    tics_write(f->script, "cb", &tics, true);
}

cz_status slices_write(figure_list *list, const study_view *view)
{
    figure f;
    grid g = {0};
    if (!view->params || !study_range(view, false, &g.low, &g.high)) return CZ_OK;
    axis_widen(&g.low, &g.high, AXIS_LINEAR);
    g.value = tics_of(g.low, g.high, AXIS_LINEAR, 5);
    lay_out(&g, view);
    CZ_TRY(figure_open(&f, list, "slices", g.width, g.height));
    write_data(f.data, view, g.panels);
    write_scale(&f, &g, view->trials->count);
    for (int pdf = 0; pdf < 2; pdf++) {
        figure_output(&f, pdf);
        fputs("set multiplot\n", f.script);
        for (int p = 0; p < g.panels; p++) write_panel(&f, &g, view, p);
        fputs("unset multiplot\n", f.script);
    }
    return figure_close(&f);
}
