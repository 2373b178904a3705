/* Checkpoints: written and read by any number of ranks, kept, damaged, refused. */
#include "../src/store/seal.h"
#include "checkpoint_state.h"
#include "czhpc/h5.h"
#include "czhpc/log.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

static cz_status save_seed(const char *folder, int seed, int keep, int best)
{
    cz_checkpoint state = make_state(SMALL, CZ_F32, seed, &world);
    cz_status status = cz_checkpoint_save(path_of(folder, ""), &state, keep, best, &world);
    free_state(&state);
    return status;
}

/* --- any number of ranks ------------------------------------------------------------- */

static void check_ranks(cz_dtype dtype)
{
    for (int writers = 1; writers <= world.size; writers++) {
        cz_comm comm;
        char folder[32];
        snprintf(folder, sizeof folder, "ranks-%d-%d", dtype, writers);
        make_folder(folder);
        cz_status status = cz_comm_split(&comm, &world, world.rank < writers);
        if (!status && world.rank < writers) {
            cz_checkpoint state = make_state(N, dtype, 5, &comm);
            status = cz_checkpoint_save(path_of(folder, ""), &state, 2, 0, &comm);
            free_state(&state);
        }
        cz_comm_free(&comm);
        MPI_Barrier(world.mpi);
        snprintf(text, sizeof text, "%s written by %d of %d ranks",
                 dtype == CZ_F64 ? "fp64" : "fp32", writers, world.size);
        check_all(!status && there(folder, "phase-1-epoch-005-step-000015.h5"), text);

        for (int readers = 1; readers <= world.size; readers++) {
            bool ok = true;
            status = cz_comm_split(&comm, &world, world.rank < readers);
            if (!status && world.rank < readers) {
                int found = 0, whole = readers % 2;
                cz_checkpoint right = make_state(N, dtype, 5, &comm),
                              state = make_state(N, dtype, 6, &comm);
                forget(&state);
                ok = !cz_checkpoint_load(path_of(folder, ""), &state, whole, &found, &comm) &&
                     found && same_state(&right, &state, whole);
                free_state(&state);
                free_state(&right);
            }
            cz_comm_free(&comm);
            snprintf(text, sizeof text, "  and read by %d", readers);
            check_all(ok && !status, text);
        }
    }
}

/* Raw bytes of a state dataset. */
static void read_raw(float *to, const char *folder, const char *name)
{
    hid_t file, set;
    if (cz_h5_open_file(&file, path_of(folder, "phase-1-epoch-005-step-000015.h5"))) return;
    if (!cz_h5_open_dataset(&set, file, name))
        H5Dread(set, H5T_IEEE_F32LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, to);
    cz_h5_close(&set);
    cz_h5_close(&file);
}

static void check_same_bytes(void)
{
    if (world.rank != 0) return;
    float *one = cz_alloc(N, sizeof *one, "one"), *other = cz_alloc(N, sizeof *other, "other");
    bool same = true;
    for (int writers = 2; writers <= world.size; writers++) {
        static const char *const names[] = {"state/w", "state/m", "state/v"};
        for (int i = 0; i < 3; i++) {
            char folder[32];
            snprintf(folder, sizeof folder, "ranks-%d-%d", CZ_F32, writers);
            memset(one, 1, N * sizeof *one);
            memset(other, 2, N * sizeof *other);
            read_raw(one, "ranks-0-1", names[i]);
            read_raw(other, folder, names[i]);
            same = same && !memcmp(one, other, N * sizeof *one);
        }
    }
    check(same, "datasets do not depend on the number of ranks");
    free(one);
    free(other);
}

/* All in the slice of the last rank; and slices that are no partition. */
static void check_slices(void)
{
    make_folder("slices");
    int found = 0;
    cz_checkpoint state = make_state(SMALL, CZ_F32, 2, &world),
                  read = make_state(SMALL, CZ_F32, 3, &world);
    state.begin = read.begin = world.rank == world.size - 1 ? 0 : 0;
    state.end = read.end = world.rank == world.size - 1 ? SMALL : 0;
    cz_status status = cz_checkpoint_save(path_of("slices", ""), &state, 1, 0, &world);
    forget(&read);
    if (!status) status = cz_checkpoint_load(path_of("slices", ""), &read, 0, &found, &world);
    check_all(!status && found && same_state(&state, &read, false), "ranks without a slice");

    state.end -= world.rank == world.size - 1 ? 16 : 0;
    status = cz_checkpoint_save(path_of("slices", ""), &state, 1, 0, &world);
    check_all(status == CZ_ERR_BUG && said("70000 elements of 70016"),
              "slices that leave a gap are refused");
    free_state(&state);
    free_state(&read);
}

/* --- a folder's life ----------------------------------------------------------------- */

static void check_retention(void)
{
    cz_status status;
    make_folder("keep");
    check_all(load_seed(path_of("keep", ""), &status) == -1 && !status,
              "an empty folder holds none");
    check_all(load_seed(path_of("never", "made"), &status) == -1 && !status,
              "nor does a missing one");
    check_all(load_seed(path_of("keep", "x.h5"), &status) == -1 && status == CZ_ERR_INPUT &&
                  said("No such file"),
              "a missing file is an error");

    bool ok = true;
    for (int seed = 1; seed <= 5; seed++) ok = !save_seed("keep", seed, 2, seed == 2) && ok;
    check_all(ok && entries("keep") == 4 && there("keep", "phase-1-epoch-005-step-000015.h5") &&
                  there("keep", "phase-1-epoch-004-step-000012.h5") && there("keep", "latest"),
              "the last 2, the best and the pointer are kept");
    check_all(load_seed(path_of("keep", ""), &status) == 5, "the latest is read");
    check_all(load_seed(path_of("keep", "best.h5"), &status) == 2, "the best is still there");
    check_all(load_seed(path_of("keep", "phase-1-epoch-004-step-000012.h5"), &status) == 4,
              "a file by its name");

    ok = !save_seed("keep", 5, 2, 1) && !save_seed("keep", 5, 2, 1);
    check_all(ok && entries("keep") == 4 && load_seed(path_of("keep", "best.h5"), &status) == 5,
              "the same state again, twice the best");
    if (world.rank == 0) {
        close(open(path_of("keep", "phase-1-epoch-009-step-000000.h5.tmp"), O_CREAT | O_WRONLY,
                   0666));
        close(open(path_of("keep", "mine.tmp"), O_CREAT | O_WRONLY, 0666));
    }
    MPI_Barrier(world.mpi);
    check_all(load_seed(path_of("keep", ""), &status) == 5, "a half written file is ignored");
    ok = !save_seed("keep", 3, 2, 0); /* an earlier state was resumed */
    check_all(ok && load_seed(path_of("keep", ""), &status) == 3 &&
                  !there("keep", "phase-1-epoch-005-step-000015.h5"),
              "a course that was given up is removed");
    check_all(!there("keep", "phase-1-epoch-009-step-000000.h5.tmp") && there("keep", "mine.tmp"),
              "the next save removes what a killed run left, and nothing else");
}

/* --- damage -------------------------------------------------------------------------- */

/* Without fsync: a hundred of them would be slow. */
static void write_plain(const char *path, const char *bytes, off_t size)
{
    FILE *file = fopen(path, "w");
    if (!file || fwrite(bytes, 1, (size_t)size, file) != (size_t)size) printf("FAIL %s\n", path);
    if (file) fclose(file);
}

/* Changes a byte, or cuts the file there. */
static void damage(const char *path, off_t at, bool cut)
{
    char byte = 0;
    int fd = open(path, O_RDWR);
    if (fd < 0 || (cut ? ftruncate(fd, at) : 0)) printf("FAIL cannot damage %s\n", path);
    if (!cut && pread(fd, &byte, 1, at) == 1) {
        byte ^= 0x10;
        if (pwrite(fd, &byte, 1, at) != 1) printf("FAIL cannot damage %s\n", path);
    }
    close(fd);
}

static off_t size_of(const char *path)
{
    struct stat status;
    return stat(path, &status) ? 0 : status.st_size;
}

static void unseal(const char *path)
{
    if (truncate(path, size_of(path) - 24)) printf("FAIL cannot unseal\n");
}

static bool log_has(const char *part)
{
    static char log[1 << 16];
    if (world.rank != 0) return true;
    int fd = open(path_of(".", "log"), O_RDONLY);
    ssize_t size = read(fd, log, sizeof log - 1);
    close(fd);
    log[size > 0 ? size : 0] = 0;
    return strstr(log, part) != NULL;
}

static const char LAST[] = "phase-1-epoch-003-step-000009.h5";
static const char BEFORE[] = "phase-1-epoch-002-step-000006.h5";

static void three_states(const char *folder)
{
    make_folder(folder);
    for (int seed = 1; seed <= 3; seed++)
        if (save_seed(folder, seed, 3, 0) && world.rank == 0)
            printf("FAIL %s\n", cz_error_message());
}

static void check_fallback(void)
{
    cz_status status;
    three_states("fall");
    if (world.rank == 0) {
        cz_log_open(path_of(".", "log"));
        damage(path_of("fall", LAST), size_of(path_of("fall", LAST)) / 2, true);
    }
    MPI_Barrier(world.mpi);
    check_all(load_seed(path_of("fall", ""), &status) == 2,
              "a latest that was cut: the one before is read");
    check_all(log_has(LAST) && log_has("trying phase-1-epoch-002"), "and a warning names both");
    check_all(load_seed(path_of("fall", LAST), &status) == -1 && status == CZ_ERR_INPUT &&
                  said("cut short"),
              "named itself, it is an error");
    if (world.rank == 0) damage(path_of("fall", BEFORE), 3000, false);
    MPI_Barrier(world.mpi);
    check_all(load_seed(path_of("fall", ""), &status) == 1, "two damaged: the third");
    if (world.rank == 0) unlink(path_of("fall", LAST));
    MPI_Barrier(world.mpi);
    check_all(load_seed(path_of("fall", ""), &status) == 1 && log_has("No such file"),
              "a latest that is gone is told");
    if (world.rank == 0) damage(path_of("fall", "phase-1-epoch-001-step-000003.h5"), 0, true);
    MPI_Barrier(world.mpi);
    check_all(load_seed(path_of("fall", ""), &status) == -1 && status == CZ_ERR_INPUT &&
                  said("no checkpoint in it can be read"),
              "all damaged: an error that says so");
    check_all(!save_seed("fall", 4, 3, 0) && load_seed(path_of("fall", ""), &status) == 4,
              "and the folder can be saved to");
}

/* A chunk that Fletcher32 refuses while the seal holds: one rank alone sees it. */
static void check_fletcher(void)
{
    cz_status status;
    three_states("chunk");
    if (world.rank == 0) {
        const char *path = path_of("chunk", LAST);
        hid_t file, set;
        haddr_t at = 0;
        hsize_t corner, size;
        unsigned mask;
        unseal(path);
        if (!cz_h5_open_file(&file, path) && !cz_h5_open_dataset(&set, file, "state/m")) {
            hid_t space = H5Dget_space(set);
            H5Dget_chunk_info(set, space, 1, &corner, &mask, &at, &size);
            cz_h5_close(&space);
        }
        cz_h5_close(&set);
        cz_h5_close(&file);
        damage(path, (off_t)at + 100, false);
        if (at == 0 || cz_seal(path)) printf("FAIL no chunk to damage\n");
    }
    MPI_Barrier(world.mpi);
    check_all(load_seed(path_of("chunk", LAST), &status) == -1 && status == CZ_ERR_INPUT &&
                  said("state/m"),
              "a chunk that fails on its owner ends all ranks");
    check_all(load_seed(path_of("chunk", ""), &status) == 2, "or makes them read the one before");
}

/* Random cuts, flips and garbage: never a crash, a hang, or a wrong state. */
static void check_random_damage(void)
{
    int trials = 80 / world.size * 3, wrong = 0, errors = 0;
    char *good = NULL;
    three_states("random");
    cz_log_set_speaker(false); /* a hundred warnings */
    const char *path = path_of("random", LAST);
    off_t size = size_of(path);
    cz_rng rng = cz_rng_open(7, 0, 0, 200, 0);
    if (world.rank == 0) {
        good = cz_alloc((size_t)size, 1, "a copy");
        int fd = open(path, O_RDONLY);
        if (read(fd, good, (size_t)size) != size) wrong++;
        close(fd);
    }
    MPI_Barrier(world.mpi);
    for (int trial = 0; trial < trials; trial++) {
        cz_status status;
        uint32_t kind = cz_rng_below(&rng, 4), at = cz_rng_below(&rng, (uint32_t)size);
        if (kind == 3) at = cz_rng_below(&rng, 8192);
        path = path_of("random", LAST);
        if (world.rank == 0) {
            write_plain(path, good, size);
            damage(path, at, kind == 0);
            for (int more = 0; kind == 2 && more < 50; more++)
                damage(path, cz_rng_below(&rng, (uint32_t)size), false);
        }
        MPI_Barrier(world.mpi);
        if (trial % 3) {
            int seed = load_seed(path_of("random", ""), &status);
            if (seed != 2 || status) wrong++;
        } else {
            int seed = load_seed(path, &status);
            if (seed != -1 || status != CZ_ERR_INPUT || (world.rank == 0 && !cz_error_message()[0]))
                wrong++;
            errors += status == CZ_ERR_INPUT;
            cz_error_clear();
        }
    }
    snprintf(text, sizeof text, "%d random damages: %d clean errors, all others fall back", trials,
             errors);
    check_all(!wrong && errors == trials / 3, text);
    free(good);
    cz_log_set_speaker(world.rank == 0);
}

/* Files that are none of ours: garbage, empty, another HDF5 file, the same with a seal. */
static void check_foreign(void)
{
    cz_status status;
    make_folder("foreign");
    if (world.rank == 0) {
        cz_write_file(path_of("foreign", "garbage.h5"), root, sizeof root);
        cz_write_file(path_of("foreign", "empty.h5"), "", 0);
        hid_t file =
            H5Fcreate(path_of("foreign", "other.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        cz_h5_close(&file);
        file = H5Fcreate(path_of("foreign", "sealed.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        hid_t meta = H5Gcreate2(file, "meta", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        cz_h5_write_int(meta, "schema", 1);
        cz_h5_close(&meta);
        cz_h5_close(&file);
        cz_seal(path_of("foreign", "sealed.h5"));
        char *zeros = cz_alloc(5000, 1, "zeros");
        cz_write_file(path_of("foreign", "zeros.h5"), zeros, 5000);
        cz_seal(path_of("foreign", "zeros.h5"));
        free(zeros);
    }
    MPI_Barrier(world.mpi);
    static const char *const names[] = {"garbage.h5", "empty.h5", "other.h5", "sealed.h5",
                                        "zeros.h5"};
    static const char *const says[] = {"does not end as", "does not end as", "does not end as",
                                       "/meta/backend: attribute is missing", "not an HDF5 file"};
    for (int i = 0; i < 5; i++) {
        snprintf(text, sizeof text, "%s is refused: %s", names[i], says[i]);
        check_all(load_seed(path_of("foreign", names[i]), &status) == -1 &&
                      status == CZ_ERR_INPUT && said(says[i]),
                  text);
    }
}

/* --- what must fit ------------------------------------------------------------------- */

/* Loads with something changed; the message must have `says` in it. */
static void expect_refusal(const char *what, cz_checkpoint *state, const char *says)
{
    int found = 7;
    free(state->config);
    state->config = NULL;
    cz_status status = cz_checkpoint_load(path_of("fit", ""), state, 0, &found, &world);
    check_all(status == CZ_ERR_INPUT && !found && !state->config && said(says), what);
}

static void check_fit(void)
{
    make_folder("fit");
    save_seed("fit", 1, 2, 0);
    save_seed("fit", 2, 2, 0);
    cz_param_entry other[PARAMS + 1];
    cz_checkpoint state = make_state(SMALL, CZ_F32, 9, &world);
    state.params = other;

    memcpy(other, table, sizeof table);
    strcpy(other[2].name, "head.0.weight");
    expect_refusal("another name", &state,
                   "parameter 2 is head.weight (700, 70) at 16640 there, head.0.weight (700, 70)");
    memcpy(other, table, sizeof table);
    other[3].dim[0] = 14;
    expect_refusal("another shape", &state,
                   "parameter 3 is head.bias (700) at 65648 there, head.bias (14)");
    memcpy(other, table, sizeof table);
    other[1].offset = 16400;
    expect_refusal("another place", &state,
                   "omics.bias (250) at 16384 there, omics.bias (250) at 16400");
    memcpy(other, table, sizeof table);
    state.count = PARAMS - 1;
    expect_refusal("a parameter less", &state,
                   "parameter 3 is head.bias (700) at 65648 there, none here");
    other[PARAMS] = (cz_param_entry){"more", 1, {3, 0}, 66352};
    state.count = PARAMS + 1;
    expect_refusal("a parameter more", &state, "parameter 4 is none there, more (3) at 66352 here");
    state.count = PARAMS;
    state.config_hash = 0x17;
    expect_refusal("another configuration", &state,
                   "hash f123456789abcdef, this one 0000000000000017");
    state.config_hash = 0;
    state.data_hash = 43;
    expect_refusal("other cells", &state, "other cells");
    state.data_hash = 0;
    state.n += 16;
    expect_refusal("another length", &state, "has 70016 elements, 70032 expected");
    free_state(&state);
    state = make_state(SMALL, CZ_F64, 9, &world);
    expect_refusal("another precision", &state, "/state/w was not saved in fp64");
    free_state(&state);

    cz_status status;
    const char *latest = path_of("fit", BEFORE);
    if (world.rank == 0) {
        unseal(latest);
        cz_h5_quiet();
        hid_t file = H5Fopen(latest, H5F_ACC_RDWR, H5P_DEFAULT);
        hid_t meta = H5Gopen2(file, "meta", H5P_DEFAULT);
        cz_h5_write_int(meta, "schema", 2);
        cz_h5_close(&meta);
        cz_h5_close(&file);
        cz_seal(latest);
    }
    MPI_Barrier(world.mpi);
    check_all(load_seed(path_of("fit", ""), &status) == -1 && status == CZ_ERR_INPUT &&
                  said("has schema 2, this czhpc reads 1"),
              "a newer schema is refused, not skipped");
}

/* --- what cannot be saved ------------------------------------------------------------ */

static void check_not_finite(void)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    static const char *const says[] = {"second moment of head.weight", "first moment of omics.bias",
                                       "weight of padding"};
    static const size_t at[] = {60000, 16384 + 249, SMALL - 1};
    make_folder("finite");
    save_seed("finite", 1, 2, 0);
    for (int i = 0; i < 3; i++) {
        cz_status seen;
        cz_checkpoint state = make_state(SMALL, i == 1 ? CZ_F64 : CZ_F32, 2, &world);
        void *array = i == 0 ? state.v : i == 1 ? state.m : state.w;
        if (at[i] >= state.begin && at[i] < state.end) set_number(&state, array, at[i], bad[i]);
        cz_status status = cz_checkpoint_save(path_of("finite", ""), &state, 2, 1, &world);
        snprintf(text, sizeof text, "a state that is not finite is not saved: %s", says[i]);
        check_all(status == CZ_ERR_DIVERGED && said(says[i]) && entries("finite") == 2 &&
                      load_seed(path_of("finite", ""), &seen) == 1,
                  text);
        free_state(&state);
    }
}

/* A save that must fail with `says`, and leave the folder as it was; files of rank 0 may have
 * `limit` bytes meanwhile. */
static void expect_failed_save(const char *what, const char *folder, const char *says, rlim_t limit)
{
    struct rlimit old, low;
    getrlimit(RLIMIT_FSIZE, &old);
    low = old;
    low.rlim_cur = limit;
    if (world.rank == 0) setrlimit(RLIMIT_FSIZE, &low);
    cz_status seen, status = save_seed(folder, 2, 2, 1);
    if (world.rank == 0) setrlimit(RLIMIT_FSIZE, &old);
    check_all(status == CZ_ERR_IO && said(says) && (world.rank != 0 || entries(folder) == 2) &&
                  load_seed(path_of(folder, ""), &seen) == 1,
              what);
}

static void check_disk(void)
{
    signal(SIGXFSZ, SIG_IGN);
    make_folder("limit");
    save_seed("limit", 1, 2, 0);
    expect_failed_save("a file that may not grow", "limit", "File too large", 300000);
    expect_failed_save("not even to its table", "limit", "File too large", 2000);

    int mounted = 0;
    make_folder("full");
    if (world.rank == 0) mounted = !mount("tmpfs", path_of("full", ""), "tmpfs", 0, "size=2500k");
    MPI_Bcast(&mounted, 1, MPI_INT, 0, world.mpi);
    if (mounted) {
        save_seed("full", 1, 2, 0);
        expect_failed_save("a disk that is full", "full", "No space left on device", RLIM_INFINITY);
        if (world.rank == 0) umount(path_of("full", ""));
    } else if (world.rank == 0) {
        check_skip("a disk that is full: a tmpfs cannot be mounted here");
    }

    if (world.rank == 0) cz_write_file(path_of(".", "file"), "x", 1);
    MPI_Barrier(world.mpi);
    cz_status status = save_seed("file", 1, 2, 0);
    check_all(status == CZ_ERR_IO && said("Not a directory"), "a file in place of the folder");
    status = save_seed("nowhere", 1, 2, 0);
    check_all(status == CZ_ERR_IO && said("No such file"), "a folder that is missing");
}

/* With --time: the cost of base.yaml's state. */
static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static int measure(void)
{
    enum { BASE = 2230560, ROUNDS = 10 };
    make_folder("time");
    int found;
    cz_checkpoint state = make_state(BASE, CZ_F32, 1, &world);
    for (int i = 0; i < ROUNDS; i++) {
        state.progress.step = i;
        MPI_Barrier(world.mpi);
        double start = MPI_Wtime(), cpu = cpu_seconds();
        cz_status status = cz_checkpoint_save(path_of("time", ""), &state, 3, i % 2, &world);
        double saved = MPI_Wtime() - start;
        cpu = cpu_seconds() - cpu;
        if (!status) status = cz_checkpoint_load(path_of("time", ""), &state, 1, &found, &world);
        if (world.rank == 0)
            printf("save %.1f ms (%.1f ms of CPU on rank 0), load %.1f ms%s%s\n", 1e3 * saved,
                   1e3 * cpu, 1e3 * (MPI_Wtime() - start - saved), status ? ": " : "",
                   cz_error_message());
    }
    free_state(&state);
    return 0;
}

/* With --churn FOLDER: saves state after state until it is killed, telling each that is safe. */
static int churn(const char *folder)
{
    if (world.rank == 0) printf("pid %d\n", (int)getpid());
    for (int seed = 1; seed < 10000; seed++) {
        cz_checkpoint state = make_state(SMALL, CZ_F32, seed, &world);
        cz_status status = cz_checkpoint_save(folder, &state, 2, seed % 3 == 0, &world);
        free_state(&state);
        if (status) return 1;
        if (world.rank == 0) printf("saved %d\n", seed);
        fflush(stdout);
    }
    return 0;
}

/* With --verify FOLDER: tells which state is found, if it is right to the bit. */
static int verify(const char *folder)
{
    cz_status status;
    int seed = load_seed(folder, &status);
    if (world.rank == 0) printf("found %d %s\n", seed, cz_error_message());
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0;
    MPI_Init(&argc, &argv);
    if (cz_comm_world(&world)) return 1;
    cz_log_set_speaker(world.rank == 0);
    if (argc > 2) {
        failed = !strcmp(argv[1], "--churn") ? churn(argv[2]) : verify(argv[2]);
        cz_comm_free(&world);
        MPI_Finalize();
        return failed;
    }
    snprintf(root, sizeof root, "/tmp/mpi_checkpoint-%d", (int)getpid());
    MPI_Bcast(root, sizeof root, MPI_CHAR, 0, world.mpi);
    make_folder(".");
    if (argc > 1) {
        failed = measure();
    } else {
        check_ranks(CZ_F32);
        check_same_bytes();
        check_ranks(CZ_F64);
        check_slices();
        check_retention();
        check_fallback();
        check_fletcher();
        check_random_damage();
        check_foreign();
        check_fit();
        check_not_finite();
        check_disk();
        failed = check_done();
    }
    cz_log_close();
    MPI_Barrier(world.mpi);
    if (world.rank == 0) cz_remove_folder(root);
    cz_comm_free(&world);
    MPI_Finalize();
    return failed;
}
