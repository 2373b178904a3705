/* Scratch memory that is taken and given back in stack order, without malloc in a step. */
#ifndef CZ_ARENA_H
#define CZ_ARENA_H

#include "czhpc/status.h"

typedef struct cz_arena {
    char *base;
    size_t size, used, peak;
} cz_arena;

/* Reserves `size` bytes; pages, large ones where the system has
 * them, are touched only when used. Free with cz_arena_free(). */
cz_status cz_arena_init(cz_arena *arena, size_t size);
void cz_arena_free(cz_arena *arena);

/* `bytes` aligned to 64, not zeroed; NULL with the failure recorded when the arena is full.
 * Give back by setting arena->used to what it was before. */
void *cz_arena_take(cz_arena *arena, size_t bytes);

#endif
