#include "old.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void old_plan_free(old_plan *plan)
{
    cz_h5_free_strings(plan->cell_name, (size_t)plan->n);
    cz_h5_free_strings(plan->gene_name, (size_t)plan->width);
    old_column_free(&plan->target);
    old_column_free(&plan->label);
    for (int a = 0; a < CZ_KEYS_MAX; a++) old_column_free(&plan->adversary[a]);
    *plan = (old_plan){0};
}

/* How to turn a form that is not read into one that is. */
static const char *remedy(const char *encoding)
{
    if (!strncmp(encoding, "nullable", 8))
        return ": in Python make the column a category, "
               "adata.obs[key] = adata.obs[key].astype(str).astype('category')";
    if (!strcmp(encoding, "csc_matrix")) return ": in Python, adata.X = adata.X.tocsr()";
    if (!strcmp(encoding, "array"))
        return ", a dense matrix: in Python, adata.X = scipy.sparse.csr_matrix(adata.X)";
    return "";
}

cz_status old_check_encoding(hid_t file, const char *place, const char *type, const char *version)
{
    char encoding[64], found[64];
    CZ_TRY(cz_h5_text_attribute(encoding, sizeof encoding, file, place, "encoding-type"));
    CZ_TRY(cz_h5_text_attribute(found, sizeof found, file, place, "encoding-version"));
    if (!encoding[0])
        return cz_h5_fail(CZ_ERR_INPUT, file, place,
                          "has no encoding-type, as AnnData before 0.8 writes it: read the file "
                          "in Python with anndata.read_h5ad() and write it again");
    if (strcmp(encoding, type) != 0)
        return cz_h5_fail(CZ_ERR_INPUT, file, place, "is stored as '%s'%s; read is '%s'", encoding,
                          remedy(encoding), type);
    if (strcmp(found, version) != 0)
        return cz_h5_fail(CZ_ERR_INPUT, file, place,
                          "has version '%s' of the encoding '%s'; read is '%s'", found, type,
                          version);
    return CZ_OK;
}

/* The length of a data frame's index, whose place is returned too. */
static cz_status frame_length(int *length, char *index, size_t size, hid_t file, const char *frame)
{
    char name[CZ_NAME_MAX];
    hsize_t dim = 0;
    H5T_class_t class;
    if (cz_h5_kind_of(file, frame) != CZ_H5_GROUP)
        return cz_h5_fail(CZ_ERR_INPUT, file, frame, "the data frame is missing");
    CZ_TRY(old_check_encoding(file, frame, "dataframe", "0.2.0"));
    CZ_TRY(cz_h5_text_attribute(name, sizeof name, file, frame, "_index"));
    if (!name[0]) return cz_h5_fail(CZ_ERR_INPUT, file, frame, "the attribute '_index' is missing");
    snprintf(index, size, "%s/%s", frame, name);
    if (cz_h5_kind_of(file, index) == CZ_H5_GROUP)
        CZ_TRY(old_check_encoding(file, index, "string-array", "0.2.0"));
    CZ_TRY(cz_h5_layout(&dim, &class, file, index, 1));
    if (dim >= INT_MAX)
        return cz_h5_fail(CZ_ERR_INPUT, file, index, "has %llu entries, more than czhpc can hold",
                          (unsigned long long)dim);
    *length = (int)dim;
    return CZ_OK;
}

static cz_status check_root(hid_t file)
{
    char encoding[64], members[512];
    CZ_TRY(cz_h5_text_attribute(encoding, sizeof encoding, file, "/", "encoding-type"));
    if (!strcmp(encoding, "anndata")) return CZ_OK;
    if (encoding[0])
        return cz_h5_fail(CZ_ERR_INPUT, file, NULL,
                          "holds '%s', not AnnData: name the .h5ad itself", encoding);
    if (cz_h5_kind_of(file, "obs") != CZ_H5_NONE && cz_h5_kind_of(file, "var") != CZ_H5_NONE)
        return cz_h5_fail(CZ_ERR_INPUT, file, NULL,
                          "was written by AnnData before 0.8, a form that is not read: in Python, "
                          "anndata.read_h5ad(FILE).write_h5ad(NEW)");
    cz_h5_members(file, "", members, sizeof members);
    return cz_h5_fail(CZ_ERR_INPUT, file, NULL, "is HDF5 but not AnnData; it holds: %s", members);
}

/* Where data.matrix is, and the data frame of its genes. */
static cz_status matrix_place(old_plan *plan, const char **genes, const cz_config *config)
{
    const char *matrix = config->data.matrix;
    *genes = "var";
    if (!strcmp(matrix, "X")) {
        snprintf(plan->matrix, sizeof plan->matrix, "X");
    } else if (!strcmp(matrix, "raw")) {
        snprintf(plan->matrix, sizeof plan->matrix, "raw/X");
        *genes = "raw/var";
    } else if (!strncmp(matrix, "layer:", 6) && matrix[6]) {
        snprintf(plan->matrix, sizeof plan->matrix, "layers/%s", matrix + 6);
    } else {
        return cz_fail(CZ_ERR_CONFIG, "data.matrix '%s' is none of X, raw, layer:NAME", matrix);
    }
    return CZ_OK;
}

static cz_status no_matrix(const old_plan *plan, hid_t file)
{
    char layers[256], obsm[256];
    cz_h5_members(file, "layers", layers, sizeof layers);
    cz_h5_members(file, "obsm", obsm, sizeof obsm);
    return cz_h5_fail(CZ_ERR_INPUT, file, plan->matrix,
                      "the matrix is missing. There are%s raw counts; layers: %s; obsm: %s. See "
                      "data.matrix, data.features, data.obsm",
                      cz_h5_kind_of(file, "raw/X") == CZ_H5_NONE ? " no" : "",
                      layers[0] ? layers : "none", obsm[0] ? obsm : "none");
}

/* indptr must start at 0 and end at the number of entries; what is between is checked by the
 * ranks that read it. */
static cz_status check_row_pointers(const old_plan *plan, hid_t file, const char *place)
{
    int64_t first = -1, last = -1;
    CZ_TRY(cz_h5_rows(&first, H5T_NATIVE_INT64, 0, 1, file, place));
    CZ_TRY(cz_h5_rows(&last, H5T_NATIVE_INT64, plan->n, 1, file, place));
    if (first == 0 && last == plan->entries) return CZ_OK;
    return cz_h5_fail(CZ_ERR_INPUT, file, place,
                      "runs from %lld to %lld for %lld stored counts: the file is damaged",
                      (long long)first, (long long)last, (long long)plan->entries);
}

static cz_status check_csr(old_plan *plan, hid_t file)
{
    char place[CZ_NAME_MAX + 32];
    int64_t shape[2];
    hsize_t data = 0, indices = 0, indptr = 0;
    H5T_class_t class;
    CZ_TRY(cz_h5_integers_attribute(shape, 2, file, plan->matrix, "shape"));
    if (shape[0] != plan->n || shape[1] < 1 || shape[1] >= INT_MAX)
        return cz_h5_fail(CZ_ERR_INPUT, file, plan->matrix,
                          "has the shape (%lld, %lld) for %d cells", (long long)shape[0],
                          (long long)shape[1], plan->n);
    plan->width = (int)shape[1];
    snprintf(place, sizeof place, "%s/data", plan->matrix);
    CZ_TRY(cz_h5_layout(&data, &class, file, place, 1));
    if (class != H5T_FLOAT && class != H5T_INTEGER)
        return cz_h5_fail(CZ_ERR_INPUT, file, place, "does not hold numbers");
    snprintf(place, sizeof place, "%s/indices", plan->matrix);
    CZ_TRY(cz_h5_layout(&indices, &class, file, place, 1));
    if (class != H5T_INTEGER)
        return cz_h5_fail(CZ_ERR_INPUT, file, place, "does not hold integers");
    if (indices != data)
        return cz_h5_fail(CZ_ERR_INPUT, file, place,
                          "has %llu entries for %llu counts: the file is damaged",
                          (unsigned long long)indices, (unsigned long long)data);
    snprintf(place, sizeof place, "%s/indptr", plan->matrix);
    CZ_TRY(cz_h5_layout(&indptr, &class, file, place, 1));
    if (class != H5T_INTEGER)
        return cz_h5_fail(CZ_ERR_INPUT, file, place, "does not hold integers");
    if (indptr != (hsize_t)plan->n + 1)
        return cz_h5_fail(CZ_ERR_INPUT, file, place,
                          "has %llu entries for %d cells: the file is damaged",
                          (unsigned long long)indptr, plan->n);
    plan->entries = (int64_t)data;
    return check_row_pointers(plan, file, place);
}

static cz_status plan_counts(old_plan *plan, hid_t file, const cz_config *config, bool names)
{
    const char *genes;
    char index[CZ_NAME_MAX + 16];
    int length = 0;
    CZ_TRY(matrix_place(plan, &genes, config));
    if (cz_h5_kind_of(file, plan->matrix) == CZ_H5_NONE) return no_matrix(plan, file);
    CZ_TRY(old_check_encoding(file, plan->matrix, "csr_matrix", "0.1.0"));
    CZ_TRY(check_csr(plan, file));
    CZ_TRY(frame_length(&length, index, sizeof index, file, genes));
    if (length != plan->width)
        return cz_h5_fail(CZ_ERR_INPUT, file, index, "names %d genes, the matrix has %d", length,
                          plan->width);
    if (config->data.gene_key[0]) {
        snprintf(index, sizeof index, "%.8s/%.*s", genes, CZ_NAME_MAX, config->data.gene_key);
        if (cz_h5_kind_of(file, index) == CZ_H5_NONE) {
            char columns[512];
            cz_h5_members(file, genes, columns, sizeof columns);
            return cz_h5_fail(CZ_ERR_INPUT, file, genes,
                              "there is no column '%s' (data.gene_key); there are: %s",
                              config->data.gene_key, columns);
        }
    }
    if (!names) return CZ_OK;
    CZ_TRY(cz_h5_texts(&plan->gene_name, &length, file, index));
    if (length == plan->width) return CZ_OK;
    return cz_h5_fail(CZ_ERR_INPUT, file, index, "names %d genes, the matrix has %d", length,
                      plan->width);
}

static cz_status plan_embedding(old_plan *plan, hid_t file, const cz_config *config)
{
    hsize_t dim[2] = {0, 0};
    H5T_class_t class;
    char members[512];
    snprintf(plan->matrix, sizeof plan->matrix, "obsm/%s", config->data.obsm);
    cz_h5_kind kind = cz_h5_kind_of(file, plan->matrix);
    if (kind == CZ_H5_NONE) {
        cz_h5_members(file, "obsm", members, sizeof members);
        return cz_h5_fail(CZ_ERR_INPUT, file, "obsm", "there is no '%s' (data.obsm); there are: %s",
                          config->data.obsm, members[0] ? members : "none");
    }
    CZ_TRY(old_check_encoding(file, plan->matrix, "array", "0.2.0"));
    CZ_TRY(cz_h5_layout(dim, &class, file, plan->matrix, 2));
    if (class != H5T_FLOAT && class != H5T_INTEGER)
        return cz_h5_fail(CZ_ERR_INPUT, file, plan->matrix, "does not hold numbers");
    if (dim[0] != (hsize_t)plan->n || dim[1] < 1 || dim[1] > 1 << 20)
        return cz_h5_fail(CZ_ERR_INPUT, file, plan->matrix,
                          "has the shape (%llu, %llu) for %d cells", (unsigned long long)dim[0],
                          (unsigned long long)dim[1], plan->n);
    plan->width = (int)dim[1];
    return CZ_OK;
}

static cz_status plan_columns(old_plan *plan, hid_t file, const cz_config *config)
{
    int n = plan->n;
    CZ_TRY(old_column(&plan->target, file, config->data.target_key, OLD_TARGET, n));
    CZ_TRY(old_column(&plan->label, file, config->data.label_key, OLD_LABEL, n));
    plan->adversaries = config->data.adversary_keys.count;
    for (int a = 0; a < plan->adversaries; a++)
        CZ_TRY(old_column(&plan->adversary[a], file, config->data.adversary_keys.name[a],
                          OLD_ADVERSARY, n));
    return CZ_OK;
}

static cz_status plan_all(old_plan *plan, hid_t file, const cz_config *config, bool names)
{
    char index[CZ_NAME_MAX + 16];
    int length = 0;
    CZ_TRY(check_root(file));
    CZ_TRY(frame_length(&plan->n, index, sizeof index, file, "obs"));
    if (plan->n == 0) return cz_h5_fail(CZ_ERR_INPUT, file, "obs", "there are no cells");
    plan->counts = config->data.features == CZ_FEATURES_COUNTS;
    CZ_TRY(plan->counts ? plan_counts(plan, file, config, names)
                        : plan_embedding(plan, file, config));
    CZ_TRY(plan_columns(plan, file, config));
    return names ? cz_h5_texts(&plan->cell_name, &length, file, index) : CZ_OK;
}

static cz_status plan_file(old_plan *plan, const cz_config *config, bool names)
{
    hid_t file;
    *plan = (old_plan){0};
    cz_status status = cz_h5_open_file(&file, config->data.h5ad.text[0]);
    if (!status) status = plan_all(plan, file, config, names);
    cz_h5_close(&file);
    if (status) old_plan_free(plan);
    return status;
}

typedef struct probe {
    const cz_config *config;
    bool names;
} probe;

static cz_status probe_file(void *context)
{
    const probe *asked = context;
    old_plan plan;
    CZ_TRY(plan_file(&plan, asked->config, asked->names));
    old_plan_free(&plan);
    return CZ_OK;
}

cz_status old_plan_make(old_plan *plan, const cz_config *config, bool names)
{
    probe asked = {config, names};
    *plan = (old_plan){0};
    CZ_TRY(cz_h5_probe(config->data.h5ad.text[0], probe_file, &asked));
    return plan_file(plan, config, names);
}

/* Names and codes of a column, whose number of classes all ranks know. */
static cz_status share_column(cz_column *column, int n, const cz_comm *comm)
{
    bool own = comm->rank == 0;
    size_t bytes = 0;
    char *text = NULL;
    for (int c = 0; own && c < column->classes; c++) bytes += strlen(column->class_name[c]) + 1;
    CZ_TRY(cz_comm_broadcast(comm, CZ_OK, &bytes, sizeof bytes));
    text = cz_alloc(bytes, 1, "the names of classes");
    if (!own) {
        column->code = cz_alloc((size_t)n, sizeof *column->code, "the codes of a column");
        column->class_name =
            cz_alloc((size_t)column->classes, sizeof(char *), "the names of classes");
    }
    cz_status status = text && column->code && (column->class_name || column->classes == 0)
                           ? CZ_OK
                           : CZ_ERR_MEMORY;
    status = cz_comm_agree(comm, status);
    if (status) goto done;
    char *at = text;
    for (int c = 0; own && c < column->classes; c++) at = stpcpy(at, column->class_name[c]) + 1;
    status = cz_comm_broadcast(comm, status, text, bytes);
    if (!status)
        status = cz_comm_broadcast(comm, status, column->code, (size_t)n * sizeof *column->code);
    at = text;
    for (int c = 0; !status && !own && c < column->classes; c++, at += strlen(at) + 1)
        if (!(column->class_name[c] = strdup(at)))
            status = cz_fail(CZ_ERR_MEMORY, "no memory for the names of classes");
    status = cz_comm_agree(comm, status);
done:
    free(text);
    return status;
}

static void forget_pointers(old_plan *plan)
{
    plan->cell_name = plan->gene_name = NULL;
    plan->target.code = plan->label.code = NULL;
    plan->target.class_name = plan->label.class_name = NULL;
    for (int a = 0; a < CZ_KEYS_MAX; a++) {
        plan->adversary[a].code = NULL;
        plan->adversary[a].class_name = NULL;
    }
}

cz_status old_plan_share(old_plan *plan, cz_status status, const cz_comm *comm)
{
    CZ_TRY(cz_comm_broadcast(comm, status, plan, sizeof *plan));
    if (comm->rank > 0) forget_pointers(plan);
    status = share_column(&plan->target, plan->n, comm);
    if (!status) status = share_column(&plan->label, plan->n, comm);
    for (int a = 0; a < plan->adversaries && !status; a++)
        status = share_column(&plan->adversary[a], plan->n, comm);
    if (status) old_plan_free(plan);
    return status;
}
