/* An evaluation's cells on a GPU, in blocks that are asked for one after the other. */
#include "gpu.h"

#include "czhpc/profile.h"

#include <stdlib.h>
#include <string.h>

static cz_status move_numbers(const gpu_state *g, void *to, const void *from, int count)
{
    return cz_gpu_move(g->gpu, to, from, (size_t)count * sizeof(int32_t));
}

/* The last block may be a smaller one. */
static int cells_of_block(const cz_trainer *t, int block)
{
    int size = t->gpu->evaluation_block, left = t->held.count - block * size;
    return left < size ? left : size;
}

/* Slots of every block, numbered in its own order. */
static cz_status upload_slots(cz_trainer *t, int blocks, int slots)
{
    gpu_state *g = t->gpu;
    const row_set *held = &t->held;
    size_t cells = (size_t)held->count, labels = (size_t)blocks * (size_t)slots;
    int32_t *slot = cz_alloc(cells + labels, sizeof *slot, "the labels of an evaluation");
    if (!slot) return CZ_ERR_MEMORY;
    int32_t *label = slot + cells;
    cz_status status = CZ_OK;
    for (int i = 0; i < blocks && !status; i++) {
        int at = i * g->evaluation_block, used;
        status = cz_assign_slots(slot + at, label + (size_t)i * (size_t)slots, &used, g->slot_of,
                                 held->label + at, cells_of_block(t, i), cz_rows(g->text), slots);
    }
    if (!status) status = move_numbers(g, g->slot, slot, held->count);
    if (!status) status = move_numbers(g, g->slot_label, label, blocks * slots);
    if (!status) status = cz_gpu_wait(g->gpu);
    free(slot);
    return status;
}

static cz_status upload(cz_trainer *t, int blocks, int slots)
{
    gpu_state *g = t->gpu;
    const row_set *held = &t->held;
    size_t x = (size_t)held->count * (size_t)t->setup.cells->width * sizeof *g->x;
    CZ_TRY(cz_gpu_wait_for(g->gpu, g->half)); /* what was staged there is used up */
    memcpy(g->x_staged[g->half], held->x, x);
    CZ_TRY(cz_gpu_move(g->gpu, g->x, g->x_staged[g->half], x));
    CZ_TRY(move_numbers(g, g->row, held->place, held->count));
    CZ_TRY(move_numbers(g, g->cell, held->cell, held->count));
    for (int h = 0; h < t->heads; h++)
        CZ_TRY(move_numbers(g, g->code[h], held->code[h], held->count));
    return g->text.data ? upload_slots(t, blocks, slots) : CZ_OK;
}

static cz_tensor logits_of(const cz_trainer *t, int head)
{
    return cz_matrix(t->gpu->logits[head], t->dtype, t->gpu->capacity,
                     cz_head_column(t->setup.cells, head)->classes);
}

static cz_status ask_for_block(const evaluation_job *job, int block, int slots)
{
    const cz_trainer *t = job->trainer;
    const gpu_state *g = t->gpu;
    int at = block * g->evaluation_block, cells = cells_of_block(t, block);
    cz_batch batch = {.cells = cells,
                      .x = cz_matrix(g->x, CZ_F32, g->capacity, t->setup.cells->width),
                      .row = g->row + at,
                      .cell = g->cell + at};
    cz_outcome out = {0};
    for (int h = 0; h < t->heads; h++) {
        batch.code[h] = g->code[h] + at;
        out.loss[h] = g->loss[h] + at;
        out.best[h] = g->best[h] + at;
        if (job->log_prob[h]) out.logits[h] = cz_row_range(logits_of(t, h), at, cells);
    }
    if (g->text.data) {
        batch.slot = g->slot + at;
        batch.slot_label = g->slot_label + (size_t)block * (size_t)slots;
        batch.slots = slots;
    }
    if (job->attention.sum) {
        out.resampler_attention = g->tally;
        if (job->attention.cross) out.fusion_attention = g->tally + job->attention.pool;
    }
    return cz_model_evaluate(g->workspace, (cz_weights){g->w, g->copy}, &batch, &out);
}

static cz_status download_logits(const evaluation_job *job, int head)
{
    const cz_trainer *t = job->trainer;
    const gpu_state *g = t->gpu;
    cz_tensor logits = cz_row_range(logits_of(t, head), 0, t->held.count);
    size_t bytes = (size_t)t->held.count * (size_t)cz_cols(logits) * cz_dtype_size(t->dtype);
    void *here = malloc(bytes + !bytes);
    if (!here) return cz_fail(CZ_ERR_MEMORY, "no memory for the probabilities of an evaluation");
    cz_status status = cz_gpu_move(g->gpu, here, logits.data, bytes);
    if (!status) status = cz_gpu_wait(g->gpu);
    logits.data = here;
    if (!status)
        evaluate_log_softmax(job->log_prob[head] + (size_t)job->first * (size_t)cz_cols(logits),
                             logits, t->held.count);
    free(here);
    return status;
}

static cz_status download(const evaluation_job *job)
{
    const cz_trainer *t = job->trainer;
    const gpu_state *g = t->gpu;
    size_t count = (size_t)t->held.count;
    for (int h = 0; h < t->heads; h++) {
        CZ_TRY(
            cz_gpu_move(g->gpu, job->out.loss[h] + job->first, g->loss[h], count * sizeof(double)));
        CZ_TRY(move_numbers(g, job->out.best[h] + job->first, g->best[h], t->held.count));
        if (job->log_prob[h]) CZ_TRY(download_logits(job, h));
    }
    return cz_gpu_wait(g->gpu);
}

/* The maps' sums go up before a portion and come back after it. */
static cz_status move_tally(const evaluation_job *job, bool up)
{
    const gpu_state *g = job->trainer->gpu;
    const attention_sums *a = &job->attention;
    size_t bytes = (a->pool + a->cross) * sizeof *a->sum;
    if (!a->sum) return CZ_OK;
    return up ? cz_gpu_move(g->gpu, g->tally, a->sum, bytes)
              : cz_gpu_move(g->gpu, a->sum, g->tally, bytes);
}

static cz_status evaluate_held(evaluation_job *job, int blocks, int slots)
{
    CZ_TRY(upload(job->trainer, blocks, slots));
    CZ_TRY(move_tally(job, true));
    for (int i = 0; i < blocks; i++) CZ_TRY(ask_for_block(job, i, slots));
    CZ_TRY(move_tally(job, false));
    return download(job);
}

cz_status gpu_evaluate(evaluation_job *job)
{
    CZ_SPAN("blocks");
    cz_trainer *t = job->trainer;
    gpu_state *g = t->gpu;
    int size = g->evaluation_block, blocks = (t->held.count + size - 1) / size;
    int slots = g->text.data ? slot_count(cz_rows(g->text), size) : 0;
    if (!blocks) return CZ_OK;
    cz_status status = evaluate_held(job, blocks, slots);
    if (status) {
        cz_gpu_wait(g->gpu); /* copies into the job's memory, which goes now */
        return status;
    }
    t->worker[0].evaluate_flops += cz_model_flops(t->setup.model, t->held.count, slots, false);
    t->worker[0].evaluated += t->held.count;
    return CZ_OK;
}
