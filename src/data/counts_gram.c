/* Components by the genes' Gram matrix C = A'A of the training rows, A their logs. Rank 0 subtracts
 * the means and takes LAPACK's eigenvectors, and all take its result: LAPACK's bits differ
 * between kinds of processors. */
#include "counts_private.h"

#include "czhpc/profile.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

/* Eigenvectors of C - cells mean mean', largest first. */
static cz_status eigenvectors(cz_counts_model *model, double *sum, const svd_input *input)
{
    int genes = model->selected, K = model->components, found = 0;
    size_t side = (size_t)genes;
    double *full = cz_alloc(side * side, sizeof *full, "the products of genes");
    double *lambda = cz_alloc(side, sizeof *lambda, "the components");
    lapack_int *support = cz_alloc(2 * side, sizeof *support, "the components");
    cz_status status = full && lambda && support ? CZ_OK : CZ_ERR_MEMORY;
    if (status) goto done;

    for (int i = 0; i < genes; i++) {
        const double *row = packed_row(sum, genes, i);
        for (int j = i; j < genes; j++)
            full[(size_t)i * side + (size_t)j] =
                row[j] - (double)input->cells * model->mean[i] * model->mean[j];
    }
    if (LAPACKE_dsyevr(LAPACK_COL_MAJOR, 'V', 'I', 'L', genes, full, genes, 0, 0, genes - K + 1,
                       genes, 0, &found, lambda, model->loading, genes, support) ||
        found != K) {
        status = cz_fail(CZ_ERR_BUG, "LAPACK found %d of %d eigenvectors", found, K);
        goto done;
    }
    take_components(model, lambda);
done:
    free(full);
    free(lambda);
    free(support);
    return status;
}

cz_status svd_by_gram(cz_counts_model *model, const svd_input *input)
{
    CZ_PHASE("SVD");
    const cz_comm *comm = input->comm;
    size_t size = packed_size(model->selected);
    double *sum = cz_alloc(size, sizeof *sum, "the products of genes");
    cz_status status = sum ? CZ_OK : CZ_ERR_MEMORY;
    if (!status) status = sum_products(sum, input, products_by_columns(input->counts));
    status = cz_comm_agree(comm, status);
    if (!status) status = sum_over_ranks(sum, size, comm);
    if (status) goto done;
    if (comm->rank == 0) status = eigenvectors(model, sum, input);
    status = share_components(model, status, comm);
done:
    free(sum);
    return status;
}
