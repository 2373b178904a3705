/* What the depth and quality of a cell's measurement alone tell of its target. */
#include "discriminant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Counts span decades: their logarithm is nearer to what a linear discriminant assumes. A measure
 * is a count if Scanpy names it so, or if no training cell has other than a whole number. */
static bool is_count(const cz_cells *cells, int m)
{
    const char *name = cells->measure_name[m];
    if (!strcmp(name, "total_counts") || !strcmp(name, "n_genes_by_counts")) return true;
    bool whole = true;
    for (int i = 0; i < cells->n && whole; i++) {
        float value = cells->measure[(size_t)i * (size_t)cells->measures + (size_t)m];
        whole =
            cells->split[i] != CZ_TRAIN || isnan(value) || (value >= 0 && value == truncf(value));
    }
    return whole;
}

/* One column of x (n, measures): the measure or its log(1 + count), the mean of the training cells
 * where it is missing or not finite. */
static void fill_column(float *x, const cz_cells *cells, int m)
{
    size_t width = (size_t)cells->measures;
    bool count = is_count(cells, m);
    double sum = 0, known = 0;
    for (int i = 0; i < cells->n; i++) {
        double value = (double)cells->measure[(size_t)i * width + (size_t)m];
        if (count) value = log1p(value < 0 ? 0 : value); /* a NaN stays one */
        x[(size_t)i * width + (size_t)m] = isfinite(value) ? (float)value : NAN;
        if (cells->split[i] != CZ_TRAIN || !isfinite(value)) continue;
        sum += (double)(float)value;
        known++;
    }
    float mean = known > 0 ? (float)(sum / known) : 0;
    for (int i = 0; i < cells->n; i++) {
        float *value = &x[(size_t)i * width + (size_t)m];
        if (isnan(*value)) *value = mean;
    }
}

cz_status cz_quality_classes(int32_t **class, const int32_t *row, int n, const cz_cells *cells)
{
    size_t width = (size_t)cells->measures;
    float *x = cz_alloc((size_t)cells->n * width, sizeof *x, "measures of depth and quality");
    *class = cz_alloc((size_t)n, sizeof **class, "classes told by depth and quality");
    int32_t *none = cz_alloc((size_t)cells->n, sizeof *none, "classes told by depth and quality");
    cz_status status = x && *class && none ? CZ_OK : CZ_ERR_MEMORY;
    for (int i = 0; i < cells->n && none; i++) none[i] = -1;
    for (int m = 0; m < cells->measures && !status; m++) fill_column(x, cells, m);

    /* The same cells with measures for features and no label, all of them here. */
    int32_t begin[] = {0, cells->n};
    cz_cells measured = {.n = cells->n,
                         .width = cells->measures,
                         .begin = begin,
                         .x = x,
                         .target = cells->target,
                         .label = {.code = none},
                         .split = cells->split};
    cz_comm alone = {.mpi = MPI_COMM_SELF, .node = MPI_COMM_SELF, .size = 1, .node_size = 1};
    cz_discriminant d = {0};
    cz_pool *pool = NULL; /* of this thread alone: a few columns make little work */
    if (!status) status = cz_pool_open(&pool, 1, NULL);
    if (!status) status = cz_discriminant_fit(&d, &measured, &alone, pool);
    for (int i = 0; i < n && !status; i++)
        (*class)[i] = cz_discriminant_class(&d, x + (size_t)row[i] * width, -1);
    cz_discriminant_free(&d);
    cz_pool_close(pool);
    free(none);
    free(x);
    if (status) {
        free(*class);
        *class = NULL;
    }
    return status;
}
