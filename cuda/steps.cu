/* What changes from step to step where a step is replayed: its record, and what it predicted. */
#include "device.h"

enum { THREADS = 256 };

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
    cz_exec exec = {nullptr, nullptr, nullptr, gpu};
    CZ_TRY(join_beside(gpu));
    return launch(&exec, "feed", next_record, dim3(1), 1024, 0, (uint4 *)current,
                  (const uint4 *)records, (int)(bytes / sizeof(uint4)), cursor);
}

/* A head a block. A thread takes every THREADS-th cell, then pairs of threads add up. */
static __global__ void add_scores(double *sums, const int32_t *cursor, cz_gpu_scored s)
{
    double(*part)[3] = (double(*)[3])shared_memory();
    int h = (int)blockIdx.x, i = (int)threadIdx.x;
    double own[3] = {0, 0, 0};
    for (int b = i; b < s.cells; b += THREADS) {
        int code = s.code[h][b];
        if (code < 0) continue;
        own[0] += s.loss[h][b];
        own[1] += s.best[h][b] == code;
        own[2] += 1;
    }
    for (int j = 0; j < 3; j++) part[i][j] = own[j];
    for (int half = THREADS / 2; half; half /= 2) {
        __syncthreads();
        for (int j = 0; j < 3 && i < half; j++) part[i][j] += part[i + half][j];
    }
    __syncthreads();
    if (i < 3) sums[3 * ((size_t)(*cursor - 1) * (size_t)s.heads + h) + i] = part[0][i];
}

cz_status score_step(cz_gpu *gpu, double *sums, const int32_t *cursor, const cz_gpu_scored *scored)
{
    cz_exec exec = {nullptr, nullptr, nullptr, gpu};
    return launch(&exec, "score", add_scores, dim3((unsigned)scored->heads), THREADS,
                  3 * THREADS * sizeof(double), sums, cursor, *scored);
}
