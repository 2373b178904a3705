/* Tables of label vectors: HDF5 files with `labels` (rows, strings) and `vectors` (rows, width).
 * Those that czhpc writes also say in attributes what made them:
 *   czhpc_key       a number in hexadecimal that changes with the model and all else that decides
 *   czhpc_check     a hash of labels and vectors, which readers compare
 *   model, pooling  for people */
#ifndef CZ_LABEL_TABLE_H
#define CZ_LABEL_TABLE_H

#include "czhpc/config.h"

enum { CZ_LABEL_KEY = 17 }; /* 16 digits */

typedef struct cz_label_table {
    int rows, width;
    char **label;           /* (rows) */
    float *vector;          /* (rows, width) */
    int *order;             /* (rows) of labels as texts: what cz_label_row() searches */
    char key[CZ_LABEL_KEY]; /* "" where the file has none */
} cz_label_table;

/* Reads a table. CZ_ERR_INPUT: missing, damaged, of a wrong type or shape, a label twice, a
 * vector that is not finite, contents that are not those written. Free with cz_label_table_free().
 * Local. */
cz_status cz_label_table_read(cz_label_table *table, const char *path);
void cz_label_table_free(cz_label_table *table);

/* The row of a label, -1 where there is none. Local. */
int cz_label_row(const cz_label_table *table, const char *label);

/* Replaces `path` by a table, as cz_write_file() does. `key` "" is left out. CZ_ERR_IO. Local. */
cz_status cz_label_table_write(const char *path, char *const *label, const float *vector, int rows,
                               int width, const char *key, const char *model, const char *pooling);

/* Vectors of labels out of the table that config's text.table names. vectors (count, *width) is
 * allocated for the caller to free(); row i is that of label[i], padded with zeros to *width.
 * CZ_ERR_INPUT: the table, or labels without a vector (all such are named, and the nearest label
 * of the table). Local: call on one rank and broadcast. */
cz_status cz_label_vectors(float **vectors, int *width, char *const *label, int count,
                           const cz_config *config);

/* The width to which vectors `found` wide are padded: text.width, or for 0 the next multiple of
 * model.tokens. CZ_ERR_INPUT: text.width is less; `path` says of what. */
cz_status cz_label_width(int *width, int found, const char *path, const cz_config *config);

#endif
