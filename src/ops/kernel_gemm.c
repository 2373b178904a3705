/* Matrix products, blocked as in Goto & van de Geijn 2008: a block of B is packed into panels
 * that stay in the second level cache, a block of A into panels that stay in the first, and a
 * tile of C is summed in registers. Blocks of K are fixed and summed in order, and a tile of any
 * size adds the terms of an element in the same order: so the bits of an element do not depend
 * on where in C it is. In fp32, of a Zen 4's peak at the model's shapes: 88 to 95 % forward and dX,
 * 82 to 92 % dW, by AVX2 and AVX-512 alike (validation/bench_gemm.c). */
#include "kernel.h"

#include "scratch.h"
#include "transpose.h"

#if !CZ_PAIRS

/* Rows of a tile, and its columns in vectors: accumulators, one row of B and one element of A
 * fill the registers (32 with AVX-512, else 16). */
#if CZ_VECTOR_BYTES == 64
#define TILE_ROWS 14
#elif CZ_VECTOR_BYTES == 32
#define TILE_ROWS 6
#else
#define TILE_ROWS 4
#endif
enum { TILE_COLS = 2 * LANES };

/* In fp32 the block of B is at most 512 KB, a panel of A at most 17 KB. */
enum { BLOCK_K = 256, BLOCK_N = 512, BLOCK_M = 8 * TILE_ROWS };

/* How a panel of A lies in memory: element (r, k) of a panel of `rows` rows. BY_ROW is what rows
 * along k are copied into, BY_COLUMN what columns are; neither has to be transposed.
 *   BY_ROW     [k / LANES][r][k % LANES]
 *   BY_COLUMN  [k][r], each k COLUMN elements, whole vectors, after the last */
typedef enum layout { BY_ROW, BY_COLUMN } layout;
enum { COLUMN = (TILE_ROWS + LANES - 1) / LANES * LANES };

/* One tile: c (rows, cols) = or += a (rows, K) b (K, cols), `vectors` wide. */
INLINE void multiply(const int rows, const int vectors, const layout a_layout, real *c,
                     ptrdiff_t ldc, const real *a, const real *b, int K, int cols, bool add)
{
    vec sum[TILE_ROWS][2];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++)
    {
        __builtin_prefetch(c + r * ldc + v * LANES, 1);
        sum[r][v] = (vec){0};
    }
    const int chunk = a_layout == BY_ROW ? LANES : 1;
    const int row_step = a_layout == BY_ROW ? LANES : 1;
    for (int k = 0; k < K; k += chunk) {
        const int n = K - k < chunk ? K - k : chunk;
        for (int i = 0; i < n; i++) {
            vec bk[2];
            UNROLL for (int v = 0; v < vectors; v++) bk[v] = load(b + v * LANES);
            UNROLL for (int r = 0; r < rows; r++)
            {
                vec x = broadcast(a[r * row_step + i]);
                UNROLL for (int v = 0; v < vectors; v++) sum[r][v] += x * bk[v];
            }
            b += vectors * LANES;
        }
        a += a_layout == BY_ROW ? rows * LANES : COLUMN;
    }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++)
    {
        real *at = c + r * ldc + v * LANES;
        const int left = cols - v * LANES;
        if (left >= LANES) store(at, add ? load(at) + sum[r][v] : sum[r][v]);
        else if (left > 0) store_part(at, add ? load_part(at, left) + sum[r][v] : sum[r][v], left);
    }
}

typedef void tile_kernel(real *c, ptrdiff_t ldc, const real *a, const real *b, int K, int cols,
                         bool add);

#define TILE(rows, vectors, layout)                                                                \
    static void tile_##rows##_##vectors##_##layout(real *c, ptrdiff_t ldc, const real *a,          \
                                                   const real *b, int K, int cols, bool add)       \
    {                                                                                              \
        multiply(rows, vectors, layout, c, ldc, a, b, K, cols, add);                               \
    }
#define TILES(rows)                                                                                \
    TILE(rows, 1, BY_ROW) TILE(rows, 2, BY_ROW) TILE(rows, 1, BY_COLUMN) TILE(rows, 2, BY_COLUMN)
#define NAMES(rows)                                                                                \
    {                                                                                              \
        {tile_##rows##_1_BY_ROW, tile_##rows##_2_BY_ROW},                                          \
        {                                                                                          \
            tile_##rows##_1_BY_COLUMN, tile_##rows##_2_BY_COLUMN                                   \
        }                                                                                          \
    }

/* clang-format off */
TILES(1) TILES(2) TILES(3) TILES(4)
#if TILE_ROWS > 4
TILES(5) TILES(6)
#endif
#if TILE_ROWS > 6
TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12) TILES(13) TILES(14)
#endif

/* By rows - 1, layout, vectors - 1. */
static tile_kernel *const tiles[TILE_ROWS][2][2] = {
    NAMES(1), NAMES(2), NAMES(3), NAMES(4),
#if TILE_ROWS > 4
    NAMES(5), NAMES(6),
#endif
#if TILE_ROWS > 6
    NAMES(7), NAMES(8), NAMES(9), NAMES(10), NAMES(11), NAMES(12), NAMES(13), NAMES(14),
#endif
};
/* clang-format on */

/* Element (i, j) of a view as a pointer to its own type: what packs it is written once for both. */
INLINE const void *place(view v, int i, int j, bool wide)
{
    return (const char *)v.data +
           (i * v.row + j * v.col) * (ptrdiff_t)(wide ? sizeof(real) : sizeof(stored));
}
INLINE vec load_view(const void *base, ptrdiff_t at, int left, bool wide)
{
    if (left <= 0) return (vec){0};
    vec v = load_any(base, at, left, wide);
#if CZ_STORED_BITS == 16
    if (wide) v = rounded(v); /* weights are multiplied by as copies of them would be stored */
#endif
    return v;
}

/* to (LANES, LANES) = from^T of `rows` rows and `cols` columns at most, zeros beyond. */
INLINE void transpose_view(real *to, ptrdiff_t ldt, int cols, const void *from, ptrdiff_t ldf,
                           int rows, bool wide)
{
    vec in[LANES], out[LANES];
    for (int i = 0; i < LANES; i++)
        in[i] = i < rows ? load_view(from, i * ldf, cols, wide) : (vec){0};
    transpose_tile(out, in);
    for (int i = 0; i < LANES && i < cols; i++) store(to + i * ldt, out[i]);
}

/* Packs K x cols of b from (k0, n0) into [k][width], zeros beyond cols. */
INLINE void pack_b_panel(real *to, view b, int k0, int n0, int K, int cols, int width, bool wide)
{
    const void *from = place(b, k0, n0, wide);
    if (b.col == 1) {
        for (int k = 0; k < K; k++, to += width)
            for (int v = 0; v < width; v += LANES)
                store(to + v, load_view(from, k * b.row + v, cols - v, wide));
        return;
    }
    for (int v = 0; v < width; v += LANES)
        for (int k = 0; k < K; k += LANES)
            transpose_view(to + (ptrdiff_t)k * width + v, width, K - k,
                           place(b, k0 + k, n0 + v, wide), b.col, cols - v, wide);
}

/* Packs rows x K of a from (m0, k0). */
INLINE void pack_a_panel(real *to, view a, int m0, int k0, int rows, int K, bool wide)
{
    const void *from = place(a, m0, k0, wide);
    if (a.col == 1) {
        for (int k = 0; k < K; k += LANES)
            for (int r = 0; r < rows; r++, to += LANES)
                store(to, load_view(from, r * a.row + k, K - k, wide));
        return;
    }
    for (int k = 0; k < K; k++, to += COLUMN)
        for (int v = 0; v < rows; v += LANES)
            store(to + v, load_view(from, k * a.col + v, rows - v, wide));
}

enum { A_SIZE = BLOCK_M / TILE_ROWS * COLUMN * (BLOCK_K + LANES), B_SIZE = BLOCK_K * BLOCK_N };
_Static_assert(A_SIZE + B_SIZE + 32 <= CZ_SCRATCH_GEMM, "cz_ops_scratch() promises this bound");

INLINE int panels_of(int rows) { return (rows + TILE_ROWS - 1) / TILE_ROWS; }

/* A product, and the block of it that is in work. */
typedef struct product {
    real *c; /* where it is summed: the target itself, or memory of its shape */
    ptrdiff_t ldc;
    view a, b;
    int M, N, K;
    bool add; /* to what stands in c */
    finish_block *finish;
    const void *context;
    real *a_block, *b_block;
} product;

static void pack_b(const product *p, int k0, int K, int n0, int N)
{
    for (int n = 0; n < N; n += TILE_COLS) {
        int cols = smaller(TILE_COLS, N - n), width = cols > LANES ? TILE_COLS : LANES;
        real *to = p->b_block + (ptrdiff_t)n * K;
        if (NARROW && p->b.wide) pack_b_panel(to, p->b, k0, n0 + n, K, cols, width, true);
        else pack_b_panel(to, p->b, k0, n0 + n, K, cols, width, false);
    }
}

/* Rows m0 .. m0 + M of the block of B that is packed, in panels as equal as can be. */
static void multiply_rows(const product *p, int k0, int K, int n0, int N, int m0, int M)
{
    layout lay = p->a.col == 1 ? BY_ROW : BY_COLUMN;
    bool add = p->add || k0 > 0, last = k0 + K == p->K;
    int count = panels_of(M), done = 0;
    ptrdiff_t panel_size = (ptrdiff_t)(lay == BY_ROW ? TILE_ROWS : COLUMN) * (BLOCK_K + LANES);
    for (int i = 0; i < count; i++) {
        int rows = M / count + (i < M % count);
        real *to = p->a_block + i * panel_size;
        if (NARROW && p->a.wide) pack_a_panel(to, p->a, m0 + done, k0, rows, K, true);
        else pack_a_panel(to, p->a, m0 + done, k0, rows, K, false);
        done += rows;
    }
    done = 0;
    for (int i = 0; i < count; i++) {
        int rows = M / count + (i < M % count);
        real *c = p->c + (m0 + done) * p->ldc + n0;
        for (int n = 0; n < N; n += TILE_COLS) {
            int cols = smaller(TILE_COLS, N - n);
            tiles[rows - 1][lay][cols > LANES](c + n, p->ldc, p->a_block + i * panel_size,
                                               p->b_block + (ptrdiff_t)n * K, K, cols, add);
        }
        if (last && p->finish) p->finish(p->context, c, p->ldc, m0 + done, rows, n0, N);
        done += rows;
    }
}

static void multiply_blocks(const product *p)
{
    int k0 = 0;
    do { /* once at least: K 0 sets C to 0 */
        int k_block = smaller(BLOCK_K, p->K - k0);
        for (int n0 = 0; n0 < p->N; n0 += BLOCK_N) {
            int n_block = smaller(BLOCK_N, p->N - n0);
            pack_b(p, k0, k_block, n0, n_block);
            for (int m0 = 0; m0 < p->M; m0 += BLOCK_M)
                multiply_rows(p, k0, k_block, n0, n_block, m0, smaller(BLOCK_M, p->M - m0));
        }
        k0 += BLOCK_K;
    } while (k0 < p->K);
}

cz_status K(gemm)(cz_exec *exec, target c, view a, view b, int M, int N, int K,
                  finish_block *finish, const void *context)
{
    if (M == 0 || N == 0) return CZ_OK;
    size_t kept = exec->scratch->used;
    bool apart = NARROW && !c.wide;
    product p = {c.data, c.ld, a, b, M, N, K, c.add, finish, context, NULL, NULL};
    if (apart) {
        p.c = take(exec, (size_t)M * (size_t)N);
        p.ldc = N;
        p.add = false;
        if (!finish) p.finish = K(store_block), p.context = &c;
    }
    p.a_block = take(exec, A_SIZE);
    p.b_block = take(exec, B_SIZE);
    cz_status status = p.c && p.a_block && p.b_block ? CZ_OK : CZ_ERR_MEMORY;
    if (!status) multiply_blocks(&p);
    exec->scratch->used = kept;
    return status;
}

#endif
