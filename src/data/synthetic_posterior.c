/* The best that anybody could do on synthetic cells: their exact posterior. */
#include "synthetic.h"
#include "wide.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { K = CZ_EFFECTS };

/* y = L^-1 y, L lower triangular. */
static void solve_lower(double y[K], double factor[K][K])
{
    for (int k = 0; k < K; k++) {
        for (int i = 0; i < k; i++) y[k] -= factor[k][i] * y[i];
        y[k] /= factor[k][k];
    }
}

/* What a row tells of each effect: information = A D^-2 A', and D^-2 A' into project. */
static void weigh_features(double information[K][K], double *project, const cz_generator *g)
{
    size_t width = (size_t)g->width;
    memset(information, 0, sizeof(double[K][K]));
    for (size_t j = 0; j < width; j++) {
        double *row = project + j * K, variance = (double)g->spread[j] * g->spread[j];
        for (int k = 0; k < K; k++) row[k] = g->loading[(size_t)k * width + j] / variance;
        for (int a = 0; a < K; a++)
            for (int b = 0; b < K; b++)
                information[a][b] += row[a] * g->loading[(size_t)b * width + j];
    }
}

/* Covariance of y within a group: 1 + depth depth' + information^-1, as its lower factor. */
static cz_status factor_covariance(double factor[K][K], double inverse[K][K], const cz_generator *g)
{
    for (int a = 0; a < K; a++)
        for (int b = 0; b < K; b++)
            factor[a][b] =
                (a == b) + g->depth[a] * g->depth[b] + (a >= b ? inverse[a][b] : inverse[b][a]);
    if (LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'L', K, factor[0], K))
        return cz_fail(CZ_ERR_BUG, "the covariance of synthetic cells is not positive definite");
    return CZ_OK;
}

/* Whitens a group's centre, and takes its weight. */
static void place_group(cz_posterior *p, const cz_generator *g, double factor[K][K], int group)
{
    int pair = group / CZ_LIBRARIES, c = pair / CZ_DONORS, d = pair % CZ_DONORS;
    double centre[K], square = 0;
    memcpy(centre, g->mean[c][d][group % CZ_LIBRARIES], sizeof centre);
    solve_lower(centre, factor);
    for (int k = 0; k < K; k++) {
        p->centre[k][group] = centre[k];
        square += centre[k] * centre[k];
    }
    p->weight[group] = log((double)g->count[c][d] / g->n / CZ_LIBRARIES) - square / 2;
}

cz_status cz_posterior_open(cz_posterior *p, const cz_generator *g)
{
    double information[K][K], factor[K][K];
    size_t width = (size_t)g->width;
    memset(p, 0, sizeof *p);
    p->width = g->width;
    p->offset = cz_alloc(width, sizeof *p->offset, "the posterior of synthetic cells");
    p->project = cz_alloc(width * K, sizeof *p->project, "the posterior of synthetic cells");
    if (!p->offset || !p->project) return CZ_ERR_MEMORY;
    memcpy(p->offset, g->offset, width * sizeof *p->offset);

    weigh_features(information, p->project, g);
    if (LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'L', K, information[0], K) ||
        LAPACKE_dpotrs(LAPACK_COL_MAJOR, 'U', K, g->width, information[0], K, p->project, K) ||
        LAPACKE_dpotri(LAPACK_ROW_MAJOR, 'L', K, information[0], K))
        return cz_fail(CZ_ERR_BUG, "the effects of synthetic cells are not independent");
    CZ_TRY(factor_covariance(factor, information, g));
    for (size_t j = 0; j < width; j++) solve_lower(p->project + j * K, factor);
    for (int group = 0; group < CZ_GROUPS; group++) place_group(p, g, factor, group);
    return CZ_OK;
}

void cz_posterior_close(cz_posterior *p)
{
    free(p->offset);
    free(p->project);
    memset(p, 0, sizeof *p);
}

CZ_WIDE void cz_posterior_row(double joint[CZ_TYPES][CZ_DONORS], const cz_posterior *p,
                              const float *x)
{
    double y[K] = {0}, score[CZ_GROUPS], most = -INFINITY, sum = 0;
    for (int j = 0; j < p->width; j++) {
        const double *project = p->project + (size_t)j * K;
        double value = (double)x[j] - p->offset[j];
        for (int k = 0; k < K; k++) y[k] += project[k] * value;
    }
    memcpy(score, p->weight, sizeof score);
    for (int k = 0; k < K; k++)
        for (int group = 0; group < CZ_GROUPS; group++) score[group] += y[k] * p->centre[k][group];
    for (int group = 0; group < CZ_GROUPS; group++) most = fmax(most, score[group]);
    for (int c = 0; c < CZ_TYPES; c++)
        for (int d = 0; d < CZ_DONORS; d++) {
            const double *library = score + (size_t)(c * CZ_DONORS + d) * CZ_LIBRARIES;
            joint[c][d] = 0;
            for (int l = 0; l < CZ_LIBRARIES; l++) joint[c][d] += exp(library[l] - most);
            sum += joint[c][d];
        }
    for (int c = 0; c < CZ_TYPES; c++)
        for (int d = 0; d < CZ_DONORS; d++) joint[c][d] /= sum;
}

static int largest(const double *value, int n)
{
    int best = 0;
    for (int k = 1; k < n; k++)
        if (value[k] > value[best]) best = k;
    return best;
}

static void score_cell(cz_posterior_score *score, double joint[CZ_TYPES][CZ_DONORS], int type,
                       int donor)
{
    double types[CZ_TYPES] = {0}, donors[CZ_DONORS] = {0};
    for (int c = 0; c < CZ_TYPES; c++)
        for (int d = 0; d < CZ_DONORS; d++) {
            types[c] += joint[c][d];
            donors[d] += joint[c][d];
        }
    score->cells++;
    score->with_label += largest(joint[type], CZ_DONORS) == donor;
    score->without_label += largest(donors, CZ_DONORS) == donor;
    score->type += largest(types, CZ_TYPES) == type;
}

typedef struct classify_task {
    cz_posterior_score *score; /* (threads) */
    const cz_posterior *p;
    const cz_generator *g;
    const float *x;
    const uint8_t *wanted;
    int first, count, threads;
} classify_task;

static cz_status classify_rows(void *context, int thread)
{
    const classify_task *task = context;
    int begin = (int)((int64_t)task->count * thread / task->threads);
    int end = (int)((int64_t)task->count * (thread + 1) / task->threads);
    cz_posterior_score score = {0};
    for (int i = begin; i < end; i++) {
        double joint[CZ_TYPES][CZ_DONORS];
        int cell = task->first + i;
        if (!task->wanted[i]) continue;
        cz_posterior_row(joint, task->p, task->x + (size_t)i * (size_t)task->p->width);
        score_cell(&score, joint, task->g->type[cell], task->g->donor[cell]);
    }
    task->score[thread] = score;
    return CZ_OK;
}

cz_status cz_posterior_classify(cz_posterior_score *score, const cz_posterior *p,
                                const cz_generator *g, const float *x, const uint8_t *wanted,
                                int first, int count, cz_pool *pool)
{
    int threads = cz_pool_threads(pool);
    cz_posterior_score *part = cz_alloc((size_t)threads, sizeof *part, "scores");
    if (!part) return CZ_ERR_MEMORY;
    classify_task task = {part, p, g, x, wanted, first, count, threads};
    cz_status status = cz_pool_run(pool, classify_rows, &task);
    *score = (cz_posterior_score){0};
    for (int t = 0; t < threads; t++) {
        score->cells += part[t].cells;
        score->with_label += part[t].with_label;
        score->without_label += part[t].without_label;
        score->type += part[t].type;
    }
    free(part);
    return status;
}
