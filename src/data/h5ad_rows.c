#include "h5ad_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

cz_status count_rows_open(count_rows *to, int rows, int genes)
{
    size_t words = ((size_t)genes + 63) / 64;
    *to = (count_rows){.csr = {.genes = genes}};
    to->csr.begin = cz_alloc((size_t)rows + 1, sizeof *to->csr.begin, "the rows of counts");
    to->sum = cz_alloc((size_t)genes, sizeof *to->sum, "the counts of a row");
    to->seen = cz_alloc(words, sizeof *to->seen, "the counts of a row");
    if (to->csr.begin && to->sum && to->seen) return CZ_OK;
    count_rows_free(to);
    return CZ_ERR_MEMORY;
}

void count_rows_free(count_rows *to)
{
    cz_csr_free(&to->csr);
    free(to->sum);
    free(to->seen);
    *to = (count_rows){0};
}

cz_status count_rows_reserve(count_rows *to, int64_t more)
{
    int64_t wanted = to->csr.begin[to->csr.rows] + more;
    if (wanted <= to->room) return CZ_OK;
    size_t room = (size_t)wanted;
    /* Large areas grow by moving pages, which are not taken before they are written. */
    int32_t *gene = realloc(to->csr.gene, room * sizeof *gene);
    if (gene) to->csr.gene = gene;
    float *count = realloc(to->csr.count, room * sizeof *count);
    if (count) to->csr.count = count;
    if (!gene || !count)
        return cz_fail(CZ_ERR_MEMORY, "no memory for %zu counts: use more ranks or fewer cells",
                       room);
    to->room = wanted;
    return CZ_OK;
}

static cz_status wrong_count(const row_source *from, int i, int32_t column, float v)
{
    const char *what = !isfinite(v) ? "is not finite: the file is damaged, or this is no matrix "
                                      "of counts"
                       : v < 0      ? "is negative: this is no matrix of counts"
                                    : "is not whole: the matrix looks already normalised, and is "
                                      "not to be normalised twice";
    return cz_h5_fail(CZ_ERR_INPUT, from->file, from->matrix->place,
                      "%g in cell %d (from 0), gene '%s' %s. Name a matrix of raw counts in "
                      "data.matrix (X, raw, or layer:NAME)",
                      (double)v, from->row[i], from->gene[column], what);
}

static cz_status wrong_column(const row_source *from, int i, int32_t column)
{
    return cz_h5_fail(CZ_ERR_INPUT, from->file, from->matrix->place,
                      "cell %d names column %d of %d: the file is damaged", from->row[i], column,
                      from->matrix->columns);
}

/* Adds up a row in any order, then takes it out in ascending order. */
static void sort_row(count_rows *to, const row_source *from, const int32_t *index,
                     const float *value, int64_t size)
{
    cz_csr *csr = &to->csr;
    int64_t filled = csr->begin[csr->rows];
    for (int64_t k = 0; k < size; k++) {
        int32_t gene = from->number ? from->number[index[k]] : index[k];
        if (gene < 0) continue;
        uint64_t bit = (uint64_t)1 << (gene & 63), *word = &to->seen[gene >> 6];
        to->sum[gene] = *word & bit ? to->sum[gene] + value[k] : value[k];
        *word |= bit;
    }
    for (int w = 0; w < (csr->genes + 63) / 64; w++) {
        for (uint64_t bits = to->seen[w]; bits; bits &= bits - 1) {
            int gene = 64 * w + __builtin_ctzll(bits);
            if (to->sum[gene] == 0) continue;
            csr->gene[filled] = gene;
            csr->count[filled++] = to->sum[gene];
        }
        to->seen[w] = 0;
    }
    csr->begin[csr->rows + 1] = filled;
}

static bool is_count(float v) { return v >= 0 && v == floorf(v) && v <= 3.4e38f; }

/* Whether a row has the one form already, as nearly all have. Without a branch, so that compilers
 * make vectors of it; false for some counts above 2^23, which go the long way. */
static bool is_plain(const int32_t *index, const float *value, int64_t size, int columns,
                     bool counts)
{
    const float whole = 0x1p23f;
    int wrong = 0;
    for (int64_t k = 0; k < size; k++) wrong |= (index[k] < 0) | (index[k] >= columns);
    for (int64_t k = 1; k < size; k++) wrong |= index[k] <= index[k - 1];
    for (int64_t k = 0; k < size; k++) wrong |= value[k] == 0;
    for (int64_t k = 0; counts && k < size; k++)
        wrong |=
            !(value[k] > 0) | !(value[k] <= 3.4e38f) | !((value[k] + whole) - whole == value[k]);
    return !wrong;
}

cz_status count_rows_add(count_rows *to, const row_source *from, int i, const int32_t *index,
                         const float *value, int64_t size)
{
    cz_csr *csr = &to->csr;
    bool ascending = !from->number;
    if (ascending && is_plain(index, value, size, from->matrix->columns, from->gene)) {
        int64_t filled = csr->begin[csr->rows++];
        memmove(csr->gene + filled, index, (size_t)size * sizeof *index);
        memmove(csr->count + filled, value, (size_t)size * sizeof *value);
        csr->begin[csr->rows] = filled + size;
        return CZ_OK;
    }
    for (int64_t k = 0; k < size; k++) {
        if (index[k] < 0 || index[k] >= from->matrix->columns)
            return wrong_column(from, i, index[k]);
        if (from->gene && !is_count(value[k])) return wrong_count(from, i, index[k], value[k]);
        if (k > 0 && index[k] <= index[k - 1]) ascending = false;
    }
    if (ascending) {
        int64_t filled = csr->begin[csr->rows];
        for (int64_t k = 0; k < size; k++) {
            if (value[k] == 0) continue;
            csr->gene[filled] = index[k];
            csr->count[filled++] = value[k];
        }
        csr->begin[csr->rows + 1] = filled;
    } else {
        sort_row(to, from, index, value, size);
    }
    csr->rows++;
    return CZ_OK;
}

cz_status rows_values(void *values, hid_t type, int64_t begin, int64_t count,
                      const row_source *from, const char *place)
{
    int packed = from->pool && cz_h5_is_packed(from->own, place, type);
    if (from->pool &&
        MPI_Allreduce(MPI_IN_PLACE, &packed, 1, MPI_INT, MPI_MIN, from->comm->mpi) != MPI_SUCCESS)
        return cz_fail(CZ_ERR_MPI, "the ranks could not agree on who unpacks");
    if (!packed) return cz_h5_rows(values, type, begin, count, from->file, place);
    return cz_h5_unpack(values, type, begin, count, from->own, place, from->pool);
}

int rows_block_end(const row_reader *reader, int first)
{
    const row_source *from = reader->from;
    int64_t border = from->row[first] + reader->step;
    if (border / reader->align * reader->align > from->row[first])
        border = border / reader->align * reader->align;
    int end = first + 1;
    while (end < from->rows && from->row[end] < border) end++;
    return end;
}

cz_status rows_in_blocks(row_reader *reader)
{
    const row_source *from = reader->from;
    int rounds = 0;
    for (int at = 0; at < from->rows; at = reader->end_of(reader, at)) rounds++;
    if (MPI_Allreduce(MPI_IN_PLACE, &rounds, 1, MPI_INT, MPI_MAX, from->comm->mpi) != MPI_SUCCESS)
        return cz_fail(CZ_ERR_MPI, "the ranks could not agree on the blocks to read");
    for (int at = 0, end; rounds > 0; rounds--, at = end) {
        end = at < from->rows ? reader->end_of(reader, at) : at;
        CZ_TRY(cz_comm_agree(from->comm, reader->read(reader, at, end)));
    }
    return CZ_OK;
}

cz_status rows_read_counts(count_rows *to, const row_source *from)
{
    if (from->matrix->form == H5AD_CSR) return rows_read_csr(to, from);
    if (from->matrix->form == H5AD_CSC) return rows_read_csc(to, from);
    return rows_read_dense(to, NULL, 0, from);
}

/* Sparse rows, spread out. */
static cz_status read_sparse_embedding(float *x, int stride, const row_source *from)
{
    count_rows sparse = {0};
    const cz_csr *csr = &sparse.csr;
    cz_status status = count_rows_open(&sparse, from->rows, from->matrix->columns);
    status = cz_comm_agree(from->comm, status);
    if (!status) status = rows_read_counts(&sparse, from);
    for (int i = 0; !status && i < from->rows; i++) {
        float *row = x + (size_t)i * (size_t)stride;
        memset(row, 0, (size_t)from->matrix->columns * sizeof *row);
        for (int64_t k = csr->begin[i]; k < csr->begin[i + 1]; k++)
            row[csr->gene[k]] = csr->count[k];
    }
    count_rows_free(&sparse);
    return status;
}

cz_status rows_read_embedding(float *x, int stride, const row_source *from)
{
    switch (from->matrix->form) {
    case H5AD_DENSE:
        return rows_read_dense(NULL, x, stride, from);
    case H5AD_FRAME:
        return rows_read_frame(x, stride, from);
    default:
        return read_sparse_embedding(x, stride, from);
    }
}
