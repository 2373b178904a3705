/* Where the time went: spans of several threads, their tree, what is kept of them; and
 *   test_profile FILE RANKS THREADS
 * whether a job's profile.json is a trace, and adds up. */
#include "check.h"

#include "czhpc/pool.h"
#include "czhpc/profile.h"

#include <jansson.h>

#ifndef __has_feature
#define __has_feature(name) 0 /* gcc defines __SANITIZE_... instead */
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ ||                                 \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* Microseconds to which two numbers of a trace may differ, printed with three digits each. */
#define TOL_TRACE 0.002

static void busy(double seconds)
{
    int64_t end = cz_profile_clock() + (int64_t)(1e9 * seconds);
    while (cz_profile_clock() < end) continue;
}

/* Which node of a profile has a path of names; -1: none. */
static int find(const cz_profile *p, const char *const *path, int length)
{
    int at = 0;
    for (int depth = 0, i; depth < length; depth++) {
        for (i = 0; i < p->nodes; i++)
            if (p->node[i].parent == at && !strcmp(p->node[i].name, path[depth])) break;
        if (i == p->nodes) return -1;
        at = i;
    }
    return at;
}
#define FIND(p, ...)                                                                               \
    find(p, (const char *const[]){__VA_ARGS__},                                                    \
         (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static bool has(const cz_profile *p, int node, int64_t calls, double least, double flops)
{
    if (node < 0) return false;
    const cz_profile_node *n = &p->node[node];
    return n->calls == calls && 1e-9 * (double)n->ns >= least && n->flops == flops;
}

static cz_status leave_early(bool fail)
{
    CZ_SPAN("outer");
    {
        CZ_SPAN("inner");
        if (fail) return CZ_ERR_BUG;
    }
    return CZ_OK;
}

static cz_status work(void *context, int thread)
{
    (void)context;
    CZ_STEP("step");
    for (int i = 0; i < 3; i++) {
        CZ_SPAN_FLOPS("product", 10);
        busy(1e-4 * (thread + 1));
    }
    return CZ_OK;
}

static void check_off(void)
{
    cz_profile p;
    leave_early(true);
    check(!cz_profile_take(&p) && p.nodes == 0 && p.events == 0 && p.calls == 0,
          "off: nothing is recorded");
    cz_profile_free(&p);
}

static volatile int sink;

__attribute__((noinline)) static void store(int i) { sink = i; }
__attribute__((noinline)) static void store_in_span(int i)
{
    CZ_SPAN("cost");
    sink = i;
}

static double seconds_of(void (*call)(int))
{
    enum { CALLS = 100000 };
    int64_t begin = cz_profile_clock();
    for (int i = 0; i < CALLS; i++) call(i);
    return 1e-9 * (double)(cz_profile_clock() - begin) / CALLS;
}

/* The fastest of many rounds: others use the machine too. */
static void check_cost(void)
{
    enum { ROUNDS = 200 };
    if (SANITIZED) {
        check_skip("what a span costs that is off (under a sanitizer)");
        return;
    }
    void (*volatile plain)(int) = store, (*volatile spanned)(int) = store_in_span;
    double without = 1, with = 1;
    for (int round = 0; round < ROUNDS; round++) {
        without = fmin(without, seconds_of(plain));
        with = fmin(with, seconds_of(spanned));
    }
    check(with < 20e-9, "off: a call takes %.2f ns, with a span %.2f ns", 1e9 * without,
          1e9 * with);
}

static void check_tree(int threads)
{
    cz_profile p;
    cz_pool *pool = NULL;
    int64_t begin = cz_profile_clock();
    bool ok = !cz_profile_open(begin, 10000) && !cz_pool_open(&pool, threads, NULL);
    if (!check(ok, "%d threads: a profile is opened", threads)) return;
    for (int i = 0; i < 5; i++) {
        CZ_PHASE("phase");
        ok = ok && !cz_pool_run(pool, work, NULL);
    }
    ok = ok && !cz_pool_run(pool, work, NULL);
    ok = ok && leave_early(true) == CZ_ERR_BUG && !leave_early(false);
    ok = ok && cz_profile_place() == 0;
    check(ok, "%d threads: spans end with their blocks, however those are left", threads);
    cz_pool_close(pool);
    ok = !cz_profile_take(&p);
    int phase = FIND(&p, "phase"), step = FIND(&p, "phase", "step");
    int product = FIND(&p, "phase", "step", "product"), outer = FIND(&p, "outer");
    double each = 1e-4 * threads * (threads + 1) / 2; /* of all threads */
    ok = ok && p.threads == threads && has(&p, phase, 5, 5 * 3e-4 * threads, 0) &&
         has(&p, step, 5 * threads, 5 * 3 * each, 0) &&
         has(&p, product, 15 * threads, 15 * each, 150 * threads) &&
         has(&p, FIND(&p, "step", "product"), 3 * threads, 3 * each, 30 * threads) &&
         has(&p, outer, 2, 0, 0) && has(&p, FIND(&p, "outer", "inner"), 2, 0, 0);
    check(ok, "%d threads: calls, times and products, below where the main thread was", threads);
    check(ok && !p.node[phase].shared && p.node[product].shared == (threads > 1) &&
              p.node[phase].kind == CZ_SPAN_PHASE && p.node[step].kind == CZ_SPAN_STEP,
          "%d threads: what all do is known from what the main one does", threads);
    int waits = threads > 1 ? 6 * threads : 0;
    check(p.calls == 5 + 6 * threads + 18 * threads + 4 + waits && p.events == p.calls && !p.lost &&
              p.node[0].ns == p.wall && p.wall <= cz_profile_clock() - begin,
          "%d threads: all spans are counted, and kept", threads);
    cz_profile_free(&p);
    cz_profile_close();
}

static bool parts_fit(const cz_profile *p)
{
    for (int i = 0; i < p->nodes; i++) {
        int64_t parts = 0;
        for (int j = i + 1; j < p->nodes; j++)
            if (p->node[j].parent == i && !p->node[j].shared) parts += p->node[j].ns;
        if (parts > p->node[i].ns) return false;
    }
    return true;
}

/* Whether a span lies in one of the main thread's spans of a node. */
static bool lies_in(const cz_profile *p, const cz_profile_event *span, int node)
{
    for (int i = 0; i < p->events; i++) {
        const cz_profile_event *e = &p->event[i];
        if (e->node == node && e->thread == 0 && e->begin <= span->begin &&
            span->begin + span->ns <= e->begin + e->ns)
            return true;
    }
    return false;
}

static cz_status nothing(void *context, int thread)
{
    (void)context;
    return thread < 0 ? CZ_ERR_BUG : CZ_OK;
}

/* Of many threads some wake when the main one has long gone on. */
static void check_late(void)
{
    enum { THREADS = 16, RUNS = 100 };
    cz_profile p = {0};
    cz_pool *pool = NULL;
    bool ok =
        !cz_profile_open(cz_profile_clock(), 10 * RUNS) && !cz_pool_open(&pool, THREADS, NULL);
    for (int i = 0; ok && i < RUNS; i++) {
        CZ_PHASE("phase");
        ok = !cz_pool_run(pool, nothing, NULL);
    }
    cz_pool_close(pool);
    ok = ok && !cz_profile_take(&p);
    int phase = FIND(&p, "phase"), wait = FIND(&p, "phase", "wait for threads"), within = 0;
    ok = ok && has(&p, phase, RUNS, 0, 0) && has(&p, wait, RUNS * THREADS, 0, 0);
    for (int i = 0; ok && i < p.events; i++)
        within += p.event[i].node == wait && lies_in(&p, &p.event[i], phase);
    check(ok && within == RUNS * THREADS,
          "%d threads: %d of %d waits end with what the main thread waits in", THREADS, within,
          RUNS * THREADS);
    cz_profile_free(&p);
    cz_profile_close();
}

static void recurse(int depth)
{
    CZ_SPAN("deeper");
    if (depth > 1) recurse(depth - 1);
}

/* More places than there is room for. */
static void check_places(void)
{
    cz_profile p;
    enum { DEPTH = 5000 };
    bool ok = !cz_profile_open(cz_profile_clock(), 100);
    recurse(DEPTH);
    ok = ok && cz_profile_place() == 0;
    leave_early(false);
    ok = ok && !cz_profile_take(&p);
    check(ok && p.lost > 0 && p.calls + p.lost == DEPTH + 2 && p.nodes + p.lost == DEPTH + 3 &&
              p.nodes > 2000 && parts_fit(&p),
          "places are bounded: of %d %lld are lost, and counted", DEPTH + 2, (long long)p.lost);
    cz_profile_free(&p);
    cz_profile_close();
}

/* More spans than are kept one by one. */
static void check_bound(void)
{
    cz_profile p;
    enum { ROOM = 80, SPANS = 1000 };
    bool ok = !cz_profile_open(cz_profile_clock(), ROOM);
    for (int i = 0; i < SPANS; i++) { CZ_SPAN("alone"); }
    for (int i = 0; i < SPANS; i++) {
        CZ_STEP("step");
        CZ_SPAN("part");
    }
    for (int i = 0; i < SPANS; i++) { CZ_PHASE("phase"); }
    ok = ok && !cz_profile_take(&p);
    int kept[3] = {0};
    int alone = FIND(&p, "alone"), phase = FIND(&p, "phase");
    for (int e = 0; e < p.events; e++)
        kept[p.event[e].node == alone ? 0 : p.event[e].node == phase ? 2 : 1]++;
    check(ok && p.calls == 4 * SPANS && kept[0] == ROOM / 2 && kept[1] == ROOM / 8 * 3 &&
              kept[2] == ROOM / 8,
          "of %d spans %d are kept: half of them of no step, an eighth phases", 4 * SPANS, ROOM);
    check(ok && has(&p, alone, SPANS, 0, 0) && has(&p, phase, SPANS, 0, 0) &&
              has(&p, FIND(&p, "step", "part"), SPANS, 0, 0),
          "the others are counted");
    cz_profile_free(&p);
    cz_profile_close();
}

/* A job's file. */
typedef struct file {
    json_t *root, *table, *events;
    int rows, ranks, threads, spans, kept;
    double wall;
} file;

static double number(const json_t *of, const char *key)
{
    return json_number_value(json_object_get(of, key));
}
static int integer(const json_t *of, const char *key)
{
    return (int)json_integer_value(json_object_get(of, key));
}
static const char *text(const json_t *of, const char *key)
{
    const char *value = json_string_value(json_object_get(of, key));
    return value ? value : "";
}

static bool open_file(file *f, const char *path)
{
    json_error_t error;
    f->root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    const json_t *about = json_object_get(f->root, "otherData");
    f->table = json_object_get(f->root, "table");
    f->events = json_object_get(f->root, "traceEvents");
    f->rows = (int)json_array_size(f->table);
    f->ranks = integer(about, "ranks");
    f->threads = integer(about, "threads");
    f->spans = integer(about, "spans");
    f->kept = integer(about, "spans_kept");
    f->wall = number(about, "wall_s");
    if (!f->root) printf("     %s:%d: %s\n", path, error.line, error.text);
    return f->root && f->rows > 0 && json_is_array(f->events);
}

static const json_t *row_of(const file *f, int i) { return json_array_get(f->table, (size_t)i); }

static double workers(const file *f, const json_t *row)
{
    return f->ranks * (json_is_true(json_object_get(row, "all_threads")) ? f->threads : 1);
}

static void check_table(const file *f)
{
    bool rows = true, parts = true;
    double top = 0;
    int64_t calls = 0;
    for (int i = 0; i < f->rows; i++) {
        const json_t *row = row_of(f, i);
        int parent = integer(row, "parent");
        double sum = 0, seconds = number(row, "seconds");
        rows = rows && (i ? parent >= 0 && parent < i : parent == -1) && *text(row, "name") &&
               integer(row, "calls") > 0 && seconds >= 0 &&
               number(row, "worst") >= seconds * (1 - 1e-6) - 1e-8;
        for (int j = i + 1; j < f->rows; j++)
            if (integer(row_of(f, j), "parent") == i) sum += number(row_of(f, j), "seconds");
        parts = parts && sum <= seconds + 1e-9 * f->rows;
        if (i == 0) top = sum;
        else calls += integer(row, "calls");
    }
    check(rows, "%d rows, parents before children", f->rows);
    check(calls == f->spans, "they count all %d spans", f->spans);
    check(parts, "parts are never more than the whole");
    check(top > 0.9 * f->wall && fabs(number(row_of(f, 0), "seconds") - f->wall) < 1e-5,
          "the phases are %.1f %% of the %.2f s", 100 * top / f->wall, f->wall);
}

static int by_place(const void *a, const void *b)
{
    const double *x = a, *y = b;
    for (int i = 0; i < 3; i++)
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    return (x[3] < y[3]) - (x[3] > y[3]); /* of those that begin together the longest first */
}

/* Spans of a thread contain each other or lie apart. event: (count, 4) rank, thread, begin, length
 */
static bool nests(double *event, int count)
{
    enum { DEPTH = 64 };
    double end[DEPTH];
    int depth = 0;
    qsort(event, (size_t)count, 4 * sizeof *event, by_place);
    for (int i = 0; i < count; i++) {
        const double *e = event + 4 * (size_t)i;
        if (i && (e[0] != e[-4] || e[1] != e[-3])) depth = 0;
        while (depth && end[depth - 1] <= e[2] + TOL_TRACE) depth--;
        if (depth == DEPTH || (depth && e[2] + e[3] > end[depth - 1] + TOL_TRACE)) return false;
        end[depth++] = e[2] + e[3];
    }
    return true;
}

/* Of all spans of a name, by the trace and by the table. */
static bool agrees(const file *f, const char *name)
{
    double traced = 0, told = 0;
    int events = 0, calls = 0;
    size_t i;
    json_t *e;
    json_array_foreach(f->events, i,
                       e) if (!strcmp(text(e, "ph"), "X") && !strcmp(text(e, "name"), name))
    {
        traced += number(e, "dur");
        events++;
    }
    for (int r = 0; r < f->rows; r++)
        if (!strcmp(text(row_of(f, r), "name"), name)) {
            told += 1e6 * number(row_of(f, r), "seconds") * workers(f, row_of(f, r));
            calls += integer(row_of(f, r), "calls");
        }
    bool same = events == calls && fabs(traced - told) <= TOL_TRACE * (events + f->rows);
    if (!same) printf("     %s: %d of %d, %.3f of %.3f\n", name, events, calls, traced, told);
    return events && same;
}

static void check_events(const file *f)
{
    bool ok = true, named = true;
    int count = 0;
    size_t i;
    json_t *e;
    double *event = calloc(json_array_size(f->events), 4 * sizeof *event);
    json_array_foreach(f->events, i, e)
    {
        double *to = event + 4 * (size_t)count;
        if (strcmp(text(e, "ph"), "X")) {
            named = named && !strcmp(text(e, "ph"), "M");
            continue;
        }
        to[0] = integer(e, "pid");
        to[1] = integer(e, "tid");
        to[2] = number(e, "ts");
        to[3] = number(e, "dur");
        /* The wall is the mean of the ranks'. */
        ok = ok && *text(e, "name") && to[0] >= 0 && to[0] < f->ranks && to[1] >= 0 &&
             to[1] < f->threads && to[2] >= 0 && to[3] >= 0 && to[2] + to[3] <= 1.1e6 * f->wall;
        count++;
    }
    check(ok && named && count == f->kept && (int)json_array_size(f->events) == count + f->ranks,
          "%d of %d spans, each of a rank, a thread and a time of the job", count, f->spans);
    check(nests(event, count), "they nest");
    free(event);
    if (f->kept < f->spans) return;
    static const char *const name[] = {"step",  "compute",  "linear_forward",
                                       "adam",  "evaluate", "wait for gradients",
                                       "epoch", "load"};
    for (size_t n = 0; n < sizeof name / sizeof *name; n++) ok = ok && agrees(f, name[n]);
    check(ok, "trace and table tell the same times");
}

static void check_file(char **argument)
{
    file f = {0};
    bool ok = open_file(&f, argument[0]);
    if (check(ok && f.ranks == atoi(argument[1]) && f.threads == atoi(argument[2]) && f.kept > 0,
              "a trace of %s ranks and %s threads", argument[1], argument[2])) {
        check_table(&f);
        check_events(&f);
    }
    json_decref(f.root);
}

int main(int argc, char **argv)
{
    if (argc == 4) {
        check_file(argv + 1);
        return check_done();
    }
    check_off();
    check_cost();
    check_tree(1);
    check_tree(3);
    check_late();
    check_places();
    check_bound();
    check_off();
    return check_done();
}
