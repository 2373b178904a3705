/* Linear layers: products with their bias and ReLU in the epilogue; dropout and GELU after it, and
 * the gate of a backward product, by kernels; gradients of weights are deferred. What is asked for
 * aside is done beside others. */
#include "deferred.h"
#include "products.h"

enum { THREADS = 256 };

/* A bias as the epilogue of a product into `y` adds it: of y's type. */
static cz_status bias_for(cz_exec *exec, cz_tensor y, cz_tensor bias, const void **made)
{
    *made = bias.data;
    if (!bias.data || is_wide(y)) return CZ_OK;
    operand copy;
    CZ_TRY(stored_operand(exec, bias, &copy));
    *made = copy.data;
    return CZ_OK;
}

/* Whether products read it where it lies. */
static bool needs_no_copy(const cz_exec *exec, cz_tensor t)
{
    return !t.data || t.dtype == exec->backend->dtype || t.packed;
}

/* Where a layer is done: on the second stream if that may be, where scratch is not for it. */
static cz_status begin(const cz_exec *exec, bool beside, std::initializer_list<span> written,
                       std::initializer_list<span> read)
{
    return beside ? begin_beside(exec, written, read) : settle(exec, written, read);
}
static cz_status end(const cz_exec *exec, bool beside, cz_status status)
{
    return beside ? end_beside(exec, status) : status;
}

/* ---- after the product ---- */

static __device__ real activated(real x, cz_activation act)
{
    if (act == CZ_RELU) return x < 0 ? 0 : x; /* NaN stays NaN */
    return act == CZ_GELU ? x * normcdff(x) : x;
}

/* y = drop(act(y)) by groups of eight elements of a cell, each a byte of its mask. */
template <typename Y>
__global__ void activate_rows(rows_of<Y> y, cz_activation act, mask_site site, const cz_step *step,
                              int cells, int cell_rows)
{
    int elements = cell_rows * y.cols, groups = (elements + 7) / 8;
    size_t all = (size_t)cells * (size_t)groups, stride = (size_t)gridDim.x * blockDim.x;
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < all; i += stride) {
        int b = (int)(i / (size_t)groups), group = (int)(i % (size_t)groups);
        int left = elements - 8 * group, count = left < 8 ? left : 8;
        unsigned byte = 0xff;
        if (site.bits) {
            byte = draw_mask_byte(site, step, b, (unsigned)group) & ((1u << count) - 1);
            site.bits[(size_t)b * site.cell_bytes + (size_t)group] = (uint8_t)byte;
        }
        for (int j = 0; j < count; j++) {
            int e = 8 * group + j;
            Y *at = y.at(b * cell_rows + e / y.cols, e % y.cols);
            put(at, byte >> j & 1 ? activated(as_real(*at), act) * site.scale : 0);
        }
    }
}

template <typename Y>
static cz_status activate(cz_exec *exec, cz_tensor y, cz_activation act, const cz_dropout *drop,
                          int cells)
{
    int rows = drop && cells ? cz_rows(y) / cells : 1, elements = rows * cz_cols(y);
    if (!drop) cells = cz_rows(y);
    size_t groups = (size_t)cells * (size_t)((elements + 7) / 8);
    return launch(exec, "activate", activate_rows<Y>, dim3(blocks_for(groups, THREADS)), THREADS, 0,
                  view<Y>(y), act, site_of(drop, elements), exec->step, cells, rows);
}

static cz_status linear_forward(cz_exec *exec, cz_tensor y, cz_tensor x, cz_tensor w,
                                cz_tensor bias, cz_activation act, const cz_dropout *drop,
                                int cells)
{
    size_t kept = exec->scratch->used;
    bool beside =
        exec->aside && !drop && needs_no_copy(exec, w) && (is_wide(y) || needs_no_copy(exec, bias));
    CZ_TRY(begin(exec, beside, {y}, {x, w, bias}));
    operand weights = {};
    epilogue after = {nullptr, act == CZ_RELU};
    cz_status status = stored_operand(exec, w, &weights);
    if (!status) status = bias_for(exec, y, bias, &after.bias);
    weights.transposed = true;
    if (!status)
        status = product(exec, {y.data, y.dtype, y.ld, false, 0}, {x.data, x.dtype, x.ld, false, 0},
                         weights, cz_rows(y), cz_cols(y), cz_cols(x), 1, 1, after);
    cz_activation rest = act == CZ_GELU ? CZ_GELU : CZ_LINEAR;
    if (!status && (drop || rest != CZ_LINEAR))
        status = is_wide(y) ? activate<float>(exec, y, rest, drop, cells)
                            : activate<bf16>(exec, y, rest, drop, cells);
    exec->scratch->used = kept;
    return end(exec, beside, status);
}

/* ---- back ---- */

template <typename Stored> __global__ void gate_rows(rows_of<Stored> dx, rows_of<const Stored> x)
{
    each_element(dx.rows, dx.cols, [=](int n, int c) {
        if (!(as_real(*x.at(n, c)) > 0)) put(dx.at(n, c), 0);
    });
}

template <typename Stored>
static cz_status linear_backward_input(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor w,
                                       cz_tensor gate, double p, bool add)
{
    size_t kept = exec->scratch->used;
    bool beside = exec->aside && needs_no_copy(exec, w);
    CZ_TRY(begin(exec, beside, {dx}, {dy, w, gate}));
    operand weights = {};
    cz_status status = stored_operand(exec, w, &weights);
    if (!status)
        status = product(exec, {dx.data, dx.dtype, dx.ld, add, 0},
                         {dy.data, dy.dtype, dy.ld, false, 0}, weights, cz_rows(dx), cz_cols(dx),
                         cz_cols(dy), 1, gate.data ? (real)cz_dropout_scale(p) : 1, {});
    size_t elements = (size_t)cz_rows(dx) * (size_t)cz_cols(dx);
    if (!status && gate.data)
        status = launch(exec, "gate", gate_rows<Stored>, dim3(blocks_for(elements, THREADS)),
                        THREADS, 0, view<Stored>(dx), view<const Stored>(gate));
    exec->scratch->used = kept;
    return end(exec, beside, status);
}

static cz_status linear_backward_weight(cz_exec *exec, cz_tensor dw, cz_tensor dbias, cz_tensor dy,
                                        cz_tensor x, bool add)
{
    return defer_products(exec, single(dw), dbias, single(dy), single(x), 1, add);
}

template <typename Stored> static void fill(cz_backend *t)
{
    t->linear_forward = linear_forward;
    t->linear_backward_input = linear_backward_input<Stored>;
    t->linear_backward_weight = linear_backward_weight;
}

void fill_linear(cuda_tables t)
{
    fill<float>(t.f32);
    fill<bf16>(t.bf16);
}
