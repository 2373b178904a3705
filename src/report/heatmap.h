/* A table of numbers as colours. Private to src/report; Rank 0; Local. */
#ifndef CZ_HEATMAP_H
#define CZ_HEATMAP_H

#include "gnuplot.h"

/* Rows or columns beyond this many stand without names, which are in the data. */
enum { HEATMAP_NAMES = 64 };

typedef struct heatmap_axis {
    const char *title;
    int count;
    char *const *name; /* (count) */
} heatmap_axis;

typedef struct heatmap {
    double width; /* of the figure */
    const char *title, *scale;
    heatmap_axis row, column; /* the first row is on top */
    const double *value;      /* (rows, columns); NAN shows grey */
    const int *number;        /* (rows, columns) written into cells that can hold it; or NULL */
    double low, high;         /* values of the first and the last colour */
    bool square, from_white;
} heatmap;

/* NAME.gp and NAME.dat. CZ_ERR_IO, CZ_ERR_MEMORY. */
cz_status heatmap_write(figure_list *list, const char *name, const heatmap *map);

#endif
