#include "fibers.h"

#include <cstdlib>
#include <sys/mman.h>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace
{

enum { STACK = 64 << 10 };
enum state { READY, AT_BARRIER, AT_WARP, ENDED };

struct fiber {
    state is;
    int place;          /* of the barrier it waits at */
    unsigned lanes;     /* it exchanges with */
    unsigned exchanges; /* so far */
    uint64_t value[2];  /* of this exchange and of the one before, which others may still read */
#if defined(__x86_64__)
    void *stack;
#else
    ucontext_t context;
#endif
};

fiber fibers[MOST_THREADS];
char *stacks;
int count, current;
const std::function<void()> *body;

#if defined(__x86_64__)
void *scheduler_stack;

/* Keeps what a function may not change, and goes on where the other stack was left. */
extern "C" void cz_emulated_switch(void **from, void *to);
__asm__(".text\n.globl cz_emulated_switch\n.type cz_emulated_switch, @function\n"
        "cz_emulated_switch:\n"
        "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n"
        ".size cz_emulated_switch, .-cz_emulated_switch\n");

void leave(fiber *f) { cz_emulated_switch(&f->stack, scheduler_stack); }
void enter(fiber *f) { cz_emulated_switch(&scheduler_stack, f->stack); }
#else
ucontext_t scheduler;
void leave(fiber *f) { swapcontext(&f->context, &scheduler); }
void enter(fiber *f) { swapcontext(&scheduler, &f->context); }
#endif

void run_body()
{
    fiber *own = &fibers[current];
    (*body)();
    own->is = ENDED;
    leave(own);
    abort(); /* nobody enters what has ended */
}

void prepare(int i)
{
    char *bottom = stacks + (size_t)i * STACK;
    fibers[i] = fiber{};
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

bool warp_is_here(int i)
{
    int first = i / WARP * WARP;
    const fiber *own = &fibers[i];
    for (int lane = 0; lane < WARP && first + lane < count; lane++)
        if (own->lanes >> lane & 1) {
            const fiber *other = &fibers[first + lane];
            /* One that has gone on has been here, and waits for its next exchange. */
            if (other->exchanges < own->exchanges) return false;
        }
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
    for (int i = 0; i < count; i++) fibers[i].is = READY;
    return true;
}

/* Until none of its lanes can go on; whether any could. */
bool run_warp(int first, void (*place)(int), int *left)
{
    bool any = false;
    for (bool moved = true; moved; any = any || moved) {
        moved = false;
        for (int i = first; i < first + WARP && i < count; i++) {
            fiber *f = &fibers[i];
            if (f->is == ENDED || f->is == AT_BARRIER) continue;
            if (f->is == AT_WARP && !warp_is_here(i)) continue;
            current = i;
            place(i);
            enter(f);
            moved = true;
            *left -= f->is == ENDED;
        }
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
    leave(own);
}

uint64_t fiber_exchange(unsigned lanes, uint64_t value, int from)
{
    int i = current;
    fiber *own = &fibers[i];
    unsigned turn = ++own->exchanges;
    own->value[turn % 2] = value;
    own->lanes = lanes;
    while (!warp_is_here(i)) {
        own->is = AT_WARP;
        leave(own);
    }
    own->is = READY;
    int other = i / WARP * WARP + (from & (WARP - 1));
    return other < count ? fibers[other].value[turn % 2] : value;
}

bool fibers_run(int threads, const std::function<void()> &thread, void (*place)(int))
{
    if (!stacks) {
        stacks = (char *)mmap(nullptr, (size_t)MOST_THREADS * STACK, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (stacks == MAP_FAILED) abort();
    }
    count = threads;
    body = &thread;
    for (int i = 0; i < count; i++) prepare(i);
    /* A warp goes as far ahead of the others as it may, the first or the last one from block to
     * block, so that a barrier that is missing is missed. */
    static bool turned;
    int warps = (count + WARP - 1) / WARP;
    turned = !turned;
    for (int left = count; left;) {
        bool moved = false;
        for (int w = 0; w < warps; w++)
            moved = run_warp((turned ? warps - 1 - w : w) * WARP, place, &left) || moved;
        if (!moved && left && !open_barrier()) return false;
    }
    return true;
}
