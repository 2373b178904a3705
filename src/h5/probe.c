/* Both sides of a probe. The two are joined by a socket: the request goes in, and is ended by
 * a shutdown; the answer comes out: status, message, size, bytes. */
#include "czhpc/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(name) 0 /* gcc defines __SANITIZE_... instead */
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ ||                                 \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED = 1 }; /* its shadow memory needs the whole address space */
#else
enum { SANITIZED = 0 };
#endif

/* The first argument of a process that is a probe; then follow name, seconds, bytes. */
static const char mark[] = "--czhpc-probe";

static bool serves; /* this program calls cz_probe_serve(), so it can be started anew */

/* What a file of no size may take; each 20 MiB of it give a second more, each byte 8 more. */
enum { SECONDS = 6, BYTES_A_SECOND = 20 << 20, BYTES_A_BYTE = 8 };
static const rlim_t memory = (rlim_t)3 << 30;

/* A probe that waits for its file system, and does not compute, is waited for this long. */
enum { PATIENCE = 300 };

typedef struct limits {
    int seconds;
    rlim_t bytes;
} limits;

static limits limits_of(const char *path)
{
    struct stat facts;
    off_t size = stat(path, &facts) ? 0 : facts.st_size;
    return (limits){SECONDS + (int)(size / BYTES_A_SECOND), memory + (rlim_t)size * BYTES_A_BYTE};
}

/* ---- the probe's side ---- */

static void limit(int resource, rlim_t soft, rlim_t hard)
{
    struct rlimit now;
    if (getrlimit(resource, &now)) return;
    now.rlim_max = now.rlim_max < hard ? now.rlim_max : hard;
    now.rlim_cur = now.rlim_max < soft ? now.rlim_max : soft;
    setrlimit(resource, &now);
}

/* It dies without a core or a word, and not after who asked. */
static void confine(rlim_t seconds, rlim_t bytes)
{
    limit(RLIMIT_CPU, seconds, seconds + 1);
    limit(RLIMIT_CORE, 0, 0);
    if (!SANITIZED) limit(RLIMIT_AS, bytes, bytes);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static cz_status read_request(cz_bytes *request, int from)
{
    unsigned char block[4096];
    ssize_t got;
    while ((got = read(from, block, sizeof block)) != 0) {
        if (got < 0 && errno != EINTR)
            return cz_fail(CZ_ERR_IO, "a probe lost its request: %s", strerror(errno));
        if (got > 0) cz_bytes_put(request, block, (size_t)got);
    }
    return request->failed ? CZ_ERR_MEMORY : CZ_OK;
}

static bool write_all(int to, const void *from, size_t size)
{
    for (const char *at = from; size > 0;) {
        ssize_t sent = write(to, at, size);
        if (sent < 0 && errno != EINTR) return false;
        if (sent > 0) at += sent, size -= (size_t)sent;
    }
    return true;
}

static cz_status walk(cz_bytes *answer, const char *name, const cz_probe *probes, int count)
{
    cz_bytes request = {0};
    CZ_TRY(read_request(&request, STDIN_FILENO));
    for (int i = 0; i < count; i++) {
        if (strcmp(name, probes[i].name) != 0) continue;
        cz_status status = probes[i].walk(answer, request.data, request.size);
        return !status && answer->failed ? CZ_ERR_MEMORY : status;
    }
    return cz_fail(CZ_ERR_BUG, "there is no probe '%s'", name);
}

void cz_probe_serve(int argc, char **argv, const cz_probe *probes, int count)
{
    serves = true;
    if (argc != 5 || strcmp(argv[1], mark) != 0) return;
    serves = false;
    confine(strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
    cz_bytes answer = {0}, head = {0};
    cz_status status = walk(&answer, argv[2], probes, count);
    if (status) answer.size = 0;
    cz_bytes_put_int(&head, status);
    cz_bytes_put_text(&head, cz_error_message());
    cz_bytes_put_int(&head, (int64_t)answer.size);
    bool sent = !head.failed && write_all(STDIN_FILENO, head.data, head.size) &&
                write_all(STDIN_FILENO, answer.data, answer.size);
    _exit(sent ? 0 : 1); /* nothing is run at exit: HDF5 may be in pieces */
}

/* ---- the asking side ---- */

/* This process's environment without what would make an MPI process of a probe; `to` is for the
 * caller to free(), its strings are not. */
static cz_status clean_environment(char ***to)
{
    size_t count = 0, kept = 0;
    while (environ[count]) count++;
    *to = cz_alloc(count + 2, sizeof **to, "an environment");
    if (!*to) return CZ_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "OMPI_", 5) != 0 && strncmp(environ[i], "PMI", 3) != 0)
            (*to)[kept++] = environ[i];
    (*to)[kept] = "LIBC_FATAL_STDERR_=1"; /* else its last words go to the terminal */
    return CZ_OK;
}

/* A group of its own: a Ctrl-C is for the parent, which may have a state to save. */
static int set_up(posix_spawn_file_actions_t *files, posix_spawnattr_t *signals, int joined)
{
    sigset_t none, every;
    sigemptyset(&none);
    sigfillset(&every);
    int error = posix_spawn_file_actions_adddup2(files, joined, STDIN_FILENO);
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO && !error; fd++)
        error = posix_spawn_file_actions_addopen(files, fd, "/dev/null", O_WRONLY, 0);
    if (!error) error = posix_spawnattr_setsigmask(signals, &none);
    if (!error) error = posix_spawnattr_setsigdefault(signals, &every);
    if (!error)
        error = posix_spawnattr_setflags(signals, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                      POSIX_SPAWN_SETPGROUP);
    return error;
}

/* Starts this executable anew, with the socket as its standard input. */
static cz_status start(pid_t *child, int joined, const char *name, limits most)
{
    char seconds[24], bytes[24], **environment;
    snprintf(seconds, sizeof seconds, "%d", most.seconds);
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)most.bytes);
    char *arguments[] = {"czhpc", (char *)mark, (char *)name, seconds, bytes, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t signals;
    CZ_TRY(clean_environment(&environment));
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&signals);
    int error = set_up(&files, &signals, joined);
    if (!error)
        error = posix_spawn(child, "/proc/self/exe", &files, &signals, arguments, environment);
    posix_spawnattr_destroy(&signals);
    posix_spawn_file_actions_destroy(&files);
    free(environment);
    if (error) return cz_fail(CZ_ERR_IO, "no process to probe files by: %s", strerror(error));
    return CZ_OK;
}

static double seconds_of(clockid_t clock)
{
    struct timespec time;
    return clock_gettime(clock, &time) ? 0 : (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Whether a probe has used up its time; one that hardly computes waits for its file system. */
static bool is_late(pid_t child, double waited, limits most)
{
    clockid_t clock;
    if (waited < most.seconds) return false;
    return waited >= most.seconds + PATIENCE || clock_getcpuclockid(child, &clock) ||
           seconds_of(clock) > 0.03 * most.seconds;
}

/* Sends and receives what can be without waiting; false at the end of the answer. */
static bool exchange(int joined, const char **request, size_t *size, cz_bytes *answer)
{
    char block[1 << 14];
    if (*size > 0) {
        ssize_t sent = send(joined, *request, *size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) *request += sent, *size -= (size_t)sent;
        else if (sent < 0 && errno == EPIPE) *size = 0; /* it died: its end tells more */
        if (*size == 0) shutdown(joined, SHUT_WR);
    }
    ssize_t got = recv(joined, block, sizeof block, MSG_DONTWAIT);
    if (got > 0) cz_bytes_put(answer, block, (size_t)got);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

/* Until the answer ends or the time is up: false then. */
static bool converse(cz_bytes *answer, int joined, pid_t child, const void *request, size_t size,
                     limits most)
{
    const char *rest = request;
    double began = seconds_of(CLOCK_MONOTONIC);
    if (size == 0) shutdown(joined, SHUT_WR);
    while (!is_late(child, seconds_of(CLOCK_MONOTONIC) - began, most)) {
        struct pollfd ready = {joined, POLLIN | (size > 0 ? POLLOUT : 0), 0};
        if (poll(&ready, 1, 100) > 0 && !exchange(joined, &rest, &size, answer)) return true;
    }
    return false;
}

/* Why a probe gave no whole answer. */
static cz_status no_answer(const char *path, int ended, bool late, double used, limits most)
{
    int number = WIFSIGNALED(ended) ? WTERMSIG(ended) : 0;
    if (late && used < 0.03 * most.seconds)
        return cz_fail(CZ_ERR_IO,
                       "%s: its file system has not answered for %d s: see whether other files "
                       "there can be read, and run again",
                       path, most.seconds + PATIENCE);
    if (number == SIGKILL && !late && used < most.seconds)
        return cz_fail(CZ_ERR_INPUT,
                       "%s: the process that read its structure was killed, as the system does "
                       "where memory runs out: give the job more memory; if that does not help, "
                       "the file is damaged",
                       path);
    return cz_fail(CZ_ERR_INPUT, "%s: is damaged: HDF5 %s while reading its structure", path,
                   late || number == SIGXCPU || number == SIGKILL ? "found no end" : "crashed");
}

/* Takes the answer apart; what is left of it are the walk's bytes. False where it is not whole. */
static bool open_answer(cz_bytes *answer, cz_status *status, const char **message)
{
    cz_bytes_reader reader = cz_bytes_open(answer->data, answer->size);
    *status = (cz_status)cz_bytes_take_int(&reader, CZ_OK, CZ_ERR_BUG);
    *message = cz_bytes_take_text(&reader);
    int64_t size = cz_bytes_take_int(&reader, 0, INT64_MAX);
    if (answer->failed || reader.bad || (size_t)size != cz_bytes_left(&reader, 1)) return false;
    if (*status) return true;
    memmove(answer->data, reader.at, (size_t)size);
    answer->size = (size_t)size;
    return true;
}

static cz_status judge(cz_bytes *answer, const char *path, int ended, bool late, double used,
                       limits most)
{
    cz_status status;
    const char *message;
    if (answer->failed) return CZ_ERR_MEMORY;
    if (!open_answer(answer, &status, &message)) return no_answer(path, ended, late, used, most);
    if (status == CZ_ERR_MEMORY)
        return cz_fail(CZ_ERR_INPUT,
                       "%s: is damaged: HDF5 wanted more memory than %.1f GiB while reading its "
                       "structure",
                       path, (double)most.bytes / (1 << 30));
    return status ? cz_fail(status, "%s", message) : CZ_OK;
}

cz_status cz_probe_ask(cz_bytes *answer, const char *name, const char *path, const void *request,
                       size_t size)
{
    int pair[2], ended = 0;
    pid_t child = -1;
    struct rusage usage = {0};
    limits most = limits_of(path);
    *answer = (cz_bytes){0};
    if (!serves) return cz_fail(CZ_ERR_BUG, "a probe without cz_probe_serve() in main()");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return cz_fail(CZ_ERR_IO, "no socket to probe files by: %s", strerror(errno));
    cz_status status = start(&child, pair[1], name, most);
    close(pair[1]);
    if (!status) {
        bool late = !converse(answer, pair[0], child, request, size, most);
        kill(child, SIGKILL); /* where it has ended by itself, this changes nothing */
        while (wait4(child, &ended, 0, &usage) < 0 && errno == EINTR) continue;
        double used = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                      1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
        status = judge(answer, path, ended, late, used, most);
    }
    close(pair[0]);
    if (status) cz_bytes_free(answer);
    return status;
}
