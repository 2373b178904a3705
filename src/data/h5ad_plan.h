/* What will be read of one AnnData file, found out before anything is read. The forms are
 * those of AnnData 0.7 to 0.13; https://anndata.readthedocs.io, "On-disk format". */
#ifndef CZ_H5AD_PLAN_H
#define CZ_H5AD_PLAN_H

#include "czhpc/bytes.h"
#include "czhpc/data.h"

/* Keys that one configuration can name: target, label, adversaries, split, batch, which can be
 * joined ("A+B"), and filters. */
enum { H5AD_COLUMNS_MAX = 3 * (CZ_KEYS_MAX + 4) + CZ_TEXTS_MAX };

/* What a job asks of each of its files. Plain bytes: the probe gets it as it stands. */
typedef struct h5ad_request {
    char path[CZ_PATH_MAX];
    bool counts;                /* the matrix of counts, else an embedding of obsm */
    char matrix[CZ_NAME_MAX];   /* X, raw, layer:NAME */
    char obsm[CZ_NAME_MAX];     /* the embedding's name */
    char gene_key[CZ_NAME_MAX]; /* column of var; "" = its index */
    int columns;
    char column[H5AD_COLUMNS_MAX][CZ_NAME_MAX]; /* of obs, as texts */
    bool adversary[H5AD_COLUMNS_MAX];           /* a job can do without */
    int measures;
    char measure[CZ_KEYS_MAX][CZ_NAME_MAX]; /* of obs, as numbers */
} h5ad_request;

/* Of configuration's file `index`; a key that it names twice is asked for once. */
void h5ad_request_make(h5ad_request *request, const cz_config *config, int index);

typedef enum h5ad_form {
    H5AD_DENSE, /* a dataset (rows, columns) */
    H5AD_CSR,   /* data, indices, indptr by cells */
    H5AD_CSC,   /* data, indices, indptr by genes */
    H5AD_FRAME, /* a data frame in obsm: a dataset, or a nullable group, for each column */
    H5AD_FORMS
} h5ad_form;

typedef struct h5ad_matrix {
    char place[CZ_NAME_MAX + 16]; /* X, raw/X, layers/NAME, obsm/NAME */
    h5ad_form form;
    int rows, columns; /* cells; genes, or width of the embedding */
    int64_t entries;   /* stored values of CSR and CSC */
    char **part;       /* (columns) of FRAME: the places of its datasets, in its order */
} h5ad_matrix;

typedef struct h5ad_plan {
    char path[CZ_PATH_MAX];
    int n; /* cells in the file */
    h5ad_matrix matrix;
    int columns, measures;
    cz_column column[H5AD_COLUMNS_MAX]; /* (n) texts as the file has them, -1 = missing */
    double *measure[CZ_KEYS_MAX];       /* (n) NAN = missing */
    char **cell_name;                   /* (n) "" = missing */
    char **gene;                        /* (matrix.columns) of counts, else NULL; "" = missing */
} h5ad_plan;

/* Finds the plan: checks the structure of all that will be read, and reads names and columns.
 * Only in a probe's process: HDF5 may crash. Local. CZ_ERR_INPUT names file, place and what
 * was expected; of a missing column those there are. */
cz_status h5ad_plan_find(h5ad_plan *plan, const h5ad_request *request);

/* The plan of a file, by a probe. Local; CZ_ERR_INPUT. */
cz_status h5ad_plan_make(h5ad_plan *plan, const h5ad_request *request);

/* Rank 0's plan, and its status, to all; names of cells stay on rank 0. Collective. */
cz_status h5ad_plan_share(h5ad_plan *plan, cz_status status, const cz_comm *comm);

/* A plan as bytes and back; unpack trusts nothing (CZ_ERR_INPUT). Local. */
void h5ad_plan_pack(cz_bytes *bytes, const h5ad_plan *plan, bool cell_names);
cz_status h5ad_plan_unpack(h5ad_plan *plan, const unsigned char *data, size_t size);
void h5ad_plan_free(h5ad_plan *plan);

/* The probe's side of h5ad_plan_make(), a cz_probe_walk. */
cz_status h5ad_probe(cz_bytes *answer, const void *request, size_t size);

#endif
