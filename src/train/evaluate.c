/* What the model says of a split: blocks of 64 cells in the order of the cells, ranks and
 * threads dividing whole blocks, so that every cell is computed in the same company. */
#include "trainer.h"

#include "czhpc/profile.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Every rank's blocks of set->n cells, which set->row names, and this rank's cells. Collective. */
static cz_status divide(cz_trainer *t, evaluation_set *set)
{
    int ranks = t->setup.comm->size, rank = t->setup.comm->rank;
    set->counts = cz_alloc((size_t)ranks, sizeof *set->counts, "the cells to evaluate");
    cz_status status = set->row && set->counts ? CZ_OK : CZ_ERR_MEMORY;
    for (int r = 0; r < ranks && !status; r++)
        set->counts[r] = blocks_begin(set->n, r + 1, ranks) - blocks_begin(set->n, r, ranks);
    int begin = blocks_begin(set->n, rank, ranks);
    if (!status) status = row_set_reserve(&set->mine, t, set->counts[rank]);
    for (int i = 0; i < set->mine.count && !status; i++) set->mine.row[i] = set->row[begin + i];
    CZ_TRY(cz_comm_agree(t->setup.comm, status));
    return row_set_fill(&set->mine, t);
}

static void list_split(evaluation_set *set, const cz_cells *cells, cz_split part)
{
    set->n = 0;
    for (int i = 0; i < cells->n; i++) set->n += cells->split[i] == part;
    set->row = cz_alloc((size_t)set->n, sizeof *set->row, "the cells to evaluate");
    for (int i = 0, k = 0; i < cells->n && set->row; i++)
        if (cells->split[i] == part) set->row[k++] = i;
}

void evaluation_set_free(evaluation_set *set)
{
    free(set->row);
    free(set->counts);
    row_set_free(&set->mine);
    *set = (evaluation_set){0};
}

cz_status evaluation_prepare(cz_trainer *t, cz_split part)
{
    evaluation_set *set = &t->set[part];
    if (set->ready) return CZ_OK;
    CZ_PHASE("fetch cells");
    list_split(set, t->setup.cells, part);
    CZ_TRY(divide(t, set));
    set->ready = true;
    return CZ_OK;
}

typedef struct evaluation_job {
    cz_trainer *trainer;
    const row_set *mine;
    cz_outcome out;                /* of this rank's cells */
    float *log_prob[CZ_MAX_HEADS]; /* (cells, classes) of each head; NULL: not wanted */
} evaluation_job;

static double logit(cz_tensor logits, int row, int class)
{
    const void *at = cz_at(logits, row, class);
    return logits.dtype == CZ_F64 ? *(const double *)at : (double)*(const float *)at;
}

/* log_prob (rows, classes) = logits less the logarithm of their sum of exponentials: finite
 * where a probability would underflow. */
static void log_softmax(float *log_prob, cz_tensor logits, int rows)
{
    int classes = cz_cols(logits);
    for (int i = 0; i < rows; i++) {
        double top = logit(logits, i, 0), sum = 0;
        for (int c = 1; c < classes; c++) top = fmax(top, logit(logits, i, c));
        for (int c = 0; c < classes; c++) sum += exp(logit(logits, i, c) - top);
        for (int c = 0; c < classes; c++)
            *log_prob++ = (float)fmax(logit(logits, i, c) - top - log(sum), -FLT_MAX);
    }
}

/* Cells [begin, end) of this rank, at most a block; logits: a block of each wanted head. */
static cz_status evaluate_block(const evaluation_job *job, int thread, int begin, int end,
                                const cz_tensor *logits)
{
    cz_trainer *t = job->trainer;
    worker *w = &t->worker[thread];
    cz_batch batch = row_set_batch(job->mine, t, begin, end);
    cz_outcome out = {0};
    for (int h = 0; h < t->heads; h++) {
        out.loss[h] = job->out.loss[h] + begin;
        out.best[h] = job->out.best[h] + begin;
        if (job->log_prob[h]) out.logits[h] = cz_row_range(logits[h], 0, end - begin);
    }
    CZ_TRY(cz_model_evaluate(w->workspace, trainer_weights(t), &batch, &out));
    int labels = cz_workspace_labels(w->workspace);
    w->evaluate_flops += cz_model_flops(t->setup.model, batch.cells, labels, false);
    w->evaluated += batch.cells;
    for (int h = 0; h < t->heads; h++)
        if (job->log_prob[h])
            log_softmax(job->log_prob[h] + (size_t)begin * (size_t)cz_cols(logits[h]), logits[h],
                        end - begin);
    return CZ_OK;
}

static cz_status evaluate_worker(void *context, int thread)
{
    CZ_SPAN("blocks");
    const evaluation_job *job = context;
    cz_trainer *t = job->trainer;
    int n = job->mine->count, end = blocks_begin(n, thread + 1, t->threads);
    cz_tensor logits[CZ_MAX_HEADS] = {0};
    cz_status status = CZ_OK;
    for (int h = 0; h < t->heads && job->log_prob[h]; h++) {
        int classes = cz_head_column(t->setup.cells, h)->classes;
        void *block = cz_alloc((size_t)EVALUATION_BLOCK * (size_t)classes, cz_dtype_size(t->dtype),
                               "a block of logits");
        logits[h] = cz_matrix(block, t->dtype, EVALUATION_BLOCK, classes);
        if (!block) status = CZ_ERR_MEMORY;
    }
    for (int begin = blocks_begin(n, thread, t->threads); begin < end && !status;
         begin += EVALUATION_BLOCK) {
        int last = begin + EVALUATION_BLOCK < n ? begin + EVALUATION_BLOCK : n;
        status = evaluate_block(job, thread, begin, last, logits);
    }
    for (int h = 0; h < t->heads; h++) free(logits[h].data);
    return status;
}

static void job_free(evaluation_job *job)
{
    for (int h = 0; h < CZ_MAX_HEADS; h++) {
        free(job->out.loss[h]);
        free(job->out.best[h]);
        free(job->log_prob[h]);
    }
}

static float *log_probs(size_t n, const cz_trainer *t, int h)
{
    size_t classes = (size_t)cz_head_column(t->setup.cells, h)->classes;
    return cz_alloc(n * classes, sizeof(float), "the probabilities of an evaluation");
}

static cz_status job_allocate(evaluation_job *job, const cz_trainer *t, bool probabilities)
{
    size_t n = (size_t)job->mine->count;
    for (int h = 0; h < t->heads; h++) {
        job->out.loss[h] = cz_alloc(n, sizeof(double), "an evaluation");
        job->out.best[h] = cz_alloc(n, sizeof(int32_t), "an evaluation");
        if (!job->out.loss[h] || !job->out.best[h]) return CZ_ERR_MEMORY;
        if (probabilities && !(job->log_prob[h] = log_probs(n, t, h))) return CZ_ERR_MEMORY;
    }
    return CZ_OK;
}

static cz_status allocate_result(cz_evaluation *e, const cz_trainer *t, const evaluation_set *set,
                                 bool probabilities)
{
    size_t n = (size_t)set->n;
    *e = (cz_evaluation){.n = set->n, .heads = t->heads};
    e->row = cz_alloc(n, sizeof *e->row, "an evaluation");
    if (!e->row) return CZ_ERR_MEMORY;
    for (int i = 0; i < set->n; i++) e->row[i] = set->row[i];
    for (int h = 0; h < t->heads; h++) {
        e->best[h] = cz_alloc(n, sizeof **e->best, "an evaluation");
        e->loss[h] = cz_alloc(n, sizeof **e->loss, "an evaluation");
        if (!e->best[h] || !e->loss[h]) return CZ_ERR_MEMORY;
        if (!probabilities || t->setup.comm->rank) continue;
        if (!(e->log_prob[h] = log_probs(n, t, h))) return CZ_ERR_MEMORY;
    }
    return CZ_OK;
}

static cz_status gather(cz_trainer *t, const evaluation_set *set, const evaluation_job *job,
                        cz_evaluation *e)
{
    CZ_SPAN("gather");
    const cz_comm *comm = t->setup.comm;
    for (int h = 0; h < t->heads; h++) {
        size_t classes = (size_t)cz_head_column(t->setup.cells, h)->classes;
        CZ_TRY(
            cz_comm_gather_all(comm, e->best[h], job->out.best[h], set->counts, sizeof(int32_t)));
        CZ_TRY(cz_comm_gather_all(comm, e->loss[h], job->out.loss[h], set->counts, sizeof(double)));
        if (job->log_prob[h])
            CZ_TRY(cz_comm_gather(comm, e->log_prob[h], job->log_prob[h], set->counts,
                                  classes * sizeof(float)));
    }
    return CZ_OK;
}

static cz_status evaluate(cz_trainer *t, const evaluation_set *set, bool probabilities,
                          cz_evaluation *e)
{
    evaluation_job job = {.trainer = t, .mine = &set->mine};
    cz_status status = job_allocate(&job, t, probabilities);
    if (!status) status = allocate_result(e, t, set, probabilities);
    if (!status) status = cz_pool_run(t->setup.pool, evaluate_worker, &job);
    status = cz_comm_agree(t->setup.comm, status);
    if (!status) status = gather(t, set, &job, e);
    t->facts.evaluated_cells += set->n;
    job_free(&job);
    if (status) cz_evaluation_free(e);
    return status;
}

cz_status cz_trainer_evaluate(cz_trainer *t, cz_split part, bool probabilities, cz_evaluation *e)
{
    CZ_PHASE("evaluate");
    double started = MPI_Wtime();
    evaluation_set *set = &t->set[part];
    *e = (cz_evaluation){0};
    CZ_TRY(evaluation_prepare(t, part));
    cz_status status = evaluate(t, set, probabilities, e);
    t->facts.evaluate_seconds += MPI_Wtime() - started;
    return status;
}

cz_status cz_trainer_evaluate_rows(cz_trainer *t, const int32_t *row, int n, cz_evaluation *e)
{
    CZ_PHASE("evaluate");
    double started = MPI_Wtime();
    evaluation_set set = {.n = n, .row = cz_alloc((size_t)n, sizeof *row, "the cells to evaluate")};
    *e = (cz_evaluation){0};
    if (set.row) memcpy(set.row, row, (size_t)n * sizeof *row);
    cz_status status = divide(t, &set);
    if (!status) status = evaluate(t, &set, true, e);
    evaluation_set_free(&set);
    t->facts.evaluate_seconds += MPI_Wtime() - started;
    return status;
}

void cz_evaluation_free(cz_evaluation *e)
{
    free(e->row);
    for (int h = 0; h < CZ_MAX_HEADS; h++) {
        free(e->best[h]);
        free(e->loss[h]);
        free(e->log_prob[h]);
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
