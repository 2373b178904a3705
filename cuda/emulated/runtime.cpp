/* The runtime of cuda_runtime.h: one device, whose memory is the host's. */
#include "cuda_runtime.h"
#include "emulated.h"
#include "fibers.h"
#include "races.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>

const char *cz_emulated_next_kernel = "kernel";
uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

struct cz_emulated_node {
    std::string name;
    std::function<cudaError_t()> work;
};
struct cz_emulated_graph {
    std::vector<cz_emulated_node> nodes;
};
struct cz_emulated_graph_exec {
    std::vector<cz_emulated_node> nodes;
};
struct cz_emulated_stream {
    cz_emulated_graph *capture; /* NULL: work is done, not recorded */
    bool spoiled, late;
    bool stuck;                           /* in work that never ends */
    std::deque<cz_emulated_node> waiting; /* of a late stream */
    size_t asked, finished;               /* pieces of its work so far */
};
struct cz_emulated_event {
    cz_emulated_stream *stream; /* NULL: never recorded */
    size_t asked;               /* of that stream when it was */
    bool stuck;                 /* was that stream then */
};

namespace
{

/* Of an sm_90: what a block may have without asking, and at most. */
enum { MULTIPROCESSORS = 132 };
enum : size_t { SHARED_PLAIN = 48 << 10, SHARED_MOST = 227 << 10, GUARD = 64 };
enum : size_t { DEVICE_MEMORY = (size_t)4 << 30 };

std::vector<std::string> calls;
std::map<void *, size_t> blocks; /* of device memory */
size_t allocated;
std::map<const void *, size_t> shared_allowed;
int capturing;
std::vector<cudaStream_t> streams;
cudaError_t last;
cudaError_t broken;                /* what every call returns since a kernel failed */
std::vector<std::string> recorded; /* the names of the last graph */
int graphs_that_sum;

alignas(128) unsigned char usual_memory[SHARED_MOST + GUARD], *shared_memory; /* of a block */

cudaError_t done(const char *call, cudaError_t error = cudaSuccess)
{
    calls.push_back(call);
    if (!error) error = broken;
    if (error) last = error;
    return error;
}

/* What may not be recorded spoils the capture that is under way. */
cudaError_t not_recorded(const char *call)
{
    return done(call, capturing ? cudaErrorStreamCaptureUnsupported : cudaSuccess);
}

void place(int i)
{
    unsigned n = (unsigned)i;
    if (n < blockDim.x) threadIdx = {n, 0, 0}; /* divisions take their time */
    else threadIdx = {n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y};
}

/* Which of `all` blocks comes at turn i: they come forwards, backwards, and the odd ones before the
 * even ones, by launches, so that what hangs on their order differs from launch to launch. */
size_t block_of_turn(unsigned launches, size_t i, size_t all)
{
    if (launches % 3 == 0) return i;
    if (launches % 3 == 1) return all - 1 - i;
    return i < all / 2 ? 2 * i + 1 : 2 * (i - all / 2);
}

bool guard_whole(size_t shared)
{
    for (size_t i = shared; i < shared + GUARD; i++)
        if (shared_memory[i] != 0xa5) return false;
    return true;
}

cudaError_t allocate(const char *call, void **at, size_t bytes)
{
    if (cudaError_t error = not_recorded(call)) return error;
    if (cz_emulated_fault("memory")) return last = cudaErrorMemoryAllocation;
    if (bytes > DEVICE_MEMORY - allocated) return last = cudaErrorMemoryAllocation;
    unsigned char *block =
        (unsigned char *)aligned_alloc(256, (bytes + GUARD + 255) & ~(size_t)255);
    if (!block) return last = cudaErrorMemoryAllocation;
    memset(block, 0xff, bytes); /* NaN */
    memset(block + bytes, 0xa5, GUARD);
    blocks[block] = bytes;
    allocated += bytes;
    *at = block;
    return cudaSuccess;
}

/* The kernel at work; those that ran, which go into the file of CZHPC_EMULATED_LIST in the end; and
 * the one of CZHPC_EMULATED_BREAK, whose first block does nothing. */
std::string at_work;
struct kernels_run {
    std::set<std::string> names;
    ~kernels_run()
    {
        const char *path = getenv("CZHPC_EMULATED_LIST");
        FILE *out = path ? fopen(path, "w") : nullptr;
        for (const std::string &name : names)
            if (out) fprintf(out, "%s\n", name.c_str());
        if (out) fclose(out);
    }
} kernels;
bool broken_one()
{
    const char *said = getenv("CZHPC_EMULATED_BREAK");
    return said && at_work == said;
}

bool sums(const cz_emulated_graph_exec &exec)
{
    for (const cz_emulated_node &node : exec.nodes)
        if (node.name == "allreduce") return true;
    return false;
}

} // namespace

extern "C" int cz_emulated_calls(const char *(*names)[], int most)
{
    int count = (int)calls.size();
    for (int i = 0; i < count && i < most; i++) (*names)[i] = calls[(size_t)i].c_str();
    return count;
}
extern "C" int cz_emulated_graph_work(const char *(*names)[], int most)
{
    int count = (int)recorded.size();
    for (int i = 0; i < count && i < most; i++) (*names)[i] = recorded[(size_t)i].c_str();
    return count;
}
extern "C" void cz_emulated_forget_calls(void) { calls.clear(); }

bool cz_emulated_fault(const char *what)
{
    static std::map<std::string, long> met;
    const char *said = getenv("CZHPC_EMULATED_FAULT");
    size_t length = strlen(what);
    if (!said || strncmp(said, what, length) || said[length] != ':') return false;
    return ++met[what] == atol(said + length + 1);
}
int cz_emulated_patience(int seconds)
{
    const char *said = getenv("CZHPC_EMULATED_PATIENCE");
    return said ? atoi(said) : seconds;
}
int cz_emulated_graphs_that_sum() { return graphs_that_sum; }
void cz_emulated_release(cudaStream_t stream) { stream->stuck = false; }

unsigned char *cz_emulated_shared() { return shared_memory; }
unsigned cz_emulated_lane() { return (unsigned)fiber_number() % WARP; }
void cz_emulated_barrier(int line) { fiber_wait_block(line); }
void cz_emulated_wait_warp(unsigned lanes) { fiber_wait_warp(lanes); }
void cz_emulated_fence() { races_fence(); }
void cz_emulated_see_fences() { races_see_fences(); }
uint64_t cz_emulated_exchange(unsigned lanes, uint64_t value, int from)
{
    return fiber_exchange(lanes, value, from);
}

cudaError_t cz_emulated_allow_shared(const void *kernel, size_t bytes)
{
    if (bytes > SHARED_MOST) return done("cudaFuncSetAttribute", cudaErrorInvalidValue);
    shared_allowed[kernel] = bytes;
    return done("cudaFuncSetAttribute");
}

cudaError_t cz_emulated_run(const void *kernel, dim3 grid, dim3 block, size_t shared,
                            const std::function<void()> &thread)
{
    size_t threads = (size_t)block.x * block.y * block.z;
    auto allowed = shared_allowed.find(kernel);
    size_t most = allowed == shared_allowed.end() ? SHARED_PLAIN : allowed->second;
    if (most < SHARED_PLAIN) most = SHARED_PLAIN;
    if (!grid.x || !grid.y || !grid.z || grid.y > 65535 || grid.z > 65535 || !threads ||
        threads > MOST_THREADS || block.z > 64 || shared > most)
        return last = cudaErrorInvalidValue;
    gridDim = grid;
    blockDim = block;
    kernels.names.insert(at_work);
    static unsigned launches;
    size_t all = (size_t)grid.x * grid.y * grid.z;
    launches++;
    for (size_t i = 0; i < all; i++) {
        size_t n = block_of_turn(launches, i, all);
        if (!n && broken_one()) continue;
        blockIdx = {(unsigned)(n % grid.x), (unsigned)(n / grid.x % grid.y),
                    (unsigned)(n / grid.x / grid.y)};
        shared_memory = races_shared(usual_memory, shared + GUARD);
        memset(shared_memory, 0xff, shared);
        memset(shared_memory + shared, 0xa5, GUARD);
        bool good = fibers_run((int)threads, thread, place) && guard_whole(shared);
        if (!good) return last = cudaErrorLaunchFailure;
    }
    races_end_launch();
    return cudaSuccess;
}

static cudaError_t carry_out(cudaStream_t stream, cz_emulated_node node)
{
    stream->finished++;
    if (stream->capture) {
        stream->capture->nodes.push_back(std::move(node));
        return cudaSuccess;
    }
    if (stream->stuck) return cudaSuccess;
    at_work = node.name;
    cudaError_t error = node.work();
    stream->stuck = error == cudaErrorNotReady;
    return stream->stuck ? cudaSuccess : error ? last = error : error;
}

cudaError_t cz_emulated_enqueue(cudaStream_t stream, const char *name,
                                std::function<cudaError_t()> work)
{
    if (cudaError_t error = done(name)) return error;
    stream->asked++;
    if (!stream->late) return carry_out(stream, {name, std::move(work)});
    stream->waiting.push_back({name, std::move(work)});
    return cudaSuccess;
}

/* Has a late stream do its first `asked` pieces of work. */
static cudaError_t catch_up(cudaStream_t stream, size_t asked)
{
    cudaError_t error = cudaSuccess;
    while (stream->finished < asked && !stream->waiting.empty()) {
        cz_emulated_node node = std::move(stream->waiting.front());
        stream->waiting.pop_front();
        cudaError_t failed = carry_out(stream, std::move(node));
        if (!error) error = failed;
    }
    return error;
}

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
    case cudaSuccess:
        return "no error";
    case cudaErrorInvalidValue:
        return "invalid argument";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorInsufficientDriver:
        return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
        return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
        return "invalid device ordinal";
    case cudaErrorNotReady:
        return "device not ready";
    case cudaErrorLaunchFailure:
        return "unspecified launch failure";
    case cudaErrorStreamCaptureUnsupported:
        return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureUnjoined:
        return "capturing stream has unjoined work";
    case cudaErrorStreamCaptureInvalidated:
        return "operation failed due to a previous error during capture";
    }
    return "unknown error";
}
cudaError_t cudaGetLastError()
{
    cudaError_t error = last;
    last = cudaSuccess;
    return error;
}

/* CZHPC_EMULATED_GPUS: how many there are, 1 where it is not set; "driver": no driver. */
cudaError_t cudaGetDeviceCount(int *count)
{
    const char *said = getenv("CZHPC_EMULATED_GPUS");
    done("cudaGetDeviceCount");
    if (said && !strcmp(said, "driver")) return last = cudaErrorInsufficientDriver;
    int there = said ? atoi(said) : 1;
    if (there < 1) return last = cudaErrorNoDevice;
    *count = there;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device)
{
    int count = 0;
    cudaGetDeviceCount(&count);
    return done("cudaSetDevice",
                device < 0 || device >= count ? cudaErrorInvalidDevice : cudaSuccess);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int device)
{
    *prop = cudaDeviceProp{};
    snprintf(prop->name, sizeof prop->name, "emulated GPU %d", device);
    prop->uuid.bytes[0] = (char)device;
    prop->totalGlobalMem = DEVICE_MEMORY;
    prop->sharedMemPerBlockOptin = SHARED_MOST;
    prop->major = 9;
    prop->multiProcessorCount = MULTIPROCESSORS;
    return done("cudaGetDeviceProperties");
}

cudaError_t cudaMalloc(void **at, size_t bytes) { return allocate("cudaMalloc", at, bytes); }
cudaError_t cudaMallocManaged(void **at, size_t bytes, unsigned)
{
    return allocate("cudaMallocManaged", at, bytes);
}
cudaError_t cudaMallocHost(void **at, size_t bytes, unsigned)
{
    return allocate("cudaMallocHost", at, bytes);
}
cudaError_t cudaFree(void *at)
{
    if (!at) return cudaSuccess;
    auto block = blocks.find(at);
    if (block == blocks.end()) return done("cudaFree", cudaErrorInvalidValue);
    for (size_t i = 0; i < GUARD; i++)
        if (((unsigned char *)at)[block->second + i] != 0xa5) {
            fprintf(stderr, "emulated GPU: memory was written beyond the %zu bytes of a block\n",
                    block->second);
            abort();
        }
    allocated -= block->second;
    blocks.erase(block);
    free(at);
    return not_recorded("cudaFree");
}
cudaError_t cudaFreeHost(void *at) { return cudaFree(at); }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    *stream = new cz_emulated_stream{};
    (*stream)->late = !streams.empty();
    streams.push_back(*stream);
    return done("cudaStreamCreateWithFlags");
}
cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    std::erase(streams, stream);
    delete stream;
    return done("cudaStreamDestroy");
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    if (stream->capture) stream->spoiled = true;
    cudaError_t error = catch_up(stream, stream->asked);
    while (stream->stuck) sleep(1);
    cudaError_t refused = not_recorded("cudaStreamSynchronize");
    return error ? error : refused;
}
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    if (stream->capture) stream->spoiled = true;
    cudaError_t error = catch_up(stream, stream->asked), refused = not_recorded("cudaStreamQuery");
    if (refused) return refused;
    return error ? error : stream->stuck ? cudaErrorNotReady : cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream)
{
    return cz_emulated_enqueue(stream, "memcpy", [=] {
        memmove(to, from, bytes);
        return cudaSuccess;
    });
}
cudaError_t cudaMemset2DAsync(void *at, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream)
{
    if (width > pitch) return done("memset", cudaErrorInvalidValue);
    return cz_emulated_enqueue(stream, "memset", [=] {
        for (size_t i = 0; i < height; i++) memset((char *)at + i * pitch, value, width);
        return cudaSuccess;
    });
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    *event = new cz_emulated_event{};
    return done("cudaEventCreateWithFlags");
}
cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    delete event;
    return done("cudaEventDestroy");
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    *event = {stream, stream->asked, stream->stuck};
    return done("cudaEventRecord");
}
/* A stream that waits for one that is recorded is recorded too. */
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    if (cudaError_t error = done("cudaStreamWaitEvent")) return error;
    if (!event->stream) return cudaSuccess;
    if (!stream->capture) stream->capture = event->stream->capture;
    else if (!event->stream->capture) return last = cudaErrorStreamCaptureInvalidated;
    return catch_up(event->stream, event->asked);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    cudaError_t error = event->stream ? catch_up(event->stream, event->asked) : cudaSuccess;
    while (event->stuck && event->stream->stuck) sleep(1);
    cudaError_t refused = not_recorded("cudaEventSynchronize");
    return error ? error : refused;
}
cudaError_t cudaEventQuery(cudaEvent_t event)
{
    cudaError_t error = not_recorded("cudaEventQuery");
    if (!error && event->stream) error = catch_up(event->stream, event->asked);
    if (error) return error;
    return event->stuck && event->stream->stuck ? cudaErrorNotReady : cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    if (stream->capture) return done("cudaStreamBeginCapture", cudaErrorInvalidValue);
    stream->capture = new cz_emulated_graph{};
    stream->spoiled = false;
    capturing++;
    return done("cudaStreamBeginCapture");
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    *graph = stream->capture;
    if (!stream->capture) return done("cudaStreamEndCapture", cudaErrorInvalidValue);
    bool unjoined = false;
    for (cudaStream_t other : streams)
        if (other != stream && other->capture == stream->capture) {
            unjoined |= !other->waiting.empty();
            other->waiting.clear();
            other->capture = nullptr;
        }
    stream->capture = nullptr;
    capturing--;
    if (unjoined) return done("cudaStreamEndCapture", cudaErrorStreamCaptureUnjoined);
    return done("cudaStreamEndCapture",
                stream->spoiled ? cudaErrorStreamCaptureInvalidated : cudaSuccess);
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    *exec = new cz_emulated_graph_exec{graph->nodes};
    graphs_that_sum += sums(**exec);
    recorded.clear();
    for (const cz_emulated_node &node : graph->nodes) recorded.push_back(node.name);
    return done("cudaGraphInstantiate");
}
/* What fails of it, a later call says. */
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    if (cudaError_t error = done("cudaGraphLaunch")) return error;
    for (const cz_emulated_node &node : exec->nodes) {
        if (stream->stuck || broken) break;
        at_work = node.name;
        cudaError_t error = cz_emulated_fault("kernel") ? cudaErrorLaunchFailure : node.work();
        stream->stuck = error == cudaErrorNotReady;
        if (!stream->stuck) broken = error;
    }
    return cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    for (size_t i = 0; nodes && i < *count && i < graph->nodes.size(); i++)
        nodes[i] = &graph->nodes[i];
    *count = graph->nodes.size();
    return done("cudaGraphGetNodes");
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    graphs_that_sum -= sums(*exec);
    delete exec;
    return done("cudaGraphExecDestroy");
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return done("cudaGraphDestroy");
}
