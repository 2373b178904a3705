/* Matrix products by cublasLt: a plan for each shape, chosen once and remembered.
 *
 * cublasLt's matrices are column-major, ours row-major: it is asked for d^T = b^T a^T, where each
 * transpose is what already lies in memory. */
#include "products.h"

#include "device.h"

#include <cstring>
#include <new>
#include <vector>

namespace
{

enum : size_t { WORKSPACE = 32 << 20 };
enum : unsigned { PLAIN_ALIGNMENT = 16 }; /* more than that is not asked for */

/* All that a plan depends on; compared as bytes, so zeroed before it is filled. */
struct shape {
    int64_t M, N, K, batches;
    int64_t ld[3], step[3]; /* of d, a, b */
    unsigned alignment[4];  /* and of the epilogue's vector */
    int dtype_in, dtype_out, a_transposed, b_transposed;
    int bias, relu;
};

struct plan {
    shape of;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t d, a, b;
    cublasLtMatmulAlgo_t algo;
    bool fused; /* false: no kernel has this epilogue, which follows by itself */
};

} // namespace

struct product_plans {
    std::vector<plan> known;
    void *workspace[2]; /* of the first stream, and of the second */
};

static cz_status blas_status(const cz_gpu *gpu, const char *what, cublasStatus_t error)
{
    if (error == CUBLAS_STATUS_SUCCESS) return CZ_OK;
    return cz_fail(CZ_ERR_DEVICE, "GPU %d (%s): %s failed: cublasLt says %s", gpu->number,
                   gpu->name, what, cublasLtGetStatusString(error));
}

static cudaDataType_t data_type(cz_dtype dtype)
{
    return dtype == CZ_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* Of every row and batch that begins at `at`, in bytes. */
static unsigned alignment_of(const void *at, int64_t row = 0, int64_t step = 0)
{
    uintptr_t bits = (uintptr_t)at | (uintptr_t)row | (uintptr_t)step | PLAIN_ALIGNMENT;
    return (unsigned)(bits & -bits);
}

static bool same(const shape &a, const shape &b) { return !memcmp(&a, &b, sizeof a); }

static cublasStatus_t describe(cublasLtMatrixLayout_t *made, cz_dtype dtype, int64_t rows,
                               int64_t cols, int64_t ld, int64_t batches, int64_t step)
{
    int32_t count = (int32_t)batches;
    cublasStatus_t error =
        cublasLtMatrixLayoutCreate(made, data_type(dtype), (uint64_t)rows, (uint64_t)cols, ld);
    if (!error)
        error = cublasLtMatrixLayoutSetAttribute(*made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                                 sizeof count);
    if (!error)
        error = cublasLtMatrixLayoutSetAttribute(*made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                                 &step, sizeof step);
    return error;
}

/* The three layouts, columns first. */
static cublasStatus_t describe_all(plan *p)
{
    const shape &s = p->of;
    cz_dtype in = (cz_dtype)s.dtype_in, out = (cz_dtype)s.dtype_out;
    cublasStatus_t error = describe(&p->d, out, s.N, s.M, s.ld[0], s.batches, s.step[0]);
    if (!error)
        error = describe(&p->a, in, s.a_transposed ? s.M : s.K, s.a_transposed ? s.K : s.M, s.ld[1],
                         s.batches, s.step[1]);
    if (!error)
        error = describe(&p->b, in, s.b_transposed ? s.K : s.N, s.b_transposed ? s.N : s.K, s.ld[2],
                         s.batches, s.step[2]);
    return error;
}

template <typename T>
static cublasStatus_t set(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t what, T value)
{
    return cublasLtMatmulDescSetAttribute(desc, what, &value, sizeof value);
}

static uint32_t epilogue_of(const shape &s)
{
    if (s.bias) return s.relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
    return s.relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT;
}

/* No wish says what the vector of an epilogue is aligned to: one that is not may be read all the
 * same, and what fails then is the GPU. */
static bool may_fuse(const shape &s) { return !s.bias || s.alignment[3] >= PLAIN_ALIGNMENT; }

static cublasStatus_t describe_product(plan *p, const void *vector)
{
    const shape &s = p->of;
    cublasStatus_t error = cublasLtMatmulDescCreate(&p->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (!error)
        error = set(p->desc, CUBLASLT_MATMUL_DESC_TRANSA,
                    (int32_t)(s.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N));
    if (!error)
        error = set(p->desc, CUBLASLT_MATMUL_DESC_TRANSB,
                    (int32_t)(s.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N));
    if (!error && p->fused) error = set(p->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(s));
    if (!error && p->fused && vector)
        error = set(p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector);
    return error;
}

/* CUBLAS_STATUS_NOT_SUPPORTED where there is no kernel for it. */
static cublasStatus_t choose_algorithm(cublasLtHandle_t blas, plan *p)
{
    const shape &s = p->of;
    cublasLtMatmulPreference_t wish = nullptr;
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    uint64_t workspace = WORKSPACE;
    uint32_t scheme = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE; /* else parts may be added in bf16 */
    const uint32_t alignment[] = {s.alignment[2], s.alignment[1], s.alignment[0], s.alignment[0]};
    cublasStatus_t error = cublasLtMatmulPreferenceCreate(&wish);
    if (!error)
        error = cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                     &workspace, sizeof workspace);
    if (!error)
        error = cublasLtMatmulPreferenceSetAttribute(
            wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &scheme, sizeof scheme);
    for (int i = 0; !error && i < 4; i++)
        error = cublasLtMatmulPreferenceSetAttribute(
            wish,
            (cublasLtMatmulPreferenceAttributes_t)(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES + i),
            &alignment[i], sizeof *alignment);
    if (!error)
        error = cublasLtMatmulAlgoGetHeuristic(blas, p->desc, p->b, p->a, p->d, p->d, wish, 1,
                                               &found, &count);
    if (!error && !count) error = CUBLAS_STATUS_NOT_SUPPORTED;
    if (!error) error = found.state;
    if (!error) p->algo = found.algo;
    if (wish) cublasLtMatmulPreferenceDestroy(wish);
    return error;
}

static void drop(plan *p)
{
    if (p->desc) cublasLtMatmulDescDestroy(p->desc);
    if (p->d) cublasLtMatrixLayoutDestroy(p->d);
    if (p->a) cublasLtMatrixLayoutDestroy(p->a);
    if (p->b) cublasLtMatrixLayoutDestroy(p->b);
    *p = plan{};
}

static cublasStatus_t make(cublasLtHandle_t blas, plan *p, const shape &s, const void *vector,
                           bool fused)
{
    *p = plan{};
    p->of = s;
    p->fused = fused;
    cublasStatus_t error = describe_all(p);
    if (!error) error = describe_product(p, vector);
    if (!error) error = choose_algorithm(blas, p);
    if (error) drop(p);
    return error;
}

static cz_status plan_for(const cz_gpu *gpu, const shape &s, const void *vector, plan **found)
{
    device *d = device_of(gpu);
    for (plan &known : d->plans->known)
        if (same(known.of, s)) {
            *found = &known;
            return CZ_OK;
        }
    plan made;
    bool plain = !s.bias && !s.relu, fused = may_fuse(s);
    cublasStatus_t error = make(d->blas, &made, s, vector, fused);
    if (error && fused && !plain) /* no kernel has this epilogue, whatever it is called */
        error = make(d->blas, &made, s, vector, false);
    CZ_TRY(blas_status(gpu, "choosing a product", error));
    try {
        d->plans->known.push_back(made);
    } catch (const std::bad_alloc &) {
        drop(&made);
        return cz_fail(CZ_ERR_MEMORY, "no memory for the plans of products");
    }
    *found = &d->plans->known.back();
    return CZ_OK;
}

/* ---- what follows a product that has no epilogue of its own ---- */

template <typename T> __global__ void finish_rows(rows_of<T> y, const T *bias, bool relu)
{
    each_element(y.rows, y.cols, [=](int n, int c) {
        real x = as_real(*y.at(n, c)) + (bias ? as_real(bias[c]) : 0);
        put(y.at(n, c), relu && x < 0 ? 0 : x); /* NaN stays NaN */
    });
}

static cz_status finish(cz_exec *exec, const target &d, int M, int N, const epilogue &after)
{
    enum { THREADS = 256 };
    cz_tensor y = cz_matrix(d.data, d.dtype, M, N);
    y.ld = (int)d.ld;
    dim3 grid(blocks_for((size_t)M * (size_t)N, THREADS));
    if (!after.bias && !after.relu) return CZ_OK;
    if (is_wide(y))
        return launch(exec, "finish_product", finish_rows<float>, grid, THREADS, 0, view<float>(y),
                      (const float *)after.bias, after.relu);
    return launch(exec, "finish_product", finish_rows<bf16>, grid, THREADS, 0, view<bf16>(y),
                  (const bf16 *)after.bias, after.relu);
}

/* Without anything to sum over. */
static cz_status empty_product(cz_exec *exec, const target &d, int M, int N, int batches,
                               const epilogue &after)
{
    size_t size = cz_dtype_size(d.dtype);
    for (int i = 0; i < batches && !d.add && M && N; i++)
        CZ_TRY(cuda_status(exec->gpu, "zero",
                           cudaMemset2DAsync((char *)d.data + (size_t)(i * d.step) * size,
                                             (size_t)d.ld * size, 0, (size_t)N * size, (size_t)M,
                                             stream_of(exec->gpu))));
    return finish(exec, d, M, N, after);
}

static shape shape_of(const target &d, const operand &a, const operand &b, int M, int N, int K,
                      int batches, const epilogue &after)
{
    shape s;
    memset(&s, 0, sizeof s);
    s.M = M, s.N = N, s.K = K, s.batches = batches;
    const int64_t ld[] = {d.ld, a.ld, b.ld}, step[] = {d.step, a.step, b.step};
    const void *const at[] = {d.data, a.data, b.data};
    for (int i = 0; i < 3; i++) {
        s.ld[i] = ld[i];
        s.step[i] = batches > 1 ? step[i] : 0;
        int64_t size = (int64_t)cz_dtype_size(i ? a.dtype : d.dtype);
        s.alignment[i] = alignment_of(at[i], ld[i] * size, s.step[i] * size);
    }
    s.dtype_in = a.dtype, s.dtype_out = d.dtype;
    s.a_transposed = a.transposed, s.b_transposed = b.transposed;
    s.alignment[3] = alignment_of(after.bias);
    s.bias = after.bias != nullptr, s.relu = after.relu;
    return s;
}

static cublasStatus_t run(const device *gpu, const plan *p, const target &d, const operand &a,
                          const operand &b, real scale)
{
    real beta = d.add ? 1 : 0;
    void *workspace = gpu->plans->workspace[gpu->current != gpu->stream];
    return cublasLtMatmul(gpu->blas, p->desc, &scale, b.data, p->b, a.data, p->a, &beta, d.data,
                          p->d, d.data, p->d, &p->algo, workspace, WORKSPACE, gpu->current);
}

/* A plan whose epilogue was promised, and refused: the same without. */
static cublasStatus_t replan(const device *gpu, plan *p)
{
    shape s = p->of;
    drop(p);
    cublasStatus_t error = make(gpu->blas, p, s, nullptr, false);
    if (error) p->of = shape{}; /* that of nothing */
    return error;
}

cz_status product(cz_exec *exec, target d, operand a, operand b, int M, int N, int K, int batches,
                  real scale, epilogue after)
{
    plan *p = nullptr;
    if (!batches || !M || !N) return CZ_OK;
    CZ_TRY(take_moves(exec->gpu));
    if (!K) return empty_product(exec, d, M, N, batches, after);
    device *gpu = device_of(exec->gpu);
    CZ_TRY(plan_for(exec->gpu, shape_of(d, a, b, M, N, K, batches, after), after.bias, &p));
    cublasStatus_t error = CUBLAS_STATUS_SUCCESS;
    if (p->fused && after.bias) error = set(p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, after.bias);
    if (!error) error = run(gpu, p, d, a, b, scale);
    bool refused = error == CUBLAS_STATUS_NOT_SUPPORTED || error == CUBLAS_STATUS_INVALID_VALUE;
    if (refused && p->fused && (after.bias || after.relu)) {
        error = replan(gpu, p);
        if (!error) error = run(gpu, p, d, a, b, scale);
    }
    CZ_TRY(blas_status(exec->gpu, "a product", error));
    if (p->fused) return CZ_OK;
    return finish(exec, d, M, N, after);
}

cz_status stored_operand(cz_exec *exec, cz_tensor w, operand *made)
{
    cz_dtype dtype = exec->backend->dtype;
    int rows = cz_rows(w), cols = cz_cols(w);
    *made = {w.data, dtype, w.ld, false, 0};
    if (dtype == w.dtype) return CZ_OK;
    *made = {w.packed, dtype, cols, false, 0};
    if (w.packed) return CZ_OK;
    void *copy = cz_arena_take(exec->scratch, (size_t)rows * (size_t)cols * cz_dtype_size(dtype));
    if (!copy) return CZ_ERR_MEMORY;
    made->data = copy;
    return exec->backend->copy(exec, cz_matrix(copy, dtype, rows, cols), w);
}

cz_status products_open(device *d)
{
    d->plans = new (std::nothrow) product_plans{};
    if (!d->plans) return cz_fail(CZ_ERR_MEMORY, "no memory for the plans of products");
    CZ_TRY(blas_status(&d->shown, "opening cublasLt", cublasLtCreate(&d->blas)));
    for (void *&workspace : d->plans->workspace)
        CZ_TRY(
            cuda_status(&d->shown, "the workspace of products", cudaMalloc(&workspace, WORKSPACE)));
    return CZ_OK;
}

void products_close(device *d)
{
    if (d->plans) {
        for (plan &known : d->plans->known) drop(&known);
        for (void *workspace : d->plans->workspace) cudaFree(workspace);
    }
    delete d->plans;
    if (d->blas) cublasLtDestroy(d->blas);
}
