/* What the phases of a job share. Private to src/job. */
#ifndef CZ_JOB_ROOM_H
#define CZ_JOB_ROOM_H

#include "czhpc/embed.h"
#include "czhpc/job.h"
#include "czhpc/queue.h"
#include "czhpc/report.h"
#include "czhpc/train.h"

/* What a folder is opened for. */
typedef enum run_kind {
    RUN_JOB,    /* a training, or a list of them */
    RUN_ITEM,   /* one of several trainings: its log is its own */
    RUN_SEARCH, /* the search before a training: what that has is not known yet */
} run_kind;

/* Paths of a run's folder. */
typedef struct run_folder {
    char path[2 * CZ_PATH_MAX];
    char checkpoints[2 * CZ_PATH_MAX + 32];
    char metrics[2 * CZ_PATH_MAX + 32];
    int lock;      /* rank 0: descriptor of the locked file, -1 elsewhere */
    bool finished; /* it already holds a summary */
    run_kind kind;
} run_folder;

/* run.results/run.name. Local. */
void run_path(char path[2 * CZ_PATH_MAX], const cz_config *config);
/* The paths of a folder. Local. */
void run_folder_name(run_folder *folder, const char *path);

/* Makes or enters the folder, locks it against other jobs, opens its log (of an item: enters it)
 * and writes the resolved config. CZ_ERR_USAGE: it is in use, finished, or unfinished without
 * --resume; or what it holds is of another configuration. Collective. */
cz_status run_folder_open(run_folder *folder, const cz_config *config,
                          const cz_job_options *options, run_kind kind, const cz_comm *comm);
/* config.yaml, with another configuration. Rank 0. */
cz_status run_folder_write_config(const run_folder *folder, const cz_config *config);
void run_folder_close(run_folder *folder);

/* run.txt: what ran where. Rank 0. */
cz_status run_folder_describe(const run_folder *folder, const cz_job_options *options,
                              const cz_comm *comm, const char *backend, int threads);

/* The cores of this rank, with threads a rank, the same everywhere; the type of activations: bf16,
 * where nothing else is asked for, if every rank's processor multiplies it; and the backend of a
 * type, at run.level itself where that names one. Collective. */
cz_status choose_cores(cz_cores *cores, const cz_config *config, const cz_comm *comm);
cz_status choose_precision(cz_dtype *dtype, const cz_config *config, const cz_comm *comm);

/* What the ranks of a job have to compute with beside their cores. */
typedef struct gpu_choice {
    int number, gpus; /* this rank's of so many of its node; gpus 0: none is used */
    bool shared;      /* some rank of the job shares one */
    char why[512];    /* "" where nobody asked for anything else */
} gpu_choice;
/* What of a configuration only CPUs have; NULL: nothing. Local. */
const char *for_cpus(const cz_config *config);
/* Why cores compute; and what is to be said of GPUs whose group has `ranks` ranks. Local. */
const char *why_cpus(const gpu_choice *choice, const cz_config *config);
const char *how_shared(const gpu_choice *choice, int ranks);
/* A GPU for every rank, node by node in the ranks' order, where run.device lets it: `auto` takes
 * CPUs where some rank can have none, or the configuration asks for what only CPUs have, and says
 * why. CZ_ERR_DEVICE, of run.device: cuda. Collective over the job's comm. */
cz_status choose_gpu(gpu_choice *choice, const cz_config *config, const cz_comm *comm);

cz_status choose_backend(const cz_backend **backend, cz_dtype dtype, const cz_config *config,
                         const cz_comm *comm);

/* Of the text model: bf16 only where that is asked for, since its vectors are kept and should not
 * depend on the processors that made them; there is no fp64. */
cz_dtype label_precision(const cz_config *config);

/* The model that a configuration and its cells ask for; text_width 0 without text. Local. */
cz_status build_model(cz_model **model, const cz_config *config, const cz_cells *cells,
                      int text_width);

/* Vectors of the label classes on every rank; none without text. Free with
 * cz_embedding_free(). Collective. */
cz_status load_labels(cz_embedding *text, const cz_config *config, const cz_cells *cells,
                      const cz_comm *comm, cz_pool *pool);

/* Cells, label vectors, threads and backend of a group of ranks, kept from run to run as long as
 * the configurations ask for the same. */
typedef struct stock {
    const cz_comm *comm; /* the group */
    cz_cores cores;      /* of this rank, and its threads where the configuration names no number */
    gpu_choice choice;
    int threads;
    cz_pool *pool;
    cz_gpu *gpu; /* NULL: cores compute */
    const cz_backend *backend;
    cz_cells cells;
    cz_embedding text;
    uint64_t key; /* of the values that decide it */
    bool full;
} stock;

/* An empty one. Local. */
stock stock_of(const cz_comm *comm, const cz_cores *cores, const gpu_choice *choice);
/* What the configuration asks for; nothing to do where that is there. Collective over its group. */
cz_status stock_fill(stock *common, const cz_config *config);
void stock_empty(stock *common);

/* Bytes that this rank may hold in all: run.memory, or what it holds and its share of what is free
 * now. Taken when no rank of the node trains. Collective over `comm`, the job's. */
cz_status memory_budget(double *budget, const cz_config *config, const cz_comm *comm);
/* Whether each rank's budget holds what training takes beside what is there. CZ_ERR_MEMORY.
 * Collective over `comm`. */
cz_status check_memory(const cz_config *config, const cz_model *model, const cz_cells *cells,
                       int threads, const cz_backend *backend, double budget, const cz_comm *comm);

/* A trainer of `cells`, those of the stock or a view of them. Collective over the stock's group. */
cz_status open_trainer(cz_trainer **trainer, const cz_config *config, const stock *common,
                       const cz_cells *cells, const cz_model *model, const run_folder *folder,
                       const volatile sig_atomic_t *stop, cz_observer observer);

/* Where a run stands in its job. */
typedef struct run_place {
    cz_queue *queue; /* of several items, served between steps; NULL: it is the job */
    double budget;   /* bytes that this rank may hold */
} run_place;

/* Trains, evaluates and reports in the folder run.results/run.name; nothing where that is finished.
 * CZ_STOPPED when a signal stopped it with its state saved. Collective over the stock's group. */
cz_status run_whole(const cz_config *config, const cz_job_options *options, stock *common,
                    const run_place *place);

/* The same as a job of its own. Collective over `comm`. */
cz_status train_alone(const cz_config *config, const cz_job_options *options, const cz_comm *comm);

/* Adds which group worked when on what to timeline.csv, and prints it where there are several
 * groups. what: the list or the study. Rank 0. CZ_ERR_IO. */
cz_status timeline_write(const char *folder, const char *what, const cz_timeline *timeline);

/* An error of an item that is its result, not the job's: its message is taken out and kept in the
 * outcome. own_data: the item has cells or labels of its own. false: it is the job's. Local. */
bool item_failed(cz_item_outcome *outcome, cz_status status, bool own_data);

/* Adds the test scores of the run's summary.json to its best_hyperparameters.json. Rank 0. */
cz_status best_add_test(const cz_config *best);
/* The table of the experiments that are finished by now. Rank 0. */
cz_status experiments_table(const cz_config *list);

/* The phases of a job that has several items, in the folder of the run. Collective. */
cz_status run_experiments(const cz_config *config, const cz_job_options *options,
                          const run_folder *folder, const cz_comm *comm);
/* best: the configuration with the values found. */
cz_status run_search(cz_config *best, const cz_config *config, const cz_job_options *options,
                     const run_folder *folder, const cz_comm *comm);

/* Spans are recorded from here on; and what they tell, in the folder run.results/run.name and its
 * log, where the job's status is no error: returns it, or how the telling failed. Collective over
 * `comm`, the job's. */
cz_status profile_open(const cz_config *config, const cz_job_options *options, const cz_comm *comm);
cz_status profile_close(const cz_config *config, const cz_comm *comm, cz_status status);

/* predictions.csv: all cells in their order, from the evaluations of validation and test and, piece
 * by piece, of the training cells. CZ_ERR_IO. Collective. */
cz_status write_predictions(const char *path, cz_trainer *trainer, const cz_cells *cells,
                            const cz_evaluation *validation, const cz_evaluation *test,
                            const cz_comm *comm);

#endif
