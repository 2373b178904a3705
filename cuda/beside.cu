/* Gradients of weights are for the end of a step, and products of a batch fill a part of a GPU
 * only: they run on a second stream, beside the way back through the layers. It waits for what they
 * read; who overwrites that waits for them, and so does the end of the step. A recorded step keeps
 * all of this as its graph's edges. */
#include "device.h"

cz_status beside_open(device *d)
{
    beside_work *w = &d->beside;
    d->current = d->stream;
    CZ_TRY(cuda_status(&d->shown, "a stream",
                       cudaStreamCreateWithFlags(&w->stream, cudaStreamNonBlocking)));
    CZ_TRY(cuda_status(&d->shown, "an event",
                       cudaEventCreateWithFlags(&w->begun, cudaEventDisableTiming)));
    for (cudaEvent_t &done : w->done)
        CZ_TRY(cuda_status(&d->shown, "an event",
                           cudaEventCreateWithFlags(&done, cudaEventDisableTiming)));
    return CZ_OK;
}

void beside_close(device *d)
{
    beside_work *w = &d->beside;
    for (cudaEvent_t done : w->done)
        if (done) cudaEventDestroy(done);
    if (w->begun) cudaEventDestroy(w->begun);
    if (w->stream) cudaStreamDestroy(w->stream);
}

/* Work on the first stream goes on once number i beside it, and with it all before, is done. */
static cz_status wait_until(device *d, int i)
{
    beside_work *w = &d->beside;
    w->first = i + 1;
    cudaError_t error = cudaStreamWaitEvent(d->stream, w->done[i], 0);
    if (w->first == w->count) w->first = w->count = 0;
    return cuda_status(&d->shown, "waiting for work beside", error);
}

cz_status join_beside(const cz_gpu *gpu)
{
    device *d = device_of(gpu);
    return d->beside.count ? wait_until(d, d->beside.count - 1) : CZ_OK;
}

cz_status begin_beside(const cz_gpu *gpu)
{
    device *d = device_of(gpu);
    beside_work *w = &d->beside;
    if (w->count == MOST_BESIDE) CZ_TRY(join_beside(gpu));
    CZ_TRY(cuda_status(gpu, "work beside", cudaEventRecord(w->begun, d->stream)));
    CZ_TRY(cuda_status(gpu, "work beside", cudaStreamWaitEvent(w->stream, w->begun, 0)));
    d->current = w->stream;
    return CZ_OK;
}

cz_status end_beside(const cz_gpu *gpu, cz_status status, cz_tensor a, cz_tensor b)
{
    device *d = device_of(gpu);
    beside_work *w = &d->beside;
    d->current = d->stream;
    w->reads[w->count][0] = a;
    w->reads[w->count][1] = b;
    cudaError_t error = cudaEventRecord(w->done[w->count++], w->stream);
    return status ? status : cuda_status(gpu, "work beside", error);
}

static bool overlap(cz_tensor a, cz_tensor b)
{
    const char *a0 = (const char *)a.data, *b0 = (const char *)b.data;
    if (!a0 || !b0) return false;
    size_t a_size = (size_t)cz_rows(a) * (size_t)a.ld * cz_dtype_size(a.dtype);
    size_t b_size = (size_t)cz_rows(b) * (size_t)b.ld * cz_dtype_size(b.dtype);
    return a0 < b0 + b_size && b0 < a0 + a_size;
}

cz_status settle(const cz_exec *exec, std::initializer_list<cz_tensor> written)
{
    device *d = device_of(exec->gpu);
    const beside_work *w = &d->beside;
    for (int i = w->count - 1; i >= w->first; i--)
        for (const cz_tensor &t : written)
            if (overlap(t, w->reads[i][0]) || overlap(t, w->reads[i][1])) return wait_until(d, i);
    return CZ_OK;
}
