/* Rank 0's side of the queue: it answers the leaders of all groups. */
#include "czhpc/mpi_error.h"
#include "queue_parts.h"

#include <math.h>
#include <stdlib.h>

cz_status cz_coordinator_open(cz_queue *q, const cz_item_source *source)
{
    size_t groups = (size_t)q->groups;
    cz_coordinator *c = cz_alloc(1, sizeof *c, "the queue of work items");
    q->run.coordinator = c;
    if (!c) return CZ_ERR_MEMORY;
    c->source = source;
    c->dry_at = NAN;
    c->timeline.groups = q->groups;
    c->served = cz_alloc(groups, sizeof *c->served, "the queue of work items");
    c->pushing = cz_alloc(groups, sizeof *c->pushing, "the queue of work items");
    if (!c->served || !c->pushing) return CZ_ERR_MEMORY;
    for (int g = 0; g < q->groups; g++) c->served[g].sending = c->pushing[g] = MPI_REQUEST_NULL;
    return CZ_OK;
}

void cz_coordinator_close(cz_queue *q)
{
    cz_coordinator *c = q->run.coordinator;
    if (!c) return;
    cz_timeline_free(&c->timeline);
    free(c->served);
    free(c->pushing);
    free(c);
    q->run.coordinator = NULL;
}

/* A leader may be steps away from its next request: it hears of the end between them. */
static cz_status push_end(cz_queue *q)
{
    cz_coordinator *c = q->run.coordinator;
    c->pushed = (int)q->run.ending;
    for (int g = 1; g < q->groups; g++)
        CZ_TRY(cz_message_send(q, &c->pushed, sizeof c->pushed, g * q->ranks_per_item,
                               CZ_ENDING_TAG, &c->pushing[g]));
    return CZ_OK;
}

cz_status cz_coordinator_end(cz_queue *q, cz_status status, const char *text)
{
    cz_coordinator *c = q->run.coordinator;
    if (c->gone == q->groups) return CZ_OK; /* it has ended */
    cz_queue_know(q, status, text);
    if (isnan(c->dry_at)) c->dry_at = cz_queue_now(q);
    return c->pushed ? CZ_OK : push_end(q);
}

/* The outcome of one of the source's functions. */
static cz_status source_said(cz_queue *q, cz_status status)
{
    if (!status) return CZ_OK;
    q->run.coordinator->source_failed = status > CZ_STOPPED;
    return cz_coordinator_end(q, status, cz_error_message());
}

static cz_status take_report(cz_queue *q, cz_reply *reply, const cz_request *request)
{
    static const cz_reply_kind kind[] = {
        [CZ_GO_ON] = CZ_REPLY_GO, [CZ_CUT] = CZ_REPLY_CUT, [CZ_LOST] = CZ_REPLY_LOST};
    const cz_coordinator *c = q->run.coordinator;
    cz_verdict verdict = CZ_GO_ON;
    /* An epoch that is over is told even if the group is to leave. */
    if (!c->source_failed) {
        cz_status status = c->source->report(c->source->context, &reply->item, request->epoch,
                                             request->value, &verdict);
        if (status) verdict = CZ_GO_ON;
        CZ_TRY(source_said(q, status));
    }
    reply->kind = q->run.ending && verdict == CZ_GO_ON ? CZ_REPLY_LEAVE : kind[verdict];
    return CZ_OK;
}

static cz_status take_done(cz_queue *q, int group, const cz_request *request)
{
    cz_coordinator *c = q->run.coordinator;
    const cz_item *item = &c->served[group].reply.item;
    if (request->status == CZ_STOPPED) CZ_TRY(cz_coordinator_end(q, CZ_STOPPED, ""));
    cz_stretch stretch = {group, item->id, request->begin, request->end};
    cz_status status = cz_timeline_add(&c->timeline, &c->stretch_room, stretch);
    if (status) CZ_TRY(cz_coordinator_end(q, status, cz_error_message()));
    if (c->source_failed) return CZ_OK;
    return source_said(q, c->source->done(c->source->context, item, &request->outcome));
}

/* Asks the source for an item. */
static cz_status draw_item(cz_queue *q, int group, cz_reply *reply)
{
    static const cz_reply_kind kind[] = {[CZ_NEXT_ITEM] = CZ_REPLY_ITEM,
                                         [CZ_NEXT_WAIT] = CZ_REPLY_WAIT,
                                         [CZ_NEXT_END] = CZ_REPLY_END};
    cz_coordinator *c = q->run.coordinator;
    cz_next next = CZ_NEXT_END;
    reply->item = (cz_item){0};
    cz_status status = c->source->next(c->source->context, group, &reply->item, &next);
    if (!status && (reply->item.size < 0 || reply->item.size > CZ_ITEM_BYTES))
        status = cz_fail(CZ_ERR_BUG, "work item %lld has %d bytes", (long long)reply->item.id,
                         reply->item.size);
    reply->kind = status ? CZ_REPLY_LEAVE : kind[next];
    if (reply->kind == CZ_REPLY_ITEM) c->dry_at = NAN;
    else if (isnan(c->dry_at)) c->dry_at = cz_queue_now(q);
    c->dry = reply->kind == CZ_REPLY_END;
    return source_said(q, status);
}

static cz_status hand_out(cz_queue *q, int group, cz_served *served)
{
    cz_coordinator *c = q->run.coordinator;
    cz_reply *reply = &served->reply;
    /* A signal that came since the last look counts. */
    if (*q->stop) CZ_TRY(cz_coordinator_end(q, CZ_STOPPED, ""));
    if (q->run.ending) reply->kind = CZ_REPLY_LEAVE;
    else if (c->dry) reply->kind = CZ_REPLY_END;
    else CZ_TRY(draw_item(q, group, reply));
    if (reply->kind != CZ_REPLY_LEAVE && reply->kind != CZ_REPLY_END) return CZ_OK;
    c->gone += !served->gone;
    served->gone = true;
    return CZ_OK;
}

cz_status cz_coordinator_answer(cz_queue *q, int group, const cz_request *request,
                                const cz_reply **reply)
{
    cz_served *served = &q->run.coordinator->served[group];
    *reply = &served->reply;
    q->run.coordinator->met += !served->met;
    served->met = true;
    switch (request->kind) {
    case CZ_REQUEST_REPORT:
        return take_report(q, &served->reply, request);
    case CZ_REQUEST_DONE:
        CZ_TRY(take_done(q, group, request));
        break;
    case CZ_REQUEST_FAILED:
        CZ_TRY(cz_coordinator_end(q, request->status, request->text));
        break;
    case CZ_REQUEST_ASK:
    case CZ_REQUEST_STOP:
        break;
    }
    return hand_out(q, group, served);
}

static cz_status reply_to(cz_queue *q, int rank)
{
    cz_coordinator *c = q->run.coordinator;
    int group = rank / q->ranks_per_item;
    cz_served *served = &c->served[group];
    const cz_reply *reply;
    /* Who asks again has received the last reply. */
    CZ_TRY(cz_message_complete(&served->sending, 1));
    CZ_TRY(cz_coordinator_answer(q, group, &c->request, &reply));
    return cz_message_reply(q, reply, rank, &served->sending);
}

cz_status cz_coordinator_serve(cz_queue *q)
{
    cz_coordinator *c = q->run.coordinator;
    for (;;) {
        int there;
        MPI_Status from;
        CZ_MPI(MPI_Iprobe, MPI_ANY_SOURCE, CZ_REQUEST_TAG, q->mpi, &there, &from);
        if (!there) return CZ_OK;
        CZ_MPI(MPI_Recv, &c->request, (int)sizeof c->request, MPI_BYTE, from.MPI_SOURCE,
               CZ_REQUEST_TAG, q->mpi, MPI_STATUS_IGNORE);
        if (c->request.kind != CZ_REQUEST_STOP) {
            CZ_TRY(reply_to(q, from.MPI_SOURCE));
        } else {
            c->notices++;
            CZ_TRY(cz_coordinator_end(q, CZ_STOPPED, ""));
        }
    }
}

cz_status cz_coordinator_meet(cz_queue *q)
{
    while (q->run.coordinator->met < q->groups && !q->leaving) CZ_TRY(cz_queue_pause(q, 1e-4));
    return CZ_OK;
}

cz_status cz_coordinator_drain(cz_queue *q, int notices)
{
    cz_coordinator *c = q->run.coordinator;
    for (; c->notices < notices; c->notices++)
        CZ_MPI(MPI_Recv, &c->request, (int)sizeof c->request, MPI_BYTE, MPI_ANY_SOURCE,
               CZ_REQUEST_TAG, q->mpi, MPI_STATUS_IGNORE);
    CZ_TRY(cz_message_complete(c->pushing, q->groups));
    for (int g = 0; g < q->groups; g++) CZ_TRY(cz_message_complete(&c->served[g].sending, 1));
    return CZ_OK;
}
