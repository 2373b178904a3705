/* Checkpoints written by threads of their own, from a copy of the state. */
#include "checkpoint.h"

#include "czhpc/thread.h"

#include <stdlib.h>
#include <string.h>

struct cz_writer {
    const cz_comm *comm; /* the ranks whose state it is */
    cz_comm own;         /* those that write together: all, or this rank by itself */
    bool alone;          /* rank 0 writes all */
    bool beside;         /* in threads */
    bool pending;        /* a write whose outcome has not been told */
    bool runs;           /* this rank has a thread, and what follows is used */
    pthread_t thread;
    pthread_mutex_t lock; /* guards busy and closing; the rest is the thread's while busy */
    pthread_cond_t changed;
    bool busy, closing;
    cz_checkpoint copy; /* of this rank's slice the arrays are good */
    char folder[CZ_FILE_PATH];
    int keep, best;
    cz_status status;
    char why[4096];
};

static void *write_on(void *context)
{
    cz_writer *w = context;
    cz_error_divert(w->why, sizeof w->why); /* the process's message may be of another failure */
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->busy && !w->closing) pthread_cond_wait(&w->changed, &w->lock);
        if (!w->busy) break;
        pthread_mutex_unlock(&w->lock);
        w->status = cz_checkpoint_save(w->folder, &w->copy, w->keep, w->best, &w->own);
        pthread_mutex_lock(&w->lock);
        w->busy = false;
        pthread_cond_signal(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Who writes: rank 0, if it holds all, and then others hold nothing; or all together. Collective.
 */
static cz_status choose_form(cz_writer *w, const cz_checkpoint *state)
{
    const cz_comm *comm = w->comm;
    w->alone = state->begin == 0 && state->end == state->n;
    CZ_TRY(cz_comm_broadcast(comm, CZ_OK, &w->alone, sizeof w->alone));
    w->beside = w->alone || cz_comm_any_thread();
    w->runs = w->beside && (!w->alone || comm->rank == 0);
    if (!w->alone || comm->rank == 0 || state->begin == state->end) return CZ_OK;
    return cz_fail(CZ_ERR_BUG, "rank 0 saves all, rank %d elements %zu to %zu", comm->rank,
                   state->begin, state->end);
}

/* Whole arrays, whose pages are there once they are written: those of the slice. */
static cz_status take_memory(cz_writer *w, const cz_checkpoint *state)
{
    static const char what[] = "the copy of a state that is written";
    size_t size = cz_dtype_size(state->dtype);
    w->copy.w = cz_alloc(state->n, size, what);
    w->copy.m = cz_alloc(state->n, size, what);
    w->copy.v = cz_alloc(state->n, size, what);
    return w->copy.w && w->copy.m && w->copy.v ? CZ_OK : CZ_ERR_MEMORY;
}

static cz_status start(cz_writer *w)
{
    cz_h5_quiet(); /* so the library is initialised here */
    cz_status status = cz_thread_start(&w->thread, write_on, w, "to write checkpoints");
    w->runs = !status;
    return status;
}

static cz_status open_thread(cz_writer *w, const cz_checkpoint *state)
{
    bool wanted = w->runs;
    w->runs = false;
    if (!wanted) return CZ_OK;
    w->own.sleeps = true;
    CZ_TRY(take_memory(w, state));
    return start(w);
}

cz_status cz_writer_open(cz_writer **opened, const cz_checkpoint *state, const cz_comm *comm)
{
    cz_writer *w = cz_alloc(1, sizeof *w, "the writer of checkpoints");
    *opened = NULL;
    CZ_TRY(cz_comm_agree(comm, w ? CZ_OK : CZ_ERR_MEMORY));
    w->comm = comm;
    w->own = (cz_comm){.mpi = MPI_COMM_NULL, .node = MPI_COMM_NULL};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    cz_status status = cz_comm_agree(comm, choose_form(w, state));
    if (!status) status = cz_comm_split(&w->own, comm, w->alone ? comm->rank : 0);
    if (status == CZ_ERR_MPI) return status;
    if (!status) status = cz_comm_agree(comm, open_thread(w, state));
    if (status) cz_writer_close(w);
    else *opened = w;
    return status;
}

static void end_thread(cz_writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
}

void cz_writer_close(cz_writer *w)
{
    if (!w) return;
    if (w->runs) end_thread(w);
    cz_comm_free(&w->own);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w->copy.w);
    free(w->copy.m);
    free(w->copy.v);
    free(w);
}

bool cz_writer_is_beside(const cz_writer *w) { return w->beside; }

static void copy_state(cz_checkpoint *to, const cz_checkpoint *from)
{
    size_t size = cz_dtype_size(from->dtype), at = from->begin * size;
    size_t bytes = (from->end - from->begin) * size;
    void *array[CZ_STATES] = {to->w, to->m, to->v};
    for (int i = 0; i < CZ_STATES; i++)
        memcpy((char *)array[i] + at, (const char *)cz_state_array(from, i) + at, bytes);
    *to = *from;
    to->w = array[0];
    to->m = array[1];
    to->v = array[2];
}

static void hand_over(cz_writer *w, const cz_checkpoint *state, int keep, int best)
{
    copy_state(&w->copy, state);
    w->keep = keep;
    w->best = best;
    pthread_mutex_lock(&w->lock);
    w->busy = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

cz_status cz_writer_save(cz_writer *w, const char *folder, const cz_checkpoint *state, int keep,
                         int best)
{
    CZ_TRY(cz_writer_wait(w));
    if (!w->beside) return cz_checkpoint_save(folder, state, keep, best, &w->own);
    if (snprintf(w->folder, sizeof w->folder, "%s", folder) >= (int)sizeof w->folder)
        return cz_fail(CZ_ERR_IO, "%s: the path is too long", folder);
    if (w->runs) hand_over(w, state, keep, best);
    w->pending = true;
    return CZ_OK;
}

/* How the thread's write ended; the same on all ranks that wrote together, whose first has the
 * message. */
static cz_status take_outcome(cz_writer *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->busy) pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
    if (w->status && w->why[0]) cz_fail(w->status, "%s", w->why);
    w->why[0] = 0;
    return w->status;
}

cz_status cz_writer_wait(cz_writer *w)
{
    if (!w->pending) return CZ_OK;
    w->pending = false;
    cz_status status = w->runs ? take_outcome(w) : CZ_OK;
    return w->alone ? cz_comm_broadcast(w->comm, status, NULL, 0) : status;
}
