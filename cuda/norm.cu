/* LayerNorm of a residual sum, with dropout on what is added. A warp a row; column c is lane
 * c % 32's. KEPT > 0: rows have at most 32 KEPT columns, which lanes read once and keep in
 * registers; 0: longer ones, read again whenever they are needed. */
#include "deferred.h"

static const int WARPS = 8;

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

/* With hat = (s - mean) rstd and g = gain dy:
 *   ds = rstd (g - mean_c(g) - hat mean_c(g hat)) */
template <typename Stored, int KEPT>
__global__ void __launch_bounds__(WARPS *WARP)
    norm_backward(rows_of<Stored> dx, rows_of<Stored> dresidual, rows_of<const Stored> dy,
                  rows_of<const Stored> s, const float *mean, const float *rstd, const float *gain,
                  row_masks masks)
{
    int n = (int)blockIdx.x * WARPS + warp_number(), C = s.cols;
    if (n >= s.rows) return;
    lane_row<Stored, KEPT> dyn(dy.at(n), C), sn(s.at(n), C);
    lane_row<float, KEPT> gains(gain, C);
    real m = mean[n], r = rstd[n], sum = 0, dot = 0;
    int b = masks.cell(n), begin = masks.begin(n);
    uint32_t keeps = 0; /* read before anything is written, which all reading would wait for */
    each_column<KEPT>(C, [&](int i, int c) {
        real hat = (sn(i, c) - m) * r, g = gains(i, c) * dyn(i, c);
        if (KEPT && masks.site.bits) keeps |= (uint32_t)kept(masks.site, b, begin + c) << i;
        sum += g;
        dot += g * hat;
    });
    real g_mean = warp_sum(sum) / (real)C, dot_mean = warp_sum(dot) / (real)C;
    each_column<KEPT>(C, [&](int i, int c) {
        real hat = (sn(i, c) - m) * r;
        real ds = r * (gains(i, c) * dyn(i, c) - g_mean - hat * dot_mean);
        bool keep = !masks.site.bits || (KEPT ? keeps >> i & 1 : kept(masks.site, b, begin + c));
        put(dresidual.at(n, c), ds);
        put(dx.at(n, c), keep ? ds * masks.site.scale : 0);
    });
}

/* The forms of rows of C: columns of a lane in registers, 0 where there are too many. */
static int kept_of(int C) { return C <= 8 * WARP ? 8 : C <= 32 * WARP ? 32 : 0; }
#define BY_LENGTH(kernel, C)                                                                       \
    (kept_of(C) == 8    ? kernel<Stored, 8>                                                        \
     : kept_of(C) == 32 ? kernel<Stored, 32>                                                       \
                        : kernel<Stored, 0>)

static dim3 grid_of(int N) { return dim3(((unsigned)N + WARPS - 1) / WARPS); }

template <typename Stored>
static cz_status forward(cz_exec *exec, cz_tensor y, cz_tensor mean, cz_tensor rstd, cz_tensor x,
                         cz_tensor residual, cz_tensor gain, cz_tensor bias, double eps,
                         const cz_dropout *drop, int cells)
{
    int N = cz_rows(x), C = cz_cols(x);
    CZ_TRY(settle(exec, {x, y, mean, rstd}, {residual, gain, bias}));
    return launch(exec, "norm_forward", BY_LENGTH(norm_forward, C), grid_of(N), WARPS * WARP,
                  drop ? WARPS * groups_bytes(C) : 0, view<Stored>(y), (float *)mean.data,
                  (float *)rstd.data, view<Stored>(x), view<const Stored>(residual),
                  (const float *)gain.data, (const float *)bias.data, (real)eps,
                  masks_of(drop, cells, N, C), exec->step);
}

template <typename Stored>
static cz_status backward(cz_exec *exec, cz_tensor dx, cz_tensor dresidual, cz_tensor dgain,
                          cz_tensor dbias, cz_tensor dy, cz_tensor s, cz_tensor mean,
                          cz_tensor rstd, cz_tensor gain, const cz_dropout *drop, int cells)
{
    int N = cz_rows(dy), C = cz_cols(dy);
    CZ_TRY(defer_norm(exec, dgain, dbias, dy, s, mean, rstd));
    /* Where it is dy that is overwritten, what was just noted is done first. */
    CZ_TRY(settle(exec, {dx, dresidual}, {dy, s, mean, rstd, gain}));
    return launch(exec, "norm_backward", BY_LENGTH(norm_backward, C), grid_of(N), WARPS * WARP, 0,
                  view<Stored>(dx), view<Stored>(dresidual), view<const Stored>(dy),
                  view<const Stored>(s), (const float *)mean.data, (const float *)rstd.data,
                  (const float *)gain.data, masks_of(drop, cells, N, C));
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
