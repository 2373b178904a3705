/* A block of a product on AMX tiles: all eight have 16 lines of 16 pairs of bf16, of fp32 16 lines
 * of 16. */
#ifndef CZ_PAIRS_AMX_H
#define CZ_PAIRS_AMX_H

#include "pairs.h"

#if CZ_AMX

/* What _tile_loadconfig reads. */
typedef struct tile_shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t line_bytes[16];
    uint8_t lines[16];
} tile_shapes;

/* Once a thread: it takes as long as a small product, and nothing here gives the tiles back. */
INLINE void prepare_tiles(void)
{
    static _Thread_local bool configured;
    if (configured) return;
    configured = true;
    tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) shapes.line_bytes[i] = 64, shapes.lines[i] = TILE;
    __asm__ volatile("" : : "r"(&shapes) : "memory"); /* gcc 12 sees it read but its first bytes */
    _tile_loadconfig(&shapes);
}

/* Tiles of A have a line for each row, whichever way it lies in memory. */
enum { LEFT_ACROSS = false };

/* Rows of A any distance apart are tiles. */
INLINE bool read_in_place(ptrdiff_t row)
{
    (void)row;
    return true;
}

/* sum (16 mt, 16 nt), rows BLOCK apart, over `depth` tiles of k. */
INLINE void multiply_tiles(float *sum, const int mt, const int nt, tiles a, tiles b, int depth)
{
    __asm__ volatile("" : : : "memory"); /* gcc 12 does not see tiles being loaded from memory */
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

INLINE void multiply_block(float *sum, int rows, int cols, tiles a, tiles b, int depth)
{
    if (rows > TILE && cols > TILE) multiply_tiles(sum, 2, 2, a, b, depth);
    else if (rows > TILE) multiply_tiles(sum, 2, 1, a, b, depth);
    else if (cols > TILE) multiply_tiles(sum, 1, 2, a, b, depth);
    else multiply_tiles(sum, 1, 1, a, b, depth);
}

#endif

#endif
