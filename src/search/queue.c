/* The queue of work items: groups of ranks, and what each does until there is no more to do. */
#include "czhpc/mpi_error.h"
#include "czhpc/profile.h"
#include "queue_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static cz_status check_ranks(const cz_comm *comm, int ranks_per_item)
{
    if (ranks_per_item >= 1 && comm->size % ranks_per_item == 0) return CZ_OK;
    return cz_fail(CZ_ERR_CONFIG,
                   "%d ranks make no whole groups of %d ranks an item: start a multiple of that",
                   comm->size, ranks_per_item);
}

static cz_status make_groups(cz_queue *q, const cz_comm *comm, int ranks_per_item)
{
    q->comm = comm;
    q->ranks_per_item = ranks_per_item;
    q->groups = comm->size / ranks_per_item;
    CZ_MPI(MPI_Comm_dup, comm->mpi, &q->mpi);
    CZ_MPI(MPI_Comm_set_errhandler, q->mpi, MPI_ERRORS_RETURN);
    CZ_TRY(cz_comm_split(&q->group, comm, comm->rank / ranks_per_item));
    q->leads = q->group.rank == 0;
    return CZ_OK;
}

cz_status cz_queue_open(cz_queue **queue, const cz_comm *comm, int ranks_per_item,
                        const volatile sig_atomic_t *stop)
{
    *queue = NULL;
    cz_status status = check_ranks(comm, ranks_per_item);
    cz_queue *q = status ? NULL : cz_alloc(1, sizeof *q, "the queue of work items");
    if (!status && !q) status = CZ_ERR_MEMORY;
    status = cz_comm_agree(comm, status);
    if (!status) status = make_groups(q, comm, ranks_per_item);
    if (status) {
        free(q);
        return status;
    }
    q->stop = stop;
    *queue = q;
    return CZ_OK;
}

void cz_queue_close(cz_queue *q)
{
    /* After a CZ_ERR_MPI the others do not come, and MPI may still write here. */
    if (!q || q->run.broken) return;
    cz_comm_free(&q->group);
    MPI_Comm_free(&q->mpi);
    free(q);
}

const cz_comm *cz_queue_group(const cz_queue *q) { return &q->group; }
int cz_queue_groups(const cz_queue *q) { return q->groups; }
const volatile sig_atomic_t *cz_queue_stop(const cz_queue *q) { return &q->leaving; }

/* A leader's request and rank 0's reply. */
static cz_status exchange(cz_queue *q)
{
    CZ_TRY(cz_queue_attend(q)); /* a signal goes first */
    if (q->run.coordinator) {
        const cz_reply *reply;
        CZ_TRY(cz_coordinator_answer(q, 0, &q->run.request, &reply));
        q->run.reply = *reply;
        return CZ_OK;
    }
    MPI_Request both[2];
    CZ_TRY(cz_message_take_reply(q, &q->run.reply, &both[0]));
    CZ_TRY(cz_message_request(q, &q->run.request, &both[1]));
    return cz_queue_await(q, both, 2);
}

/* The leader's bytes to all of the group. */
static cz_status share(cz_queue *q, void *bytes, size_t size)
{
    MPI_Request sharing;
    if (q->group.size == 1) return CZ_OK;
    CZ_TRY(cz_message_share(q, bytes, size, &sharing));
    return cz_queue_await(q, &sharing, 1);
}

static cz_status ask_until_answered(cz_queue *q)
{
    CZ_TRY(exchange(q));
    for (double seconds = 0.05; q->run.reply.kind == CZ_REPLY_WAIT;
         seconds = fmin(2 * seconds, 1)) {
        CZ_TRY(cz_queue_pause(q, seconds));
        q->run.request = (cz_request){.kind = CZ_REQUEST_ASK};
        CZ_TRY(exchange(q));
    }
    return CZ_OK;
}

/* Hands the last item's outcome in and takes the next item, if there is one. */
static cz_status next_item(cz_queue *q, bool *there)
{
    CZ_PHASE("next item");
    if (q->leads) CZ_TRY(ask_until_answered(q));
    if (q->run.coordinator) CZ_TRY(cz_coordinator_meet(q));
    CZ_TRY(share(q, &q->run.reply, sizeof q->run.reply));
    *there = q->run.reply.kind == CZ_REPLY_ITEM;
    if (*there) q->run.item = q->run.reply.item;
    return CZ_OK;
}

static void write_request(cz_queue *q, cz_status status, const cz_item_outcome *outcome,
                          double begin)
{
    q->run.request = (cz_request){.kind = CZ_REQUEST_DONE,
                                  .status = status,
                                  .outcome = *outcome,
                                  .begin = begin,
                                  .end = cz_queue_now(q)};
    if (status == CZ_STOPPED) q->run.request.outcome.end = CZ_ITEM_LEFT;
    if (status <= CZ_STOPPED) return;
    q->run.request.kind = CZ_REQUEST_FAILED;
    snprintf(q->run.request.text, CZ_QUEUE_TEXT, "%s", cz_error_message());
    if (!q->run.coordinator) cz_queue_know(q, status, q->run.request.text);
}

static cz_status work_on_item(cz_queue *q, cz_item_work work, void *context)
{
    cz_item_outcome outcome = {.end = CZ_ITEM_DONE, .value = NAN};
    double begin = cz_queue_now(q);
    cz_status status = work(context, q, &q->run.item, &q->group, &outcome);
    if (q->run.broken) return q->run.broken;
    if (status == CZ_ERR_MPI) return status;
    status = cz_comm_agree(&q->group, status);
    if (status == CZ_ERR_MPI) return status;
    if (q->leads) write_request(q, status, &outcome, begin);
    /* Else a failed item's message would stand for a later error. */
    cz_error_clear();
    return CZ_OK;
}

static cz_status work_on_items(cz_queue *q, cz_item_work work, void *context)
{
    q->run.request = (cz_request){.kind = CZ_REQUEST_ASK};
    for (;;) {
        bool there;
        CZ_TRY(next_item(q, &there));
        if (!there) return CZ_OK;
        CZ_TRY(work_on_item(q, work, context));
    }
}

/* Completes the messages of this run, the same way on all ranks; returns how it ended. */
static cz_status settle(cz_queue *q)
{
    int end[2] = {(int)q->run.ending, 0}, noticed = 0, notices = 0;
    if (q->run.coordinator) end[1] = q->run.coordinator->pushed;
    else noticed = q->run.noticed;
    CZ_MPI(MPI_Bcast, end, 2, MPI_INT, 0, q->mpi);
    CZ_MPI(MPI_Reduce, &noticed, &notices, 1, MPI_INT, MPI_SUM, 0, q->mpi);
    if (q->run.coordinator) CZ_TRY(cz_coordinator_drain(q, notices));
    else if (end[1] && q->leads && !q->run.heard)
        CZ_MPI(MPI_Recv, &end[1], (int)sizeof end[1], MPI_BYTE, 0, CZ_ENDING_TAG, q->mpi,
               MPI_STATUS_IGNORE);
    CZ_TRY(cz_message_complete(&q->run.notice, 1));
    return (cz_status)end[0];
}

/* Rank 0 serves until all groups have left. */
static cz_status finish(cz_queue *q)
{
    CZ_PHASE("wait for other groups");
    MPI_Request all_left;
    CZ_MPI(MPI_Ibarrier, q->mpi, &all_left);
    CZ_TRY(cz_queue_await(q, &all_left, 1));
    cz_status status = settle(q);
    if (status == CZ_ERR_MPI) return status;
    cz_error_clear();
    if (status > CZ_STOPPED && q->run.coordinator) cz_fail(status, "%s", q->run.text);
    return status;
}

static cz_status begin(cz_queue *q, const cz_item_source *source)
{
    q->leaving = 0;
    q->run = (cz_queue_run_state){.notice = MPI_REQUEST_NULL, .patience = cz_queue_patience()};
    cz_status status = q->comm->rank ? CZ_OK : cz_coordinator_open(q, source);
    status = cz_comm_agree(q->comm, status);
    if (status) cz_coordinator_close(q);
    q->run.active = !status;
    q->run.started = MPI_Wtime();
    return status;
}

static void take_timeline(cz_queue *q, cz_timeline *timeline)
{
    cz_coordinator *c = q->run.coordinator;
    cz_timeline_finish(&c->timeline, isnan(c->dry_at) ? cz_queue_now(q) : c->dry_at);
    *timeline = c->timeline;
    c->timeline = (cz_timeline){0};
}

cz_status cz_queue_run(cz_queue *q, const cz_item_source *source, cz_item_work work, void *context,
                       cz_timeline *timeline)
{
    *timeline = (cz_timeline){.groups = q->groups};
    CZ_TRY(begin(q, source));
    cz_status status = work_on_items(q, work, context);
    if (!status) status = finish(q);
    q->run.active = false;
    if (status == CZ_ERR_MPI) {
        q->run.broken = status;
        return status;
    }
    if (q->run.coordinator) take_timeline(q, timeline);
    cz_coordinator_close(q);
    return status;
}

static cz_status tell_epoch(cz_queue *q, int epoch, double value, cz_verdict *verdict)
{
    cz_reply_kind said = CZ_REPLY_GO;
    if (q->leads) {
        q->run.request = (cz_request){.kind = CZ_REQUEST_REPORT, .epoch = epoch, .value = value};
        CZ_TRY(exchange(q));
        said = q->run.reply.kind;
    }
    CZ_TRY(share(q, &said, sizeof said));
    *verdict = said == CZ_REPLY_CUT ? CZ_CUT : said == CZ_REPLY_LOST ? CZ_LOST : CZ_GO_ON;
    if (said != CZ_REPLY_LEAVE) return CZ_OK;
    q->leaving = 1;
    return CZ_STOPPED;
}

cz_status cz_queue_report(cz_queue *q, int epoch, double value, cz_verdict *verdict)
{
    CZ_PHASE("report to queue");
    *verdict = CZ_GO_ON;
    if (q->run.broken) return q->run.broken;
    cz_status status = tell_epoch(q, epoch, value, verdict);
    if (status == CZ_ERR_MPI) q->run.broken = status;
    return status;
}

void cz_queue_serve(cz_queue *q)
{
    CZ_SPAN("serve queue");
    if (q->run.active && !q->run.broken) q->run.broken = cz_queue_attend(q);
}
