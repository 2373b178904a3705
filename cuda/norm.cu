/* LayerNorm of a residual sum, with dropout on what is added. A warp a row; column c is lane
 * c % 32's. KEPT > 0: rows have at most 32 KEPT columns, which lanes read once and keep in
 * registers; 0: longer ones, read again whenever they are needed. */
#include "kernel.h"

static const int WARPS = 8, MOST_PARTS = 256, SLICES = 8;

/* act(i, c) for each column c that is this lane's, the i-th of them. */
template <int KEPT, typename Act> __device__ __forceinline__ void each_column(int C, Act act)
{
    int lane = lane_number();
    if (KEPT) {
        UNROLL for (int i = 0; i < KEPT; i++) if (lane + WARP * i < C) act(i, lane + WARP * i);
    } else
        for (int c = lane; c < C; c += WARP) act(0, c);
}

/* This lane's columns of a row. */
template <typename Stored, int KEPT> struct lane_row {
    const Stored *row;
    real kept[KEPT + !KEPT];

    __device__ __forceinline__ lane_row(const Stored *row_, int C) : row(row_)
    {
        if (KEPT) each_column<KEPT>(C, [&](int i, int c) { kept[i] = as_real(row[c]); });
    }
    __device__ __forceinline__ real operator()(int i, int c) const
    {
        return KEPT ? kept[i] : as_real(row[c]);
    }
};

/* Where rows lie in the masks of their cells. */
struct row_masks {
    mask_site site;
    int cell_rows, C;
    __device__ __forceinline__ int cell(int n) const { return n / cell_rows; }
    __device__ __forceinline__ int begin(int n) const { return n % cell_rows * C; }
};
static row_masks masks_of(const cz_dropout *drop, int cells, int N, int C)
{
    int cell_rows = drop && cells ? N / cells : 1;
    return {site_of(drop, cell_rows * C), cell_rows, C};
}

/* Draws the groups of 8 elements that row n has a part of, a byte each. What a group is to be in
 * the cell's mask is written by the row that it begins in. */
static __device__ void draw_row(uint8_t *groups, const row_masks &masks, const cz_step *step, int n)
{
    int b = masks.cell(n), begin = masks.begin(n), end = begin + masks.C;
    int elements = masks.cell_rows * masks.C, first = begin / 8;
    for (int g = first + lane_number(); 8 * g < end; g += WARP) {
        unsigned byte = draw_mask_byte(masks.site, step, b, (unsigned)g);
        if (elements - 8 * g < 8) byte &= (1u << (elements - 8 * g)) - 1;
        groups[g - first] = (uint8_t)byte;
        if (8 * g >= begin)
            masks.site.bits[(size_t)b * masks.site.cell_bytes + (size_t)g] = (uint8_t)byte;
    }
    __syncwarp();
}
/* Bytes of shared memory that it takes, for a warp. */
static __host__ __device__ size_t groups_bytes(int C) { return ((size_t)C + 14) / 8; }

/* The mean is of s as it is summed, the variance of s as it is stored, in a second pass. */
template <typename Stored, int KEPT>
__global__ void __launch_bounds__(WARPS *WARP)
    norm_forward(rows_of<Stored> y, float *mean, float *rstd, rows_of<Stored> x,
                 rows_of<const Stored> residual, const float *gain, const float *bias, real eps,
                 row_masks masks, const cz_step *step)
{
    int warp = warp_number(), n = (int)(blockIdx.x * WARPS) + warp, C = x.cols;
    if (n >= x.rows) return;
    lane_row<Stored, KEPT> own(x.at(n), C), other(residual.at(n), C);
    lane_row<float, KEPT> g(gain, C), b(bias, C);
    uint8_t *groups = shared_memory() + (size_t)warp * groups_bytes(C);
    bool drops = masks.site.bits;
    int bit = masks.begin(n) % 8; /* of the first column */
    if (drops) draw_row(groups, masks, step, n);
    real sum = 0, squares = 0;
    each_column<KEPT>(C, [&](int i, int c) {
        real s = own(i, c);
        int e = bit + c;
        if (drops) s = groups[e / 8] >> (e % 8) & 1 ? s * masks.site.scale : 0;
        s += other(i, c);
        sum += s;
        put(x.at(n, c), s);
        own.kept[i] = stored_as<Stored>(s);
    });
    real m = warp_sum(sum) / (real)C;
    each_column<KEPT>(C, [&](int i, int c) { squares += (own(i, c) - m) * (own(i, c) - m); });
    real r = 1 / sqrtf(warp_sum(squares) / (real)C + eps);
    each_column<KEPT>(
        C, [&](int i, int c) { put(y.at(n, c), g(i, c) * ((own(i, c) - m) * r) + b(i, c)); });
    if (lane_number() == 0) mean[n] = m, rstd[n] = r;
}

/* A block's part of the sums over rows: C of dgain, C of dbias. A lane has its columns of them in
 * registers until all its rows are done; of long rows in `part` itself, which is one warp's. */
template <int KEPT> struct column_sums {
    float *part;
    int C;
    real gain[KEPT + !KEPT] = {}, bias[KEPT + !KEPT] = {};

    __device__ __forceinline__ column_sums(float *part_, int C_) : part(part_), C(C_)
    {
        if (!KEPT) each_column<KEPT>(C, [&](int, int c) { part[c] = part[C + c] = 0; });
    }
    __device__ __forceinline__ void add(int i, int c, real to_gain, real to_bias)
    {
        (KEPT ? gain[i] : part[c]) += to_gain;
        (KEPT ? bias[i] : part[C + c]) += to_bias;
    }
    /* All threads of the block come here. `room`: 2 C of each warp's. */
    __device__ __forceinline__ void store(float *room)
    {
        if (!KEPT) return;
        float *own = room + (size_t)warp_number() * 2 * (size_t)C;
        each_column<KEPT>(C, [&](int i, int c) { own[c] = gain[i], own[C + c] = bias[i]; });
        __syncthreads();
        for (int c = (int)threadIdx.x; c < 2 * C; c += WARPS * WARP) {
            real sum = 0;
            for (int w = 0; w < WARPS; w++) sum += room[(size_t)w * 2 * (size_t)C + (size_t)c];
            part[c] = sum;
        }
    }
};

/* With hat = (s - mean) rstd and g = gain dy:
 *   ds = rstd (g - mean_c(g) - hat mean_c(g hat)) */
template <typename Stored, int KEPT>
__global__ void __launch_bounds__(WARPS *WARP)
    norm_backward(rows_of<Stored> dx, rows_of<Stored> dresidual, float *parts,
                  rows_of<const Stored> dy, rows_of<const Stored> s, const float *mean,
                  const float *rstd, const float *gain, row_masks masks)
{
    int warps = warp_count(), C = s.cols;
    column_sums<KEPT> sums(parts + (size_t)blockIdx.x * 2 * (size_t)C, C);
    lane_row<float, KEPT> gains(gain, C);
    for (int n = (int)blockIdx.x * warps + warp_number(); n < s.rows; n += (int)gridDim.x * warps) {
        lane_row<Stored, KEPT> dyn(dy.at(n), C), sn(s.at(n), C);
        real m = mean[n], r = rstd[n], sum = 0, dot = 0;
        int b = masks.cell(n), begin = masks.begin(n);
        uint32_t keeps = 0; /* read before anything is written, which all reading would wait for */
        each_column<KEPT>(C, [&](int i, int c) {
            real hat = (sn(i, c) - m) * r, g = gains(i, c) * dyn(i, c);
            if (KEPT && masks.site.bits) keeps |= (uint32_t)kept(masks.site, b, begin + c) << i;
            sum += g;
            dot += g * hat;
            sums.add(i, c, dyn(i, c) * hat, dyn(i, c));
        });
        real g_mean = warp_sum(sum) / (real)C, dot_mean = warp_sum(dot) / (real)C;
        each_column<KEPT>(C, [&](int i, int c) {
            real hat = (sn(i, c) - m) * r;
            real ds = r * (gains(i, c) * dyn(i, c) - g_mean - hat * dot_mean);
            bool keep =
                !masks.site.bits || (KEPT ? keeps >> i & 1 : kept(masks.site, b, begin + c));
            put(dresidual.at(n, c), ds);
            put(dx.at(n, c), keep ? ds * masks.site.scale : 0);
        });
    }
    sums.store((float *)shared_memory());
}

/* dgain, dbias += the parts of all blocks, in their order; 32 of the 2 C columns a block. */
static __global__ void add_parts(float *dgain, float *dbias, const float *parts, int count, int C)
{
    int lane = lane_number(), slice = warp_number();
    int c = (int)(blockIdx.x * WARP) + lane;
    real *room = (real *)shared_memory(), sum = 0;
    for (int i = slice; i < count && c < 2 * C; i += SLICES)
        sum += parts[(size_t)i * 2 * (size_t)C + (size_t)c];
    room[threadIdx.x] = sum;
    __syncthreads();
    if (slice || c >= 2 * C) return;
    for (int i = 1; i < SLICES; i++) sum += room[i * WARP + lane];
    (c < C ? dgain[c] : dbias[c - C]) += sum;
}

/* The forms of rows of C: columns of a lane in registers, 0 where there are too many. */
static int kept_of(int C) { return C <= 8 * WARP ? 8 : C <= 32 * WARP ? 32 : 0; }
#define BY_LENGTH(kernel, C)                                                                       \
    (kept_of(C) == 8    ? kernel<Stored, 8>                                                        \
     : kept_of(C) == 32 ? kernel<Stored, 32>                                                       \
                        : kernel<Stored, 0>)

static int warps_of(int C) { return kept_of(C) ? WARPS : 1; }
static int parts_of(int N, int C)
{
    int blocks = (N + warps_of(C) - 1) / warps_of(C);
    return blocks < MOST_PARTS ? blocks : MOST_PARTS;
}
size_t norm_scratch(int N, int C)
{
    return ((size_t)parts_of(N, C) * 2 * (size_t)C * sizeof(float) + 63) & ~(size_t)63;
}

template <typename Stored>
static cz_status forward(cz_exec *exec, cz_tensor y, cz_tensor mean, cz_tensor rstd, cz_tensor x,
                         cz_tensor residual, cz_tensor gain, cz_tensor bias, double eps,
                         const cz_dropout *drop, int cells)
{
    int N = cz_rows(x), C = cz_cols(x);
    CZ_TRY(settle(exec, {x, y}));
    return launch(
        exec, "norm_forward", BY_LENGTH(norm_forward, C), dim3(((unsigned)N + WARPS - 1) / WARPS),
        WARPS * WARP, drop ? WARPS * groups_bytes(C) : 0, view<Stored>(y), (float *)mean.data,
        (float *)rstd.data, view<Stored>(x), view<const Stored>(residual), (const float *)gain.data,
        (const float *)bias.data, (real)eps, masks_of(drop, cells, N, C), exec->step);
}

template <typename Stored>
static cz_status backward(cz_exec *exec, cz_tensor dx, cz_tensor dresidual, cz_tensor dgain,
                          cz_tensor dbias, cz_tensor dy, cz_tensor s, cz_tensor mean,
                          cz_tensor rstd, cz_tensor gain, const cz_dropout *drop, int cells)
{
    int N = cz_rows(dy), C = cz_cols(dy), count = parts_of(N, C), warps = warps_of(C);
    if (!N) return CZ_OK;
    CZ_TRY(settle(exec, {dx, dresidual}));
    size_t before = exec->scratch->used;
    float *parts = (float *)cz_arena_take(exec->scratch, norm_scratch(N, C));
    if (!parts) return CZ_ERR_MEMORY;
    size_t room = kept_of(C) ? sizeof(float) * WARPS * 2 * (size_t)C : 0;
    cz_status status =
        launch(exec, "norm_backward", BY_LENGTH(norm_backward, C), dim3((unsigned)count),
               (unsigned)(warps * WARP), room, view<Stored>(dx), view<Stored>(dresidual), parts,
               view<const Stored>(dy), view<const Stored>(s), (const float *)mean.data,
               (const float *)rstd.data, (const float *)gain.data, masks_of(drop, cells, N, C));
    if (!status)
        status = launch(exec, "norm_sums", add_parts, dim3((2 * (unsigned)C + WARP - 1) / WARP),
                        SLICES * WARP, sizeof(real) * SLICES * WARP, (float *)dgain.data,
                        (float *)dbias.data, (const float *)parts, count, C);
    exec->scratch->used = before;
    return status;
}

template <typename Stored> static void fill(cz_backend *t)
{
    t->add_dropout_norm_forward = forward<Stored>;
    t->add_dropout_norm_backward = backward<Stored>;
}

void fill_norm(cuda_tables t)
{
    fill<float>(t.f32);
    fill<bf16>(t.bf16);
}
