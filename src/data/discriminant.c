/* Two passes over the training rows, sums on rank 0, one Cholesky factorisation there. */
#include "discriminant.h"
#include "blas.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows whose products are added to the scatter at once, and the side of the squares of it that
 * threads take. */
enum { ROWS = 256, SQUARE = 128 };

/* Standardised columns of which other columns leave less than this variance unexplained are
 * taken to be their combinations: scikit-learn's tolerance of 1e-4 in standard deviation. */
static const double UNEXPLAINED = 1e-8;

typedef struct sums {
    int P;
    double *count;   /* (classes) training cells */
    double *mean;    /* (classes, P) sums, then means */
    double *scatter; /* (P, P) within classes, upper triangle */
} sums;

static cz_status sums_open(sums *s, const cz_cells *cells)
{
    s->P = cells->width + cells->label.classes;
    size_t P = (size_t)s->P, classes = (size_t)cells->target.classes;
    s->count = cz_alloc(classes, sizeof *s->count, "the sums of a discriminant");
    s->mean = cz_alloc(classes * P, sizeof *s->mean, "the sums of a discriminant");
    s->scatter = cz_alloc(P * P, sizeof *s->scatter, "the scatter of a discriminant");
    return s->count && s->mean && s->scatter ? CZ_OK : CZ_ERR_MEMORY;
}

static void sums_free(sums *s)
{
    free(s->count);
    free(s->mean);
    free(s->scatter);
}

/* The class of this rank's row if it is a training cell, else -1. */
static int training_class(const cz_cells *cells, int first, int row)
{
    return cells->split[first + row] == CZ_TRAIN ? cells->target.code[first + row] : -1;
}

/* u += x and the label's column. */
static void add_row(double *u, const cz_cells *cells, int first, int row)
{
    const float *x = cells->x + (size_t)row * (size_t)cells->width;
    int label = cells->label.code[first + row];
    for (int j = 0; j < cells->width; j++) u[j] += x[j];
    if (label >= 0) u[cells->width + label] += 1;
}

static void add_means(sums *s, const cz_cells *cells, int first, int rows)
{
    for (int i = 0; i < rows; i++) {
        int k = training_class(cells, first, i);
        if (k < 0) continue;
        s->count[k] += 1;
        add_row(s->mean + (size_t)k * (size_t)s->P, cells, first, i);
    }
}

/* What the threads that add to the scatter share. */
typedef struct scatter_task {
    sums *s;
    const cz_cells *cells;
    cz_pool *pool;
    int first, threads;
    int32_t *row; /* (rows) this rank's training rows whose class is known */
    int rows;
    double *u; /* (2, ROWS, P): while some threads still multiply one half, others fill the next */
} scatter_task;

static void fill_row(double *u, const scatter_task *task, int row)
{
    int k = training_class(task->cells, task->first, row), P = task->s->P;
    const double *mean = task->s->mean + (size_t)k * (size_t)P;
    for (int j = 0; j < P; j++) u[j] = -mean[j];
    add_row(u, task->cells, task->first, row);
}

static void add_square(sums *s, const double *u, int filled, int i, int j)
{
    int P = s->P, rows = P - i < SQUARE ? P - i : SQUARE, cols = P - j < SQUARE ? P - j : SQUARE;
    blas_begin();
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, rows, cols, filled, 1, u + i, P, u + j, P,
                1, s->scatter + (size_t)i * (size_t)P + (size_t)j, P);
    blas_end();
}

/* This thread's squares of the upper triangle. */
static void add_squares(const scatter_task *task, const double *u, int filled, int thread)
{
    int P = task->s->P, number = 0;
    for (int i = 0; i < P; i += SQUARE)
        for (int j = i; j < P; j += SQUARE)
            if (number++ % task->threads == thread) add_square(task->s, u, filled, i, j);
}

static cz_status scatter_worker(void *context, int thread)
{
    const scatter_task *task = context;
    size_t P = (size_t)task->s->P;
    for (int at = 0; at < task->rows; at += ROWS) {
        double *u = task->u + (size_t)(at / ROWS % 2) * ROWS * P;
        int filled = task->rows - at < ROWS ? task->rows - at : ROWS;
        for (int i = thread; i < filled; i += task->threads)
            fill_row(u + (size_t)i * P, task, task->row[at + i]);
        cz_pool_barrier(task->pool);
        add_squares(task, u, filled, thread);
    }
    return CZ_OK;
}

/* scatter += sum of u u' over training rows, u less the mean of its class. */
static cz_status add_scatter(sums *s, const cz_cells *cells, int first, int rows, cz_pool *pool)
{
    scatter_task task = {s, cells, pool, first, cz_pool_threads(pool), NULL, 0, NULL};
    task.row = cz_alloc((size_t)rows, sizeof *task.row, "rows of a discriminant");
    task.u = cz_alloc((size_t)2 * ROWS * (size_t)s->P, sizeof *task.u, "rows of a discriminant");
    cz_status status = task.row && task.u ? CZ_OK : CZ_ERR_MEMORY;
    for (int i = 0; i < rows && !status; i++)
        if (training_class(cells, first, i) >= 0) task.row[task.rows++] = i;
    if (!status) status = cz_pool_run(pool, scatter_worker, &task);
    free(task.row);
    free(task.u);
    return status;
}

/* Sums over ranks in their order, on all ranks; or on rank 0 alone, which is cheaper. */
static cz_status add_ranks(double *values, size_t n, int everywhere, const cz_comm *comm)
{
    enum { PIECE = 1 << 24 };
    for (size_t at = 0; at < n; at += PIECE) {
        int count = (int)(n - at < PIECE ? n - at : PIECE);
        void *own = comm->rank == 0 ? MPI_IN_PLACE : (void *)(values + at);
        if (MPI_Reduce(own, values + at, count, MPI_DOUBLE, MPI_SUM, 0, comm->mpi))
            return cz_fail(CZ_ERR_MPI, "MPI_Reduce of a discriminant's sums failed");
    }
    return everywhere ? cz_comm_broadcast(comm, CZ_OK, values, n * sizeof *values) : CZ_OK;
}

/* Divides by the spreads within classes and factors: scatter becomes the upper factor of its
 * leading columns. column (*rank) out: which columns these are; spread (P) out. */
static cz_status factor(sums *s, double cells, int *column, int *rank, double *spread)
{
    int P = s->P, varying = 0;
    double *c = cz_alloc((size_t)P * (size_t)P, sizeof *c, "the covariance within classes");
    lapack_int *pivot = cz_alloc((size_t)P, sizeof *pivot, "the covariance within classes");
    cz_status status = c && pivot ? CZ_OK : CZ_ERR_MEMORY;
    if (status) goto done;
    for (int j = 0; j < P; j++) {
        spread[j] = sqrt(s->scatter[(size_t)j * (size_t)(P + 1)] / cells);
        if (!isfinite(spread[j])) {
            status = cz_fail(CZ_ERR_INPUT, "feature %d of the training cells is not finite", j);
            goto done;
        }
        if (spread[j] > 0) column[varying++] = j;
    }
    for (int a = 0; a < varying; a++)
        for (int b = a; b < varying; b++)
            c[(size_t)a * (size_t)P + (size_t)b] =
                s->scatter[(size_t)column[a] * (size_t)P + (size_t)column[b]] /
                (cells * spread[column[a]] * spread[column[b]]);
    lapack_int found = 0;
    lapack_int info =
        varying ? LAPACKE_dpstrf(LAPACK_ROW_MAJOR, 'U', varying, c, P, pivot, &found, UNEXPLAINED)
                : 0;
    if (info < 0) {
        status = cz_fail(CZ_ERR_BUG, "LAPACKE_dpstrf refuses its argument %d", (int)-info);
        goto done;
    }
    *rank = (int)found;
    memcpy(s->scatter, c, (size_t)P * (size_t)P * sizeof *c);
    for (int a = 0; a < *rank; a++) pivot[a] = column[pivot[a] - 1];
    for (int a = 0; a < *rank; a++) column[a] = (int)pivot[a];
done:
    free(pivot);
    free(c);
    return status;
}

/* weight[k] = covariance^-1 (mean[k] - centre), bias[k] = log prior - weight[k] . (mean[k] +
 * centre) / 2, from the factor on the columns it has. */
static cz_status solve(cz_discriminant *d, sums *s)
{
    int P = s->P, rank = 0;
    double cells = 0;
    double *spread = cz_alloc((size_t)P, sizeof *spread, "a discriminant");
    double *centre = cz_alloc((size_t)P, sizeof *centre, "a discriminant");
    double *right = cz_alloc((size_t)P, sizeof *right, "a discriminant");
    int *column = cz_alloc((size_t)P, sizeof *column, "a discriminant");
    cz_status status = spread && centre && right && column ? CZ_OK : CZ_ERR_MEMORY;
    for (int k = 0; k < d->classes; k++) cells += s->count[k];
    if (!status) status = factor(s, cells, column, &rank, spread);
    if (status) goto done;
    for (int k = 0; k < d->classes; k++)
        for (int j = 0; j < P; j++)
            centre[j] += s->count[k] / cells * s->mean[(size_t)k * (size_t)P + (size_t)j];
    for (int k = 0; k < d->classes; k++) {
        const double *mean = s->mean + (size_t)k * (size_t)P;
        double *weight = d->weight + (size_t)k * (size_t)P;
        for (int a = 0; a < rank; a++)
            right[a] = (mean[column[a]] - centre[column[a]]) / spread[column[a]];
        cblas_dtrsv(CblasRowMajor, CblasUpper, CblasTrans, CblasNonUnit, rank, s->scatter, P, right,
                    1);
        cblas_dtrsv(CblasRowMajor, CblasUpper, CblasNoTrans, CblasNonUnit, rank, s->scatter, P,
                    right, 1);
        d->bias[k] = log(s->count[k] / cells);
        for (int a = 0; a < rank; a++) {
            int j = column[a];
            weight[j] = right[a] / spread[j];
            d->bias[k] -= weight[j] * (mean[j] + centre[j]) / 2;
        }
    }
done:
    free(spread);
    free(centre);
    free(right);
    free(column);
    return status;
}

static cz_status discriminant_open(cz_discriminant *d, const cz_cells *cells)
{
    memset(d, 0, sizeof *d);
    d->width = cells->width;
    d->labels = cells->label.classes;
    d->classes = cells->target.classes;
    size_t P = (size_t)d->width + (size_t)d->labels;
    d->weight = cz_alloc((size_t)d->classes * P, sizeof *d->weight, "a discriminant");
    d->bias = cz_alloc((size_t)d->classes, sizeof *d->bias, "a discriminant");
    return d->weight && d->bias ? CZ_OK : CZ_ERR_MEMORY;
}

void cz_discriminant_free(cz_discriminant *d)
{
    free(d->weight);
    free(d->bias);
    memset(d, 0, sizeof *d);
}

cz_status cz_discriminant_fit(cz_discriminant *d, const cz_cells *cells, const cz_comm *comm,
                              cz_pool *pool)
{
    sums s = {0};
    int first = cells->begin[comm->rank], rows = cells->begin[comm->rank + 1] - first;
    size_t P = (size_t)cells->width + (size_t)cells->label.classes;
    size_t classes = (size_t)cells->target.classes;
    int training = 0;
    for (int i = 0; i < cells->n; i++)
        training += cells->split[i] == CZ_TRAIN && cells->target.code[i] >= 0;
    cz_status status = discriminant_open(d, cells);
    if (!status) status = sums_open(&s, cells);
    status = cz_comm_agree(comm, status);
    if (status || training == 0) goto done;

    add_means(&s, cells, first, rows);
    status = add_ranks(s.mean, classes * P, 1, comm);
    if (!status) status = add_ranks(s.count, classes, 1, comm);
    if (status) goto done;
    for (size_t i = 0; i < classes * P; i++) s.mean[i] /= fmax(1, s.count[i / P]);
    status = cz_comm_agree(comm, add_scatter(&s, cells, first, rows, pool));
    if (!status) status = add_ranks(s.scatter, P * P, 0, comm);
    if (status) goto done;
    if (comm->rank == 0) status = solve(d, &s);
    status = cz_comm_broadcast(comm, status, d->weight, classes * P * sizeof *d->weight);
    if (!status) status = cz_comm_broadcast(comm, CZ_OK, d->bias, classes * sizeof *d->bias);
done:
    if (training == 0) d->classes = 0;
    sums_free(&s);
    return status;
}

int cz_discriminant_class(const cz_discriminant *d, const float *x, int label)
{
    size_t P = (size_t)d->width + (size_t)d->labels;
    double most = -INFINITY;
    int best = 0;
    for (int k = 0; k < d->classes; k++) {
        const double *weight = d->weight + (size_t)k * P;
        double score = d->bias[k];
        for (int j = 0; j < d->width; j++) score += weight[j] * x[j];
        if (label >= 0) score += weight[d->width + label];
        if (score > most) {
            most = score;
            best = k;
        }
    }
    return best;
}
