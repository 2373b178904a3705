/* What the parts of the queue share: messages between the leaders of groups and rank 0. */
#ifndef CZ_QUEUE_PARTS_H
#define CZ_QUEUE_PARTS_H

#include "czhpc/queue.h"

enum { CZ_REQUEST_TAG = 1, CZ_REPLY_TAG, CZ_ENDING_TAG, CZ_QUEUE_TEXT = 4096 };

typedef enum cz_request_kind {
    CZ_REQUEST_ASK,
    CZ_REQUEST_REPORT,
    CZ_REQUEST_DONE, /* and asks for the next */
    CZ_REQUEST_FAILED,
    CZ_REQUEST_STOP /* a signal; of any rank, and not answered */
} cz_request_kind;

/* To rank 0; sent up to the end of its text. */
typedef struct cz_request {
    cz_request_kind kind;
    int epoch;         /* REPORT */
    double value;      /* REPORT */
    double begin, end; /* DONE: of the work, seconds since the queue began */
    cz_item_outcome outcome;
    cz_status status; /* FAILED */
    char text[CZ_QUEUE_TEXT];
} cz_request;

typedef enum cz_reply_kind {
    CZ_REPLY_GO,
    CZ_REPLY_CUT,
    CZ_REPLY_LOST,
    CZ_REPLY_LEAVE, /* also instead of an item */
    CZ_REPLY_ITEM,
    CZ_REPLY_WAIT,
    CZ_REPLY_END
} cz_reply_kind;

/* From rank 0; sent up to the end of the item's bytes. */
typedef struct cz_reply {
    cz_reply_kind kind;
    cz_item item;
} cz_reply;

/* A group as rank 0 sees it. */
typedef struct cz_served {
    cz_reply reply; /* the last one; its item is what the group works on */
    MPI_Request sending;
    bool met;  /* it has asked */
    bool gone; /* it was told that there is nothing more */
} cz_served;

/* Rank 0's side of one run. */
typedef struct cz_coordinator {
    const cz_item_source *source;
    bool source_failed, dry;
    double dry_at; /* since when no item was handed out because there was none; NAN */
    cz_served *served;
    int met, gone;
    MPI_Request *pushing; /* (groups) that the queue ends, to the leaders */
    int pushed;           /* the status that is under way to them; CZ_OK: none */
    int notices;          /* of signals, received */
    cz_request request;   /* received */
    cz_timeline timeline;
    int stretch_room;
} cz_coordinator;

/* A rank's side of one run. */
typedef struct cz_queue_run_state {
    bool active;
    double started; /* MPI_Wtime() */
    cz_coordinator *coordinator;
    cz_request request;
    cz_reply reply;
    cz_item item;       /* that the group works on */
    bool heard;         /* that the queue ends, by rank 0's message */
    bool noticed;       /* a signal, and rank 0 was told */
    MPI_Request notice; /* to rank 0 */
    cz_status ending;   /* CZ_STOPPED or the error that ends the queue, as far as is known here */
    double error_at;    /* when that error was known */
    double patience;    /* seconds that others have to leave */
    cz_status broken;   /* CZ_ERR_MPI: nothing collective any more */
    char text[CZ_QUEUE_TEXT]; /* of the error */
} cz_queue_run_state;

struct cz_queue {
    const cz_comm *comm;
    const volatile sig_atomic_t *stop;
    volatile sig_atomic_t leaving;
    MPI_Comm mpi; /* for messages */
    cz_comm group;
    int ranks_per_item, groups;
    bool leads;
    cz_queue_run_state run;
};

/* Seconds since the queue began. */
double cz_queue_now(const cz_queue *q);
/* This rank knows that the queue ends; the first error counts. */
void cz_queue_know(cz_queue *q, cz_status status, const char *text);

/* Looks after everything that does not wait for this rank: its signal, requests, the end. */
cz_status cz_queue_attend(cz_queue *q);
/* Waits for requests and attends meanwhile. CZ_ERR_MPI also where an error has been known for
 * longer than others have to leave. */
cz_status cz_queue_await(cz_queue *q, MPI_Request *requests, int count);
/* Attends until that time is over or the queue ends. */
cz_status cz_queue_pause(cz_queue *q, double seconds);
double cz_queue_patience(void);

/* Each starts a message, whose bytes stay where they are until it is complete. */
cz_status cz_message_send(cz_queue *q, const void *bytes, size_t size, int rank, int tag,
                          MPI_Request *sending);
cz_status cz_message_request(cz_queue *q, const cz_request *request, MPI_Request *sending);
cz_status cz_message_reply(cz_queue *q, const cz_reply *reply, int rank, MPI_Request *sending);
cz_status cz_message_take_reply(cz_queue *q, cz_reply *reply, MPI_Request *receiving);
/* From the group's leader to all of the group. */
cz_status cz_message_share(cz_queue *q, void *bytes, size_t size, MPI_Request *sharing);
/* Waits without attending: for messages whose receivers are there. */
cz_status cz_message_complete(MPI_Request *sending, int count);

cz_status cz_coordinator_open(cz_queue *q, const cz_item_source *source);
void cz_coordinator_close(cz_queue *q);
/* Answers until every group has asked once, or the queue ends: rank 0's own items may keep it from
 * serving for long. */
cz_status cz_coordinator_meet(cz_queue *q);
/* Answers all requests that have come. */
cz_status cz_coordinator_serve(cz_queue *q);
/* The answer to one request; it stays the group's until the next one. */
cz_status cz_coordinator_answer(cz_queue *q, int group, const cz_request *request,
                                const cz_reply **reply);
/* From now on groups are told to leave. */
cz_status cz_coordinator_end(cz_queue *q, cz_status status, const char *text);
/* Completes the messages of a run whose groups have all left: so many notices were sent. */
cz_status cz_coordinator_drain(cz_queue *q, int notices);

cz_status cz_timeline_add(cz_timeline *timeline, int *room, cz_stretch stretch);
/* Sorts, and finds the idle time before `end`. */
void cz_timeline_finish(cz_timeline *timeline, double end);

#endif
