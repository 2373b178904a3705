/* What a user sees of a run: progress, summary, predictions, figures. Rank 0 alone; Local. */
#ifndef CZ_REPORT_H
#define CZ_REPORT_H

#include "czhpc/results.h"
#include "czhpc/study.h"

/* A bar on a terminal, a line per epoch elsewhere and in the log. */
typedef struct cz_progress_bar cz_progress_bar;

/* `adversary` names the second head in the lines, NULL: there is none. */
cz_status cz_progress_open(cz_progress_bar **bar, const char *adversary);
void cz_progress_close(cz_progress_bar *bar);
void cz_progress_step(void *bar, const cz_step_report *report);
void cz_progress_epoch(void *bar, const cz_epoch_report *report);

/* Everything that the summary tells. Strings stay the caller's. */
typedef struct cz_summary {
    const cz_config *config;
    const cz_cells *cells;
    const cz_model *model;
    cz_training_facts training;
    const cz_results *results;
    cz_optimum optimum; /* NAN where unknown */
    const char *text;   /* what gave the labels' vectors, NULL without text */
    const char *device; /* "cpu", or the GPU's name */
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

/* split.csv, a line a cell: name and train, validation or test. CZ_ERR_IO. */
cz_status cz_split_write(const char *path, const cz_cells *cells);

/* predictions.csv, a line a cell: name, row, split, label, then of the target what it is, what was
 * predicted, with what probability, and the probability of every class (prob_CLASS); then of each
 * adversary the same (prob_COLUMN_CLASS). `row` counts the cells that stayed, from 0. Quoted
 * after RFC 4180. */
typedef struct cz_predictions cz_predictions;
/* CZ_ERR_IO. Close also after an error. */
cz_status cz_predictions_open(cz_predictions **predictions, const char *path,
                              const cz_cells *cells);
/* The line of cell `i` of an evaluation with probabilities. */
void cz_predictions_add(cz_predictions *predictions, const cz_evaluation *evaluation, int i);
/* The file is there from here on, if it is `whole`. CZ_ERR_IO: what was written did not reach it.
 * NULL is CZ_OK. */
cz_status cz_predictions_close(cz_predictions *predictions, bool whole);

/* class_results.csv, label_results.csv and confusion.csv into a folder. CZ_ERR_IO. */
cz_status cz_result_tables_write(const char *folder, const cz_results *results,
                                 const cz_cells *cells);
/* Five test cells, evenly spread, of an evaluation with probabilities. */
void cz_samples_print(const cz_evaluation *test, const cz_cells *cells);

/* What summary.json says of a finished run; NAN where it says nothing. */
typedef struct cz_run_scores {
    double accuracy, balanced_accuracy, macro_f1, loss, calibration_error; /* target, test cells */
    double adversary_accuracy, adversary_loss, floor; /* the first adversary's */
    double train_s, total_s;
} cz_run_scores;
/* Reads FOLDER/summary.json. CZ_ERR_INPUT: missing or not as czhpc writes it. */
cz_status cz_run_scores_read(cz_run_scores *scores, const char *folder);

/* table.md, table.csv and table.tex of a list of experiments, into the folder that holds their
 * folders: mean and standard deviation over the runs of each that are finished, and the mean
 * difference to compare_to over the seeds and splits that both have. Nothing, where no run is
 * finished. CZ_ERR_IO. */
cz_status cz_experiments_write(const char *folder, const cz_config *list);

/* Draws FOLDER/figures/NAME.{png,pdf} by gnuplot, with the script (.gp) and data (.dat) of each:
 *   training_curves, target_loss, adversary_loss    from FOLDER/metrics.jsonl
 *   confusion_matrix, accuracy_by_label, reliability    of the target on the test cells
 *   perceiver_attention_heatmap, text_attention_heatmap    the latter only with text
 * Text out of the data is printed as it stands and runs nothing. *drawn = false, and a note,
 * where there is no gnuplot: data and scripts are written all the same. CZ_ERR_IO,
 * CZ_ERR_MEMORY. */
cz_status cz_figures_draw(const char *folder, const cz_cells *cells, const cz_results *results,
                          const cz_attention *attention, bool *drawn);

/* Of a study: prints on `out` what it is, at most `most` trials best first and the importance of
 * its parameters; writes FOLDER/trials.csv and draws FOLDER/NAME.{png,pdf}:
 *   optimisation_history, slices, parallel_coordinates, importance
 * as far as it has values for them, with script and data as above. CZ_ERR_IO, CZ_ERR_MEMORY. */
cz_status cz_study_show(FILE *out, const char *folder, const cz_trials *trials, const char *name,
                        int most);

/* Brings together what the ranks have recorded since cz_profile_open(), prints on rank 0 where the
 * time went and writes FOLDER/profile.json, a trace in Chrome's event format; folder NULL: none.
 * When all pools are closed. CZ_ERR_IO, CZ_ERR_MEMORY. Collective over `comm`, unlike all above. */
cz_status cz_profile_report(const char *folder, const cz_comm *comm);

#endif
