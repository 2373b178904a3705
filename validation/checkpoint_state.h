/* States that tests save and read back, and the folders that they are saved to. */
#ifndef CHECKPOINT_STATE_H
#define CHECKPOINT_STATE_H

#include "check.h"
#include "czhpc/file.h"
#include "czhpc/rng.h"
#include "czhpc/store.h"

#include <dirent.h>
#include <unistd.h>

enum { PARAMS = 4, N = 135168, SMALL = 70016 };

static cz_comm world;
static char root[256], text[1024];

/* A verdict of all ranks, told by rank 0. */
static inline bool check_all(bool mine, const char *what)
{
    int ok = mine;
    MPI_Allreduce(MPI_IN_PLACE, &ok, 1, MPI_INT, MPI_LAND, world.mpi);
    return world.rank == 0 ? check(ok, "%s", what) : ok;
}

/* Whether rank 0 has a message with `part` in it; clears it. Others need have none. */
static inline bool said(const char *part)
{
    bool has = world.rank != 0 || strstr(cz_error_message(), part);
    if (!has) printf("     message: '%s', '%s' expected\n", cz_error_message(), part);
    cz_error_clear();
    return has;
}

static inline const char *path_of(const char *folder, const char *name)
{
    static char path[4][1024];
    static int next;
    char *at = path[next++ % 4];
    snprintf(at, 1024, "%s/%s%s%s", root, folder, *name ? "/" : "", name);
    return at;
}

static cz_param_entry table[PARAMS] = {{"omics.weight", 2, {256, 64}, 0},
                                       {"omics.bias", 1, {250, 0}, 16384},
                                       {"head.weight", 2, {700, 70}, 16640},
                                       {"head.bias", 1, {700, 0}, 65648}};

/* A state that is a function of (seed, n) alone; rank r of comm holds the r-th slice. */
static inline void set_number(cz_checkpoint *state, void *array, size_t i, double value)
{
    if (state->dtype == CZ_F64) ((double *)array)[i] = value;
    else ((float *)array)[i] = (float)value;
}

static inline cz_checkpoint make_state(size_t n, cz_dtype dtype, int seed, const cz_comm *comm)
{
    cz_checkpoint state = {.params = table, .count = PARAMS, .n = n, .dtype = dtype};
    size_t size = cz_dtype_size(dtype);
    state.w = cz_alloc(n, size, "w");
    state.m = cz_alloc(n, size, "m");
    state.v = cz_alloc(n, size, "v");
    state.begin = n / 16 * (size_t)comm->rank / (size_t)comm->size * 16;
    state.end = n / 16 * ((size_t)comm->rank + 1) / (size_t)comm->size * 16;
    for (size_t i = 0; i < n; i++) {
        cz_block b = cz_philox((uint64_t)seed, (uint32_t)i, 0, 0, 0);
        set_number(&state, state.w, i, (double)(int32_t)b.v[0] * 0x1p-31);
        set_number(&state, state.m, i, (double)(int32_t)b.v[1] * 0x1p-40);
        set_number(&state, state.v, i, (double)b.v[2] * 0x1p-50);
    }
    state.progress = (cz_progress){.phase = 1,
                                   .epoch = seed,
                                   .step = 3 * seed,
                                   .steps_done = 1LL << 40,
                                   .best_epoch = -1,
                                   .best_value = 0.1 * seed,
                                   .stale = 2,
                                   .finished = 1,
                                   .metrics_bytes = 1LL << 33};
    for (int i = 0; i < CZ_PROGRESS_SUMS; i++) state.progress.partial[i] = seed + 1.0 / (i + 1);
    state.config_hash = 0xF123456789ABCDEF;
    state.data_hash = 42;
    state.workers = 6;
    strcpy(state.backend, "cpu, avx2");
    state.config = strdup("run:\n  name: \"a run\"\n");
    return state;
}

static inline void free_state(cz_checkpoint *state)
{
    free(state->w);
    free(state->m);
    free(state->v);
    free(state->config);
}

/* Forgets all numbers of a state, so that loading must bring them back. */
static inline void forget(cz_checkpoint *state)
{
    size_t bytes = state->n * cz_dtype_size(state->dtype);
    memset(state->w, 0x55, bytes);
    memset(state->m, 0x55, bytes);
    memset(state->v, 0x55, bytes);
    memset(&state->progress, 0x55, sizeof state->progress);
    free(state->config);
    state->config = NULL;
    state->workers = 0;
    state->backend[0] = 0;
    state->config_hash = state->data_hash = 0;
}

static inline bool same_slice(const void *a, const void *b, const cz_checkpoint *state)
{
    size_t size = cz_dtype_size(state->dtype), at = state->begin * size;
    return !memcmp((const char *)a + at, (const char *)b + at, (state->end - state->begin) * size);
}

static inline bool same_state(const cz_checkpoint *a, const cz_checkpoint *b, bool whole)
{
    const cz_progress *p = &a->progress, *q = &b->progress;
    bool arrays =
        same_slice(a->w, b->w, b) && same_slice(a->m, b->m, b) && same_slice(a->v, b->v, b);
    if (whole) arrays = arrays && !memcmp(a->w, b->w, a->n * cz_dtype_size(a->dtype));
    return arrays && p->phase == q->phase && p->epoch == q->epoch && p->step == q->step &&
           p->steps_done == q->steps_done && p->best_epoch == q->best_epoch &&
           p->best_value == q->best_value && p->stale == q->stale && p->finished == q->finished &&
           p->metrics_bytes == q->metrics_bytes &&
           !memcmp(p->partial, q->partial, sizeof p->partial) && a->config_hash == b->config_hash &&
           a->data_hash == b->data_hash && a->workers == b->workers &&
           !strcmp(a->backend, b->backend) && a->config && b->config &&
           !strcmp(a->config, b->config);
}

static inline void make_folder(const char *name)
{
    if (world.rank == 0 && cz_make_folder(path_of(name, "")))
        printf("FAIL %s\n", cz_error_message());
    MPI_Barrier(world.mpi);
}

/* Names in a folder, for rank 0. */
static inline int entries(const char *folder)
{
    int count = 0;
    DIR *directory = opendir(path_of(folder, ""));
    for (struct dirent *e; directory && (e = readdir(directory));) count += e->d_name[0] != '.';
    if (directory) closedir(directory);
    return count;
}

static inline bool there(const char *folder, const char *name)
{
    return !access(path_of(folder, name), F_OK);
}

/* The seed of the state that loading finds and that is right to the bit; -1 none, -2 wrong. */
static inline int load_seed(const char *path, cz_status *status)
{
    int found = 7, seed = -1;
    cz_checkpoint state = make_state(SMALL, CZ_F32, 99, &world);
    forget(&state);
    *status = cz_checkpoint_load(path, &state, 0, &found, &world);
    if (!*status && found == 1) {
        cz_checkpoint right = make_state(SMALL, CZ_F32, state.progress.epoch, &world);
        seed = same_state(&right, &state, false) ? state.progress.epoch : -2;
        free_state(&right);
    } else if (found != 0) {
        seed = -2;
    }
    free_state(&state);
    return seed;
}

#endif
