/* Matrix products on AMX tiles: bf16 operands, sums in fp32. A tile of either operand is 16 lines
 * of 16 pairs: of A a line is a row, its pairs run along k; of B a line is a pair of k, its pairs
 * stand side by side for 16 columns. Two tiles of A by two of B feed four sums, 32 x 32 elements,
 * over all of K; the block then goes through the first level cache to whatever follows it.
 *
 * Rows of A that lie as tiles want them are read in place; all else is packed, with zeros beyond
 * its borders. The terms of an element are added two by two in the order of k. */
#include "kernel.h"

#include "amx.h"
#include "scratch.h"
#include "transpose.h"

#if CZ_AMX

enum {
    TILE = 16,         /* lines of a tile, and pairs of a line */
    TILE_K = 2 * TILE, /* elements of a line */
    TILE_SIZE = TILE * TILE_K,
    BLOCK = 2 * TILE, /* rows and columns that are summed at once */
};

INLINE int smaller(int a, int b) { return a < b ? a : b; }
INLINE int tiles_of(int n, int size) { return (n + size - 1) / size; }

/* Two rows of 16 elements as 16 pairs. */
INLINE __m512i interleave(__m256i first, __m256i second)
{
    return _mm512_or_si512(_mm512_cvtepu16_epi32(first),
                           _mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16));
}

/* Elements at p as bf16: `count` <= 16 or 32 of them, zeros beyond. */
INLINE __m256i read16(const void *base, ptrdiff_t at, int count, bool wide)
{
    if (count <= 0) return _mm256_setzero_si256();
    __mmask16 mask = count >= 16 ? 0xffff : (__mmask16)((1u << count) - 1);
    if (!wide) return _mm256_maskz_loadu_epi16(mask, (const stored *)base + at);
    return narrowed((vec)_mm512_maskz_loadu_ps(mask, (const real *)base + at));
}
INLINE __m512i read32(const void *base, ptrdiff_t at, int count, bool wide)
{
    if (wide) {
        __m512i low = _mm512_castsi256_si512(read16(base, at, count, true));
        return _mm512_inserti64x4(low, read16(base, at + 16, count - 16, true), 1);
    }
    if (count <= 0) return _mm512_setzero_si512();
    __mmask32 mask = count >= 32 ? 0xffffffff : (1u << count) - 1;
    return _mm512_maskz_loadu_epi16(mask, (const stored *)base + at);
}

/* One tile of the elements (i, k) of a view from (i0, k0), `lines` by `depth` of which exist:
 * with `across`, a line for each pair of k, else a line for each i. */
INLINE void pack_tile(stored *to, view from, int i0, int lines, int k0, int depth, bool across,
                      const bool wide)
{
    ptrdiff_t origin = i0 * from.row + k0 * from.col;
    bool along_k = from.col == 1;
    __m512i line[TILE];
    vec in[TILE], out[TILE];
    for (int i = 0; i < TILE; i++) {
        if (along_k)
            line[i] = read32(from.data, origin + i * from.row, i < lines ? depth : 0, wide);
        else {
            int k = 2 * i;
            ptrdiff_t at = origin + k * from.col;
            line[i] = interleave(read16(from.data, at, k < depth ? lines : 0, wide),
                                 read16(from.data, at + from.col, k + 1 < depth ? lines : 0, wide));
        }
    }
    if (along_k == across) {
        for (int i = 0; i < TILE; i++) in[i] = (vec)line[i];
        transpose_tile(out, in);
        for (int i = 0; i < TILE; i++) line[i] = (__m512i)out[i];
    }
    for (int i = 0; i < TILE; i++) _mm512_storeu_si512(to + i * TILE_K, line[i]);
}

/* Lines i0 .. i0 + count of a view, K elements deep, as tiles: [i / 16][k / 32], `across` as for a
 * tile. */
static void pack(stored *to, view from, int i0, int count, int K, bool across)
{
    for (int i = 0; i < count; i += TILE)
        for (int k = 0; k < K; k += TILE_K, to += TILE_SIZE) {
            int lines = smaller(TILE, count - i), depth = smaller(TILE_K, K - k);
            if (from.wide) pack_tile(to, from, i0 + i, lines, k, depth, across, true);
            else pack_tile(to, from, i0 + i, lines, k, depth, across, false);
        }
}

/* Tiles of one operand: `line` bytes between the lines of a tile, the tile of the next k and of
 * the next 16 rows or columns that many elements further. */
typedef struct tiles {
    const stored *data;
    size_t line;
    ptrdiff_t deeper, next;
} tiles;

static tiles packed(const stored *data, int depth)
{
    return (tiles){data, 2 * TILE_K, TILE_SIZE, (ptrdiff_t)depth * TILE_SIZE};
}

/* sum (16 mt, 16 nt), rows BLOCK apart, over `depth` tiles of k. */
INLINE void multiply(float *sum, const int mt, const int nt, tiles a, tiles b, int depth)
{
    _tile_zero(0);
    if (nt > 1) _tile_zero(1);
    if (mt > 1) _tile_zero(2);
    if (mt > 1 && nt > 1) _tile_zero(3);
    for (int k = 0; k < depth; k++, a.data += a.deeper, b.data += b.deeper) {
        _tile_loadd(4, a.data, a.line);
        _tile_loadd(6, b.data, 2 * TILE_K);
        _tile_dpbf16ps(0, 4, 6);
        if (nt > 1) {
            _tile_loadd(7, b.data + b.next, 2 * TILE_K);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (mt > 1) {
            _tile_loadd(5, a.data + a.next, a.line);
            _tile_dpbf16ps(2, 5, 6);
            if (nt > 1) _tile_dpbf16ps(3, 5, 7);
        }
    }
    enum { LINE = BLOCK * sizeof(float) };
    _tile_stored(0, sum, LINE);
    if (nt > 1) _tile_stored(1, sum + TILE, LINE);
    if (mt > 1) _tile_stored(2, sum + TILE * BLOCK, LINE);
    if (mt > 1 && nt > 1) _tile_stored(3, sum + TILE * BLOCK + TILE, LINE);
}

static void multiply_block(float *sum, int rows, int cols, tiles a, tiles b, int depth)
{
    if (rows > TILE && cols > TILE) multiply(sum, 2, 2, a, b, depth);
    else if (rows > TILE) multiply(sum, 2, 1, a, b, depth);
    else if (cols > TILE) multiply(sum, 1, 2, a, b, depth);
    else multiply(sum, 1, 1, a, b, depth);
}

typedef struct product {
    view a, b; /* b as (column, k) */
    int M, N, K, depth;
    finish_block *finish;
    const void *context;
    stored *a_block, *b_block;
    int m_block, n_block; /* rows and columns packed at once */
    bool in_place;        /* whole tiles of A are read where they lie */
} product;

/* Rows [m0, m0 + rows) as tiles, packed where they must be. */
static tiles rows_at(const product *p, int m0, int rows)
{
    if (p->in_place && rows % TILE == 0) {
        const stored *data = (const stored *)p->a.data + m0 * p->a.row;
        return (tiles){data, (size_t)p->a.row * sizeof(stored), TILE_K, TILE * p->a.row};
    }
    pack(p->a_block, p->a, m0, rows, p->K, false);
    return packed(p->a_block, p->depth);
}

/* The columns [n0, n0 + cols) that are packed, by the rows [m0, m0 + rows): a block of rows stays
 * in the first level cache while all columns, in the second, pass by. */
static void multiply_rows(const product *p, tiles b, int m0, int rows, int n0, int cols)
{
    _Alignas(64) float sum[BLOCK * BLOCK];
    tiles a = rows_at(p, m0, rows);
    for (int m = 0; m < rows; m += BLOCK, a.data += 2 * a.next) {
        tiles column = b;
        for (int n = 0; n < cols; n += BLOCK, column.data += 2 * b.next) {
            int block_rows = smaller(BLOCK, rows - m), block_cols = smaller(BLOCK, cols - n);
            multiply_block(sum, block_rows, block_cols, a, column, p->depth);
            p->finish(p->context, sum, BLOCK, m0 + m, block_rows, n0 + n, block_cols);
        }
    }
}

static void multiply_all(const product *p)
{
    int whole = p->in_place ? p->M / TILE * TILE : 0;
    for (int n0 = 0; n0 < p->N; n0 += p->n_block) {
        int cols = smaller(p->n_block, p->N - n0);
        pack(p->b_block, p->b, n0, cols, p->K, true);
        tiles b = packed(p->b_block, p->depth);
        if (whole) multiply_rows(p, b, 0, whole, n0, cols);
        for (int m0 = whole; m0 < p->M; m0 += p->m_block)
            multiply_rows(p, b, m0, smaller(p->m_block, p->M - m0), n0, cols);
    }
}

/* Lines packed at once: whole blocks, as many as CZ_AMX_PACKED elements hold. */
static int packed_lines(int lines, int depth)
{
    int most = CZ_AMX_PACKED / ((depth + !depth) * TILE_K) / BLOCK * BLOCK;
    int all = tiles_of(lines, BLOCK) * BLOCK;
    return most < BLOCK ? BLOCK : smaller(most, all);
}

cz_status K(gemm)(cz_exec *exec, target c, view a, view b, int M, int N, int K,
                  finish_block *finish, const void *context)
{
    if (M == 0 || N == 0) return CZ_OK;
    size_t kept = exec->scratch->used;
    int depth = tiles_of(K, TILE_K);
    product p = {.a = a,
                 .b = {b.data, b.col, b.row, b.wide},
                 .M = M,
                 .N = N,
                 .K = K,
                 .depth = depth,
                 .finish = finish ? finish : K(store_block),
                 .context = finish ? context : &c,
                 .m_block = packed_lines(M, depth),
                 .n_block = packed_lines(N, depth),
                 .in_place = a.col == 1 && !a.wide && K % TILE_K == 0};
    p.a_block = take_stored(exec, (size_t)p.m_block * (size_t)depth * TILE_K);
    p.b_block = take_stored(exec, (size_t)p.n_block * (size_t)depth * TILE_K);
    cz_status status = p.a_block && p.b_block ? CZ_OK : CZ_ERR_MEMORY;
    if (!status) {
        configure_tiles();
        multiply_all(&p);
    }
    exec->scratch->used = kept;
    return status;
}

#endif
