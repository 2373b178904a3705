/* What a user sees of a run: progress, summary, predictions, figures. Rank 0 alone; Local. */
#ifndef CZ_REPORT_H
#define CZ_REPORT_H

#include "czhpc/train.h"

/* A bar on a terminal, a line per epoch elsewhere and in the log. */
typedef struct cz_progress_bar cz_progress_bar;

/* `adversary` names the second head in the lines, NULL: there is none. */
cz_status cz_progress_open(cz_progress_bar **bar, const char *adversary);
void cz_progress_close(cz_progress_bar *bar);
void cz_progress_step(void *bar, const cz_step_report *report);
void cz_progress_epoch(void *bar, const cz_epoch_report *report);

/* One head on the test cells. */
typedef struct cz_head_result {
    const char *name;
    bool adversary;
    int classes, n; /* test cells of known class */
    double accuracy, loss, balanced_accuracy;
    double low, high; /* 95 % interval of the accuracy. Wilson 1927 */
    double chance;    /* 1 / classes */
    double majority;  /* accuracy of always naming the commonest training class */
} cz_head_result;

void cz_head_results(cz_head_result *result, const cz_evaluation *test, const cz_cells *cells);

/* Everything that the summary tells. Strings stay the caller's. */
typedef struct cz_summary {
    const cz_config *config;
    const cz_cells *cells;
    const cz_model *model;
    cz_training_facts training;
    cz_head_result head[CZ_MAX_HEADS];
    int heads;
    cz_optimum optimum; /* NAN where unknown */
    const char *backend;
    const char *host;
    int ranks, threads;
    double total_s, load_s;
    double first_step_s; /* from start to the first step, NAN where there was none */
    double peak_mib;     /* the largest resident set of all ranks */
    bool figures;        /* gnuplot drew them */
} cz_summary;

/* For people, on stderr and in the log; and summary.json. CZ_ERR_IO. */
void cz_summary_print(const cz_summary *summary);
cz_status cz_summary_write(const char *path, const cz_summary *summary);

/* What is known of the cells before training, as the reference prints it. */
void cz_cells_print(const cz_cells *cells, const cz_config *config);

/* A line a test cell: name, target, prediction, its probability, label. CZ_ERR_IO. */
cz_status cz_predictions_write(const char *path, const cz_evaluation *test, const cz_cells *cells);
/* Five of them, evenly spread, for the summary. */
void cz_samples_print(const cz_evaluation *test, const cz_cells *cells);

/* Draws FOLDER/figures/{training_curves,target_loss,adversary_loss}.{png,pdf} from
 * FOLDER/metrics.jsonl by gnuplot; script and data lie beside every picture. *drawn = false,
 * and a note, where there is no gnuplot: data and scripts are written all the same. */
cz_status cz_figures_draw(const char *folder, const cz_cells *cells, bool *drawn);

#endif
