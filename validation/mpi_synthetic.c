/* Synthetic cells: the same for any number of ranks and threads, with the margins promised. */
#include "check.h"
#include "czhpc/data.h"
#include "czhpc/rng.h"

#include <time.h>

static cz_config small_config(int cells, int width)
{
    cz_config config;
    memset(&config, 0, sizeof config);
    config.data.source = CZ_SOURCE_SYNTHETIC;
    strcpy(config.data.target_key, "donor_id");
    strcpy(config.data.label_key, "cell_type");
    config.data.adversary_keys.count = 1;
    strcpy(config.data.adversary_keys.name[0], "sex");
    config.synthetic.cells = cells;
    config.synthetic.width = width;
    config.split.train = 0.7;
    config.split.validation = 0.15;
    return config;
}

static bool all(const cz_comm *comm, bool mine)
{
    int own = mine, every = 0;
    MPI_Allreduce(&own, &every, 1, MPI_INT, MPI_LAND, comm->mpi);
    return every;
}

static bool load(cz_cells *cells, const cz_config *config, const cz_comm *comm, int threads)
{
    cz_pool *pool;
    cz_status status = cz_pool_open(&pool, threads);
    if (!status) status = cz_cells_load(cells, config, comm, pool);
    cz_pool_close(pool);
    return status == CZ_OK;
}

static bool same_column(const cz_column *a, const cz_column *b, int n)
{
    bool same = a->classes == b->classes && !strcmp(a->name, b->name) &&
                !memcmp(a->code, b->code, (size_t)n * sizeof *a->code);
    for (int k = 0; k < a->classes && same; k++) same = !strcmp(a->class_name[k], b->class_name[k]);
    return same;
}

/* This group's cells against those that each rank makes alone, with another number of threads. */
static void check_ranks(const cz_comm *comm, const cz_comm *alone, int cells, int width)
{
    cz_config config = small_config(cells, width);
    cz_cells shared, whole;
    bool loaded = load(&shared, &config, comm, 1);
    loaded = all(comm, load(&whole, &config, alone, 3) && loaded);
    bool same = false;
    if (loaded) {
        size_t n = (size_t)cells, first = (size_t)shared.begin[comm->rank],
               rows = (size_t)shared.begin[comm->rank + 1] - first;
        same = !memcmp(shared.x, whole.x + first * (size_t)width,
                       rows * (size_t)width * sizeof *shared.x) &&
               !memcmp(shared.row_hash, whole.row_hash, n * sizeof *shared.row_hash) &&
               !memcmp(shared.split, whole.split, n) &&
               same_column(&shared.target, &whole.target, cells) &&
               same_column(&shared.label, &whole.label, cells) &&
               same_column(&shared.adversary[0], &whole.adversary[0], cells) &&
               (comm->rank != 0) == (shared.cell_name == NULL);
    }
    same = all(comm, same);
    if (comm->rank == 0)
        check(same, "%d cells of %d features: the same bits as alone", cells, width);
    cz_cells_free(&shared);
    cz_cells_free(&whole);
}

static void check_refusals(const cz_comm *comm)
{
    cz_cells cells;
    cz_config config = small_config(0, 64);
    bool refused = !load(&cells, &config, comm, 1);
    cz_cells_free(&cells);
    cz_error_clear();
    config = small_config(100, 64);
    strcpy(config.data.label_key, "tissue");
    refused = !load(&cells, &config, comm, 1) && refused;
    if (comm->rank == 0)
        check(refused && strstr(cz_error_message(), "data.label_key names 'tissue'"),
              "no cells, or a column that is not there: refused");
    cz_cells_free(&cells);
    cz_error_clear();
}

static void check_speed(const cz_comm *comm)
{
    struct timespec begin, end;
    cz_config config = small_config(31780, 512);
    cz_cells cells;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    bool loaded = all(comm, load(&cells, &config, comm, 1));
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds =
        (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    int part[CZ_SPLITS] = {0};
    for (int i = 0; loaded && i < cells.n; i++) part[cells.split[i]]++;
    if (comm->rank == 0)
        check(loaded && cells.target.classes == 14 && cells.label.classes == 16 &&
                  cells.adversary[0].classes == 2,
              "the Census set's size: 14 donors, 16 types, 2 sexes, split %d/%d/%d, in %.2f s",
              part[0], part[1], part[2], seconds);
    cz_cells_free(&cells);
}

int main(void)
{
    cz_comm comm, alone;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &(int){0});
    if (cz_comm_world(&comm)) return 1;
    if (cz_comm_split(&alone, &comm, comm.rank)) return 1;
    check_ranks(&comm, &alone, 1, 32);
    check_ranks(&comm, &alone, 63, 33);
    check_ranks(&comm, &alone, 3001, 80);
    check_refusals(&comm);
    check_speed(&comm);
    cz_comm_free(&alone);
    cz_comm_free(&comm);
    MPI_Finalize();
    return check_done();
}
