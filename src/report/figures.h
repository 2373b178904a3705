/* The figures of a run, each of which writes its script and data into a list's folder. Private to
 * src/report; Rank 0; Local. CZ_ERR_IO, CZ_ERR_MEMORY. */
#ifndef CZ_FIGURES_H
#define CZ_FIGURES_H

#include "czhpc/results.h"
#include "gnuplot.h"

/* Accuracy and loss over the epochs, from the lines of a file of metrics. None without lines. */
cz_status curves_write(figure_list *list, const char *metrics, const cz_cells *cells);

/* Truth by prediction of the target on the test cells, as shares of each row. */
cz_status confusion_write(figure_list *list, const cz_results *results, const cz_cells *cells);

/* The target's accuracy in each class of the label, best first, with intervals. */
cz_status by_label_write(figure_list *list, const cz_results *results, const cz_cells *cells);

/* Accuracy against confidence of the target, before and after the temperature. */
cz_status reliability_write(figure_list *list, const cz_results *results);

/* Latents by tokens, clustered; expression by text, where there is text. */
cz_status attention_write(figure_list *list, const cz_attention *attention);

#endif
