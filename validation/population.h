/* What tests of training begin and end with: the ranks, a folder, a small population of cells, and
 * what trains on it quickly. */
#ifndef POPULATION_H
#define POPULATION_H

#include "check.h"
#include "czhpc/log.h"
#include "czhpc/rng.h"
#include "czhpc/train.h"

#include <sys/stat.h>

enum { N = 230, WIDTH = 32, DONORS = 5, TYPES = 3, COPIES = 3, TEXT_WIDTH = 8 };

static cz_comm world;
static char folder[256]; /* for what a test writes */

static inline void enter_world(int *argc, char ***argv, const char *name)
{
    int provided;
    MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    cz_comm_world(&world);
    cz_log_set_speaker(false);
    snprintf(folder, sizeof folder, "build/tmp-%s-XXXXXX", name);
    if (world.rank == 0) {
        mkdir("build", 0777);
        if (!mkdtemp(folder)) perror(folder);
    }
    MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, world.mpi);
}

/* Returns what main() does. */
static inline int leave_world(void)
{
    if (world.rank == 0) {
        char command[300];
        snprintf(command, sizeof command, "rm -rf %s", folder);
        if (system(command)) perror(command);
    }
    MPI_Bcast(&check_failures, 1, MPI_INT, 0, world.mpi);
    cz_comm_free(&world);
    MPI_Finalize();
    return check_done();
}

/* The cells: number i repeats original[i]. */
typedef struct population {
    int n, width;
    int32_t original[COPIES * N];
} population;

static inline void make_column(cz_column *c, const population *p, const char *name, int classes,
                               unsigned salt)
{
    *c = (cz_column){.classes = classes};
    snprintf(c->name, sizeof c->name, "%s", name);
    c->code = calloc((size_t)p->n, sizeof *c->code);
    c->class_name = calloc((size_t)classes, sizeof *c->class_name);
    for (int i = 0; i < classes; i++) {
        char text[32];
        snprintf(text, sizeof text, "%s %d", name, i);
        c->class_name[i] = strdup(text);
    }
    for (int i = 0; i < p->n; i++) {
        uint32_t cell = (uint32_t)p->original[i];
        c->code[i] = (int32_t)(cz_philox(1, cell, 0, salt, 0).v[0] % (unsigned)classes);
    }
}

/* Cells whose donor shows in a few dimensions; every rank has its rows. */
static inline void make_cells(cz_cells *c, const population *p, const cz_comm *comm)
{
    *c = (cz_cells){.n = p->n, .width = p->width, .adversaries = 1};
    c->begin = calloc((size_t)comm->size + 1, sizeof *c->begin);
    for (int r = 0; r <= comm->size; r++) c->begin[r] = (int32_t)((int64_t)p->n * r / comm->size);
    make_column(&c->target, p, "donor", DONORS, 1);
    make_column(&c->label, p, "type", TYPES, 2);
    make_column(&c->adversary[0], p, "sex", 2, 3);
    c->adversary[0].code[7] = -1;
    c->split = calloc((size_t)p->n, 1);
    c->row_hash = calloc((size_t)p->n, sizeof *c->row_hash);
    int begin = c->begin[comm->rank], end = c->begin[comm->rank + 1];
    c->x = calloc((size_t)(end - begin + 1) * (size_t)p->width, sizeof *c->x);
    for (int i = 0; i < p->n; i++) {
        int last = p->original[i] % 10;
        c->row_hash[i] = (uint64_t)i;
        c->split[i] = last == 8 ? CZ_VALIDATION : last == 9 ? CZ_TEST : CZ_TRAIN;
    }
    for (int i = begin; i < end; i++) {
        cz_rng rng = cz_rng_open(2, (uint32_t)p->original[i], 0, 201, 0);
        for (int k = 0; k < p->width; k++)
            c->x[(i - begin) * p->width + k] =
                (float)(0.7 * cz_rng_normal(&rng) + (k % DONORS == c->target.code[i]));
    }
}

static inline population all_once(void)
{
    population p = {.n = N, .width = WIDTH};
    for (int i = 0; i < N; i++) p.original[i] = i;
    return p;
}

static inline cz_config small_config(void)
{
    cz_config c;
    cz_config_defaults(&c);
    c.model.tokens = c.model.heads = 4;
    c.model.fusion_dim = 16;
    c.model.feedforward = 24;
    c.model.latents = 6;
    c.model.latent_dim = 16;
    c.train.batch = 23;
    c.train.epochs = 3;
    c.train.lr = 3e-3;
    c.checkpoint.keep = 2;
    return c;
}

/* The model of that configuration. */
static inline cz_model_spec small_spec(const cz_config *config, const cz_cells *cells, bool text)
{
    const cz_config *c = config;
    return (cz_model_spec){.width = cells->width,
                           .text_width = text ? TEXT_WIDTH : 0,
                           .text = text,
                           .tokens = c->model.tokens,
                           .heads = c->model.heads,
                           .fusion_dim = c->model.fusion_dim,
                           .layers = 1,
                           .feedforward = c->model.feedforward,
                           .latents = c->model.latents,
                           .latent_dim = c->model.latent_dim,
                           .dropout = c->model.dropout,
                           .head_count = 2,
                           .head = {{"donor", DONORS, false}, {"sex", 2, true}}};
}

/* Vectors of the types. */
static inline cz_tensor small_text(float text[TYPES * TEXT_WIDTH])
{
    for (int i = 0; i < TYPES * TEXT_WIDTH; i++) text[i] = (float)((i * 7) % 11) / 11;
    return cz_matrix(text, CZ_F32, TYPES, TEXT_WIDTH);
}

#endif
