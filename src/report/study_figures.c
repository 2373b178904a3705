/* The course of a study, and the importance of its parameters. */
#include "study_figures.h"
#include "axis_tics.h"
#include "names.h"

#include <math.h>
#include <stdlib.h>

static bool has_value(const cz_trial *trial, cz_trial_state state)
{
    return trial->state == state && isfinite(trial->value);
}

static void write_points(FILE *out, const study_view *view, cz_trial_state state)
{
    fprintf(out, "# trial\tvalue: %s\n", study_state(state));
    for (int i = 0; i < view->trials->count; i++)
        if (has_value(&view->trials->trial[i], state))
            fprintf(out, "%d\t%.10g\n", i, view->trials->trial[i].value);
    fputs("NaN\tNaN\n\n\n", out);
}

static void write_best(FILE *out, const study_view *view)
{
    double best = NAN;
    int last = view->trials->count - 1;
    fputs("# trial\tbest so far\n", out);
    for (int i = 0; i <= last; i++) {
        const cz_trial *t = &view->trials->trial[i];
        bool has = has_value(t, CZ_TRIAL_COMPLETE);
        bool better = has && (view->trials->maximise ? t->value > best : t->value < best);
        if (has && (isnan(best) || better)) {
            best = t->value;
            fprintf(out, "%d\t%.10g\n", i, best);
        }
    }
    fprintf(out, isnan(best) ? "NaN\tNaN\n\n\n" : "%d\t%.10g\n\n\n", last, best);
}

/* Failed trials stand on the lower edge. */
static int write_failed(FILE *out, const study_view *view, double at)
{
    int failed = 0;
    fputs("# trial\tlower edge: failed\n", out);
    for (int i = 0; i < view->trials->count; i++) {
        if (view->trials->trial[i].state != CZ_TRIAL_FAILED) continue;
        fprintf(out, "%d\t%.10g\n", i, at);
        failed++;
    }
    fputs("NaN\tNaN\n", out);
    return failed;
}

static int count_of(const study_view *view, cz_trial_state state)
{
    int count = 0;
    for (int i = 0; i < view->trials->count; i++)
        count += has_value(&view->trials->trial[i], state);
    return count;
}

/* The lines of the plot that have something to show. */
static void plot_history(const figure *f, const study_view *view, int failed)
{
    static const char *const style[] = {
        "points pt 7 ps 0.4 lc rgb '" FIGURE_BLUE "' title 'complete'",
        "points pt 6 ps 0.4 lw 1 lc rgb '" FIGURE_GREY "' title 'pruned'",
        "steps lw 2 lc rgb '" FIGURE_ORANGE "' title 'best so far'",
        "points pt 2 ps 0.5 lw 1 lc rgb '#000000' title 'failed'"};
    static const int order[] = {1, 3, 0, 2};
    int pruned = count_of(view, CZ_TRIAL_PRUNED);
    const int has[] = {view->complete, pruned, view->complete, failed};
    for (int pdf = 0; pdf < 2; pdf++) {
        const char *separator = "plot";
        figure_output(f, pdf);
        for (int i = 0; i < 4; i++) {
            if (!has[order[i]]) continue;
            fprintf(f->script, "%s '%s.dat' index %d with %s", separator, f->name, order[i],
                    style[order[i]]);
            separator = ", \\\n    ";
        }
        fputc('\n', f->script);
    }
}

cz_status history_write(figure_list *list, const study_view *view)
{
    figure f;
    double low, high, edge, first = 0, last = view->trials->count - 1;
    char title[CZ_SPACE_NAME + 64];
    if (!study_range(view, true, &low, &high)) return CZ_OK;
    axis_widen(&low, &high, AXIS_LINEAR);
    axis_widen(&first, &last, AXIS_WHOLE);
    edge = low + 0.02 * (high - low);
    axis_tics x = tics_of(fmax(first, 0), last, AXIS_WHOLE, 8);
    axis_tics y = tics_of(low, high, AXIS_LINEAR, 6);
    CZ_TRY(figure_open(&f, list, "optimisation_history", FIGURE_COLUMN, 180));
    write_points(f.data, view, CZ_TRIAL_COMPLETE);
    write_points(f.data, view, CZ_TRIAL_PRUNED);
    write_best(f.data, view);
    int failed = write_failed(f.data, view, edge);
    snprintf(title, sizeof title, "%d trials of %.100s", view->trials->count, view->name);
    figure_title(&f, title);
    figure_margins(&f, 24 + FIGURE_FONT * tics_width(&y), 8, 44, 18);
    fprintf(f.script,
            "set xrange [%.12g:%.12g]\nset yrange [%.12g:%.12g]\nset grid ytics\n"
            "set xlabel 'trial' offset 0,0.3\n"
            "set label 'value' at screen %.5f, graph 0.5 center rotate by 90\n"
            "set key at screen 0.5, screen 0.02 center bottom horizontal Left reverse\n",
            first, last, low, high, 8 / f.width);
    fputs("set xtics offset 0,0.3\n", f.script);
    tics_write(f.script, "x", &x, true);
    tics_write(f.script, "y", &y, true);
    plot_history(&f, view, failed);
    return figure_close(&f);
}

/* Bars are drawn at most of so many parameters. */
enum { BARS = 24 };

static void write_bars(const figure *f, const study_view *view, const shown_name *name, int count,
                       double left)
{
    char x[40], y[40], number[16];
    fputs("# row\tshare\tparameter\n", f->data);
    for (int i = 0; i < count; i++) {
        const study_param *param = &view->param[view->important[i]];
        fprintf(f->data, "%d\t%.6f\t", i, param->share);
        name_write(f->data, study_param_name(param));
        fputc('\n', f->data);
        snprintf(x, sizeof x, "screen %.5f", (left - 4) / f->width);
        snprintf(y, sizeof y, "first %d", i);
        figure_name(f, name[i].text, x, y, "right");
        snprintf(x, sizeof x, "first %.6f", param->share);
        snprintf(number, sizeof number, "%.2f", param->share);
        figure_name(f, number, x, y, "left offset 0.5,0");
    }
}

static cz_status draw_importance(figure_list *list, const study_view *view, char **name, int count)
{
    const double row = 11, top = 20, bottom = 34;
    figure f;
    char title[96];
    double most = view->param[view->important[0]].share, left;
    if (most <= 0) most = 1; /* nothing explains anything: bars of no length */
    shown_name *shown = names_fit(name, count, 0.45 * FIGURE_COLUMN / FIGURE_SMALL);
    if (!shown) return CZ_ERR_MEMORY;
    left = fmax(8 + FIGURE_SMALL * names_width(shown, count), 40);
    cz_status status =
        figure_open(&f, list, "importance", FIGURE_COLUMN, top + bottom + row * count);
    if (!status) {
        axis_tics x = tics_of(0, 1.2 * most, AXIS_LINEAR, 5);
        snprintf(title, sizeof title, "Importance of parameters in %d trials", view->complete);
        figure_title(&f, title);
        figure_margins(&f, left, 8, bottom, top);
        fprintf(f.script,
                "set xrange [0:%.6f]\nset yrange [%g:-0.5]\nunset ytics\nunset key\nset border 1\n"
                "set grid xtics\nset xtics offset 0,0.3\nset xlabel 'share of the variance by "
                "fANOVA' offset 0,0.3\n",
                1.2 * most, count - 0.5);
        tics_write(f.script, "x", &x, true);
        write_bars(&f, view, shown, count, left);
        for (int pdf = 0; pdf < 2; pdf++) {
            figure_output(&f, pdf);
            fprintf(f.script,
                    "plot '%s.dat' using ($2/2):1:($2/2):(0.35) with boxxyerror fs solid noborder "
                    "lc rgb '" FIGURE_BLUE "'\n",
                    f.name);
        }
        status = figure_close(&f);
    }
    free(shown);
    return status;
}

cz_status importance_write(figure_list *list, const study_view *view)
{
    char *name[BARS];
    int count = 0;
    if (view->unknown) return CZ_OK;
    while (count < BARS && count < view->params &&
           !isnan(view->param[view->important[count]].share)) {
        name[count] = (char *)study_param_name(&view->param[view->important[count]]);
        count++;
    }
    return draw_importance(list, view, name, count);
}
