/* The rows of a matrix that a rank keeps, streamed out of the file.
 *
 * A rank's memory: 8 bytes a stored count and 8 a cell for compressed counts (16 a cell while
 * they are read), 4 bytes a feature of an embedding (12 a stored value more while a sparse one is
 * read); 4 bytes a cell for the list of rows; and a block, whatever the file's size: two arrays
 * of ROWS_BLOCK_BYTES, or a dense matrix's rows of one chunk where that is more. */
#ifndef CZ_H5AD_ROWS_H
#define CZ_H5AD_ROWS_H

#include "counts.h"
#include "czhpc/h5_read.h"
#include "h5ad_plan.h"

enum { ROWS_BLOCK_BYTES = 1 << 24 };

/* What a rank wants of a file that all ranks have opened together. */
typedef struct row_source {
    hid_t file;
    const h5ad_matrix *matrix;
    const int32_t *row; /* (rows) of the file, ascending */
    int rows;
    const int32_t
        *number;       /* (columns) a gene's number in the job, -1 = left out; NULL = as it is */
    char *const *gene; /* (columns) names for messages; NULL for an embedding */
    const cz_comm *comm;
    cz_pool *pool; /* unpacks; NULL: HDF5 does */
    hid_t own;     /* for the pool: the file as this process alone has opened it */
} row_source;

/* Compressed rows that grow: all rows of a rank, file after file. */
typedef struct count_rows {
    cz_csr csr;
    int64_t room;   /* entries that fit */
    float *sum;     /* (genes) of a row whose entries are out of order */
    uint64_t *seen; /* (genes / 64) which of them are in use */
} count_rows;

/* For `rows` rows in all. Local. CZ_ERR_MEMORY. */
cz_status count_rows_open(count_rows *to, int rows, int genes);
void count_rows_free(count_rows *to);

/* Adds the source's rows in one form for equal rows: ascending genes, each once, no zeros.
 * Collective over source->comm, and agreed. CZ_ERR_INPUT: counts that are negative, not whole
 * or not finite (of genes only: where gene is NULL any number will do), a damaged file. */
cz_status rows_read_counts(count_rows *to, const row_source *from);

/* x (rows, stride): the source's rows, matrix->columns values each; the rest stays as it is.
 * Missing values of nullable columns are NAN. Collective over source->comm, and agreed. */
cz_status rows_read_embedding(float *x, int stride, const row_source *from);

/* --- shared by the files that read one form each --- */

/* Reads in rounds, in which all ranks take part as long as one has rows left. */
typedef struct row_reader {
    const row_source *from;
    /* The end of the block that begins with wanted row `first` (< rows). */
    int (*end_of)(const struct row_reader *reader, int first);
    /* Reads wanted rows [first, end), none when both are equal. Collective, not agreed. */
    cz_status (*read)(struct row_reader *reader, int first, int end);
    int64_t *start, *size; /* CSR: (rows) where the wanted rows lie, and their lengths */
    int64_t step, align;   /* others: most rows of the file in a block, and where it ends */
    int column;            /* a data frame's */
    void *index, *value;   /* the block */
    float *entry;          /* dense counts: (columns) those of a row, beside index */
    count_rows *to;        /* one of these is filled */
    float *x;
    int stride;
} row_reader;

cz_status rows_in_blocks(row_reader *reader);

/* The end of a block of at most `step` rows of the file, up to a multiple of `align` of them. */
int rows_block_end(const row_reader *reader, int first);

/* Rows [begin, begin + count) of a dataset as `type`: by cz_h5_unpack() where all ranks can, else
 * by cz_h5_rows(). Collective, not agreed. */
cz_status rows_values(void *values, hid_t type, int64_t begin, int64_t count,
                      const row_source *from, const char *place);

/* Makes room for `more` entries. Local. */
cz_status count_rows_reserve(count_rows *to, int64_t more);

/* Adds wanted row `i`, for which there is room; index and value (size) may lie in `to` itself,
 * behind what is filled. Local. */
cz_status count_rows_add(count_rows *to, const row_source *from, int i, const int32_t *index,
                         const float *value, int64_t size);

cz_status rows_read_csr(count_rows *to, const row_source *from);
cz_status rows_read_csc(count_rows *to, const row_source *from);
cz_status rows_read_dense(count_rows *to, float *x, int stride, const row_source *from);
cz_status rows_read_frame(float *x, int stride, const row_source *from);

#endif
