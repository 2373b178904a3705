/* Work whose results nobody reads before the end of a step: gradients of what cells share, and sums
 * of what was predicted. It is noted, and done by one kernel for many notes, on a second stream:
 * products of a batch fill a part of a GPU only. Notes are taken when they are work for all of a
 * GPU, which then has a block of it on each multiprocessor; when somebody waits for one, another
 * has to come after it or is of another type; and when there is room for no more. A recorded step
 * keeps all of this as its graph's edges.
 *
 * An operation that writes what a note reads, or touches what a note writes, first calls settle()
 * with that, or join_deferred(), which waits for all. */
#ifndef CZ_CUDA_DEFERRED_H
#define CZ_CUDA_DEFERRED_H

#include "kernel.h"

/* ---- what is noted: by the host's functions below, for deferred_kernel.cu ---- */

/* sum (M, N) = a^T b, or added to, over `rows` rows of a (rows, M) and b (rows, N); columns (M) the
 * sums of a's columns, of a single product; NULL: not wanted. Of each of `batches`, so many
 * elements apart. */
struct deferred_product {
    const void *a, *b;
    float *sum, *columns;
    int rows, M, N, batches;
    int lda, ldb, ld, step_a, step_b, step;
    bool add, aligned; /* rows of a and b, to 16 bytes */
};

/* dgain, dbias (C) += the sums over rows of dy (s - mean) rstd and of dy. */
struct deferred_norm {
    const void *dy, *s;
    const float *mean, *rstd;
    float *dgain, *dbias;
    int rows, C, ld_dy, ld_s;
    bool aligned;
};

/* Sums over cells of what each left, rows of `width`: of latents (L, D), then of three vectors. */
struct deferred_cells {
    const float *left; /* (cells, L + 3, width) */
    float *latents, *vector[3];
    int cells, L, D, width, ld;
};

/* As cz_gpu_score() has them, of head `head`: the sums begin at 3 (heads (cursor - 1) + head). */
struct deferred_scores {
    double *sums;
    const int32_t *cursor, *code, *best;
    const double *loss;
    int cells, heads, head;
};

struct deferred_job {
    enum { PRODUCT, NORM, CELLS, SCORES } kind;
    int blocks;
    union {
        deferred_product product;
        deferred_norm norm;
        deferred_cells of_cells;
        deferred_scores scores;
    };
};

enum { MOST_DEFERRED = 32 /* jobs of a batch */, MOST_BATCHES = 8 /* under way */ };
struct deferred_work {
    deferred_job job[MOST_DEFERRED];
    int count, blocks;
};

/* How many blocks there is work for in a job. deferred_kernel.cu, as the next. */
int blocks_of(const deferred_job &job, cz_dtype dtype);
/* Asks for all of it, of activations of this type, by at most so many blocks. */
cz_status run_deferred(cz_exec *exec, const deferred_work &work, cz_dtype dtype, int most);

/* ---- the host's side ---- */

/* An operation asked for between these two is done on the second stream, as a batch of its own:
 * cz_exec's `aside`. It reads and writes what is said here, and takes no scratch. */
cz_status begin_beside(const cz_exec *exec, std::initializer_list<span> written,
                       std::initializer_list<span> read);
/* Returns `status`, or how that ended. */
cz_status end_beside(const cz_exec *exec, cz_status status);

/* A matrix, or several of `cols` columns side by side, the next `step` columns on. */
struct side_by_side {
    cz_tensor all;
    int cols, step;
};
static inline side_by_side single(cz_tensor t) { return {t, cz_cols(t), 0}; }

/* sum (M, N) = a^T b, or added to, for each of `batches`; columns (M): the sums of a's columns,
 * where there is one batch, or absent. */
cz_status defer_products(cz_exec *exec, side_by_side sum, cz_tensor columns, side_by_side a,
                         side_by_side b, int batches, bool add);
/* The gradients of a norm's gain and bias, added to: cz_add_dropout_norm_backward(). */
cz_status defer_norm(cz_exec *exec, cz_tensor dgain, cz_tensor dbias, cz_tensor dy, cz_tensor s,
                     cz_tensor mean, cz_tensor rstd);
/* left (cells, (L + 3) width), vectors added to after the latents, in their order. */
cz_status defer_cells(cz_exec *exec, cz_tensor latents, const cz_tensor vector[3], cz_tensor left,
                      int width);
/* cz_gpu_score(). */
cz_status defer_scores(cz_gpu *gpu, double *sums, const int32_t *cursor,
                       const cz_gpu_scored *scored);

#endif
