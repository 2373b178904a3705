/* What the phases of a job share. Private to src/job. */
#ifndef CZ_JOB_ROOM_H
#define CZ_JOB_ROOM_H

#include "czhpc/embed.h"
#include "czhpc/job.h"
#include "czhpc/report.h"
#include "czhpc/train.h"

/* Paths of a run's folder. */
typedef struct run_folder {
    char path[2 * CZ_PATH_MAX];
    char checkpoints[2 * CZ_PATH_MAX + 32];
    char metrics[2 * CZ_PATH_MAX + 32];
    int lock;      /* rank 0: descriptor of the locked file, -1 elsewhere */
    bool finished; /* it already holds a summary */
} run_folder;

/* Makes or enters the folder, locks it against other jobs, opens its log and writes the
 * resolved config. CZ_ERR_USAGE: it is in use, finished, or unfinished without --resume.
 * Collective. */
cz_status run_folder_open(run_folder *folder, const cz_config *config,
                          const cz_job_options *options, const cz_comm *comm);
void run_folder_close(run_folder *folder);

/* run.txt: what ran where. Rank 0. */
cz_status run_folder_describe(const run_folder *folder, const cz_job_options *options,
                              const cz_comm *comm, const char *backend, int threads);

/* Threads a rank, the same everywhere, and the backend of a type for a configuration.
 * Collective. */
cz_status choose_threads(int *threads, const cz_config *config, const cz_comm *comm);
cz_status choose_backend(const cz_backend **backend, cz_dtype dtype, const cz_config *config,
                         const cz_comm *comm);

/* The model that a configuration and its cells ask for; text_width 0 without text. Local. */
cz_status build_model(cz_model **model, const cz_config *config, const cz_cells *cells,
                      int text_width);

/* Vectors of the label classes on every rank; none without text. Free with
 * cz_embedding_free(). Collective. */
cz_status load_labels(cz_embedding *text, const cz_config *config, const cz_cells *cells,
                      const cz_comm *comm, cz_pool *pool);

/* predictions.csv: all cells in their order, from the evaluations of validation and test and, piece
 * by piece, of the training cells. CZ_ERR_IO. Collective. */
cz_status write_predictions(const char *path, cz_trainer *trainer, const cz_cells *cells,
                            const cz_evaluation *validation, const cz_evaluation *test,
                            const cz_comm *comm);

#endif
