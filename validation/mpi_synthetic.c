/* Synthetic cells: the same for any number of ranks and threads, with the margins promised. */
#include "check.h"
#include "czhpc/data.h"
#include "czhpc/rng.h"

#include <time.h>

static cz_config small_config(int cells, int width)
{
    cz_config config;
    cz_config_defaults(&config);
    config.data.source = CZ_SOURCE_SYNTHETIC;
    config.synthetic.cells = cells;
    config.synthetic.width = width;
    return config;
}

static bool all(const cz_comm *comm, bool mine)
{
    int own = mine, every = 0;
    MPI_Allreduce(&own, &every, 1, MPI_INT, MPI_LAND, comm->mpi);
    return every;
}

/* A source of cells: with their split, or (too few to be split) without. */
typedef cz_status source(cz_cells *cells, const cz_config *config, const cz_comm *comm,
                         cz_pool *pool);

static bool make(cz_cells *cells, source *from, const cz_config *config, const cz_comm *comm,
                 int threads)
{
    cz_pool *pool;
    cz_status status = cz_pool_open(&pool, threads, NULL);
    if (!status) status = from(cells, config, comm, pool);
    cz_pool_close(pool);
    return status == CZ_OK;
}

static bool load(cz_cells *cells, const cz_config *config, const cz_comm *comm, int threads)
{
    return make(cells, cz_cells_load, config, comm, threads);
}

static bool same_column(const cz_column *a, const cz_column *b, int n)
{
    bool same = a->classes == b->classes && !strcmp(a->name, b->name) &&
                !memcmp(a->code, b->code, (size_t)n * sizeof *a->code);
    for (int k = 0; k < a->classes && same; k++) same = !strcmp(a->class_name[k], b->class_name[k]);
    return same;
}

/* This group's cells against those that each rank makes alone, with another number of threads. */
static void check_ranks(const cz_comm *comm, const cz_comm *alone, source *from, int cells,
                        int width)
{
    cz_config config = small_config(cells, width);
    cz_cells shared, whole;
    bool loaded = make(&shared, from, &config, comm, 1);
    loaded = all(comm, make(&whole, from, &config, alone, 3) && loaded);
    bool same = false;
    if (loaded) {
        size_t n = (size_t)cells, first = (size_t)shared.begin[comm->rank],
               rows = (size_t)shared.begin[comm->rank + 1] - first;
        same = !memcmp(shared.x, whole.x + first * (size_t)width,
                       rows * (size_t)width * sizeof *shared.x) &&
               !memcmp(shared.row_hash, whole.row_hash, n * sizeof *shared.row_hash) &&
               (!shared.split || !memcmp(shared.split, whole.split, n)) &&
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

static bool same_score(double a, double b, double tolerance)
{
    return isnan(a) ? isnan(b) : fabs(a - b) <= tolerance;
}

/* The optimum of this group against that of each rank alone. */
static void check_optimum(const cz_comm *comm, const cz_comm *alone, const char *target)
{
    cz_config config = small_config(2500, 64);
    config.synthetic.preset = CZ_LABEL_INFORMATIVE;
    strcpy(config.data.target_key, target);
    cz_cells shared, whole;
    cz_optimum a = {0}, b = {0};
    cz_pool *pool;
    bool right = load(&shared, &config, comm, 1);
    right = load(&whole, &config, alone, 1) && right;
    if (!all(comm, right) || cz_pool_open(&pool, 2, NULL)) exit(1);
    right = !cz_cells_optimum(&a, &shared, &config, CZ_TEST, comm, pool);
    right = !cz_cells_optimum(&b, &whole, &config, CZ_TEST, alone, pool) && right;
    cz_pool_close(pool);
    int test = 0;
    for (int i = 0; i < shared.n; i++) test += shared.split[i] == CZ_TEST;
    /* The discriminant's sums round in another order: one cell on the border may change. */
    right = right && same_score(a.with_label, b.with_label, 0) &&
            same_score(a.without_label, b.without_label, 0) &&
            same_score(a.discriminant, b.discriminant, 1.5 / test) && a.discriminant > 0.1 &&
            isnan(a.with_label) == (strcmp(target, "donor_id") != 0);
    right = all(comm, right);
    if (comm->rank == 0)
        check(right, "optimum of %s: with %.3f, without the label %.3f, discriminant %.3f", target,
              a.with_label, a.without_label, a.discriminant);
    cz_cells_free(&shared);
    cz_cells_free(&whole);
}

/* Cells that were written and read back as any other file. */
static void check_file(const cz_comm *comm)
{
    char path[64] = "";
    if (comm->rank == 0) {
        snprintf(path, sizeof path, "/tmp/mpi_synthetic-XXXXXX");
        if (!mkdtemp(path)) exit(1);
        strcat(path, "/cells.h5ad");
    }
    MPI_Bcast(path, sizeof path, MPI_CHAR, 0, comm->mpi);
    cz_config config = small_config(1111, 48);
    cz_cells made = {0}, got = {0};
    cz_pool *pool;
    bool same = !cz_pool_open(&pool, 1, NULL) && !cz_synthetic_write(path, &config, comm, pool) &&
                load(&made, &config, comm, 1);
    config.data.source = CZ_SOURCE_H5AD;
    config.data.features = CZ_FEATURES_OBSM;
    strcpy(config.data.obsm, "geneformer");
    config.data.h5ad.count = 1;
    strcpy(config.data.h5ad.text[0], path);
    same = same && load(&got, &config, comm, 1) && got.n == made.n && got.width == made.width;
    if (same) {
        size_t rows = (size_t)(made.begin[comm->rank + 1] - made.begin[comm->rank]);
        same = !memcmp(made.x, got.x, rows * (size_t)made.width * sizeof *made.x) &&
               !memcmp(made.split, got.split, (size_t)made.n) &&
               same_column(&made.target, &got.target, made.n) &&
               same_column(&made.label, &got.label, made.n) &&
               same_column(&made.adversary[0], &got.adversary[0], made.n);
        for (int i = 0; i < made.n && comm->rank == 0 && same; i++)
            same = !strcmp(made.cell_name[i], got.cell_name[i]);
    }
    same = all(comm, same);
    if (comm->rank == 0) {
        check(same, "a written file is read back as the same cells %s", cz_error_message());
        remove(path);
    }
    cz_error_clear();

    char *name = strrchr(path, '/');
    strcpy(name, "/no/cells.h5ad");
    bool refused = cz_synthetic_write(path, &config, comm, pool) == CZ_ERR_IO;
    refused = all(comm, refused);
    if (comm->rank == 0) {
        check(refused && strstr(cz_error_message(), "cannot be created"),
              "a folder that is not there: refused on every rank");
        *name = 0;
        remove(path);
    }
    cz_error_clear();
    cz_pool_close(pool);
    cz_cells_free(&made);
    cz_cells_free(&got);
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

int main(int argc, char **argv)
{
    cz_data_serve_probe(argc, argv);
    cz_comm comm, alone;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &(int){0});
    if (cz_comm_world(&comm)) return 1;
    if (cz_comm_split(&alone, &comm, comm.rank)) return 1;
    check_ranks(&comm, &alone, cz_synthetic_cells, 1, 32);
    check_ranks(&comm, &alone, cz_cells_load, 63, 33);
    check_ranks(&comm, &alone, cz_cells_load, 3001, 80);
    check_refusals(&comm);
    check_optimum(&comm, &alone, "donor_id");
    check_optimum(&comm, &alone, "library_id");
    check_file(&comm);
    check_speed(&comm);
    cz_comm_free(&alone);
    cz_comm_free(&comm);
    MPI_Finalize();
    return check_done();
}
