/* Dense matrices, and data frames of one dataset a column. */
#include "h5ad_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows of a block: not more than the block's bytes, and ending with a chunk, so that no chunk is
 * unpacked twice. Chunks are read whole where they are not much larger than a block. */
static void choose_step(row_reader *reader, const char *place, size_t row_bytes)
{
    hsize_t chunk[2] = {1, 1};
    hid_t dataset = H5Dopen2(reader->from->file, place, H5P_DEFAULT);
    hid_t list = dataset < 0 ? -1 : H5Dget_create_plist(dataset);
    if (list < 0 || H5Pget_layout(list) != H5D_CHUNKED || H5Pget_chunk(list, 2, chunk) < 0)
        chunk[0] = 1;
    if (list >= 0) H5Pclose(list);
    if (dataset >= 0) H5Dclose(dataset);
    reader->step = (int64_t)(ROWS_BLOCK_BYTES / row_bytes);
    reader->align = (int64_t)chunk[0];
    if (reader->step < reader->align && reader->align <= 8 * reader->step)
        reader->step = reader->align;
    if (reader->step < 1) reader->step = 1;
}

/* The largest block's bytes. */
static size_t block_bytes(const row_reader *reader, size_t row_bytes)
{
    int64_t rows = reader->from->matrix->rows;
    return (size_t)(reader->step < rows ? reader->step : rows) * row_bytes;
}

/* The entries of a row that are not 0. */
static cz_status add_dense(row_reader *reader, int i, const float *row)
{
    int columns = reader->from->matrix->columns, found = 0;
    int32_t *index = reader->index;
    for (int32_t g = 0; g < columns; g++) {
        if (row[g] == 0) continue;
        index[found] = g;
        reader->entry[found++] = row[g];
    }
    cz_csr *csr = &reader->to->csr;
    int64_t filled = csr->begin[csr->rows];
    /* How many will come is not known: by halves, so that little is copied. */
    if (filled + found > reader->to->room)
        CZ_TRY(count_rows_reserve(reader->to, found + filled / 2 + ROWS_BLOCK_BYTES / 4));
    return count_rows_add(reader->to, reader->from, i, index, reader->entry, found);
}

static cz_status read_dense(row_reader *reader, int first, int end)
{
    const row_source *from = reader->from;
    size_t columns = (size_t)from->matrix->columns;
    int64_t begin = end > first ? from->row[first] : 0;
    int64_t count = end > first ? from->row[end - 1] + 1 - begin : 0;
    CZ_TRY(rows_values(reader->value, H5T_NATIVE_FLOAT, begin, count, from, from->matrix->place));
    for (int i = first; i < end; i++) {
        const float *row = (float *)reader->value + (size_t)(from->row[i] - begin) * columns;
        if (reader->to) CZ_TRY(add_dense(reader, i, row));
        float *x = reader->x ? reader->x + (size_t)i * (size_t)reader->stride : NULL;
        for (size_t c = 0; x && c < columns; c++) x[c] = row[c] + 0.0F; /* -0 is 0 */
    }
    return CZ_OK;
}

cz_status rows_read_dense(count_rows *to, float *x, int stride, const row_source *from)
{
    row_reader reader = {.from = from,
                         .end_of = rows_block_end,
                         .read = read_dense,
                         .to = to,
                         .x = x,
                         .stride = stride};
    size_t columns = (size_t)from->matrix->columns, row_bytes = columns * sizeof(float);
    choose_step(&reader, from->matrix->place, row_bytes);
    reader.value = cz_alloc(block_bytes(&reader, row_bytes), 1, "a block of rows");
    reader.index = cz_alloc(to ? columns : 0, sizeof(int32_t), "the counts of a row");
    reader.entry = cz_alloc(to ? columns : 0, sizeof(float), "the counts of a row");
    cz_status status = reader.value && reader.index && reader.entry ? CZ_OK : CZ_ERR_MEMORY;
    status = cz_comm_agree(from->comm, status);
    if (!status) status = rows_in_blocks(&reader);
    free(reader.value);
    free(reader.index);
    free(reader.entry);
    return status;
}

/* One column of a frame; where it is nullable, values whose mask is set are missing. */
static cz_status read_column(row_reader *reader, int first, int end)
{
    const row_source *from = reader->from;
    const char *part = from->matrix->part[reader->column];
    int64_t begin = end > first ? from->row[first] : 0;
    int64_t count = end > first ? from->row[end - 1] + 1 - begin : 0;
    char values[CZ_PATH_MAX], mask[CZ_PATH_MAX];
    bool nullable = reader->index;
    snprintf(values, sizeof values, "%s%s", part, nullable ? "/values" : "");
    snprintf(mask, sizeof mask, "%s/mask", part);
    cz_status status = rows_values(reader->value, H5T_NATIVE_FLOAT, begin, count, from, values),
              other = CZ_OK;
    if (nullable) other = rows_values(reader->index, H5T_NATIVE_FLOAT, begin, count, from, mask);
    if (!status) status = other;
    for (int i = first; i < end && !status; i++) {
        int64_t k = from->row[i] - begin;
        bool missing = nullable && ((float *)reader->index)[k] != 0;
        float value = ((float *)reader->value)[k] + 0.0F;
        reader->x[(size_t)i * (size_t)reader->stride + (size_t)reader->column] =
            missing ? NAN : value;
    }
    return status;
}

cz_status rows_read_frame(float *x, int stride, const row_source *from)
{
    row_reader reader = {.from = from,
                         .end_of = rows_block_end,
                         .read = read_column,
                         .x = x,
                         .stride = stride,
                         .align = 1,
                         .step = ROWS_BLOCK_BYTES / sizeof(float)};
    cz_status status = CZ_OK;
    float *value = cz_alloc(block_bytes(&reader, sizeof(float)), 1, "a block of a column");
    float *mask = cz_alloc(block_bytes(&reader, sizeof(float)), 1, "a block of a column");
    status = cz_comm_agree(from->comm, value && mask ? CZ_OK : CZ_ERR_MEMORY);
    reader.value = value;
    for (int c = 0; c < from->matrix->columns && !status; c++) {
        bool nullable = cz_h5_kind_of(from->file, from->matrix->part[c]) == CZ_H5_GROUP;
        reader.column = c;
        reader.index = nullable ? mask : NULL;
        status = rows_in_blocks(&reader);
    }
    free(value);
    free(mask);
    return status;
}
