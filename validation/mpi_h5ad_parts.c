/* Several files as one, and some cells of a file: the same bits as the file that anndata joined
 * or cut, on any number of ranks. */
#include "../src/data/h5ad.h"
#include "check.h"
#include "czhpc/log.h"

#include <unistd.h>

#define PARTS "validation/fixtures/parts/"

static cz_comm comm, alone;
static cz_pool *pool;
static char moved[] = "/tmp/czhpc-parts-XXXXXX";

static cz_config config_of(const char *first, const char *second, cz_features features)
{
    cz_config config;
    cz_config_defaults(&config);
    config.data.source = CZ_SOURCE_H5AD;
    config.data.features = features;
    strcpy(config.data.obsm, "embedding");
    config.data.h5ad.count = second ? 2 : 1;
    snprintf(config.data.h5ad.text[0], CZ_PATH_MAX, "%s", first);
    snprintf(config.data.h5ad.text[1], CZ_PATH_MAX, "%s", second ? second : "");
    return config;
}

static void keep_late(cz_config *config)
{
    config->data.filter.count = 1;
    strcpy(config->data.filter.text[0], "late = yes");
}

#define check_all(ok, ...)                                                                         \
    do {                                                                                           \
        int all_ok = ok;                                                                           \
        MPI_Allreduce(MPI_IN_PLACE, &all_ok, 1, MPI_INT, MPI_MIN, comm.mpi);                       \
        if (comm.rank == 0) check(all_ok, __VA_ARGS__);                                            \
        cz_error_clear();                                                                          \
    } while (0)

static bool same_column(const cz_column *a, const cz_column *b, int n)
{
    bool same = a->classes == b->classes && !memcmp(a->code, b->code, (size_t)n * sizeof *a->code);
    for (int k = 0; same && k < a->classes; k++) same = !strcmp(a->class_name[k], b->class_name[k]);
    return same;
}

/* Codes, names, depth, hashes and split of all cells, and the features of those that both
 * hold; `b` is of this rank alone, or of the same ranks as `a`. */
static bool same_cells(const cz_cells *a, const cz_cells *b, bool b_alone)
{
    size_t n = (size_t)a->n, width = (size_t)a->width;
    if (a->n != b->n || a->width != b->width || a->measures != b->measures) return false;
    bool same =
        same_column(&a->target, &b->target, a->n) && same_column(&a->label, &b->label, a->n) &&
        same_column(&a->adversary[0], &b->adversary[0], a->n) && !memcmp(a->split, b->split, n) &&
        !memcmp(a->row_hash, b->row_hash, n * sizeof *a->row_hash) &&
        !memcmp(a->measure, b->measure, n * (size_t)a->measures * sizeof *a->measure);
    for (int i = 0; same && comm.rank == 0 && i < a->n; i++)
        same = !strcmp(a->cell_name[i], b->cell_name[i]);
    size_t rows = (size_t)(a->begin[comm.rank + 1] - a->begin[comm.rank]);
    size_t before = b_alone ? (size_t)a->begin[comm.rank] : 0;
    return same && !memcmp(a->x, b->x + before * width, rows * width * sizeof *a->x);
}

/* Loads `a` on all ranks and `b` on each rank alone. */
static void check_same(const cz_config *a, const cz_config *b, int n, const char *what)
{
    cz_cells first = {0}, second = {0};
    cz_status status = cz_h5ad_cells(&first, a, &comm, pool);
    cz_status other = cz_h5ad_cells(&second, b, &alone, pool);
    bool good = !status && !other && first.n == n;
    check_all(good && same_cells(&first, &second, true), "%s %s", what, cz_error_message());
    cz_cells_free(&first);
    cz_cells_free(&second);
}

static const cz_rule *rule_of(const cz_cells *cells, const char *name)
{
    for (int r = 0; r < cells->facts.rules; r++)
        if (!strcmp(cells->facts.rule[r].name, name)) return &cells->facts.rule[r];
    return NULL;
}

static void check_joined(void)
{
    cz_config whole = config_of(PARTS "whole.h5ad", NULL, CZ_FEATURES_COUNTS);
    cz_config both = config_of(PARTS "one.h5ad", PARTS "two.h5ad", CZ_FEATURES_COUNTS);
    check_same(&whole, &whole, 65, "counts of one file");
    check_same(&both, &whole, 65,
               "counts of two files: other order, versions, forms, a gene in two columns");
    strcpy(both.data.h5ad.text[1], moved);
    check_same(&both, &whole, 65, "counts of two files, one behind a userblock");
    strcpy(both.data.h5ad.text[1], PARTS "two.h5ad");
    both.data.features = whole.data.features = CZ_FEATURES_OBSM;
    check_same(&whole, &whole, 65, "an embedding of one file");
    check_same(&both, &whole, 65, "embeddings of two files, dense and sparse");
}

/* The kept cells all lie in the last rows of the files. */
static void check_filtered(void)
{
    for (cz_features features = CZ_FEATURES_COUNTS; features <= CZ_FEATURES_OBSM; features++) {
        const char *name = features == CZ_FEATURES_COUNTS ? "counts" : "embedding";
        char what[64];
        cz_config late = config_of(PARTS "late.h5ad", NULL, features);
        cz_config whole = config_of(PARTS "whole.h5ad", NULL, features);
        cz_config both = config_of(PARTS "one.h5ad", PARTS "two.h5ad", features);
        keep_late(&whole);
        keep_late(&both);
        snprintf(what, sizeof what, "%s: a filter gives what a filtered file does", name);
        check_same(&whole, &late, 30, what);
        snprintf(what, sizeof what, "%s: a filter on two files does", name);
        check_same(&both, &late, 30, what);
    }
}

/* Scanpy's metrics lie in obs, as columns that count as measures too. */
static void check_depth(void)
{
    cz_config config = config_of(PARTS "whole.h5ad", NULL, CZ_FEATURES_COUNTS);
    cz_cells cells;
    strcpy(config.data.gene_key, "symbol");
    config.data.quality_keys.count = 3;
    strcpy(config.data.quality_keys.name[0], "total_counts");
    strcpy(config.data.quality_keys.name[1], "n_genes_by_counts");
    strcpy(config.data.quality_keys.name[2], "pct_counts_mt");
    cz_status status = cz_h5ad_cells(&cells, &config, &comm, pool);
    bool same = !status && cells.measures == 6 && !strcmp(cells.measure_name[2], "pct_counts_mt");
    for (int i = 0; same && i < cells.n; i++) {
        const float *m = cells.measure + 6 * (size_t)i;
        same = m[0] == m[3] && m[1] == m[4] && fabsf(m[2] - m[5]) <= 1e-5F * m[5];
    }
    check_all(same, "total_counts, n_genes_by_counts and pct_counts_mt as Scanpy has them %s",
              cz_error_message());
    if (!status) cz_cells_free(&cells);
}

static void check_said(void)
{
    cz_config config = config_of(PARTS "one.h5ad", PARTS "two.h5ad", CZ_FEATURES_COUNTS);
    cz_cells cells, shape;
    cz_status status = cz_h5ad_cells(&cells, &config, &comm, pool);
    const cz_rule *genes = status ? NULL : rule_of(&cells, "genes");
    const cz_rule *repeated = status ? NULL : rule_of(&cells, "repeated genes");
    bool good = genes && strstr(genes->text, "32 of the 33 genes") && repeated &&
                repeated->count == 1 && strstr(repeated->text, "added up") &&
                strstr(cells.facts.source, "two.h5ad") && cells.facts.read == 65;
    check_all(good, "said: %s; %s", genes ? genes->text : "", repeated ? repeated->text : "");
    if (!status && comm.rank == 0) {
        keep_late(&config);
        status = cz_h5ad_shape(&shape, &config);
        check(!status && shape.n == 30 && shape.facts.genes == 32 && shape.facts.read == 65 &&
                  shape.facts.entries > 0,
              "the shape of two files %s", cz_error_message());
        if (!status) cz_cells_free(&shape);
    }
    cz_cells_free(&cells);
}

static void check_refused(const char *second, cz_features features, const char *words)
{
    cz_config config = config_of(PARTS "one.h5ad", second, features);
    cz_cells cells;
    cz_status status = cz_h5ad_cells(&cells, &config, &comm, pool);
    check_all(status == CZ_ERR_INPUT && (comm.rank || strstr(cz_error_message(), words)),
              "refused: %s", cz_error_message());
    if (!status) cz_cells_free(&cells);
}

/* A copy of a part behind 512 bytes that are not HDF5's. */
static void move_part(void)
{
    static char bytes[512 + (1 << 20)];
    int handle = mkstemp(moved);
    FILE *from = fopen(PARTS "two.h5ad", "rb"), *to = handle < 0 ? NULL : fdopen(handle, "wb");
    size_t size = from && to ? 512 + fread(bytes + 512, 1, sizeof bytes - 512, from) : 0;
    if (!size || fwrite(bytes, 1, size, to) != size) MPI_Abort(comm.mpi, 4);
    fclose(from);
    fclose(to);
}

int main(int argc, char **argv)
{
    int provided;
    cz_data_serve_probe(argc, argv);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    if (cz_comm_world(&comm) || cz_comm_split(&alone, &comm, comm.rank) ||
        cz_pool_open(&pool, 1, NULL)) {
        fprintf(stderr, "%s\n", cz_error_message());
        MPI_Abort(MPI_COMM_WORLD, 4);
    }
    cz_log_set_speaker(false);
    if (comm.rank == 0) move_part();
    MPI_Bcast(moved, sizeof moved, MPI_CHAR, 0, comm.mpi);
    check_joined();
    check_filtered();
    check_depth();
    check_said();
    check_refused(PARTS "symbols.h5ad", CZ_FEATURES_COUNTS, "by Ensembl identifiers ('ENSG");
    check_refused(PARTS "symbols.h5ad", CZ_FEATURES_OBSM, "is 5 wide, that of");
    if (comm.rank == 0) unlink(moved);
    cz_pool_close(pool);
    cz_comm_free(&alone);
    cz_comm_free(&comm);
    MPI_Finalize();
    return check_done();
}
