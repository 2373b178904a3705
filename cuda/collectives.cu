/* A group of GPUs, one of each rank: sums by NCCL. */
#include "device.h"

#include <cstring>

static_assert(sizeof(ncclUniqueId) == (size_t)CZ_GPU_ID_BYTES, "gpu.h must hold NCCL's id");

static cz_status group_status(const cz_gpu *gpu, const char *what, ncclResult_t error)
{
    if (error == ncclSuccess) return CZ_OK;
    return cz_fail(CZ_ERR_DEVICE, "GPU %d (%s): %s failed: NCCL says %s", gpu->number, gpu->name,
                   what, ncclGetErrorString(error));
}

cz_status group_id(char id[CZ_GPU_ID_BYTES])
{
    ncclUniqueId made;
    ncclResult_t error = ncclGetUniqueId(&made);
    if (error)
        return cz_fail(CZ_ERR_DEVICE, "the GPUs cannot be brought together: NCCL says %s",
                       ncclGetErrorString(error));
    memcpy(id, made.internal, CZ_GPU_ID_BYTES);
    return CZ_OK;
}

cz_status group_join(cz_gpu *gpu, const char id[CZ_GPU_ID_BYTES], int rank, int size)
{
    ncclUniqueId of;
    memcpy(of.internal, id, CZ_GPU_ID_BYTES);
    device *d = device_of(gpu);
    cpu_set_t bound;
    group_leave(d); /* that of a run before */
    /* NCCL's threads take over where this one may run, which by now may be a single core. */
    bool known = !sched_getaffinity(0, sizeof bound, &bound);
    if (known) sched_setaffinity(0, sizeof d->cores, &d->cores);
    ncclResult_t error = ncclCommInitRank(&d->group, size, of, rank);
    if (known) sched_setaffinity(0, sizeof bound, &bound);
    return group_status(gpu, "joining the others", error);
}

cz_status group_sum(cz_gpu *gpu, void *data, size_t n, cz_dtype dtype)
{
    device *d = device_of(gpu);
    CZ_TRY(join_deferred(gpu));
    ncclDataType_t type = dtype == CZ_F64 ? ncclFloat64 : ncclFloat32;
    return group_status(gpu, "summing over ranks",
                        ncclAllReduce(data, data, n, type, ncclSum, d->group, d->stream));
}

/* Far longer than any portion of steps, reading and all. */
static int patience()
{
    const int seconds = 600;
#ifdef CZ_EMULATED
    return cz_emulated_patience(seconds);
#else
    return seconds;
#endif
}

cz_status group_check(const cz_gpu *gpu, double seconds)
{
    ncclResult_t inside = ncclSuccess,
                 error = ncclCommGetAsyncError(device_of(gpu)->group, &inside);
    if (!error && inside != ncclInProgress) error = inside;
    if (error)
        return cz_fail(CZ_ERR_LOST,
                       "GPU %d (%s): a sum over ranks failed: NCCL says %s; see the nodes' logs, "
                       "then go on with --resume",
                       gpu->number, gpu->name, ncclGetErrorString(error));
    if (seconds < patience()) return CZ_OK;
    return cz_fail(CZ_ERR_LOST,
                   "GPU %d (%s): a rank or its GPU has stopped answering: no sum over ranks in %d "
                   "seconds; see the nodes' logs (dmesg, nvidia-smi), then go on with --resume",
                   gpu->number, gpu->name, patience());
}

void group_abort(device *d)
{
    if (d->group) ncclCommAbort(d->group);
    d->group = nullptr;
}

void group_leave(device *d)
{
    if (d->group) ncclCommDestroy(d->group);
    d->group = nullptr;
}
