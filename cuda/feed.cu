/* What changes from step to step where a step is replayed: its record. */
#include "device.h"

/* One block: all of it has read the cursor before it moves. */
static __global__ void next_record(uint4 *current, const uint4 *records, int words, int32_t *cursor)
{
    const uint4 *record = records + (size_t)*cursor * (size_t)words;
    for (int i = (int)threadIdx.x; i < words; i += (int)blockDim.x) current[i] = record[i];
    __syncthreads();
    if (threadIdx.x == 0) ++*cursor;
}

cz_status feed_step(cz_gpu *gpu, void *current, const void *records, size_t bytes, int32_t *cursor)
{
    cz_exec exec = exec_on(gpu);
    CZ_TRY(join_deferred(gpu));
    return launch(&exec, "feed", next_record, dim3(1), 1024, 0, (uint4 *)current,
                  (const uint4 *)records, (int)(bytes / sizeof(uint4)), cursor);
}
