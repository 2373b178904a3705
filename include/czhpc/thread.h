/* Threads beside those of a pool, which compute. */
#ifndef CZ_THREAD_H
#define CZ_THREAD_H

#include "czhpc/status.h"

#include <pthread.h>

/* Starts run(context) in a thread that takes no signals: they are the main thread's. Its end is the
 * caller's to wait for, by pthread_join(). CZ_ERR_MEMORY, "no thread" and `what_for`, where the
 * system has none. Local. */
cz_status cz_thread_start(pthread_t *thread, void *(*run)(void *), void *context,
                          const char *what_for);

#endif
