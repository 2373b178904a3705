#include "czhpc/pool.h"
#include "barrier.h"
#include "czhpc/log.h"
#include "czhpc/profile.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* How often a thread on a core that is its own looks for the others: some 0.4 ms, more than threads
 * with the same work are mostly apart, less than anybody minds where they wait for a file. */
enum { LOOKS = 10000 };

typedef struct worker {
    cz_pool *pool;
    int thread;
    cz_lane *lane;
} worker;

struct cz_pool {
    int threads;
    pthread_t *handle; /* that of the caller first */
    worker *worker;
    cz_status *status;
    pthread_mutex_t starting; /* held until all threads are there, or one cannot be started */
    barrier all; /* every thread passes it in one order: before work, within, and after it */
    cz_work work;
    void *context;
    int place;      /* of the main thread, in the profile */
    cz_cpus before; /* what the caller was bound to */
    bool bound;
    int started;
    bool failed; /* not all threads could be started: the others end at once */
    bool closing;
};

/* The main thread goes on once all are there: another that wakes later has waited until then. */
static void wait_for_all(cz_pool *pool, int thread)
{
    cz_span span = cz_span_begin("wait for threads", CZ_SPAN_PLAIN, 0);
    barrier_wait(&pool->all);
    if (thread == 0) cz_span_end(&span);
    else cz_span_end_at(&span, pool->all.opened_at);
}

static void *serve(void *argument)
{
    worker *self = argument;
    cz_pool *pool = self->pool;
    pthread_mutex_lock(&pool->starting);
    bool failed = pool->failed;
    pthread_mutex_unlock(&pool->starting);
    if (failed) return NULL;
    cz_profile_lane = self->lane;
    for (;;) {
        barrier_wait(&pool->all);
        if (pool->closing) return NULL;
        cz_profile_follow(pool->place);
        pool->status[self->thread] = pool->work(pool->context, self->thread);
        wait_for_all(pool, self->thread);
    }
}

static cz_status start_threads(cz_pool *pool)
{
    for (int t = 1; t < pool->threads; t++) {
        pool->worker[t] = (worker){pool, t, cz_profile_lane_of(t)};
        if (pthread_create(&pool->handle[t], NULL, serve, &pool->worker[t]))
            return cz_fail(CZ_ERR_MEMORY, "thread %d of %d cannot be started: lower run.threads",
                           t + 1, pool->threads);
        pool->started++;
    }
    return CZ_OK;
}

static int bind_thread(pthread_t thread, const cz_cpus *cpus)
{
    const void *mask = cpus->word;
    return pthread_setaffinity_np(thread, sizeof cpus->word, mask);
}

static void bind_threads(cz_pool *pool, const cz_cores *cores)
{
    int refused = 0;
    if (!cores || !cores->bind) return;
    pool->bound = cz_cpus_of_thread(&pool->before);
    for (int t = 0; t < pool->threads && !refused; t++) {
        cz_cpus cpus = cz_cores_of_thread(cores, t, pool->threads);
        refused = bind_thread(pool->handle[t], &cpus);
    }
    if (!refused && cz_cores_each(cores, pool->threads)) barrier_set_looks(&pool->all, LOOKS);
    if (refused)
        cz_warn("threads cannot be bound to their cores (%s): the system moves them as it likes",
                strerror(refused));
}

static void free_pool(cz_pool *pool)
{
    if (pool->bound) bind_thread(pthread_self(), &pool->before);
    for (int t = 1; t <= pool->started; t++) pthread_join(pool->handle[t], NULL);
    barrier_destroy(&pool->all);
    pthread_mutex_destroy(&pool->starting);
    free(pool->handle);
    free(pool->worker);
    free(pool->status);
    free(pool);
}

cz_status cz_pool_open(cz_pool **opened, int threads, const cz_cores *cores)
{
    cz_pool *pool = cz_alloc(1, sizeof *pool, "the pool of threads");
    *opened = NULL;
    if (!pool) return CZ_ERR_MEMORY;
    pool->threads = threads;
    pthread_mutex_init(&pool->starting, NULL);
    barrier_init(&pool->all, threads);
    pool->handle = cz_alloc((size_t)threads, sizeof *pool->handle, "the pool of threads");
    pool->worker = cz_alloc((size_t)threads, sizeof *pool->worker, "the pool of threads");
    pool->status = cz_alloc((size_t)threads, sizeof *pool->status, "the pool of threads");
    cz_status status = pool->handle && pool->worker && pool->status ? CZ_OK : CZ_ERR_MEMORY;
    /* Those that have started cannot pass a barrier meant for all; so they wait here first. */
    pthread_mutex_lock(&pool->starting);
    if (!status) status = cz_profile_reserve(threads);
    if (!status) {
        pool->handle[0] = pthread_self();
        status = start_threads(pool);
    }
    if (!status) bind_threads(pool, cores);
    pool->failed = status != CZ_OK;
    pthread_mutex_unlock(&pool->starting);
    if (status) free_pool(pool);
    else *opened = pool;
    return status;
}

void cz_pool_close(cz_pool *pool)
{
    if (!pool) return;
    pool->closing = true;
    if (pool->threads > 1) barrier_wait(&pool->all);
    free_pool(pool);
}

int cz_pool_threads(const cz_pool *pool) { return pool->threads; }

cz_status cz_pool_run(cz_pool *pool, cz_work work, void *context)
{
    pool->work = work;
    pool->context = context;
    pool->place = cz_profile_place();
    if (pool->threads > 1) barrier_wait(&pool->all);
    cz_status worst = work(context, 0);
    if (pool->threads > 1) wait_for_all(pool, 0);
    for (int t = 1; t < pool->threads; t++)
        if (pool->status[t] > worst) worst = pool->status[t];
    return worst;
}

void cz_pool_barrier(cz_pool *pool)
{
    if (pool->threads > 1) barrier_wait(&pool->all);
}
