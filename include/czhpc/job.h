/* A job: one configuration from its cells to its report. */
#ifndef CZ_JOB_H
#define CZ_JOB_H

#include "czhpc/comm.h"
#include "czhpc/config.h"

#include <signal.h>

typedef struct cz_job_options {
    bool resume; /* go on where the run's folder left off; start where it is new */
    char resume_from[CZ_PATH_MAX]; /* a checkpoint file or folder; "" = the run's own */
    char command[2048];            /* the command line, for run.txt */
    double started;                /* MPI_Wtime() at the start of main */
    const volatile sig_atomic_t *stop;
    bool search;           /* find hyperparameters first: search.* */
    bool train;            /* and train with the best */
    bool profile;          /* tell where the time went */
    const cz_config *list; /* of which the configuration is one experiment; NULL: of none */
} cz_job_options;

/* Runs all phases: search where asked for, load, embed labels, train, evaluate, report, in the
 * folder run.results/run.name, which must be new, or unfinished with `resume`. Where the
 * configuration lists experiments, each of them so in a folder below, and a table of them.
 * CZ_STOPPED when a signal stopped it with its state saved. Collective over `comm`. */
cz_status cz_job_run(const cz_config *config, const cz_job_options *options, const cz_comm *comm);

/* Reads the shape of the data, prints parameters, memory a rank and steps; of a list or a search
 * how many trainings. Collective. */
cz_status cz_job_dry_run(const cz_config *config, bool search, const cz_comm *comm);

/* Prints the model's layers, shapes, parameters and FLOPs. Collective. */
cz_status cz_job_describe(const cz_config *config, const cz_comm *comm);

/* Embeds the labels of a text file, one a line, by text.model into the table `out`: the tool
 * `labels`. CZ_ERR_INPUT: a line is not UTF-8, or there is no label; CZ_ERR_IO. Collective. */
cz_status cz_job_labels(const char *file, const char *out, const cz_config *config,
                        const cz_comm *comm);

/* Prints `trials` trials of a study best first and the importance of its parameters, and draws
 * figures into the folder `out`: the tool `study`. name NULL: the only study of the file; out NULL:
 * FILE without .log, and "-figures". CZ_ERR_INPUT: no journal, or no such study; CZ_ERR_IO.
 * Collective; rank 0 does it. */
cz_status cz_job_study(const char *file, const char *name, const char *out, int trials,
                       const cz_comm *comm);

#endif
