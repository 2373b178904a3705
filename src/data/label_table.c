/* Reading a table of label vectors, through a probe. */
#include "czhpc/label_table.h"
#include "label_check.h"
#include "label_probe.h"

#include "czhpc/h5_read.h"
#include "czhpc/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 1 << 20, WIDTH_MAX = 1 << 16 };

void cz_label_table_free(cz_label_table *read)
{
    cz_h5_free_strings(read->label, (size_t)read->rows);
    free(read->vector);
    free(read->order);
    *read = (cz_label_table){0};
}

static int by_label(const void *a, const void *b, void *label)
{
    char *const *of = label;
    return strcmp(of[*(const int *)a], of[*(const int *)b]);
}

static cz_status sort_labels(cz_label_table *read)
{
    read->order = cz_alloc((size_t)read->rows, sizeof *read->order, "labels");
    if (!read->order) return CZ_ERR_MEMORY;
    for (int i = 0; i < read->rows; i++) read->order[i] = i;
    qsort_r(read->order, (size_t)read->rows, sizeof *read->order, by_label, read->label);
    return CZ_OK;
}

int cz_label_row(const cz_label_table *read, const char *label)
{
    int begin = 0, end = read->rows;
    while (begin < end) {
        int middle = begin + (end - begin) / 2, row = read->order[middle];
        int sign = strcmp(label, read->label[row]);
        if (!sign) return row;
        if (sign < 0) end = middle;
        else begin = middle + 1;
    }
    return -1;
}

static cz_status check_twice(cz_label_table *read, hid_t file)
{
    CZ_TRY(sort_labels(read));
    for (int i = 1; i < read->rows; i++) {
        const char *label = read->label[read->order[i]];
        if (!strcmp(label, read->label[read->order[i - 1]]))
            return cz_h5_fail(CZ_ERR_INPUT, file, "labels", "'%s' stands twice", label);
    }
    return CZ_OK;
}

/* What stands beside labels and vectors, where it is there. */
static cz_status read_attributes(cz_label_table *read, hid_t file)
{
    int64_t check;
    CZ_TRY(cz_h5_text_attribute(read->key, sizeof read->key, file, "/", "czhpc_key"));
    if (!cz_h5_has_attribute(file, "czhpc_check")) return CZ_OK;
    CZ_TRY(cz_h5_read_int(file, "czhpc_check", &check));
    if (check == label_check(read->label, read->vector, read->rows, read->width)) return CZ_OK;
    return cz_h5_fail(CZ_ERR_INPUT, file, NULL, "the vectors are not those that were written");
}

static cz_status check_vectors(cz_label_table *read, hid_t file)
{
    for (int i = 0; i < read->rows; i++) {
        const float *vector = read->vector + (size_t)i * (size_t)read->width;
        for (int c = 0; c < read->width; c++)
            if (!isfinite(vector[c]))
                return cz_h5_fail(CZ_ERR_INPUT, file, "vectors",
                                  "the vector of '%s' is not finite at %d", read->label[i], c);
    }
    return check_twice(read, file);
}

static cz_status read_open_table(cz_label_table *read, hid_t file)
{
    hsize_t rows = 0, dim[2] = {0, 0};
    H5T_class_t class;
    CZ_TRY(cz_h5_layout(&rows, &class, file, "labels", 1));
    if (class != H5T_STRING)
        return cz_h5_fail(CZ_ERR_INPUT, file, "labels", "does not hold strings");
    CZ_TRY(cz_h5_layout(dim, &class, file, "vectors", 2));
    if (class != H5T_FLOAT)
        return cz_h5_fail(CZ_ERR_INPUT, file, "vectors", "does not hold floating-point numbers");
    if (dim[0] != rows || rows < 1 || dim[1] < 1 || dim[0] > ROWS_MAX || dim[1] > WIDTH_MAX)
        return cz_h5_fail(CZ_ERR_INPUT, file, "vectors",
                          "has the shape (%llu, %llu) for %llu labels", (unsigned long long)dim[0],
                          (unsigned long long)dim[1], (unsigned long long)rows);
    CZ_TRY(cz_h5_texts(&read->label, &read->rows, file, "labels"));
    read->width = (int)dim[1];
    read->vector = cz_alloc((size_t)(dim[0] * dim[1]), sizeof *read->vector, "label vectors");
    if (!read->vector) return CZ_ERR_MEMORY;
    CZ_TRY(cz_h5_rows(read->vector, H5T_NATIVE_FLOAT, 0, read->rows, file, "vectors"));
    CZ_TRY(check_vectors(read, file));
    return read_attributes(read, file);
}

static cz_status read_file(cz_label_table *read, const char *path)
{
    hid_t file;
    CZ_TRY(cz_h5_open_file(&file, path));
    cz_status status = read_open_table(read, file);
    cz_h5_close(&file);
    return status;
}

cz_status labels_probe(cz_bytes *answer, const void *request, size_t size)
{
    cz_bytes_reader reader = cz_bytes_open(request, size);
    cz_label_table read = {0};
    cz_status status = read_file(&read, cz_bytes_take_text(&reader));
    if (!status) {
        cz_bytes_put_int(answer, read.rows);
        cz_bytes_put_int(answer, read.width);
        cz_bytes_put_text(answer, read.key);
        for (int i = 0; i < read.rows; i++) cz_bytes_put_text(answer, read.label[i]);
        cz_bytes_put(answer, read.vector,
                     (size_t)read.rows * (size_t)read.width * sizeof *read.vector);
    }
    cz_label_table_free(&read);
    return status;
}

static cz_status no_table(const char *path)
{
    cz_fail(CZ_ERR_INPUT, "%s: its probe's answer cannot be read", path);
    return CZ_ERR_INPUT;
}

/* The table that a probe sent; nothing in it is trusted. */
static cz_status unpack(cz_label_table *read, const cz_bytes *bytes, const char *path)
{
    cz_bytes_reader reader = cz_bytes_open(bytes->data, bytes->size);
    int rows = (int)cz_bytes_take_int(&reader, 1, ROWS_MAX);
    int width = (int)cz_bytes_take_int(&reader, 1, WIDTH_MAX);
    size_t values = (size_t)rows * (size_t)width;
    if (!cz_text_copy(read->key, sizeof read->key, cz_bytes_take_text(&reader)) || reader.bad ||
        cz_bytes_left(&reader, sizeof *read->vector) < values)
        return no_table(path);
    read->label = cz_alloc((size_t)rows, sizeof *read->label, "labels");
    read->vector = cz_alloc(values, sizeof *read->vector, "label vectors");
    if (!read->label || !read->vector) return CZ_ERR_MEMORY;
    read->width = width;
    for (; read->rows < rows; read->rows++)
        if (!(read->label[read->rows] = strdup(cz_bytes_take_text(&reader))))
            return cz_fail(CZ_ERR_MEMORY, "no memory for labels");
    if (!cz_bytes_take(&reader, read->vector, values * sizeof *read->vector)) return no_table(path);
    return sort_labels(read);
}

cz_status cz_label_table_read(cz_label_table *read, const char *path)
{
    cz_bytes answer;
    *read = (cz_label_table){0};
    CZ_TRY(cz_probe_ask(&answer, LABELS_PROBE, path, path, strlen(path) + 1));
    cz_status status = unpack(read, &answer, path);
    cz_bytes_free(&answer);
    if (status) cz_label_table_free(read);
    return status;
}
