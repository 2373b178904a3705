/* Counts to features against NumPy, SciPy and Scanpy, and the same bits on any number of ranks. */
#include "../src/data/counts_private.h"
#include "check.h"
#include "czhpc/h5_read.h"

#include <unistd.h>

#define FIXTURE "validation/fixtures/counts.h5"
#define ONEK1K "../shared/data/onek1k.h5ad"

static hid_t fixture;

/* Any dataset of numbers as doubles, on every rank. */
static double *numbers(const char *name, int *count)
{
    hid_t dataset = H5Dopen2(fixture, name, H5P_DEFAULT), space = H5Dget_space(dataset);
    *count = (int)H5Sget_simple_extent_npoints(space);
    double *values = malloc((size_t)*count * sizeof *values);
    H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Sclose(space);
    H5Dclose(dataset);
    return values;
}

/* Rows [begin, end) of a CSR matrix whose parts are datasets under `place` of `file`. */
static cz_csr read_csr(hid_t file, const char *place, int genes, int begin, int end)
{
    char name[64];
    cz_csr counts = {.rows = end - begin, .genes = genes};
    counts.begin = malloc(((size_t)counts.rows + 1) * sizeof *counts.begin);
    snprintf(name, sizeof name, "%s/indptr", place);
    cz_h5_rows(counts.begin, H5T_NATIVE_INT64, begin, counts.rows + 1, file, name);
    int64_t first = counts.begin[0], entries = counts.begin[counts.rows] - first;
    for (int i = 0; i <= counts.rows; i++) counts.begin[i] -= first;
    counts.gene = malloc((size_t)entries * sizeof *counts.gene + 1);
    counts.count = malloc((size_t)entries * sizeof *counts.count + 1);
    snprintf(name, sizeof name, "%s/indices", place);
    cz_h5_rows(counts.gene, H5T_NATIVE_INT32, first, entries, file, name);
    snprintf(name, sizeof name, "%s/data", place);
    cz_h5_rows(counts.count, H5T_NATIVE_FLOAT, first, entries, file, name);
    return counts;
}

static double gap_of(const char *group, const char *key, const double *got)
{
    char name[64];
    int count;
    snprintf(name, sizeof name, "%s/%s", group, key);
    double *expected = numbers(name, &count);
    double gap = check_distance(got, expected, (size_t)count);
    free(expected);
    return gap;
}

static bool same_genes(const char *group, const cz_counts_model *model)
{
    char name[64];
    int count;
    snprintf(name, sizeof name, "%s/gene", group);
    double *expected = numbers(name, &count);
    bool same = count == model->selected;
    for (int g = 0; g < count && same; g++) same = model->gene[g] == (int)expected[g];
    free(expected);
    return same;
}

/* The first cells' features, whose width is in the fixture. */
static double feature_gap(const char *group, const float *x, int width)
{
    char name[64];
    int count;
    snprintf(name, sizeof name, "%s/features", group);
    double *expected = numbers(name, &count), worst = 0;
    int columns = width < count / 40 ? width : count / 40;
    for (int i = 0; i < 40; i++)
        for (int k = 0; k < columns; k++)
            worst = fmax(worst, fabs(x[i * width + k] - expected[i * (count / 40) + k]));
    free(expected);
    return worst;
}

static bool same_bits(const cz_counts_model *a, const cz_counts_model *b)
{
    size_t loadings = (size_t)a->components * (size_t)a->selected;
    return a->components == b->components && a->selected == b->selected && a->scale == b->scale &&
           !memcmp(a->gene, b->gene, (size_t)a->selected * sizeof *a->gene) &&
           !memcmp(a->mean, b->mean, (size_t)a->selected * sizeof *a->mean) &&
           !memcmp(a->loading, b->loading, loadings * sizeof *a->loading) &&
           !memcmp(a->singular, b->singular, (size_t)a->components * sizeof *a->singular);
}

/* The components of a fitted model, by the way that more genes take: its loading and singular
 * become those, its explained the part of the variance. The rows are narrowed. */
static cz_status iterate(cz_counts_model *model, const cz_csr *counts, const uint8_t *train,
                         const cz_comm *comm, cz_pool *pool)
{
    svd_input input = {.counts = counts,
                       .train = train,
                       .mean = model->mean,
                       .seed = 5,
                       .largest = log1p(1e4),
                       .comm = comm,
                       .pool = pool};
    int64_t mine = 0;
    double *mean = malloc((size_t)model->selected * sizeof *mean), kept = 0;
    for (int i = 0; i < counts->rows; i++) mine += train[i];
    MPI_Allreduce(&mine, &input.cells, 1, MPI_INT64_T, MPI_SUM, comm->mpi);
    cz_status status =
        log_means(mean, &input.total, counts, train, input.cells, input.largest, comm, pool);
    if (!status) status = svd_by_iteration(model, &input);
    for (int k = 0; k < model->components; k++) kept += model->singular[k] * model->singular[k];
    model->explained = kept / input.total;
    free(mean);
    return status;
}

/* One case of the fixture: by all ranks, and by each rank alone with all the cells. */
static void check_case(const char *group, int want, int components, const cz_comm *comm,
                       const cz_comm *alone, cz_pool *pool)
{
    int n, begin, end;
    double *flags = numbers("train", &n);
    uint8_t *train = malloc((size_t)n);
    for (int i = 0; i < n; i++) train[i] = flags[i] != 0;
    begin = n * comm->rank / comm->size;
    end = n * (comm->rank + 1) / comm->size;
    cz_csr mine = read_csr(fixture, "", 150, begin, end), all = read_csr(fixture, "", 150, 0, n);
    cz_counts_model together, single;
    cz_status status =
        cz_counts_fit(&together, &mine, train + begin, 1e4, want, components, 5, comm, pool);
    cz_status other = cz_counts_fit(&single, &all, train, 1e4, want, components, 5, alone, pool);
    float *x = malloc((size_t)n * (size_t)components * sizeof *x);
    float *part = malloc(((size_t)(end - begin) * (size_t)components + 1) * sizeof *part);
    int same = !status && !other && same_bits(&together, &single);
    if (same) {
        cz_counts_project(x, components, &single, &all, pool);
        cz_counts_project(part, components, &together, &mine, pool);
        same = !memcmp(part, x + (size_t)begin * (size_t)components,
                       (size_t)(end - begin) * (size_t)components * sizeof *x);
    }
    MPI_Allreduce(MPI_IN_PLACE, &same, 1, MPI_INT, MPI_MIN, comm->mpi);
    if (comm->rank == 0) {
        check(same, "%s: the same bits on %d ranks and on one", group, comm->size);
        check(!status && same_genes(group, &together), "%s: genes as Scanpy chooses them", group);
        double mean = gap_of(group, "mean", together.mean);
        double singular = gap_of(group, "singular", together.singular);
        double loading = gap_of(group, "loading", together.loading);
        double scale = gap_of(group, "scale", &together.scale);
        double explained = gap_of(group, "explained", &together.explained);
        double features = feature_gap(group, x, components);
        check(mean < TOL_COUNTS_EXACT, "%s: means %.1e", group, mean);
        check(singular < TOL_COUNTS_EXACT, "%s: singular values %.1e", group, singular);
        check(loading < TOL_COUNTS_EXACT, "%s: loadings and their signs %.1e", group, loading);
        check(scale < TOL_COUNTS_EXACT && explained < TOL_COUNTS_EXACT,
              "%s: scale %.1e, explained %.1e", group, scale, explained);
        check(features < TOL_COUNTS_FEATURES, "%s: features %.1e", group, features);
    }
    status = iterate(&together, &mine, train + begin, comm, pool);
    other = iterate(&single, &all, train, alone, pool);
    same = !status && !other && same_bits(&together, &single);
    MPI_Allreduce(MPI_IN_PLACE, &same, 1, MPI_INT, MPI_MIN, comm->mpi);
    if (comm->rank == 0) {
        check(same, "%s, iterated: the same bits on %d ranks and on one", group, comm->size);
        double singular = gap_of(group, "singular", together.singular);
        double loading = gap_of(group, "loading", together.loading);
        check(singular < TOL_COUNTS_ITERATED, "%s, iterated: singular values %.1e", group,
              singular);
        check(loading < TOL_COUNTS_ITERATED, "%s, iterated: loadings %.1e", group, loading);
    }
    cz_counts_model_free(&together);
    cz_counts_model_free(&single);
    cz_csr_free(&mine);
    cz_csr_free(&all);
    free(flags);
    free(train);
    free(x);
    free(part);
}

/* Real cells: 64 of 1,000 components, exactly and by iteration, against all of them by LAPACK. */
static void check_real(const cz_comm *comm, cz_pool *pool)
{
    hid_t file;
    if (access(ONEK1K, R_OK)) {
        if (comm->rank == 0) check_skip("real counts: %s is not there", ONEK1K);
        return;
    }
    if (cz_h5_open_file(&file, ONEK1K)) MPI_Abort(comm->mpi, 4);
    int n = 7811, begin = n * comm->rank / comm->size, end = n * (comm->rank + 1) / comm->size;
    cz_csr counts = read_csr(file, "X", 1000, begin, end),
           again = read_csr(file, "X", 1000, begin, end);
    cz_h5_close(&file);
    uint8_t *train = malloc((size_t)(end - begin));
    for (int i = begin; i < end; i++) train[i - begin] = i % 10 < 7;
    cz_counts_model model, chosen;
    double started = MPI_Wtime();
    cz_status status = cz_counts_fit(&model, &counts, train, 1e4, 1000, 64, 0, comm, pool);
    double seconds = MPI_Wtime() - started;
    cz_status other = cz_counts_fit(&chosen, &again, train, 1e4, 300, 16, 0, comm, pool);
    double exact = 0, loading = 0, explained = 0;
    if (comm->rank == 0 && check(!status && !other, "real counts are fitted, %.2f s", seconds)) {
        exact = gap_of("onek1k", "singular", model.singular);
        loading = gap_of("onek1k", "loading", model.loading);
        explained = gap_of("onek1k", "explained", &model.explained);
        check(exact < TOL_COUNTS_EXACT, "real counts: 64 singular values %.1e", exact);
        check(loading < TOL_COUNTS_EXACT, "real counts: four loadings %.1e", loading);
        check(explained < TOL_COUNTS_EXACT, "real counts: explained variance %.1e", explained);
        check(same_genes("onek1k", &chosen), "real counts: 300 genes as Scanpy chooses them");
    }
    status = iterate(&model, &counts, train, comm, pool);
    if (comm->rank == 0 && check(!status, "real counts, iterated")) {
        int k;
        double *singular = numbers("onek1k/singular", &k);
        double half = check_distance(model.singular, singular, 16);
        double last = 1 - model.singular[63] / singular[63];
        check(half < TOL_COUNTS_FIRST, "iterated: the first 16 singular values %.1e", half);
        check(last > -TOL_COUNTS_EXACT && last < TOL_COUNTS_LAST,
              "iterated: the last of 64 singular values %.1e too small", last);
        loading = gap_of("onek1k", "loading", model.loading);
        explained = gap_of("onek1k", "explained", &model.explained);
        check(loading < TOL_COUNTS_FIRST, "iterated: four loadings %.1e", loading);
        check(explained < TOL_COUNTS_EXPLAINED, "iterated: explained variance %.1e", explained);
        free(singular);
    }
    cz_counts_model_free(&model);
    cz_counts_model_free(&chosen);
    cz_csr_free(&counts);
    cz_csr_free(&again);
    free(train);
}

/* Hopeless inputs fail the same way on every rank. */
static void check_refusals(const cz_comm *comm, cz_pool *pool)
{
    int64_t begin[] = {0, 1, 2};
    int32_t gene[] = {0, 0};
    float flat[] = {3, 3};
    cz_csr counts = {.rows = 2, .genes = 1, .begin = begin, .gene = gene, .count = flat};
    uint8_t none[] = {0, 0}, both[] = {1, 1};
    cz_counts_model model;
    int refused = cz_counts_fit(&model, &counts, none, 1e4, 9, 4, 0, comm, pool) == CZ_ERR_INPUT;
    cz_error_clear();
    free(counts.factor);
    counts.factor = NULL;
    refused &= cz_counts_fit(&model, &counts, both, 1e4, 9, 4, 0, comm, pool) == CZ_ERR_INPUT;
    cz_error_clear();
    free(counts.factor);
    MPI_Allreduce(MPI_IN_PLACE, &refused, 1, MPI_INT, MPI_MIN, comm->mpi);
    if (comm->rank > 0) return;
    check(refused, "no training cell, or cells that do not vary, are refused by all ranks");
}

int main(int argc, char **argv)
{
    cz_comm comm, alone;
    cz_pool *pool;
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    if (cz_comm_world(&comm) || cz_comm_split(&alone, &comm, comm.rank) ||
        cz_pool_open(&pool, 2, NULL) || cz_h5_open_file(&fixture, FIXTURE)) {
        fprintf(stderr, "%s\n", cz_error_message());
        MPI_Abort(MPI_COMM_WORLD, 4);
    }
    check_case("all", 2000, 60, &comm, &alone, pool);
    check_case("chosen", 120, 8, &comm, &alone, pool);
    check_real(&comm, pool);
    check_refusals(&comm, pool);
    cz_h5_close(&fixture);
    cz_pool_close(pool);
    cz_comm_free(&alone);
    cz_comm_free(&comm);
    MPI_Finalize();
    return check_done();
}
