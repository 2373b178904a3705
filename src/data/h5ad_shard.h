/* The rows of one rank, out of all files. Private to src/data. */
#ifndef CZ_H5AD_SHARD_H
#define CZ_H5AD_SHARD_H

#include "h5ad_files.h"
#include "h5ad_rows.h"

typedef struct h5ad_shard {
    int rows;
    int32_t *row;                /* (rows) number within its file */
    int first[CZ_TEXTS_MAX + 1]; /* file f has the rank's rows first[f] .. first[f + 1] - 1 */
    count_rows counts;
    uint64_t *hash; /* (rows) of what was measured of a cell: equal for equal cells */
    uint8_t *empty; /* (rows) no counts, or an embedding of NAN alone */
    float *measure; /* (rows, measures) */
} h5ad_shard;

/* This rank's part of the cells that keep (cells of all files) leaves: rows begin .. end - 1 of
 * those, with room for their measures. Local. Free with h5ad_shard_free(). CZ_ERR_MEMORY. */
cz_status h5ad_shard_open(h5ad_shard *shard, const h5ad_files *files, const uint8_t *keep,
                          int begin, int end, int measures);
void h5ad_shard_free(h5ad_shard *shard);

/* Reads the rows: counts into the shard, embeddings into cells->x (rows, cells->width), whose
 * columns beyond the embedding stay as they are. Fills hash and empty, and of counts the first
 * of cells->measures: total_counts, n_genes_by_counts, pct_counts_mt if there are such genes.
 * The pool helps. Collective, agreed. CZ_ERR_INPUT: as rows_read_counts(); an embedding that is not
 * finite in part.
 */
cz_status h5ad_shard_read(h5ad_shard *shard, cz_cells *cells, const h5ad_files *files,
                          const cz_comm *comm, cz_pool *pool);

/* Drops the rows (and those of cells->x) whose keep[i], of the rank's own, is 0. Local. */
void h5ad_shard_keep(h5ad_shard *shard, cz_cells *cells, const uint8_t *keep);

#endif
