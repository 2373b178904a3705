/* A GPU as the files of cuda/ know it. */
#ifndef CZ_CUDA_DEVICE_H
#define CZ_CUDA_DEVICE_H

#include "deferred.h"

#include <cublasLt.h>
#include <nccl.h>
#include <sched.h>

struct product_plans; /* products.cu */

/* Rows of y (rows, cols) to be set: moves.cu. */
enum { MOST_MOVES = 8 };
struct noted_move {
    void *y;
    const void *x;
    const int32_t *index;
    int rows, cols, ldy, ldx, blocks;
    bool wide_y, wide_x, by_sixteens; /* the last: y are uint4, to be zero */
};
struct move_queue {
    noted_move move[MOST_MOVES];
    span y[MOST_MOVES], x[MOST_MOVES];
    int count;
};

/* What is noted and what is under way of it: deferred.cu. */
enum { MOST_TOUCHED = 6 };
struct deferred_note {
    span touched[MOST_TOUCHED]; /* of them the first `written` are written */
    int count, written, batch;  /* batch: the one under way, or the next */
};
struct deferred_queue {
    cudaStream_t stream;
    cudaEvent_t begun, done[MOST_BATCHES];
    deferred_work work; /* noted, not yet asked for */
    cz_dtype dtype;     /* of its activations */
    /* Under way, and then of `work`; and one of an operation beside them. */
    deferred_note note[MOST_BATCHES * MOST_DEFERRED + 1];
    int notes, count; /* batches that may be under way */
};

struct device {
    cz_gpu shown;  /* first: what cz_gpu * points to */
    size_t shared; /* bytes that a block may have */
    int multiprocessors;
    cpu_set_t cores; /* of the thread that opened it */
    cudaStream_t stream;
    cudaStream_t current; /* what work is asked for on: it, or that of deferred work */
    move_queue moves;
    deferred_queue deferred;
    cublasLtHandle_t blas;
    product_plans *plans;
    ncclComm_t group;     /* NULL outside one */
    cz_gpu_graph *graphs; /* all that are there */
    cudaEvent_t marks[CZ_GPU_MARKS];
};
static inline device *device_of(const cz_gpu *gpu) { return (device *)gpu; }

/* collectives.cu */
cz_status group_id(char id[CZ_GPU_ID_BYTES]);
cz_status group_join(cz_gpu *gpu, const char id[CZ_GPU_ID_BYTES], int rank, int size);
cz_status group_sum(cz_gpu *gpu, void *data, size_t n, cz_dtype dtype);
void group_leave(device *d);
/* Leaves it where others may no longer answer. */
void group_abort(device *d);
/* Whether the group is well after work of it took so long. */
cz_status group_check(const cz_gpu *gpu, double seconds);

/* deferred.cu */
cz_status deferred_open(device *d);
void deferred_close(device *d);

/* feed.cu */
cz_status feed_step(cz_gpu *gpu, void *current, const void *records, size_t bytes, int32_t *cursor);

/* products.cu */
cz_status products_open(device *d);
void products_close(device *d);

/* table.cu: the table of a type, NULL for one that GPUs do not have here. */
const cz_backend *gpu_backend(const cz_gpu *gpu, cz_dtype dtype);

#endif
