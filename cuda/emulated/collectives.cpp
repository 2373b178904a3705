/* NCCL among processes of one node: a group meets in shared memory that its id names. Sums are
 * taken in the order of the ranks, so every rank has the same bits. */
#include "nccl.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace
{

enum : size_t { PART = 1 << 20 }; /* bytes of a rank that are summed at once */
enum { MOST_RANKS = 16, PATIENCE = 60, LONG = 600 };

struct meeting {
    std::atomic<int> arrived, round, broken;
    alignas(64) unsigned char part[MOST_RANKS][PART];
};

/* Waits for all ranks; false where one does not come. */
bool meet(meeting *m, int ranks)
{
    enum { NAP = 50 };
    int round = m->round;
    if (++m->arrived == ranks) {
        m->arrived = 0;
        m->round++;
        return !m->broken;
    }
    time_t end = time(nullptr) + cz_emulated_patience(LONG);
    while (m->round == round && !m->broken && time(nullptr) <= end) usleep(NAP);
    if (m->round == round) m->broken = 1;
    return m->round != round;
}

template <typename T> void sum_parts(const meeting *m, int ranks, T *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        T sum = ((const T *)m->part[0])[i];
        for (int r = 1; r < ranks; r++) sum += ((const T *)m->part[r])[i];
        to[i] = sum;
    }
}

} // namespace

struct cz_emulated_group {
    meeting *shared;
    int rank, ranks;
    cudaStream_t stream; /* of its last sum */
    bool lost;           /* another rank, as NCCL notices */
};

static cudaError_t sum_all(cz_emulated_group *g, const unsigned char *from, unsigned char *to,
                           size_t bytes, ncclDataType_t type)
{
    meeting *m = g->shared;
    for (size_t at = 0; at < bytes; at += PART) {
        size_t part = bytes - at < PART ? bytes - at : (size_t)PART;
        memcpy(m->part[g->rank], from + at, part);
        if (!meet(m, g->ranks)) return cudaErrorNotReady;
        if (type == ncclFloat64) sum_parts(m, g->ranks, (double *)(to + at), part / sizeof(double));
        else sum_parts(m, g->ranks, (float *)(to + at), part / sizeof(float));
        if (!meet(m, g->ranks)) return cudaErrorNotReady;
    }
    return cudaSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memset(id, 0, sizeof *id);
    snprintf(id->internal, sizeof id->internal, "/czhpc-emulated-%d-%lld", (int)getpid(),
             (long long)now.tv_sec * 1000000000 + now.tv_nsec);
    return ncclSuccess;
}

/* Rank 0 makes the place, the others wait for it; once all are there its name goes. */
ncclResult_t ncclCommInitRank(ncclComm_t *group, int size, ncclUniqueId id, int rank)
{
    if (size < 1 || size > MOST_RANKS || rank < 0 || rank >= size) return ncclInvalidArgument;
    int file = -1;
    struct stat about = {};
    for (int tries = 0; tries < PATIENCE * 100; tries++) {
        file = shm_open(id.internal, rank ? O_RDWR : O_RDWR | O_CREAT | O_EXCL, 0600);
        if (file >= 0 && !rank && ftruncate(file, sizeof(meeting))) return ncclSystemError;
        if (file >= 0 && !fstat(file, &about) && about.st_size == (off_t)sizeof(meeting)) break;
        if (file >= 0) close(file);
        file = -1;
        usleep(10000);
    }
    if (file < 0) return ncclSystemError;
    void *at = mmap(nullptr, sizeof(meeting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (at == MAP_FAILED) return ncclSystemError;
    meeting *m = (meeting *)at;
    if (!meet(m, size)) return ncclSystemError;
    if (!rank) shm_unlink(id.internal);
    *group = new cz_emulated_group{m, rank, size, nullptr, false};
    return ncclSuccess;
}

/* Where a graph that sums is still there, NCCL waits for its end. */
ncclResult_t ncclCommDestroy(ncclComm_t group)
{
    if (cz_emulated_graphs_that_sum()) {
        fprintf(stderr, "emulated GPU: a group is left, and a graph that sums in it is there\n");
        abort();
    }
    munmap(group->shared, sizeof(meeting));
    delete group;
    return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t group)
{
    if (group->stream) cz_emulated_release(group->stream);
    return ncclCommDestroy(group);
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t group, ncclResult_t *error)
{
    *error = group->lost ? ncclRemoteError : ncclSuccess;
    return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclRedOp_t, ncclComm_t group, cudaStream_t stream)
{
    size_t bytes = count * (type == ncclFloat64 ? sizeof(double) : sizeof(float));
    group->stream = stream;
    cudaError_t error = cz_emulated_enqueue(stream, "allreduce", [=] {
        group->lost = cz_emulated_fault("remote");
        if (group->lost || cz_emulated_fault("nccl")) return cudaErrorNotReady;
        return sum_all(group, (const unsigned char *)from, (unsigned char *)to, bytes, type);
    });
    return error ? ncclUnhandledCudaError : ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t error)
{
    if (error == ncclRemoteError) return "remote process exited or there was a network error";
    return error == ncclSuccess ? "no error" : error == ncclSystemError ? "system error" : "error";
}
