/* Where the time goes: spans of named work, nested as the calls are, recorded per thread.
 *
 *     CZ_SPAN("adam"); // from here to the end of the block, whichever way it is left
 *
 * Off, as it is until cz_profile_open(), a span is a load and a branch at its begin and a branch at
 * its end. On, it looks at the clock twice and writes memory of its own thread: no lock, no
 * allocation. A span of a pool's thread hangs below the place where the main thread called
 * cz_pool_run(). Local, all of it. */
#ifndef CZ_PROFILE_H
#define CZ_PROFILE_H

#include "czhpc/status.h"

#include <stdint.h>

typedef enum cz_span_kind {
    CZ_SPAN_PLAIN, /* of the single spans, the first are kept */
    CZ_SPAN_PHASE, /* rare and long: each is kept */
    CZ_SPAN_STEP   /* a training step: times are given by step too */
} cz_span_kind;

typedef struct cz_lane cz_lane; /* the record of a thread */

/* A span that has begun. */
typedef struct cz_span {
    cz_lane *lane; /* NULL: is not recorded */
    int64_t begin;
    cz_span_kind kind;
} cz_span;

/* The record of this thread, NULL: off. */
extern _Thread_local cz_lane *cz_profile_lane;

/* Nanoseconds of a clock that only goes forward. */
int64_t cz_profile_clock(void);

/* Of a thread that has a record; end: a cz_profile_clock(), not before the begin. */
cz_span cz_span_open(const char *name, cz_span_kind kind, double flops);
void cz_span_close(cz_span *span, int64_t end);

static inline cz_span cz_span_begin(const char *name, cz_span_kind kind, double flops)
{
    return cz_profile_lane ? cz_span_open(name, kind, flops) : (cz_span){NULL, 0, kind};
}
static inline void cz_span_end(cz_span *span)
{
    if (span->lane) cz_span_close(span, cz_profile_clock());
}
/* That ended before now. */
static inline void cz_span_end_at(cz_span *span, int64_t end)
{
    if (span->lane) cz_span_close(span, end);
}

/* name: a string literal of letters, digits, blanks and _ (). flops: floating-point operations of
 * matrix products. One a line. */
#define CZ_SPAN_JOIN(a, b) a##b
#define CZ_SPAN_NAMED(line, name, kind, flops)                                                     \
    cz_span CZ_SPAN_JOIN(cz_span_of_line_, line) __attribute__((cleanup(cz_span_end))) =           \
        cz_span_begin("" name, kind, flops)
#define CZ_SPAN(name) CZ_SPAN_NAMED(__LINE__, name, CZ_SPAN_PLAIN, 0)
#define CZ_SPAN_FLOPS(name, flops) CZ_SPAN_NAMED(__LINE__, name, CZ_SPAN_PLAIN, flops)
#define CZ_PHASE(name) CZ_SPAN_NAMED(__LINE__, name, CZ_SPAN_PHASE, 0)
#define CZ_STEP(name) CZ_SPAN_NAMED(__LINE__, name, CZ_SPAN_STEP, 0)

/* From now on spans are recorded: in the calling thread, the main one, and in the threads of pools
 * that are opened later. origin: the cz_profile_clock() that times count from. events: most single
 * spans that a thread keeps; the others are counted and summed only. Close with
 * cz_profile_close(), once those pools are closed. CZ_ERR_MEMORY. */
cz_status cz_profile_open(int64_t origin, int events);
void cz_profile_close(void);

/* For the pool: the main thread makes room for threads 0 .. threads-1, whose cz_profile_lane these
 * become (NULL: off), and says where it is; a thread goes there. */
cz_status cz_profile_reserve(int threads);
cz_lane *cz_profile_lane_of(int thread);
int cz_profile_place(void);
void cz_profile_follow(int place);

/* Spans of one name at one place. */
enum { CZ_PROFILE_NAME = 40 };
typedef struct cz_profile_node {
    char name[CZ_PROFILE_NAME];
    int32_t parent; /* index of an earlier node; -1: the first, the whole */
    int32_t kind;   /* cz_span_kind */
    int32_t shared; /* 1: threads beside the main one did it too */
    int64_t calls, ns;
    double flops; /* of its own, without those below */
} cz_profile_node;

/* One span. */
typedef struct cz_profile_event {
    int64_t begin, ns; /* begin: since the origin */
    int32_t node, thread;
} cz_profile_event;

/* What was recorded until now, all threads together. */
typedef struct cz_profile {
    int threads, nodes, events;
    int64_t wall, calls, lost; /* ns; spans in all; spans without a place of their own */
    cz_profile_node *node;     /* (nodes) node[0] is the whole of the main thread */
    cz_profile_event *event;   /* (events) */
} cz_profile;

/* Copies it, when all pools are closed. Free with cz_profile_free(). CZ_ERR_MEMORY. */
cz_status cz_profile_take(cz_profile *profile);
void cz_profile_free(cz_profile *profile);

#endif
