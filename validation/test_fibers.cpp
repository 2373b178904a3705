/* The threads of an emulated GPU's block: what warps exchange, and launches that must fail. */
#include "check.h"

#include "../cuda/emulated/fibers.h"

static const unsigned ALL = ~0u;

static bool run(int threads, const std::function<void()> &thread)
{
    return fibers_run(threads, thread, [](int) {});
}

/* Of this thread within its warp. */
static int lane() { return fiber_number() % WARP; }

static uint64_t sum_of(unsigned lanes, uint64_t x, int width)
{
    for (int step = width / 2; step; step /= 2) x += fiber_exchange(lanes, x, lane() ^ step);
    return x;
}

static void check_exchanges()
{
    enum { THREADS = 96, TURNS = 3 };
    int right = 0;
    bool good = run(THREADS, [&] {
        for (int turn = 0; turn < TURNS; turn++) {
            uint64_t own = (uint64_t)(fiber_number() + turn), first = own - (uint64_t)lane();
            right += sum_of(ALL, own, WARP) == WARP * first + WARP * (WARP - 1) / 2;
        }
    });
    check(good && right == TURNS * THREADS, "sums over warps: %d of %d", right, TURNS * THREADS);
}

/* The lower half of a warp exchanges more often than the upper one, and then all together. */
static void check_parts()
{
    int right = 0;
    bool good = run(WARP, [&] {
        bool low = lane() < WARP / 2;
        unsigned half = low ? ALL >> WARP / 2 : ALL << WARP / 2;
        uint64_t sum = 1;
        for (int i = low ? 3 : 1; i; i--) sum = sum_of(half, sum, WARP / 2);
        uint64_t expected = low ? 16 * 16 * 16 : 16;
        right += sum == expected && sum_of(ALL, sum, WARP) == 16 * (16 * 16 * 16 + 16);
    });
    check(good && right == WARP, "parts of a warp, each at its own pace: %d of %d", right, WARP);
}

/* Lanes that the block does not have are not waited for. */
static void check_short()
{
    enum { THREADS = WARP + 4 };
    int right = 0;
    bool good = run(THREADS, [&] {
        uint64_t number = (uint64_t)fiber_number();
        right += fiber_exchange(ALL, number, lane() ^ 1) == (number ^ 1);
    });
    check(good && right == THREADS, "a warp of 4 lanes: %d of %d", right, THREADS);
}

/* What is written before a barrier all see after it; nobody runs ahead of it. */
static void check_barriers()
{
    enum { THREADS = 70, TURNS = 5 };
    int here[TURNS] = {0}, right = 0;
    bool good = run(THREADS, [&] {
        for (int turn = 0; turn < TURNS; turn++) {
            here[turn]++;
            fiber_wait_block(1);
            right += here[turn] == THREADS;
        }
    });
    check(good && right == TURNS * THREADS, "barriers: %d of %d", right, TURNS * THREADS);
}

/* Without a barrier some warp does not see what another one writes, whichever comes first. */
static void check_missing()
{
    int blind = 0;
    for (int block = 0; block < 2; block++) {
        int written = -1, seen[2] = {-1, -1};
        run(2 * WARP, [&] {
            if (lane()) return;
            int own = fiber_number() / WARP;
            if (own == 0) written = 1;
            seen[own] = written;
        });
        blind += seen[1] < 0;
    }
    check(blind == 1, "a barrier that is missing is missed in %d of 2 blocks", blind);
}

static void check_failures_of_launches()
{
    check(!run(2 * WARP, [] { fiber_wait_block(fiber_number() < WARP ? 1 : 2); }),
          "two barriers at once fail");
    check(!run(2 * WARP, [] { fiber_number() < WARP ? fiber_wait_block(1) : (void)0; }),
          "a barrier that a warp does not reach fails");
    check(!run(WARP, [] { lane() == 7 ? 0 : fiber_exchange(ALL, 0, lane()); }),
          "an exchange without a lane that has ended fails");
    check(!run(WARP, [] { fiber_exchange(lane() ? ALL : 1u, 0, lane()); }),
          "lanes that differ in whom they exchange with fail");
    check(!run(WARP, [] { fiber_exchange(lane() == 3 ? 1u : ALL, 0, 0); }),
          "a lane that leaves itself out fails");
    check(!run(WARP, [] { fiber_exchange(lane() < 16 ? 0xffffu : 0xffff0000u, 0, 20); }),
          "a value of a lane that does not take part fails");
    check(run(WARP, [] { fiber_exchange(ALL, 0, lane()); }), "and after all that a launch is good");
}

int main()
{
    check_exchanges();
    check_parts();
    check_short();
    check_barriers();
    check_missing();
    check_failures_of_launches();
    return check_done();
}
