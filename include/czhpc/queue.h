/* One queue of work items, handed out by rank 0 to groups of ranks.
 *
 * The leader of each group (its rank 0) asks, reports each epoch, and hears a verdict; rank 0 of
 * the job answers between the steps and phases of its own items (cz_queue_serve()), and before the
 * first of them until every other group has asked once: a group waits for another no longer than
 * that takes from one step or phase to the next. A source on rank 0 says what there is to do. */
#ifndef CZ_QUEUE_H
#define CZ_QUEUE_H

#include "czhpc/comm.h"

#include <signal.h>

/* What a source hands out: bytes that group and source understand, the same on every rank. */
enum { CZ_ITEM_BYTES = 8192 };
typedef struct cz_item {
    int64_t id;
    int size;
    unsigned char bytes[CZ_ITEM_BYTES];
} cz_item;

/* How an item ended. A bad item is a result, a bad system is an error. */
typedef enum cz_item_end {
    CZ_ITEM_DONE,
    CZ_ITEM_CUT,    /* the verdict was CZ_CUT */
    CZ_ITEM_FAILED, /* diverged, or refused by its memory plan */
    CZ_ITEM_LEFT    /* as the queue ends (CZ_STOPPED), or since it is lost: the group goes on */
} cz_item_end;

typedef struct cz_item_outcome {
    cz_item_end end;
    double value;      /* NAN: none */
    char message[256]; /* why it failed */
} cz_item_outcome;

/* What becomes of an item after an epoch. */
typedef enum cz_verdict {
    CZ_GO_ON,
    CZ_CUT, /* give it up */
    CZ_LOST /* somebody else has it now: leave it as it is, save nothing */
} cz_verdict;

typedef enum cz_next { CZ_NEXT_ITEM, CZ_NEXT_WAIT, CZ_NEXT_END } cz_next;

/* Called on rank 0's main thread only. An error ends the queue on all ranks, and nothing is called
 * any more. */
typedef struct cz_item_source {
    void *context;
    /* The next item for `group`; CZ_NEXT_WAIT: none now, ask again; CZ_NEXT_END: no more ever. */
    cz_status (*next)(void *context, int group, cz_item *item, cz_next *next);
    /* An epoch of an item (from 1). A verdict other than CZ_GO_ON reaches the group even if the
     * queue ends. */
    cz_status (*report)(void *context, const cz_item *item, int epoch, double value,
                        cz_verdict *verdict);
    /* Told of every item but that of a group that failed. */
    cz_status (*done)(void *context, const cz_item *item, const cz_item_outcome *outcome);
} cz_item_source;

typedef struct cz_queue cz_queue;

/* Works on one item, on all ranks of a group. Reports by cz_queue_report() and lets rank 0 serve
 * by cz_queue_serve(), both handed `queue`; watches cz_queue_stop(). CZ_STOPPED is CZ_ITEM_LEFT,
 * another error status is a bad system and ends the queue; the message that a failed item has left
 * behind is forgotten. `outcome` of the group's rank 0 counts; it comes as CZ_ITEM_DONE without a
 * value. Collective over `group`. */
typedef cz_status (*cz_item_work)(void *context, cz_queue *queue, const cz_item *item,
                                  const cz_comm *group, cz_item_outcome *outcome);

/* A stretch of time that a group worked on an item, seconds since the queue began, by the clock
 * of the group's leader: from the item's arrival to the end of the work. */
typedef struct cz_stretch {
    int group;
    int64_t item;
    double begin, end;
} cz_stretch;

typedef struct cz_timeline {
    int groups, count;
    cz_stretch *stretch; /* (count) in the order of their ends; rank 0, NULL elsewhere */
    double idle; /* share of the groups' time without an item, until there were no more of them */
    double longest_idle; /* seconds */
} cz_timeline;

/* Makes groups of `ranks_per_item` neighbouring ranks, once. `stop` becomes other than 0 by a
 * signal, on any rank; it and comm stay the caller's and must outlive the queue. CZ_ERR_CONFIG: the
 * ranks of `comm` are no multiple of ranks_per_item. Collective over comm. Free with
 * cz_queue_close(), collective likewise; NULL is fine. */
cz_status cz_queue_open(cz_queue **queue, const cz_comm *comm, int ranks_per_item,
                        const volatile sig_atomic_t *stop);
void cz_queue_close(cz_queue *queue);

const cz_comm *cz_queue_group(const cz_queue *queue); /* this rank's */
int cz_queue_groups(const cz_queue *queue);

/* Runs until the source has no more: CZ_OK; or until a signal: CZ_STOPPED, every item told as
 * CZ_ITEM_LEFT; or the first error of any group: all groups leave at their next report or serve,
 * and the message is rank 0's. CZ_ERR_MPI, without waiting for anyone: a group has not left 60
 * seconds after an error (CZHPC_PATIENCE: another number). `source` is rank 0's, not looked at
 * elsewhere. Collective over the queue's comm. *timeline: for the caller to free by
 * cz_timeline_free(). */
cz_status cz_queue_run(cz_queue *queue, const cz_item_source *source, cz_item_work work,
                       void *context, cz_timeline *timeline);
void cz_timeline_free(cz_timeline *timeline);

/* Told by all ranks of a group at the end of an epoch, with the same arguments; *verdict the same
 * on all. CZ_STOPPED: the queue ends, save and leave. Collective over the group. */
cz_status cz_queue_report(cz_queue *queue, int epoch, double value, cz_verdict *verdict);

/* Between steps and phases, on every rank: rank 0 answers who waits, a leader hears whether the
 * queue ends; a microsecond on a core of its own where there is nothing to do. Local. */
void cz_queue_serve(cz_queue *queue);

/* Becomes other than 0 when the work is to save its state and leave, on some rank of the group at
 * least: by a signal or an error anywhere. cz_queue_serve() and cz_queue_report() move it. Local.
 */
const volatile sig_atomic_t *cz_queue_stop(const cz_queue *queue);

#endif
