/* The figures of a run, each of which writes its script and data into a list's folder. Private to
 * src/report; Rank 0; Local. CZ_ERR_IO, CZ_ERR_MEMORY. */
#ifndef CZ_FIGURES_H
#define CZ_FIGURES_H

#include "czhpc/results.h"
#include "gnuplot.h"

/* Accuracy and loss over the epochs, from the lines of a file of metrics. None without lines. */
cz_status curves_write(figure_list *list, const char *metrics, const cz_cells *cells);

#endif
