/* Complete trials as lines through parallel axes. */
#include "axis_tics.h"
#include "names.h"
#include "study_figures.h"

#include <math.h>
#include <stdlib.h>

/* The value, and the most important parameters. */
enum { AXES = 16 };

/* Where things stand, points. */
typedef struct layout {
    int axes;
    const char *name[AXES];
    shown_name *shown;
    bool upright, stairs; /* names are turned by 90 degrees; or every other one stands lower */
    double low, high, left, right, top, bottom, width, height, between;
} layout;

static const double LINE = 9, AREA = 150;

static cz_status lay_out(layout *l, const study_view *view)
{
    l->axes = view->params < AXES ? view->params + 1 : AXES;
    l->name[0] = "value";
    for (int a = 1; a < l->axes; a++)
        l->name[a] = study_param_name(&view->param[view->important[a - 1]]);
    l->width = FIGURE_PAGE;
    l->left = 40;
    l->right = 76;
    l->between = (l->width - l->left - l->right) / (l->axes - 1);
    l->shown = names_fit((char *const *)l->name, l->axes, 90 / FIGURE_SMALL);
    if (!l->shown) return CZ_ERR_MEMORY;
    double widest = FIGURE_SMALL * names_width(l->shown, l->axes);
    l->stairs = widest > l->between - 4;
    l->upright = widest > 2 * l->between - 8;
    l->top = 20 + LINE;
    l->bottom = LINE + (l->upright ? widest + 10 : l->stairs ? 2 * LINE + 7 : LINE + 7);
    l->height = l->top + AREA + l->bottom;
    return CZ_OK;
}

/* Worst first: the best are drawn over the others. A line for each trial, a break where it lacks a
 * parameter. */
static void write_data(FILE *out, const study_view *view, const layout *l)
{
    fputs("# axis\tplace\tvalue\ttrial\n", out);
    for (int i = view->complete; i-- > 0;) {
        int trial = view->finite[i];
        double value = view->trials->trial[trial].value;
        double place = l->low < l->high ? (value - l->low) / (l->high - l->low) : 0.5;
        fprintf(out, "0\t%.6f\t%.10g\t%d\n", place, value, trial);
        for (int a = 1; a < l->axes; a++) {
            int p = view->important[a - 1];
            double at = study_place(&view->param[p], study_value(view, trial, p));
            if (isnan(at)) fputc('\n', out);
            else fprintf(out, "%d\t%.6f\t%.10g\t%d\n", a, at, value, trial);
        }
        fputc('\n', out);
    }
}

/* A number at an end of an axis. */
static void write_end(const figure *f, const layout *l, int axis, double value, bool high)
{
    char x[40], y[40], label[TIC_LABEL];
    tic_label(label, value, 3);
    snprintf(x, sizeof x, "first %d", axis);
    snprintf(y, sizeof y, "screen %.5f", (high ? l->bottom + AREA + 7 : l->bottom - 7) / l->height);
    figure_name(f, label, x, y, "center tc rgb '#444444'");
}

/* Choices stand right of their axis, those of the last one too: there is room. */
static void write_choices(const figure *f, const layout *l, int axis, const study_param *param)
{
    char x[40], y[40], text[STUDY_TEXT];
    double room = axis + 1 < l->axes ? l->between - 8 : l->right - 50;
    for (int c = 0; c < param->about->choices; c++) {
        shown_name name = name_shorten(study_text(text, param, c), room / FIGURE_SMALL);
        snprintf(x, sizeof x, "first %d", axis);
        snprintf(y, sizeof y, "first %.5f", study_place(param, c));
        figure_name(f, name.text, x, y, "left offset 0.4,0 front boxed");
    }
}

static void write_axes(const figure *f, const layout *l, const study_view *view)
{
    char x[40], y[40];
    for (int a = 0; a < l->axes; a++) {
        const study_param *param = a ? &view->param[view->important[a - 1]] : NULL;
        fprintf(f->script, "set arrow from %d,0 to %d,1 nohead front lw 1 lc rgb '#333333'\n", a,
                a);
        double below = LINE + (l->upright ? 4 : l->stairs && a % 2 ? LINE + 8 : 8);
        snprintf(x, sizeof x, "first %d", a);
        snprintf(y, sizeof y, "screen %.5f", (l->bottom - below) / l->height);
        figure_name(f, l->shown[a].text, x, y, l->upright ? "right rotate by 90" : "center");
        if (param && param->about->kind == CZ_CATEGORICAL) {
            write_choices(f, l, a, param);
            continue;
        }
        double low = param ? param->low : l->low, high = param ? param->high : l->high;
        write_end(f, l, a, low, false);
        if (low < high) write_end(f, l, a, high, true);
    }
}

static void write_scale(const figure *f, const layout *l, bool maximise)
{
    double low = l->low, high = l->high;
    if (!(low < high)) axis_widen(&low, &high, AXIS_LINEAR);
    axis_tics tics = tics_of(low, high, AXIS_LINEAR, 5);
    figure_palette(f, false);
    fprintf(f->script,
            "set palette %s\nset cbrange [%.12g:%.12g]\nset cblabel 'value' offset -0.8,0\n"
            "set cbtics scale 0 offset -0.7,0 font ',%g'\n"
            "set colorbox user origin %.5f,%.5f size %.5f,%.5f noborder\n",
            maximise ? "negative" : "positive", low, high, FIGURE_SMALL, (l->width - 42) / l->width,
            l->bottom / l->height, 6 / l->width, AREA / l->height);
    tics_write(f->script, "cb", &tics, true);
}

static cz_status draw(figure_list *list, const study_view *view, const layout *l)
{
    figure f;
    const int many = 100;
    char title[128] = "Complete trials, the best in dark";
    if (l->axes <= view->params)
        snprintf(title, sizeof title, "Complete trials, the best in dark: %d of %d parameters%s",
                 l->axes - 1, view->params, view->unknown ? "" : ", the most important");
    CZ_TRY(figure_open(&f, list, "parallel_coordinates", l->width, l->height));
    write_data(f.data, view, l);
    figure_title(&f, title);
    figure_margins(&f, l->left, l->right, l->bottom, l->top);
    fprintf(f.script,
            "set xrange [0:%d]\nset yrange [0:1]\nunset key\nunset tics\nunset border\n"
            "set style textbox opaque noborder fillcolor rgb '#30ffffff' margins 0.2,0.2\n",
            l->axes - 1);
    write_axes(&f, l, view);
    write_scale(&f, l, view->trials->maximise);
    for (int pdf = 0; pdf < 2; pdf++) {
        figure_output(&f, pdf);
        fprintf(f.script,
                "plot '%s.dat' using 1:2:3 with linespoints lw %g pt 7 ps 0.15 lc palette\n",
                f.name, view->complete > many ? 0.4 : 1.0);
    }
    return figure_close(&f);
}

cz_status parallel_write(figure_list *list, const study_view *view)
{
    layout l = {0};
    if (!view->params || !study_range(view, false, &l.low, &l.high)) return CZ_OK;
    cz_status status = lay_out(&l, view);
    if (!status) status = draw(list, view, &l);
    free(l.shown);
    return status;
}
