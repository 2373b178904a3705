/* The state of a training run. Private to src/train. */
#ifndef CZ_TRAINER_PRIVATE_H
#define CZ_TRAINER_PRIVATE_H

#include "czhpc/train.h"

enum { EVALUATION_BLOCK = 64 };

/* Cells as batches need them: features and codes of `count` cells in the order of use. A rank holds
 * few at a time, so that neither its memory nor the way to its first step grows with the cells. */
typedef struct row_set {
    int count, capacity;
    float *x;       /* (count, width) */
    int32_t *row;   /* (count) index in the cells */
    int32_t *place; /* (count) 0, 1, 2, ...: rows of x */
    uint32_t *cell; /* (count) what masks go by: the row, or the place in an epoch that may
                     * draw a row twice */
    int32_t *label; /* (count) */
    int32_t *code[CZ_MAX_HEADS];
} row_set;

/* Cells to evaluate; a rank takes whole blocks of them. */
typedef struct evaluation_set {
    int n;        /* cells, all ranks */
    int32_t *row; /* (n) */
    int *counts;  /* (ranks) cells evaluated by each */
} evaluation_set;

/* Steps of an epoch whose cells were fetched together. */
typedef struct portion {
    int first, steps; /* none: nothing is fetched yet */
    int most;         /* steps that are fetched together */
    int *begin;       /* (most + 1) first cell of each step among those of the rank */
} portion;

/* One thread's part. */
typedef struct worker {
    cz_workspace *workspace;
    double *loss[CZ_MAX_HEADS]; /* (batch cells of a worker) */
    int32_t *best[CZ_MAX_HEADS];
    cz_step_sums sums;
    double flops;          /* in matrix products of steps, since the start */
    double evaluate_flops; /* and in those of evaluations, */
    int64_t evaluated;     /* of so many cells */
} worker;

/* What a rank that computes on a GPU has there: gpu.h. */
typedef struct gpu_state gpu_state;

struct cz_trainer {
    cz_trainer_setup setup;
    int heads, threads, workers;
    cz_dtype dtype; /* of weights, their gradients and moments, and of logits */
    cz_reducer *reducer;
    worker *worker;           /* (threads) */
    gpu_state *gpu;           /* NULL: workers compute on cores */
    const cz_backend *update; /* what updates weights in the reducer's arrays: a CPU's */
    cz_pool *own_pool;        /* of one thread, beside a GPU */
    bool failed;              /* a run of it, on this rank or another */

    int train_count;
    int32_t *train_row;   /* (train_count) cells of the training split */
    int32_t *train_code;  /* (train_count) their classes of the target */
    double *class_weight; /* (classes of the target) of its loss, NULL: all 1 */
    int32_t *order;       /* (train_count) rows in the order of this epoch */
    int steps;
    row_set held;  /* this rank's cells of some steps, or of some blocks of an evaluation */
    portion ahead; /* the steps whose cells are held */

    cz_step step;
    cz_progress progress;
    cz_metrics *metrics; /* rank 0 */
    bool measured;       /* all: it has them */
    cz_writer *writer;
    uint64_t config_hash, data_hash;
    char *config_text;
    cz_training_facts facts;
};

/* First cell that worker i takes of a batch of `cells`. */
static inline int worker_begin(int cells, int i, int workers)
{
    return (int)((int64_t)cells * i / workers);
}

/* The most cells that one of `parts` takes of a batch divided so. */
static inline int share_most(int cells, int parts) { return (cells + parts - 1) / parts; }

/* First cell of part i of n cells, cut between blocks of EVALUATION_BLOCK. */
static inline int blocks_begin(int n, int i, int parts)
{
    int64_t blocks = (n + EVALUATION_BLOCK - 1) / EVALUATION_BLOCK;
    int64_t begin = blocks * i / parts * EVALUATION_BLOCK;
    return begin < n ? (int)begin : n;
}

/* Most cells that one of so many workers meets in a call: of a batch, or of an evaluation block;
 * and those that it takes through the model together. */
int worker_cells(int batch, int workers);
int block_cells(const cz_config *config, cz_dtype dtype);

/* Cells that are fetched at once, a multiple of `unit`: 8 MiB of features or a unit, whichever is
 * more. At that size a fetch costs a thousandth of the steps it is for. */
int portion_cells(int width, int unit);

/* Makes room for so many cells. Local. CZ_ERR_MEMORY. */
cz_status row_set_reserve(row_set *set, const cz_trainer *t, int capacity);
/* Fetches features and codes of set->row. Collective. */
cz_status row_set_fill(row_set *set, const cz_trainer *t);
void row_set_free(row_set *set);
/* The batch of cells [begin, end) of a set. */
cz_batch row_set_batch(const row_set *set, const cz_trainer *t, int begin, int end);

/* What the workspaces compute with. */
cz_weights trainer_weights(const cz_trainer *t);

/* Attention added up in whole numbers, so that no division of the cells changes a bit. */
typedef struct attention_sums {
    int64_t *sum;       /* (threads, pool + cross) */
    size_t pool, cross; /* elements of the resampler's map, and of the label attention's */
} attention_sums;
/* Local; free sums->sum after a failure, too. */
cz_status attention_open(attention_sums *sums, const cz_trainer *t);
/* Has a pass of this thread add to the sums. */
void attention_follow(cz_outcome *out, const attention_sums *sums, int thread);
/* The means over `cells` cells, all threads and ranks, on rank 0. Collective. */
cz_status attention_take(cz_attention *attention, const attention_sums *sums, const cz_trainer *t,
                         int cells);

/* An evaluation under way. */
typedef struct evaluation_job {
    cz_trainer *trainer;
    cz_outcome out;                /* of this rank's cells */
    float *log_prob[CZ_MAX_HEADS]; /* (cells, classes) of each head; NULL: not wanted */
    void *logits[CZ_MAX_HEADS];    /* (threads, EVALUATION_BLOCK, classes), where wanted */
    attention_sums attention;      /* its sum NULL: not wanted */
    int first;                     /* of this rank's cells, the first that is held */
} evaluation_job;
/* log_prob (rows, classes) = logits less the logarithm of their sum of exponentials. Local. */
void evaluate_log_softmax(float *log_prob, cz_tensor logits, int rows);

/* Order of the epoch that progress names. Collective. */
cz_status epoch_prepare(cz_trainer *t);
/* Cells of the steps that fetch together, on the rank that has most. Local. */
int epoch_portion_steps(int batch, int ranks, int width);
/* The cells of the step that progress names, unless they are held. Collective. */
cz_status epoch_fetch(cz_trainer *t);
/* Learning rate of an optimiser step, counted from 0 over the whole run. */
double epoch_lr(const cz_trainer *t, int64_t step);
/* One optimiser step; the sums of all workers come back. Collective. */
cz_status epoch_step(cz_trainer *t, int step, cz_step_sums *sums);
/* Cells of a step, of all ranks. Local. */
int epoch_batch_cells(const cz_trainer *t, int step);
/* t->step of step `step` of the epoch, before which `done` steps of the phase were done. Local. */
void epoch_set_step(cz_trainer *t, int step, int64_t done);
/* A cz_update by Adam, of `context`, the trainer. */
cz_status epoch_update(void *context, int thread, size_t begin, size_t end, const void *gradient);
/* A loss that is not finite, of step `step` of the phase, counted from 1. */
cz_status epoch_diverged(const cz_trainer *t, int64_t step);

/* Index of the numbers that ride along with a step. */
static inline int sum_loss(int head) { return 3 * head; }
static inline int sum_correct(int head) { return 3 * head + 1; }
static inline int sum_known(int head) { return 3 * head + 2; }

/* Different labels that `cells` cells can have, at most. */
static inline int slot_count(int labels, int cells) { return labels < cells ? labels : cells; }

/* Where progress.partial keeps what the stopping rule remembers of the epoch before. */
enum { LAST_TRAIN = 3 * CZ_MAX_HEADS, LAST_VALIDATION, LAST_TEST };

/* Tells the observer of the step that was done last. */
void trainer_report_step(cz_trainer *t);
/* CZ_STOPPED. Collective. */
cz_status trainer_save_and_stop(cz_trainer *t);

/* Decides whether training stops after an epoch and whether it was the best one. */
void stopping_update(cz_trainer *t, const cz_epoch_report *report, bool *best, bool *stop);

/* What checkpoints are written by. Collective. */
cz_status trainer_open_writer(cz_trainer *t);
/* Has the state written; best: also as the best one. The failure may be that of the write before.
 * Collective. */
cz_status trainer_save(cz_trainer *t, bool best);
/* Waits for the write that is under way. Collective. */
cz_status trainer_saved(cz_trainer *t);

/* Rank 0 keeps the file of metrics; what was written after the state was saved is cut off. Nothing
 * where that is done. Collective. CZ_ERR_INPUT, CZ_ERR_IO. */
cz_status metrics_open(cz_trainer *t);
cz_status metrics_append_epoch(cz_trainer *t, const cz_epoch_report *report);

#endif
