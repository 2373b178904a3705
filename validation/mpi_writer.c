/* Checkpoints that threads write beside the computation, of each rank its slice or rank 0 all: the
 * same files, failures that are told late but told, and MPI by two threads at once. */
#include "checkpoint_state.h"
#include "czhpc/log.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

static const char FIRST[] = "phase-1-epoch-001-step-000003.h5";

static cz_writer *writer;
static bool first_has_all;

/* make_state() with the slices that this test is about. */
static cz_checkpoint sliced_state(int seed, const cz_comm *comm)
{
    cz_checkpoint state = make_state(SMALL, CZ_F32, seed, comm);
    if (!first_has_all) return state;
    state.begin = comm->rank ? SMALL : 0;
    state.end = SMALL;
    return state;
}

static cz_status save(const char *folder, int seed, int best)
{
    cz_checkpoint state = sliced_state(seed, &world);
    static char config[64];
    if (!config[0]) snprintf(config, sizeof config, "%s", state.config);
    free(state.config);
    state.config = config; /* stays as it is, as the writer wants it */
    cz_status status = cz_writer_save(writer, path_of(folder, ""), &state, 2, best);
    state.config = NULL;
    forget(&state); /* what training does to it meanwhile */
    free_state(&state);
    return status;
}

static cz_status open_writer(const cz_comm *comm)
{
    cz_checkpoint shape = sliced_state(0, comm);
    cz_status status = cz_writer_open(&writer, &shape, comm);
    free_state(&shape);
    return status;
}

static bool same_files(const char *a, const char *b)
{
    char *one = NULL, *other = NULL;
    size_t size = 0, length = 1;
    bool same = !cz_file_read(a, &one, &size) && !cz_file_read(b, &other, &length) &&
                size == length && !memcmp(one, other, size);
    free(one);
    free(other);
    return same;
}

static void check_same_file(void)
{
    make_folder("main");
    make_folder("thread");
    cz_checkpoint state = make_state(SMALL, CZ_F32, 1, &world);
    cz_status status = cz_checkpoint_save(path_of("main", ""), &state, 2, 1, &world);
    free_state(&state);
    if (!status) status = save("thread", 1, 1);
    if (!status) status = cz_writer_wait(writer);
    check_all(!status && entries("thread") == 3, "the thread writes a state, the best and latest");
    check_all(world.rank || (same_files(path_of("main", FIRST), path_of("thread", FIRST)) &&
                             same_files(path_of("main", "best.h5"), path_of("thread", "best.h5")) &&
                             same_files(path_of("main", "latest"), path_of("thread", "latest"))),
              "they are to the byte what the main thread writes");
    check_all(!cz_writer_wait(writer) && !cz_writer_wait(writer), "waiting for nothing is fine");
}

static void check_succession(void)
{
    cz_status seen;
    make_folder("quick");
    bool ok = true;
    for (int seed = 1; seed <= 6; seed++) ok = !save("quick", seed, seed == 4) && ok;
    ok = !cz_writer_wait(writer) && ok;
    check_all(ok && entries("quick") == 4, "saves without a pause: the last two, and the best");
    check_all(load_seed(path_of("quick", ""), &seen) == 6 &&
                  load_seed(path_of("quick", "best.h5"), &seen) == 4,
              "each is the state as it was when it was saved, to the bit");
    ok = !save("quick", 7, 0);
    cz_writer_close(writer);
    check_all(ok && load_seed(path_of("quick", ""), &seen) == 7, "closing waits for the last");
    check_all(!open_writer(&world), "and another writer follows");
}

/* --- failures ------------------------------------------------------------------------ */

/* Files of rank 0 may have `most` bytes from now on. */
static void limit_files(rlim_t most)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
    if (world.rank == 0) setrlimit(RLIMIT_FSIZE, &limit);
}

/* A save whose failure the next call of `next` says, after which the folder holds state 1. */
static void expect_failure(const char *folder, const char *says, const char *next)
{
    cz_status seen, status = save(folder, 2, 1);
    bool handed = !status && !cz_error_message()[0];
    status = !strcmp(next, "save") ? save(folder, 3, 1) : cz_writer_wait(writer);
    snprintf(text, sizeof text, "%s: the next %s says so", says, next);
    check_all(handed && status == CZ_ERR_IO && said(says), text);
    check_all(!cz_writer_wait(writer) && (world.rank != 0 || entries(folder) == 2) &&
                  load_seed(path_of(folder, ""), &seen) == 1,
              "  once; nothing of it is left, and the state before is read");
}

static void check_failures_told(void)
{
    cz_status seen;
    signal(SIGXFSZ, SIG_IGN);
    make_folder("limit");
    check_all(!save("limit", 1, 0) && !cz_writer_wait(writer), "a state before the failures");
    limit_files(300000);
    expect_failure("limit", "File too large", "wait");
    expect_failure("limit", "File too large", "save");
    limit_files(RLIM_INFINITY);
    check_all(!save("limit", 4, 0) && !cz_writer_wait(writer) &&
                  load_seed(path_of("limit", ""), &seen) == 4,
              "after them the writer writes on");
    check_all(!save("nowhere", 1, 0) && cz_writer_wait(writer) == CZ_ERR_IO && said("No such file"),
              "a folder that is missing");

    cz_fail(CZ_ERR_INPUT, "an error of the main thread's");
    check_all(!save("nowhere", 1, 0) && cz_writer_wait(writer) == CZ_ERR_IO &&
                  (said("the main thread's") || world.rank),
              "its message does not take the place of an earlier one");
}

static void check_full_disk(void)
{
    int mounted = 0;
    make_folder("full");
    if (world.rank == 0) mounted = !mount("tmpfs", path_of("full", ""), "tmpfs", 0, "size=2500k");
    MPI_Bcast(&mounted, 1, MPI_INT, 0, world.mpi);
    if (!mounted) {
        if (world.rank == 0) check_skip("a disk that is full: a tmpfs cannot be mounted here");
        return;
    }
    check_all(!save("full", 1, 0) && !cz_writer_wait(writer), "a state that still has room");
    expect_failure("full", "No space left on device", "wait");
    if (world.rank == 0) umount(path_of("full", ""));
}

static void check_not_finite(void)
{
    cz_status seen;
    make_folder("finite");
    cz_checkpoint state = sliced_state(1, &world);
    cz_status status = cz_writer_save(writer, path_of("finite", ""), &state, 2, 0);
    if (!status) status = cz_writer_wait(writer);
    size_t at = SMALL - 1;
    if (at >= state.begin && at < state.end) set_number(&state, state.m, at, NAN);
    state.progress.epoch = 2;
    if (!status) status = cz_writer_save(writer, path_of("finite", ""), &state, 2, 0);
    check_all(!status && cz_writer_wait(writer) == CZ_ERR_DIVERGED && said("first moment") &&
                  load_seed(path_of("finite", ""), &seen) == 1,
              "a state that is not finite is not saved, whichever rank has it");
    free_state(&state);
}

/* --- MPI by two threads ---------------------------------------------------------------- */

/* Each group of ranks saves to its own folder, while the main threads of all add numbers up. */
static void check_groups(void)
{
    enum { SAVES = 8 };
    cz_comm group;
    char folder[32];
    cz_status seen;
    int colour = world.rank * 2 / world.size, wrong = 0;
    long sums = 0;
    cz_writer *of_all = writer;
    for (int g = 0; g < 2; g++) {
        snprintf(folder, sizeof folder, "group-%d", g);
        make_folder(folder);
    }
    snprintf(folder, sizeof folder, "group-%d", colour);
    bool ok = !cz_comm_split(&group, &world, colour) && !open_writer(&group);
    for (int seed = 1; seed <= SAVES && ok; seed++) {
        cz_checkpoint state = sliced_state(seed + colour, &group);
        free(state.config);
        state.config = "a group's";
        ok = !cz_writer_save(writer, path_of(folder, ""), &state, 2, 0);
        state.config = NULL;
        free_state(&state);
        for (int i = 0; i < 300; i++, sums++) {
            long sum = world.rank + sums;
            MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_LONG, MPI_SUM, world.mpi);
            wrong += sum != world.size * sums + (long)world.size * (world.size - 1) / 2;
        }
    }
    ok = !cz_writer_wait(writer) && ok;
    cz_writer_close(writer);
    cz_comm_free(&group);
    writer = of_all;
    check_all(ok && !wrong, "groups write while their main threads talk: every sum is right");
    for (int g = 0; g <= (world.size > 1); g++) {
        snprintf(folder, sizeof folder, "group-%d", g);
        snprintf(text, sizeof text, "  and the last state of group %d is there", g);
        int found = 0;
        cz_checkpoint state = make_state(SMALL, CZ_F32, 99, &world),
                      right = make_state(SMALL, CZ_F32, SAVES + g, &world);
        seen = cz_checkpoint_load(path_of(folder, ""), &state, 1, &found, &world);
        check_all(!seen && found && !memcmp(state.w, right.w, SMALL * sizeof(float)) &&
                      !strcmp(state.config, "a group's"),
                  text);
        free_state(&state);
        free_state(&right);
    }
}

/* With --churn FOLDER (rank 0 has all) or --slices FOLDER: saves state after state until it is
 * killed, telling each that is safe. */
static int churn(const char *folder)
{
    snprintf(root, sizeof root, "%s", folder);
    if (world.rank == 0) printf("pid %d\n", (int)getpid());
    for (int seed = 1; seed < 10000; seed++) {
        if (save(".", seed, seed % 3 == 0)) return 1;
        if (world.rank == 0 && seed > 1) printf("saved %d\n", seed - 1);
        fflush(stdout);
    }
    return 0;
}

/* Slices that the writer was not opened for would be lost. */
static void check_slices(void)
{
    cz_writer *other = NULL;
    cz_checkpoint shape = make_state(SMALL, CZ_F32, 0, &world);
    shape.begin = 0;
    shape.end = SMALL;
    cz_status status = cz_writer_open(&other, &shape, &world);
    check_all(status == CZ_ERR_BUG && !other && said("rank 0 saves all, rank 1"),
              "two ranks that both hold all are refused");
    free_state(&shape);
}

static void check_form(bool whole)
{
    first_has_all = whole;
    snprintf(root, sizeof root, "/tmp/mpi_writer-%d", (int)getpid());
    MPI_Bcast(root, sizeof root, MPI_CHAR, 0, world.mpi);
    make_folder(".");
    check_all(!open_writer(&world) && cz_writer_is_beside(writer),
              whole ? "a thread of rank 0 writes what it has, all"
                    : "threads of all ranks write their slices");
    check_same_file();
    check_succession();
    check_failures_told();
    check_full_disk();
    check_not_finite();
    check_groups();
    cz_writer_close(writer);
    if (world.rank == 0) cz_remove_folder(root);
    MPI_Barrier(world.mpi);
}

static int churn_in(const char *folder, bool whole)
{
    first_has_all = whole;
    int failed = open_writer(&world) || churn(folder);
    cz_writer_close(writer);
    return failed;
}

int main(int argc, char **argv)
{
    int provided, failed = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
    if (cz_comm_world(&world)) return 1;
    cz_log_set_speaker(false);
    if (argc > 2) {
        failed = churn_in(argv[2], !strcmp(argv[1], "--churn"));
    } else {
        if (provided == MPI_THREAD_MULTIPLE) check_form(false);
        else if (world.rank == 0) check_skip("slices: this MPI has no MPI_THREAD_MULTIPLE");
        check_form(true);
        if (world.size > 1) check_slices();
        failed = check_done();
    }
    cz_comm_free(&world);
    MPI_Finalize();
    return failed;
}
