/* Every form of file that AnnData 0.7 to 0.13 writes reads to the same table as AnnData reads,
 * on any number of ranks; and what is refused says why. The truth is AnnData's, see make_zoo.py. */
#include "../src/data/h5ad_rows.h"
#include "zoo.h"

static cz_comm comm;
static json_t *truth;

/* Whether all ranks say so; the verdict is then given by rank 0. */
#define check_all(ok, ...)                                                                         \
    do {                                                                                           \
        int all_ok = ok;                                                                           \
        MPI_Allreduce(MPI_IN_PLACE, &all_ok, 1, MPI_INT, MPI_MIN, comm.mpi);                       \
        if (comm.rank == 0) check(all_ok, __VA_ARGS__);                                            \
        cz_error_clear();                                                                          \
    } while (0)

/* The list that a file names by its number. */
static json_t *list_of(json_t *number)
{
    return json_array_get(json_object_get(truth, "values"), (size_t)json_integer_value(number));
}

static bool same_text(const char *text, json_t *expected)
{
    return json_is_null(expected) ? !text : text && !strcmp(text, json_string_value(expected));
}

/* Texts and missing values as AnnData reads them; classes by first appearance, none unused. */
static bool same_column(const cz_column *column, json_t *expected, int n)
{
    int seen = 0;
    if ((int)json_array_size(expected) != n) return false;
    for (int i = 0; i < n; i++) {
        int code = column->code[i];
        if (code > seen || code >= column->classes) return false;
        if (code == seen) seen++;
        if (!same_text(code < 0 ? NULL : column->class_name[code],
                       json_array_get(expected, (size_t)i)))
            return false;
    }
    return seen == column->classes;
}

static bool same_names(char *const *name, json_t *expected, int n)
{
    if ((int)json_array_size(expected) != n || !name) return false;
    for (int i = 0; i < n; i++)
        if (!same_text(name[i], json_array_get(expected, (size_t)i))) return false;
    return true;
}

static bool same_number(double value, json_t *expected)
{
    if (json_is_null(expected)) return isnan(value);
    if (json_is_string(expected)) return value == strtod(json_string_value(expected), NULL);
    return value == json_number_value(expected);
}

static bool same_measure(const double *measure, json_t *expected, int n)
{
    if ((int)json_array_size(expected) != n) return false;
    for (int i = 0; i < n; i++)
        if (!same_number(measure[i], json_array_get(expected, (size_t)i))) return false;
    return true;
}

/* All columns, and as many measures from number `first` as go into one request. */
static void ask(h5ad_request *request, json_t *file, const char *name, int first)
{
    const char *key;
    json_t *value;
    int at = 0;
    memset(request, 0, sizeof *request);
    snprintf(request->path, sizeof request->path, "%s/%s", zoo_folder, name);
    json_object_foreach(json_object_get(file, "columns"), key, value)
        snprintf(request->column[request->columns++], CZ_NAME_MAX, "%s", key);
    json_object_foreach(json_object_get(file, "measures"), key, value)
    {
        if (at++ >= first && request->measures < CZ_KEYS_MAX)
            snprintf(request->measure[request->measures++], CZ_NAME_MAX, "%s", key);
    }
}

/* Names on rank 0 only, all else on every rank; says what differs. */
static const char *compare_plan(const h5ad_plan *plan, const h5ad_request *request, json_t *file)
{
    json_t *columns = json_object_get(file, "columns"),
           *measures = json_object_get(file, "measures");
    if (plan->columns != request->columns || plan->measures != request->measures) return "number";
    for (int c = 0; c < plan->columns; c++)
        if (!same_column(&plan->column[c], list_of(json_object_get(columns, request->column[c])),
                         plan->n))
            return request->column[c];
    for (int m = 0; m < plan->measures; m++)
        if (!same_measure(plan->measure[m], list_of(json_object_get(measures, request->measure[m])),
                          plan->n))
            return request->measure[m];
    if (!comm.rank &&
        !same_names(plan->cell_name, list_of(json_object_get(file, "cells")), plan->n))
        return "the names of the cells";
    if (comm.rank && plan->cell_name) return "names of cells on a rank other than 0";
    if (!request->counts) return plan->gene ? "genes of an embedding" : NULL;
    json_t *genes = json_object_get(json_object_get(file, "genes"),
                                    strcmp(request->matrix, "raw") ? "var" : "raw");
    return same_names(plan->gene, list_of(json_object_get(genes, request->gene_key)),
                      plan->matrix.columns)
               ? NULL
               : "the names of the genes";
}

static bool same_counts(const cz_csr *csr, json_t *rows, int begin)
{
    for (int i = 0; i < csr->rows; i++) {
        json_t *row = json_array_get(rows, (size_t)(begin + i));
        int64_t k = csr->begin[i];
        for (int g = 0; g < csr->genes; g++) {
            double value = json_number_value(json_array_get(row, (size_t)g));
            if (value == 0) continue;
            if (k == csr->begin[i + 1] || csr->gene[k] != g || csr->count[k] != value) return false;
            k++;
        }
        if (k != csr->begin[i + 1] || (int)json_array_size(row) != csr->genes) return false;
    }
    return true;
}

/* This rank's rows of the matrix; collective. */
static bool same_rows(const h5ad_plan *plan, json_t *expected)
{
    int32_t row[64];
    int begin = plan->n * comm.rank / comm.size, end = plan->n * (comm.rank + 1) / comm.size;
    int rows = end - begin, width = plan->matrix.columns;
    hid_t file;
    for (int i = 0; i < rows && i < 64; i++) row[i] = begin + i;
    cz_status status = cz_h5_open_shared(&file, plan->path, comm.mpi);
    if (cz_comm_agree(&comm, status)) return false;
    row_source from = {file, &plan->matrix, row, rows, NULL, plan->gene, &comm, NULL, 0};
    bool same = (int)json_array_size(expected) == plan->n;
    if (plan->gene) {
        count_rows counts = {0};
        status = count_rows_open(&counts, rows, width);
        if (!status) status = rows_read_counts(&counts, &from);
        same = same && !status && same_counts(&counts.csr, expected, begin);
        count_rows_free(&counts);
    } else {
        float *x = calloc((size_t)rows * (size_t)width + 1, sizeof *x);
        status = rows_read_embedding(x, width, &from);
        for (int i = 0; same && !status && i < rows; i++)
            for (int c = 0; same && c < width; c++)
                same = same_number(
                    x[i * width + c],
                    json_array_get(json_array_get(expected, (size_t)(begin + i)), (size_t)c));
        same = same && !status && (int)json_array_size(json_array_get(expected, 0)) == width;
        free(x);
    }
    cz_h5_close(&file);
    return same;
}

/* One matrix of one file: its plan on all ranks, then its rows. */
static void check_matrix(json_t *file, const char *name, const char *key, json_t *rows, int number)
{
    h5ad_request request;
    h5ad_plan plan = {0};
    ask(&request, file, name, number % 2 * CZ_KEYS_MAX);
    request.counts = !strncmp(key, "layer:", 6) || !strcmp(key, "X") || !strcmp(key, "raw");
    snprintf(request.matrix, sizeof request.matrix, "%s", request.counts ? key : "X");
    snprintf(request.obsm, sizeof request.obsm, "%s", request.counts ? "" : key);
    if (number % 2) strcpy(request.gene_key, "symbol");
    cz_status status = comm.rank ? CZ_OK : h5ad_plan_make(&plan, &request);
    status = h5ad_plan_share(&plan, status, &comm);
    const char *wrong = status ? "no plan" : compare_plan(&plan, &request, file);
    check_all(!wrong, "%s, %s: the plan is AnnData's table %s %s", name, key, wrong ? wrong : "",
              cz_error_message());
    if (!status)
        check_all(same_rows(&plan, list_of(rows)), "%s, %s: rows %s", name, key,
                  cz_error_message());
    h5ad_plan_free(&plan);
}

static void check_file(json_t *file, const char *name)
{
    const char *key;
    json_t *rows;
    int number = 0;
    json_object_foreach(json_object_get(file, "matrices"), key, rows)
        check_matrix(file, name, key, rows, number++);
    json_object_foreach(json_object_get(file, "embeddings"), key, rows)
        check_matrix(file, name, key, rows, 2 * number++);
}

/* What two files have of one name is one list: the forms hold the same table. */
static int different(json_t *first, json_t *file)
{
    const char *key;
    json_t *value;
    int found = 0;
    json_object_foreach(file, key, value)
    {
        json_t *other = json_object_get(first, key);
        if (!other) json_object_set_new(first, key, json_deep_copy(value));
        else if (json_is_object(value)) found += different(other, value);
        else found += !json_equal(other, value);
    }
    return found;
}

static const struct {
    const char *file, *matrix, *column, *measure, *said;
} refused[] = {
#define COLUMN(column, said)                                                                       \
    {                                                                                              \
        "refused columns", "X", column, "", said                                                   \
    }
#define MEASURE(measure, said)                                                                     \
    {                                                                                              \
        "refused columns", "X", "", measure, said                                                  \
    }
#define MATRIX(matrix, said)                                                                       \
    {                                                                                              \
        "refused columns", matrix, "", "", said                                                    \
    }
    COLUMN("Donor", "there is no column 'Donor' (did you mean 'donor'?); there are: donor, odd,"),
    COLUMN("__categories", "there is no column '__categories'"),
    COLUMN("awkward", "obs/awkward: is stored as 'awkward-array', which is not read"),
    COLUMN("pair", "obs/pair: holds neither texts, numbers nor booleans"),
    COLUMN("square", "obs/square: the dataset has 2 axes, expected 1"),
    COLUMN("short", "obs/short: has 29 entries, expected 30"),
    COLUMN("latin", "obs/latin: text 0 is not UTF-8"),
    COLUMN("elsewhere", "obs/elsewhere: lies in another file"),
    COLUMN("circle", "obs/circle: cannot be opened"),
    COLUMN("absent", "obs/absent: is missing"),
    COLUMN("old_codes", "obs/old_codes: its attribute 'categories' does not lead to"),
    COLUMN("lost", "obs/lost: its attribute 'categories' does not lead to"),
    COLUMN("beyond", "obs/beyond/codes: entry 3 has code 100 of 7 categories"),
    COLUMN("newer", "has version '0.9.0' of the encoding 'categorical', read is '0.2.0'"),
    COLUMN("short_mask", "obs/short_mask/mask: has 29 entries, expected 30"),
    MEASURE("donor", "obs/donor: holds categories, expected numbers"),
    MEASURE("plain", "obs/plain: holds texts, expected numbers"),
    MEASURE("Score", "there is no column 'Score' (did you mean 'score'?)"),
    MATRIX("layer:nothing", "layers/nothing: the matrix is missing. There are X and raw/X"),
    MATRIX("layer:one axis", "has 1 axes, expected 2"),
    MATRIX("layer:few rows", "has the shape (29, 24) for 30 cells"),
    MATRIX("layer:texts", "layers/texts: does not hold numbers"),
    MATRIX("layer:many genes", "var: names 24 genes, the matrix has 25"),
    MATRIX("layer:virtual", "lies in other files"),
    MATRIX("layer:outside", "lies in other files"),
    MATRIX("layer:coo", "is stored as 'coo_matrix'; read are dense matrices"),
    MATRIX("layer:falls", "layers/falls/indptr: does not rise from 0"),
    MATRIX("layer:short indices", "stored values: the file is damaged"),
    MATRIX("layer:wrong shape", "has the shape (24, 30) for 30 cells"),
    MATRIX("layer:no shape", "the attribute 'shape' is missing"),
    MATRIX("layer:long indptr", "indptr: has 32 entries for 30 cells"),
    MATRIX("layer:float indices", "indices: does not hold integers"),
    MATRIX("obsm:texts", "obsm/texts/b: holds categories, expected numbers"),
    MATRIX("obsm:nothing", "obsm/nothing: the matrix is missing"),
    {"refused no index", "X", "", "", "obs/_index: attribute is missing"},
    {"refused before 0.7", "X", "", "", "is a table of AnnData before 0.7"},
    {"refused MuData", "X", "", "", "mudata.read(FILE)['rna'].write_h5ad(NEW)"},
    {"refused Loom", "X", "", "", "it is Loom"},
    {"refused 10x", "X", "", "", "scanpy.read_10x_h5(FILE)"},
    {"refused other", "X", "", "", "is HDF5 but not AnnData. It holds: something"},
    {"refused no cells", "X", "", "", "obs: there are no cells"},
    {"refused of newest HDF5", "X", "donor", "", "written by a newer HDF5 with libver"},
    {"refused of newest HDF5", "X", "flag", "", "written by a newer HDF5 with libver"},
    {"edited null X", "X", "", "", "X: the matrix is missing. There are no X and raw/X"},
    {"0.7.8 without X", "X", "", "", "X: the matrix is missing. There are no X and no raw/X"},
};

/* Local: every message names the file, what was found, and is a failure of the input. */
static void check_refused(size_t number)
{
    h5ad_request request = {0};
    h5ad_plan plan;
    const char *matrix = refused[number].matrix, *said = refused[number].said;
    request.counts = strncmp(matrix, "obsm:", 5) != 0;
    snprintf(request.path, sizeof request.path, "%s/%s.h5ad", zoo_folder, refused[number].file);
    snprintf(request.matrix, sizeof request.matrix, "%s", matrix);
    if (!request.counts) snprintf(request.obsm, sizeof request.obsm, "%s", matrix + 5);
    if (refused[number].column[0])
        strcpy(request.column[request.columns++], refused[number].column);
    if (refused[number].measure[0])
        strcpy(request.measure[request.measures++], refused[number].measure);
    cz_status status = h5ad_plan_make(&plan, &request);
    const char *message = cz_error_message();
    check(status == CZ_ERR_INPUT && !strncmp(message, request.path, strlen(request.path)) &&
              strstr(message, said),
          "%s %s%s%s is refused: %s", refused[number].file, matrix, refused[number].column,
          refused[number].measure, message);
    cz_error_clear();
    h5ad_plan_free(&plan);
}

int main(int argc, char **argv)
{
    int provided;
    const char *name;
    json_t *file;
    cz_data_serve_probe(argc, argv);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    if (cz_comm_world(&comm)) MPI_Abort(MPI_COMM_WORLD, 4);
    zoo_open(comm.rank);
    truth = zoo_truth();
    json_t *files = json_object_get(truth, "files"), *all = json_object();
    int differ = 0;
    json_object_foreach(files, name, file)
    {
        differ += different(all, file);
        check_file(file, name);
    }
    check_all(json_object_size(files) == 33 && differ == 0,
              "AnnData reads one table in all %zu files", json_object_size(files));
    for (size_t k = 0; comm.rank == 0 && k < sizeof refused / sizeof *refused; k++)
        check_refused(k);
    json_decref(all);
    json_decref(truth);
    zoo_close(comm.rank);
    cz_comm_free(&comm);
    MPI_Finalize();
    return check_done();
}
