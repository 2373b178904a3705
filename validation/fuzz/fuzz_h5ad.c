/* AnnData files: a plan is found, or there is one clear error. What is found survives the way to
 * the job, as bytes. */
#include "data/h5ad_plan.h"
#include "fuzz_h5.h"

enum { CELLS = 6, GENES = 5, WIDTH = 4 };

static const char *const class_name[] = {"a", "b", "nan", "x+y"};
enum { CLASSES = 4 };

/* What a column or matrix is stored as; the bytes choose. */
typedef enum form { CATEGORICAL, LEGACY, TEXTS, WHOLES, REALS, NULLABLE, FORMS } form;

static hid_t group_of(fuzz *f, hid_t at, const char *name, const char *encoding,
                      const char *version)
{
    if (fuzz_instead(f, at, name)) return -1;
    hid_t group = H5Gcreate2(at, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (group < 0) return -1; /* the fuzzer may give a name twice */
    fuzz_attribute(f, group, "encoding-type", encoding);
    fuzz_attribute(f, group, "encoding-version", version);
    return group;
}

static void put_texts(fuzz *f, hid_t at, const char *name, int n)
{
    const hsize_t dim = (hsize_t)n;
    hid_t string = fuzz_string(H5T_VARIABLE, true);
    char **text = fuzz_texts(f, n, class_name, CLASSES);
    hid_t dataset = fuzz_dataset(f, at, name, string, 1, &dim, NULL, text);
    if (dataset >= 0) fuzz_attribute(f, dataset, "encoding-type", "string-array");
    fuzz_close(dataset);
    fuzz_free_texts(text);
    H5Tclose(string);
}

/* Whole numbers; the dataset, which may be none. */
static hid_t put_wholes(fuzz *f, hid_t at, const char *name, hid_t type, int n, int period)
{
    const hsize_t dim = (hsize_t)n;
    int64_t *value = fuzz_wholes(f, n, period);
    hid_t dataset = fuzz_dataset(f, at, name, type, 1, &dim, value, NULL);
    free(value);
    return dataset;
}

static void put_categorical(fuzz *f, hid_t frame, const char *name, int n)
{
    hid_t group = group_of(f, frame, name, "categorical", "0.2.0");
    if (group < 0) return;
    if (fuzz_seldom(f)) fuzz_close(put_wholes(f, group, "categories", H5T_STD_I64LE, CLASSES, 3));
    else put_texts(f, group, "categories", CLASSES);
    fuzz_close(put_wholes(f, group, "codes", H5T_STD_I8LE, n, CLASSES));
    H5Gclose(group);
}

/* AnnData 0.7: codes that refer to their categories. */
static void put_legacy(fuzz *f, hid_t frame, const char *name, int n)
{
    char place[64];
    hobj_ref_t reference = 0;
    H5Lexists(frame, "__categories", H5P_DEFAULT) > 0 ||
        H5Gclose(H5Gcreate2(frame, "__categories", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    snprintf(place, sizeof place, "__categories/%.40s", name);
    put_texts(f, frame, place, CLASSES);
    hid_t codes = put_wholes(f, frame, name, H5T_STD_I8LE, n, CLASSES);
    if (codes < 0) return;
    if (fuzz_seldom(f)) reference = fuzz_whole(f) & 0xffff; /* an address that may hold nothing */
    else H5Rcreate(&reference, frame, fuzz_seldom(f) ? "." : place, H5R_OBJECT, -1);
    fuzz_numbers(f, codes, "categories", H5T_STD_REF_OBJ, 1, &reference);
    H5Dclose(codes);
}

static void put_nullable(fuzz *f, hid_t frame, const char *name, int n)
{
    static const char *const encoding[] = {"nullable-string-array", "nullable-integer",
                                           "nullable-boolean"};
    unsigned kind = fuzz_below(f, 3);
    hid_t boolean = H5Tenum_create(H5T_STD_I8LE);
    H5Tenum_insert(boolean, "FALSE", &(int8_t){0});
    H5Tenum_insert(boolean, "TRUE", &(int8_t){1});
    hid_t group = group_of(f, frame, name, encoding[kind], "0.1.0");
    if (group >= 0) {
        if (kind == 0) put_texts(f, group, "values", n);
        else fuzz_close(put_wholes(f, group, "values", kind == 1 ? H5T_STD_I64LE : boolean, n, 9));
        fuzz_close(put_wholes(f, group, "mask", boolean, n, 2));
        H5Gclose(group);
    }
    H5Tclose(boolean);
}

static void put_column(fuzz *f, hid_t frame, const char *name, int n, form usual)
{
    form form = fuzz_seldom(f) ? fuzz_below(f, FORMS) : usual;
    if (form == CATEGORICAL) put_categorical(f, frame, name, n);
    if (form == LEGACY) put_legacy(f, frame, name, n);
    if (form == TEXTS) put_texts(f, frame, name, n);
    if (form == WHOLES) fuzz_close(put_wholes(f, frame, name, H5T_STD_I64LE, n, 3));
    if (form == REALS) fuzz_close(put_wholes(f, frame, name, H5T_IEEE_F64LE, n, 5));
    if (form == NULLABLE) put_nullable(f, frame, name, n);
}

/* The attributes that name a frame's columns; the names themselves seldom others. */
static void put_header(fuzz *f, hid_t frame, char *const *name, int columns)
{
    const hsize_t count = (hsize_t)columns;
    fuzz_attribute(f, frame, "_index", name[0]);
    if (fuzz_seldom(f)) { /* AnnData writes no columns as no numbers */
        fuzz_numbers(f, frame, "column-order", H5T_IEEE_F64LE, 0, NULL);
        return;
    }
    fuzz_put_attribute(frame, "column-order", fuzz_string(H5T_VARIABLE, true),
                       H5Screate_simple(1, &count, NULL), name + 1);
}

/* A frame whose first column is its index. */
static void put_frame(fuzz *f, hid_t at, const char *place, int n, const char *const *column,
                      const form *usual, int columns)
{
    hid_t frame = group_of(f, at, place, "dataframe", "0.2.0");
    if (frame < 0) return;
    char **name = fuzz_texts(f, columns, column, columns);
    put_header(f, frame, name, columns - 1);
    for (int c = 0; c < columns; c++) put_column(f, frame, column[c], n + fuzz_seldom(f), usual[c]);
    fuzz_free_texts(name);
    H5Gclose(frame);
}

static void put_dense(fuzz *f, hid_t at, const char *name, int rows, int columns)
{
    const hsize_t dim[2] = {(hsize_t)rows, (hsize_t)columns};
    int64_t *value = fuzz_wholes(f, rows * columns, 3);
    fuzz_close(fuzz_dataset(f, at, name, H5T_IEEE_F32LE, 2, dim, value, NULL));
    free(value);
}

/* One value in each line: (rows, columns) by rows, or by columns. */
static void put_sparse(fuzz *f, hid_t at, const char *name, int rows, int columns, bool by_rows)
{
    const int64_t shape[2] = {rows, columns};
    int lines = by_rows ? rows : columns;
    hid_t group = group_of(f, at, name, by_rows ? "csr_matrix" : "csc_matrix", "0.1.0");
    if (group < 0) return;
    fuzz_numbers(f, group, "shape", H5T_STD_I64LE, 2, shape);
    fuzz_close(put_wholes(f, group, "data", H5T_IEEE_F32LE, lines, 4));
    fuzz_close(put_wholes(f, group, "indices", H5T_STD_I32LE, lines, by_rows ? columns : rows));
    fuzz_close(put_wholes(f, group, "indptr", H5T_STD_I32LE, lines + 1, lines + 1));
    H5Gclose(group);
}

static void put_matrix(fuzz *f, hid_t at, const char *name, int columns)
{
    static const char *const column[] = {"_index", "d0", "d1"};
    static const form usual[] = {TEXTS, REALS, REALS};
    unsigned form = fuzz_below(f, 4);
    if (form == 0) put_dense(f, at, name, CELLS, columns);
    if (form == 1 || form == 2) put_sparse(f, at, name, CELLS, columns, form == 1);
    if (form == 3) put_frame(f, at, name, CELLS, column, usual, 3);
}

static void write_file(fuzz *f)
{
    static const char *const obs[] = {"_index", "donor_id", "cell_type", "sex", "depth"};
    static const form of_obs[] = {TEXTS, CATEGORICAL, CATEGORICAL, TEXTS, REALS};
    static const char *const var[] = {"_index", "symbol"};
    static const form of_var[] = {TEXTS, TEXTS};
    static const char *const folder[] = {"layers", "obsm", "raw"};
    hid_t file = H5Fcreate(fuzz_path(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    fuzz_attribute(f, file, "encoding-type", "anndata");
    fuzz_attribute(f, file, "encoding-version", "0.1.0");
    put_frame(f, file, "obs", CELLS, obs, of_obs, 5);
    put_frame(f, file, "var", GENES, var, of_var, 2);
    put_matrix(f, file, "X", GENES);
    for (int i = 0; i < 3; i++) {
        hid_t group = group_of(f, file, folder[i], "dict", "0.1.0");
        if (group < 0) continue;
        put_matrix(f, group,
                   i == 0   ? "counts"
                   : i == 1 ? "geneformer"
                            : "X",
                   i == 1 ? WIDTH : GENES);
        if (i == 2) put_frame(f, group, "var", GENES, var, of_var, 2);
        H5Gclose(group);
    }
    H5Fclose(file);
}

/* What is asked of the file. */
static h5ad_request ask(fuzz *f)
{
    static const char *const matrix[] = {"X", "layer:counts", "raw"};
    unsigned what = fuzz_below(f, 4);
    h5ad_request request = {.counts = what < 3, .columns = 3, .measures = 1};
    snprintf(request.path, sizeof request.path, "%s", fuzz_path());
    snprintf(request.matrix, sizeof request.matrix, "%s", matrix[what % 3]);
    snprintf(request.obsm, sizeof request.obsm, "geneformer");
    snprintf(request.gene_key, sizeof request.gene_key, "%s", fuzz_below(f, 2) ? "symbol" : "");
    snprintf(request.column[0], CZ_NAME_MAX, "donor_id");
    snprintf(request.column[1], CZ_NAME_MAX, "cell_type");
    snprintf(request.column[2], CZ_NAME_MAX, "sex");
    snprintf(request.measure[0], CZ_NAME_MAX, "depth");
    return request;
}

static void check_plan(const h5ad_plan *plan)
{
    static h5ad_plan again;
    cz_bytes bytes = {0}, second = {0};
    h5ad_plan_pack(&bytes, plan, true);
    fuzz_must(!h5ad_plan_unpack(&again, bytes.data, bytes.size));
    h5ad_plan_pack(&second, &again, true);
    fuzz_must(bytes.size == second.size && !memcmp(bytes.data, second.data, bytes.size));
    h5ad_plan_free(&again);
    cz_bytes_free(&bytes);
    cz_bytes_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static h5ad_plan plan;
    fuzz f = {data, data + size};
    h5ad_request request = ask(&f);
    write_file(&f);
    hsize_t before = fuzz_handles();
    cz_status status = h5ad_plan_find(&plan, &request);
    fuzz_must(fuzz_handles() == before);
    if (fuzz_good(status, CZ_ERR_INPUT, CZ_ERR_MEMORY)) {
        check_plan(&plan);
        h5ad_plan_free(&plan);
    } else if (size == 0) {
        fuzz_must(false); /* the empty input is a file as it should be */
    }
    return 0;
}
