#include "counts_private.h"

#include "czhpc/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void cz_csr_free(cz_csr *counts)
{
    free(counts->begin);
    free(counts->gene);
    free(counts->count);
    free(counts->factor);
    *counts = (cz_csr){0};
}

void cz_counts_model_free(cz_counts_model *model)
{
    for (int i = 0; model->gene_name && i < model->selected; i++) free(model->gene_name[i]);
    free(model->gene_name);
    free(model->gene);
    free(model->mean);
    free(model->loading);
    free(model->singular);
    *model = (cz_counts_model){0};
}

cz_status counts_normalise(cz_csr *counts, double target_sum)
{
    counts->factor = cz_alloc((size_t)counts->rows, sizeof *counts->factor, "the sums of counts");
    if (!counts->factor) return CZ_ERR_MEMORY;
    for (int i = 0; i < counts->rows; i++) {
        double sum = 0;
        for (int64_t k = counts->begin[i]; k < counts->begin[i + 1]; k++) sum += counts->count[k];
        counts->factor[i] = sum > 0 ? target_sum / sum : 0;
    }
    return CZ_OK;
}

/* Gives back what lies beyond `entries`; where that cannot be done, it stays. */
static void shrink(void **array, int64_t entries, size_t size)
{
    void *smaller = realloc(*array, (size_t)(entries ? entries : 1) * size);
    if (smaller) *array = smaller;
}

cz_status counts_narrow(cz_csr *counts, const int32_t *gene, int selected)
{
    if (selected == counts->genes) return CZ_OK;
    int32_t *place = cz_alloc((size_t)counts->genes, sizeof *place, "the variable genes");
    if (!place) return CZ_ERR_MEMORY;
    for (int g = 0; g < counts->genes; g++) place[g] = -1;
    for (int g = 0; g < selected; g++) place[gene[g]] = g;
    int64_t kept = 0, first = 0;
    for (int i = 0; i < counts->rows; i++) {
        int64_t next = counts->begin[i + 1];
        for (int64_t k = first; k < next; k++) {
            int32_t column = place[counts->gene[k]];
            counts->gene[kept] = column;
            counts->count[kept] = counts->count[k];
            kept += column >= 0; /* without a branch: which genes stay is as good as random */
        }
        first = next;
        counts->begin[i + 1] = kept;
    }
    free(place);
    counts->genes = selected;
    shrink((void **)&counts->gene, kept, sizeof *counts->gene);
    shrink((void **)&counts->count, kept, sizeof *counts->count);
    return CZ_OK;
}

/* Training rows of all ranks. */
static cz_status count_cells(int64_t *cells, const uint8_t *train, int rows, const cz_comm *comm)
{
    int64_t mine = 0;
    for (int i = 0; i < rows; i++) mine += train[i] != 0;
    if (MPI_Allreduce(&mine, cells, 1, MPI_INT64_T, MPI_SUM, comm->mpi))
        return cz_fail(CZ_ERR_MPI, "MPI_Allreduce of the number of training cells failed");
    if (*cells < 2)
        return cz_fail(CZ_ERR_INPUT,
                       "%lld training cells are too few to fit genes and components: "
                       "raise split.train or give more cells",
                       (long long)*cells);
    return CZ_OK;
}

/* The model's genes; all of them where no more are there than wanted. Normalises and narrows. */
static cz_status choose_genes(cz_counts_model *model, cz_csr *counts, const uint8_t *train,
                              int want, int64_t cells, const cz_comm *comm, cz_pool *pool)
{
    CZ_PHASE("variable genes");
    int genes = counts->genes;
    model->genes = genes;
    model->selected = genes < want ? genes : want;
    model->gene = cz_alloc((size_t)model->selected, sizeof *model->gene, "the variable genes");
    double *mean = cz_alloc((size_t)genes, sizeof *mean, "the means of genes");
    double *variance = cz_alloc((size_t)genes, sizeof *variance, "the variances of genes");
    cz_status status = model->gene && mean && variance ? counts_normalise(counts, model->target_sum)
                                                       : CZ_ERR_MEMORY;
    status = cz_comm_agree(comm, status);
    if (status) goto done;

    if (model->selected == genes) {
        for (int g = 0; g < genes; g++) model->gene[g] = g;
        goto done;
    }
    status = gene_moments(mean, variance, counts, train, cells, comm, pool);
    if (status) goto done;
    status = variable_genes(model->gene, model->selected, mean, variance, genes);
    if (!status) status = counts_narrow(counts, model->gene, model->selected);
    status = cz_comm_agree(comm, status);
done:
    free(mean);
    free(variance);
    return status;
}

/* Means and components of the chosen genes. */
static cz_status fit_components(cz_counts_model *model, svd_input *input, int components)
{
    int64_t cells = input->cells;
    int64_t possible = cells - 1 < model->selected ? cells - 1 : model->selected;
    model->components = components < possible ? components : (int)possible;
    size_t genes = (size_t)model->selected, K = (size_t)model->components;
    model->mean = cz_alloc(genes, sizeof *model->mean, "the means of genes");
    model->loading = cz_alloc(K * genes, sizeof *model->loading, "the loadings");
    model->singular = cz_alloc(K, sizeof *model->singular, "the loadings");
    bool room = model->mean && model->loading && model->singular;
    CZ_TRY(cz_comm_agree(input->comm, room ? CZ_OK : CZ_ERR_MEMORY));
    CZ_TRY(log_means(model->mean, &input->total, input->counts, input->train, cells, input->largest,
                     input->comm, input->pool));
    if (input->total <= 0)
        return cz_fail(CZ_ERR_INPUT, "the counts of the %lld training cells do not vary",
                       (long long)cells);
    input->mean = model->mean;
    CZ_TRY(model->selected <= GRAM_GENES ? svd_by_gram(model, input)
                                         : svd_by_iteration(model, input));
    double kept = 0;
    for (size_t k = 0; k < K; k++) kept += model->singular[k] * model->singular[k];
    model->scale = sqrt(kept / ((double)cells * (double)K));
    model->explained = kept / input->total;
    return CZ_OK;
}

cz_status cz_counts_fit(cz_counts_model *model, cz_csr *counts, const uint8_t *train,
                        double target_sum, int variable_genes, int components, int64_t seed,
                        const cz_comm *comm, cz_pool *pool)
{
    *model = (cz_counts_model){.target_sum = target_sum};
    if (counts->factor) return cz_fail(CZ_ERR_BUG, "a model is fitted on narrowed counts");
    svd_input input = {.counts = counts,
                       .train = train,
                       .largest = log1p(target_sum), /* that of a cell with one gene alone */
                       .seed = seed,
                       .comm = comm,
                       .pool = pool};
    cz_status status = count_cells(&input.cells, train, counts->rows, comm);
    if (!status)
        status = choose_genes(model, counts, train, variable_genes, input.cells, comm, pool);
    if (!status) status = fit_components(model, &input, components);
    if (status) cz_counts_model_free(model);
    return status;
}

cz_status cz_counts_project(float *x, int width, const cz_counts_model *model, cz_csr *counts,
                            cz_pool *pool)
{
    CZ_PHASE("project");
    int K = model->components, genes = counts->factor ? model->selected : model->genes;
    if (counts->genes != genes || width < K)
        return cz_fail(CZ_ERR_BUG, "%d genes and %d columns for a model of %d genes, %d components",
                       counts->genes, width, genes, K);
    if (!counts->factor) {
        CZ_TRY(counts_normalise(counts, model->target_sum));
        CZ_TRY(counts_narrow(counts, model->gene, model->selected));
    }
    CZ_TRY(log_times(x, width, counts, model->mean, model->loading, K, pool));
    for (int i = 0; i < counts->rows; i++) {
        float *row = x + (size_t)i * (size_t)width;
        for (int k = 0; k < K; k++) row[k] = (float)(row[k] / model->scale);
        for (int k = K; k < width; k++) row[k] = 0;
    }
    return CZ_OK;
}
