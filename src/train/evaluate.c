/* What the model says of a split: blocks of 64 cells in the order of the cells, ranks and
 * threads dividing whole blocks, so that every cell is computed in the same company. A rank
 * fetches its blocks portion by portion. */
#include "gpu.h"
#include "trainer.h"

#include "czhpc/profile.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Divides set->n cells, which set->row names, among the ranks. Local. */
static cz_status divide(evaluation_set *set, const cz_comm *comm)
{
    set->counts = cz_alloc((size_t)comm->size, sizeof *set->counts, "the cells to evaluate");
    if (!set->row || !set->counts) return CZ_ERR_MEMORY;
    for (int r = 0; r < comm->size; r++)
        set->counts[r] =
            blocks_begin(set->n, r + 1, comm->size) - blocks_begin(set->n, r, comm->size);
    return CZ_OK;
}

static void set_free(evaluation_set *set)
{
    free(set->row);
    free(set->counts);
    *set = (evaluation_set){0};
}

static double logit(cz_tensor logits, int row, int class)
{
    const void *at = cz_at(logits, row, class);
    return logits.dtype == CZ_F64 ? *(const double *)at : (double)*(const float *)at;
}

/* log_prob (rows, classes) = logits less the logarithm of their sum of exponentials: finite
 * where a probability would underflow. */
void evaluate_log_softmax(float *log_prob, cz_tensor logits, int rows)
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

static cz_tensor block_of_logits(const evaluation_job *job, int thread, int head)
{
    const cz_trainer *t = job->trainer;
    int classes = cz_head_column(t->setup.cells, head)->classes;
    size_t bytes = (size_t)EVALUATION_BLOCK * (size_t)classes * cz_dtype_size(t->dtype);
    return cz_matrix((char *)job->logits[head] + (size_t)thread * bytes, t->dtype, EVALUATION_BLOCK,
                     classes);
}

/* at: of the block's first cell among this rank's. */
static cz_status evaluate_block(const evaluation_job *job, int thread, const cz_batch *batch,
                                int at)
{
    CZ_SPAN("blocks");
    cz_trainer *t = job->trainer;
    cz_outcome out = {0};
    for (int h = 0; h < t->heads; h++) {
        out.loss[h] = job->out.loss[h] + at;
        out.best[h] = job->out.best[h] + at;
        if (job->log_prob[h])
            out.logits[h] = cz_row_range(block_of_logits(job, thread, h), 0, batch->cells);
    }
    if (job->attention.sum) attention_follow(&out, &job->attention, thread);
    worker *w = &t->worker[thread];
    CZ_TRY(cz_model_evaluate(w->workspace, trainer_weights(t), batch, &out));
    int labels = cz_workspace_labels(w->workspace);
    w->evaluate_flops += cz_model_flops(t->setup.model, batch->cells, labels, false);
    w->evaluated += batch->cells;
    for (int h = 0; h < t->heads; h++)
        if (job->log_prob[h])
            evaluate_log_softmax(job->log_prob[h] + (size_t)at * (size_t)cz_cols(out.logits[h]),
                                 out.logits[h], batch->cells);
    return CZ_OK;
}

static cz_status evaluate_worker(void *context, int thread)
{
    const evaluation_job *job = context;
    cz_trainer *t = job->trainer;
    int n = t->held.count, end = blocks_begin(n, thread + 1, t->threads);
    for (int at = blocks_begin(n, thread, t->threads); at < end; at += EVALUATION_BLOCK) {
        int last = at + EVALUATION_BLOCK < n ? at + EVALUATION_BLOCK : n;
        cz_batch batch = row_set_batch(&t->held, t, at, last);
        CZ_TRY(evaluate_block(job, thread, &batch, job->first + at));
    }
    return CZ_OK;
}

/* Takes this rank's blocks to its threads, a portion after the other. Collective. */
static cz_status walk(evaluation_job *job, const evaluation_set *set)
{
    cz_trainer *t = job->trainer;
    const cz_comm *comm = t->setup.comm;
    int begin = blocks_begin(set->n, comm->rank, comm->size), mine = set->counts[comm->rank];
    int most = 0, size = portion_cells(t->setup.cells->width, t->threads * EVALUATION_BLOCK);
    for (int r = 0; r < comm->size; r++) most = set->counts[r] > most ? set->counts[r] : most;
    CZ_TRY(cz_comm_agree(comm, row_set_reserve(&t->held, t, mine < size ? mine : size)));
    for (job->first = 0; job->first < most; job->first += size) {
        int left = mine - job->first, count = left < size ? left : size;
        t->held.count = count > 0 ? count : 0;
        for (int i = 0; i < t->held.count; i++) t->held.row[i] = set->row[begin + job->first + i];
        CZ_TRY(row_set_fill(&t->held, t));
        CZ_TRY(cz_comm_agree(comm, t->gpu ? gpu_evaluate(job)
                                          : cz_pool_run(t->setup.pool, evaluate_worker, job)));
    }
    return CZ_OK;
}

static void job_free(evaluation_job *job)
{
    for (int h = 0; h < CZ_MAX_HEADS; h++) {
        free(job->out.loss[h]);
        free(job->out.best[h]);
        free(job->log_prob[h]);
        free(job->logits[h]);
    }
    free(job->attention.sum);
}

static float *log_probs(size_t n, const cz_trainer *t, int h)
{
    size_t classes = (size_t)cz_head_column(t->setup.cells, h)->classes;
    return cz_alloc(n * classes, sizeof(float), "the probabilities of an evaluation");
}

static cz_status job_allocate(evaluation_job *job, int cells, bool probabilities)
{
    const cz_trainer *t = job->trainer;
    size_t n = (size_t)cells, blocks = (size_t)t->threads * EVALUATION_BLOCK;
    for (int h = 0; h < t->heads; h++) {
        job->out.loss[h] = cz_alloc(n, sizeof(double), "an evaluation");
        job->out.best[h] = cz_alloc(n, sizeof(int32_t), "an evaluation");
        if (!job->out.loss[h] || !job->out.best[h]) return CZ_ERR_MEMORY;
        if (!probabilities) continue;
        size_t classes = (size_t)cz_head_column(t->setup.cells, h)->classes;
        job->log_prob[h] = log_probs(n, t, h);
        job->logits[h] = cz_alloc(blocks * classes, cz_dtype_size(t->dtype), "blocks of logits");
        if (!job->log_prob[h] || !job->logits[h]) return CZ_ERR_MEMORY;
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

/* attention: NULL, not wanted. */
static cz_status evaluate_set(cz_trainer *t, const evaluation_set *set, bool probabilities,
                              cz_evaluation *e, cz_attention *attention)
{
    evaluation_job job = {.trainer = t};
    cz_status status = job_allocate(&job, set->counts[t->setup.comm->rank], probabilities);
    if (!status) status = allocate_result(e, t, set, probabilities);
    if (!status && attention) status = attention_open(&job.attention, t);
    status = cz_comm_agree(t->setup.comm, status);
    if (!status) status = walk(&job, set);
    if (!status) status = gather(t, set, &job, e);
    if (!status && attention) status = attention_take(attention, &job.attention, t, set->n);
    t->facts.evaluated_cells += set->n;
    job_free(&job);
    if (!status) return CZ_OK;
    cz_evaluation_free(e);
    if (attention) cz_attention_free(attention);
    return status;
}

/* The cells that set->row names, which is freed. Collective. */
static cz_status evaluate(cz_trainer *t, evaluation_set *set, bool probabilities, cz_evaluation *e,
                          cz_attention *attention)
{
    double started = MPI_Wtime();
    *e = (cz_evaluation){0};
    if (attention) *attention = (cz_attention){0};
    cz_status status = cz_comm_agree(t->setup.comm, divide(set, t->setup.comm));
    if (!status) status = evaluate_set(t, set, probabilities, e, attention);
    set_free(set);
    t->facts.evaluate_seconds += MPI_Wtime() - started;
    return status;
}

cz_status cz_trainer_evaluate(cz_trainer *t, cz_split part, bool probabilities, cz_evaluation *e,
                              cz_attention *attention)
{
    CZ_PHASE("evaluate");
    const cz_cells *cells = t->setup.cells;
    evaluation_set set = {0};
    for (int i = 0; i < cells->n; i++) set.n += cells->split[i] == part;
    set.row = cz_alloc((size_t)set.n, sizeof *set.row, "the cells to evaluate");
    for (int i = 0, k = 0; i < cells->n && set.row; i++)
        if (cells->split[i] == part) set.row[k++] = i;
    return evaluate(t, &set, probabilities, e, attention);
}

cz_status cz_trainer_evaluate_rows(cz_trainer *t, const int32_t *row, int n, cz_evaluation *e)
{
    CZ_PHASE("evaluate");
    evaluation_set set = {.n = n, .row = cz_alloc((size_t)n, sizeof *row, "the cells to evaluate")};
    if (set.row) memcpy(set.row, row, (size_t)n * sizeof *row);
    return evaluate(t, &set, true, e, NULL);
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
