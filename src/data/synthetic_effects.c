/* What makes synthetic cells differ: the centres of their groups, and the rows around them. */
#include "cells.h"
#include "order.h"
#include "synthetic.h"
#include "wide.h"

#include "czhpc/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One scale for all effects, small beside the offsets as in real embeddings, and the spread
 * of single features around what the effects explain. */
static const double OFFSET_SCALE = 2, EFFECT_SCALE = 3, SPREAD = 0.5, SPREAD_RATIO = 0.25;

/* Found by evaluating the exact posterior; validation/test_synthetic.c holds what they give. */
static const cz_synthetic_preset preset_of[] = {
    [CZ_LABEL_REDUNDANT] = {"label_redundant", .type = 4, .donor = 0.45, .type_donor = 0.33,
                            .sex = 0.2, .library = 0.15, .depth = 0.5, .concentration = 12},
    [CZ_LABEL_INFORMATIVE] = {"label_informative", .type = .3, .donor = 0, .type_donor = .67,
                              .sex = .05, .library = .1, .depth = 0.5, .concentration = 20},
};

static cz_rng stream(const cz_generator *g, int draw, int index)
{
    return cz_rng_open(g->seed, (uint32_t)index, (uint32_t)draw, CZ_RNG_SYNTHETIC, 0);
}

/* Adds `strength` times a standard normal direction to an effect. */
static void add_effect(double effect[CZ_EFFECTS], const cz_generator *g, int draw, int index,
                       double strength)
{
    cz_rng rng = stream(g, draw, index);
    for (int k = 0; k < CZ_EFFECTS; k++) effect[k] += strength * cz_rng_normal(&rng);
}

static void draw_means(cz_generator *g)
{
    const cz_synthetic_preset *p = g->preset;
    for (int c = 0; c < CZ_TYPES; c++)
        for (int d = 0; d < CZ_DONORS; d++)
            for (int l = 0; l < CZ_LIBRARIES; l++) {
                double *mean = g->mean[c][d][l];
                add_effect(mean, g, CZ_DRAW_TYPE, c, p->type);
                add_effect(mean, g, CZ_DRAW_DONOR, d, p->donor);
                add_effect(mean, g, CZ_DRAW_TYPE_DONOR, c * CZ_DONORS + d, p->type_donor);
                add_effect(mean, g, CZ_DRAW_SEX_EFFECT, g->sex[d], p->sex);
                add_effect(mean, g, CZ_DRAW_LIBRARY_EFFECT, d * CZ_LIBRARIES + l, p->library);
            }
    add_effect(g->depth, g, CZ_DRAW_DEPTH, 0, p->depth / sqrt(CZ_EFFECTS));
}

/* Half of the donors, drawn, are of the first sex. */
static void draw_sexes(cz_generator *g)
{
    int32_t donor[CZ_DONORS];
    cz_rng rng = stream(g, CZ_DRAW_SEX, 0);
    for (int d = 0; d < CZ_DONORS; d++) donor[d] = d;
    cz_shuffle(donor, CZ_DONORS, &rng);
    for (int d = 0; d < CZ_DONORS; d++) g->sex[donor[d]] = d < CZ_DONORS / 2 ? 0 : 1;
}

/* Orthonormal directions (Gram & Schmidt, twice, which is enough: Giraud & Langou 2003). */
static cz_status draw_directions(cz_generator *g)
{
    size_t width = (size_t)g->width;
    double *q = cz_alloc(CZ_EFFECTS * width, sizeof *q, "the directions of synthetic effects");
    if (!q) return CZ_ERR_MEMORY;
    for (int k = 0; k < CZ_EFFECTS; k++) {
        double *row = q + (size_t)k * width, square = 0;
        cz_rng rng = stream(g, CZ_DRAW_DIRECTIONS, k);
        for (size_t j = 0; j < width; j++) row[j] = cz_rng_normal(&rng);
        for (int i = 0; i < 2 * k; i++) {
            const double *other = q + (size_t)(i % k) * width;
            double dot = 0;
            for (size_t j = 0; j < width; j++) dot += row[j] * other[j];
            for (size_t j = 0; j < width; j++) row[j] -= dot * other[j];
        }
        for (size_t j = 0; j < width; j++) square += row[j] * row[j];
        for (size_t j = 0; j < width; j++) row[j] /= sqrt(square);
    }
    for (size_t i = 0; i < CZ_EFFECTS * width; i++) g->loading[i] = (float)(EFFECT_SCALE * q[i]);
    free(q);
    return CZ_OK;
}

static cz_status draw_features(cz_generator *g)
{
    cz_rng offset = stream(g, CZ_DRAW_OFFSET, 0), spread = stream(g, CZ_DRAW_SPREAD, 0);
    for (int j = 0; j < g->width; j++) {
        g->offset[j] = (float)(OFFSET_SCALE * cz_rng_normal(&offset));
        g->spread[j] = (float)(SPREAD * exp(SPREAD_RATIO * cz_rng_normal(&spread)));
    }
    return draw_directions(g);
}

/* Type, donor and library of each cell: the table's cells in drawn order. */
static cz_status place_cells(cz_generator *g)
{
    int32_t *place = cz_alloc((size_t)g->n, sizeof *place, "the places of synthetic cells");
    if (!place) return CZ_ERR_MEMORY;
    int at = 0;
    for (int c = 0; c < CZ_TYPES; c++)
        for (int d = 0; d < CZ_DONORS; d++)
            for (int i = 0; i < g->count[c][d]; i++) place[at++] = c * CZ_DONORS + d;
    cz_rng rng = stream(g, CZ_DRAW_PLACES, 0);
    cz_shuffle(place, at, &rng);
    for (int i = 0; i < g->n; i++) {
        cz_block bits =
            cz_philox(g->seed, (uint32_t)i, CZ_DRAW_LIBRARY, cz_counter(CZ_RNG_SYNTHETIC, 0), 0);
        g->type[i] = place[i] / CZ_DONORS;
        g->donor[i] = place[i] % CZ_DONORS;
        g->library[i] = g->donor[i] * CZ_LIBRARIES + (int32_t)(bits.v[0] % CZ_LIBRARIES);
    }
    free(place);
    return CZ_OK;
}

cz_status cz_generator_open(cz_generator *g, const cz_config *config)
{
    memset(g, 0, sizeof *g);
    g->n = config->synthetic.cells;
    g->width = config->synthetic.width;
    g->seed = (uint64_t)config->synthetic.seed;
    g->preset = &preset_of[config->synthetic.preset];
    if (g->n < 1 || g->width < CZ_EFFECTS)
        return cz_fail(CZ_ERR_CONFIG,
                       "synthetic.cells %d and synthetic.width %d: at least 1 cell of %d features "
                       "can be generated",
                       g->n, g->width, CZ_EFFECTS);
    size_t n = (size_t)g->n, width = (size_t)g->width;
    g->offset = cz_alloc(width, sizeof *g->offset, "the offsets of synthetic features");
    g->spread = cz_alloc(width, sizeof *g->spread, "the spreads of synthetic features");
    g->loading = cz_alloc(CZ_EFFECTS * width, sizeof *g->loading, "synthetic effects");
    g->type = cz_alloc(n, sizeof *g->type, "the types of synthetic cells");
    g->donor = cz_alloc(n, sizeof *g->donor, "the donors of synthetic cells");
    g->library = cz_alloc(n, sizeof *g->library, "the libraries of synthetic cells");
    if (!g->offset || !g->spread || !g->loading || !g->type || !g->donor || !g->library)
        return CZ_ERR_MEMORY;
    cz_synthetic_table(g->count, g->n, g->preset->concentration, g->seed);
    draw_sexes(g);
    draw_means(g);
    CZ_TRY(draw_features(g));
    return place_cells(g);
}

void cz_generator_close(cz_generator *g)
{
    free(g->offset);
    free(g->spread);
    free(g->loading);
    free(g->type);
    free(g->donor);
    free(g->library);
    memset(g, 0, sizeof *g);
}

/* x = offset + spread * noise + loading' z, four effects at a time. */
CZ_WIDE static void write_row(float *x, const cz_generator *g, const float *noise,
                              const float z[CZ_EFFECTS])
{
    int width = g->width;
    for (int j = 0; j < width; j++) x[j] = g->offset[j] + g->spread[j] * noise[j];
    for (int k = 0; k < CZ_EFFECTS; k += 4) {
        const float *l0 = g->loading + (size_t)k * (size_t)width;
        const float *l1 = l0 + width, *l2 = l1 + width, *l3 = l2 + width;
        float z0 = z[k], z1 = z[k + 1], z2 = z[k + 2], z3 = z[k + 3];
        for (int j = 0; j < width; j++) x[j] += z0 * l0[j] + z1 * l1[j] + z2 * l2[j] + z3 * l3[j];
    }
}

typedef struct rows_task {
    const cz_generator *g;
    float *x, *depth;
    uint64_t *hash;
    int first, count, threads;
} rows_task;

/* A cell's normals: of its effects and depth first, then of its features. A row is hashed while it
 * is in the cache. */
static cz_status generate_rows(void *context, int thread)
{
    const rows_task *task = context;
    const cz_generator *g = task->g;
    int begin = (int)((int64_t)task->count * thread / task->threads);
    int end = (int)((int64_t)task->count * (thread + 1) / task->threads);
    int drawn = CZ_EFFECTS + 1 + g->width;
    float *noise = cz_alloc((size_t)drawn + CZ_NORMALS, sizeof *noise, "a synthetic row");
    if (!noise) return CZ_ERR_MEMORY;
    for (int i = begin; i < end; i++) {
        int cell = task->first + i, donor = g->donor[cell];
        const double *mean = g->mean[g->type[cell]][donor][g->library[cell] % CZ_LIBRARIES];
        float z[CZ_EFFECTS];
        cz_synthetic_normals(noise, drawn, g->seed, (uint32_t)cell);
        for (int k = 0; k < CZ_EFFECTS; k++)
            z[k] = (float)(mean[k] + g->depth[k] * noise[CZ_EFFECTS] + noise[k]);
        float *x = task->x + (size_t)i * (size_t)g->width;
        write_row(x, g, noise + CZ_EFFECTS + 1, z);
        task->hash[i] = cz_hash(0, x, (size_t)g->width * sizeof *x);
        task->depth[i] = noise[CZ_EFFECTS];
    }
    free(noise);
    return CZ_OK;
}

cz_status cz_generator_rows(const cz_generator *g, float *x, uint64_t *hash, float *depth,
                            int first, int count, cz_pool *pool)
{
    rows_task task = {g, x, depth, hash, first, count, cz_pool_threads(pool)};
    return cz_pool_run(pool, generate_rows, &task);
}

static cz_status fill_libraries(cz_column *column, const cz_generator *g)
{
    char text[CZ_DONORS * CZ_LIBRARIES][32];
    const char *name[CZ_DONORS * CZ_LIBRARIES];
    for (int k = 0; k < CZ_DONORS * CZ_LIBRARIES; k++) {
        snprintf(text[k], sizeof text[k], "donor_%02d_library_%d", k / CZ_LIBRARIES + 1,
                 k % CZ_LIBRARIES + 1);
        name[k] = text[k];
    }
    return cz_column_fill(column, "library_id", g->library, g->n, name, CZ_DONORS * CZ_LIBRARIES);
}

static cz_status fill_donors(cz_column *column, const cz_generator *g)
{
    char text[CZ_DONORS][32];
    const char *name[CZ_DONORS];
    for (int d = 0; d < CZ_DONORS; d++) {
        snprintf(text[d], sizeof text[d], "donor_%02d", d + 1);
        name[d] = text[d];
    }
    return cz_column_fill(column, "donor_id", g->donor, g->n, name, CZ_DONORS);
}

/* Donors one after the other, five to a data set; it has no effect on a cell. */
static cz_status fill_datasets(cz_column *column, const cz_generator *g)
{
    static const char *const name[] = {"dataset_1", "dataset_2", "dataset_3"};
    int32_t *dataset = cz_alloc((size_t)g->n, sizeof *dataset, "the data sets of synthetic cells");
    if (!dataset) return CZ_ERR_MEMORY;
    for (int i = 0; i < g->n; i++) dataset[i] = g->donor[i] / 5;
    cz_status status = cz_column_fill(column, "dataset_id", dataset, g->n, name, 3);
    free(dataset);
    return status;
}

static cz_status fill_sexes(cz_column *column, const cz_generator *g)
{
    static const char *const name[CZ_SEXES] = {"female", "male"};
    int32_t *sex = cz_alloc((size_t)g->n, sizeof *sex, "the sexes of synthetic cells");
    if (!sex) return CZ_ERR_MEMORY;
    for (int i = 0; i < g->n; i++) sex[i] = g->sex[g->donor[i]];
    cz_status status = cz_column_fill(column, "sex", sex, g->n, name, CZ_SEXES);
    free(sex);
    return status;
}

cz_status cz_generator_column(cz_column *column, const cz_generator *g, const char *name,
                              const char *key)
{
    if (!strcmp(name, "donor_id")) return fill_donors(column, g);
    if (!strcmp(name, "sex")) return fill_sexes(column, g);
    if (!strcmp(name, "library_id")) return fill_libraries(column, g);
    if (!strcmp(name, "dataset_id")) return fill_datasets(column, g);
    if (!strcmp(name, "cell_type"))
        return cz_column_fill(column, name, g->type, g->n, cz_synthetic_type_name, CZ_TYPES);
    return cz_fail(CZ_ERR_CONFIG,
                   "%s names '%s', but synthetic cells have only the columns donor_id, cell_type, "
                   "sex, library_id and dataset_id%s",
                   key, name,
                   strcmp(key, "data.adversary_keys")
                       ? ""
                       : "; data.adversary_keys=[] trains without an adversary");
}
