/* Vectors of labels from a table: an HDF5 file with `labels` (rows) and `vectors` (rows, C). */
#include "labels.h"

#include "czhpc/data.h"
#include "czhpc/h5_read.h"
#include "czhpc/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 1 << 20, WIDTH_MAX = 1 << 16 };

typedef struct table {
    char **label;
    int rows, width;
    float *vector; /* (rows, width) */
} table;

static void table_free(table *read)
{
    cz_h5_free_strings(read->label, (size_t)read->rows);
    free(read->vector);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static cz_status check_twice(const table *read, hid_t file)
{
    cz_status status = CZ_OK;
    size_t rows = (size_t)read->rows;
    char **sorted = cz_alloc(rows, sizeof *sorted, "labels");
    if (!sorted) return CZ_ERR_MEMORY;
    memcpy(sorted, read->label, rows * sizeof *sorted);
    qsort(sorted, rows, sizeof *sorted, by_text);
    for (size_t i = 1; i < rows && !status; i++)
        if (!strcmp(sorted[i - 1], sorted[i]))
            status = cz_h5_fail(CZ_ERR_INPUT, file, "labels", "'%s' stands twice", sorted[i]);
    free(sorted);
    return status;
}

static cz_status check_vectors(const table *read, hid_t file)
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

static cz_status read_open_table(table *read, hid_t file)
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
    return check_vectors(read, file);
}

static cz_status read_file(table *read, const char *path)
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
    table read = {0};
    cz_status status = read_file(&read, cz_bytes_take_text(&reader));
    if (!status) {
        cz_bytes_put_int(answer, read.rows);
        cz_bytes_put_int(answer, read.width);
        for (int i = 0; i < read.rows; i++) cz_bytes_put_text(answer, read.label[i]);
        cz_bytes_put(answer, read.vector,
                     (size_t)read.rows * (size_t)read.width * sizeof *read.vector);
    }
    table_free(&read);
    return status;
}

static cz_status no_table(const char *path)
{
    cz_fail(CZ_ERR_INPUT, "%s: its probe's answer cannot be read", path);
    return CZ_ERR_INPUT;
}

/* The table that a probe sent; nothing in it is trusted. */
static cz_status unpack(table *read, const cz_bytes *bytes, const char *path)
{
    cz_bytes_reader reader = cz_bytes_open(bytes->data, bytes->size);
    int rows = (int)cz_bytes_take_int(&reader, 1, ROWS_MAX);
    int width = (int)cz_bytes_take_int(&reader, 1, WIDTH_MAX);
    size_t values = (size_t)rows * (size_t)width;
    if (reader.bad || cz_bytes_left(&reader, sizeof *read->vector) < values) return no_table(path);
    read->label = cz_alloc((size_t)rows, sizeof *read->label, "labels");
    read->vector = cz_alloc(values, sizeof *read->vector, "label vectors");
    if (!read->label || !read->vector) return CZ_ERR_MEMORY;
    read->width = width;
    for (; read->rows < rows; read->rows++)
        if (!(read->label[read->rows] = strdup(cz_bytes_take_text(&reader))))
            return cz_fail(CZ_ERR_MEMORY, "no memory for labels");
    bool whole = cz_bytes_take(&reader, read->vector, values * sizeof *read->vector);
    return whole ? CZ_OK : no_table(path);
}

static cz_status read_table(table *read, const char *path)
{
    cz_bytes answer;
    CZ_TRY(cz_probe_ask(&answer, LABELS_PROBE, path, path, strlen(path) + 1));
    cz_status status = unpack(read, &answer, path);
    cz_bytes_free(&answer);
    return status;
}

static int row_of(const char *label, const table *read)
{
    for (int i = 0; i < read->rows; i++)
        if (!strcmp(label, read->label[i])) return i;
    return -1;
}

/* Names every label that the table lacks, and one near it that it has. */
static cz_status check_labels(const table *read, char *const *label, int count, const char *path)
{
    char text[2048] = "";
    int missing = 0;
    for (int i = 0; i < count; i++) {
        if (row_of(label[i], read) >= 0) continue;
        const char *near = cz_text_nearest(label[i], (const char *const *)read->label, read->rows);
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s'%s'%s%s%s", missing++ ? ", " : "", label[i],
                 near ? " (near: '" : "", near ? near : "", near ? "')" : "");
    }
    if (!missing) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT,
                   "%s: no vector for %d of %d labels: %s. Add them to the table (text.table), or "
                   "set model.text=false",
                   path, missing, count, text);
}

/* Vectors are filled up with zeros to this width. */
static cz_status final_width(int *width, int found, const char *path, const cz_config *config)
{
    int tokens = config->model.tokens, wanted = config->text.width;
    *width = wanted ? wanted : (found + tokens - 1) / tokens * tokens;
    if (found <= *width) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT, "%s: vectors are %d wide, text.width is %d: raise it, or set 0",
                   path, found, wanted);
}

cz_status cz_label_vectors(float **vectors, int *width, char *const *label, int count,
                           const cz_config *config)
{
    char path[2 * CZ_PATH_MAX];
    table read = {0};
    *vectors = NULL;
    *width = 0;
    snprintf(path, sizeof path, "%s", config->text.table);
    if (!strcmp(path, "embedded")) CZ_TRY(cz_config_share(path, sizeof path, "labels.h5"));
    cz_status status = read_table(&read, path);
    if (!status) status = check_labels(&read, label, count, path);
    if (!status) status = final_width(width, read.width, path, config);
    if (status) goto done;
    *vectors = cz_alloc((size_t)count * (size_t)*width, sizeof **vectors, "label vectors");
    if (!*vectors) status = CZ_ERR_MEMORY;
    for (int i = 0; i < count && !status; i++)
        memcpy(*vectors + (size_t)i * (size_t)*width,
               read.vector + (size_t)row_of(label[i], &read) * (size_t)read.width,
               (size_t)read.width * sizeof(float));
done:
    table_free(&read);
    return status;
}
