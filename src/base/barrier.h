/* Where threads wait for one another. Private to src/base. */
#ifndef CZ_BARRIER_H
#define CZ_BARRIER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* Who comes early looks `looks` times whether all are there, and then sleeps: looking is quicker by
 * the time that a sleeper takes to wake, but keeps a core from others. */
typedef struct barrier {
    int threads, looks;
    char apart[64]; /* who comes shall not take from others the line that they look at */
    atomic_int here;
    char apart_too[64];
    atomic_uint round;
    int64_t opened_at; /* cz_profile_clock() when the last one came, if there is a profile */
    pthread_mutex_t lock;
    pthread_cond_t opened;
} barrier;

void barrier_init(barrier *b, int threads);
void barrier_destroy(barrier *b);
/* While nobody waits. */
void barrier_set_looks(barrier *b, int looks);
/* What a thread wrote before it came, all see when they leave. opened_at is theirs to read until
 * they come again. */
void barrier_wait(barrier *b);

#endif
