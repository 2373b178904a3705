/* Randomised SVD of the centred training cells, for more genes than a Gram matrix can hold. With
 * A their logs less the means (N x G, never formed), W (G x K) is improved by W <- orth(A' A W),
 * which needs one walk over the sparse rows a step and no matrix of N rows; Rayleigh-Ritz on the
 * last W then gives the singular values and vectors. Rank 0 does the small dense algebra, and
 * all take its result: LAPACK's bits differ between kinds of processors. */
#include "counts_private.h"

#include "czhpc/profile.h"
#include "czhpc/rng.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps, and columns beside a quarter more than wanted. Halko, Martinsson & Tropp 2011 find 1 or
 * 2 steps and 5 to 10 columns enough where singular values fall; those of cells fall slowly. */
enum { STEPS = 8, EXTRA = 16 };

cz_status sum_over_ranks(double *sum, size_t size, const cz_comm *comm)
{
    /* In blocks: MPI takes as much memory again. */
    const size_t block = (size_t)1 << 20;
    for (size_t at = 0; at < size; at += block) {
        int count = (int)(size - at < block ? size - at : block);
        if (MPI_Allreduce(MPI_IN_PLACE, sum + at, count, MPI_DOUBLE, MPI_SUM, comm->mpi))
            return cz_fail(CZ_ERR_MPI, "MPI_Allreduce of the components failed");
    }
    return CZ_OK;
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

void take_components(cz_counts_model *model, const double *lambda)
{
    int genes = model->selected, K = model->components;
    for (int k = 0; k < K / 2; k++) /* ascending to descending */
        cblas_dswap(genes, model->loading + (size_t)k * (size_t)genes, 1,
                    model->loading + (size_t)(K - 1 - k) * (size_t)genes, 1);
    for (int k = 0; k < K; k++) {
        model->singular[k] = sqrt(fmax(lambda[K - 1 - k], 0));
        fix_sign(model->loading + (size_t)k * (size_t)genes, genes);
    }
}

cz_status share_components(cz_counts_model *model, cz_status status, const cz_comm *comm)
{
    size_t K = (size_t)model->components;
    status = cz_comm_broadcast(comm, status, model->loading,
                               K * (size_t)model->selected * sizeof *model->loading);
    return cz_comm_broadcast(comm, status, model->singular, K * sizeof *model->singular);
}

/* z = A' A w over the training rows of all ranks. A' y needs no centring of its own: the
 * entries of y = A w sum to 0 over the cells. */
static cz_status multiply(double *z, const svd_input *input, const double *w, int K, double grid)
{
    CZ_TRY(cz_comm_agree(input->comm, log_square_times(z, input, w, K, grid)));
    return sum_over_ranks(z, (size_t)K * (size_t)input->counts->genes, input->comm);
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

/* Normal entries, orthonormal columns. */
static cz_status first_basis(double *w, int genes, int K, int64_t seed)
{
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
    take_components(model, lambda);
    status = CZ_OK;
done:
    free(c);
    free(u);
    free(lambda);
    free(support);
    return status;
}

cz_status svd_by_iteration(cz_counts_model *model, const svd_input *input)
{
    CZ_PHASE("SVD");
    const cz_comm *comm = input->comm;
    int genes = model->selected, K = model->components + model->components / 4 + EXTRA;
    if (K > genes) K = genes;
    size_t size = (size_t)K * (size_t)genes;
    double *w = cz_alloc(size, sizeof *w, "the components");
    double *z = cz_alloc(size, sizeof *z, "the components");
    cz_status status = cz_comm_agree(comm, w && z ? CZ_OK : CZ_ERR_MEMORY);
    if (status) goto done;

    /* No entry of A'A W exceeds |column of A, not centred| |A w|. */
    double grid = sum_grid(sqrt((double)input->cells) * input->largest * sqrt(input->total));
    if (comm->rank == 0) status = first_basis(w, genes, K, input->seed);
    status = cz_comm_broadcast(comm, status, w, size * sizeof *w);
    for (int step = 0; !status && step < STEPS; step++) {
        status = multiply(z, input, w, K, grid);
        if (status) break;
        if (comm->rank == 0) status = improve(w, z, genes, K);
        status = cz_comm_broadcast(comm, status, w, size * sizeof *w);
    }
    if (!status) status = multiply(z, input, w, K, grid);
    if (status) goto done;
    if (comm->rank == 0) status = rayleigh_ritz(model, w, z, K);
    status = share_components(model, status, comm);
done:
    free(w);
    free(z);
    return status;
}

/* Rank 0's: it alone holds the whole Gram matrix. */
size_t cz_counts_bytes(int rows, int genes, int selected, int components, int threads)
{
    size_t side = (size_t)selected, K = (size_t)components;
    size_t factor = (size_t)rows * sizeof(double);
    size_t loading = K * side * sizeof(double);
    size_t sums = 3 * (size_t)threads * (size_t)genes * sizeof(double);
    size_t adding = products_bytes(selected, threads), full = side * side * sizeof(double);
    size_t gram = packed_size(selected) * sizeof(double) + (adding > full ? adding : full);
    size_t wider = (K + K / 4 + EXTRA) * side * sizeof(double);
    size_t components_bytes = selected <= GRAM_GENES ? gram : 4 * wider;
    return factor + loading + (sums > components_bytes ? sums : components_bytes);
}
