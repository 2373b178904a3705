#include "czhpc/thread.h"

#include <signal.h>
#include <string.h>

cz_status cz_thread_start(pthread_t *thread, void *(*run)(void *), void *context,
                          const char *what_for)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed) return CZ_OK;
    return cz_fail(CZ_ERR_MEMORY, "no thread %s: %s", what_for, strerror(failed));
}
