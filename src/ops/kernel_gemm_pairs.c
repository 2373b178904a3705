/* Matrix products of pairs of bf16, summed in fp32. A tile of either operand is 16 lines of 16
 * pairs: of B a line is a pair of k, its pairs stand side by side for 16 columns; of A a line is a
 * row, its pairs run along k, or as of B (tiles.across). Two tiles of A by two of B feed 32 x 32
 * sums over all of K; the block then goes through the first level cache to whatever follows it.
 *
 * Rows of A that lie as tiles want them are read in place, if read_in_place(); all else is packed,
 * with zeros beyond its borders. The terms of an element are added two by two in the order of k. */
#include "kernel.h"

/* One of these, by CZ_AMX; each says how a thread gets ready, which A is read in place or packed
 * across, and sums a block: prepare_tiles(), read_in_place(), LEFT_ACROSS, multiply_block(). */
#include "pairs_amx.h"
#include "pairs_vector.h"

#include "scratch.h"

#if CZ_PAIRS

_Static_assert((int)BLOCK == (int)CZ_PAIRS_LINES, "cz_ops_scratch() promises this bound");

typedef struct product {
    view a, b; /* b as (column, k) */
    int M, N, K, depth;
    finish_block *finish;
    const void *context;
    stored *a_block, *b_block;
    int n_block;   /* columns packed at once; of rows a block, which stays in the first level */
    bool in_place; /* whole tiles of A are read where they lie */
} product;

/* Rows [m0, m0 + rows) as tiles, packed where they must be. */
static tiles rows_at(const product *p, int m0, int rows)
{
    if (p->in_place && rows % TILE == 0) {
        const stored *data = (const stored *)p->a.data + m0 * p->a.row;
        return (tiles){data, (size_t)p->a.row * sizeof(stored), TILE_K, TILE * p->a.row, false};
    }
    bool across = LEFT_ACROSS && p->a.col != 1;
    pack_tiles(p->a_block, p->a, m0, rows, p->K, across);
    return packed(p->a_block, p->depth, across);
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
        if (!p->b.packed) pack_tiles(p->b_block, p->b, n0, cols, p->K, true);
        tiles b = packed(p->b.packed ? p->b.packed : p->b_block, p->depth, true);
        if (whole) multiply_rows(p, b, 0, whole, n0, cols);
        for (int m0 = whole; m0 < p->M; m0 += BLOCK)
            multiply_rows(p, b, m0, smaller(BLOCK, p->M - m0), n0, cols);
    }
}

/* Columns packed at once: whole blocks, as many as CZ_PAIRS_PACKED elements hold. */
static int packed_columns(int lines, int depth)
{
    int most = CZ_PAIRS_PACKED / ((depth + !depth) * TILE_K) / BLOCK * BLOCK;
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
                 .b = {b.data, b.col, b.row, b.wide, b.packed},
                 .M = M,
                 .N = N,
                 .K = K,
                 .depth = depth,
                 .finish = finish ? finish : K(store_block),
                 .context = finish ? context : &c,
                 .n_block = b.packed ? N : packed_columns(N, depth),
                 .in_place = a.col == 1 && !a.wide && K % TILE_K == 0 && read_in_place(a.row)};
    p.a_block = take_stored(exec, (size_t)BLOCK * (size_t)depth * TILE_K);
    if (!b.packed) p.b_block = take_stored(exec, (size_t)p.n_block * (size_t)depth * TILE_K);
    cz_status status = p.a_block && (p.b_block || b.packed) ? CZ_OK : CZ_ERR_MEMORY;
    if (!status) {
        prepare_tiles();
        multiply_all(&p);
    }
    exec->scratch->used = kept;
    return status;
}

#endif
