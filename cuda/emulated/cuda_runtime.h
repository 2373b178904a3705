/* The part of CUDA's runtime that czhpc uses, on a CPU: so that every kernel of cuda/ runs where
 * there is no GPU. Found before the real header by -Icuda/emulated.
 *
 * A block is in work at a time, each of its threads a fiber that runs until it has to wait for
 * others. Shared and device memory hold NaN before they are written; a launch that asks for more
 * than an sm_90 has, a barrier that not all threads of a block reach, and a call that may not be
 * recorded into a graph are errors, as on a device. What is not there: tensor-core instructions,
 * asynchronous copies into shared memory, the memory model between blocks (they run in turn, in
 * another order from launch to launch). */
#ifndef CZ_EMULATED_CUDA_RUNTIME_H
#define CZ_EMULATED_CUDA_RUNTIME_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#define CZ_EMULATED 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __restrict__ __restrict
#define __launch_bounds__(...)

struct uint3 {
    unsigned x, y, z;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

/* Of the fiber at work. */
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

/* Dynamic shared memory of the block at work, 128-byte aligned: the only kind there is here. */
unsigned char *cz_emulated_shared();

/* Waits for the block. Barriers go by their line: of one of them a compiler may make several calls.
 */
void cz_emulated_barrier(int line);
#define __syncthreads() cz_emulated_barrier(__LINE__)

/* Gives `value` (at most 8 bytes) to lane `to` of each lane's choice. */
uint64_t cz_emulated_exchange(unsigned lanes, uint64_t value, int from);
unsigned cz_emulated_lane();
void cz_emulated_wait_warp(unsigned lanes);
void cz_emulated_fence();
void cz_emulated_see_fences();

template <typename T> T cz_emulated_shuffle(unsigned lanes, T value, int from)
{
    static_assert(sizeof(T) <= sizeof(uint64_t), "a shuffle moves at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = cz_emulated_exchange(lanes, bits, from);
    memcpy(&value, &bits, sizeof value);
    return value;
}
template <typename T> T __shfl_sync(unsigned lanes, T value, int from, int width = 32)
{
    int own = (int)cz_emulated_lane();
    return cz_emulated_shuffle(lanes, value, (own & ~(width - 1)) + (from & (width - 1)));
}
template <typename T> T __shfl_xor_sync(unsigned lanes, T value, int mask, int width = 32)
{
    (void)width;
    return cz_emulated_shuffle(lanes, value, (int)cz_emulated_lane() ^ mask);
}
inline void __syncwarp(unsigned lanes = 0xffffffffu) { cz_emulated_wait_warp(lanes); }

/* Threads run in turn, and who looks for races (races.h) is to see these as what they are. */
template <typename T> T atomicAdd(T *at, T value)
{
    return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}
inline unsigned atomicInc(unsigned *at, unsigned most)
{
    unsigned before = __atomic_load_n(at, __ATOMIC_RELAXED);
    __atomic_store_n(at, before >= most ? 0 : before + 1, __ATOMIC_RELAXED);
    cz_emulated_see_fences();
    return before;
}
inline void __threadfence() { cz_emulated_fence(); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float normcdff(float x) { return 0.5f * erfcf(-x * 0.70710678f); }
inline float __expf(float x) { return expf(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
template <typename T> T min(T a, T b) { return a < b ? a : b; }
template <typename T> T max(T a, T b) { return a > b ? a : b; }

/* The host's side. */
typedef enum cudaError {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorNotReady = 600,
    cudaErrorLaunchFailure = 719,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901,
    cudaErrorStreamCaptureUnjoined = 904
} cudaError_t;
const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();

typedef struct cz_emulated_stream *cudaStream_t;
typedef struct cz_emulated_graph *cudaGraph_t;
typedef struct cz_emulated_graph_exec *cudaGraphExec_t;
typedef struct cz_emulated_node *cudaGraphNode_t;
typedef struct cz_emulated_event *cudaEvent_t;

enum cudaMemcpyKind {
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
};
enum cudaStreamCaptureMode {
    cudaStreamCaptureModeGlobal,
    cudaStreamCaptureModeThreadLocal,
    cudaStreamCaptureModeRelaxed
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum { cudaMemAttachGlobal = 1, cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };

struct cudaUUID_t {
    char bytes[16];
};
struct cudaDeviceProp {
    char name[256];
    cudaUUID_t uuid;
    size_t totalGlobalMem, sharedMemPerBlockOptin;
    int major, minor, multiProcessorCount;
};

cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int device);

cudaError_t cudaMalloc(void **at, size_t bytes);
cudaError_t cudaMallocManaged(void **at, size_t bytes, unsigned flags = cudaMemAttachGlobal);
cudaError_t cudaMallocHost(void **at, size_t bytes, unsigned flags = 0);
cudaError_t cudaFree(void *at);
cudaError_t cudaFreeHost(void *at);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemset2DAsync(void *at, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags = 0);
cudaError_t cudaEventQuery(cudaEvent_t event);

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                 unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);

/* What the next launch is recorded as. */
extern const char *cz_emulated_next_kernel;

/* Work of a stream: done, or recorded by the capture that is under way. Streams but the first one
 * are as late as they may be: their work waits until something waits for it. Work that returns
 * cudaErrorNotReady never ends, and so none after it, until the stream is released. */
cudaError_t cz_emulated_enqueue(cudaStream_t stream, const char *name,
                                std::function<cudaError_t()> work);
void cz_emulated_release(cudaStream_t stream);
bool cz_emulated_fault(const char *what); /* whether this is the one that shall fail */
int cz_emulated_patience(int seconds);    /* or what the environment says */
int cz_emulated_graphs_that_sum();        /* that are there still */
cudaError_t cz_emulated_run(const void *kernel, dim3 grid, dim3 block, size_t shared,
                            const std::function<void()> &thread);
cudaError_t cz_emulated_allow_shared(const void *kernel, size_t bytes);

struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
    void *attrs;
    unsigned numAttrs;
};
template <typename... P, typename... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *c, void (*kernel)(P...), A &&...args)
{
    dim3 grid = c->gridDim, block = c->blockDim;
    size_t shared = c->dynamicSmemBytes;
    std::function<void()> thread = std::bind(kernel, P(args)...);
    return cz_emulated_enqueue(c->stream, cz_emulated_next_kernel, [=] {
        return cz_emulated_run((const void *)kernel, grid, block, shared, thread);
    });
}
template <typename T>
cudaError_t cudaFuncSetAttribute(T *kernel, cudaFuncAttribute attribute, int value)
{
    (void)attribute;
    return cz_emulated_allow_shared((const void *)kernel, (size_t)value);
}

#endif
