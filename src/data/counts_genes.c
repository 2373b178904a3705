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

/* A walk over training rows that adds to two numbers for each gene. */
typedef struct gene_walk gene_walk;
typedef void (*gene_pass)(double *a, double *b, const gene_walk *walk, int row, double *scratch);
struct gene_walk {
    const cz_csr *counts;
    const uint8_t *train;
    const double *grid, *mean; /* (genes), as the pass wants them */
    double grid_a, grid_b;     /* likewise */
    gene_pass pass;
    int threads;
    double *part; /* (threads, 3, genes): a, b, scratch */
};

static cz_status walk_share(void *context, int thread)
{
    const gene_walk *walk = context;
    const cz_csr *counts = walk->counts;
    double *a = walk->part + 3 * (size_t)thread * (size_t)counts->genes, *b = a + counts->genes;
    int end = (int)((int64_t)counts->rows * (thread + 1) / walk->threads);
    for (int i = (int)((int64_t)counts->rows * thread / walk->threads); i < end; i++)
        if (walk->train[i]) walk->pass(a, b, walk, i, b + counts->genes);
    return CZ_OK;
}

static cz_status over_ranks(double *sum, int count, MPI_Op op, const cz_comm *comm)
{
    if (MPI_Allreduce(MPI_IN_PLACE, sum, count, MPI_DOUBLE, op, comm->mpi))
        return cz_fail(CZ_ERR_MPI, "MPI_Allreduce over the genes failed");
    return CZ_OK;
}

/* a, b (genes) of `pass` over the training rows of all ranks; a is summed, or with MPI_MAX the
 * largest is taken; b is summed, NULL: not wanted. Sums have to be exact. Collective. */
static cz_status walk_genes(double *a, double *b, gene_pass pass, MPI_Op op, gene_walk *walk,
                            const cz_comm *comm, cz_pool *pool)
{
    int genes = walk->counts->genes;
    size_t share = 3 * (size_t)genes;
    walk->pass = pass;
    walk->threads = cz_pool_threads(pool);
    walk->part = cz_alloc((size_t)walk->threads * share, sizeof(double), "the sums of genes");
    cz_status status = cz_comm_agree(comm, walk->part ? CZ_OK : CZ_ERR_MEMORY);
    if (status) goto done;
    status = cz_comm_agree(comm, cz_pool_run(pool, walk_share, walk));
    if (status) goto done;
    memcpy(a, walk->part, (size_t)genes * sizeof *a);
    if (b) memcpy(b, walk->part + genes, (size_t)genes * sizeof *b);
    for (int t = 1; t < walk->threads; t++) {
        const double *part = walk->part + (size_t)t * share;
        for (int g = 0; g < genes; g++) {
            a[g] = op == MPI_MAX ? fmax(a[g], part[g]) : a[g] + part[g];
            if (b) b[g] += part[genes + g];
        }
    }
    status = over_ranks(a, genes, op, comm);
    if (!status && b) status = over_ranks(b, genes, MPI_SUM, comm);
done:
    free(walk->part);
    walk->part = NULL;
    return status;
}

/* a: the largest normalised count; b: the cells that have the gene. */
static void find_largest(double *a, double *b, const gene_walk *walk, int row, double *scratch)
{
    const cz_csr *counts = walk->counts;
    (void)scratch;
    for (int64_t k = counts->begin[row]; k < counts->begin[row + 1]; k++) {
        int g = counts->gene[k];
        double v = counts->count[k] * counts->factor[row];
        a[g] = v > a[g] ? v : a[g];
        b[g] += 1;
    }
}

static void add_values(double *a, double *b, const gene_walk *walk, int row, double *scratch)
{
    const cz_csr *counts = walk->counts;
    (void)b;
    (void)scratch;
    for (int64_t k = counts->begin[row]; k < counts->begin[row + 1]; k++) {
        int g = counts->gene[k];
        a[g] += (counts->count[k] * counts->factor[row] + walk->grid[g]) - walk->grid[g];
    }
}

static void add_squares(double *a, double *b, const gene_walk *walk, int row, double *scratch)
{
    const cz_csr *counts = walk->counts;
    (void)b;
    (void)scratch;
    for (int64_t k = counts->begin[row]; k < counts->begin[row + 1]; k++) {
        int g = counts->gene[k];
        double v = counts->count[k] * counts->factor[row] - walk->mean[g];
        a[g] += (v * v + walk->grid[g]) - walk->grid[g];
    }
}

cz_status gene_moments(double *mean, double *variance, const cz_csr *counts, const uint8_t *train,
                       int64_t cells, const cz_comm *comm, cz_pool *pool)
{
    int genes = counts->genes;
    double *largest = cz_alloc((size_t)genes, sizeof *largest, "the sums of genes");
    double *seen = cz_alloc((size_t)genes, sizeof *seen, "the sums of genes");
    double *grid = cz_alloc((size_t)genes, sizeof *grid, "the sums of genes");
    gene_walk walk = {.counts = counts, .train = train, .grid = grid, .mean = mean};
    cz_status status = cz_comm_agree(comm, largest && seen && grid ? CZ_OK : CZ_ERR_MEMORY);
    if (!status) status = walk_genes(largest, seen, find_largest, MPI_MAX, &walk, comm, pool);
    if (status) goto done;

    for (int g = 0; g < genes; g++) grid[g] = sum_grid((double)cells * largest[g]);
    status = walk_genes(mean, NULL, add_values, MPI_SUM, &walk, comm, pool);
    if (status) goto done;
    for (int g = 0; g < genes; g++) mean[g] /= (double)cells;

    /* Two passes: the mean of squares less the squared mean cancels. Cells without the gene
     * are as many as are not seen, each mean^2 away. */
    for (int g = 0; g < genes; g++) grid[g] = sum_grid((double)cells * largest[g] * largest[g]);
    status = walk_genes(variance, NULL, add_squares, MPI_SUM, &walk, comm, pool);
    for (int g = 0; g < genes; g++)
        variance[g] =
            (variance[g] + ((double)cells - seen[g]) * mean[g] * mean[g]) / (double)(cells - 1);
done:
    free(largest);
    free(seen);
    free(grid);
    return status;
}

/* a: sums of the logs, b: of their squares. */
static void add_logs(double *a, double *b, const gene_walk *walk, int row, double *scratch)
{
    const cz_csr *counts = walk->counts;
    int64_t first = counts->begin[row];
    log_values(scratch, counts, row, row + 1);
    for (int64_t k = first; k < counts->begin[row + 1]; k++) {
        double v = scratch[k - first];
        int g = counts->gene[k];
        a[g] += (v + walk->grid_a) - walk->grid_a;
        b[g] += (v * v + walk->grid_b) - walk->grid_b;
    }
}

cz_status log_means(double *mean, double *total, const cz_csr *counts, const uint8_t *train,
                    int64_t cells, double largest, const cz_comm *comm, cz_pool *pool)
{
    double n = (double)cells;
    double *squares = cz_alloc((size_t)counts->genes, sizeof *squares, "the sums of genes");
    gene_walk walk = {.counts = counts,
                      .train = train,
                      .grid_a = sum_grid(n * largest),
                      .grid_b = sum_grid(n * largest * largest)};
    cz_status status = cz_comm_agree(comm, squares ? CZ_OK : CZ_ERR_MEMORY);
    if (!status) status = walk_genes(mean, squares, add_logs, MPI_SUM, &walk, comm, pool);
    double all = 0;
    *total = 0;
    for (int g = 0; g < counts->genes && !status; g++) {
        mean[g] /= n;
        all += squares[g];
        *total += squares[g] - n * mean[g] * mean[g];
    }
    if (*total < 1e-12 * all) *total = 0; /* rounding, no variance */
    free(squares);
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
