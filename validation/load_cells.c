/* Loads the cells of a configuration as a job does, and prints what that took: for
 * compare_scanpy.py.
 *   mpirun -np N load_cells CONFIG [KEY=VALUE]... */
#include "czhpc/data.h"
#include "czhpc/log.h"

#include <stdio.h>
#include <sys/resource.h>

/* The largest over the ranks of what each has held at most so far, in MiB. */
static double peak_mib(const cz_comm *comm)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double mib = (double)usage.ru_maxrss / 1024;
    MPI_Allreduce(MPI_IN_PLACE, &mib, 1, MPI_DOUBLE, MPI_MAX, comm->mpi);
    return mib;
}

/* Each feature's part of the sum of their variances over all cells. Collective. */
static void print_variances(const cz_cells *cells, const cz_comm *comm)
{
    enum { MOST = 1024 };
    double sum[2 * MOST] = {0}, all = 0;
    int width = cells->width < MOST ? cells->width : MOST;
    int rows = cells->begin[comm->rank + 1] - cells->begin[comm->rank];
    for (int i = 0; i < rows; i++) {
        for (int k = 0; k < width; k++) {
            double v = cells->x[(size_t)i * (size_t)cells->width + (size_t)k];
            sum[k] += v;
            sum[MOST + k] += v * v;
        }
    }
    MPI_Allreduce(MPI_IN_PLACE, sum, 2 * MOST, MPI_DOUBLE, MPI_SUM, comm->mpi);
    for (int k = 0; k < width; k++)
        all += sum[k] = sum[MOST + k] / cells->n - sum[k] / cells->n * (sum[k] / cells->n);
    if (comm->rank > 0) return;
    printf("share");
    for (int k = 0; k < width; k++) printf(" %.8g", sum[k] / all);
    printf("\n");
}

static cz_status load(const char *path, const cz_override *overrides, int count,
                      const cz_comm *comm)
{
    cz_config config;
    cz_cells cells;
    cz_pool *pool;
    CZ_TRY(cz_config_load(&config, path, overrides, count));
    int threads = config.run.threads ? config.run.threads : cz_pool_cores(comm->node_size);
    CZ_TRY(cz_comm_agree(comm, cz_pool_open(&pool, threads, NULL)));
    double before = peak_mib(comm), started = MPI_Wtime();
    cz_status status = cz_cells_load(&cells, &config, comm, pool);
    double seconds = MPI_Wtime() - started, peak = peak_mib(comm);
    cz_pool_close(pool);
    if (status) return status;
    if (comm->rank == 0)
        printf("seconds %.3f\npeak_mib %.1f\nbefore_mib %.1f\ncells %d\nfeatures %s\n", seconds,
               peak, before, cells.n, cells.facts.features);
    print_variances(&cells, comm);
    cz_cells_free(&cells);
    return CZ_OK;
}

int main(int argc, char **argv)
{
    cz_data_serve_probe(argc, argv);
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    cz_override overrides[64];
    cz_comm comm;
    if (argc < 2 || argc - 2 > 64) {
        fprintf(stderr, "usage: %s CONFIG [KEY=VALUE]...\n", argv[0]);
        MPI_Finalize();
        return 2;
    }
    for (int i = 2; i < argc; i++) overrides[i - 2].text = argv[i];
    cz_status status = cz_comm_world(&comm);
    if (!status) {
        status = load(argv[1], overrides, argc - 2, &comm);
        if (status && comm.rank == 0) cz_print_error(cz_error_message());
        cz_comm_free(&comm);
    }
    MPI_Finalize();
    return status != CZ_OK;
}
