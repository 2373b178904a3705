/* The generator of synthetic cells: its tables, its effects, its rows. Private to src/data.
 *
 *   x = offset + loading' z + spread * noise,  z = mean(type, donor, library) + depth t + e
 *
 * with e (24), t and noise (width) standard normal: a mixture of Gaussians that share one
 * covariance, low rank plus diagonal, whose centres lie in 24 directions. */
#ifndef CZ_SYNTHETIC_H
#define CZ_SYNTHETIC_H

#include "czhpc/data.h"

enum {
    CZ_TYPES = 16,
    CZ_DONORS = 14,
    CZ_SEXES = 2,
    CZ_LIBRARIES = 2,
    CZ_EFFECTS = 24,
    CZ_GROUPS = CZ_TYPES * CZ_DONORS * CZ_LIBRARIES
};

/* Strengths of the effects, in units of the spread within a cell's group. */
typedef struct cz_synthetic_preset {
    const char *name;
    double type, donor, type_donor, sex, library, depth;
    double concentration; /* of a donor's types around all donors': alpha of its Dirichlet */
} cz_synthetic_preset;

typedef struct cz_generator {
    const cz_synthetic_preset *preset;
    uint64_t seed;
    int n, width;
    int count[CZ_TYPES][CZ_DONORS];
    int sex[CZ_DONORS];
    double mean[CZ_TYPES][CZ_DONORS][CZ_LIBRARIES][CZ_EFFECTS];
    double depth[CZ_EFFECTS];
    float *offset, *spread;          /* (width) */
    float *loading;                  /* (CZ_EFFECTS, width), orthogonal rows */
    int32_t *type, *donor, *library; /* (n) */
} cz_generator;

/* Everything but the rows, from config's synthetic section. CZ_ERR_CONFIG: no such size. Local.
 * Free with cz_generator_close(), also after an error. */
cz_status cz_generator_open(cz_generator *generator, const cz_config *config);
void cz_generator_close(cz_generator *generator);

/* Rows first .. first+count-1 of all cells into x (count, width); hash (count): of each row by
 * cz_hash(); depth (count): the t of the sum above, standard normal whoever the donor is. Local;
 * the pool helps. */
cz_status cz_generator_rows(const cz_generator *generator, float *x, uint64_t *hash, float *depth,
                            int first, int count, cz_pool *pool);

/* One of the columns donor_id, cell_type, sex, library_id, dataset_id. CZ_ERR_CONFIG: there is no
 * such one; `key` names the setting in the message. Local. */
cz_status cz_generator_column(cz_column *column, const cz_generator *generator, const char *name,
                              const char *key);

/* The exact posterior of type and donor, given a row. With A = loading, D = spread, a row tells
 * about z only by y = (A D^-2 A')^-1 A D^-2 (x - offset), which is z and normal noise of
 * covariance (A D^-2 A')^-1: Woodbury's identity, and no matrix wider than the effects. */
typedef struct cz_posterior {
    int width;
    float *offset;   /* (width) */
    double *project; /* (width, CZ_EFFECTS): to y, made white by its covariance in a group */
    /* A group is (type, donor, library), the last fastest. log p(y, group) up to a constant is
     * y . centre - y . y / 2 + weight; -inf where there are no cells. */
    double centre[CZ_EFFECTS][CZ_GROUPS];
    double weight[CZ_GROUPS];
} cz_posterior;

cz_status cz_posterior_open(cz_posterior *posterior, const cz_generator *generator);
void cz_posterior_close(cz_posterior *posterior);

/* joint[type][donor] given the row x (width); sums to 1. Local. */
void cz_posterior_row(double joint[CZ_TYPES][CZ_DONORS], const cz_posterior *p, const float *x);

/* Cells that the posterior classifies, and those it gets right. */
typedef struct cz_posterior_score {
    int64_t cells;
    int64_t with_label, without_label; /* donors right, the type being known or not */
    int64_t type;                      /* types right */
} cz_posterior_score;

/* Over rows 0 .. count-1 of x, cells first .. of the generator, where wanted[i] is not 0.
 * Local; the pool helps. */
cz_status cz_posterior_classify(cz_posterior_score *score, const cz_posterior *posterior,
                                const cz_generator *generator, const float *x,
                                const uint8_t *wanted, int first, int count, cz_pool *pool);

/* n, width and the columns of `cells`. Local. */
cz_status cz_synthetic_shape(cz_cells *cells, const cz_config *config);

/* count[type][donor]: n cells with the margins of the Census set, scaled to n; within them
 * every donor's types are drawn around the common ones. Local. */
void cz_synthetic_table(int count[CZ_TYPES][CZ_DONORS], int n, double concentration, uint64_t seed);

extern const char *const cz_synthetic_type_name[CZ_TYPES];

/* value (n) of cell `cell`: standard normals, a pure function of (seed, cell, position); n is
 * rounded up to a multiple of CZ_NORMALS, for which value has room. Local. */
enum { CZ_NORMALS = 64 };
void cz_synthetic_normals(float *value, int n, uint64_t seed, uint32_t cell);

/* What numbers of the generator are drawn for: the second word of their counters. */
enum {
    CZ_DRAW_NOISE,
    CZ_DRAW_LIBRARY,
    CZ_DRAW_TABLE,
    CZ_DRAW_PLACES,
    CZ_DRAW_SEX,
    CZ_DRAW_OFFSET,
    CZ_DRAW_SPREAD,
    CZ_DRAW_DIRECTIONS,
    CZ_DRAW_TYPE,
    CZ_DRAW_DONOR,
    CZ_DRAW_TYPE_DONOR,
    CZ_DRAW_SEX_EFFECT,
    CZ_DRAW_LIBRARY_EFFECT,
    CZ_DRAW_DEPTH
};

#endif
