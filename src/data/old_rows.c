#include "old.h"

#include "czhpc/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    int32_t gene;
    float count;
} entry;

static int by_gene(const void *a, const void *b)
{
    int32_t x = ((const entry *)a)->gene, y = ((const entry *)b)->gene;
    return (x > y) - (x < y);
}

static bool is_ascending(const cz_csr *counts, int row)
{
    for (int64_t k = counts->begin[row] + 1; k < counts->begin[row + 1]; k++)
        if (counts->gene[k] <= counts->gene[k - 1]) return false;
    return true;
}

/* Orders the entries of a row by gene and adds up those of one gene; returns what is left. */
static int64_t order_row(cz_csr *counts, int row, entry *scratch)
{
    int64_t first = counts->begin[row], size = counts->begin[row + 1] - first, left = 0;
    for (int64_t k = 0; k < size; k++)
        scratch[k] = (entry){counts->gene[first + k], counts->count[first + k]};
    qsort(scratch, (size_t)size, sizeof *scratch, by_gene);
    for (int64_t k = 0; k < size; k++) {
        if (k > 0 && scratch[k].gene == scratch[k - 1].gene) {
            counts->count[first + left - 1] += scratch[k].count;
        } else {
            counts->gene[first + left] = scratch[k].gene;
            counts->count[first + left++] = scratch[k].count;
        }
    }
    return left;
}

/* One form for equal rows: ascending genes, each once, no stored zeros. */
static cz_status canonical(cz_csr *counts)
{
    int64_t widest = 0, kept = 0, first = 0;
    for (int i = 0; i < counts->rows; i++)
        if (counts->begin[i + 1] - counts->begin[i] > widest)
            widest = counts->begin[i + 1] - counts->begin[i];
    entry *scratch = cz_alloc((size_t)widest, sizeof *scratch, "the entries of a row");
    if (!scratch) return CZ_ERR_MEMORY;
    for (int i = 0; i < counts->rows; i++) {
        int64_t next = counts->begin[i + 1];
        int64_t size = is_ascending(counts, i) ? next - first : order_row(counts, i, scratch);
        counts->begin[i] = kept;
        for (int64_t k = first; k < first + size; k++) {
            if (counts->count[k] == 0) continue;
            counts->gene[kept] = counts->gene[k];
            counts->count[kept++] = counts->count[k];
        }
        first = next;
    }
    counts->begin[counts->rows] = kept;
    free(scratch);
    return CZ_OK;
}

/* This rank's part of indptr, from 0; *offset is where it starts in the file. */
static cz_status read_row_pointers(cz_csr *counts, int64_t *offset, const old_plan *plan,
                                   hid_t file, int begin)
{
    char place[CZ_NAME_MAX + 32];
    snprintf(place, sizeof place, "%s/indptr", plan->matrix);
    CZ_TRY(cz_h5_rows(counts->begin, H5T_NATIVE_INT64, begin, counts->rows + 1, file, place));
    *offset = counts->begin[0];
    int64_t before = *offset;
    for (int i = 0; i <= counts->rows; i++) {
        int64_t at = counts->begin[i];
        if (at < before || at < 0 || at > plan->entries)
            return cz_h5_fail(CZ_ERR_INPUT, file, place,
                              "falls, or leaves its range, at cell %d (%lld after %lld): the "
                              "file is damaged",
                              begin + i, (long long)at, (long long)before);
        before = at;
        counts->begin[i] = at - *offset;
    }
    return CZ_OK;
}

static cz_status check_genes(const cz_csr *counts, hid_t file, const char *place, int begin)
{
    for (int i = 0; i < counts->rows; i++)
        for (int64_t k = counts->begin[i]; k < counts->begin[i + 1]; k++)
            if (counts->gene[k] < 0 || counts->gene[k] >= counts->genes)
                return cz_h5_fail(CZ_ERR_INPUT, file, place,
                                  "cell %d names gene %d of %d: the file is damaged", begin + i,
                                  counts->gene[k], counts->genes);
    return CZ_OK;
}

cz_status old_read_counts(cz_csr *counts, uint64_t *hash, const old_plan *plan, hid_t file,
                          int begin, int rows, const cz_comm *comm)
{
    char indices[CZ_NAME_MAX + 32], data[CZ_NAME_MAX + 32], path[CZ_PATH_MAX],
        source[CZ_PATH_MAX + CZ_NAME_MAX + 32];
    snprintf(indices, sizeof indices, "%s/indices", plan->matrix);
    snprintf(data, sizeof data, "%s/data", plan->matrix);
    if (H5Fget_name(file, path, sizeof path) < 0) path[0] = 0;
    snprintf(source, sizeof source, "%s: %s", path, plan->matrix);
    *counts = (cz_csr){.rows = rows, .genes = plan->width};
    counts->begin = cz_alloc((size_t)rows + 1, sizeof *counts->begin, "the rows of counts");
    CZ_TRY(cz_comm_agree(comm, counts->begin ? CZ_OK : CZ_ERR_MEMORY));
    int64_t offset = 0;
    CZ_TRY(cz_comm_agree(comm, read_row_pointers(counts, &offset, plan, file, begin)));

    int64_t entries = counts->begin[rows];
    counts->gene = cz_alloc((size_t)entries, sizeof *counts->gene, "the counts");
    counts->count = cz_alloc((size_t)entries, sizeof *counts->count, "the counts");
    CZ_TRY(cz_comm_agree(comm, counts->gene && counts->count ? CZ_OK : CZ_ERR_MEMORY));
    cz_status status = cz_h5_rows(counts->gene, H5T_NATIVE_INT32, offset, entries, file, indices);
    CZ_TRY(cz_comm_agree(comm, status));
    status = cz_h5_rows(counts->count, H5T_NATIVE_FLOAT, offset, entries, file, data);
    if (!status) status = check_genes(counts, file, indices, begin);
    if (!status) status = canonical(counts);
    if (!status) status = cz_counts_check(counts, begin, source);
    CZ_TRY(cz_comm_agree(comm, status));

    for (int i = 0; i < rows; i++) {
        int64_t first = counts->begin[i], size = counts->begin[i + 1] - first;
        hash[i] = cz_hash(0, counts->gene + first, (size_t)size * sizeof *counts->gene);
        hash[i] = cz_hash(hash[i], counts->count + first, (size_t)size * sizeof *counts->count);
    }
    return CZ_OK;
}

cz_status old_read_embedding(float *x, uint64_t *hash, uint8_t *missing, const old_plan *plan,
                             hid_t file, int begin, int rows, const cz_comm *comm)
{
    size_t width = (size_t)plan->width;
    cz_status status = cz_h5_rows(x, H5T_NATIVE_FLOAT, begin, rows, file, plan->matrix);
    for (int i = 0; i < rows && !status; i++) {
        const float *row = x + (size_t)i * width;
        size_t nan = 0, finite = 0;
        for (size_t c = 0; c < width; c++) {
            nan += isnan(row[c]) != 0;
            finite += isfinite(row[c]) != 0;
        }
        missing[i] = nan == width;
        if (!missing[i] && finite < width)
            status = cz_h5_fail(CZ_ERR_INPUT, file, plan->matrix,
                                "cell %d has %zu values that are not finite: a missing embedding "
                                "is NaN throughout",
                                begin + i, width - finite);
        hash[i] = cz_hash(0, row, width * sizeof *row);
    }
    return cz_comm_agree(comm, status);
}
