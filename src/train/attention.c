/* Where the attention of a trained model goes, over the cells of a split. Sums are whole numbers,
 * so that no division of the cells changes a bit. */
#include "trainer.h"

#include "czhpc/profile.h"

#include <math.h>
#include <stdlib.h>

typedef struct attention_job {
    cz_trainer *trainer;
    int64_t *sum;       /* (threads, size) */
    size_t pool, cross; /* elements of the resampler's map, and of the label attention's */
} attention_job;

static size_t map_size(const attention_job *job) { return job->pool + job->cross; }

static cz_status add_block(void *context, int thread, const cz_batch *batch, int at)
{
    CZ_SPAN("blocks");
    const attention_job *job = context;
    cz_trainer *t = job->trainer;
    worker *w = &t->worker[thread];
    cz_outcome out = {.resampler_attention = job->sum + (size_t)thread * map_size(job)};
    if (job->cross) out.fusion_attention = out.resampler_attention + job->pool;
    for (int h = 0; h < t->heads; h++) {
        out.loss[h] = w->loss[h];
        out.best[h] = w->best[h];
    }
    (void)at;
    return cz_model_evaluate(w->workspace, trainer_weights(t), batch, &out);
}

/* The sums of all threads and ranks, on rank 0. */
static cz_status reduce(const attention_job *job)
{
    const cz_trainer *t = job->trainer;
    const cz_comm *comm = t->setup.comm;
    size_t size = map_size(job);
    for (int i = 1; i < t->threads; i++)
        for (size_t k = 0; k < size; k++) job->sum[k] += job->sum[(size_t)i * size + k];
    int failed = MPI_Reduce(comm->rank == 0 ? MPI_IN_PLACE : job->sum, job->sum, (int)size,
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

static cz_status take_means(cz_attention *a, const attention_job *job, int cells)
{
    const cz_model_spec *s = cz_model_get_spec(job->trainer->setup.model);
    double parts = (double)cells * s->heads;
    *a = (cz_attention){.latents = s->latents, .tokens = s->tokens};
    a->resampler = means(job->sum, job->pool, parts);
    if (!a->resampler) return CZ_ERR_MEMORY;
    if (!job->cross) return CZ_OK;
    a->text_tokens = s->tokens;
    a->fusion = means(job->sum + job->pool, job->cross, parts);
    return a->fusion ? CZ_OK : CZ_ERR_MEMORY;
}

static cz_status add_up(attention_job *job, const evaluation_set *set, cz_attention *a)
{
    cz_trainer *t = job->trainer;
    const cz_comm *comm = t->setup.comm;
    job->sum = cz_alloc((size_t)t->threads * map_size(job), sizeof *job->sum, "maps of attention");
    CZ_TRY(cz_comm_agree(comm, job->sum ? CZ_OK : CZ_ERR_MEMORY));
    CZ_TRY(evaluation_walk(t, set, add_block, job));
    CZ_TRY(reduce(job));
    return cz_comm_agree(comm, comm->rank == 0 ? take_means(a, job, set->n) : CZ_OK);
}

cz_status cz_trainer_attention(cz_trainer *t, cz_split part, cz_attention *a)
{
    CZ_PHASE("attention maps");
    const cz_model_spec *s = cz_model_get_spec(t->setup.model);
    size_t T = (size_t)s->tokens;
    evaluation_set set;
    *a = (cz_attention){0};
    CZ_TRY(evaluation_set_open(&set, t, part));
    attention_job job = {
        .trainer = t, .pool = (size_t)s->latents * T, .cross = s->text ? T * T : 0};
    cz_status status = add_up(&job, &set, a);
    free(job.sum);
    evaluation_set_free(&set);
    if (status) cz_attention_free(a);
    return status;
}

void cz_attention_free(cz_attention *a)
{
    free(a->resampler);
    free(a->fusion);
    *a = (cz_attention){0};
}
