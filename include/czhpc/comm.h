/* A group of ranks, and the collectives that training needs.
 *
 * MPI is called by the main thread, and by another only where cz_comm_any_thread() says so, in a
 * group that is that thread's alone; a group of one rank agrees, broadcasts and gathers without
 * MPI, in any thread. Every MPI error is a CZ_ERR_MPI with MPI's own text. Nothing here uses
 * MPI_COMM_WORLD but cz_comm_world(). */
#ifndef CZ_COMM_H
#define CZ_COMM_H

#include "czhpc/cores.h"
#include "czhpc/pool.h"
#include "czhpc/tensor.h"

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct cz_comm {
    MPI_Comm mpi;  /* all of the group */
    MPI_Comm node; /* those of the group that share this node's memory */
    int rank, size;
    int node_rank, node_size;
    int job_rank, job_size; /* in the group of cz_comm_world(), which messages name */
    /* Agreeing, broadcasting and gathering wait asleep, which takes up to a millisecond longer: in
     * a thread beside those that compute. */
    bool sleeps;
    char host[64];
} cz_comm;

/* A group over all ranks of the job. Collective over MPI_COMM_WORLD. Free with _free(),
 * collective likewise. MPI must be initialised. */
cz_status cz_comm_world(cz_comm *comm);
/* A group over the ranks that pass the same colour. Collective over `parent`. */
cz_status cz_comm_split(cz_comm *comm, const cz_comm *parent, int colour);
void cz_comm_free(cz_comm *comm);

/* Whether this MPI has been started with, and has, MPI_THREAD_MULTIPLE. Local. */
bool cz_comm_any_thread(void);

/* Whether MPI takes pointers to memory of GPUs on all ranks (it is CUDA-aware): it says so itself,
 * or the environment's CZHPC_CUDA_AWARE_MPI, 1 or 0, does. Collective. */
bool cz_comm_takes_gpu_memory(const cz_comm *comm);

/* Brings every rank's outcome together: returns the worst to all (CZ_ERR_* over CZ_STOPPED
 * over CZ_OK). After an error the lowest rank that had it has its message, with its rank and
 * host, become cz_error_message() on rank 0; the others forget theirs. So call it wherever a
 * step that may fail on some ranks only is followed by a collective. Collective. */
cz_status cz_comm_agree(const cz_comm *comm, cz_status mine);

/* Rank 0's status and bytes to all. Collective. If rank 0 failed, all get its status. */
cz_status cz_comm_broadcast(const cz_comm *comm, cz_status status, void *bytes, size_t size);

/* The cores that this rank has beside the others of its node, as cores.h says; bind false: masks
 * stay as they are. To be called while no pool of the rank is open. Collective. */
cz_status cz_comm_cores(const cz_comm *comm, bool bind, cz_cores *cores);

/* Fetches rows that live on other ranks. Rank r owns global rows begin[r] .. begin[r+1]-1
 * (begin has size + 1 entries, the same everywhere), packed in `own`, `row_bytes` each.
 * dst[i] becomes row want[i], for count wanted rows. A rank sends and receives some
 * 64 MiB at a time. Collective; counts may differ and be 0. */
cz_status cz_comm_fetch_rows(const cz_comm *comm, void *dst, const int32_t *want, int count,
                             const void *own, const int32_t *begin, size_t row_bytes);

/* Concatenates counts[r] elements of each rank, in rank order, on all ranks. Collective. */
cz_status cz_comm_gather_all(const cz_comm *comm, void *dst, const void *own, const int *counts,
                             size_t element_bytes);

/* The same on rank 0 alone; dst is not looked at elsewhere. Collective. */
cz_status cz_comm_gather(const cz_comm *comm, void *dst, const void *own, const int *counts,
                         size_t element_bytes);

/* How gradients travel: through one shared window where all ranks are on a node, else in
 * messages. AUTO chooses; the other two are for tests and for odd systems. */
typedef enum cz_transport {
    CZ_TRANSPORT_AUTO,
    CZ_TRANSPORT_WINDOW,
    CZ_TRANSPORT_MESSAGES
} cz_transport;

/* The flat arrays of a training run: weights, both Adam moments, and a gradient per worker,
 * a worker being a thread of a rank. Workers are numbered rank * threads + thread, and sums
 * over workers are taken in one fixed binary tree of that numbering (neighbours 2i, 2i+1
 * first, then pairs of pairs, ...), element by element: 1 x 4, 2 x 2 and 4 x 1 ranks x
 * threads give the same bits, by either transport. Worker i owns slice i of the arrays
 * (whole multiples of 64 bytes): it sums the gradients of its slice and updates it. */
typedef struct cz_reducer cz_reducer;

/* What else is made of the weights as soon as they are updated: memory that all workers who share
 * the weights share too. pack() brings what elements [begin, end) complete into it; border() gives
 * the last element up to `at` at which slices may end, so that no two workers pack one thing. */
typedef struct cz_packer {
    size_t bytes; /* 0: nothing is packed */
    size_t (*border)(const void *context, size_t at);
    void (*pack)(const void *context, void *packed, const void *weights, size_t begin, size_t end);
    const void *context; /* alive as long as the reducer */
} cz_packer;

/* `n` elements of `dtype`, the same threads on every rank; packer NULL: nothing is packed. All
 * arrays start as zeros. Collective, main thread. */
cz_status cz_reducer_open(cz_reducer **reducer, const cz_comm *comm, cz_pool *pool, size_t n,
                          cz_dtype dtype, cz_transport transport, const cz_packer *packer);
void cz_reducer_close(cz_reducer *reducer); /* collective */

const char *cz_reducer_transport(const cz_reducer *reducer); /* "window" or "messages" */

/* The arrays, (n) each. Weights are whole on every rank; of the moments a rank may rely only
 * on the slices of its own workers, [begin, end) below. In a window all ranks share one copy
 * of each: to fill them collectively, each rank writes its own slices, then calls
 * cz_reducer_publish(). */
void *cz_reducer_weights(cz_reducer *reducer);
void *cz_reducer_moment1(cz_reducer *reducer);
void *cz_reducer_moment2(cz_reducer *reducer);
void *cz_reducer_gradient(cz_reducer *reducer, int thread);
void cz_reducer_slice(const cz_reducer *reducer, int thread, size_t *begin, size_t *end);
void cz_reducer_rank_slice(const cz_reducer *reducer, size_t *begin, size_t *end);
/* What of the arrays a rank saves, for all ranks together to save all: in a window rank 0 all,
 * others nothing; else each its slice. Not to be read while other ranks may update, which they do
 * in cz_reducer_step() alone, where they wait for this rank. */
void cz_reducer_saved_slice(const cz_reducer *reducer, size_t *begin, size_t *end);

/* What the packer has made of the weights, 64-byte aligned; NULL if there is none. */
const void *cz_reducer_packed(const cz_reducer *reducer);

/* Makes the weight slices that each rank has written visible to all, packed. Collective, main. */
cz_status cz_reducer_publish(cz_reducer *reducer);

/* Small numbers that ride along with a step's gradients. */
enum { CZ_STEP_SUMS = 40 };
typedef struct cz_step_sums {
    double sum[CZ_STEP_SUMS]; /* added over workers in the tree's order */
    int status;               /* a cz_status; the worst comes back */
    int stop;                 /* the largest comes back */
} cz_step_sums;

/* Updates elements [begin, end) of the arrays, all within one worker's slice;
 * `gradient` (end - begin) is their sum over all workers. */
typedef cz_status (*cz_update)(void *context, int thread, size_t begin, size_t end,
                               const void *gradient);

/* One reduction and update: sums the gradients slice by slice in chunks that stay in cache,
 * calls `update` on each chunk, and publishes the new weights. `sums` is this worker's
 * contribution, and on return the same total for all. When the total status is an error,
 * no update is called and that error is returned; else the worst status of any worker's
 * updates is, by all. Gradients are left as they were (the caller clears its own).
 * Called inside cz_pool_run() by every thread of every rank. Collective. */
cz_status cz_reducer_step(cz_reducer *reducer, int thread, cz_update update, void *context,
                          cz_step_sums *sums);

/* Seconds this rank's main thread has waited or communicated in cz_reducer_step(). */
double cz_reducer_exposed_seconds(const cz_reducer *reducer);

#endif
