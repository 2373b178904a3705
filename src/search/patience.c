/* Waiting for other ranks without burning a core that workers need, and not for ever. */
#include "czhpc/mpi_error.h"
#include "queue_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SPINS = 20 }; /* before a rank sleeps: some microseconds */

double cz_queue_now(const cz_queue *q) { return MPI_Wtime() - q->run.started; }

double cz_queue_patience(void)
{
    const char *text = getenv("CZHPC_PATIENCE");
    double seconds = text ? strtod(text, NULL) : 0;
    return seconds > 0 ? seconds : 60;
}

void cz_queue_know(cz_queue *q, cz_status status, const char *text)
{
    q->leaving = 1;
    if (q->run.ending > CZ_STOPPED || status == q->run.ending) return;
    q->run.ending = status;
    q->run.error_at = cz_queue_now(q);
    snprintf(q->run.text, sizeof q->run.text, "%s", text);
}

/* Tells rank 0 of this rank's signal, once. */
static cz_status notice_signal(cz_queue *q)
{
    static const cz_request signalled = {.kind = CZ_REQUEST_STOP};
    q->run.noticed = true;
    if (q->run.coordinator) return cz_coordinator_end(q, CZ_STOPPED, "");
    cz_queue_know(q, CZ_STOPPED, "");
    return cz_message_request(q, &signalled, &q->run.notice);
}

static cz_status hear_end(cz_queue *q)
{
    int there, status;
    CZ_MPI(MPI_Iprobe, 0, CZ_ENDING_TAG, q->mpi, &there, MPI_STATUS_IGNORE);
    if (!there) return CZ_OK;
    CZ_MPI(MPI_Recv, &status, (int)sizeof status, MPI_BYTE, 0, CZ_ENDING_TAG, q->mpi,
           MPI_STATUS_IGNORE);
    q->run.heard = true;
    cz_queue_know(q, (cz_status)status, "another group of ranks failed");
    return CZ_OK;
}

cz_status cz_queue_attend(cz_queue *q)
{
    if (*q->stop && !q->run.noticed) CZ_TRY(notice_signal(q));
    if (q->run.coordinator) return cz_coordinator_serve(q);
    return q->leads && !q->run.heard ? hear_end(q) : CZ_OK;
}

/* Rank 0 loses its patience first: it knows the message. */
static cz_status check_patience(const cz_queue *q)
{
    double limit = q->run.patience * (q->run.coordinator ? 1 : 1.25);
    if (q->run.ending <= CZ_STOPPED || cz_queue_now(q) - q->run.error_at < limit) return CZ_OK;
    cz_error_clear();
    return cz_fail(CZ_ERR_MPI, "%s (%.4g seconds later some ranks still work: they are ended)",
                   q->run.text, limit);
}

/* Longer each time, up to a millisecond. */
static void nap(double *seconds)
{
    *seconds = fmin(fmax(2 * *seconds, 2e-5), 1e-3);
    nanosleep(&(struct timespec){.tv_nsec = (long)(1e9 * *seconds)}, NULL);
}

cz_status cz_queue_await(cz_queue *q, MPI_Request *requests, int count)
{
    double seconds = 0;
    for (int tries = 0;; tries++) {
        int done;
        CZ_MPI(MPI_Testall, count, requests, &done, MPI_STATUSES_IGNORE);
        if (done) return CZ_OK;
        CZ_TRY(cz_queue_attend(q));
        CZ_TRY(check_patience(q));
        if (tries >= SPINS) nap(&seconds);
    }
}

cz_status cz_queue_pause(cz_queue *q, double seconds)
{
    double until = cz_queue_now(q) + seconds, sleep = 0;
    while (!q->leaving && cz_queue_now(q) < until) {
        CZ_TRY(cz_queue_attend(q));
        nap(&sleep);
    }
    return CZ_OK;
}
