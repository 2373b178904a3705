#include "reducer.h"
#include "czhpc/log.h"
#include "czhpc/mpi_error.h"
#include "czhpc/profile.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

_Static_assert(offsetof(cz_slot, sums.sum) == 0, "a slot is a leaf of a tree of doubles");

/* Where a slice that would end at an element does. */
static size_t slice_border(const cz_reducer *r, size_t at)
{
    if (at >= r->n) return r->n;
    return r->window && r->packer.bytes ? r->packer.border(r->packer.context, at) : at;
}

void cz_reducer_range(const cz_reducer *r, int first, int last, size_t *begin, size_t *end)
{
    size_t lines = r->stride / 64, workers = (size_t)r->workers;
    size_t line = 64 / cz_dtype_size(r->dtype);
    size_t from = lines * (size_t)first / workers * line;
    size_t to = lines * (size_t)last / workers * line;
    *begin = slice_border(r, from);
    *end = slice_border(r, to);
}

void cz_reducer_slice(const cz_reducer *r, int thread, size_t *begin, size_t *end)
{
    int worker = r->comm->rank * r->threads + thread;
    cz_reducer_range(r, worker, worker + 1, begin, end);
}

void cz_reducer_rank_slice(const cz_reducer *r, size_t *begin, size_t *end)
{
    int first = r->comm->rank * r->threads;
    cz_reducer_range(r, first, first + r->threads, begin, end);
}

void cz_reducer_saved_slice(const cz_reducer *r, size_t *begin, size_t *end)
{
    cz_reducer_rank_slice(r, begin, end);
    if (!r->window) return;
    *begin = r->comm->rank ? r->n : 0;
    *end = r->n;
}

void *cz_reducer_weights(cz_reducer *r) { return r->weights; }
void *cz_reducer_moment1(cz_reducer *r) { return r->moment1; }
void *cz_reducer_moment2(cz_reducer *r) { return r->moment2; }
void *cz_reducer_gradient(cz_reducer *r, int thread)
{
    return r->gradient + (size_t)thread * r->stride;
}
const void *cz_reducer_packed(const cz_reducer *r) { return r->packer.bytes ? r->packed : NULL; }
const char *cz_reducer_transport(const cz_reducer *r) { return r->window ? "window" : "messages"; }
double cz_reducer_exposed_seconds(const cz_reducer *r) { return r->exposed; }

cz_tree cz_reducer_tree(const cz_reducer *r, int thread, cz_dtype dtype, int leaves)
{
    return cz_tree_make(dtype, leaves, r->scratch + (size_t)thread * r->scratch_bytes);
}

void cz_reducer_sum_slots(const cz_reducer *r, int thread, const void *const *slot, int slots,
                          cz_step_sums *total)
{
    cz_tree tree = cz_reducer_tree(r, thread, CZ_F64, slots);
    const void *sum = cz_tree_sum(&tree, slot, 0, CZ_STEP_SUMS, NULL);
    int status = CZ_OK, stop = 0;
    for (int i = 0; i < slots; i++) {
        const cz_step_sums *one = slot[i];
        if (one->status > status) status = one->status;
        if (one->stop > stop) stop = one->stop;
    }
    memmove(total->sum, sum, sizeof total->sum);
    total->status = status;
    total->stop = stop;
}

/* What every rank must have passed alike: what differs would hang or mix up the exchange. */
enum { SIZE, THREADS, DTYPE, TRANSPORT, PACKED, FACTS };

/* least: over the ranks, of each fact and of its negative. */
static bool differs(const int64_t *least, int fact) { return least[fact] != -least[FACTS + fact]; }

static cz_status check_arguments(const cz_reducer *r, cz_transport transport)
{
    int64_t pair[2 * FACTS] = {[SIZE] = (int64_t)r->n,
                               [THREADS] = r->threads,
                               [DTYPE] = r->dtype,
                               [TRANSPORT] = transport,
                               [PACKED] = (int64_t)r->packer.bytes};
    int64_t least[2 * FACTS];
    for (int i = 0; i < FACTS; i++) pair[FACTS + i] = -pair[i];
    CZ_MPI(MPI_Allreduce, pair, least, 2 * FACTS, MPI_INT64_T, MPI_MIN, r->comm->mpi);
    cz_status status = CZ_OK;
    if (differs(least, THREADS))
        status = cz_fail(CZ_ERR_CONFIG,
                         "ranks have from %d to %d threads: set run.threads to one number",
                         (int)least[THREADS], (int)-least[FACTS + THREADS]);
    for (int i = 0; i < FACTS && !status; i++)
        if (differs(least, i))
            status = cz_fail(CZ_ERR_BUG, "ranks disagree on the size or type of the weights");
    return cz_comm_agree(r->comm, status);
}

/* Open MPI puts a window into /dev/shm, and rank 0 alone would learn that it does not fit. */
static bool window_fits(const cz_reducer *r, size_t *room)
{
    struct statvfs shm;
    *room = SIZE_MAX;
    if (r->comm->size > 1 && statvfs("/dev/shm", &shm) == 0)
        *room = (size_t)shm.f_bavail * shm.f_frsize;
    return cz_window_bytes(r) <= *room / 8 * 7;
}

static cz_status choose_transport(cz_reducer *r, cz_transport transport)
{
    bool one_node = r->comm->node_size == r->comm->size;
    cz_status status = CZ_OK;
    r->window = one_node && transport != CZ_TRANSPORT_MESSAGES;
    if (transport == CZ_TRANSPORT_WINDOW && !one_node)
        return cz_comm_agree(r->comm, cz_fail(CZ_ERR_CONFIG, "a shared window needs all ranks on "
                                                             "one node: use messages"));
    size_t room;
    if (r->window && r->comm->rank == 0 && !window_fits(r, &room)) {
        r->window = false;
        if (transport == CZ_TRANSPORT_WINDOW)
            status = cz_fail(CZ_ERR_MEMORY,
                             "a window of %zu MB does not fit into the %zu MB free "
                             "in /dev/shm: enlarge it or use messages",
                             cz_window_bytes(r) >> 20, room >> 20);
        else
            cz_warn("/dev/shm has %zu MB free, too few for the window of %zu MB: gradients travel "
                    "in messages, which is slower",
                    room >> 20, cz_window_bytes(r) >> 20);
    }
    return cz_comm_broadcast(r->comm, status, &r->window, sizeof r->window);
}

/* Each worker zeroes what it will use most, and so takes those pages near itself. */
static cz_status touch(void *context, int thread)
{
    cz_reducer *r = context;
    size_t begin, end, element = cz_dtype_size(r->dtype);
    cz_reducer_slice(r, thread, &begin, &end);
    size_t at = begin * element, bytes = (end - begin) * element;
    memset(r->weights + at, 0, bytes);
    memset(r->moment1 + at, 0, bytes);
    memset(r->moment2 + at, 0, bytes);
    memset(cz_reducer_gradient(r, thread), 0, r->stride);
    memset(&r->slot[thread], 0, sizeof r->slot[thread]);
    return CZ_OK;
}

static cz_status open_memory(cz_reducer *r)
{
    if (!r->window && r->n > INT_MAX)
        return cz_fail(CZ_ERR_CONFIG,
                       "%zu weights are more than a message can hold: use a "
                       "smaller model, or ranks on one node",
                       r->n);
    r->scratch_bytes = cz_tree_scratch(r->workers);
    size_t scratch = (size_t)r->threads * r->scratch_bytes;
    size_t own = r->window ? cz_window_own_bytes(r) : cz_mail_own_bytes(r);
    CZ_TRY(cz_arena_init(&r->memory, scratch + own));
    r->scratch = cz_arena_take(&r->memory, scratch);
    return r->scratch ? CZ_OK : CZ_ERR_MEMORY;
}

static cz_status open_arrays(cz_reducer *r, cz_transport transport)
{
    CZ_TRY(check_arguments(r, transport));
    CZ_TRY(choose_transport(r, transport));
    CZ_TRY(cz_comm_agree(r->comm, open_memory(r)));
    CZ_TRY(cz_comm_agree(r->comm, r->window ? cz_window_open(r) : cz_mail_open(r)));
    cz_pool_run(r->pool, touch, r);
    return cz_reducer_publish(r);
}

cz_status cz_reducer_open(cz_reducer **opened, const cz_comm *comm, cz_pool *pool, size_t n,
                          cz_dtype dtype, cz_transport transport, const cz_packer *packer)
{
    cz_reducer *r = *opened = cz_alloc(1, sizeof *r, "the reducer");
    CZ_TRY(cz_comm_agree(comm, r ? CZ_OK : CZ_ERR_MEMORY));
    *r = (cz_reducer){.comm = comm, .pool = pool, .n = n, .dtype = dtype, .shared = MPI_WIN_NULL};
    r->mail.comm = MPI_COMM_NULL;
    if (packer) r->packer = *packer;
    r->threads = cz_pool_threads(pool);
    r->workers = comm->size * r->threads;
    r->stride = (n * cz_dtype_size(dtype) + 63) & ~(size_t)63;
    cz_status status = open_arrays(r, transport);
    if (status) {
        cz_reducer_close(r);
        *opened = NULL;
    }
    return status;
}

void cz_reducer_close(cz_reducer *r)
{
    if (!r) return;
    if (r->window) cz_window_close(r);
    else cz_mail_close(r);
    cz_arena_free(&r->memory);
    free(r);
}

/* What elements [begin, end), at the end of their slice or of a part of it, complete. */
static void pack(cz_reducer *r, size_t begin, size_t end)
{
    if (r->packer.bytes && begin < end)
        r->packer.pack(r->packer.context, r->packed, r->weights, begin, end);
}

static cz_status pack_slice(void *context, int thread)
{
    size_t begin, end;
    cz_reducer_slice(context, thread, &begin, &end);
    pack(context, begin, end);
    return CZ_OK;
}

/* This thread's share of a rank that has a copy of all weights for itself. */
static cz_status pack_share(void *context, int thread)
{
    cz_reducer *r = context;
    size_t share = (r->n + (size_t)r->threads - 1) / (size_t)r->threads,
           at = share * (size_t)thread;
    pack(r, at, at + share < r->n ? at + share : r->n);
    return CZ_OK;
}

cz_status cz_reducer_publish(cz_reducer *r)
{
    if (r->window) cz_pool_run(r->pool, pack_slice, r);
    CZ_TRY(r->window ? cz_window_sync(r) : cz_mail_exchange_weights(r));
    if (!r->window) cz_pool_run(r->pool, pack_share, r);
    return CZ_OK;
}

/* Waits for this rank's threads. */
static void wait_for_threads(cz_reducer *r, int thread)
{
    CZ_SPAN("wait for threads");
    double started = thread == 0 ? MPI_Wtime() : 0;
    cz_pool_barrier(r->pool);
    if (thread == 0) r->exposed += MPI_Wtime() - started;
}

static void exchange(cz_reducer *r, cz_status (*communicate)(cz_reducer *))
{
    CZ_SPAN("exchange");
    r->failed = communicate(r);
}

/* Waits for this rank's threads, lets the main thread communicate, and gives its outcome to
 * all of them. */
static cz_status together(cz_reducer *r, int thread, cz_status (*communicate)(cz_reducer *))
{
    double started = thread == 0 ? MPI_Wtime() : 0;
    cz_pool_barrier(r->pool);
    if (thread == 0) exchange(r, communicate);
    cz_pool_barrier(r->pool);
    if (thread == 0) r->exposed += MPI_Wtime() - started;
    return r->failed;
}

static cz_status sum_and_update(cz_reducer *r, int thread, cz_update update, void *context)
{
    CZ_SPAN("sum and update");
    size_t begin, end, chunk = CZ_TREE_CHUNK / cz_dtype_size(r->dtype);
    cz_tree tree = cz_reducer_tree(r, thread, r->dtype, r->leaves);
    cz_reducer_slice(r, thread, &begin, &end);
    for (size_t at = begin; at < end; at += chunk) {
        size_t stop = end - at < chunk ? end : at + chunk;
        const void *sum = cz_tree_sum(&tree, r->leaf, at - r->leaf_begin, stop - at, NULL);
        CZ_TRY(update(context, thread, at, stop, sum));
        if (r->window) pack(r, at, stop);
    }
    return CZ_OK;
}

cz_status cz_reducer_step(cz_reducer *r, int thread, cz_update update, void *context,
                          cz_step_sums *sums)
{
    r->slot[thread].sums = *sums;
    if (!r->window && r->mail.group > 1) {
        wait_for_threads(r, thread);
        cz_mail_form_partials(r, thread);
    }
    {
        CZ_SPAN("wait for gradients");
        CZ_TRY(together(r, thread, r->window ? cz_window_sync : cz_mail_exchange_sums));
    }

    cz_reducer_sum_slots(r, thread, r->leaf_slot, r->leaves, sums);
    cz_status total = (cz_status)sums->status;
    bool failed = total > CZ_STOPPED;
    r->slot[thread].updated = failed ? CZ_OK : sum_and_update(r, thread, update, context);
    {
        CZ_SPAN("wait for weights");
        CZ_TRY(together(r, thread, r->window ? cz_window_sync : cz_mail_exchange_weights));
    }
    if (failed) return total;
    if (!r->window && r->packer.bytes) {
        pack_share(r, thread);
        wait_for_threads(r, thread);
    }
    int worst = CZ_OK;
    for (int i = 0; i < r->outcomes; i++)
        if (*r->outcome[i] > worst) worst = *r->outcome[i];
    return (cz_status)worst;
}
