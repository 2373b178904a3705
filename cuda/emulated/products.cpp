/* cublasLt on a CPU: descriptors are checked and interpreted as NVIDIA's documentation says them,
 * so that a wrong leading dimension, transposition, type, batch step, epilogue or promise of
 * alignment shows. Sums are fp32, as CUBLAS_COMPUTE_32F's. Where the documentation promises
 * nothing, it does what would hurt most: the order of a sum hangs on the shape and the alignment,
 * parts of one are added in the type of the result unless that was ruled out, ReLU makes a NaN 0,
 * and a bias that is not aligned to 16 bytes is a failure. */
#include "cublasLt.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

struct cz_emulated_blas {
    std::map<void *, cudaStream_t> workspaces; /* and who uses them */
};
struct cz_emulated_product {
    int32_t trans_a, trans_b;
    uint32_t epilogue;
    void *vector; /* bias, or its gradient */
};
struct cz_emulated_layout {
    cudaDataType_t type;
    int64_t rows, cols, ld, step;
    int32_t batches, order;
};
struct cz_emulated_preference {
    uint64_t workspace;
    uint32_t reduction;    /* schemes that may be chosen */
    uint32_t alignment[4]; /* promised of a, b, c, d; 256 where nothing was said */
};

namespace
{

/* What an algorithm was chosen for: it may not serve anything else. */
struct chosen {
    uint32_t alignment[4];
    uint64_t shape;
    uint32_t workspace;
    bool backwards;    /* over K */
    bool stored_parts; /* halves of K are added as they are stored */
};
static_assert(sizeof(chosen) <= sizeof(cublasLtMatmulAlgo_t), "it has to fit");

enum : uint32_t { SOME_WORKSPACE = 4096, VECTOR_ALIGNMENT = 16 };

size_t size_of(cudaDataType_t type) { return type == CUDA_R_16BF ? 2 : 4; }

float read(const void *data, cudaDataType_t type, int64_t at)
{
    if (type == CUDA_R_32F) return ((const float *)data)[at];
    uint32_t bits = (uint32_t)((const uint16_t *)data)[at] << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

void write(void *data, cudaDataType_t type, int64_t at, float x)
{
    if (type == CUDA_R_32F) {
        ((float *)data)[at] = x;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bool nan = (bits & 0x7fffffff) > 0x7f800000;
    uint32_t rounded = nan ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1);
    ((uint16_t *)data)[at] = (uint16_t)(rounded >> 16);
}

float stored(float x, cudaDataType_t type)
{
    float to;
    write(&to, type, 0, x);
    return read(&to, type, 0);
}

int64_t place(const cz_emulated_layout &l, int64_t row, int64_t col, int batch)
{
    int64_t at = l.order == CUBLASLT_ORDER_ROW ? row * l.ld + col : col * l.ld + row;
    return at + batch * l.step;
}

uint64_t mix(uint64_t hash, uint64_t x) { return (hash ^ x) * 0x9E3779B97F4A7C15u + (hash >> 29); }
uint64_t shape_of(const cz_emulated_product &p, const cz_emulated_layout *const l[4])
{
    uint64_t hash = mix(mix(mix(1, (uint64_t)p.trans_a), (uint64_t)p.trans_b), p.epilogue);
    for (int i = 0; i < 4; i++) {
        const uint64_t parts[] = {
            (uint64_t)l[i]->type, (uint64_t)l[i]->rows,    (uint64_t)l[i]->cols, (uint64_t)l[i]->ld,
            (uint64_t)l[i]->step, (uint64_t)l[i]->batches, (uint64_t)l[i]->order};
        for (uint64_t part : parts) hash = mix(hash, part);
    }
    return hash;
}

uint64_t hash_of(const chosen &c)
{
    uint64_t hash = c.shape;
    for (uint32_t alignment : c.alignment) hash = mix(hash, alignment);
    return hash >> 32;
}

bool layout_good(const cz_emulated_layout &l)
{
    int64_t line = l.order == CUBLASLT_ORDER_ROW ? l.cols : l.rows;
    int64_t lines = l.order == CUBLASLT_ORDER_ROW ? l.rows : l.cols;
    if (l.rows < 1 || l.cols < 1 || l.ld < line || l.batches < 1) return false;
    return l.batches == 1 || l.step != 0 || lines == 0;
}

bool vector_wanted(uint32_t epilogue)
{
    return epilogue == CUBLASLT_EPILOGUE_BIAS || epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
}

/* CZHPC_EMULATED_EPILOGUES=none: of no product, as a cublasLt without them. */
bool epilogue_there(uint32_t epilogue)
{
    const char *said = getenv("CZHPC_EMULATED_EPILOGUES");
    return epilogue == CUBLASLT_EPILOGUE_DEFAULT || !said || strcmp(said, "none");
}

/* a, b, c, d as cublasLt wants them to agree. */
cublasStatus_t check(const cz_emulated_product &p, const cz_emulated_layout *const l[4])
{
    const cz_emulated_layout &a = *l[0], &b = *l[1], &c = *l[2], &d = *l[3];
    int64_t m = p.trans_a ? a.cols : a.rows, k = p.trans_a ? a.rows : a.cols;
    int64_t k_of_b = p.trans_b ? b.cols : b.rows, n = p.trans_b ? b.rows : b.cols;
    for (int i = 0; i < 4; i++)
        if (!layout_good(*l[i]) || l[i]->batches != d.batches) return CUBLAS_STATUS_INVALID_VALUE;
    if (k != k_of_b || d.rows != m || d.cols != n || c.rows != m || c.cols != n)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (a.type != b.type || c.type != d.type) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!epilogue_there(p.epilogue)) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (d.type != a.type && d.type != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (vector_wanted(p.epilogue) && (!p.vector || d.batches > 1))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}

/* y += factor x, the loop that takes the time. */
#if defined(__x86_64__) && !defined(__clang__)
__attribute__((target_clones("arch=x86-64-v4", "avx2", "default"), optimize("O3")))
#endif
void add_scaled(float *y, const float *x, float factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += factor * x[i];
}

/* One batch's operand as (cols, rows) of op(x), columns contiguous. */
std::vector<float> gathered(const void *data, const cz_emulated_layout &l, bool transposed,
                            int batch)
{
    int64_t rows = transposed ? l.cols : l.rows, cols = transposed ? l.rows : l.cols;
    std::vector<float> all((size_t)(rows * cols));
    for (int64_t j = 0; j < cols; j++)
        for (int64_t i = 0; i < rows; i++)
            all[(size_t)(j * rows + i)] =
                read(data, l.type, transposed ? place(l, j, i, batch) : place(l, i, j, batch));
    return all;
}

struct work {
    cz_emulated_product p;
    cz_emulated_layout a, b, c, d;
    const void *a_data, *b_data, *c_data;
    void *d_data;
    float alpha, beta;
    bool backwards, stored_parts;
};

/* Column j of one batch. */
void finish_column(const work &w, float *column, int64_t j, int batch)
{
    uint32_t e = w.p.epilogue;
    bool bias = e == CUBLASLT_EPILOGUE_BIAS || e == CUBLASLT_EPILOGUE_RELU_BIAS;
    bool relu = e == CUBLASLT_EPILOGUE_RELU || e == CUBLASLT_EPILOGUE_RELU_BIAS;
    for (int64_t i = 0; i < w.d.rows; i++) {
        float x = w.alpha * column[i];
        if (w.beta != 0) x += w.beta * read(w.c_data, w.c.type, place(w.c, i, j, batch));
        if (bias) x += read(w.p.vector, w.d.type, i);
        if (relu && !(x > 0)) x = 0;
        write(w.d_data, w.d.type, place(w.d, i, j, batch), x);
    }
}

void multiply(const work &w, int batch)
{
    std::vector<float> a = gathered(w.a_data, w.a, w.p.trans_a, batch);
    std::vector<float> b = gathered(w.b_data, w.b, w.p.trans_b, batch);
    int64_t m = w.d.rows, n = w.d.cols, k = (int64_t)a.size() / m;
    std::vector<float> column((size_t)m);
    for (int64_t j = 0; j < n; j++) {
        std::fill(column.begin(), column.end(), 0.0f);
        for (int64_t i = 0; i < k; i++) {
            int64_t l = w.backwards ? k - 1 - i : i;
            add_scaled(column.data(), a.data() + l * m, b[(size_t)(j * k + l)], m);
            if (w.stored_parts && i == k / 2)
                for (float &x : column) x = stored(x, w.d.type);
        }
        finish_column(w, column.data(), j, batch);
    }
}

template <typename T> cublasStatus_t take(T *to, const void *value, size_t bytes)
{
    if (bytes != sizeof *to) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    *handle = new cz_emulated_blas{};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}
const char *cublasLtGetStatusString(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "not initialised";
    case CUBLAS_STATUS_ALLOC_FAILED:
        return "no memory";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "an invalid value";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "execution failed";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "not supported";
    }
    return "an unknown error";
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    *desc = new cz_emulated_product{CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    delete desc;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return take(&desc->trans_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return take(&desc->trans_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return take(&desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return take(&desc->vector, value, bytes);
    default:
        return CUBLAS_STATUS_INVALID_VALUE;
    }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType_t type,
                                          uint64_t rows, uint64_t cols, int64_t ld)
{
    *layout =
        new cz_emulated_layout{type, (int64_t)rows, (int64_t)cols, ld, 0, 1, CUBLASLT_ORDER_COL};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *value, size_t bytes)
{
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
        return take(&layout->order, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_LD:
        return take(&layout->ld, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
        return take(&layout->batches, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
        return take(&layout->step, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    *preference =
        new cz_emulated_preference{0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t bytes)
{
    if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
        return take(&preference->workspace, value, bytes);
    if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
        return take(&preference->reduction, value, bytes);
    int i = attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
    if (i < 0 || i > 3) return CUBLAS_STATUS_INVALID_VALUE;
    return take(&preference->alignment[i], value, bytes);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *count)
{
    const cz_emulated_layout *const all[] = {a, b, c, d};
    *count = 0;
    cublasStatus_t error = check(*desc, all);
    if (error || wanted < 1) return error ? error : CUBLAS_STATUS_INVALID_VALUE;
    if (preference->workspace < SOME_WORKSPACE) return CUBLAS_STATUS_NOT_SUPPORTED;
    chosen made = {};
    memcpy(made.alignment, preference->alignment, sizeof made.alignment);
    made.shape = shape_of(*desc, all);
    made.workspace = SOME_WORKSPACE;
    made.backwards = hash_of(made) & 1;
    made.stored_parts = preference->reduction & CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
    results[0] = cublasLtMatmulHeuristicResult_t{};
    memcpy(&results[0].algo, &made, sizeof made);
    results[0].workspaceSize = SOME_WORKSPACE;
    *count = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t blas, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                              cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                              cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo,
                              void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    const cz_emulated_layout *const all[] = {a_layout, b_layout, c_layout, d_layout};
    const void *const data[] = {a, b, c, d};
    if (cublasStatus_t error = check(*desc, all)) return error;
    chosen is;
    memcpy(&is, algo, sizeof is);
    if (is.shape != shape_of(*desc, all) || workspace_bytes < is.workspace || !workspace)
        return CUBLAS_STATUS_INVALID_VALUE;
    for (int i = 0; i < 4; i++)
        if (!data[i] || (uintptr_t)data[i] % is.alignment[i] ||
            (uintptr_t)data[i] % size_of(all[i]->type))
            return CUBLAS_STATUS_INVALID_VALUE;
    if (vector_wanted(desc->epilogue) && (uintptr_t)desc->vector % VECTOR_ALIGNMENT)
        return CUBLAS_STATUS_EXECUTION_FAILED;
    if (d == a || d == b || (c == d && c_layout != d_layout)) return CUBLAS_STATUS_INVALID_VALUE;
    if (blas->workspaces.emplace(workspace, stream).first->second != stream)
        return CUBLAS_STATUS_INVALID_VALUE; /* work of two streams may be under way at once */
    work w = {*desc,
              *a_layout,
              *b_layout,
              *c_layout,
              *d_layout,
              a,
              b,
              c,
              d,
              *(const float *)alpha,
              *(const float *)beta,
              is.backwards,
              is.stored_parts};
    cz_emulated_enqueue(stream, "product", [=] {
        for (int batch = 0; batch < w.d.batches; batch++) multiply(w, batch);
        memset(workspace, 0xff, (size_t)is.workspace); /* nobody keeps anything there */
        return cudaSuccess;
    });
    return CUBLAS_STATUS_SUCCESS;
}
