/* The shape of all eight AMX tiles: 16 lines of 64 bytes. */
#ifndef CZ_AMX_H
#define CZ_AMX_H

#include "kernel.h"

#if CZ_AMX

/* What _tile_loadconfig reads. */
typedef struct tile_shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t line_bytes[16];
    uint8_t lines[16];
} tile_shapes;

INLINE void configure_tiles(void)
{
    tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) shapes.line_bytes[i] = 64, shapes.lines[i] = 16;
    _tile_loadconfig(&shapes);
}

#endif

#endif
