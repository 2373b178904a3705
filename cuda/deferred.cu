/* The queue of work for the end of a step, on the host: what is noted, what of it is under way on
 * the second stream, and who has to wait for it; and operations that are done there at once. */
#include "device.h"

#include <climits>

/* Work that is worth a launch beside others: blocks for each multiprocessor. The launch then has
 * one block on each of them, so that there is room for the others. */
enum { ENOUGH = 3, ALL = INT_MAX };

cz_status deferred_open(device *d)
{
    deferred_queue *q = &d->deferred;
    d->current = d->stream;
    CZ_TRY(cuda_status(&d->shown, "a stream",
                       cudaStreamCreateWithFlags(&q->stream, cudaStreamNonBlocking)));
    CZ_TRY(cuda_status(&d->shown, "an event",
                       cudaEventCreateWithFlags(&q->begun, cudaEventDisableTiming)));
    for (cudaEvent_t &done : q->done)
        CZ_TRY(cuda_status(&d->shown, "an event",
                           cudaEventCreateWithFlags(&done, cudaEventDisableTiming)));
    return CZ_OK;
}

void deferred_close(device *d)
{
    deferred_queue *q = &d->deferred;
    for (cudaEvent_t done : q->done)
        if (done) cudaEventDestroy(done);
    if (q->begun) cudaEventDestroy(q->begun);
    if (q->stream) cudaStreamDestroy(q->stream);
}

/* ---- what is under way ---- */

static bool is_noted(const deferred_queue *q, const deferred_note *n)
{
    return n - q->note >= q->notes - q->work.count;
}

/* What follows on the first stream waits for batch i, and with it for all before. */
static cz_status wait_for_batch(device *d, int i)
{
    deferred_queue *q = &d->deferred;
    cudaError_t error = cudaStreamWaitEvent(d->stream, q->done[i], 0);
    int kept = 0;
    for (int n = 0; n < q->notes; n++)
        if (q->note[n].batch > i) q->note[kept++] = q->note[n];
    q->notes = kept;
    if (i + 1 == q->count) {
        q->count = 0;
        for (int n = 0; n < q->notes; n++) q->note[n].batch = 0;
    }
    return cuda_status(&d->shown, "waiting for deferred work", error);
}

/* Work is asked for on the second stream, behind all that the first was asked for. */
static cz_status begin_batch(device *d)
{
    deferred_queue *q = &d->deferred;
    CZ_TRY(take_moves(&d->shown));
    CZ_TRY(cuda_status(&d->shown, "deferred work", cudaEventRecord(q->begun, d->stream)));
    CZ_TRY(cuda_status(&d->shown, "deferred work", cudaStreamWaitEvent(q->stream, q->begun, 0)));
    d->current = q->stream;
    return CZ_OK;
}

/* What was asked for since is a batch, with this status. */
static cz_status end_batch(device *d, cz_status status)
{
    deferred_queue *q = &d->deferred;
    d->current = d->stream;
    if (!status)
        status =
            cuda_status(&d->shown, "deferred work", cudaEventRecord(q->done[q->count], q->stream));
    if (status) { /* nothing of it can be waited for */
        q->work.count = q->work.blocks = q->notes = q->count = 0;
        return status;
    }
    q->count++;
    return q->count == MOST_BATCHES ? wait_for_batch(d, q->count - 1) : CZ_OK;
}

/* All that is noted becomes a batch, by at most so many blocks. */
static cz_status ask_for_noted(device *d, int most)
{
    deferred_queue *q = &d->deferred;
    cz_exec exec = exec_on(&d->shown);
    if (!q->work.count) return CZ_OK;
    CZ_TRY(begin_batch(d));
    cz_status status = run_deferred(&exec, q->work, q->dtype, most);
    q->work.count = q->work.blocks = 0;
    return end_batch(d, status);
}

cz_status join_deferred(const cz_gpu *gpu)
{
    device *d = device_of(gpu);
    CZ_TRY(take_moves(gpu));
    CZ_TRY(ask_for_noted(d, ALL));
    return d->deferred.count ? wait_for_batch(d, d->deferred.count - 1) : CZ_OK;
}

span::span(cz_tensor t) : span()
{
    if (!t.data || !cz_rows(t) || !cz_cols(t)) return;
    ptrdiff_t last = (ptrdiff_t)(cz_rows(t) - 1) * t.ld + cz_cols(t);
    *this = span(t.data, (size_t)last * cz_dtype_size(t.dtype));
}

/* Whether a note stands in the way of who writes, or only reads, this. */
static bool in_the_way(const deferred_note &n, const span &s, bool writes)
{
    for (int i = 0; i < (writes ? n.count : n.written); i++)
        if (overlap(s, n.touched[i])) return true;
    return false;
}

cz_status settle(const cz_exec *exec, std::initializer_list<span> written,
                 std::initializer_list<span> read)
{
    device *d = device_of(exec->gpu);
    deferred_queue *q = &d->deferred;
    int batch = -1;
    bool noted = false;
    for (const deferred_note *n = q->note; n < q->note + q->notes; n++) {
        bool waits = false;
        for (const span &s : written) waits = waits || in_the_way(*n, s, true);
        for (const span &s : read) waits = waits || in_the_way(*n, s, false);
        if (!waits) continue;
        noted = noted || is_noted(q, n);
        if (batch < n->batch) batch = n->batch;
    }
    if (noted) return join_deferred(exec->gpu);
    return batch >= 0 ? wait_for_batch(d, batch) : CZ_OK;
}

/* ---- notes ---- */

/* Whether a job must come after one that is noted: in one launch none does. */
static bool comes_after(const deferred_queue *q, const deferred_note &note)
{
    for (const deferred_note *n = q->note; n < q->note + q->notes; n++)
        for (int i = 0; is_noted(q, n) && i < note.count; i++)
            if (in_the_way(*n, note.touched[i], i < note.written)) return true;
    return false;
}

static deferred_note note_of(std::initializer_list<span> written, std::initializer_list<span> read)
{
    deferred_note note = {};
    for (const span &t : written) note.touched[note.count++] = t;
    note.written = note.count;
    for (const span &t : read) note.touched[note.count++] = t;
    return note;
}

static cz_status defer(const cz_gpu *gpu, cz_dtype dtype, deferred_job job,
                       std::initializer_list<span> written, std::initializer_list<span> read)
{
    device *d = device_of(gpu);
    deferred_queue *q = &d->deferred;
    deferred_note note = note_of(written, read);
    job.blocks = blocks_of(job, dtype);
    if (!job.blocks) return CZ_OK;
    if (q->dtype != dtype || q->work.count == MOST_DEFERRED || comes_after(q, note))
        CZ_TRY(ask_for_noted(d, ALL));
    q->dtype = dtype;
    note.batch = q->count;
    q->note[q->notes++] = note;
    q->work.job[q->work.count++] = job;
    q->work.blocks += job.blocks;
    return q->work.blocks >= ENOUGH * d->multiprocessors ? ask_for_noted(d, d->multiprocessors)
                                                         : CZ_OK;
}

/* ---- operations beside others ---- */

cz_status begin_beside(const cz_exec *exec, std::initializer_list<span> written,
                       std::initializer_list<span> read)
{
    device *d = device_of(exec->gpu);
    deferred_queue *q = &d->deferred;
    deferred_note note = note_of(written, read);
    if (comes_after(q, note)) CZ_TRY(ask_for_noted(d, ALL));
    CZ_TRY(begin_batch(d));
    /* Before those that are noted only, which come with the next batch. */
    deferred_note *at = q->note + q->notes - q->work.count;
    for (deferred_note *n = q->note + q->notes++; n > at; n--) {
        *n = n[-1];
        n->batch++;
    }
    note.batch = q->count;
    *at = note;
    return CZ_OK;
}

cz_status end_beside(const cz_exec *exec, cz_status status)
{
    return end_batch(device_of(exec->gpu), status);
}

/* ---- jobs ---- */

static bool in_sixteens(cz_tensor t, int step)
{
    size_t size = cz_dtype_size(t.dtype);
    return ((uintptr_t)t.data | (size_t)t.ld * size | (size_t)step * size) % 16 == 0;
}

cz_status defer_products(cz_exec *exec, side_by_side sum, cz_tensor columns, side_by_side a,
                         side_by_side b, int batches, bool add)
{
    deferred_job job = {deferred_job::PRODUCT, 0, {}};
    job.product = {a.all.data,
                   b.all.data,
                   (float *)sum.all.data,
                   (float *)columns.data,
                   cz_rows(a.all),
                   a.cols,
                   b.cols,
                   batches,
                   a.all.ld,
                   b.all.ld,
                   sum.all.ld,
                   a.step,
                   b.step,
                   sum.step,
                   add,
                   in_sixteens(a.all, a.step) && in_sixteens(b.all, b.step)};
    return defer(exec->gpu, a.all.dtype, job, {sum.all, columns}, {a.all, b.all});
}

cz_status defer_norm(cz_exec *exec, cz_tensor dgain, cz_tensor dbias, cz_tensor dy, cz_tensor s,
                     cz_tensor mean, cz_tensor rstd)
{
    deferred_job job = {deferred_job::NORM, 0, {}};
    job.norm = {dy.data,
                s.data,
                (const float *)mean.data,
                (const float *)rstd.data,
                (float *)dgain.data,
                (float *)dbias.data,
                cz_rows(dy),
                cz_cols(dy),
                dy.ld,
                s.ld,
                in_sixteens(dy, 0) && in_sixteens(s, 0)};
    return defer(exec->gpu, dy.dtype, job, {dgain, dbias}, {dy, s, mean, rstd});
}

cz_status defer_cells(cz_exec *exec, cz_tensor latents, const cz_tensor vector[3], cz_tensor left,
                      int width)
{
    deferred_job job = {deferred_job::CELLS, 0, {}};
    job.of_cells = {(const float *)left.data,
                    (float *)latents.data,
                    {(float *)vector[0].data, (float *)vector[1].data, (float *)vector[2].data},
                    cz_rows(left),
                    cz_rows(latents),
                    cz_cols(latents),
                    width,
                    latents.ld};
    return defer(exec->gpu, device_of(exec->gpu)->deferred.dtype, job,
                 {latents, vector[0], vector[1], vector[2]}, {left});
}

cz_status defer_scores(cz_gpu *gpu, double *sums, const int32_t *cursor,
                       const cz_gpu_scored *scored)
{
    for (int h = 0; h < scored->heads; h++) {
        deferred_job job = {deferred_job::SCORES, 0, {}};
        job.scores = {
            sums,          cursor, scored->code[h], scored->best[h], scored->loss[h], scored->cells,
            scored->heads, h};
        size_t cells = (size_t)scored->cells;
        CZ_TRY(defer(gpu, device_of(gpu)->deferred.dtype, job, {},
                     {span(scored->loss[h], cells * sizeof(double)),
                      span(scored->best[h], cells * sizeof(int32_t)),
                      span(scored->code[h], cells * sizeof(int32_t))}));
    }
    return CZ_OK;
}
