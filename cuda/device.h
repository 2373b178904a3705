/* A GPU as the files of cuda/ know it. */
#ifndef CZ_CUDA_DEVICE_H
#define CZ_CUDA_DEVICE_H

#include "kernel.h"

#include <cublasLt.h>
#include <nccl.h>
#include <sched.h>

struct product_plans; /* products.cu */

/* Work on a second stream, with what it reads: beside.cu. */
enum { MOST_BESIDE = 32 };
struct beside_work {
    cudaStream_t stream;
    cudaEvent_t begun, done[MOST_BESIDE];
    cz_tensor reads[MOST_BESIDE][2];
    int first, count; /* [first, count) may still be under way */
};

struct device {
    cz_gpu shown;    /* first: what cz_gpu * points to */
    size_t shared;   /* bytes that a block may have */
    cpu_set_t cores; /* of the thread that opened it */
    cudaStream_t stream;
    cudaStream_t current; /* what work is asked for on: it, or the one beside it */
    beside_work beside;
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

/* beside.cu */
cz_status beside_open(device *d);
void beside_close(device *d);

/* steps.cu */
cz_status feed_step(cz_gpu *gpu, void *current, const void *records, size_t bytes, int32_t *cursor);
cz_status score_step(cz_gpu *gpu, double *sums, const int32_t *cursor, const cz_gpu_scored *scored);

/* products.cu */
cz_status products_open(device *d);
void products_close(device *d);

/* table.cu: the table of a type, NULL for one that GPUs do not have here. */
const cz_backend *gpu_backend(const cz_gpu *gpu, cz_dtype dtype);

#endif
