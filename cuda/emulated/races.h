/* What orders the memory of a GPU's threads, told to ThreadSanitizer where kernels are compiled for
 * it (validation/gpu/races.sh): each thread of a block is a fiber of its own, ordered with others
 * by launches, barriers and __syncwarp(), and with other blocks by __threadfence() before an atomic
 * operation. Shuffles and tiles order nothing. Otherwise nothing is told to anybody. */
#ifndef CZ_EMULATED_RACES_H
#define CZ_EMULATED_RACES_H

#include "fibers.h"

#ifdef CZ_RACES
/* A block has the fibers of one of SETS, by chance, as those of one set are ordered: of two blocks
 * that race every other pair shows. */
enum { SETS = 2 };
void races_begin_block();     /* by the host: what it did so far is before all of a block, */
void races_end_launch();      /* and what a launch did before what the host does next */
void races_enter(int thread); /* the thread is at work */
void races_leave();           /* and no more */
void races_begin_thread();    /* by the thread, */
void races_end_thread();      /* at its ends */
void races_reach_barrier();   /* before it waits for its block */
void races_pass_barrier();    /* and after */
void races_reach_warp();      /* the same of __syncwarp() */
void races_pass_warp();
void races_fence();      /* what it did is before what others do after */
void races_see_fences(); /* this */
int races_set();
/* Memory of a block that no other had. */
unsigned char *races_shared(unsigned char *usual, size_t bytes);
#else
enum { SETS = 1 };
inline void races_begin_block() {}
inline void races_end_launch() {}
inline void races_enter(int) {}
inline void races_leave() {}
inline void races_begin_thread() {}
inline void races_end_thread() {}
inline void races_reach_barrier() {}
inline void races_pass_barrier() {}
inline void races_reach_warp() {}
inline void races_pass_warp() {}
inline void races_fence() {}
inline void races_see_fences() {}
inline int races_set() { return 0; }
inline unsigned char *races_shared(unsigned char *usual, size_t) { return usual; }
#endif

#endif
