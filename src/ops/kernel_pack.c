/* Weights made ready for products once a step, instead of by every product. For products of pairs
 * of bf16 they become tiles twice: as the right operand of x w^T, and of dy w. The products of
 * other levels pack what they need as they go, which costs them 3 % (validation/bench_gemm.c): they
 * keep no copies. */
#include "kernel.h"

#include "pairs.h"

#if CZ_PAIRS

/* Elements of the first copy: columns c, K deep. The second: columns k, C deep. */
INLINE size_t forward_size(int C, int K)
{
    return (size_t)tiles_of(C, TILE) * (size_t)tiles_of(K, TILE_K) * TILE_SIZE;
}

size_t K(packed_bytes)(int rows, int cols)
{
    return (forward_size(rows, cols) + forward_size(cols, rows)) * sizeof(stored);
}

void K(pack)(void *packed, cz_tensor w, int row, int rows)
{
    _Static_assert(CZ_PACK_ROWS % TILE_K == 0, "a unit is made of whole tiles");
    int C = cz_rows(w), K = cz_cols(w), deep = tiles_of(C, TILE_K);
    stored *forward = packed, *backward = forward + forward_size(C, K);
    view by_row = {w.data, w.ld, 1, true, NULL}, by_column = {w.data, 1, w.ld, true, NULL};
    pack_tiles(forward + row / TILE * forward_size(TILE, K), by_row, row, rows, K, true);
    for (int k = 0; k < K; k += BLOCK)
        for (int c = row; c < row + rows; c += TILE_K) {
            size_t tile = (size_t)(k / TILE) * (size_t)deep + (size_t)(c / TILE_K);
            int lines = smaller(BLOCK, K - k), depth = smaller(TILE_K, row + rows - c);
            pack_two(backward + tile * TILE_SIZE, deep * TILE_SIZE, by_column, k, lines, c, depth,
                     (packing){false, true, true});
        }
}

view K(weights_forward)(cz_tensor w) { return (view){w.data, 1, w.ld, is_wide(w), w.packed}; }

view K(weights_backward)(cz_tensor w)
{
    const stored *packed = w.packed;
    if (packed) packed += forward_size(cz_rows(w), cz_cols(w));
    return (view){w.data, w.ld, 1, is_wide(w), packed};
}

#else

size_t K(packed_bytes)(int rows, int cols)
{
    (void)rows, (void)cols;
    return 0;
}

void K(pack)(void *packed, cz_tensor w, int row, int rows)
{
    (void)packed, (void)w, (void)row, (void)rows;
}

view K(weights_forward)(cz_tensor w) { return transpose_of(w); }
view K(weights_backward)(cz_tensor w) { return view_of(w); }

#endif
