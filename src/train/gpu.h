/* A trainer whose rank computes on a GPU. The state lives there, and comes back into the reducer's
 * arrays where it is saved; steps are recorded once for each number of cells and replayed, fed
 * from records of a portion's steps; the host waits for sums a portion later. Where ranks share a
 * GPU, MPI sums gradients in its memory, or they go through the reducer, which also updates the
 * weights.
 * Private to src/train. */
#ifndef CZ_TRAIN_GPU_H
#define CZ_TRAIN_GPU_H

#include "trainer.h"

enum { GPU_ARRAYS = 40 + 4 * CZ_MAX_HEADS, GPU_SHAPES = 4, GPU_HALVES = 2 };

/* Where the parts of a step's record lie, in bytes: a cz_step, and (most) or (slots) numbers. */
typedef struct record_layout {
    size_t row, cell, slot, slot_label, code[CZ_MAX_HEADS];
    size_t bytes;
    int most, slots;
} record_layout;

/* Steps of batches of one size: a sum over ranks is recorded by all of them or by none. */
typedef struct gpu_shape {
    int batch;           /* cells of all ranks */
    bool done;           /* once, by itself: what is loaded at first use is there */
    cz_gpu_graph *graph; /* NULL: not recorded yet */
} gpu_shape;

typedef struct gpu_array {
    void *data;
    bool pinned; /* of the host */
} gpu_array;

struct gpu_state {
    cz_gpu *gpu;
    cz_workspace *workspace;
    gpu_array owned[GPU_ARRAYS]; /* what is released in the end */
    int owned_count;

    void *w, *m, *v, *g; /* (parameters) fp32; m and v only where the GPU updates */
    void *copy;          /* of w as activations are stored; NULL where they are fp32 */
    cz_tensor text;      /* (labels, text_width) */
    double *class_weight;

    record_layout layout;
    int capacity; /* cells of a portion, of training or of an evaluation */
    float *x;     /* (capacity, width) features of a portion */
    char *records, *current;
    int32_t *cursor;
    double *loss[CZ_MAX_HEADS]; /* (capacity) */
    int32_t *best[CZ_MAX_HEADS];
    double *sums; /* (steps, 3 heads) of a portion */
    gpu_shape shape[GPU_SHAPES];
    int shapes;

    /* Of the host, a half in turn: what is on its way, or was, until the half's mark is reached. */
    float *x_staged[GPU_HALVES];
    char *records_staged[GPU_HALVES];
    int32_t *cursor_staged;          /* (GPU_HALVES) */
    double *sums_staged[GPU_HALVES]; /* of the portion of that half, */
    int uncollected[GPU_HALVES];     /* so many steps */
    int half;
    int32_t *slot_of; /* (labels) for cz_assign_slots() */

    /* Of an evaluation, (capacity) or as said, in blocks of so many cells. */
    int evaluation_block;
    int32_t *row, *slot, *code[CZ_MAX_HEADS];
    uint32_t *cell;
    int32_t *slot_label; /* (blocks, slots) */
    void *logits[CZ_MAX_HEADS];
    int64_t *tally;
};

/* Takes what a GPU needs, into t->gpu. Local. */
cz_status gpu_open(cz_trainer *t);
void gpu_close(cz_trainer *t); /* nothing without one */
/* Of it the host's copies of what is on its way; train: training cells of all ranks. */
size_t gpu_pinned_bytes(const cz_config *config, int width, int heads, int labels, int train,
                        int ranks);
/* Brings ranks' GPUs together, and the first weights there. Collective. */
cz_status gpu_begin(cz_trainer *t);

/* The weights alone, from the reducer's array. Local. */
cz_status gpu_weights_up(cz_trainer *t);

/* The state, from and to the reducer's arrays. Collective over the trainer's group. */
cz_status gpu_state_up(cz_trainer *t);
cz_status gpu_state_down(cz_trainer *t);

/* The steps of the epoch that are still to do. Collective. */
cz_status gpu_run_steps(cz_trainer *t);

/* Evaluates the cells that are held. Local. */
cz_status gpu_evaluate(evaluation_job *job);

/* Memory that gpu_close() releases: of the GPU, and of the host for copies. Local. */
cz_status gpu_take(gpu_state *g, void *at, size_t bytes);
cz_status gpu_take_host(gpu_state *g, void *at, size_t bytes);
cz_exec gpu_exec(const cz_trainer *t, cz_arena *scratch);

#endif
