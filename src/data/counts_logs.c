/* Walks over the logs of narrowed counts. */
#include "counts_private.h"
#include "wide.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void log_values(double *value, const cz_csr *counts, int begin, int end)
{
    enum { KNOWN = 64 }; /* most counts of a cell are small: each logarithm is taken once */
    double known[KNOWN];
    for (int i = begin; i < end; i++) {
        double factor = counts->factor[i];
        memset(known, 0, sizeof known);
        for (int64_t k = counts->begin[i]; k < counts->begin[i + 1]; k++) {
            float count = counts->count[k];
            int whole = count < KNOWN ? (int)count : 0;
            if (whole < 1 || (float)whole != count) {
                *value++ = log1p(count * factor);
                continue;
            }
            if (known[whole] == 0) known[whole] = log1p(count * factor);
            *value++ = known[whole];
        }
    }
}

int log_block_end(const cz_csr *counts, int begin, int end, int block)
{
    int at = begin + 1;
    while (at < end && counts->begin[at + 1] - counts->begin[begin] <= block) at++;
    return at;
}

enum { PANEL = 16 }; /* columns that walk over the rows together: W and Z stay in the cache */
typedef double vec __attribute__((vector_size(64)));

/* PANEL columns of W, gene by gene, what they make of the means, and their Z. */
typedef struct panel {
    vec *w, *z; /* (genes, PANEL); z NULL: not wanted */
    double offset[PANEL];
} panel;

/* One walk over rows begin .. end-1 (of those the ones of `train`, or all where it is NULL),
 * whose logs are `value`, with a panel: y = row W - offset; then z += row' y where z is given,
 * and x[i] = y where x is given.
 *   x (rows, ld), of which `columns` are written */
CZ_WIDE static void walk(const cz_csr *counts, const double *value, int begin, int end,
                         const uint8_t *train, const panel *p, double grid, float *x, int ld,
                         int columns)
{
    vec start0, start1;
    memcpy(&start0, p->offset, sizeof start0);
    memcpy(&start1, p->offset + PANEL / 2, sizeof start1);
    value -= counts->begin[begin];
    for (int i = begin; i < end; i++) {
        if (train && !train[i]) continue;
        vec y0 = -start0, y1 = -start1;
        for (int64_t k = counts->begin[i]; k < counts->begin[i + 1]; k++) {
            const vec *wk = p->w + 2 * (size_t)counts->gene[k];
            y0 += value[k] * wk[0];
            y1 += value[k] * wk[1];
        }
        for (int64_t k = counts->begin[i]; p->z && k < counts->begin[i + 1]; k++) {
            vec *zk = p->z + 2 * (size_t)counts->gene[k];
            zk[0] += (value[k] * y0 + grid) - grid; /* see sum_grid() */
            zk[1] += (value[k] * y1 + grid) - grid;
        }
        for (int k = 0; x && k < columns; k++)
            x[(size_t)i * (size_t)ld + (size_t)k] =
                (float)(k < PANEL / 2 ? y0[k] : y1[k - PANEL / 2]);
    }
}

typedef struct walks {
    const cz_csr *counts;
    const uint8_t *train; /* NULL: all rows */
    panel *panels;
    int K, threads;
    double grid; /* with Z */
    float *x;    /* (rows, width), or NULL */
    int width;
} walks;

/* The threads share the rows where each row has a result of its own, else the panels. */
static cz_status walk_panels(void *context, int thread)
{
    const walks *job = context;
    const cz_csr *counts = job->counts;
    int panels = (job->K + PANEL - 1) / PANEL, threads = job->threads, rows = counts->rows;
    int begin = job->x ? (int)((int64_t)rows * thread / threads) : 0;
    int end = job->x ? (int)((int64_t)rows * (thread + 1) / threads) : rows;
    double *value = cz_alloc((size_t)(LOG_BLOCK + counts->genes), sizeof *value, "the logs");
    if (!value) return CZ_ERR_MEMORY;
    for (int next; begin < end; begin = next) {
        next = log_block_end(counts, begin, end, LOG_BLOCK);
        log_values(value, counts, begin, next);
        for (int p = job->x ? 0 : thread; p < panels; p += job->x ? 1 : threads) {
            int first = p * PANEL, columns = job->K - first < PANEL ? job->K - first : PANEL;
            walk(counts, value, begin, next, job->train, &job->panels[p], job->grid,
                 job->x ? job->x + first : NULL, job->width, columns);
        }
    }
    free(value);
    return CZ_OK;
}

static void free_panels(walks *job)
{
    for (int p = 0; job->panels && p * PANEL < job->K; p++) {
        free(job->panels[p].w);
        free(job->panels[p].z);
    }
    free(job->panels);
}

/* Columns `first` and on of w (K, genes), or zeros, gene by gene. NULL: no memory. */
static vec *pack(const double *w, int first, int K, size_t genes)
{
    size_t bytes = genes * PANEL * sizeof(double);
    double *packed = aligned_alloc(sizeof(vec), bytes);
    if (!packed) {
        cz_fail(CZ_ERR_MEMORY, "no memory for a panel of %zu x %d", genes, PANEL);
        return NULL;
    }
    memset(packed, 0, bytes);
    for (int k = 0; w && k < PANEL && first + k < K; k++)
        for (size_t g = 0; g < genes; g++)
            packed[g * PANEL + (size_t)k] = w[(size_t)(first + k) * genes + g];
    return (vec *)packed;
}

/* Packs w (K, genes), walks, and leaves the panels for their Z. */
static cz_status run_walks(walks *job, const double *mean, const double *w, bool want_z,
                           cz_pool *pool)
{
    size_t genes = (size_t)job->counts->genes, panels = ((size_t)job->K + PANEL - 1) / PANEL;
    job->threads = cz_pool_threads(pool);
    job->panels = cz_alloc(panels, sizeof *job->panels, "the panels of components");
    if (!job->panels) return CZ_ERR_MEMORY;
    for (int p = 0; p < (int)panels; p++) {
        panel *one = &job->panels[p];
        one->w = pack(w, p * PANEL, job->K, genes);
        if (want_z) one->z = pack(NULL, 0, 0, genes);
        if (!one->w || (want_z && !one->z)) return CZ_ERR_MEMORY;
        for (int k = 0; k < PANEL && p * PANEL + k < job->K; k++)
            for (size_t g = 0; g < genes; g++)
                one->offset[k] += mean[g] * w[(size_t)(p * PANEL + k) * genes + g];
    }
    return cz_pool_run(pool, walk_panels, job);
}

cz_status log_times(float *x, int width, const cz_csr *counts, const double *mean, const double *w,
                    int K, cz_pool *pool)
{
    walks job = {.counts = counts, .K = K, .x = x, .width = width};
    cz_status status = run_walks(&job, mean, w, false, pool);
    free_panels(&job);
    return status;
}

cz_status log_square_times(double *z, const svd_input *input, const double *w, int K, double grid)
{
    walks job = {.counts = input->counts, .train = input->train, .K = K, .grid = grid};
    size_t genes = (size_t)input->counts->genes;
    cz_status status = run_walks(&job, input->mean, w, true, input->pool);
    for (int k = 0; k < K && !status; k++) {
        const double *panel_z = (const double *)job.panels[k / PANEL].z;
        for (size_t g = 0; g < genes; g++)
            z[(size_t)k * genes + g] = panel_z[g * PANEL + (size_t)(k % PANEL)];
    }
    free_panels(&job);
    return status;
}
