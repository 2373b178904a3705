#include "counts_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void cz_csr_free(cz_csr *counts)
{
    free(counts->begin);
    free(counts->gene);
    free(counts->count);
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

void log_matrix_free(log_matrix *logs)
{
    free(logs->begin);
    free(logs->gene);
    free(logs->value);
    *logs = (log_matrix){0};
}

cz_status cz_counts_check(const cz_csr *counts, int first, const char *source)
{
    for (int i = 0; i < counts->rows; i++) {
        for (int64_t k = counts->begin[i]; k < counts->begin[i + 1]; k++) {
            float v = counts->count[k];
            const char *what = !isfinite(v)     ? "is not finite: the file is damaged"
                               : v < 0          ? "is negative: this is no matrix of counts"
                               : v != floorf(v) ? "is not whole: the matrix looks already "
                                                  "normalised. Name one of raw counts in "
                                                  "data.matrix (raw, or layer:NAME)"
                                                : NULL;
            if (what)
                return cz_fail(CZ_ERR_INPUT, "%s: %g in cell %d, gene %d (from 0) %s", source,
                               (double)v, first + i, counts->gene[k], what);
        }
    }
    return CZ_OK;
}

double *row_factors(const cz_csr *counts, double target_sum)
{
    double *factor = cz_alloc((size_t)counts->rows, sizeof *factor, "the sums of counts");
    for (int i = 0; factor && i < counts->rows; i++) {
        double sum = 0;
        for (int64_t k = counts->begin[i]; k < counts->begin[i + 1]; k++) sum += counts->count[k];
        factor[i] = sum > 0 ? target_sum / sum : 0;
    }
    return factor;
}

typedef struct log_work {
    log_matrix *logs;
    const cz_csr *counts;
    const int32_t *column; /* (counts->genes) place among the kept genes, -1 = left out */
    const double *factor;
    int threads;
} log_work;

static cz_status fill_logs(void *context, int thread)
{
    const log_work *work = context;
    const cz_csr *counts = work->counts;
    int64_t rows = counts->rows;
    int end = (int)(rows * (thread + 1) / work->threads);
    for (int i = (int)(rows * thread / work->threads); i < end; i++) {
        int64_t at = work->logs->begin[i];
        for (int64_t k = counts->begin[i]; k < counts->begin[i + 1]; k++) {
            int32_t column = work->column[counts->gene[k]];
            if (column < 0) continue;
            work->logs->gene[at] = column;
            work->logs->value[at++] = log1p(counts->count[k] * work->factor[i]);
        }
    }
    return CZ_OK;
}

cz_status log_matrix_make(log_matrix *logs, const cz_csr *counts, const int32_t *gene, int genes,
                          double target_sum, cz_pool *pool)
{
    cz_status status = CZ_ERR_MEMORY;
    double *factor = row_factors(counts, target_sum);
    int32_t *column = cz_alloc((size_t)counts->genes, sizeof *column, "the variable genes");
    *logs = (log_matrix){.rows = counts->rows, .genes = genes};
    logs->begin = cz_alloc((size_t)counts->rows + 1, sizeof *logs->begin, "the rows of counts");
    if (!factor || !column || !logs->begin) goto done;

    for (int g = 0; g < counts->genes; g++) column[g] = -1;
    for (int g = 0; g < genes; g++) column[gene[g]] = g;
    for (int i = 0; i < counts->rows; i++) {
        int64_t kept = 0;
        for (int64_t k = counts->begin[i]; k < counts->begin[i + 1]; k++)
            kept += column[counts->gene[k]] >= 0;
        logs->begin[i + 1] = logs->begin[i] + kept;
    }
    size_t entries = (size_t)logs->begin[counts->rows];
    logs->gene = cz_alloc(entries, sizeof *logs->gene, "the counts of variable genes");
    logs->value = cz_alloc(entries, sizeof *logs->value, "the counts of variable genes");
    if (!logs->gene || !logs->value) goto done;
    log_work work = {logs, counts, column, factor, cz_pool_threads(pool)};
    status = cz_pool_run(pool, fill_logs, &work);
done:
    free(factor);
    free(column);
    if (status) log_matrix_free(logs);
    return status;
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

/* The model's genes; all of them where no more are there than wanted. */
static cz_status choose_genes(cz_counts_model *model, const cz_csr *counts, const uint8_t *train,
                              int want, int64_t cells, const cz_comm *comm)
{
    int genes = counts->genes;
    model->genes = genes;
    model->selected = genes < want ? genes : want;
    model->gene = cz_alloc((size_t)model->selected, sizeof *model->gene, "the variable genes");
    double *mean = cz_alloc((size_t)genes, sizeof *mean, "the means of genes");
    double *variance = cz_alloc((size_t)genes, sizeof *variance, "the variances of genes");
    double *factor = row_factors(counts, model->target_sum);
    cz_status status = model->gene && mean && variance && factor ? CZ_OK : CZ_ERR_MEMORY;
    status = cz_comm_agree(comm, status);
    if (status) goto done;

    if (model->selected == genes) {
        for (int g = 0; g < genes; g++) model->gene[g] = g;
        goto done;
    }
    gene_values values = {counts->rows,  genes,  counts->begin, counts->gene,
                          counts->count, factor, NULL,          train};
    status = gene_moments(mean, variance, &values, cells, comm);
    if (!status)
        status = cz_comm_agree(comm,
                               variable_genes(model->gene, model->selected, mean, variance, genes));
done:
    free(mean);
    free(variance);
    free(factor);
    return status;
}

cz_status cz_counts_fit(cz_counts_model *model, const cz_csr *counts, const uint8_t *train,
                        double target_sum, int variable_genes, int components, int64_t seed,
                        const cz_comm *comm, cz_pool *pool)
{
    *model = (cz_counts_model){.target_sum = target_sum};
    log_matrix logs = {0};
    double *variance = NULL;
    int64_t cells = 0;
    cz_status status = count_cells(&cells, train, counts->rows, comm);
    if (!status) status = choose_genes(model, counts, train, variable_genes, cells, comm);
    if (status) goto done;

    size_t genes = (size_t)model->selected;
    status = log_matrix_make(&logs, counts, model->gene, model->selected, target_sum, pool);
    model->mean = cz_alloc(genes, sizeof *model->mean, "the means of genes");
    variance = cz_alloc(genes, sizeof *variance, "the variances of genes");
    if (!model->mean || !variance) status = CZ_ERR_MEMORY;
    status = cz_comm_agree(comm, status);
    if (status) goto done;

    gene_values values = {logs.rows, logs.genes, logs.begin, logs.gene,
                          NULL,      NULL,       logs.value, train};
    status = gene_moments(model->mean, variance, &values, cells, comm);
    if (status) goto done;
    double total = 0;
    for (size_t g = 0; g < genes; g++) total += variance[g] * (double)(cells - 1);
    if (total <= 0) {
        status = cz_fail(CZ_ERR_INPUT, "the counts of the %lld training cells do not vary",
                         (long long)cells);
        goto done;
    }
    int64_t possible = cells - 1 < model->selected ? cells - 1 : model->selected;
    model->components = components < possible ? components : (int)possible;
    status = counts_svd(model, &logs, train, total, cells, seed, comm, pool);
    if (status) goto done;
    double kept = 0;
    for (int k = 0; k < model->components; k++) kept += model->singular[k] * model->singular[k];
    model->scale = sqrt(kept / ((double)cells * model->components));
    model->explained = kept / total;
done:
    free(variance);
    log_matrix_free(&logs);
    if (status) cz_counts_model_free(model);
    return status;
}

cz_status cz_counts_project(float *x, int width, const cz_counts_model *model, const cz_csr *counts,
                            cz_pool *pool)
{
    int K = model->components;
    if (counts->genes != model->genes || width < K)
        return cz_fail(CZ_ERR_BUG, "%d genes and %d columns for a model of %d genes, %d components",
                       counts->genes, width, model->genes, K);
    log_matrix logs = {0};
    CZ_TRY(log_matrix_make(&logs, counts, model->gene, model->selected, model->target_sum, pool));
    cz_status status = log_matrix_times(x, width, &logs, model->mean, model->loading, K, pool);
    if (status) goto done;
    for (int i = 0; i < counts->rows; i++) {
        float *row = x + (size_t)i * (size_t)width;
        for (int k = 0; k < K; k++) row[k] = (float)(row[k] / model->scale);
        for (int k = K; k < width; k++) row[k] = 0;
    }
done:
    log_matrix_free(&logs);
    return status;
}
