/* Figures drawn by gnuplot: their files, one style, text that cannot be run, the process. Lengths
 * are points (1/72 inch). Private to src/report; Rank 0; Local. */
#ifndef CZ_GNUPLOT_H
#define CZ_GNUPLOT_H

#include "czhpc/status.h"

#include <stdbool.h>
#include <stdio.h>

/* Widths in a journal: a column of 9 cm, a page of 18 cm. */
#define FIGURE_COLUMN (9 / 2.54 * 72)
#define FIGURE_PAGE (18 / 2.54 * 72)

/* Sizes of the font: titles and axes; names and numbers. */
#define FIGURE_FONT 7.0
#define FIGURE_SMALL 6.0

/* Okabe & Ito's palette: told apart by colour-blind readers. */
#define FIGURE_BLUE "#0072B2"
#define FIGURE_ORANGE "#D55E00"
#define FIGURE_GREEN "#009E73"
#define FIGURE_GREY "#999999"

/* Figures of a run, most of all. */
enum { FIGURES_MAX = 16 };

typedef struct figure_list {
    const char *folder; /* of their files */
    int count;
    const char *name[FIGURES_MAX];
} figure_list;

/* A figure while it is written: NAME.gp and NAME.dat. Names of files never come out of data. */
typedef struct figure {
    figure_list *list;
    const char *name;
    double width, height;
    FILE *script, *data;
} figure;

/* Opens both files and writes the style. CZ_ERR_IO. */
cz_status figure_open(figure *f, figure_list *list, const char *name, double width, double height);

/* Closes both and adds the figure to its list. CZ_ERR_IO: they were not written whole. */
cz_status figure_close(figure *f);

/* Writes text of any content so that gnuplot prints it and runs nothing: between double quotes
 * stand letters, digits, harmless punctuation and characters beyond ASCII; all else is \ooo, which
 * gnuplot reads after it has looked for quotes, backquotes, variables and macros. (Single quotes
 * will not do: gnuplot 5 takes a doubled one at the beginning of a string for its end.) The
 * terminals are told that braces, ^ and _ mean nothing. Tic labels are formats, where % counts:
 * names out of the data are labels. */
void figure_quote(FILE *out, const char *text);

/* The area of the plot, by its distances from the edges. */
void figure_margins(const figure *f, double left, double right, double bottom, double top);

/* The title: `what`, which is cut where the line ends. */
void figure_title(const figure *f, const char *what);

/* A name at (x, y), gnuplot's coordinates such as "first 3"; how: "right", "center rotate". */
void figure_name(const figure *f, const char *name, const char *x, const char *y, const char *how);

/* Sends what follows to NAME.png or NAME.pdf: the same picture at 300 dots an inch. */
void figure_output(const figure *f, bool pdf);

/* Perceptually uniform colours: viridis (van der Walt & Smith 2015), or from white to dark blue in
 * equal steps of OKLab (Ottosson 2020), for numbers to stand on. */
void figure_palette(const figure *f, bool from_white);

/* Runs gnuplot on every script at once; *drawn of them became pictures. */
void figures_run(const figure_list *list, int *drawn);

#endif
