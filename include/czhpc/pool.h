/* The threads of a rank: thread 0 is the caller, the others wait for work. They compute and
 * never call MPI. */
#ifndef CZ_POOL_H
#define CZ_POOL_H

#include "czhpc/cores.h"
#include "czhpc/status.h"

typedef struct cz_pool cz_pool;
typedef cz_status (*cz_work)(void *context, int thread);

/* `threads` >= 1 in all, the caller too bound to `cores` as cores.h says until cz_pool_close();
 * NULL: none is bound. A system that refuses to bind is warned of. Free with cz_pool_close(), by
 * the same thread; NULL after a failure. Local. */
cz_status cz_pool_open(cz_pool **pool, int threads, const cz_cores *cores);
void cz_pool_close(cz_pool *pool);
int cz_pool_threads(const cz_pool *pool);

/* Runs work(context, t) for t = 0 .. threads-1 and waits for all; the worst status. */
cz_status cz_pool_run(cz_pool *pool, cz_work work, void *context);

/* Waits until all threads of the pool are here. Only inside cz_pool_run(), by all. */
void cz_pool_barrier(cz_pool *pool);

#endif
