#include "czhpc/arena.h"

#include <sys/mman.h>

cz_status cz_arena_init(cz_arena *arena, size_t size)
{
    void *base = mmap(NULL, size ? size : 1, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *arena = (cz_arena){0};
    if (base == MAP_FAILED)
        return cz_fail(CZ_ERR_MEMORY, "no memory for %zu bytes of scratch: lower train.block",
                       size);
    /* Fewer, larger pages where the system lets one ask: matrices cross many small ones. */
    madvise(base, size ? size : 1, MADV_HUGEPAGE);
    arena->base = base;
    arena->size = size;
    return CZ_OK;
}

void cz_arena_free(cz_arena *arena)
{
    if (arena->base) munmap(arena->base, arena->size ? arena->size : 1);
    *arena = (cz_arena){0};
}

void *cz_arena_take(cz_arena *arena, size_t bytes)
{
    size_t rounded = (bytes + 63) & ~(size_t)63;
    if (rounded < bytes || rounded > arena->size - arena->used) {
        cz_fail(CZ_ERR_MEMORY, "scratch of %zu bytes is full: %zu more wanted", arena->size, bytes);
        return NULL;
    }
    void *taken = arena->base + arena->used;
    arena->used += rounded;
    if (arena->used > arena->peak) arena->peak = arena->used;
    return taken;
}
