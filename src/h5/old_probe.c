#include "czhpc/h5_read.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS = 60, BYTES_A_SECOND = 20 << 20 };

/* Limits of the child, which dies without a word: Open MPI would print a backtrace. */
static void confine(rlim_t seconds)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct rlimit limit = {seconds, seconds}, none = {0, 0};
    setrlimit(RLIMIT_CPU, &limit);
    setrlimit(RLIMIT_CORE, &none);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) signal(deadly[i], SIG_DFL);
    int silence = open("/dev/null", O_WRONLY);
    if (silence >= 0) dup2(silence, STDERR_FILENO);
}

/* A fork sees what this process sees, and needs no start of its own. The child computes alone:
 * it calls no MPI and leaves by _exit(), so that nothing of the parent's is flushed or freed. */
cz_status cz_h5_probe(const char *path, cz_status (*walk)(void *context), void *context)
{
    struct stat facts;
    rlim_t seconds = SECONDS;
    if (!stat(path, &facts)) seconds += (rlim_t)facts.st_size / BYTES_A_SECOND;
    pid_t child = fork();
    if (child < 0)
        return cz_fail(CZ_ERR_MEMORY, "%s: no process to probe it: %s", path, strerror(errno));
    if (child == 0) {
        confine(seconds);
        walk(context);
        _exit(0);
    }
    int ended = 0;
    pid_t found;
    while ((found = waitpid(child, &ended, 0)) < 0 && errno == EINTR) continue;
    if (found < 0)
        return cz_fail(CZ_ERR_IO, "%s: the process that probes it was lost: %s", path,
                       strerror(errno));
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) return CZ_OK;
    bool slow = WIFSIGNALED(ended) && (WTERMSIG(ended) == SIGXCPU || WTERMSIG(ended) == SIGKILL);
    return cz_fail(CZ_ERR_INPUT, "%s: is damaged: HDF5 %s while reading its structure", path,
                   slow ? "found no end" : "crashed");
}
