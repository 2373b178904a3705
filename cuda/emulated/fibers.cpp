#include "fibers.h"

#include "races.h"

#include <cstdlib>
#include <sys/mman.h>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace
{

/* Some 64 KB; a power of two apart they would all share a few sets of a cache. */
enum { STACK = 1035 * 64 };
enum state { UNDER_WAY, AT_BARRIER, ENDED };

struct fiber {
    state is;
    int place;      /* of the barrier it waits at */
    unsigned lanes; /* it exchanges with */
    int from;       /* whose value it wants */
    uint64_t given, got;
#if defined(__x86_64__)
    void *stack;
#else
    ucontext_t context;
#endif
};

fiber fibers[MOST_THREADS];
char *stacks;
int count, current;
/* A lane is at work, ready, at an exchange, at a barrier or has ended. */
struct warp {
    unsigned ready, exchanging; /* lanes */
} warps[MOST_THREADS / WARP];
const std::function<void()> *body;

#if defined(__x86_64__)
void *scheduler_stack;

/* Keeps what a function may not change, and goes on where the other stack was left: by a jump, as a
 * ret would be predicted to go where the last call came from. */
extern "C" void cz_emulated_switch(void **from, void *to);
__asm__(".text\n.type cz_emulated_switch, @function\n"
        "cz_emulated_switch:\n"
        "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\npop %rcx\njmp *%rcx\n"
        ".size cz_emulated_switch, .-cz_emulated_switch\n");

void go_back(fiber *f) { cz_emulated_switch(&f->stack, scheduler_stack); }
void go_on(fiber *f) { cz_emulated_switch(&scheduler_stack, f->stack); }
#else
ucontext_t scheduler;
void go_back(fiber *f) { swapcontext(&f->context, &scheduler); }
void go_on(fiber *f) { swapcontext(&scheduler, &f->context); }
#endif

void leave(fiber *f)
{
    races_leave();
    go_back(f);
}
void enter(fiber *f)
{
    races_enter((int)(f - fibers));
    go_on(f);
}

void make_ready(int i)
{
    fibers[i].is = UNDER_WAY;
    warps[i / WARP].ready |= 1u << i % WARP;
}

void run_body()
{
    fiber *own = &fibers[current];
    races_begin_thread();
    (*body)();
    races_end_thread();
    own->is = ENDED;
    leave(own);
    abort(); /* nobody enters what has ended */
}

void prepare(int i)
{
    char *bottom = stacks + ((size_t)races_set() * MOST_THREADS + (size_t)i) * STACK;
    fibers[i] = fiber{};
    make_ready(i);
#if defined(__x86_64__)
    /* As if cz_emulated_switch() had been called from the first instruction of run_body(). */
    void **top = (void **)(bottom + STACK - 64);
    *--top = nullptr;
    *--top = (void *)run_body;
    for (int r = 0; r < 6; r++) *--top = nullptr;
    fibers[i].stack = top;
#else
    getcontext(&fibers[i].context);
    fibers[i].context.uc_stack.ss_sp = bottom;
    fibers[i].context.uc_stack.ss_size = STACK;
    makecontext(&fibers[i].context, run_body, 0);
#endif
}

/* An exchange of these lanes, once all of them are here for it. */
bool exchange(warp *w, fiber *lane, unsigned lanes)
{
    if ((w->exchanging & lanes) != lanes) return false;
    for (unsigned left = lanes; left; left &= left - 1)
        if (lane[__builtin_ctz(left)].lanes != lanes) return false;
    for (unsigned left = lanes; left; left &= left - 1) {
        fiber *f = &lane[__builtin_ctz(left)];
        f->got = lane[f->from].given;
    }
    w->exchanging &= ~lanes;
    w->ready |= lanes;
    return true;
}

/* Whether all that have not ended wait at the same barrier: then they go on. */
bool open_barrier()
{
    int place = 0;
    int waiting = 0, ended = 0;
    for (int i = 0; i < count; i++) {
        ended += fibers[i].is == ENDED;
        if (fibers[i].is != AT_BARRIER) continue;
        if (waiting++ && fibers[i].place != place) return false;
        place = fibers[i].place;
    }
    if (!waiting || waiting + ended < count || ended) return false;
    for (int i = 0; i < count; i++) make_ready(i);
    return true;
}

/* Until none of its lanes can go on; whether any could. */
bool run_warp(int first, void (*place)(int), int *left)
{
    warp *w = &warps[first / WARP];
    bool any = w->ready;
    while (w->ready)
        for (unsigned after = w->ready; after; after = w->ready & after) {
            int lane = __builtin_ctz(after);
            after = ~1u << lane;
            w->ready &= ~(1u << lane);
            current = first + lane;
            place(current);
            enter(&fibers[current]);
            *left -= fibers[current].is == ENDED;
        }
    return any;
}

} // namespace

int fiber_number() { return current; }

void fiber_wait_block(int place)
{
    fiber *own = &fibers[current];
    own->is = AT_BARRIER;
    own->place = place;
    races_reach_barrier();
    leave(own);
    races_pass_barrier();
}

uint64_t fiber_exchange(unsigned lanes, uint64_t value, int from)
{
    int first = current / WARP * WARP, lane = current - first;
    unsigned there = count - first < WARP ? (1u << (count - first)) - 1 : ~0u;
    fiber *own = &fibers[current];
    warp *w = &warps[first / WARP];
    own->lanes = lanes & there;
    own->given = value;
    own->from = from & (WARP - 1);
    w->exchanging |= 1u << lane;
    /* Who leaves out itself, or the one that it asks, waits for ever, and the launch fails. */
    bool sound = own->lanes >> lane & own->lanes >> own->from & 1;
    if (sound && exchange(w, fibers + first, own->lanes)) w->ready &= ~(1u << lane);
    else leave(own);
    return own->got;
}

void fiber_wait_warp(unsigned lanes)
{
    races_reach_warp();
    fiber_exchange(lanes, 0, current % WARP);
    races_pass_warp();
}

bool fibers_run(int threads, const std::function<void()> &thread, void (*place)(int))
{
    if (!stacks) {
        stacks = (char *)mmap(nullptr, (size_t)SETS * MOST_THREADS * STACK, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (stacks == MAP_FAILED) abort();
    }
    races_begin_block();
    count = threads;
    body = &thread;
    for (warp &w : warps) w = warp{};
    for (int i = 0; i < count; i++) prepare(i);
    /* A warp goes as far ahead of the others as it may, the first or the last one from block to
     * block, so that a barrier that is missing is missed. */
    static bool turned;
    int last = (count - 1) / WARP;
    turned = !turned;
    for (int left = count; left;) {
        bool moved = false;
        for (int w = 0; w <= last; w++)
            moved = run_warp((turned ? last - w : w) * WARP, place, &left) || moved;
        if (!moved && left && !open_barrier()) return false;
    }
    return true;
}
