/* The threads of a block as fibers: each runs until it waits or ends. */
#ifndef CZ_EMULATED_FIBERS_H
#define CZ_EMULATED_FIBERS_H

#include <cstdint>
#include <functional>

enum { MOST_THREADS = 1024, WARP = 32 };

/* Runs `thread` once for each of `count` threads; place(i) says which is at work, before each part
 * of it. False where some threads ended or waited for the block while others waited for less. */
bool fibers_run(int count, const std::function<void()> &thread, void (*place)(int));

/* From within a thread. */
int fiber_number();
void fiber_wait_block(int place);
/* Gives `value`, and returns that of lane `from` of the warp, once all of `lanes` are here. */
uint64_t fiber_exchange(unsigned lanes, uint64_t value, int from);
/* Waits for these lanes: what they did is done. */
void fiber_wait_warp(unsigned lanes);

#endif
