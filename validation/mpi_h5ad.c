/* AnnData files on any number of ranks: every form against what AnnData reads, and
 * real cells. */
#include "../src/data/h5ad.h"
#include "../src/data/h5ad_shard.h"
#include "check.h"
#include "czhpc/log.h"

#include <jansson.h>
#include <unistd.h>

#define FORMS "validation/fixtures/forms.h5ad"
#define EXPECTED "validation/fixtures/h5ad.json"
#define ONEK1K "../shared/data/onek1k.h5ad"

static cz_comm comm;
static cz_pool *pool;
static json_t *truth;

static cz_config plain_config(const char *path)
{
    cz_config config;
    cz_config_defaults(&config);
    config.data.source = CZ_SOURCE_H5AD;
    config.data.features = CZ_FEATURES_COUNTS;
    config.data.h5ad.count = 1;
    snprintf(config.data.h5ad.text[0], CZ_PATH_MAX, "%s", path);
    return config;
}

/* Whether all ranks say so; the verdict is then given by rank 0. */
static bool all_say(bool mine)
{
    int all = mine;
    MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, comm.mpi);
    return all;
}

#define check_all(ok, ...)                                                                         \
    do {                                                                                           \
        bool all_ok = all_say(ok);                                                                 \
        if (comm.rank == 0) check(all_ok, __VA_ARGS__);                                            \
    } while (0)

static bool same_column(const cz_column *column, const char *key, int n)
{
    json_t *expected = json_object_get(json_object_get(truth, "columns"), key);
    json_t *codes = json_object_get(expected, "codes"), *names = json_object_get(expected, "names");
    if (column->classes != (int)json_array_size(names) || n != (int)json_array_size(codes))
        return false;
    for (int c = 0; c < column->classes; c++)
        if (strcmp(column->class_name[c], json_string_value(json_array_get(names, (size_t)c))))
            return false;
    for (int i = 0; i < n; i++)
        if (column->code[i] != json_integer_value(json_array_get(codes, (size_t)i))) return false;
    return true;
}

/* Every kind of column, as adversary, so that missing values stay; with an embedding, which
 * every cell has. */
static void check_columns(void)
{
    static const char *const keys[] = {"donor_id", "cell_type",      "sex",   "gaps",
                                       "pooled",   "plain",          "fixed", "flag",
                                       "number",   "number_category"};
    cz_config config = plain_config(FORMS);
    config.data.features = CZ_FEATURES_OBSM;
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        cz_cells cells;
        /* "pooled" is no donor, but may be a class of something else. */
        bool target = !strcmp(keys[k], "pooled");
        strcpy(config.data.target_key, "donor_id");
        config.data.adversary_keys.count = 1;
        strcpy(config.data.adversary_keys.name[0], target ? "sex" : keys[k]);
        cz_status status = cz_h5ad_cells(&cells, &config, &comm, pool);
        bool same = !status && (target || same_column(&cells.adversary[0], keys[k], cells.n));
        if (!status && !strcmp(keys[k], "sex")) same = same && cells.facts.unknown[0] == 3;
        check_all(same, "column %s as AnnData reads it %s", keys[k], cz_error_message());
        cz_error_clear();
        if (!status) cz_cells_free(&cells);
    }
    cz_cells cells;
    config.data.adversary_keys.count = 0;
    strcpy(config.data.target_key, "dataset_id+donor_id");
    cz_status status = cz_h5ad_cells(&cells, &config, &comm, pool);
    check_all(!status && same_column(&cells.target, "dataset_id+donor_id", cells.n),
              "two columns joined");
    if (!status) cz_cells_free(&cells);
}

/* This rank's rows of a matrix of counts, entry for entry, and their depth. */
static bool same_rows(const h5ad_shard *mine, int begin, json_t *rows)
{
    const cz_csr *counts = &mine->counts.csr;
    bool same = counts->rows == mine->rows;
    for (int i = 0; i < mine->rows && same; i++) {
        json_t *row = json_array_get(rows, (size_t)(begin + i));
        int64_t k = counts->begin[i];
        double total = 0;
        for (int g = 0; g < counts->genes && same; g++) {
            double value = json_number_value(json_array_get(row, (size_t)g));
            if (value == 0) continue;
            same = k < counts->begin[i + 1] && counts->gene[k] == g && counts->count[k] == value;
            total += value;
            k++;
        }
        same = same && k == counts->begin[i + 1] && mine->measure[2 * i] == (float)total &&
               mine->measure[2 * i + 1] == (float)(k - counts->begin[i]) &&
               mine->empty[i] == (total == 0);
    }
    return same;
}

static bool same_counts(const char *matrix, cz_cells *cells, uint64_t *hash)
{
    static h5ad_files files;
    cz_config config = plain_config(FORMS);
    h5ad_shard mine;
    uint8_t keep[30];
    memset(keep, 1, sizeof keep);
    strcpy(config.data.matrix, matrix);
    config.data.missing = CZ_MISSING_DROP; /* cell 11 has no counts */
    if (h5ad_files_open(&files, &config, &comm)) return false;
    int n = files.table.n, begin = n * comm.rank / comm.size, end = n * (comm.rank + 1) / comm.size;
    cells->measures = 2;
    if (h5ad_shard_open(&mine, &files, keep, begin, end, 2) ||
        h5ad_shard_read(&mine, cells, &files, &comm, pool))
        return false;
    json_t *rows = json_object_get(json_object_get(truth, "counts"), matrix);
    bool same = n == (int)json_array_size(rows) && same_rows(&mine, begin, rows);
    *hash = mine.rows > 0 ? mine.hash[0] : 0;
    h5ad_shard_free(&mine);
    h5ad_files_close(&files);
    return same && !cz_h5ad_cells(cells, &config, &comm, pool) && cells->n == 29;
}

static void check_counts(void)
{
    static const char *const matrices[] = {
        "X",         "layer:wide",  "layer:small", "layer:shuffled",
        "layer:csc", "layer:dense", "layer:half",  "raw"};
    cz_cells first = {0};
    uint64_t first_hash = 0;
    for (int m = 0; m < 8; m++) {
        cz_cells cells = {0};
        uint64_t hash = 0;
        check_all(same_counts(matrices[m], &cells, &hash), "%s as AnnData reads it %s", matrices[m],
                  cz_error_message());
        cz_error_clear();
        int rows = cells.begin ? cells.begin[comm.rank + 1] - cells.begin[comm.rank] : 0;
        size_t bytes = (size_t)rows * (size_t)cells.width * sizeof(float);
        if (m == 0) {
            first = cells;
            first_hash = hash;
            check_all(cells.facts.duplicates == 1 && cells.row_hash[3] == cells.row_hash[7] &&
                          cells.split[3] == cells.split[7],
                      "a cell that stands twice is counted, and falls into one part");
            check_all(cells.width % 8 == 0, "%s", cells.facts.features);
            continue;
        }
        if (m < 7) {
            bool same = cells.x && hash == first_hash && cells.width == first.width &&
                        !memcmp(cells.x, first.x, bytes);
            check_all(same, "the same cells and features from X and %s", matrices[m]);
        }
        cz_cells_free(&cells);
    }
    cz_cells_free(&first);
}

static bool make_plan(h5ad_plan *plan, const cz_config *config)
{
    h5ad_request request;
    h5ad_request_make(&request, config, 0);
    return !h5ad_plan_make(plan, &request);
}

static void check_names(void)
{
    static h5ad_plan plan;
    cz_config config = plain_config(FORMS);
    if (comm.rank > 0) return;
    strcpy(config.data.matrix, "raw");
    bool same = make_plan(&plan, &config);
    json_t *cells = json_object_get(truth, "cells");
    json_t *genes = json_object_get(json_object_get(truth, "genes"), "raw");
    for (int i = 0; same && i < plan.n; i++)
        same = !strcmp(plan.cell_name[i], json_string_value(json_array_get(cells, (size_t)i)));
    for (int g = 0; same && g < plan.matrix.columns; g++)
        same = !strcmp(plan.gene[g], json_string_value(json_array_get(genes, (size_t)g)));
    check(same, "names of cells and genes");
    h5ad_plan_free(&plan);
    strcpy(config.data.matrix, "X");
    strcpy(config.data.gene_key, "symbol");
    same = make_plan(&plan, &config) && !strcmp(plan.gene[23], "sym23");
    check(same, "genes named by a column");
    h5ad_plan_free(&plan);
}

static void check_embedding(const char *key, int width)
{
    cz_config config = plain_config(FORMS);
    cz_cells cells;
    config.data.features = CZ_FEATURES_OBSM;
    strcpy(config.data.obsm, key);
    cz_status status = cz_h5ad_cells(&cells, &config, &comm, pool);
    bool same = !status && cells.width == (width + 7) / 8 * 8;
    json_t *rows = json_object_get(json_object_get(truth, "obsm"), key);
    for (int i = same ? cells.begin[comm.rank] : 0; same && i < cells.begin[comm.rank + 1]; i++) {
        const float *x = cells.x + (size_t)(i - cells.begin[comm.rank]) * (size_t)cells.width;
        json_t *row = json_array_get(rows, (size_t)i);
        for (int c = 0; c < width; c++)
            same &= x[c] == (float)json_number_value(json_array_get(row, (size_t)c));
        for (int c = width; c < cells.width; c++) same &= x[c] == 0;
    }
    check_all(same, "obsm/%s as AnnData reads it %s", key, cz_error_message());
    if (!status) cz_cells_free(&cells);
}

/* Cells without a donor and without an embedding are left out everywhere. */
static void check_dropping(void)
{
    cz_config config = plain_config(FORMS);
    cz_cells cells;
    config.data.missing = CZ_MISSING_DROP;
    config.data.features = CZ_FEATURES_OBSM;
    strcpy(config.data.obsm, "gaps");
    strcpy(config.data.target_key, "pooled"); /* cell 2 */
    cz_status status = cz_h5ad_cells(&cells, &config, &comm, pool);
    bool good = !status && cells.n == 27 && cells.facts.dropped == 3 && cells.facts.read == 30 &&
                cells.begin[comm.size] == 27;
    json_t *rows = json_object_get(json_object_get(truth, "obsm"), "geneformer");
    for (int i = good ? cells.begin[comm.rank] : 0; good && i < cells.begin[comm.rank + 1]; i++) {
        int from = i + (i >= 2) + (i >= 5); /* cells 2, 6 and 29 are gone */
        float expected =
            (float)json_number_value(json_array_get(json_array_get(rows, (size_t)from), 0));
        good = cells.x[(size_t)(i - cells.begin[comm.rank]) * (size_t)cells.width] == expected;
    }
    if (comm.rank == 0) good = good && !strcmp(cells.cell_name[26], "cell-28");
    check_all(good, "cells without a donor or an embedding are dropped %s", cz_error_message());
    if (!status) cz_cells_free(&cells);
}

static void check_shape(void)
{
    if (comm.rank > 0) return;
    cz_config config = plain_config(FORMS);
    cz_cells cells;
    check(!cz_h5ad_shape(&cells, &config) && cells.n == 30 && cells.target.classes == 3 &&
              cells.width == 24 && !cells.x,
          "the shape without features: %s", cells.facts.features);
    cz_cells_free(&cells);
    config.data.features = CZ_FEATURES_OBSM;
    check(!cz_h5ad_shape(&cells, &config) && cells.width == 16, "the shape of an embedding");
    cz_cells_free(&cells);
}

static void check_real(void)
{
    if (access(ONEK1K, R_OK)) {
        if (comm.rank == 0) check_skip("real cells: %s is not there", ONEK1K);
        return;
    }
    cz_config config = plain_config(ONEK1K);
    cz_cells cells;
    config.data.components = 64;
    double started = MPI_Wtime();
    cz_status status = cz_h5ad_cells(&cells, &config, &comm, pool);
    double seconds = MPI_Wtime() - started;
    bool good = !status && cells.n == 7811 && cells.target.classes == 40 &&
                cells.label.classes == 4 && cells.adversary[0].classes == 2 && cells.width == 64;
    check_all(good, "real cells are read in %.2f s: %s %s", seconds,
              status ? "" : cells.facts.features, cz_error_message());
    if (status) return;
    int count[CZ_SPLITS] = {0};
    for (int i = 0; i < cells.n; i++) count[cells.split[i]]++;
    double squares = 0;
    int rows = cells.begin[comm.rank + 1] - cells.begin[comm.rank];
    for (size_t i = 0; i < (size_t)rows * (size_t)cells.width; i++)
        squares += (double)cells.x[i] * (double)cells.x[i];
    MPI_Allreduce(MPI_IN_PLACE, &squares, 1, MPI_DOUBLE, MPI_SUM, comm.mpi);
    double size = sqrt(squares / cells.n / cells.width);
    if (comm.rank == 0) {
        check(abs(count[CZ_TRAIN] - 5468) <= 40 && abs(count[CZ_TEST] - 1172) <= 40,
              "real cells: %d training, %d validation, %d test", count[CZ_TRAIN],
              count[CZ_VALIDATION], count[CZ_TEST]);
        check(!strcmp(cells.target.class_name[0], "SAMP1") &&
                  !strcmp(cells.cell_name[7810], "cell7810"),
              "real cells: first donor and last name");
        check(fabs(size - 1) < 0.02, "real cells: features have root mean square %.3f", size);
    }
    cz_cells_free(&cells);
}

int main(int argc, char **argv)
{
    int provided;
    cz_data_serve_probe(argc, argv);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    truth = json_load_file(EXPECTED, 0, NULL);
    if (!truth || cz_comm_world(&comm) || cz_pool_open(&pool, 2, NULL)) {
        fprintf(stderr, "%s %s\n", EXPECTED, cz_error_message());
        MPI_Abort(MPI_COMM_WORLD, 4);
    }
    cz_log_set_speaker(false);
    check_columns();
    check_counts();
    check_names();
    check_embedding("geneformer", 10);
    check_embedding("double", 8);
    check_embedding("sparse", 10);
    check_embedding("columns", 10);
    check_embedding("frame", 10);
    check_dropping();
    check_shape();
    check_real();
    json_decref(truth);
    cz_pool_close(pool);
    cz_comm_free(&comm);
    MPI_Finalize();
    return check_done();
}
