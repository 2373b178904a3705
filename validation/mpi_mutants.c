/* Damaged AnnData files: each ends in success or one clear error within 10 s, the same on every
 * rank, and the process lives on. By seed, from the committed files, on several configurations.
 *   CZHPC_MUTANTS=N    how many (3,000 by make mutants); else a sample
 *   CZHPC_MUTANT=SEED  the first; without the other that one alone, kept as mutant.h5ad */
#include "check.h"
#include "czhpc/data.h"
#include "czhpc/log.h"
#include "mutate.h"

#include <glob.h>

static cz_comm comm;
static cz_pool *pool;
static char path[64];

static void copy(const char *from, const char *to)
{
    static char bytes[1 << 20];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    size_t size = in ? fread(bytes, 1, sizeof bytes, in) : 0;
    if (!out || !size || fwrite(bytes, 1, size, out) != size) MPI_Abort(comm.mpi, 4);
    fclose(in);
    fclose(out);
}

/* What is asked of a file: every matrix and several kinds of columns in turn; of a file that has
 * but one of each, always that. */
static cz_config config_of(uint64_t seed, const char *source)
{
    static const struct {
        const char *matrix, *obsm, *target;
    } asked[] = {
        {"X", "", "donor_id"},
        {"", "geneformer", "donor_id"},
        {"X", "", "fixed"},
        {"layer:wide", "", "donor_id"},
        {"raw", "", "donor_id"},
        {"", "double", "donor_id"},
        {"X", "", "dataset_id+donor_id"},
    };
    bool many = strstr(source, "forms.h5ad") != NULL;
    size_t which = !many ? 0 : cz_hash(1, &seed, sizeof seed) % (sizeof asked / sizeof *asked);
    cz_config config;
    cz_config_defaults(&config);
    config.data.source = CZ_SOURCE_H5AD;
    config.data.features = asked[which].obsm[0] ? CZ_FEATURES_OBSM : CZ_FEATURES_COUNTS;
    config.data.missing = CZ_MISSING_DROP;
    config.data.h5ad.count = 1;
    snprintf(config.data.h5ad.text[0], CZ_PATH_MAX, "%s", path);
    if (asked[which].matrix[0]) strcpy(config.data.matrix, asked[which].matrix);
    strcpy(config.data.obsm, asked[which].obsm);
    strcpy(config.data.target_key, asked[which].target);
    return config;
}

typedef struct tally {
    int loaded, refused, wrong;
    double longest;
} tally;

/* Whether the outcome is one that a user can do something with. */
static bool is_clear(cz_status status)
{
    const char *message = cz_error_message();
    if (comm.rank > 0 || !status) return !message[0];
    return (status == CZ_ERR_INPUT || status == CZ_ERR_CONFIG) && strlen(message) > 20 &&
           !strchr(message, '\n');
}

static void try_mutant(tally *sum, uint64_t seed, const char *source)
{
    const char *kind = "";
    cz_cells cells;
    if (comm.rank == 0) {
        copy(source, path);
        kind = mutate(path, seed);
        fprintf(stderr, "mutant %llu of %s: %s\n", (unsigned long long)seed, source, kind);
        if (getenv("CZHPC_MUTANT") && !getenv("CZHPC_MUTANTS")) copy(path, "mutant.h5ad");
    }
    MPI_Barrier(comm.mpi);
    cz_config config = config_of(seed, source);
    alarm(60); /* ends the test where a rank hangs; the line above tells of which */
    double began = MPI_Wtime();
    cz_status status = cz_cells_load(&cells, &config, &comm, pool);
    double seconds = MPI_Wtime() - began;
    alarm(0);
    int facts[3] = {status, -(int)status, !is_clear(status)};
    MPI_Allreduce(MPI_IN_PLACE, facts, 3, MPI_INT, MPI_MAX, comm.mpi);
    bool wrong = facts[0] != -facts[1] || facts[2] || seconds > 10;
    if (comm.rank == 0) fprintf(stderr, "     %.1f s: %s\n", seconds, cz_error_message());
    if (wrong && comm.rank == 0)
        check(false, "mutant %llu of %s (%s): status %d, %.1f s: %s", (unsigned long long)seed,
              source, kind, status, seconds, cz_error_message());
    if (!status) cz_cells_free(&cells);
    cz_error_clear();
    sum->wrong += wrong;
    sum->loaded += !status;
    sum->refused += status != CZ_OK;
    if (seconds > sum->longest) sum->longest = seconds;
}

static void try_all(const glob_t *sources)
{
    const char *many = getenv("CZHPC_MUTANTS"), *one = getenv("CZHPC_MUTANT");
    int count = many ? atoi(many) : comm.size % 2 ? 200 : 12;
    uint64_t first = one ? strtoull(one, NULL, 10) : 0;
    tally sum = {0};
    if (one && !many) count = 1;
    for (uint64_t seed = first; seed < first + (uint64_t)count; seed++)
        try_mutant(&sum, seed,
                   sources->gl_pathv[cz_hash(0, &seed, sizeof seed) % sources->gl_pathc]);
    if (comm.rank > 0) return;
    check(sum.wrong == 0 && sum.loaded + sum.refused == count,
          "%d damaged files: %d loaded, %d refused with one message, in at most %.1f s", count,
          sum.loaded, sum.refused, sum.longest);
}

int main(int argc, char **argv)
{
    int provided;
    glob_t sources;
    cz_data_serve_probe(argc, argv);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    if (cz_comm_world(&comm) || cz_pool_open(&pool, 1, NULL) ||
        glob("validation/fixtures/*.h5ad", 0, NULL, &sources)) {
        fprintf(stderr, "%s\n", cz_error_message());
        MPI_Abort(MPI_COMM_WORLD, 4);
    }
    glob("validation/fixtures/*/*.h5ad", GLOB_APPEND, NULL, &sources);
    cz_log_set_speaker(false);
    if (comm.rank == 0) snprintf(path, sizeof path, "/tmp/czhpc-mutant-%d.h5ad", (int)getpid());
    MPI_Bcast(path, sizeof path, MPI_CHAR, 0, comm.mpi);
    try_all(&sources);
    if (comm.rank == 0) unlink(path);
    globfree(&sources);
    cz_pool_close(pool);
    cz_comm_free(&comm);
    MPI_Finalize();
    return check_done();
}
