/* AnnData files on any number of ranks: every form against what AnnData reads, real cells, and
 * damaged files that all ranks refuse. */
#include "../src/data/h5ad_private.h"
#include "check.h"
#include "czhpc/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <unistd.h>

#define FORMS "validation/fixtures/forms.h5ad"
#define REFUSED "validation/fixtures/refused.h5ad"
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
    snprintf(config.data.h5ad, sizeof config.data.h5ad, "%s", path);
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

/* Every kind of column, as adversary, so that missing values stay. */
static void check_columns(void)
{
    static const char *const keys[] = {"donor_id", "cell_type",      "sex",   "gaps",
                                       "pooled",   "plain",          "fixed", "flag",
                                       "number",   "number_category"};
    cz_config config = plain_config(FORMS);
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

/* This rank's rows of a matrix of counts, entry for entry. */
static bool same_counts(const char *matrix, cz_cells *cells, uint64_t *hash)
{
    cz_config config = plain_config(FORMS);
    h5ad_plan plan;
    cz_csr counts;
    hid_t file;
    strcpy(config.data.matrix, matrix);
    if (h5ad_plan_share(&plan, comm.rank ? CZ_OK : h5ad_plan_make(&plan, &config, true), &comm))
        return false;
    int begin = plan.n * comm.rank / comm.size, end = plan.n * (comm.rank + 1) / comm.size;
    uint64_t *mine = malloc((size_t)(end - begin) * sizeof *mine + 1);
    if (cz_h5_open_shared(&file, FORMS, comm.mpi) ||
        h5ad_read_counts(&counts, mine, &plan, file, begin, end - begin, &comm))
        return false;
    cz_h5_close(&file);
    json_t *rows = json_object_get(json_object_get(truth, "counts"), matrix);
    bool same = plan.n == (int)json_array_size(rows);
    for (int i = 0; i < counts.rows && same; i++) {
        json_t *row = json_array_get(rows, (size_t)(begin + i));
        int64_t k = counts.begin[i];
        for (int g = 0; g < counts.genes && same; g++) {
            double value = json_number_value(json_array_get(row, (size_t)g));
            if (value == 0) continue;
            same = k < counts.begin[i + 1] && counts.gene[k] == g && counts.count[k] == value;
            k++;
        }
        same = same && k == counts.begin[i + 1];
    }
    *hash = counts.rows > 0 ? mine[0] : 0;
    cz_csr_free(&counts);
    h5ad_plan_free(&plan);
    free(mine);
    return same && !cz_h5ad_cells(cells, &config, &comm, pool);
}

static void check_counts(void)
{
    static const char *const matrices[] = {"X", "layer:wide", "layer:small", "layer:shuffled",
                                           "raw"};
    cz_cells first = {0};
    uint64_t first_hash = 0;
    for (int m = 0; m < 5; m++) {
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
        if (m < 4) {
            bool same = cells.x && hash == first_hash && cells.width == first.width &&
                        !memcmp(cells.x, first.x, bytes);
            check_all(same, "the same cells and features from X and %s", matrices[m]);
        }
        cz_cells_free(&cells);
    }
    cz_cells_free(&first);
}

static void check_names(void)
{
    cz_config config = plain_config(FORMS);
    h5ad_plan plan;
    if (comm.rank > 0) return;
    strcpy(config.data.matrix, "raw");
    bool same = !h5ad_plan_make(&plan, &config, true);
    json_t *cells = json_object_get(truth, "cells");
    json_t *genes = json_object_get(json_object_get(truth, "genes"), "raw");
    for (int i = 0; same && i < plan.n; i++)
        same = !strcmp(plan.cell_name[i], json_string_value(json_array_get(cells, (size_t)i)));
    for (int g = 0; same && g < plan.width; g++)
        same = !strcmp(plan.gene_name[g], json_string_value(json_array_get(genes, (size_t)g)));
    check(same, "names of cells and genes");
    h5ad_plan_free(&plan);
    strcpy(config.data.matrix, "X");
    strcpy(config.data.gene_key, "symbol");
    same = !h5ad_plan_make(&plan, &config, true) && !strcmp(plan.gene_name[23], "sym23");
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

/* All ranks get CZ_ERR_INPUT, and rank 0 the message, which holds `words`. */
static void refused(const cz_config *config, const char *words)
{
    cz_cells cells;
    cz_status status = cz_h5ad_cells(&cells, config, &comm, pool);
    bool good = status == CZ_ERR_INPUT && (comm.rank || strstr(cz_error_message(), words)) &&
                (!comm.rank || !cz_error_message()[0]);
    check_all(good, "refused: %s", status ? cz_error_message() : words);
    cz_error_clear();
    if (!status) cz_cells_free(&cells);
}

static void check_refused_forms(void)
{
    static const struct {
        const char *path, *matrix, *obsm, *target, *words;
    } cases[] = {
        {REFUSED, "layer:csc", "", "donor_id", "'csc_matrix'"},
        {REFUSED, "layer:dense", "", "donor_id", "a dense matrix"},
        {REFUSED, "layer:negative", "", "donor_id", "is negative"},
        {REFUSED, "layer:nan", "", "donor_id", "is not finite"},
        {REFUSED, "X", "sparse", "donor_id", "'csr_matrix'"},
        {REFUSED, "X", "frame", "donor_id", "'dataframe'"},
        {REFUSED, "X", "", "nullable", "'nullable-integer'"},
        {REFUSED, "X", "", "lzf", "filter 'lzf' (32000)"},
        {REFUSED, "X", "", "one", "all cells have the same 'one' (same)"},
        {REFUSED, "raw", "", "donor_id", "There are no raw counts; layers: csc, dense"},
        {FORMS, "layer:logs", "", "donor_id", "already normalised"},
        {FORMS, "X", "", "donor", "there is no column 'donor'; there are: "},
        {FORMS, "X", "", "cell_type/codes", "there is no column"},
        {FORMS, "X", "", "donor_id+nowhere", "there is no column 'nowhere'"},
        {FORMS, "X", "", "score", "floating-point"},
        {FORMS, "X", "", "gaps", "1 have no gaps"},
        {FORMS, "X", "", "nothing", "30 have no nothing"},
        {FORMS, "X", "gaps", "donor_id", "2 no obsm/gaps"},
        {FORMS, "X", "broken", "donor_id", "cell 12 has 1 values that are not finite"},
        {FORMS, "X", "other", "donor_id", "there is no 'other' (data.obsm); there are: broken"},
        {"/nowhere.h5ad", "X", "", "donor_id", "No such file"},
        {"/tmp", "X", "", "donor_id", "folder"},
        {"LICENSE", "X", "", "donor_id", "not an HDF5 file"},
        {"configs/labels.h5", "X", "", "donor_id", "not AnnData; it holds: labels, vectors"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cz_config config = plain_config(cases[i].path);
        strcpy(config.data.matrix, cases[i].matrix);
        strcpy(config.data.target_key, cases[i].target);
        if (cases[i].obsm[0]) config.data.features = CZ_FEATURES_OBSM;
        strcpy(config.data.obsm, cases[i].obsm);
        refused(&config, cases[i].words);
    }
}

static char broken[] = "/tmp/czhpc-h5ad-XXXXXX";

/* A copy of the good file, of at most `size` bytes. */
static void copy_good(size_t size)
{
    static char bytes[1 << 20];
    FILE *from = fopen(FORMS, "rb"), *to = fopen(broken, "wb");
    size_t length = from && to ? fread(bytes, 1, sizeof bytes, from) : 0;
    if (length > size) length = size;
    if (!to || fwrite(bytes, 1, length, to) != length) MPI_Abort(comm.mpi, 4);
    fclose(from);
    fclose(to);
}

/* Writes one integer into a dataset. */
static void poke(const char *place, hsize_t index, int64_t value)
{
    hid_t file = H5Fopen(broken, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t set = H5Dopen2(file, place, H5P_DEFAULT), space = H5Dget_space(set);
    hsize_t one = 1;
    hid_t memory = H5Screate_simple(1, &one, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &index, NULL, &one, NULL);
    H5Dwrite(set, H5T_NATIVE_INT64, memory, space, H5P_DEFAULT, &value);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(set);
    H5Fclose(file);
}

/* Overwrites the bytes of a compressed chunk in its middle. */
static void scratch_chunk(const char *place)
{
    hid_t file = H5Fopen(broken, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t set = H5Dopen2(file, place, H5P_DEFAULT), space = H5Dget_space(set);
    hsize_t offset[2], size = 0;
    unsigned mask;
    haddr_t at = 0;
    H5Dget_chunk_info(set, space, 0, offset, &mask, &at, &size);
    H5Sclose(space);
    H5Dclose(set);
    H5Fclose(file);
    int handle = open(broken, O_WRONLY);
    char noise[16];
    memset(noise, 0xA5, sizeof noise);
    if (pwrite(handle, noise, sizeof noise, (off_t)(at + size / 2)) < 0) MPI_Abort(comm.mpi, 4);
    close(handle);
}

/* Makes the first text of a heap of texts longer than any file: HDF5 follows it. */
static void stretch_heap(void)
{
    static char bytes[1 << 20];
    FILE *file = fopen(broken, "rb+");
    size_t length = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    char *heap = memmem(bytes, length, "GCOL", 4);
    if (!heap || fseek(file, heap - bytes + 24, SEEK_SET) ||
        fwrite("\xff\xff\xff\x7f\0\0\0\0", 1, 8, file) != 8)
        MPI_Abort(comm.mpi, 4);
    fclose(file);
}

static void remove_attribute(const char *place, const char *name)
{
    hid_t file = H5Fopen(broken, H5F_ACC_RDWR, H5P_DEFAULT);
    H5Adelete_by_name(file, place, name, H5P_DEFAULT);
    H5Fclose(file);
}

static void remove_object(const char *place)
{
    hid_t file = H5Fopen(broken, H5F_ACC_RDWR, H5P_DEFAULT);
    H5Ldelete(file, place, H5P_DEFAULT);
    H5Fclose(file);
}

static void replace_by(const char *place, const char *other)
{
    hid_t file = H5Fopen(broken, H5F_ACC_RDWR, H5P_DEFAULT);
    H5Ldelete(file, place, H5P_DEFAULT);
    H5Lcreate_hard(file, other, file, place, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
}

enum { DAMAGES = 18 };

/* Makes damage number `i`; the words of its message. */
static const char *damage(int i)
{
    copy_good(i == 0 ? 0 : i == 1 ? 1000 : i == 2 ? 100000 : 1 << 20);
    switch (i) {
    case 0:
        return "not an HDF5 file";
    case 1:
    case 2:
        return "HDF5 cannot open it";
    case 3:
        scratch_chunk("X/data");
        return "X/data: cannot be read: the file is damaged";
    case 4:
        scratch_chunk("X/indices");
        return "X/indices: cannot be read: the file is damaged";
    case 5:
        scratch_chunk("obs/cell_type/codes");
        return "obs/cell_type/c";
    case 6:
        poke("X/indptr", 20, 3);
        return "falls, or leaves its range";
    case 7:
        poke("X/indptr", 25, 1 << 20);
        return "falls, or leaves its range";
    case 8:
        poke("X/indptr", 0, 1);
        return "runs from 1 to";
    case 9:
        poke("X/indices", 90, 24);
        return "of 24: the file is damaged";
    case 10:
        poke("X/indices", 50, -1);
        return "names gene -1 of 24";
    case 11:
        poke("obs/donor_id/codes", 29, 4);
        return "cell 29 has code 4 of 3 categories";
    case 12:
        remove_attribute("X", "shape");
        return "the attribute 'shape' is missing";
    case 13:
        remove_attribute("/", "encoding-type");
        return "AnnData before 0.8";
    case 14:
        remove_object("X/indptr");
        return "X/indptr: the dataset is missing";
    case 15:
        remove_object("obs/_index");
        return "obs/_index: the dataset is missing";
    case 16:
        stretch_heap();
        return "";
    default:
        replace_by("obs/sex/codes", "X/indptr");
        return "has 31 entries for 30 cells";
    }
}

static void check_damaged(void)
{
    if (comm.rank == 0) {
        int handle = mkstemp(broken);
        if (handle >= 0) close(handle);
    }
    MPI_Bcast(broken, sizeof broken, MPI_CHAR, 0, comm.mpi);
    cz_config config = plain_config(broken);
    for (int i = 0; i < DAMAGES; i++) {
        const char *words = comm.rank == 0 ? damage(i) : "";
        refused(&config, words);
    }
    if (comm.rank == 0) unlink(broken);
}

static cz_status crash(void *context)
{
    (void)context;
    raise(SIGSEGV);
    return CZ_OK;
}

static cz_status fail(void *context)
{
    (void)context;
    return cz_fail(CZ_ERR_INPUT, "in the child");
}

static void check_probe(void)
{
    if (comm.rank > 0) return;
    check(cz_h5_probe(FORMS, crash, NULL) == CZ_ERR_INPUT &&
              strstr(cz_error_message(), "HDF5 crashed"),
          "a crash while a file is probed is an error");
    cz_error_clear();
    check(!cz_h5_probe(FORMS, fail, NULL) && !cz_error_message()[0],
          "an error while a file is probed is left to the walk itself");
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
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    truth = json_load_file(EXPECTED, 0, NULL);
    if (!truth || cz_comm_world(&comm) || cz_pool_open(&pool, 2)) {
        fprintf(stderr, "%s %s\n", EXPECTED, cz_error_message());
        MPI_Abort(MPI_COMM_WORLD, 4);
    }
    cz_log_set_speaker(false);
    check_columns();
    check_counts();
    check_names();
    check_embedding("geneformer", 10);
    check_embedding("double", 8);
    check_dropping();
    check_shape();
    check_probe();
    check_refused_forms();
    check_damaged();
    check_real();
    json_decref(truth);
    cz_pool_close(pool);
    cz_comm_free(&comm);
    MPI_Finalize();
    return check_done();
}
