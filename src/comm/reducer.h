/* What the two transports of a reducer share. */
#ifndef CZ_REDUCER_H
#define CZ_REDUCER_H

#include "czhpc/arena.h"
#include "czhpc/comm.h"
#include "tree.h"

/* What a worker shows the others: `sums` before the gradients are summed, `updated`, the
 * cz_status of its update, after. Sums come first, so that a slot is a leaf of a tree. */
typedef struct cz_slot {
    _Alignas(64) cz_step_sums sums;
    int updated;
} cz_slot;

/* Messages between ranks. Every rank sends each other the partial sums of the other's slice,
 * then its own slice of the new weights: always the same messages, so they are prepared once.
 * Each lies in one piece where it comes from and goes to, so nothing is packed on the way. */
typedef struct cz_mail {
    MPI_Comm comm;
    int group, partials;   /* workers in a partial sum, a power of two; partials of a rank */
    char *partial;         /* (partials, stride): arrays of n; the gradients if group is 1 */
    cz_slot *partial_slot; /* (partials), the workers' own if group is 1 */
    const void **member, **member_slot; /* (threads): what partial sums are formed of */
    char *received;                     /* (size, partials) of this rank's slice */
    cz_slot *received_slot;             /* (size, partials) */
    int *updated;                       /* (size), the worst of each rank */
    MPI_Request *sums, *weights;        /* persistent */
    int sums_count, weights_count;
    MPI_Status *status; /* of the longer list */
} cz_mail;

struct cz_reducer {
    const cz_comm *comm;
    cz_pool *pool;
    int threads, workers;
    size_t n, stride; /* bytes from one array to the next, a multiple of 64 */
    cz_dtype dtype;
    cz_packer packer;
    bool window;
    double exposed;   /* seconds */
    cz_status failed; /* the main thread's last communication */

    char *weights, *moment1, *moment2;
    char *packed;
    char *gradient; /* (threads, stride), of this rank's workers */
    cz_slot *slot;  /* (threads), likewise */

    /* What is summed: leaf[i] is an array that begins with element leaf_begin. */
    int leaves;
    size_t leaf_begin;
    const void **leaf;      /* (leaves) */
    const void **leaf_slot; /* (leaves), cz_slot */
    const int **outcome;    /* (outcomes), how the updates went */
    int outcomes;
    char *scratch; /* (threads, scratch_bytes) */
    size_t scratch_bytes;

    cz_arena memory; /* all that is this process's own */
    MPI_Win shared;  /* or MPI_WIN_NULL */
    cz_mail mail;
};

/* A tree over `leaves` with this thread's scratch. Local. */
cz_tree cz_reducer_tree(const cz_reducer *r, int thread, cz_dtype dtype, int leaves);
/* Sums of slots: numbers in the tree's order, the worst status, the largest stop. Local. */
void cz_reducer_sum_slots(const cz_reducer *r, int thread, const void *const *slot, int slots,
                          cz_step_sums *total);
/* The slices of workers first .. last - 1, in elements. Local. */
void cz_reducer_range(const cz_reducer *r, int first, int last, size_t *begin, size_t *end);

/* One copy of all arrays in a window over the node. */
size_t cz_window_bytes(const cz_reducer *r);
size_t cz_window_own_bytes(const cz_reducer *r); /* wanted of r->memory */
cz_status cz_window_open(cz_reducer *r);         /* collective */
void cz_window_close(cz_reducer *r);             /* collective */
/* Makes what each rank's workers have written visible to all. Collective, main. */
cz_status cz_window_sync(cz_reducer *r);

/* A copy of the weights on every rank, and messages. */
size_t cz_mail_own_bytes(const cz_reducer *r);
cz_status cz_mail_open(cz_reducer *r); /* collective */
void cz_mail_close(cz_reducer *r);     /* collective */
/* This thread's share of the rank's partial sums; all gradients must be there. Local. */
void cz_mail_form_partials(cz_reducer *r, int thread);
/* Partial sums to the owners of their slices; new weights to all. Collective, main. */
cz_status cz_mail_exchange_sums(cz_reducer *r);
cz_status cz_mail_exchange_weights(cz_reducer *r);

#endif
