/* Opens a GPU; its memory, its stream, and work that is recorded once and replayed. */
#include "device.h"

#include <cstdio>
#include <cstring>
#include <ctime>
#include <new>

struct cz_gpu_graph {
    cudaGraphExec_t exec; /* NULL once the group of its GPU was given up */
    int nodes;
    cz_gpu_graph *next; /* of the same GPU */
};

size_t shared_of(const cz_gpu *gpu) { return device_of(gpu)->shared; }
cudaStream_t stream_of(const cz_gpu *gpu) { return device_of(gpu)->current; }

cz_status cuda_status(const cz_gpu *gpu, const char *what, cudaError_t error)
{
    if (error == cudaSuccess) return CZ_OK;
    cudaGetLastError(); /* not once more by the next call */
    if (error == cudaErrorMemoryAllocation)
        return cz_fail(CZ_ERR_MEMORY, "GPU %d (%s): no memory for %s: lower train.batch",
                       gpu->number, gpu->name, what);
    return cz_fail(CZ_ERR_DEVICE, "GPU %d (%s): %s failed: %s", gpu->number, gpu->name, what,
                   cudaGetErrorString(error));
}

static cz_status allocate(cz_gpu *gpu, void **at, size_t bytes)
{
    return cuda_status(gpu, "an array", cudaMalloc(at, bytes + !bytes));
}
static cz_status allocate_shared(cz_gpu *gpu, void **at, size_t bytes)
{
    return cuda_status(gpu, "a shared array",
                       cudaMallocManaged(at, bytes + !bytes, cudaMemAttachGlobal));
}
static cz_status allocate_host(cz_gpu *gpu, void **at, size_t bytes)
{
    return cuda_status(gpu, "a copy", cudaMallocHost(at, bytes + !bytes));
}
static void release(cz_gpu *, void *at) { cudaFree(at); }
static void release_host(cz_gpu *, void *at) { cudaFreeHost(at); }

static cz_status move(cz_gpu *gpu, void *to, const void *from, size_t bytes)
{
    if (!bytes) return CZ_OK;
    CZ_TRY(join_deferred(gpu));
    return cuda_status(gpu, "a copy",
                       cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_of(gpu)));
}

/* NCCL waits for the graphs that it has work in, where it is aborted too: they go first. */
static void give_up(cz_gpu *gpu)
{
    device *d = device_of(gpu);
    if (!d->group) return;
    cudaError_t now = cudaStreamQuery(d->stream);
    cudaGetLastError();
    if (now != cudaSuccess && now != cudaErrorNotReady) {
        d->group = nullptr; /* with a broken GPU's context nothing can be told; this process ends */
        return;
    }
    for (cz_gpu_graph *graph = d->graphs; graph; graph = graph->next) {
        if (graph->exec) cudaGraphExecDestroy(graph->exec);
        graph->exec = nullptr;
    }
    group_abort(d);
}

static double seconds()
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Of a group: a GPU that lost another would wait for its sum for ever. */
static cz_status wait_in_group(cz_gpu *gpu, cudaEvent_t event)
{
    const struct timespec nap = {0, 50000};
    device *d = device_of(gpu);
    double begin = seconds();
    for (;;) {
        cudaError_t error = event ? cudaEventQuery(event) : cudaStreamQuery(d->stream);
        if (error == cudaSuccess) return CZ_OK;
        cz_status status = error == cudaErrorNotReady ? group_check(gpu, seconds() - begin)
                                                      : cuda_status(gpu, "the work before", error);
        cudaGetLastError();
        if (status) {
            give_up(gpu);
            return status;
        }
        nanosleep(&nap, nullptr);
    }
}

static cz_status wait(cz_gpu *gpu)
{
    CZ_TRY(join_deferred(gpu));
    if (device_of(gpu)->group) return wait_in_group(gpu, nullptr);
    return cuda_status(gpu, "the work before", cudaStreamSynchronize(stream_of(gpu)));
}

static cz_status mark(cz_gpu *gpu, int which)
{
    cudaEvent_t *event = &device_of(gpu)->marks[which];
    CZ_TRY(join_deferred(gpu));
    if (!*event)
        CZ_TRY(cuda_status(gpu, "a mark", cudaEventCreateWithFlags(event, cudaEventDisableTiming)));
    return cuda_status(gpu, "a mark", cudaEventRecord(*event, stream_of(gpu)));
}
static cz_status wait_for(cz_gpu *gpu, int which)
{
    cudaEvent_t event = device_of(gpu)->marks[which];
    if (!event) return CZ_OK;
    if (device_of(gpu)->group) return wait_in_group(gpu, event);
    return cuda_status(gpu, "the work before", cudaEventSynchronize(event));
}

static cz_status record(cz_gpu *gpu)
{
    CZ_TRY(join_deferred(gpu));
    return cuda_status(gpu, "recording",
                       cudaStreamBeginCapture(stream_of(gpu), cudaStreamCaptureModeThreadLocal));
}

static cz_status recorded(cz_gpu *gpu, cz_gpu_graph **made)
{
    cudaGraph_t graph = nullptr;
    size_t nodes = 0;
    cz_gpu_graph *own = new (std::nothrow) cz_gpu_graph{};
    cz_status status = join_deferred(gpu);
    cz_status ended = cuda_status(gpu, "recording", cudaStreamEndCapture(stream_of(gpu), &graph));
    if (!status) status = ended;
    if (!status && !own) status = cz_fail(CZ_ERR_MEMORY, "no memory for a graph");
    if (!status) status = cuda_status(gpu, "a graph", cudaGraphGetNodes(graph, nullptr, &nodes));
    if (!status) status = cuda_status(gpu, "a graph", cudaGraphInstantiate(&own->exec, graph, 0));
    if (graph) cudaGraphDestroy(graph);
    if (status) {
        delete own;
        return status;
    }
    own->nodes = (int)nodes;
    own->next = device_of(gpu)->graphs;
    device_of(gpu)->graphs = *made = own;
    return CZ_OK;
}

static cz_status replay(cz_gpu *gpu, cz_gpu_graph *graph)
{
    if (!graph->exec) return cz_fail(CZ_ERR_BUG, "a step is replayed after its GPU was given up");
    CZ_TRY(join_deferred(gpu));
    return cuda_status(gpu, "a step", cudaGraphLaunch(graph->exec, stream_of(gpu)));
}
static int nodes(const cz_gpu_graph *graph) { return graph->nodes; }
static void forget(cz_gpu *gpu, cz_gpu_graph *graph)
{
    cz_gpu_graph **at = &device_of(gpu)->graphs;
    while (*at != graph) at = &(*at)->next;
    *at = graph->next;
    if (graph->exec) cudaGraphExecDestroy(graph->exec);
    delete graph;
}

static void close(cz_gpu *gpu)
{
    device *d = device_of(gpu);
    while (d->graphs) forget(gpu, d->graphs); /* a group waits for those that sum */
    group_leave(d);
    products_close(d);
    deferred_close(d);
    for (cudaEvent_t event : d->marks)
        if (event) cudaEventDestroy(event);
    if (d->stream) cudaStreamDestroy(d->stream);
    delete d;
}

static const cz_gpu_calls calls = {
    .close = close,
    .backend = gpu_backend,
    .allocate = allocate,
    .allocate_shared = allocate_shared,
    .allocate_host = allocate_host,
    .release = release,
    .release_host = release_host,
    .move = move,
    .wait = wait,
    .mark = mark,
    .wait_for = wait_for,
    .record = record,
    .recorded = recorded,
    .replay = replay,
    .nodes = nodes,
    .forget = forget,
    .group_id = group_id,
    .join = group_join,
    .sum = group_sum,
    .give_up = give_up,
    .feed = feed_step,
    .score = defer_scores,
};

static cz_status count_devices(int *gpus)
{
    int count = 0; /* on an error left as it is */
    cudaError_t error = cudaGetDeviceCount(&count);
    cudaGetLastError();
    *gpus = error ? 0 : count;
    if (!error && count > 0) return CZ_OK;
    return cz_fail(
        CZ_ERR_DEVICE,
        "no GPU can be used: CUDA says '%s': install NVIDIA's driver, or set run.device: cpu",
        error ? cudaGetErrorString(error) : "no CUDA-capable device is detected");
}

static cz_status identify(char id[CZ_GPU_UUID_BYTES], int number)
{
    cudaDeviceProp prop;
    cz_gpu gpu = {};
    gpu.number = number;
    CZ_TRY(cuda_status(&gpu, "asking for it", cudaGetDeviceProperties(&prop, number)));
    static_assert(sizeof prop.uuid.bytes == (size_t)CZ_GPU_UUID_BYTES, "a UUID");
    memcpy(id, prop.uuid.bytes, sizeof prop.uuid.bytes);
    return CZ_OK;
}

static cz_status open_stream(device *d)
{
    cudaDeviceProp prop;
    CZ_TRY(cuda_status(&d->shown, "choosing it", cudaSetDevice(d->shown.number)));
    CZ_TRY(
        cuda_status(&d->shown, "asking for it", cudaGetDeviceProperties(&prop, d->shown.number)));
    snprintf(d->shown.name, sizeof d->shown.name, "%.120s", prop.name);
    d->shown.memory = prop.totalGlobalMem;
    d->shared = prop.sharedMemPerBlockOptin;
    d->multiprocessors = prop.multiProcessorCount;
    sched_getaffinity(0, sizeof d->cores, &d->cores);
    if (prop.major < 8)
        return cz_fail(
            CZ_ERR_DEVICE,
            "GPU %d (%s) has compute capability %d.%d: at least 8.0 is needed (A100); set "
            "run.device: cpu",
            d->shown.number, d->shown.name, prop.major, prop.minor);
    CZ_TRY(cuda_status(&d->shown, "a stream",
                       cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking)));
    CZ_TRY(deferred_open(d));
    return products_open(d);
}

static cz_status open_device(cz_gpu **gpu, int number)
{
    device *d = new (std::nothrow) device{};
    if (!d) return cz_fail(CZ_ERR_MEMORY, "no memory for a GPU");
    d->shown.number = number;
    d->shown.calls = &calls;
    cz_status status = open_stream(d);
    if (status) close(&d->shown);
    else *gpu = &d->shown;
    return status;
}

extern "C" __attribute__((visibility("default"))) const cz_gpu_plugin czhpc_gpu_plugin;
const cz_gpu_plugin czhpc_gpu_plugin = {CZ_GPU_ABI, count_devices, identify, open_device};
