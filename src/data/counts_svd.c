/* Randomised SVD of the centred training cells. With A their log-normalised counts less the
 * means (N x G, never formed), W (G x K) is improved by W <- orth(A' A W), which needs one walk
 * over the sparse rows a step and no matrix of N rows; Rayleigh-Ritz on the last W then gives
 * the singular values and vectors. Rank 0 does the small dense algebra, and all take its
 * result: LAPACK's bits differ between kinds of processors. */
#include "counts_private.h"

#include "czhpc/rng.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps, and columns beside a quarter more than wanted. Halko, Martinsson & Tropp 2011 find 1 or
 * 2 steps and 5 to 10 columns enough where singular values fall; those of cells fall slowly. */
enum { STEPS = 8, EXTRA = 16 };

enum { PANEL = 16 }; /* columns that walk over the rows together: W and Z stay in the cache */
typedef double vec __attribute__((vector_size(64)));

/* Compiled also for wider registers, taken at load time. Products and sums stay apart
 * (-std=c11), so all give the same bits. Sanitizers start after the choice would be made. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_THREAD__) &&              \
    !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDE
#endif

/* One walk over the rows (those of `train`, or all where it is NULL) with PANEL columns of W:
 * y = row W - offset; then z += row' y where z is given, and x[i] = y where x is given.
 *   w, z (genes, PANEL), offset (PANEL), x (rows, ld), of which `columns` are written */
WIDE static void walk(const log_matrix *logs, const uint8_t *train, const vec *w,
                      const double *offset, vec *z, double grid, float *x, int ld, int columns)
{
    vec start0, start1;
    memcpy(&start0, offset, sizeof start0);
    memcpy(&start1, offset + PANEL / 2, sizeof start1);
    for (int i = 0; i < logs->rows; i++) {
        if (train && !train[i]) continue;
        vec y0 = -start0, y1 = -start1;
        for (int64_t k = logs->begin[i]; k < logs->begin[i + 1]; k++) {
            const vec *wk = w + 2 * (size_t)logs->gene[k];
            y0 += logs->value[k] * wk[0];
            y1 += logs->value[k] * wk[1];
        }
        for (int64_t k = logs->begin[i]; z && k < logs->begin[i + 1]; k++) {
            vec *zk = z + 2 * (size_t)logs->gene[k];
            zk[0] += (logs->value[k] * y0 + grid) - grid; /* see sum_grid() */
            zk[1] += (logs->value[k] * y1 + grid) - grid;
        }
        for (int k = 0; x && k < columns; k++)
            x[(size_t)i * (size_t)ld + (size_t)k] =
                (float)(k < PANEL / 2 ? y0[k] : y1[k - PANEL / 2]);
    }
}

typedef struct walks {
    const log_matrix *logs;
    const uint8_t *train;
    const double *mean; /* (genes) */
    const double *w;    /* (K, genes) */
    int K, threads;
    double *z; /* (K, genes) or NULL */
    double grid;
    float *x; /* (rows, width) or NULL */
    int width;
} walks;

/* Each thread takes every threads-th panel. */
static cz_status walk_panels(void *context, int thread)
{
    const walks *job = context;
    size_t genes = (size_t)job->logs->genes, bytes = genes * PANEL * sizeof(double);
    double *w = aligned_alloc(sizeof(vec), bytes), *z = aligned_alloc(sizeof(vec), bytes);
    cz_status status = CZ_OK;
    if (!w || !z) {
        status = cz_fail(CZ_ERR_MEMORY, "no memory for two panels of %zu x %d", genes, PANEL);
        goto done;
    }
    for (int first = thread * PANEL; first < job->K; first += job->threads * PANEL) {
        int columns = job->K - first < PANEL ? job->K - first : PANEL;
        double offset[PANEL] = {0};
        memset(w, 0, bytes);
        memset(z, 0, bytes);
        for (int k = 0; k < columns; k++) {
            const double *column = job->w + (size_t)(first + k) * genes;
            for (size_t g = 0; g < genes; g++) {
                w[g * PANEL + (size_t)k] = column[g];
                offset[k] += job->mean[g] * column[g];
            }
        }
        walk(job->logs, job->train, (vec *)w, offset, job->z ? (vec *)z : NULL, job->grid,
             job->x ? job->x + first : NULL, job->width, columns);
        for (int k = 0; job->z && k < columns; k++)
            for (size_t g = 0; g < genes; g++)
                job->z[(size_t)(first + k) * genes + g] = z[g * PANEL + (size_t)k];
    }
done:
    free(w);
    free(z);
    return status;
}

cz_status log_matrix_times(float *x, int width, const log_matrix *logs, const double *mean,
                           const double *w, int K, cz_pool *pool)
{
    walks job = {.logs = logs,
                 .mean = mean,
                 .w = w,
                 .K = K,
                 .threads = cz_pool_threads(pool),
                 .x = x,
                 .width = width};
    return cz_pool_run(pool, walk_panels, &job);
}

/* In blocks: an MPI count is an int. */
static cz_status sum_over_ranks(double *z, size_t size, const cz_comm *comm)
{
    const size_t block = (size_t)1 << 27;
    for (size_t at = 0; at < size; at += block) {
        int count = (int)(size - at < block ? size - at : block);
        if (MPI_Allreduce(MPI_IN_PLACE, z + at, count, MPI_DOUBLE, MPI_SUM, comm->mpi))
            return cz_fail(CZ_ERR_MPI, "MPI_Allreduce of the components failed");
    }
    return CZ_OK;
}

/* z = A' A w over the training rows of all ranks. A' y needs no centring of its own: the
 * entries of y = A w sum to 0 over the cells. */
static cz_status multiply(walks *job, const cz_comm *comm, cz_pool *pool)
{
    CZ_TRY(cz_comm_agree(comm, cz_pool_run(pool, walk_panels, job)));
    return sum_over_ranks(job->z, (size_t)job->K * (size_t)job->logs->genes, comm);
}

/* w <- an orthonormal basis of its K columns. */
static cz_status orthonormalise(double *w, int genes, int K)
{
    double *tau = cz_alloc((size_t)K, sizeof *tau, "the components");
    if (!tau) return CZ_ERR_MEMORY;
    int failed = LAPACKE_dgeqrf(LAPACK_COL_MAJOR, genes, K, w, genes, tau) ||
                 LAPACKE_dorgqr(LAPACK_COL_MAJOR, genes, K, K, w, genes, tau);
    free(tau);
    return failed ? cz_fail(CZ_ERR_BUG, "LAPACK's QR of %d x %d failed", genes, K) : CZ_OK;
}

/* Normal entries, orthonormal columns; with as many columns as genes the identity. */
static cz_status first_basis(double *w, int genes, int K, int64_t seed)
{
    if (K == genes) {
        for (int k = 0; k < K; k++) w[(size_t)k * (size_t)genes + (size_t)k] = 1;
        return CZ_OK;
    }
    for (int k = 0; k < K; k++) {
        cz_rng rng = cz_rng_open((uint64_t)seed, (uint32_t)k, 0, CZ_RNG_SKETCH, 0);
        for (int g = 0; g < genes; g++)
            w[(size_t)k * (size_t)genes + (size_t)g] = cz_rng_normal(&rng);
    }
    return orthonormalise(w, genes, K);
}

/* w <- orth(A'A w - shift w), z = A'A w given. With the shift half the least eigenvalue of
 * w' A'A w, no eigenvalue to be kept is shifted below one to be damped, and those damped fall
 * about twice as fast (Feng, Yu & Xie 2024, "dashSVD"). */
static cz_status improve(double *w, double *z, int genes, int K)
{
    size_t square = (size_t)K * (size_t)K, size = (size_t)K * (size_t)genes;
    double *c = cz_alloc(square, sizeof *c, "the components");
    double *lambda = cz_alloc((size_t)K, sizeof *lambda, "the components");
    cz_status status = c && lambda ? CZ_OK : CZ_ERR_MEMORY;
    if (status) goto done;
    cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, K, K, genes, 1, w, genes, z, genes, 0, c,
                K);
    if (LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'N', 'U', K, c, K, lambda)) {
        status = cz_fail(CZ_ERR_BUG, "LAPACK's eigenvalues of %d x %d failed", K, K);
        goto done;
    }
    double shift = fmax(lambda[0], 0) / 2;
    for (size_t i = 0; i < size; i++) w[i] = z[i] - shift * w[i];
    status = orthonormalise(w, genes, K);
done:
    free(c);
    free(lambda);
    return status;
}

/* The sign of a singular vector is free: its largest entry is made positive. */
static void fix_sign(double *loading, int genes)
{
    int largest = 0;
    for (int g = 1; g < genes; g++)
        if (fabs(loading[g]) > fabs(loading[largest])) largest = g;
    if (loading[largest] < 0)
        for (int g = 0; g < genes; g++) loading[g] = -loading[g];
}

/* Eigenvectors U of W'Z = (A W)'(A W), largest first: loading = W U, singular = their roots. */
static cz_status rayleigh_ritz(cz_counts_model *model, const double *w, const double *z, int K)
{
    int genes = model->selected, wanted = model->components, found = 0;
    size_t square = (size_t)K * (size_t)K;
    double *c = cz_alloc(square, sizeof *c, "the components");
    double *u = cz_alloc((size_t)K * (size_t)wanted, sizeof *u, "the components");
    double *lambda = cz_alloc((size_t)K, sizeof *lambda, "the components");
    lapack_int *support = cz_alloc(2 * (size_t)K, sizeof *support, "the components");
    cz_status status = CZ_ERR_MEMORY;
    if (!c || !u || !lambda || !support) goto done;

    cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, K, K, genes, 1, w, genes, z, genes, 0, c,
                K);
    if (LAPACKE_dsyevr(LAPACK_COL_MAJOR, 'V', 'I', 'U', K, c, K, 0, 0, K - wanted + 1, K, 0, &found,
                       lambda, u, K, support) ||
        found != wanted) {
        status = cz_fail(CZ_ERR_BUG, "LAPACK found %d of %d eigenvectors", found, wanted);
        goto done;
    }
    cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, genes, wanted, K, 1, w, genes, u, K, 0,
                model->loading, genes);
    for (int k = 0; k < wanted / 2; k++) /* ascending to descending */
        cblas_dswap(genes, model->loading + (size_t)k * (size_t)genes, 1,
                    model->loading + (size_t)(wanted - 1 - k) * (size_t)genes, 1);
    for (int k = 0; k < wanted; k++) {
        model->singular[k] = sqrt(fmax(lambda[wanted - 1 - k], 0));
        fix_sign(model->loading + (size_t)k * (size_t)genes, genes);
    }
    status = CZ_OK;
done:
    free(c);
    free(u);
    free(lambda);
    free(support);
    return status;
}

/* No entry of A'A W exceeds |column of A, not centred| |A w| <= sqrt(cells) largest |A|_F. */
static cz_status grid_of(double *grid, const log_matrix *logs, double total, int64_t cells,
                         const cz_comm *comm)
{
    double largest = 0;
    for (int64_t k = 0; k < logs->begin[logs->rows]; k++) largest = fmax(largest, logs->value[k]);
    if (MPI_Allreduce(MPI_IN_PLACE, &largest, 1, MPI_DOUBLE, MPI_MAX, comm->mpi))
        return cz_fail(CZ_ERR_MPI, "MPI_Allreduce of the largest count failed");
    *grid = sum_grid(sqrt((double)cells) * largest * sqrt(total));
    return CZ_OK;
}

cz_status counts_svd(cz_counts_model *model, const log_matrix *logs, const uint8_t *train,
                     double total, int64_t cells, int64_t seed, const cz_comm *comm, cz_pool *pool)
{
    int genes = model->selected, K = model->components + model->components / 4 + EXTRA;
    /* One walk with all the genes, and all their eigenvalues, then cost no more than STEPS. */
    bool exact = K >= genes / 4;
    if (exact) K = genes;
    size_t size = (size_t)K * (size_t)genes, kept = (size_t)model->components * (size_t)genes;
    double *w = cz_alloc(size, sizeof *w, "the components");
    double *z = cz_alloc(size, sizeof *z, "the components");
    model->loading = cz_alloc(kept, sizeof *model->loading, "the loadings");
    model->singular = cz_alloc((size_t)model->components, sizeof(double), "the loadings");
    cz_status status = w && z && model->loading && model->singular ? CZ_OK : CZ_ERR_MEMORY;
    walks job = {.logs = logs,
                 .train = train,
                 .mean = model->mean,
                 .w = w,
                 .K = K,
                 .threads = cz_pool_threads(pool),
                 .z = z};
    status = cz_comm_agree(comm, status);
    if (!status) status = grid_of(&job.grid, logs, total, cells, comm);
    if (status) goto done;

    if (comm->rank == 0) status = first_basis(w, genes, K, seed);
    status = cz_comm_broadcast(comm, status, w, size * sizeof *w);
    for (int step = 0; !status && !exact && step < STEPS; step++) {
        status = multiply(&job, comm, pool);
        if (status) break;
        if (comm->rank == 0) status = improve(w, z, genes, K);
        status = cz_comm_broadcast(comm, status, w, size * sizeof *w);
    }
    if (!status) status = multiply(&job, comm, pool);
    if (status) goto done;
    if (comm->rank == 0) status = rayleigh_ritz(model, w, z, K);
    status = cz_comm_broadcast(comm, status, model->loading, kept * sizeof(double));
    status = cz_comm_broadcast(comm, status, model->singular,
                               (size_t)model->components * sizeof(double));
done:
    free(w);
    free(z);
    return status;
}
