/* What the model says of a split: blocks of 64 cells in the order of the cells, ranks and
 * threads dividing whole blocks, so that every cell is computed in the same company. */
#include "trainer.h"

#include <stdlib.h>

static cz_status list_cells(cz_trainer *t, cz_split part, evaluation_set *set)
{
    const cz_cells *cells = t->setup.cells;
    int ranks = t->setup.comm->size, rank = t->setup.comm->rank;
    for (int i = 0; i < cells->n; i++) set->n += cells->split[i] == part;
    set->row = cz_alloc((size_t)set->n, sizeof *set->row, "the cells to evaluate");
    set->counts = cz_alloc((size_t)ranks, sizeof *set->counts, "the cells to evaluate");
    if (!set->row || !set->counts) return CZ_ERR_MEMORY;
    for (int i = 0, k = 0; i < cells->n; i++)
        if (cells->split[i] == part) set->row[k++] = i;
    for (int r = 0; r < ranks; r++)
        set->counts[r] = blocks_begin(set->n, r + 1, ranks) - blocks_begin(set->n, r, ranks);
    int begin = blocks_begin(set->n, rank, ranks);
    CZ_TRY(row_set_reserve(&set->mine, t, set->counts[rank]));
    for (int i = 0; i < set->mine.count; i++) set->mine.row[i] = set->row[begin + i];
    return CZ_OK;
}

cz_status evaluation_prepare(cz_trainer *t, cz_split part)
{
    evaluation_set *set = &t->set[part];
    if (set->ready) return CZ_OK;
    CZ_TRY(cz_comm_agree(t->setup.comm, list_cells(t, part, set)));
    CZ_TRY(row_set_fill(&set->mine, t));
    set->ready = true;
    return CZ_OK;
}

typedef struct evaluation_job {
    cz_trainer *trainer;
    const row_set *mine;
    cz_outcome out;  /* of this rank's cells */
    cz_tensor probs; /* (cells, classes) of head 0 */
} evaluation_job;

static cz_status evaluate_worker(void *context, int thread)
{
    const evaluation_job *job = context;
    cz_trainer *t = job->trainer;
    int n = job->mine->count;
    int end = blocks_begin(n, thread + 1, t->threads);
    for (int begin = blocks_begin(n, thread, t->threads); begin < end; begin += EVALUATION_BLOCK) {
        int last = begin + EVALUATION_BLOCK < n ? begin + EVALUATION_BLOCK : n;
        cz_batch batch = row_set_batch(job->mine, t, begin, last);
        cz_outcome out = {0};
        for (int h = 0; h < t->heads; h++) {
            out.loss[h] = job->out.loss[h] + begin;
            out.best[h] = job->out.best[h] + begin;
        }
        out.probs[0] = cz_row_range(job->probs, begin, last - begin);
        CZ_TRY(cz_model_evaluate(t->worker[thread].workspace, cz_reducer_weights(t->reducer),
                                 &batch, &out));
    }
    return CZ_OK;
}

static double probability(cz_tensor probs, int row, int class)
{
    const void *at = cz_at(probs, row, class);
    return probs.dtype == CZ_F64 ? *(const double *)at : (double)*(const float *)at;
}

static void job_free(evaluation_job *job, double *confidence)
{
    for (int h = 0; h < CZ_MAX_HEADS; h++) {
        free(job->out.loss[h]);
        free(job->out.best[h]);
    }
    free(job->probs.data);
    free(confidence);
}

static cz_status job_allocate(evaluation_job *job, const cz_trainer *t, double **confidence)
{
    size_t n = (size_t)job->mine->count;
    int classes = t->setup.cells->target.classes;
    for (int h = 0; h < t->heads; h++) {
        job->out.loss[h] = cz_alloc(n, sizeof(double), "an evaluation");
        job->out.best[h] = cz_alloc(n, sizeof(int32_t), "an evaluation");
        if (!job->out.loss[h] || !job->out.best[h]) return CZ_ERR_MEMORY;
    }
    *confidence = cz_alloc(n, sizeof(double), "an evaluation");
    job->probs = cz_matrix(cz_alloc(n * (size_t)classes, cz_dtype_size(t->dtype), "an evaluation"),
                           t->dtype, job->mine->count, classes);
    return *confidence && job->probs.data ? CZ_OK : CZ_ERR_MEMORY;
}

static cz_status allocate_result(cz_evaluation *e, const cz_trainer *t, const evaluation_set *set)
{
    size_t n = (size_t)set->n;
    *e = (cz_evaluation){.n = set->n, .heads = t->heads};
    e->row = cz_alloc(n, sizeof *e->row, "an evaluation");
    e->confidence = cz_alloc(n, sizeof *e->confidence, "an evaluation");
    if (!e->row || !e->confidence) return CZ_ERR_MEMORY;
    for (int i = 0; i < set->n; i++) e->row[i] = set->row[i];
    for (int h = 0; h < t->heads; h++) {
        e->best[h] = cz_alloc(n, sizeof **e->best, "an evaluation");
        e->loss[h] = cz_alloc(n, sizeof **e->loss, "an evaluation");
        if (!e->best[h] || !e->loss[h]) return CZ_ERR_MEMORY;
    }
    return CZ_OK;
}

static cz_status gather(cz_trainer *t, const evaluation_set *set, const evaluation_job *job,
                        const double *confidence, cz_evaluation *e)
{
    const cz_comm *comm = t->setup.comm;
    for (int h = 0; h < t->heads; h++) {
        CZ_TRY(
            cz_comm_gather_all(comm, e->best[h], job->out.best[h], set->counts, sizeof(int32_t)));
        CZ_TRY(cz_comm_gather_all(comm, e->loss[h], job->out.loss[h], set->counts, sizeof(double)));
    }
    return cz_comm_gather_all(comm, e->confidence, confidence, set->counts, sizeof(double));
}

cz_status cz_trainer_evaluate(cz_trainer *t, cz_split part, cz_evaluation *e)
{
    double started = MPI_Wtime();
    evaluation_set *set = &t->set[part];
    *e = (cz_evaluation){0};
    CZ_TRY(evaluation_prepare(t, part));
    evaluation_job job = {.trainer = t, .mine = &set->mine};
    double *confidence = NULL;
    cz_status status = job_allocate(&job, t, &confidence);
    if (!status) status = allocate_result(e, t, set);
    if (!status) status = cz_pool_run(t->setup.pool, evaluate_worker, &job);
    status = cz_comm_agree(t->setup.comm, status);
    if (!status) {
        for (int i = 0; i < set->mine.count; i++)
            confidence[i] = probability(job.probs, i, job.out.best[0][i]);
        status = gather(t, set, &job, confidence, e);
    }
    job_free(&job, confidence);
    if (status) cz_evaluation_free(e);
    t->facts.evaluate_seconds += MPI_Wtime() - started;
    return status;
}

void cz_evaluation_free(cz_evaluation *e)
{
    free(e->row);
    free(e->confidence);
    for (int h = 0; h < CZ_MAX_HEADS; h++) {
        free(e->best[h]);
        free(e->loss[h]);
    }
    *e = (cz_evaluation){0};
}

cz_scores cz_evaluation_scores(const cz_evaluation *e, const cz_cells *cells)
{
    cz_scores scores = {0};
    for (int h = 0; h < e->heads; h++) {
        const int32_t *code = cz_head_column(cells, h)->code;
        double loss = 0, correct = 0, known = 0;
        for (int i = 0; i < e->n; i++) {
            int32_t truth = code[e->row[i]];
            if (truth < 0) continue;
            loss += e->loss[h][i];
            correct += e->best[h][i] == truth;
            known++;
        }
        scores.loss[h] = known > 0 ? loss / known : 0;
        scores.accuracy[h] = known > 0 ? correct / known : 0;
    }
    return scores;
}

const cz_column *cz_head_column(const cz_cells *cells, int head)
{
    return head == 0 ? &cells->target : &cells->adversary[head - 1];
}
