/* The files of a job, taken together: what will be read of each, all their cells as one table,
 * all their genes as one list. Private to src/data. */
#ifndef CZ_H5AD_FILES_H
#define CZ_H5AD_FILES_H

#include "genes.h"
#include "table.h"

typedef struct h5ad_files {
    int count;
    bool counts;          /* matrices of counts, else embeddings */
    int width;            /* genes in all files, or the embeddings' width */
    h5ad_request request; /* of the first file; the others differ in their path */
    h5ad_plan plan[CZ_TEXTS_MAX];
    cell_table table;
    gene_list genes;    /* of counts */
    int repeated_cells; /* whose name an earlier cell bears */
} h5ad_files;

/* Rank 0 looks into each file, and tells all ranks what it found. Collective; with comm NULL
 * local. Free with h5ad_files_close(). CZ_ERR_INPUT: a file cannot be used, or they do not fit
 * together. */
cz_status h5ad_files_open(h5ad_files *files, const cz_config *config, const cz_comm *comm);
void h5ad_files_close(h5ad_files *files);

/* "A.h5ad", or "A.h5ad, B.h5ad and 3 more". */
void h5ad_files_name(char *name, size_t size, const cz_config *config);

/* Stored values of all files; of dense matrices all there can be. */
int64_t h5ad_files_entries(const h5ad_files *files);

#endif
