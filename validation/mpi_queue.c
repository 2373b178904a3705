/* The queue of work items: who gets what, verdicts, errors, signals, waiting and idle time. */
#include "check.h"

#include "czhpc/queue.h"
#include "czhpc/rng.h"

#include <time.h>

enum { ITEMS = 40, MAX_EPOCHS = 6, NOBODY = -1 };

static const cz_comm *world;
static volatile sig_atomic_t stop;

/* All ranks must hold it; rank 0 says so. */
static void verdict(bool mine, const char *name)
{
    int own = mine, all = 0;
    MPI_Allreduce(&own, &all, 1, MPI_INT, MPI_LAND, world->mpi);
    if (world->rank == 0) check(all, "%s", name);
    cz_error_clear();
}

/* What the fake source hands out, and what it was told. */
typedef struct fake_source {
    int items, waits;             /* answers of CZ_NEXT_WAIT before the second item */
    int cut_after;                /* epochs of every third item, 0: none */
    int lost_after;               /* epochs of every fourth item, 0: none */
    cz_verdict signal_at_verdict; /* ... a signal comes, CZ_GO_ON: none */
    int fail_next_at;             /* item, NOBODY */
    int fail_report_at;           /* item, NOBODY */
    int fail_done_at;             /* item, NOBODY */
    int given, calls_after_failure;
    bool failed, ended;
    int reports[ITEMS], done[ITEMS];
    cz_item_outcome outcome[ITEMS];
} fake_source;

static fake_source plain_source(int items)
{
    return (fake_source){
        .items = items, .fail_next_at = NOBODY, .fail_report_at = NOBODY, .fail_done_at = NOBODY};
}

static int size_of(int64_t item) { return item == 3 ? CZ_ITEM_BYTES : (int)(item * 211 % 1500); }

static unsigned char byte_of(int64_t item, int at)
{
    uint64_t key[2] = {(uint64_t)item, (uint64_t)at};
    return (unsigned char)cz_hash(7, key, sizeof key);
}

static cz_status refuse(fake_source *s, const char *what, int item)
{
    s->failed = true;
    return cz_fail(CZ_ERR_IO, "the source cannot %s item %d", what, item);
}

static cz_status next(void *context, int group, cz_item *item, cz_next *what)
{
    fake_source *s = context;
    (void)group;
    s->calls_after_failure += s->failed;
    s->calls_after_failure += s->ended; /* CZ_NEXT_END: no more ever */
    s->ended = s->given == s->items;
    *what = s->ended ? CZ_NEXT_END : CZ_NEXT_ITEM;
    if (s->ended) return CZ_OK;
    if (s->given == s->fail_next_at) return refuse(s, "give", s->given);
    if (s->given == 1 && s->waits > 0) {
        s->waits--;
        *what = CZ_NEXT_WAIT;
        return CZ_OK;
    }
    item->id = s->given++;
    item->size = size_of(item->id);
    for (int i = 0; i < item->size; i++) item->bytes[i] = byte_of(item->id, i);
    return CZ_OK;
}

static cz_status report(void *context, const cz_item *item, int epoch, double value,
                        cz_verdict *what)
{
    fake_source *s = context;
    s->calls_after_failure += s->failed;
    if (item->id == s->fail_report_at) return refuse(s, "record", (int)item->id);
    if (epoch == s->reports[item->id] + 1 && value == (double)(100 * item->id + epoch))
        s->reports[item->id]++;
    if (s->cut_after && item->id % 3 == 0 && epoch == s->cut_after) *what = CZ_CUT;
    if (s->lost_after && item->id % 4 == 1 && epoch == s->lost_after) *what = CZ_LOST;
    if (s->signal_at_verdict && *what == s->signal_at_verdict) stop = 1;
    return CZ_OK;
}

static cz_status done(void *context, const cz_item *item, const cz_item_outcome *outcome)
{
    fake_source *s = context;
    s->calls_after_failure += s->failed;
    if (item->id == s->fail_done_at) return refuse(s, "end", (int)item->id);
    s->done[item->id]++;
    s->outcome[item->id] = *outcome;
    return CZ_OK;
}

/* What the fake work does; and what this rank has seen of it. */
typedef struct fake_work {
    int bad_item;            /* of every nth item: it diverges; 0: none */
    int fail_group;          /* whose last rank meets a bad system, NOBODY */
    int fail_epoch;          /* ... in this epoch */
    int signal_rank;         /* gets a signal in its second epoch, NOBODY */
    int deaf_group;          /* neither reports nor serves for a while at first, NOBODY */
    double deaf_for;         /* ... seconds */
    int items, epochs, left; /* worked on; left by order */
    bool bytes_differ, verdicts_differ;
    double longest_report; /* seconds */
} fake_work;

static fake_work plain_work(void)
{
    return (fake_work){.fail_group = NOBODY, .signal_rank = NOBODY, .deaf_group = NOBODY};
}

static void rest(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)(1e9 * (seconds - (double)time.tv_sec));
    nanosleep(&time, NULL);
}

static int epochs_of(int64_t item) { return 1 + (int)(item * 5 % MAX_EPOCHS); }

/* An epoch of 3 to 12 ms in steps; true: to be left. */
static bool train_epoch(cz_queue *queue, int64_t item)
{
    double until = MPI_Wtime() + 3e-3 * (double)(1 + item % 4);
    while (MPI_Wtime() < until && !*cz_queue_stop(queue)) {
        rest(5e-4);
        cz_queue_serve(queue);
    }
    return *cz_queue_stop(queue) != 0;
}

/* As a trainer: all ranks of the group leave at the same step. */
static bool group_leaves(const cz_comm *group, bool mine)
{
    int own = mine, any = 0;
    MPI_Allreduce(&own, &any, 1, MPI_INT, MPI_LOR, group->mpi);
    return any != 0;
}

static bool same_bytes(const cz_item *item)
{
    bool same = item->size == size_of(item->id);
    for (int i = 0; i < item->size && same; i++) same = item->bytes[i] == byte_of(item->id, i);
    for (int i = item->size; i < CZ_ITEM_BYTES && same; i++) same = item->bytes[i] == 0;
    return same;
}

static cz_status leave(fake_work *w, cz_item_outcome *outcome)
{
    w->left++;
    outcome->end = CZ_ITEM_LEFT;
    return CZ_STOPPED;
}

static cz_status meet_bad_system(const cz_comm *group)
{
    if (group->rank != group->size - 1) return CZ_OK;
    return cz_fail(CZ_ERR_IO, "disk of rank %d", world->rank);
}

static cz_status work(void *context, cz_queue *queue, const cz_item *item, const cz_comm *group,
                      cz_item_outcome *outcome)
{
    fake_work *w = context;
    int index = world->rank / group->size, epochs = epochs_of(item->id);
    w->items++;
    w->bytes_differ |= !same_bytes(item) || group != cz_queue_group(queue);
    if (w->bad_item && item->id % w->bad_item == 0) {
        outcome->end = CZ_ITEM_FAILED;
        snprintf(outcome->message, sizeof outcome->message, "item %d diverged", (int)item->id);
        cz_fail(CZ_ERR_DIVERGED, "%s", outcome->message);
        return CZ_OK;
    }
    if (index == w->deaf_group && w->items == 1) rest(w->deaf_for);
    for (int epoch = 1; epoch <= epochs; epoch++) {
        w->epochs++;
        if (world->rank == w->signal_rank && w->epochs == 2) stop = 1;
        if (group_leaves(group, train_epoch(queue, item->id))) return leave(w, outcome);
        if (index == w->fail_group && w->epochs == w->fail_epoch) return meet_bad_system(group);
        cz_verdict said;
        double begin = MPI_Wtime();
        cz_status status = cz_queue_report(queue, epoch, (double)(100 * item->id + epoch), &said);
        w->longest_report = fmax(w->longest_report, MPI_Wtime() - begin);
        int least = said;
        MPI_Allreduce(MPI_IN_PLACE, &least, 1, MPI_INT, MPI_MIN, group->mpi);
        w->verdicts_differ |= least != (int)said;
        if (status == CZ_STOPPED) return leave(w, outcome);
        if (status) return status;
        if (said == CZ_GO_ON) continue;
        outcome->end = said == CZ_CUT ? CZ_ITEM_CUT : CZ_ITEM_LEFT;
        break;
    }
    outcome->value = (double)item->id;
    return CZ_OK;
}

static cz_status run(fake_source *s, fake_work *w, int ranks_per_item, cz_timeline *timeline)
{
    cz_queue *queue;
    cz_item_source source = {s, next, report, done};
    stop = w->signal_rank == NOBODY ? 0 : stop;
    cz_status status = cz_queue_open(&queue, world, ranks_per_item, &stop);
    if (status) return status;
    status = cz_queue_run(queue, world->rank == 0 ? &source : NULL, work, w, timeline);
    cz_queue_close(queue);
    return status;
}

static int sum(int mine)
{
    int all;
    MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_SUM, world->mpi);
    return all;
}

/* Only rank 0's source was told anything. */
static bool all_done_once(const fake_source *s)
{
    bool ok = s->given == s->items && s->ended && !s->calls_after_failure;
    for (int i = 0; i < s->items; i++) {
        bool cut = s->cut_after && i % 3 == 0 && s->cut_after <= epochs_of(i);
        const cz_item_outcome *o = &s->outcome[i];
        ok = ok && s->done[i] == 1 && s->reports[i] == (cut ? s->cut_after : epochs_of(i));
        ok = ok && o->end == (cut ? CZ_ITEM_CUT : CZ_ITEM_DONE) && o->value == i;
        ok = ok && !o->message[0];
    }
    return ok || world->rank;
}

static bool sound(const cz_timeline *t, int groups, int items)
{
    if (t->groups != groups) return false;
    if (world->rank) return t->count == 0 && !t->stretch;
    bool ok = t->count == items && t->idle >= 0 && t->idle <= 1 && t->longest_idle >= 0;
    for (int i = 0; i < t->count; i++) {
        const cz_stretch *s = &t->stretch[i];
        ok = ok && s->begin >= 0 && s->begin < s->end && s->group >= 0 && s->group < groups;
        ok = ok && (i == 0 || s->end >= t->stretch[i - 1].end);
        for (int j = 0; j < i; j++)
            ok = ok && (t->stretch[j].group != s->group || t->stretch[j].end <= s->begin);
    }
    return ok;
}

static void check_all_done(int ranks_per_item)
{
    fake_source s = plain_source(ITEMS);
    fake_work w = plain_work();
    cz_timeline t;
    char name[96];
    s.cut_after = 2;
    int groups = world->size / ranks_per_item;
    cz_status status = run(&s, &w, ranks_per_item, &t);
    snprintf(name, sizeof name, "%d items by groups of %d: each done once, verdicts obeyed", ITEMS,
             ranks_per_item);
    verdict(status == CZ_OK && all_done_once(&s) && !w.verdicts_differ, name);
    verdict(!w.bytes_differ && sum(w.items) == ITEMS * ranks_per_item,
            "the bytes of an item are the same on every rank of its group");
    verdict(sound(&t, groups, ITEMS), "the timeline holds every item once");
    if (world->rank == 0)
        printf("     idle %.1f %% of the groups' time, at most %.1f ms at once\n", 100 * t.idle,
               1e3 * t.longest_idle);
    double longest = 0;
    MPI_Reduce(&w.longest_report, &longest, 1, MPI_DOUBLE, MPI_MAX, 0, world->mpi);
    if (world->rank == 0) printf("     longest report %.2f ms\n", 1e3 * longest);
    cz_timeline_free(&t);
}

static double first_begin(const cz_timeline *t, int group)
{
    for (int i = 0; i < t->count; i++)
        if (t->stretch[i].group == group) return t->stretch[i].begin;
    return INFINITY;
}

/* Rank 0 loads what its first item needs and serves nobody: all others work by then. */
static void check_first_items(int ranks_per_item)
{
    fake_source s = plain_source(ITEMS);
    fake_work w = plain_work();
    cz_timeline t;
    char name[96];
    w.deaf_group = 0;
    w.deaf_for = 0.3;
    bool ok = run(&s, &w, ranks_per_item, &t) == CZ_OK && all_done_once(&s);
    for (int g = 1; g < t.groups && world->rank == 0; g++)
        ok = ok && first_begin(&t, g) < first_begin(&t, 0) + w.deaf_for;
    snprintf(name, sizeof name, "all groups of %d have an item before rank 0 begins its own",
             ranks_per_item);
    verdict(ok, name);
    cz_timeline_free(&t);
}

static void check_failed_items(void)
{
    fake_source s = plain_source(ITEMS);
    fake_work w = plain_work();
    cz_timeline t;
    w.bad_item = 4;
    bool ok = run(&s, &w, 1, &t) == CZ_OK && !cz_error_message()[0];
    for (int i = 0; i < ITEMS && world->rank == 0; i++) {
        char text[64] = "";
        if (i % 4 == 0) snprintf(text, sizeof text, "item %d diverged", i);
        ok = ok && s.done[i] == 1 && strcmp(s.outcome[i].message, text) == 0;
        ok = ok && s.outcome[i].end == (i % 4 ? CZ_ITEM_DONE : CZ_ITEM_FAILED);
        ok = ok && isnan(s.outcome[i].value) == (i % 4 == 0);
    }
    verdict(ok, "items that diverge are results, and leave no message");
    cz_timeline_free(&t);
}

static void check_few(int items)
{
    fake_source s = plain_source(items);
    fake_work w = plain_work();
    cz_timeline t;
    bool ok = run(&s, &w, 1, &t) == CZ_OK && all_done_once(&s) && sum(w.items) == items;
    char name[64];
    snprintf(name, sizeof name, "%d item%s", items, items == 1 ? "" : "s");
    verdict(ok && sound(&t, world->size, items), name);
    cz_timeline_free(&t);
}

static void check_waits(int ranks_per_item)
{
    fake_source s = plain_source(6);
    fake_work w = plain_work();
    cz_timeline t;
    s.waits = 3;
    bool ok = run(&s, &w, ranks_per_item, &t) == CZ_OK && all_done_once(&s);
    verdict(ok && (world->rank || s.waits == 0), "a source that makes groups wait is asked again");
    cz_timeline_free(&t);
}

/* Every item is told once, as done or left, but those of the group that failed. */
static bool told(const fake_source *s, int untold, int *left)
{
    bool ok = !s->calls_after_failure;
    *left = 0;
    for (int i = 0; i < s->given; i++) {
        untold -= s->done[i] == 0;
        *left += s->done[i] == 1 && s->outcome[i].end == CZ_ITEM_LEFT;
        ok = ok && s->done[i] <= 1;
    }
    return ok && untold == 0;
}

static void check_bad_system(int ranks_per_item, int group)
{
    fake_source s = plain_source(ITEMS);
    fake_work w = plain_work();
    cz_timeline t;
    char disk[64], place[32], name[96];
    w.fail_group = group;
    w.fail_epoch = 4;
    int left = 0, failed = (group + 1) * ranks_per_item - 1;
    cz_status status = run(&s, &w, ranks_per_item, &t);
    const char *text = cz_error_message();
    snprintf(disk, sizeof disk, "disk of rank %d", failed);
    snprintf(place, sizeof place, "rank %d on ", failed);
    bool ok = status == CZ_ERR_IO;
    if (world->rank) ok = ok && !text[0];
    else ok = ok && strstr(text, disk) && (world->size == 1 || strstr(text, place) == text);
    ok = ok && (world->rank || told(&s, 1, &left));
    int leavers = sum(w.left) / ranks_per_item;
    ok = ok && (world->rank || left == leavers);
    snprintf(name, sizeof name, "a bad system in group %d of %d ranks ends all, with its message",
             group, ranks_per_item);
    verdict(ok, name);
    cz_timeline_free(&t);
}

/* A group goes on after an item that somebody else has. */
static void check_lost(int ranks_per_item)
{
    fake_source s = plain_source(ITEMS);
    fake_work w = plain_work();
    cz_timeline t;
    char name[96];
    s.lost_after = 1;
    bool ok = run(&s, &w, ranks_per_item, &t) == CZ_OK && !w.verdicts_differ;
    for (int i = 0; i < ITEMS && world->rank == 0; i++) {
        ok = ok && s.done[i] == 1 && s.reports[i] == (i % 4 == 1 ? 1 : epochs_of(i));
        ok = ok && s.outcome[i].end == (i % 4 == 1 ? CZ_ITEM_LEFT : CZ_ITEM_DONE);
    }
    snprintf(name, sizeof name, "groups of %d go on after items that are lost", ranks_per_item);
    verdict(ok && sum(w.items) == ITEMS * ranks_per_item &&
                sound(&t, world->size / ranks_per_item, ITEMS),
            name);
    cz_timeline_free(&t);
}

/* The first item that is cut or lost as a signal comes hears so, not that it is to be saved. */
static void check_verdict_at_end(cz_verdict what)
{
    fake_source s = plain_source(ITEMS);
    fake_work w = plain_work();
    cz_timeline t;
    int left, judged = 0;
    *(what == CZ_CUT ? &s.cut_after : &s.lost_after) = 1;
    s.signal_at_verdict = what;
    bool ok = run(&s, &w, 1, &t) == CZ_STOPPED;
    ok = ok && (world->rank || told(&s, 0, &left));
    for (int i = 0; i < s.given && world->rank == 0; i++)
        judged += s.outcome[i].end == (what == CZ_CUT ? CZ_ITEM_CUT : CZ_ITEM_LEFT) &&
                  s.outcome[i].value == i;
    verdict(ok && (world->rank || judged >= 1), what == CZ_CUT
                                                    ? "an item is cut though a signal comes"
                                                    : "an item is lost though a signal comes");
    cz_timeline_free(&t);
    stop = 0;
}

static void check_bad_source(void)
{
    static const char *what[] = {"give", "record", "end"};
    for (int i = 0; i < 3; i++) {
        fake_source s = plain_source(ITEMS);
        fake_work w = plain_work();
        cz_timeline t;
        char text[64], name[96];
        *(i == 0 ? &s.fail_next_at : i == 1 ? &s.fail_report_at : &s.fail_done_at) = 9;
        cz_status status = run(&s, &w, 1, &t);
        snprintf(text, sizeof text, "the source cannot %s item 9", what[i]);
        bool ok = strcmp(cz_error_message(), world->rank ? "" : text) == 0;
        ok = ok && (world->rank || !s.calls_after_failure);
        snprintf(name, sizeof name, "a source that cannot %s an item ends all", what[i]);
        verdict(ok && status == CZ_ERR_IO, name);
        cz_timeline_free(&t);
    }
}

static void check_signal(int ranks_per_item, int rank)
{
    fake_source s = plain_source(ITEMS);
    fake_work w = plain_work();
    cz_timeline t;
    char name[96];
    int left = 0;
    w.signal_rank = rank;
    cz_status status = run(&s, &w, ranks_per_item, &t);
    int leavers = sum(w.left) / ranks_per_item;
    bool ok = status == CZ_STOPPED && !cz_error_message()[0] && stop == (world->rank == rank);
    ok = ok && (world->rank || (told(&s, 0, &left) && left == leavers && left >= 1));
    ok = ok && (world->rank || s.given < ITEMS) && t.groups == world->size / ranks_per_item;
    snprintf(name, sizeof name, "a signal on rank %d alone stops all groups of %d, items are left",
             rank, ranks_per_item);
    verdict(ok, name);
    cz_timeline_free(&t);

    /* It still stands: a second queue does not begin. */
    s = plain_source(ITEMS);
    ok = run(&s, &w, ranks_per_item, &t) == CZ_STOPPED && (world->rank || s.given == 0 || rank);
    verdict(ok && (world->rank || told(&s, 0, &left)), "nor does a queue begin after it");
    cz_timeline_free(&t);
    stop = 0;
}

/* Nobody has work: the signal comes while all wait. */
static void check_signal_in_wait(int ranks_per_item)
{
    fake_source s = plain_source(ITEMS);
    fake_work w = plain_work();
    cz_timeline t;
    int last = world->size - 1;
    s.given = 1;
    s.waits = 1 << 30;
    w.signal_rank = last;
    stop = world->rank == last;
    double begin = MPI_Wtime();
    bool ok = run(&s, &w, ranks_per_item, &t) == CZ_STOPPED && w.items == 0;
    verdict(ok && MPI_Wtime() - begin < 5, "a signal while all wait for items");
    cz_timeline_free(&t);
    stop = 0;
}

static void check_ranks(void)
{
    cz_queue *queue = NULL;
    bool ok = true;
    const int wrong[] = {world->size + 1, 0, -1, world->size > 2 ? world->size - 1 : 7};
    for (int i = 0; i < 4; i++) {
        ok = ok && cz_queue_open(&queue, world, wrong[i], &stop) == CZ_ERR_CONFIG && !queue;
        ok = ok && (world->rank || strstr(cz_error_message(), "ranks"));
        cz_error_clear();
    }
    verdict(ok, "ranks that make no whole groups");
    cz_queue_close(NULL);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How long serving takes where nobody asks: the median, as others may take the core. */
static cz_status measure_serve(void *context, cz_queue *queue, const cz_item *item,
                               const cz_comm *group, cz_item_outcome *outcome)
{
    enum { BATCHES = 101, CALLS = 1000 };
    double seconds[BATCHES];
    (void)item, (void)group, (void)outcome;
    for (int batch = 0; batch < BATCHES; batch++) {
        double begin = MPI_Wtime();
        for (int i = 0; i < CALLS; i++) cz_queue_serve(queue);
        seconds[batch] = (MPI_Wtime() - begin) / CALLS;
    }
    qsort(seconds, BATCHES, sizeof *seconds, ascending);
    *(double *)context = seconds[BATCHES / 2];
    return CZ_OK;
}

static void check_serve(void)
{
    fake_source s = plain_source(world->size);
    cz_item_source source = {&s, next, report, done};
    cz_queue *queue;
    cz_timeline t;
    double seconds = 0, longest = 0;
    bool ok = cz_queue_open(&queue, world, world->size, &stop) == CZ_OK;
    ok = ok && cz_queue_groups(queue) == 1;
    ok = ok && cz_queue_run(queue, &source, measure_serve, &seconds, &t) == CZ_OK;
    MPI_Reduce(&seconds, &longest, 1, MPI_DOUBLE, MPI_MAX, 0, world->mpi);
    verdict(ok && seconds < 50e-6, "serving where nobody asks");
    if (world->rank == 0)
        printf("     %.2f us a call on rank 0, at most %.2f us\n", 1e6 * seconds, 1e6 * longest);
    cz_timeline_free(&t);
    cz_queue_close(queue);
}

/* The last check: a queue that has lost its patience cannot be closed. */
static cz_queue *lost;

static void check_patience(void)
{
    fake_source s = plain_source(ITEMS);
    fake_work w = plain_work();
    cz_item_source source = {&s, next, report, done};
    cz_timeline t;
    setenv("CZHPC_PATIENCE", "0.5", 1);
    w.fail_group = 0;
    w.fail_epoch = 1;
    w.deaf_group = 1;
    w.deaf_for = 2.5;
    bool ok = cz_queue_open(&lost, world, 1, &stop) == CZ_OK;
    double begin = MPI_Wtime();
    cz_status status = cz_queue_run(lost, &source, work, &w, &t);
    double seconds = MPI_Wtime() - begin;
    ok = ok && (status == CZ_ERR_MPI || (world->rank && world->rank == w.deaf_group));
    ok = ok && (world->rank || (seconds > 0.5 && seconds < 2.4));
    ok = ok && (world->rank || strstr(cz_error_message(), "disk of rank 0"));
    verdict(ok, "rank 0 does not wait for ever for a group that is deaf");
    cz_queue_close(lost);
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    cz_comm comm;
    if (cz_comm_world(&comm)) return 1;
    world = &comm;
    check_ranks();
    for (int ranks = 1; ranks <= comm.size; ranks++) {
        if (comm.size % ranks) continue;
        check_all_done(ranks);
        check_first_items(ranks);
        check_lost(ranks);
        check_waits(ranks);
        check_bad_system(ranks, 0);
        check_bad_system(ranks, comm.size / ranks - 1);
        check_signal(ranks, 0);
        check_signal(ranks, comm.size - 1);
        check_signal_in_wait(ranks);
    }
    check_few(0);
    check_few(1);
    check_failed_items();
    check_verdict_at_end(CZ_CUT);
    check_verdict_at_end(CZ_LOST);
    check_bad_source();
    check_serve();
    if (comm.size > 1) check_patience();
    cz_comm_free(&comm);
    MPI_Finalize();
    return check_done();
}
