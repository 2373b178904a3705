/* Matrices of AnnData: X, raw, layers and obsm; dense, sparse, or a data frame. */
#include "h5ad_parts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH_MAX = 1 << 20,    /* of an embedding */
    WHOLE_BYTES = 32 << 20, /* what is smaller is read through */
    BLOCK_VALUES = 1 << 20,
    CHUNK_BYTES = 1 << 20, /* smaller chunks need no check of their size */
    DEFLATE_MOST = 1032    /* bytes that deflate can pack into one */
};

/* Filters that fail in good order on damaged values. */
static bool is_sound(H5Z_filter_t filter)
{
    return filter == H5Z_FILTER_DEFLATE || filter == H5Z_FILTER_SHUFFLE ||
           filter == H5Z_FILTER_FLETCHER32 || filter == 32000; /* lzf */
}

/* How a dataset's values lie in the file. */
typedef struct layout {
    bool sound;   /* by filters that may be trusted */
    double bytes; /* of all values */
} layout;

static cz_status check_layout(layout *found, hid_t file, const char *place, hid_t dataset,
                              hid_t list)
{
    hsize_t chunk[H5S_MAX_RANK];
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    double value = (double)H5Tget_size(type), stored = (double)H5Dget_storage_size(dataset);
    found->bytes = (double)H5Sget_simple_extent_npoints(space) * value;
    H5Tclose(type);
    H5Sclose(space);
    int filters = H5Pget_nfilters(list);
    found->sound = filters >= 0;
    for (int i = 0; i < filters; i++) {
        unsigned flags, info;
        size_t values = 0;
        found->sound = found->sound && is_sound(H5Pget_filter2(list, (unsigned)i, &flags, &values,
                                                               NULL, 0, NULL, &info));
    }
    int axes = H5Pget_layout(list) == H5D_CHUNKED ? H5Pget_chunk(list, H5S_MAX_RANK, chunk) : 0;
    for (int axis = 0; axis < axes; axis++) value *= (double)chunk[axis];
    if (axes > 0 && value > CHUNK_BYTES && value > DEFLATE_MOST * stored)
        return cz_h5_fail(CZ_ERR_INPUT, file, place,
                          "has chunks of %.0f bytes, but %.0f bytes in all: the file is damaged",
                          value, stored);
    return CZ_OK;
}

/* Reads all values once: what kills HDF5 here would kill a job later. */
static cz_status read_through(hid_t file, const char *place, const hsize_t *dim, int axes)
{
    hsize_t width = axes == 2 ? dim[1] : 1, rows = width < BLOCK_VALUES ? BLOCK_VALUES / width : 1;
    if (rows > dim[0]) rows = dim[0];
    double *values = cz_alloc(rows * width, sizeof *values, "the values of a matrix");
    cz_status status = values ? CZ_OK : CZ_ERR_MEMORY;
    for (hsize_t row = 0; row < dim[0] && !status; row += rows)
        status = cz_h5_rows(values, H5T_NATIVE_DOUBLE, (int64_t)row,
                            (int64_t)(dim[0] - row < rows ? dim[0] - row : rows), file, place);
    free(values);
    return status;
}

cz_status h5ad_numbers_check(hsize_t *dim, hid_t file, const char *place, int axes)
{
    cz_h5_kind kind;
    H5T_class_t class;
    layout found = {0};
    hid_t dataset;
    CZ_TRY(h5ad_look(&kind, file, place));
    CZ_TRY(cz_h5_layout(dim, &class, file, place, axes));
    if (class != H5T_FLOAT && class != H5T_INTEGER && class != H5T_ENUM)
        return cz_h5_fail(CZ_ERR_INPUT, file, place, "does not hold numbers");
    CZ_TRY(cz_h5_open_dataset(&dataset, file, place));
    hid_t list = H5Dget_create_plist(dataset);
    cz_status status = list < 0 ? cz_h5_fail(CZ_ERR_INPUT, file, place, "the dataset is damaged")
                                : check_layout(&found, file, place, dataset, list);
    if (list >= 0) H5Pclose(list);
    cz_h5_close(&dataset);
    if (status || dim[0] == 0 || (axes == 2 && dim[1] == 0)) return status;
    return found.sound && found.bytes > WHOLE_BYTES ? CZ_OK : read_through(file, place, dim, axes);
}

static cz_status refuse_shape(const h5ad_matrix *matrix, hid_t file, int64_t rows, int64_t columns,
                              int cells)
{
    return cz_h5_fail(CZ_ERR_INPUT, file, matrix->place, "has the shape (%lld, %lld) for %d cells",
                      (long long)rows, (long long)columns, cells);
}

static cz_status find_dense(h5ad_matrix *matrix, hid_t file, int cells)
{
    hsize_t dim[2] = {0, 0};
    CZ_TRY(h5ad_numbers_check(dim, file, matrix->place, 2));
    if (dim[0] != (hsize_t)cells || dim[1] < 1 || dim[1] >= INT_MAX)
        return refuse_shape(matrix, file, (int64_t)dim[0], (int64_t)dim[1], cells);
    matrix->form = H5AD_DENSE;
    matrix->columns = (int)dim[1];
    return CZ_OK;
}

/* indptr (length) must rise from 0 to the number of entries. */
static cz_status check_pointers(hid_t file, const char *place, int length, int64_t entries)
{
    int64_t *at = cz_alloc((size_t)length, sizeof *at, "the row pointers of a matrix");
    if (!at) return CZ_ERR_MEMORY;
    cz_status status = cz_h5_rows(at, H5T_NATIVE_INT64, 0, length, file, place);
    bool rises = at[0] == 0;
    for (int i = 1; i < length && rises; i++) rises = at[i] >= at[i - 1];
    if (!status && (!rises || at[length - 1] != entries))
        status = cz_h5_fail(CZ_ERR_INPUT, file, place,
                            "does not rise from 0 to the %lld stored values: the file is damaged",
                            (long long)entries);
    free(at);
    return status;
}

/* Fails unless `place` holds integers, and returns how many. */
static cz_status count_integers(hsize_t *count, hid_t file, const char *place)
{
    H5T_class_t class;
    CZ_TRY(h5ad_numbers_check(count, file, place, 1));
    CZ_TRY(cz_h5_layout(count, &class, file, place, 1));
    return class == H5T_INTEGER ? CZ_OK
                                : cz_h5_fail(CZ_ERR_INPUT, file, place, "does not hold integers");
}

static cz_status find_sparse(h5ad_matrix *matrix, hid_t file, int cells)
{
    char place[H5AD_PLACE_MAX];
    int64_t shape[2] = {0, 0};
    hsize_t data = 0, indices = 0, pointers = 0;
    CZ_TRY(h5ad_check_version(file, matrix->place, "0.1.0"));
    CZ_TRY(cz_h5_integers_attribute(shape, 2, file, matrix->place, "shape"));
    if (shape[0] != cells || shape[1] < 1 || shape[1] >= INT_MAX)
        return refuse_shape(matrix, file, shape[0], shape[1], cells);
    matrix->columns = (int)shape[1];
    CZ_TRY(h5ad_join(place, file, matrix->place, "data"));
    CZ_TRY(h5ad_numbers_check(&data, file, place, 1));
    matrix->entries = (int64_t)data;
    CZ_TRY(h5ad_join(place, file, matrix->place, "indices"));
    CZ_TRY(count_integers(&indices, file, place));
    if (indices != data)
        return cz_h5_fail(CZ_ERR_INPUT, file, place,
                          "has %llu entries for %llu stored values: the file is damaged",
                          (unsigned long long)indices, (unsigned long long)data);
    int lines = matrix->form == H5AD_CSR ? cells : matrix->columns;
    CZ_TRY(h5ad_join(place, file, matrix->place, "indptr"));
    CZ_TRY(count_integers(&pointers, file, place));
    if (pointers != (hsize_t)lines + 1)
        return cz_h5_fail(
            CZ_ERR_INPUT, file, place, "has %llu entries for %d %s: the file is damaged",
            (unsigned long long)pointers, lines, matrix->form == H5AD_CSR ? "cells" : "columns");
    return check_pointers(file, place, lines + 1, matrix->entries);
}

/* A data frame in obsm: columns of numbers, in its order. */
static cz_status find_frame(h5ad_matrix *matrix, hid_t file, int cells)
{
    h5ad_frame frame;
    char place[H5AD_PLACE_MAX];
    CZ_TRY(h5ad_frame_open(&frame, file, matrix->place));
    matrix->form = H5AD_FRAME;
    cz_status status = CZ_OK;
    if (frame.rows != cells || frame.columns < 1)
        status = refuse_shape(matrix, file, frame.rows, frame.columns, cells);
    else if (!(matrix->part = cz_alloc((size_t)frame.columns, sizeof(char *), "places")))
        status = CZ_ERR_MEMORY;
    for (int c = 0; c < frame.columns && !status; c++) {
        status = h5ad_join(place, file, matrix->place, frame.column[c]);
        if (!status) status = h5ad_measure_check(file, place, cells);
        if (!status && !(matrix->part[matrix->columns++] = strdup(place)))
            status = cz_fail(CZ_ERR_MEMORY, "no memory for the places of a data frame");
    }
    h5ad_frame_free(&frame);
    return status;
}

cz_status h5ad_matrix_find(h5ad_matrix *matrix, hid_t file, int cells)
{
    cz_h5_kind kind;
    h5ad_text encoding;
    matrix->rows = cells;
    CZ_TRY(h5ad_look(&kind, file, matrix->place));
    if (kind == CZ_H5_DATASET) return find_dense(matrix, file, cells);
    CZ_TRY(h5ad_text_of(encoding, file, matrix->place, "encoding-type"));
    if (!strcmp(encoding, "dataframe") && !strncmp(matrix->place, "obsm/", 5))
        return find_frame(matrix, file, cells);
    bool csr = !strncmp(encoding, "csr", 3);
    if (csr || !strncmp(encoding, "csc", 3)) {
        matrix->form = csr ? H5AD_CSR : H5AD_CSC;
        return find_sparse(matrix, file, cells);
    }
    return cz_h5_fail(CZ_ERR_INPUT, file, matrix->place,
                      "is stored as '%s'; read are dense matrices, csr_matrix, csc_matrix, and "
                      "data frames in obsm",
                      encoding);
}

void h5ad_matrix_free(h5ad_matrix *matrix)
{
    cz_h5_free_strings(matrix->part, matrix->part ? (size_t)matrix->columns : 0);
    *matrix = (h5ad_matrix){0};
}
