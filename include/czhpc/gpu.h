/* One GPU of one rank: its memory, its work, and recorded work that is replayed.
 *
 * What CUDA is needed for lives in a plug-in, libczhpc_cuda.so, opened when a GPU is asked for: a
 * czhpc without it runs on CPUs. All work is done as if in the order it was asked for; functions
 * return before theirs is done, where nothing else is said. Every failure is a CZ_ERR_DEVICE that
 * names the call and the device, a CZ_ERR_MEMORY, or, in a group, a CZ_ERR_LOST. Local to the rank
 * and called by one thread, where nothing else is said. */
#ifndef CZ_GPU_H
#define CZ_GPU_H

#include "czhpc/ops.h"

enum { CZ_GPU_ABI = 4, CZ_GPU_ID_BYTES = 128, CZ_GPU_UUID_BYTES = 16 };

typedef struct cz_gpu_graph cz_gpu_graph; /* work that was recorded */

/* Predictions of some cells by each head, as cz_cross_entropy() leaves them. */
typedef struct cz_gpu_scored {
    int cells, heads;
    const double *loss[CZ_MAX_HEADS];
    const int32_t *best[CZ_MAX_HEADS], *code[CZ_MAX_HEADS];
} cz_gpu_scored;

/* A GPU as its plug-in shows it; the wrappers below are what to call. */
struct cz_gpu {
    char name[128]; /* "NVIDIA H200" */
    int number;     /* among those of the node */
    size_t memory;  /* bytes */
    const struct cz_gpu_calls *calls;
};

typedef struct cz_gpu_calls {
    void (*close)(cz_gpu *gpu);
    const cz_backend *(*backend)(const cz_gpu *gpu, cz_dtype dtype);
    cz_status (*allocate)(cz_gpu *gpu, void **at, size_t bytes);
    cz_status (*allocate_shared)(cz_gpu *gpu, void **at, size_t bytes);
    cz_status (*allocate_host)(cz_gpu *gpu, void **at, size_t bytes);
    void (*release)(cz_gpu *gpu, void *at);
    void (*release_host)(cz_gpu *gpu, void *at);
    cz_status (*move)(cz_gpu *gpu, void *to, const void *from, size_t bytes);
    cz_status (*wait)(cz_gpu *gpu);
    cz_status (*mark)(cz_gpu *gpu, int which);
    cz_status (*wait_for)(cz_gpu *gpu, int which);
    cz_status (*record)(cz_gpu *gpu);
    cz_status (*recorded)(cz_gpu *gpu, cz_gpu_graph **graph);
    cz_status (*replay)(cz_gpu *gpu, cz_gpu_graph *graph);
    int (*nodes)(const cz_gpu_graph *graph);
    void (*forget)(cz_gpu *gpu, cz_gpu_graph *graph);
    cz_status (*group_id)(char id[CZ_GPU_ID_BYTES]);
    cz_status (*join)(cz_gpu *gpu, const char id[CZ_GPU_ID_BYTES], int rank, int size);
    cz_status (*sum)(cz_gpu *gpu, void *data, size_t n, cz_dtype dtype);
    void (*give_up)(cz_gpu *gpu);
    cz_status (*feed)(cz_gpu *gpu, void *current, const void *records, size_t bytes,
                      int32_t *cursor);
    cz_status (*score)(cz_gpu *gpu, double *sums, const int32_t *cursor,
                       const cz_gpu_scored *scored);
} cz_gpu_calls;

/* What a plug-in exports, as `czhpc_gpu_plugin`. */
typedef struct cz_gpu_plugin {
    int abi;                       /* CZ_GPU_ABI */
    cz_status (*count)(int *gpus); /* CZ_ERR_DEVICE with the reason where there is none */
    cz_status (*identify)(char id[CZ_GPU_UUID_BYTES], int number);
    cz_status (*open)(cz_gpu **gpu, int number);
} cz_gpu_plugin;

/* How many GPUs this node has for this process; CZ_ERR_DEVICE, with why and what to do, where the
 * plug-in, the driver or a device is missing. The plug-in is the file that the environment's
 * CZHPC_CUDA_PLUGIN names, or libczhpc_cuda.so beside the program or in PREFIX/lib/czhpc. */
cz_status cz_gpu_count(int *gpus);

/* What tells GPU `number` from every other, whichever of them this process sees, after
 * cz_gpu_count(). */
cz_status cz_gpu_identify(char id[CZ_GPU_UUID_BYTES], int number);

/* Opens GPU `number`, after cz_gpu_count(). Close with cz_gpu_close(). */
cz_status cz_gpu_open(cz_gpu **gpu, int number);
void cz_gpu_close(cz_gpu *gpu);

/* Its table of operations; NULL for a type that it does not have. A constant of the plug-in. */
static inline const cz_backend *cz_gpu_backend(const cz_gpu *gpu, cz_dtype dtype)
{
    return gpu->calls->backend(gpu, dtype);
}

/* Memory of the GPU; memory that the host may use too, after cz_gpu_wait(), for tests; and of the
 * host, that moves faster. Released after cz_gpu_wait(). Not while recording. */
static inline cz_status cz_gpu_allocate(cz_gpu *gpu, void **at, size_t bytes)
{
    return gpu->calls->allocate(gpu, at, bytes);
}
static inline cz_status cz_gpu_allocate_shared(cz_gpu *gpu, void **at, size_t bytes)
{
    return gpu->calls->allocate_shared(gpu, at, bytes);
}
static inline cz_status cz_gpu_allocate_host(cz_gpu *gpu, void **at, size_t bytes)
{
    return gpu->calls->allocate_host(gpu, at, bytes);
}
static inline void cz_gpu_release(cz_gpu *gpu, void *at) { gpu->calls->release(gpu, at); }
static inline void cz_gpu_release_host(cz_gpu *gpu, void *at) { gpu->calls->release_host(gpu, at); }

/* Copies from anywhere to anywhere; host memory stays as it is until the work is done. */
static inline cz_status cz_gpu_move(cz_gpu *gpu, void *to, const void *from, size_t bytes)
{
    return gpu->calls->move(gpu, to, from, bytes);
}

/* Returns when all work is done, with what failed of it. */
static inline cz_status cz_gpu_wait(cz_gpu *gpu) { return gpu->calls->wait(gpu); }

/* Marks what has been asked for so far, one of CZ_GPU_MARKS marks, and returns when that is done;
 * at once where the mark was never set. */
enum { CZ_GPU_MARKS = 4 };
static inline cz_status cz_gpu_mark(cz_gpu *gpu, int which) { return gpu->calls->mark(gpu, which); }
static inline cz_status cz_gpu_wait_for(cz_gpu *gpu, int which)
{
    return gpu->calls->wait_for(gpu, which);
}

/* From cz_gpu_record() to cz_gpu_recorded() work is noted, not done; cz_gpu_replay() asks for all
 * of it, as often as one likes, with the same memory. */
static inline cz_status cz_gpu_record(cz_gpu *gpu) { return gpu->calls->record(gpu); }
static inline cz_status cz_gpu_recorded(cz_gpu *gpu, cz_gpu_graph **graph)
{
    return gpu->calls->recorded(gpu, graph);
}
static inline cz_status cz_gpu_replay(cz_gpu *gpu, cz_gpu_graph *graph)
{
    return gpu->calls->replay(gpu, graph);
}
static inline int cz_gpu_nodes(const cz_gpu *gpu, const cz_gpu_graph *graph)
{
    return gpu->calls->nodes(graph);
}
static inline void cz_gpu_forget(cz_gpu *gpu, cz_gpu_graph *graph)
{
    if (graph) gpu->calls->forget(gpu, graph);
}

/* A group of GPUs, one of each of `size` ranks: one rank makes an id (of any GPU: it is the
 * plug-in's), all join with it (collective over them), and then sum `n` numbers in place, work that
 * all of them ask for in the same order, and record all or none. */
static inline cz_status cz_gpu_group_id(const cz_gpu *gpu, char id[CZ_GPU_ID_BYTES])
{
    return gpu->calls->group_id(id);
}
static inline cz_status cz_gpu_join(cz_gpu *gpu, const char id[CZ_GPU_ID_BYTES], int rank, int size)
{
    return gpu->calls->join(gpu, id, rank, size);
}
static inline cz_status cz_gpu_sum(cz_gpu *gpu, void *data, size_t n, cz_dtype dtype)
{
    return gpu->calls->sum(gpu, data, n, dtype);
}

/* Leaves the group at once, where work of it may never end: that work is not done, and graphs that
 * were recorded are of no use any more. A wait that fails in a group has done so. */
static inline void cz_gpu_give_up(cz_gpu *gpu) { gpu->calls->give_up(gpu); }

/* What changes from step to step, for work that is replayed. feed: record number *cursor of
 * `records`, `bytes` each, a multiple of 16, comes to `current`, and the cursor is counted up.
 * score: sums[3 heads r + 3 h + ..] of each head h, r the record that was fed last, become the
 * losses, the right predictions and the number of the cells whose class is known, added in one
 * fixed order. All of it GPU memory. */
static inline cz_status cz_gpu_feed(cz_gpu *gpu, void *current, const void *records, size_t bytes,
                                    int32_t *cursor)
{
    return gpu->calls->feed(gpu, current, records, bytes, cursor);
}
static inline cz_status cz_gpu_score(cz_gpu *gpu, double *sums, const int32_t *cursor,
                                     const cz_gpu_scored *scored)
{
    return gpu->calls->score(gpu, sums, cursor, scored);
}

#endif
