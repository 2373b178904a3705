/* The profiles of several ranks that did different things, brought together. */
#include "check.h"

#include "czhpc/comm.h"
#include "czhpc/log.h"
#include "czhpc/profile.h"
#include "czhpc/report.h"

#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 2 };

static cz_comm world;

static void busy(double seconds)
{
    int64_t end = cz_profile_clock() + (int64_t)(1e9 * seconds);
    while (cz_profile_clock() < end) continue;
}

static cz_status step(void *context, int thread)
{
    (void)context, (void)thread;
    CZ_STEP("step");
    CZ_SPAN_FLOPS("product", 1e6);
    busy(1e-3);
    return CZ_OK;
}

/* Rank r works r + 1 times as long as rank 0; the last one does what no other does. */
static cz_status work(void)
{
    cz_pool *pool;
    CZ_TRY(cz_pool_open(&pool, THREADS, NULL));
    for (int i = 0; i <= world.rank; i++) {
        CZ_PHASE("uneven");
        busy(0.01);
    }
    if (world.rank == world.size - 1) {
        CZ_PHASE("of the last");
        busy(0.02);
    }
    cz_status status = CZ_OK;
    {
        CZ_PHASE("steps");
        for (int i = 0; i < 4; i++) status = cz_pool_run(pool, step, NULL);
    }
    cz_pool_close(pool);
    return status;
}

static const json_t *row_of(const json_t *table, const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach(table, i, row) if (!strcmp(json_string_value(json_object_get(row, "name")),
                                                  name)) return row;
    return NULL;
}

static double number(const json_t *of, const char *key)
{
    return json_number_value(json_object_get(of, key));
}

static void check_rows(const char *path)
{
    int ranks = world.size, last = world.size - 1;
    json_t *root = json_load_file(path, 0, NULL);
    const json_t *table = json_object_get(root, "table");
    const json_t *uneven = row_of(table, "uneven"), *own = row_of(table, "of the last");
    const json_t *product = row_of(table, "product"), *steps = row_of(table, "step");
    if (!check(uneven && own && product && steps, "all ranks' spans are in one table")) return;
    int calls = ranks * (ranks + 1) / 2;
    double mean = 0.01 * (ranks + 1) / 2;
    check(number(uneven, "calls") == calls && number(uneven, "seconds") >= mean &&
              number(uneven, "worst") >= 0.01 * ranks && number(own, "calls") == 1 &&
              number(own, "seconds") >= 0.02 / ranks && number(own, "worst_rank") == last &&
              fabs(number(own, "worst") - ranks * number(own, "seconds")) < 1e-6,
          "means over ranks, and the slowest one");
    check(json_is_true(json_object_get(product, "all_threads")) &&
              json_is_false(json_object_get(own, "all_threads")) &&
              json_is_true(json_object_get(product, "in_step")) &&
              json_is_false(json_object_get(uneven, "in_step")) &&
              number(product, "calls") == 4 * THREADS * ranks &&
              fabs(number(steps, "gflop") - 4e-3 * THREADS * ranks) < 1e-12 &&
              number(steps, "seconds") >= number(product, "seconds") &&
              number(product, "seconds") >= 4e-3,
          "of what threads share: the mean of a thread, and the products of all");
    bool seen[8] = {false};
    size_t i;
    json_t *event;
    json_array_foreach(json_object_get(root, "traceEvents"), i, event)
        seen[json_integer_value(json_object_get(event, "pid")) & 7] = true;
    bool all = true;
    for (int r = 0; r < ranks; r++) all = all && seen[r];
    check(all, "each rank's spans are in the trace");
    json_decref(root);
}

static void check_report(const char *folder)
{
    char path[CZ_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/profile.json", folder);
    cz_status status = cz_comm_agree(&world, cz_profile_open(cz_profile_clock(), 1000));
    if (!status) status = cz_comm_agree(&world, work());
    if (!status) status = cz_profile_report(folder, &world);
    if (world.rank == 0 && check(!status, "a report of %d ranks", world.size)) check_rows(path);
    if (world.rank == 0) unlink(path);
}

/* What cannot be written is an error on all ranks. */
static void check_refused(const char *folder)
{
    char path[CZ_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/profile.json", folder);
    if (world.rank == 0) mkdir(path, 0700);
    int failed = cz_profile_report(folder, &world) == CZ_ERR_IO, all = 0;
    MPI_Allreduce(&failed, &all, 1, MPI_INT, MPI_LAND, world.mpi);
    if (world.rank == 0) {
        check(all && strstr(cz_error_message(), "profile.json"), "a place where no file can be");
        rmdir(path);
    }
    cz_error_clear();
    cz_profile_close();
}

int main(int argc, char **argv)
{
    char folder[CZ_PATH_MAX] = "/tmp/czhpc-profile-XXXXXX";
    MPI_Init(&argc, &argv);
    if (cz_comm_world(&world)) return 1;
    cz_log_set_speaker(false);
    cz_status status = CZ_OK;
    if (world.rank == 0 && !mkdtemp(folder))
        status = cz_fail(CZ_ERR_IO, "%s cannot be made", folder);
    if (!cz_comm_broadcast(&world, status, folder, sizeof folder)) {
        check_report(folder);
        check_refused(folder);
        if (world.rank == 0) rmdir(folder);
    } else if (world.rank == 0) check(false, "a folder for the test");
    cz_comm_free(&world);
    MPI_Finalize();
    return check_done();
}
