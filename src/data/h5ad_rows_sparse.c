/* Compressed matrices: by cells (CSR) and by genes (CSC). */
#include "h5ad_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_ENTRIES = ROWS_BLOCK_BYTES / 4, BLOCK_POINTERS = ROWS_BLOCK_BYTES / 8 };

typedef char place[CZ_NAME_MAX + 32];

static void place_of(place part, const row_source *from, const char *name)
{
    snprintf(part, sizeof(place), "%s/%s", from->matrix->place, name);
}

static cz_status falls(const row_source *from, int64_t row, int64_t at, int64_t before)
{
    place indptr;
    place_of(indptr, from, "indptr");
    return cz_h5_fail(CZ_ERR_INPUT, from->file, indptr,
                      "falls, or leaves its range, at %lld (%lld after %lld): the file is damaged",
                      (long long)row, (long long)at, (long long)before);
}

/* Where the wanted rows of a block lie. */
static cz_status read_starts(row_reader *reader, int first, int end)
{
    const row_source *from = reader->from;
    int64_t *pointer = reader->value;
    int64_t begin = end > first ? from->row[first] : 0;
    int64_t count = end > first ? from->row[end - 1] + 2 - begin : 0;
    int64_t before = first > 0 ? reader->start[first - 1] + reader->size[first - 1] : 0;
    place indptr;
    place_of(indptr, from, "indptr");
    CZ_TRY(rows_values(pointer, H5T_NATIVE_INT64, begin, count, from, indptr));
    for (int64_t k = 0; k < count; before = pointer[k++])
        if (pointer[k] < before || pointer[k] > from->matrix->entries)
            return falls(from, begin + k, pointer[k], before);
    for (int i = first; i < end; i++) {
        int64_t k = from->row[i] - begin;
        reader->start[i] = pointer[k];
        reader->size[i] = pointer[k + 1] - pointer[k];
    }
    return CZ_OK;
}

static int entries_end(const row_reader *reader, int first)
{
    int64_t border = reader->start[first] + BLOCK_ENTRIES;
    int end = first + 1;
    while (end < reader->from->rows && reader->start[end] + reader->size[end] <= border) end++;
    return end;
}

static int64_t block_size(const row_reader *reader, int first, int end)
{
    return end > first ? reader->start[end - 1] + reader->size[end - 1] - reader->start[first] : 0;
}

static cz_status read_entries(row_reader *reader, int first, int end)
{
    const row_source *from = reader->from;
    int64_t begin = end > first ? reader->start[first] : 0;
    int64_t size = block_size(reader, first, end);
    place indices, data;
    place_of(indices, from, "indices");
    place_of(data, from, "data");
    /* Both, whatever comes of the first: the other ranks read both. */
    cz_status status = rows_values(reader->index, H5T_NATIVE_INT32, begin, size, from, indices);
    cz_status other = rows_values(reader->value, H5T_NATIVE_FLOAT, begin, size, from, data);
    if (!status) status = other;
    for (int i = first; i < end && !status; i++) {
        int64_t at = reader->start[i] - begin;
        status = count_rows_add(reader->to, from, i, (int32_t *)reader->index + at,
                                (float *)reader->value + at, reader->size[i]);
    }
    return status;
}

/* Memory for all entries that will be added, and for the largest block. */
static cz_status reserve_entries(row_reader *reader)
{
    int64_t entries = 0, largest = 0;
    for (int at = 0, end; at < reader->from->rows; at = end) {
        end = entries_end(reader, at);
        int64_t size = block_size(reader, at, end);
        if (size > largest) largest = size;
        for (int i = at; i < end; i++) entries += reader->size[i];
    }
    CZ_TRY(count_rows_reserve(reader->to, entries));
    reader->index = cz_alloc((size_t)largest, sizeof(int32_t), "a block of counts");
    reader->value = cz_alloc((size_t)largest, sizeof(float), "a block of counts");
    return reader->index && reader->value ? CZ_OK : CZ_ERR_MEMORY;
}

/* How many pointers a block of indptr can hold. */
static int64_t most_pointers(const row_source *from)
{
    int64_t range = from->rows ? (int64_t)from->row[from->rows - 1] - from->row[0] : 0;
    return range < BLOCK_POINTERS ? range + 2 : BLOCK_POINTERS + 1;
}

cz_status rows_read_csr(count_rows *to, const row_source *from)
{
    row_reader reader = {.from = from,
                         .end_of = rows_block_end,
                         .read = read_starts,
                         .to = to,
                         .step = BLOCK_POINTERS,
                         .align = 1};
    reader.start = cz_alloc((size_t)from->rows, sizeof *reader.start, "the places of rows");
    reader.size = cz_alloc((size_t)from->rows, sizeof *reader.size, "the places of rows");
    reader.value = cz_alloc((size_t)most_pointers(from), sizeof(int64_t), "a block of pointers");
    cz_status status = reader.start && reader.size && reader.value ? CZ_OK : CZ_ERR_MEMORY;
    status = cz_comm_agree(from->comm, status);
    if (!status) status = rows_in_blocks(&reader);
    free(reader.value);
    reader.value = NULL;
    if (status) goto done;
    status = cz_comm_agree(from->comm, reserve_entries(&reader));
    reader.end_of = entries_end;
    reader.read = read_entries;
    if (!status) status = rows_in_blocks(&reader);
done:
    free(reader.start);
    free(reader.size);
    free(reader.index);
    free(reader.value);
    return status;
}

/* A walk through a matrix stored by genes: every rank sees all entries, block by block, and
 * takes those of its rows. Each reads, and unpacks, its part of a block for all. */
typedef struct column_walk {
    const row_source *from;
    int64_t *pointer; /* (columns + 1) */
    int32_t *wanted;  /* by row of the file less the first one wanted: which one, -1 = none */
    int64_t range;
    int64_t *next; /* (rows) entries counted; then where the next one of a row goes */
    int *part;     /* (ranks) entries that each reads of a block */
    int32_t *index, *own_index;
    float *value, *own_value;
} column_walk;

static void walk_close(column_walk *walk)
{
    free(walk->pointer);
    free(walk->wanted);
    free(walk->next);
    free(walk->part);
    free(walk->index);
    free(walk->own_index);
    free(walk->value);
    free(walk->own_value);
}

static cz_status walk_open(column_walk *walk, const row_source *from)
{
    size_t rows = (size_t)from->rows, ranks = (size_t)from->comm->size;
    int64_t entries = from->matrix->entries;
    size_t block = (size_t)(entries < BLOCK_ENTRIES ? entries : BLOCK_ENTRIES);
    walk->from = from;
    walk->range = rows ? (int64_t)from->row[rows - 1] + 1 - from->row[0] : 0;
    walk->pointer =
        cz_alloc((size_t)from->matrix->columns + 1, sizeof(int64_t), "a block of counts");
    walk->wanted = cz_alloc((size_t)walk->range, sizeof(int32_t), "the places of rows");
    walk->next = cz_alloc(rows, sizeof(int64_t), "the places of rows");
    walk->part = cz_alloc(ranks, sizeof(int), "the ranks' parts");
    walk->index = cz_alloc(block, sizeof(int32_t), "a block of counts");
    walk->value = cz_alloc(block, sizeof(float), "a block of counts");
    walk->own_index = cz_alloc(block / ranks + 1, sizeof(int32_t), "a block of counts");
    walk->own_value = cz_alloc(block / ranks + 1, sizeof(float), "a block of counts");
    if (!walk->pointer || !walk->wanted || !walk->next || !walk->part || !walk->index ||
        !walk->value || !walk->own_index || !walk->own_value)
        return CZ_ERR_MEMORY;
    for (int64_t k = 0; k < walk->range; k++) walk->wanted[k] = -1;
    for (int i = 0; i < from->rows; i++) walk->wanted[from->row[i] - from->row[0]] = i;
    return CZ_OK;
}

/* All of indptr, on every rank. Collective, agreed. */
static cz_status walk_pointers(const column_walk *walk)
{
    const row_source *from = walk->from;
    int64_t before = 0;
    place indptr;
    place_of(indptr, from, "indptr");
    cz_status status =
        rows_values(walk->pointer, H5T_NATIVE_INT64, 0, from->matrix->columns + 1, from, indptr);
    for (int g = 0; g <= from->matrix->columns && !status; before = walk->pointer[g++])
        if (walk->pointer[g] < before || walk->pointer[g] > from->matrix->entries)
            status = falls(from, g, walk->pointer[g], before);
    return cz_comm_agree(from->comm, status);
}

/* Entries [begin, begin + size) to all ranks; values too if asked for. Collective, agreed. */
static cz_status walk_block(column_walk *walk, int64_t begin, int64_t size, bool values)
{
    const cz_comm *comm = walk->from->comm;
    place indices, data;
    place_of(indices, walk->from, "indices");
    place_of(data, walk->from, "data");
    for (int r = 0; r < comm->size; r++)
        walk->part[r] = (int)(size * (r + 1) / comm->size - size * r / comm->size);
    int64_t mine = begin + size * comm->rank / comm->size, count = walk->part[comm->rank];
    cz_status status =
        rows_values(walk->own_index, H5T_NATIVE_INT32, mine, count, walk->from, indices);
    CZ_TRY(cz_comm_agree(comm, status));
    CZ_TRY(cz_comm_gather_all(comm, walk->index, walk->own_index, walk->part, sizeof(int32_t)));
    if (!values) return CZ_OK;
    status = rows_values(walk->own_value, H5T_NATIVE_FLOAT, mine, count, walk->from, data);
    CZ_TRY(cz_comm_agree(comm, status));
    return cz_comm_gather_all(comm, walk->value, walk->own_value, walk->part, sizeof(float));
}

/* Counts the entries of the wanted rows; or, with `to`, puts them where next[] says: their
 * columns and values, each row in the order of the columns. Local. */
static cz_status walk_take(column_walk *walk, count_rows *to, int64_t begin, int64_t size)
{
    const row_source *from = walk->from;
    const int64_t *pointer = walk->pointer;
    int32_t column = 0;
    for (int64_t k = 0; k < size; k++) {
        while (column < from->matrix->columns - 1 && begin + k >= pointer[column + 1]) column++;
        int64_t row = walk->index[k];
        if (row < 0 || row >= from->matrix->rows)
            return cz_h5_fail(CZ_ERR_INPUT, from->file, from->matrix->place,
                              "column %d names cell %lld of %d: the file is damaged", column,
                              (long long)row, from->matrix->rows);
        row -= from->rows ? from->row[0] : 0;
        if (row < 0 || row >= walk->range || walk->wanted[row] < 0) continue;
        int64_t *next = &walk->next[walk->wanted[row]];
        if (to) {
            to->csr.gene[*next] = column;
            to->csr.count[*next] = walk->value[k];
        }
        ++*next;
    }
    return CZ_OK;
}

static cz_status walk_all(column_walk *walk, count_rows *to)
{
    int64_t entries = walk->from->matrix->entries;
    for (int64_t begin = 0; begin < entries; begin += BLOCK_ENTRIES) {
        int64_t size = entries - begin < BLOCK_ENTRIES ? entries - begin : BLOCK_ENTRIES;
        CZ_TRY(walk_block(walk, begin, size, to));
        CZ_TRY(cz_comm_agree(walk->from->comm, walk_take(walk, to, begin, size)));
    }
    return CZ_OK;
}

/* Turns the numbers of entries into places behind what is filled. */
static cz_status walk_place(column_walk *walk, count_rows *to)
{
    int64_t entries = 0, at = to->csr.begin[to->csr.rows];
    for (int i = 0; i < walk->from->rows; i++) entries += walk->next[i];
    CZ_TRY(count_rows_reserve(to, entries));
    for (int i = 0; i < walk->from->rows; i++) {
        int64_t size = walk->next[i];
        walk->next[i] = at;
        at += size;
    }
    return CZ_OK;
}

cz_status rows_read_csc(count_rows *to, const row_source *from)
{
    column_walk walk = {0};
    cz_status status = cz_comm_agree(from->comm, walk_open(&walk, from));
    if (!status) status = walk_pointers(&walk);
    if (!status) status = walk_all(&walk, NULL);
    if (!status) status = cz_comm_agree(from->comm, walk_place(&walk, to));
    if (!status) status = walk_all(&walk, to);
    if (status) goto done;
    /* Each row now ends where the next begins; in one form it only gets shorter. */
    int64_t begin = to->csr.begin[to->csr.rows];
    for (int i = 0; i < from->rows && !status; begin = walk.next[i++])
        status = count_rows_add(to, from, i, to->csr.gene + begin, to->csr.count + begin,
                                walk.next[i] - begin);
    status = cz_comm_agree(from->comm, status);
done:
    walk_close(&walk);
    return status;
}
