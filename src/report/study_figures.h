/* The figures of a study, each of which writes its script and data into a list's folder, or nothing
 * where the study has no values for it. Private to src/report; Rank 0; Local. CZ_ERR_IO,
 * CZ_ERR_MEMORY. */
#ifndef CZ_STUDY_FIGURES_H
#define CZ_STUDY_FIGURES_H

#include "gnuplot.h"
#include "study_view.h"

/* Values over the numbers of trials, and the best so far. */
cz_status history_write(figure_list *list, const study_view *view);

/* For each parameter a panel: values over it, coloured by the numbers of trials. */
cz_status slices_write(figure_list *list, const study_view *view);

/* A line for each complete trial through an axis for each parameter, coloured by its value. */
cz_status parallel_write(figure_list *list, const study_view *view);

/* Bars of the parameters' importance. */
cz_status importance_write(figure_list *list, const study_view *view);

#endif
