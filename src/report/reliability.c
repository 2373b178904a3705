/* Reliability of the target's probabilities: accuracy against confidence, before and after the
 * temperature. Guo et al. 2017. */
#include "figures.h"

static void write_bins(FILE *out, const cz_bin *bin, int n, const char *what)
{
    fprintf(out, "%s# %s\n# middle\tconfidence\taccuracy\tcells\tshare of cells (%%)\n",
            ftell(out) ? "\n\n" : "", what);
    for (int b = 0; b < CZ_BINS; b++) {
        fprintf(out, "%.9g", (b + 0.5) / CZ_BINS);
        if (bin[b].n > 0) fprintf(out, "\t%.9g\t%.9g", bin[b].confidence, bin[b].accuracy);
        else fputs("\tNaN\tNaN", out);
        fprintf(out, "\t%d\t%.9g\n", bin[b].n, n ? 100.0 * bin[b].n / n : 0.0);
    }
}

/* Distances from the lower edge, points. */
static const double HISTOGRAM = 62, HISTOGRAM_TOP = 102, DIAGRAM = 110, DIAGRAM_TOP = 315,
                    HEIGHT = 335, LEFT = 40, RIGHT = 10;

static void write_diagram(const figure *f, const cz_head_result *r)
{
    figure_margins(f, LEFT, RIGHT, DIAGRAM, HEIGHT - DIAGRAM_TOP);
    fputs("set xrange [0:1]\nset xtics 0.2\nset format x ''\nunset xlabel\n"
          "set yrange [0:1]\nset ytics 0.2\nset ylabel 'accuracy' offset 0.8,0\nset grid ytics\n"
          "set key at screen 0.5, screen 0.015 center bottom vertical Left reverse "
          "spacing 1.1 samplen 2\n"
          "plot x with lines lw 1 dt (4,4) lc rgb '#555555' title 'perfectly calibrated', \\\n",
          f->script);
    fprintf(f->script,
            "     '%s.dat' index 0 using 2:3 with linespoints ls 1 lc rgb '" FIGURE_ORANGE "' "
            "title 'as trained: calibration error %.4f', \\\n"
            "     '' index 1 using 2:3 with linespoints ls 1 pt 5 lc rgb '" FIGURE_BLUE "' "
            "title 'at temperature %.3f: calibration error %.4f'\n",
            f->name, r->calibration_error, r->temperature, r->scaled_calibration_error);
}

/* Largest share of cells in a bin, percent. */
static double fullest(const cz_head_result *r)
{
    int most = 0;
    for (int b = 0; b < CZ_BINS; b++) {
        if (r->bin[b].n > most) most = r->bin[b].n;
        if (r->scaled_bin[b].n > most) most = r->scaled_bin[b].n;
    }
    return r->n ? 100.0 * most / r->n : 0;
}

static void write_histogram(const figure *f, const cz_head_result *r)
{
    const double half = 0.4 / CZ_BINS, most = fullest(r);
    figure_margins(f, LEFT, RIGHT, HISTOGRAM, HEIGHT - HISTOGRAM_TOP);
    fprintf(f->script,
            "unset label\nunset key\nset yrange [0:%g]\nset ytics %d\nset format x '%%g'\n"
            "set xlabel 'probability of the predicted class' offset 0,0.3\n"
            "set ylabel 'cells (%%)' offset 0.8,0\n",
            most > 0 ? 1.05 * most : 1,
            most > 60   ? 50
            : most > 30 ? 20
            : most > 15 ? 10
                        : 5);
    fprintf(f->script,
            "plot '%s.dat' index 0 using ($1 - %.5f):5:(%.5f) with boxes fs solid noborder "
            "lc rgb '" FIGURE_ORANGE "', \\\n"
            "     '' index 1 using ($1 + %.5f):5:(%.5f) with boxes fs solid noborder "
            "lc rgb '" FIGURE_BLUE "'\n",
            f->name, half / 2, half, half / 2, half);
}

cz_status reliability_write(figure_list *list, const cz_results *results)
{
    const cz_head_result *r = &results->head[0];
    char title[CZ_NAME_MAX + 96];
    figure f;
    CZ_TRY(figure_open(&f, list, "reliability", FIGURE_COLUMN, HEIGHT));
    write_bins(f.data, r->bin, r->n, "as trained");
    write_bins(f.data, r->scaled_bin, r->n, "logits divided by the temperature");
    snprintf(title, sizeof title, "Reliability of %s, %d test cells", r->name, r->n);
    for (int pdf = 0; pdf < 2; pdf++) {
        figure_output(&f, pdf);
        fputs("set multiplot\n", f.script);
        figure_title(&f, title);
        write_diagram(&f, r);
        write_histogram(&f, r);
        fputs("unset multiplot\n", f.script);
    }
    return figure_close(&f);
}
