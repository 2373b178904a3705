/* Where the attention of a model goes over the cells that are evaluated. */
#include "trainer.h"

#include <math.h>
#include <stdlib.h>

static size_t map_size(const attention_sums *sums) { return sums->pool + sums->cross; }

cz_status attention_open(attention_sums *sums, const cz_trainer *t)
{
    const cz_model_spec *s = cz_model_get_spec(t->setup.model);
    size_t T = (size_t)s->tokens;
    sums->pool = (size_t)s->latents * T;
    sums->cross = s->text ? T * T : 0;
    sums->sum =
        cz_alloc((size_t)t->threads * map_size(sums), sizeof *sums->sum, "maps of attention");
    return sums->sum ? CZ_OK : CZ_ERR_MEMORY;
}

void attention_follow(cz_outcome *out, const attention_sums *sums, int thread)
{
    out->resampler_attention = sums->sum + (size_t)thread * map_size(sums);
    if (sums->cross) out->fusion_attention = out->resampler_attention + sums->pool;
}

/* The sums of all threads and ranks, on rank 0. */
static cz_status reduce(const attention_sums *sums, const cz_trainer *t)
{
    const cz_comm *comm = t->setup.comm;
    size_t size = map_size(sums);
    for (int i = 1; i < t->threads; i++)
        for (size_t k = 0; k < size; k++) sums->sum[k] += sums->sum[(size_t)i * size + k];
    int failed = MPI_Reduce(comm->rank == 0 ? MPI_IN_PLACE : sums->sum, sums->sum, (int)size,
                            MPI_INT64_T, MPI_SUM, 0, comm->mpi);
    if (failed) return cz_fail(CZ_ERR_MPI, "the ranks could not add their attention weights");
    return CZ_OK;
}

static double *means(const int64_t *sum, size_t size, double parts)
{
    double *mean = cz_alloc(size, sizeof *mean, "a map of attention");
    double unit = ldexp(1, -CZ_TALLY_BITS) / parts;
    for (size_t k = 0; mean && k < size; k++)
        mean[k] = parts > 0 ? (double)sum[k] * unit : (double)NAN;
    return mean;
}

static cz_status take_means(cz_attention *a, const attention_sums *sums, const cz_trainer *t,
                            int cells)
{
    const cz_model_spec *s = cz_model_get_spec(t->setup.model);
    double parts = (double)cells * s->heads;
    *a = (cz_attention){.latents = s->latents, .tokens = s->tokens};
    a->resampler = means(sums->sum, sums->pool, parts);
    if (!a->resampler) return CZ_ERR_MEMORY;
    if (!sums->cross) return CZ_OK;
    a->text_tokens = s->tokens;
    a->fusion = means(sums->sum + sums->pool, sums->cross, parts);
    return a->fusion ? CZ_OK : CZ_ERR_MEMORY;
}

cz_status attention_take(cz_attention *a, const attention_sums *sums, const cz_trainer *t,
                         int cells)
{
    CZ_TRY(reduce(sums, t));
    cz_status status = t->setup.comm->rank ? CZ_OK : take_means(a, sums, t, cells);
    return cz_comm_agree(t->setup.comm, status);
}

void cz_attention_free(cz_attention *a)
{
    free(a->resampler);
    free(a->fusion);
    *a = (cz_attention){0};
}
