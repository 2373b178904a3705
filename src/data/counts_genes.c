#include "counts_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double sum_grid(double bound)
{
    if (!(bound > 0)) return 0;
    int exponent;
    frexp(bound, &exponent); /* bound < 2^exponent */
    return ldexp(1.5, exponent - 51 + 52);
}

static double value_at(const gene_values *values, int row, int64_t entry)
{
    return values->count ? values->count[entry] * values->factor[row] : values->log[entry];
}

static cz_status all_sum(double *sum, int count, MPI_Op op, const cz_comm *comm)
{
    if (MPI_Allreduce(MPI_IN_PLACE, sum, count, MPI_DOUBLE, op, comm->mpi))
        return cz_fail(CZ_ERR_MPI, "MPI_Allreduce over the genes failed");
    return CZ_OK;
}

/* sum[g] += f(values of g) over this rank's training entries, each rounded to grid[g]: the
 * values themselves, or where `mean` is given the squares of their distance from it. */
static void add_entries(double *sum, const gene_values *values, const double *grid,
                        const double *mean)
{
    for (int i = 0; i < values->rows; i++) {
        if (!values->train[i]) continue;
        for (int64_t k = values->begin[i]; k < values->begin[i + 1]; k++) {
            int g = values->gene[k];
            double v = value_at(values, i, k);
            if (mean) v = (v - mean[g]) * (v - mean[g]);
            sum[g] += (v + grid[g]) - grid[g];
        }
    }
}

cz_status gene_moments(double *mean, double *variance, const gene_values *values, int64_t cells,
                       const cz_comm *comm)
{
    int genes = values->genes;
    size_t size = (size_t)genes * sizeof(double);
    double *largest = cz_alloc((size_t)genes, sizeof *largest, "the sums of genes");
    double *seen = cz_alloc((size_t)genes, sizeof *seen, "the sums of genes");
    double *grid = cz_alloc((size_t)genes, sizeof *grid, "the sums of genes");
    cz_status status = cz_comm_agree(comm, largest && seen && grid ? CZ_OK : CZ_ERR_MEMORY);
    if (status) goto done;

    for (int i = 0; i < values->rows; i++) {
        if (!values->train[i]) continue;
        for (int64_t k = values->begin[i]; k < values->begin[i + 1]; k++) {
            int g = values->gene[k];
            largest[g] = fmax(largest[g], value_at(values, i, k));
            seen[g] += 1;
        }
    }
    status = all_sum(largest, genes, MPI_MAX, comm);
    if (!status) status = all_sum(seen, genes, MPI_SUM, comm);
    if (status) goto done;

    for (int g = 0; g < genes; g++) grid[g] = sum_grid((double)cells * largest[g]);
    memset(mean, 0, size);
    add_entries(mean, values, grid, NULL);
    status = all_sum(mean, genes, MPI_SUM, comm);
    if (status) goto done;
    for (int g = 0; g < genes; g++) mean[g] /= (double)cells;

    /* Two passes: the mean of squares less the squared mean cancels. Cells without the gene
     * are as many as are not seen, each mean^2 away. */
    for (int g = 0; g < genes; g++) grid[g] = sum_grid((double)cells * largest[g] * largest[g]);
    memset(variance, 0, size);
    add_entries(variance, values, grid, mean);
    status = all_sum(variance, genes, MPI_SUM, comm);
    for (int g = 0; g < genes; g++)
        variance[g] =
            (variance[g] + ((double)cells - seen[g]) * mean[g] * mean[g]) / (double)(cells - 1);
done:
    free(largest);
    free(seen);
    free(grid);
    return status;
}

enum { BINS = 20 };

typedef struct ranked {
    double score;
    int32_t gene;
} ranked;

/* Highest score first, the earlier gene where equal; genes that never vary (NAN) last. */
static int by_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    int no_x = isnan(x->score), no_y = isnan(y->score);
    if (no_x != no_y) return no_x - no_y;
    if (!no_x && x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->gene > y->gene) - (x->gene < y->gene);
}

static int by_gene(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The bin of `mean` among BINS equal ones of [low, high], closed above, the first below too. */
static int bin_of(double mean, double low, double high)
{
    double step = (high - low) / BINS;
    int bin = 0;
    while (bin < BINS - 1 && mean > low + step * (bin + 1)) bin++;
    return bin;
}

cz_status variable_genes(int32_t *selected, int want, const double *mean, const double *variance,
                         int genes)
{
    ranked *rank = cz_alloc((size_t)genes, sizeof *rank, "the dispersions of genes");
    if (!rank) return CZ_ERR_MEMORY;
    double low = INFINITY, high = -INFINITY;
    double count[BINS] = {0}, centre[BINS] = {0}, spread[BINS] = {0};
    for (int g = 0; g < genes; g++) {
        double m = log1p(mean[g]);
        low = fmin(low, m);
        high = fmax(high, m);
    }
    /* log(variance / mean), standardised among genes of like mean. */
    for (int g = 0; g < genes; g++) {
        double dispersion = mean[g] > 0 ? variance[g] / mean[g] : 0;
        rank[g] = (ranked){dispersion > 0 ? log(dispersion) : NAN, g};
        if (isnan(rank[g].score)) continue;
        int bin = bin_of(log1p(mean[g]), low, high);
        count[bin]++;
        centre[bin] += rank[g].score;
    }
    for (int b = 0; b < BINS; b++)
        if (count[b] > 0) centre[b] /= count[b];
    for (int g = 0; g < genes; g++) {
        if (isnan(rank[g].score)) continue;
        int bin = bin_of(log1p(mean[g]), low, high);
        spread[bin] += (rank[g].score - centre[bin]) * (rank[g].score - centre[bin]);
    }
    for (int g = 0; g < genes; g++) {
        if (isnan(rank[g].score)) continue;
        int bin = bin_of(log1p(mean[g]), low, high);
        /* A gene alone in its bin has nothing to be compared with: 1 by definition. */
        rank[g].score = count[bin] < 2
                            ? 1
                            : (rank[g].score - centre[bin]) / sqrt(spread[bin] / (count[bin] - 1));
    }
    qsort(rank, (size_t)genes, sizeof *rank, by_score);
    for (int i = 0; i < want; i++) selected[i] = rank[i].gene;
    qsort(selected, (size_t)want, sizeof *selected, by_gene);
    free(rank);
    return CZ_OK;
}
