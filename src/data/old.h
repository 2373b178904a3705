/* What the files of the AnnData reader share. */
#ifndef CZ_OLD_H
#define CZ_OLD_H

#include "counts.h"
#include "czhpc/h5_read.h"
#include "h5ad.h"

/* What will be read of a file, after its whole structure was checked. Codes are those of all
 * cells in the file, cells that will be left out included. */
typedef struct old_plan {
    int n;                         /* cells in the file */
    int width;                     /* columns of the matrix: genes, or embedding */
    bool counts;                   /* the matrix is CSR counts, else a dense embedding */
    int64_t entries;               /* stored counts */
    char matrix[CZ_NAME_MAX + 16]; /* its place: X, raw/X, layers/NAME, obsm/NAME */
    cz_column target, label, adversary[CZ_KEYS_MAX];
    int adversaries;
    char **cell_name, **gene_name; /* (n), (width) of counts; on rank 0 only */
} old_plan;

/* Checks the file and makes the plan; without `names` those of cells and genes are left out.
 * Local. */
cz_status old_plan_make(old_plan *plan, const cz_config *config, bool names);
/* Rank 0's plan, and its status, to all. Collective. */
cz_status old_plan_share(old_plan *plan, cz_status status, const cz_comm *comm);
void old_plan_free(old_plan *plan);

/* "FILE: obs/KEY: ..." unless the object at `place` is encoded as `type`, version `version`. */
cz_status old_check_encoding(hid_t file, const char *place, const char *type, const char *version);

typedef enum old_role { OLD_TARGET, OLD_LABEL, OLD_ADVERSARY } old_role;

/* A column of obs, or several joined by '+' ("a+b": a class is a pair). Names that say nothing
 * in this role (unknown, na, nan; of a target also pooled) get code -1. Local. */
cz_status old_column(cz_column *column, hid_t file, const char *key, old_role role, int n);
/* Leaves only the cells whose keep[i] is not 0 and numbers the classes by first appearance
 * among them; classes without a cell are dropped. Local. */
cz_status old_column_keep(cz_column *column, const uint8_t *keep, int n);
void old_column_free(cz_column *column);

/* This rank's rows [begin, begin + rows) and their hashes; missing[i] = 1 where an embedding is
 * NaN throughout. x (rows, width). Collective; agreed. */
cz_status old_read_counts(cz_csr *counts, uint64_t *hash, const old_plan *plan, hid_t file,
                          int begin, int rows, const cz_comm *comm);
cz_status old_read_embedding(float *x, uint64_t *hash, uint8_t *missing, const old_plan *plan,
                             hid_t file, int begin, int rows, const cz_comm *comm);

#endif
