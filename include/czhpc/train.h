/* Training of one model by a group of ranks, resumable at any step, and its evaluation. */
#ifndef CZ_TRAIN_H
#define CZ_TRAIN_H

#include "czhpc/comm.h"
#include "czhpc/config.h"
#include "czhpc/data.h"
#include "czhpc/gpu.h"
#include "czhpc/model.h"
#include "czhpc/store.h"

#include <signal.h>

/* Means over the cells whose class is known, per head. */
typedef struct cz_scores {
    double loss[CZ_MAX_HEADS], accuracy[CZ_MAX_HEADS];
} cz_scores;

typedef struct cz_epoch_report {
    int epoch, epochs; /* counted from 1 */
    double lr;         /* of the last step */
    cz_scores train;   /* running, with dropout, while the weights change */
    cz_scores validation;
    cz_scores test; /* only with eval.test_every_epoch */
    bool has_test;
    bool best;      /* the best epoch so far */
    double seconds; /* of the epoch with its evaluation */
} cz_epoch_report;

typedef struct cz_step_report {
    int epoch, epochs, step, steps; /* counted from 1; steps of an epoch */
    int cells;                      /* trained in this epoch so far */
    double loss, accuracy; /* of the first target, over the epoch as far as it is known; a loss of
                            * NaN: not yet, as GPUs tell theirs a portion later */
} cz_step_report;

/* Who is told what happens; members may be NULL. Called on every rank's main thread. `judge` is
 * given on all ranks or on none, and may be collective: *enough, the same on all, ends training
 * with this epoch, whose state is not saved; CZ_STOPPED leaves at once, and nothing is written. */
typedef struct cz_observer {
    void *context;
    void (*step)(void *context, const cz_step_report *report);
    void (*epoch)(void *context, const cz_epoch_report *report);
    cz_status (*judge)(void *context, const cz_epoch_report *report, bool *enough);
} cz_observer;

/* Who sums the gradients of several ranks' GPUs: they do, by NCCL, where each rank has its own;
 * else MPI, in their memory, where it can; else the host, which then updates the weights too. */
typedef enum cz_gpu_sums { CZ_SUMS_BY_GPUS, CZ_SUMS_BY_MPI, CZ_SUMS_BY_HOST } cz_gpu_sums;

/* What a trainer works with; all of it stays the caller's and must outlive the trainer. */
typedef struct cz_trainer_setup {
    const cz_config *config;
    const cz_comm *comm;
    cz_pool *pool;
    const cz_cells *cells;
    const cz_model *model; /* head 0 is the target; then one adversary per adversary column */
    const cz_backend *backend;
    cz_gpu *gpu; /* that of this rank and the backend; NULL: it computes on its cores */
    cz_gpu_sums gpu_sums;
    cz_tensor text;          /* (label classes, text width) fp32, absent without text */
    uint64_t text_identity;  /* of what gives them: a state is resumed with no other */
    const char *checkpoints; /* folder */
    const char *metrics;     /* file of metrics, a JSON object per epoch */
    const volatile sig_atomic_t *stop;
    cz_observer observer;
} cz_trainer_setup;

typedef struct cz_trainer cz_trainer;

/* Allocates everything that training needs and draws the initial weights. Collective. Free
 * with cz_trainer_close(), collective likewise. */
cz_status cz_trainer_open(cz_trainer **trainer, const cz_trainer_setup *setup);
void cz_trainer_close(cz_trainer *trainer);

/* Goes back to the state of a checkpoint file, or to the latest of a folder. *found = false
 * where the folder holds none. Collective. */
cz_status cz_trainer_resume(cz_trainer *trainer, const char *path, bool *found);

/* Trains to the end: CZ_OK; CZ_STOPPED after a signal, the state saved; CZ_ERR_DIVERGED when
 * a loss or weight is not finite; CZ_ERR_IO where a state could not be written, which may show as
 * late as with the next one. No write is under way any more. Collective. */
cz_status cz_trainer_run(cz_trainer *trainer);

/* Takes the weights of the best epoch. Collective. */
cz_status cz_trainer_take_best(cz_trainer *trainer);

/* What a model says of some cells; the same bits for any number of ranks and threads. */
typedef struct cz_evaluation {
    int n, heads;
    int32_t *row;                  /* (n) index in the cells */
    int32_t *best[CZ_MAX_HEADS];   /* (n) predicted class */
    double *loss[CZ_MAX_HEADS];    /* (n) 0 where the class is unknown */
    float *log_prob[CZ_MAX_HEADS]; /* (n, classes) logarithms of the probabilities; on rank 0,
                                    * and only where they were asked for, else NULL */
} cz_evaluation;

/* Where attention goes, without dropout: its mean over heads and over the cells of a split. The
 * same bits for any number of ranks and threads. On rank 0. */
typedef struct cz_attention {
    int latents, tokens;
    double *resampler; /* (latents, tokens): the Perceiver's queries on the tokens; rows sum to 1 */
    int text_tokens;   /* 0 without text */
    double *fusion;    /* (tokens, text_tokens): omics tokens on text tokens; NULL without text */
} cz_attention;
void cz_attention_free(cz_attention *attention);

/* Evaluates the cells of a split, in their order, without dropout. What is not on rank 0 alone is
 * on all ranks. attention: where it goes meanwhile; NULL: not wanted. Collective. Free with
 * cz_evaluation_free(), cz_attention_free(). */
cz_status cz_trainer_evaluate(cz_trainer *trainer, cz_split part, bool probabilities,
                              cz_evaluation *evaluation, cz_attention *attention);
/* The same of the n cells that `row` lists, the same on every rank, with probabilities; nothing of
 * it is kept, so that a caller can walk any number of cells in pieces. Collective. */
cz_status cz_trainer_evaluate_rows(cz_trainer *trainer, const int32_t *row, int n,
                                   cz_evaluation *evaluation);
void cz_evaluation_free(cz_evaluation *evaluation);

/* Sums of an evaluation over known cells; code (cells of the set) of each head. Local. */
cz_scores cz_evaluation_scores(const cz_evaluation *evaluation, const cz_cells *cells);

/* Class of each cell for head h: the target, then the adversaries. */
const cz_column *cz_head_column(const cz_cells *cells, int head);

/* The state, for export and for the summary. */
typedef struct cz_training_facts {
    int epochs_run, best_epoch; /* best_epoch from 1, 0 = none */
    double best_value;
    int64_t steps;          /* optimiser steps in all */
    int64_t steps_here;     /* of them in this process */
    double step_seconds;    /* spent in those steps */
    double exposed_seconds; /* of it waiting for or talking to other ranks */
    double evaluate_seconds, fetch_seconds;
    double checkpoint_seconds; /* that this rank's main thread spent on checkpoints */
    int64_t evaluated_cells;   /* of all ranks, in evaluate_seconds */
    double first_step_at;      /* MPI_Wtime() when the first step began, 0 = none did */
    double flops;              /* in matrix products of this rank's steps here */
    double evaluate_flops;     /* and for a cell that it evaluates; NaN where it evaluated none */
    const char *transport;     /* of gradients: window, messages, nccl, mpi or none */
    int workers;
    int graph_nodes; /* of a whole batch's step on a GPU; 0: none was recorded */
} cz_training_facts;
cz_training_facts cz_trainer_facts(const cz_trainer *trainer);
const void *cz_trainer_weights(const cz_trainer *trainer);

/* Training cells that are evaluated at once when all cells are predicted: whole blocks. */
enum { CZ_PREDICTED_CELLS = 8192 };

/* Steps of one epoch, and bytes that rank `rank` will need beside the cells, rank 0 the most;
 * count: cells of each split; backend NULL: a GPU's, whose own memory is not counted, of a rank of
 * one thread. Local. */
int cz_train_steps(int train_cells, int batch);
size_t cz_train_bytes(const cz_config *config, const cz_model *model, int labels,
                      const int count[CZ_SPLITS], int rank, int ranks, int threads,
                      const cz_backend *backend);

#endif
