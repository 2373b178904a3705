#include "barrier.h"
#include "czhpc/profile.h"

#include <stdbool.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#else
#define PAUSE() ((void)0)
#endif

void barrier_init(barrier *b, int threads)
{
    b->threads = threads;
    b->looks = 0;
    atomic_init(&b->here, 0);
    atomic_init(&b->round, 0);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->opened, NULL);
}

void barrier_destroy(barrier *b)
{
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->opened);
}

void barrier_set_looks(barrier *b, int looks) { b->looks = looks; }

static bool is_open(const barrier *b, unsigned round)
{
    return atomic_load_explicit(&b->round, memory_order_acquire) != round;
}

static void open_it(barrier *b, unsigned round)
{
    atomic_store_explicit(&b->here, 0, memory_order_relaxed);
    if (cz_profile_lane) b->opened_at = cz_profile_clock();
    pthread_mutex_lock(&b->lock);
    atomic_store_explicit(&b->round, round + 1, memory_order_release);
    pthread_mutex_unlock(&b->lock);
    pthread_cond_broadcast(&b->opened);
}

static void sleep_until_open(barrier *b, unsigned round)
{
    pthread_mutex_lock(&b->lock);
    while (!is_open(b, round)) pthread_cond_wait(&b->opened, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

void barrier_wait(barrier *b)
{
    unsigned round = atomic_load_explicit(&b->round, memory_order_relaxed);
    int before = atomic_fetch_add_explicit(&b->here, 1, memory_order_acq_rel);
    if (before == b->threads - 1) {
        open_it(b, round);
        return;
    }
    for (int i = 0; i < b->looks; i++) {
        if (is_open(b, round)) return;
        PAUSE();
    }
    sleep_until_open(b, round);
}
