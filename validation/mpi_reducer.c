/* The reducer against a serial fold of all workers' gradients: the same bits, by both
 * transports, for 1 to 3 threads; what rides along; failures; publishing. */
#include "check.h"

#include "czhpc/comm.h"
#include "czhpc/log.h"
#include "czhpc/rng.h"

typedef struct job {
    cz_comm *comm;
    cz_reducer *reducer;
    cz_dtype dtype;
    size_t n;
    int threads, steps, kind; /* of gradients: 0 random, 1 small whole numbers */
    int failing_update;       /* the worker whose update fails, or -1 */
    cz_step_sums (*riders)(int worker, int step);
    cz_step_sums total[4]; /* by thread, of the last step */
    cz_status status[4];
    int wrong[4], updates[4];
} job;

static double value(int kind, int step, int worker, size_t e)
{
    uint64_t key[3] = {(uint64_t)step, (uint64_t)worker, e};
    uint64_t bits = cz_hash(0, key, sizeof key);
    if (kind == 1) return (double)(int)(bits % 2001) - 1000;
    return ((double)(bits >> 11) * 0x1p-53 - 0.5) * ((bits & 7) == 0 ? 1e4 : 1);
}

/* Folds neighbours level by level, until one is left. */
static double fold(double *term, int count, cz_dtype dtype)
{
    for (; count > 1; count = (count + 1) / 2) {
        for (int i = 0; i < count / 2; i++)
            term[i] = dtype == CZ_F64 ? term[2 * i] + term[2 * i + 1]
                                      : (float)term[2 * i] + (float)term[2 * i + 1];
        if (count % 2) term[count / 2] = term[count - 1];
    }
    return term[0];
}

static double expected(const job *j, int step, size_t e)
{
    double term[32] = {0};
    int workers = j->comm->size * j->threads;
    for (int w = 0; w < workers; w++) {
        term[w] = value(j->kind, step, w, e);
        if (j->dtype == CZ_F32) term[w] = (float)term[w];
    }
    return fold(term, workers, j->dtype);
}

static double get(const void *array, cz_dtype dtype, size_t e)
{
    return dtype == CZ_F64 ? ((const double *)array)[e] : (double)((const float *)array)[e];
}

static void set(void *array, cz_dtype dtype, size_t e, double x)
{
    if (dtype == CZ_F64) ((double *)array)[e] = x;
    else ((float *)array)[e] = (float)x;
}

/* The weight becomes the sum; the first moment counts the updates of its element. */
static cz_status update(void *context, int thread, size_t begin, size_t end, const void *gradient)
{
    job *j = context;
    void *weights = cz_reducer_weights(j->reducer), *count = cz_reducer_moment1(j->reducer);
    j->updates[thread]++;
    for (size_t e = begin; e < end; e++) {
        set(weights, j->dtype, e, get(gradient, j->dtype, e - begin));
        set(count, j->dtype, e, get(count, j->dtype, e) + 1);
    }
    if (j->comm->rank * j->threads + thread == j->failing_update)
        return cz_fail(CZ_ERR_DIVERGED, "an update that fails");
    return CZ_OK;
}

static cz_status work(void *context, int thread)
{
    job *j = context;
    int worker = j->comm->rank * j->threads + thread;
    void *gradient = cz_reducer_gradient(j->reducer, thread);
    const void *weights = cz_reducer_weights(j->reducer);
    for (int step = 0; step < j->steps; step++) {
        for (size_t e = 0; e < j->n; e++)
            set(gradient, j->dtype, e, value(j->kind, step, worker, e));
        j->total[thread] = j->riders(worker, step);
        j->status[thread] = cz_reducer_step(j->reducer, thread, update, j, &j->total[thread]);
        if (j->status[thread]) return j->status[thread];
        /* A rank's threads share its weights, so they share the looking. */
        for (size_t e = 0; e < j->n; e++)
            if ((e / 8 + (size_t)step) % (size_t)j->threads == (size_t)thread &&
                get(weights, j->dtype, e) != expected(j, step, e))
                j->wrong[thread]++;
    }
    return CZ_OK;
}

static bool all(const cz_comm *comm, bool mine)
{
    int own = mine, both = 0;
    MPI_Allreduce(&own, &both, 1, MPI_INT, MPI_LAND, comm->mpi);
    return both;
}

/* A verdict that all ranks share. */
static void verdict(const cz_comm *comm, bool mine, const char *name, const char *transport,
                    int threads, size_t n)
{
    bool ok = all(comm, mine);
    if (comm->rank == 0) check(ok, "%s: %s, %d threads, n %zu", name, transport, threads, n);
}

static cz_step_sums random_riders(int worker, int step)
{
    cz_step_sums sums = {.status = CZ_OK, .stop = 0};
    for (int i = 0; i < CZ_STEP_SUMS; i++) sums.sum[i] = value(0, 1000 + step, worker, (size_t)i);
    return sums;
}

/* CZ_STOPPED from worker 0 is no error: the update is done, and stop is seen by all. */
static cz_step_sums stop_riders(int worker, int step)
{
    cz_step_sums sums = random_riders(worker, step);
    if (worker == 0) sums.status = CZ_STOPPED;
    sums.stop = worker == 0 ? 2 : 1;
    return sums;
}

/* The last worker, which is on the last rank, has an error. */
static int last_worker;
static cz_step_sums error_riders(int worker, int step)
{
    cz_step_sums sums = random_riders(worker, step);
    if (worker == last_worker) sums.status = CZ_ERR_DEVICE;
    return sums;
}

static bool rides(const job *j, int status, int stop)
{
    bool same = true;
    int workers = j->comm->size * j->threads;
    for (int i = 0; i < CZ_STEP_SUMS; i++) {
        double term[32] = {0};
        for (int w = 0; w < workers; w++) term[w] = j->riders(w, j->steps - 1).sum[i];
        double sum = fold(term, workers, CZ_F64);
        for (int t = 0; t < j->threads; t++) same = same && j->total[t].sum[i] == sum;
    }
    for (int t = 0; t < j->threads; t++)
        same = same && j->total[t].status == status && j->total[t].stop == stop;
    return same;
}

/* Each element of this rank's slices was updated once a step, and there are no others. */
static bool updated_once(const job *j)
{
    const void *count = cz_reducer_moment1(j->reducer);
    size_t begin, end, next;
    bool once = true;
    cz_reducer_rank_slice(j->reducer, &begin, &end);
    for (size_t e = begin; e < end; e++) once = once && get(count, j->dtype, e) == j->steps;
    next = begin;
    for (int t = 0; t < j->threads; t++) {
        size_t from, to;
        cz_reducer_slice(j->reducer, t, &from, &to);
        once = once && from == next && (from == j->n || from * cz_dtype_size(j->dtype) % 64 == 0);
        next = to;
    }
    uint64_t mine = end - begin, sum = 0;
    MPI_Allreduce(&mine, &sum, 1, MPI_UINT64_T, MPI_SUM, j->comm->mpi);
    return once && next == end && sum == j->n;
}

static bool no_wrong(const job *j)
{
    int wrong = 0;
    for (int t = 0; t < j->threads; t++) wrong += j->wrong[t];
    return wrong == 0;
}

static bool zeros(const job *j)
{
    bool zero = true;
    for (size_t e = 0; e < j->n; e++) {
        zero = zero && get(cz_reducer_weights(j->reducer), j->dtype, e) == 0;
        for (int t = 0; t < j->threads; t++)
            zero = zero && get(cz_reducer_gradient(j->reducer, t), j->dtype, e) == 0;
    }
    return zero;
}

static bool open_job(job *j, cz_comm *comm, cz_pool *pool, cz_transport transport)
{
    cz_status status = cz_reducer_open(&j->reducer, comm, pool, j->n, j->dtype, transport, NULL);
    if (status) printf("FAIL opening: %s\n", cz_error_message());
    return status == CZ_OK;
}

static void check_sums(cz_comm *comm, cz_pool *pool, cz_transport transport, cz_dtype dtype,
                       size_t n, int kind, int steps)
{
    job j = {.comm = comm, .dtype = dtype, .n = n, .threads = cz_pool_threads(pool)};
    j.kind = kind;
    j.steps = steps;
    j.failing_update = -1;
    j.riders = random_riders;
    if (!open_job(&j, comm, pool, transport)) return;
    bool clean = zeros(&j);
    cz_comm_agree(comm, CZ_OK); /* nobody begins before all have looked */
    cz_status status = cz_pool_run(pool, work, &j);
    bool ok = clean && status == CZ_OK && no_wrong(&j) && updated_once(&j) && rides(&j, CZ_OK, 0);
    verdict(comm, ok,
            dtype == CZ_F64 ? "f64 sums"
            : kind          ? "f32 whole numbers"
                            : "f32 sums",
            cz_reducer_transport(j.reducer), j.threads, n);
    cz_reducer_close(j.reducer);
}

static bool none_updated(const job *j)
{
    int updates = 0;
    for (int t = 0; t < j->threads; t++) updates += j->updates[t];
    return updates == 0;
}

static bool all_returned(const job *j, cz_status status)
{
    bool same = true;
    for (int t = 0; t < j->threads; t++) same = same && j->status[t] == status;
    return same;
}

static void check_failures_ride(cz_comm *comm, cz_pool *pool, cz_transport transport)
{
    job j = {.comm = comm, .dtype = CZ_F32, .n = 3000, .threads = cz_pool_threads(pool)};
    j.steps = 1;
    j.failing_update = -1;
    j.riders = stop_riders;
    last_worker = comm->size * j.threads - 1;
    if (!open_job(&j, comm, pool, transport)) return;
    const char *name = cz_reducer_transport(j.reducer);

    cz_pool_run(pool, work, &j);
    int largest = 2, status = CZ_STOPPED;
    bool ok = all_returned(&j, CZ_OK) && rides(&j, status, largest) && no_wrong(&j);
    verdict(comm, ok, "stop rides along", name, j.threads, j.n);

    memset(j.updates, 0, sizeof j.updates);
    j.riders = error_riders;
    cz_pool_run(pool, work, &j);
    ok = all_returned(&j, CZ_ERR_DEVICE) && rides(&j, CZ_ERR_DEVICE, 0) && none_updated(&j);
    verdict(comm, ok, "an error rides along and nothing is updated", name, j.threads, j.n);

    j.riders = random_riders;
    j.failing_update = last_worker;
    cz_pool_run(pool, work, &j);
    verdict(comm, all_returned(&j, CZ_ERR_DIVERGED), "a failed update is known to all", name,
            j.threads, j.n);
    cz_error_clear();

    j.failing_update = -1;
    j.steps = 2;
    cz_pool_run(pool, work, &j);
    verdict(comm, all_returned(&j, CZ_OK) && no_wrong(&j) && rides(&j, CZ_OK, 0),
            "goes on after failures", name, j.threads, j.n);
    cz_reducer_close(j.reducer);
}

static void check_publish(cz_comm *comm, cz_pool *pool, cz_transport transport, size_t n)
{
    job j = {.comm = comm, .dtype = CZ_F64, .n = n, .threads = cz_pool_threads(pool)};
    size_t begin, end;
    if (!open_job(&j, comm, pool, transport)) return;
    double *weights = cz_reducer_weights(j.reducer), *moment = cz_reducer_moment2(j.reducer);
    cz_reducer_rank_slice(j.reducer, &begin, &end);
    for (size_t e = begin; e < end; e++) {
        weights[e] = (double)e + 0.5;
        moment[e] = -(double)e;
    }
    bool ok = cz_reducer_publish(j.reducer) == CZ_OK;
    for (size_t e = 0; e < n; e++) ok = ok && weights[e] == (double)e + 0.5;
    for (size_t e = begin; e < end; e++) ok = ok && moment[e] == -(double)e;
    verdict(comm, ok, "publish", cz_reducer_transport(j.reducer), j.threads, n);
    cz_reducer_close(j.reducer);
}

/* The full size, once a transport. */
static void check_large(cz_comm *comm, cz_pool *pool, cz_transport transport)
{
    const size_t n = 2230544;
    if (comm->size * cz_pool_threads(pool) > 3) return;
    check_sums(comm, pool, transport, CZ_F32, n, 0, 1);
}

static void check_arguments(cz_comm *comm, cz_pool *pool)
{
    cz_reducer *reducer;
    size_t n = comm->rank == comm->size - 1 ? 100 : 101;
    cz_status status = cz_reducer_open(&reducer, comm, pool, n, CZ_F32, CZ_TRANSPORT_AUTO, NULL);
    bool ok = comm->size == 1 ? status == CZ_OK : status == CZ_ERR_BUG && !reducer;
    ok = ok && (comm->rank == 0 || !cz_error_message()[0]);
    verdict(comm, ok, "another size on one rank is refused by all", "auto", 1, n);
    cz_reducer_close(reducer);
    cz_error_clear();
}

/* 2^38 numbers, terabytes: no window and no message can hold them, and no rank is left waiting
 * for one that was refused. */
static void check_too_large(cz_comm *comm, cz_pool *pool)
{
    static const cz_transport transport[] = {CZ_TRANSPORT_WINDOW, CZ_TRANSPORT_AUTO};
    static const cz_status expected[] = {CZ_ERR_MEMORY, CZ_ERR_CONFIG};
    if (comm->size == 1) return; /* takes no room in /dev/shm */
    cz_log_set_speaker(false);
    for (int i = 0; i < 2; i++) {
        cz_reducer *reducer;
        size_t n = (size_t)1 << 38;
        cz_status status = cz_reducer_open(&reducer, comm, pool, n, CZ_F64, transport[i], NULL);
        bool ok = status == expected[i] && !reducer;
        ok = ok && (comm->rank == 0) == (cz_error_message()[0] != 0);
        verdict(comm, ok, "too many weights are refused by all", i ? "auto" : "window", 1, n);
        cz_error_clear();
    }
}

static void check_pool(cz_comm *comm, int threads)
{
    static const size_t sizes[] = {1, 5, 17, 4097, 30001};
    cz_pool *pool;
    if (cz_pool_open(&pool, threads, NULL)) return;
    for (int t = CZ_TRANSPORT_WINDOW; t <= CZ_TRANSPORT_MESSAGES; t++) {
        cz_transport transport = (cz_transport)t;
        for (int i = 0; i < 5; i++) {
            check_sums(comm, pool, transport, CZ_F32, sizes[i], 0, 3);
            check_sums(comm, pool, transport, CZ_F64, sizes[i], 0, 3);
        }
        check_sums(comm, pool, transport, CZ_F32, 9999, 1, 2);
        check_sums(comm, pool, transport, CZ_F32, 40, 0, 200);
        check_failures_ride(comm, pool, transport);
        check_publish(comm, pool, transport, 1);
        check_publish(comm, pool, transport, 12345);
        if (threads <= 2) check_large(comm, pool, transport);
    }
    if (threads == 1) {
        check_arguments(comm, pool);
        check_too_large(comm, pool);
    }
    cz_pool_close(pool);
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    cz_comm comm;
    if (cz_comm_world(&comm)) return 1;
    for (int threads = 1; threads <= 3; threads++) check_pool(&comm, threads);
    cz_comm_free(&comm);
    MPI_Finalize();
    return check_done();
}
