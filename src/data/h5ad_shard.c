#include "h5ad_shard.h"

#include "czhpc/profile.h"
#include "czhpc/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void h5ad_shard_free(h5ad_shard *shard)
{
    count_rows_free(&shard->counts);
    free(shard->row);
    free(shard->hash);
    free(shard->empty);
    free(shard->measure);
    *shard = (h5ad_shard){0};
}

cz_status h5ad_shard_open(h5ad_shard *shard, const h5ad_files *files, const uint8_t *keep,
                          int begin, int end, int measures)
{
    size_t rows = (size_t)(end - begin);
    *shard = (h5ad_shard){0};
    shard->row = cz_alloc(rows, sizeof *shard->row, "the rows of a rank");
    shard->hash = cz_alloc(rows, sizeof *shard->hash, "the hashes of cells");
    shard->empty = cz_alloc(rows, 1, "the cells without features");
    shard->measure = cz_alloc(rows * (size_t)measures, sizeof(float), "the depth of cells");
    if (!shard->row || !shard->hash || !shard->empty || !shard->measure) return CZ_ERR_MEMORY;
    const cell_table *table = &files->table;
    for (int f = 0, kept = 0; f < files->count; f++) {
        for (int i = table->first[f]; i < table->first[f + 1]; i++) {
            if (!keep[i]) continue;
            if (kept >= begin && kept < end) shard->row[shard->rows++] = i - table->first[f];
            kept++;
        }
        shard->first[f + 1] = shard->rows;
    }
    return files->counts ? count_rows_open(&shard->counts, shard->rows, files->width) : CZ_OK;
}

/* Hashes rows [first, end) of counts, and tells their depth. mitochondrial (genes): 1 = is one;
 * NULL where there are none. */
static void look_at_counts(h5ad_shard *shard, int first, int end, int measures,
                           const uint8_t *mitochondrial)
{
    const cz_csr *csr = &shard->counts.csr;
    for (int i = first; i < end; i++) {
        int64_t begin = csr->begin[i], size = csr->begin[i + 1] - begin;
        double total = 0, of_mitochondria = 0;
        for (int64_t k = begin; k < begin + size; k++) {
            total += csr->count[k];
            if (mitochondrial && mitochondrial[csr->gene[k]]) of_mitochondria += csr->count[k];
        }
        uint64_t hash = cz_hash(0, csr->gene + begin, (size_t)size * sizeof *csr->gene);
        shard->hash[i] = cz_hash(hash, csr->count + begin, (size_t)size * sizeof *csr->count);
        shard->empty[i] = size == 0;
        float *measure = shard->measure + (size_t)i * (size_t)measures;
        measure[0] = (float)total;
        measure[1] = (float)size;
        if (mitochondrial) measure[2] = (float)(100 * of_mitochondria / total);
    }
}

/* An embedding is there or missing; half a one is a mistake. */
static cz_status look_at_embedding(h5ad_shard *shard, int i, const float *x, const row_source *from)
{
    int width = from->matrix->columns, nan = 0, finite = 0;
    for (int c = 0; c < width; c++) {
        nan += isnan(x[c]) != 0;
        finite += isfinite(x[c]) != 0;
    }
    shard->empty[i] = nan == width;
    shard->hash[i] = cz_hash(0, x, (size_t)width * sizeof *x);
    if (shard->empty[i] || finite == width) return CZ_OK;
    return cz_h5_fail(CZ_ERR_INPUT, from->file, from->matrix->place,
                      "cell %d (from 0) has %d values that are not finite: a missing embedding is "
                      "NaN throughout",
                      shard->row[i], width - finite);
}

static cz_status read_counts(h5ad_shard *shard, int first, int end, int measures,
                             const row_source *from, const uint8_t *mitochondrial)
{
    CZ_TRY(rows_read_counts(&shard->counts, from));
    look_at_counts(shard, first, end, measures, mitochondrial);
    return CZ_OK;
}

static cz_status read_embedding(h5ad_shard *shard, int first, int end, cz_cells *cells,
                                const row_source *from)
{
    size_t width = (size_t)cells->width;
    cz_status status = CZ_OK;
    CZ_TRY(rows_read_embedding(cells->x + (size_t)first * width, cells->width, from));
    for (int i = first; i < end && !status; i++)
        status = look_at_embedding(shard, i, cells->x + (size_t)i * width, from);
    return cz_comm_agree(from->comm, status);
}

/* The rank's rows of file f. Collective, agreed. */
static cz_status read_file(h5ad_shard *shard, int f, cz_cells *cells, const h5ad_files *files,
                           const uint8_t *mitochondrial, const cz_comm *comm, cz_pool *pool)
{
    const h5ad_plan *plan = &files->plan[f];
    int first = shard->first[f], end = shard->first[f + 1];
    row_source from = {.matrix = &plan->matrix,
                       .row = shard->row + first,
                       .rows = end - first,
                       .number = files->genes.number[f],
                       .gene = plan->gene,
                       .comm = comm,
                       .pool = pool};
    /* Where it opened on some ranks only, closing it together would wait for ever. */
    CZ_TRY(cz_comm_agree(comm, cz_h5_open_shared(&from.file, plan->path, comm->mpi)));
    cz_status status = cz_comm_agree(comm, cz_h5_open_file(&from.own, plan->path));
    if (!status)
        status = files->counts
                     ? read_counts(shard, first, end, cells->measures, &from, mitochondrial)
                     : read_embedding(shard, first, end, cells, &from);
    cz_h5_close(&from.own);
    cz_h5_close(&from.file);
    return status;
}

cz_status h5ad_shard_read(h5ad_shard *shard, cz_cells *cells, const h5ad_files *files,
                          const cz_comm *comm, cz_pool *pool)
{
    CZ_PHASE("read matrix");
    uint8_t *mark = cz_alloc((size_t)files->genes.genes, 1, "the mitochondrial genes");
    cz_status status = cz_comm_agree(comm, mark ? CZ_OK : CZ_ERR_MEMORY);
    bool found = mark && gene_list_mitochondrial(mark, &files->genes) > 0;
    for (int f = 0; f < files->count && !status; f++)
        status = read_file(shard, f, cells, files, found ? mark : NULL, comm, pool);
    free(mark);
    return status;
}

/* Moves row `from` of the counts to be row `to`. */
static void move_counts(cz_csr *csr, int to, int from)
{
    int64_t first = csr->begin[from], size = csr->begin[from + 1] - first, at = csr->begin[to];
    memmove(csr->gene + at, csr->gene + first, (size_t)size * sizeof *csr->gene);
    memmove(csr->count + at, csr->count + first, (size_t)size * sizeof *csr->count);
    csr->begin[to + 1] = at + size;
}

void h5ad_shard_keep(h5ad_shard *shard, cz_cells *cells, const uint8_t *keep)
{
    size_t width = (size_t)cells->width;
    int kept = 0;
    for (int i = 0; i < shard->rows; i++) {
        if (!keep[i]) continue;
        if (kept < i && cells->x)
            memmove(cells->x + (size_t)kept * width, cells->x + (size_t)i * width,
                    width * sizeof *cells->x);
        if (kept < i && !cells->x) move_counts(&shard->counts.csr, kept, i);
        kept++;
    }
    shard->rows = kept;
    if (!cells->x) shard->counts.csr.rows = kept;
}
