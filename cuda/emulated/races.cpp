#include "races.h"

#ifdef CZ_RACES

#include <cstdlib>
#include <cstring>
#include <sanitizer/tsan_interface.h>
#include <sys/mman.h>

namespace
{

/* What is released and acquired: addresses alone count. Barriers alternate, as a thread may reach
 * the next before another has passed the last. */
long launch, end, fences, barrier[SETS][2], of_warp[SETS][MOST_THREADS / WARP][2];
void *host, *fiber[SETS][MOST_THREADS];
int set;
unsigned barriers[MOST_THREADS], exchanges[MOST_THREADS];

long *own_barrier(unsigned passed) { return &barrier[set][passed % 2]; }
long *own_warp(unsigned passed) { return &of_warp[set][fiber_number() / WARP][passed % 2]; }

/* CZHPC_RACES_WITHOUT: "block", "warp" or "fence", of which nothing is told, as if kernels had
 * none. */
bool without(const char *what)
{
    static const char *const said = getenv("CZHPC_RACES_WITHOUT");
    return said && !strcmp(said, what);
}

} // namespace

void races_begin_block()
{
    static uint32_t random = 1;
    random = random * 1664525 + 1013904223;
    set = (int)(random >> 16) % SETS;
    for (unsigned &passed : barriers) passed = 0;
    for (unsigned &passed : exchanges) passed = 0;
    host = __tsan_get_current_fiber();
    __tsan_release(&launch);
}
void races_end_launch() { __tsan_acquire(&end); }

void races_enter(int thread)
{
    void *&own = fiber[set][thread];
    if (!own) own = __tsan_create_fiber(0);
    __tsan_switch_to_fiber(own, __tsan_switch_to_fiber_no_sync);
}
void races_leave() { __tsan_switch_to_fiber(host, __tsan_switch_to_fiber_no_sync); }

void races_begin_thread() { __tsan_acquire(&launch); }
void races_end_thread() { __tsan_release(&end); }

void races_reach_barrier()
{
    if (!without("block")) __tsan_release(own_barrier(barriers[fiber_number()]));
}
void races_pass_barrier() { __tsan_acquire(own_barrier(barriers[fiber_number()]++)); }
void races_reach_warp()
{
    if (!without("warp")) __tsan_release(own_warp(exchanges[fiber_number()]));
}
void races_pass_warp() { __tsan_acquire(own_warp(exchanges[fiber_number()]++)); }

void races_fence()
{
    if (!without("fence")) __tsan_release(&fences);
}
void races_see_fences() { __tsan_acquire(&fences); }

int races_set() { return set; }

unsigned char *races_shared(unsigned char *, size_t bytes)
{
    static void *room;
    static size_t size;
    if (room) munmap(room, size);
    size = bytes;
    room = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) abort();
    return (unsigned char *)room;
}

#endif
