/* A probe: what its walk answers arrives, and whatever its walk does ends in one message. */
#include "check.h"
#include "czhpc/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LARGE = 20 << 20 };

/* Files open here, but those with a flag: FD_CLOEXEC, or none. */
static int open_files(int but)
{
    int count = 0;
    for (int fd = 0; fd < 1000; fd++) {
        int flags = fcntl(fd, F_GETFD);
        count += flags >= 0 && !(flags & but);
    }
    return count;
}

static cz_status echo(cz_bytes *answer, const void *request, size_t size)
{
    cz_bytes_put(answer, request, size);
    return CZ_OK;
}

static cz_status refuse(cz_bytes *answer, const void *request, size_t size)
{
    cz_bytes_put(answer, request, size);
    return cz_fail(CZ_ERR_INPUT, "%s: obs: is not what %d expected", (const char *)request, 7);
}

static cz_status crash(cz_bytes *answer, const void *request, size_t size)
{
    (void)answer, (void)size;
    raise(*(const int *)request);
    return CZ_OK;
}

static cz_status spin(cz_bytes *answer, const void *request, size_t size)
{
    (void)answer, (void)request, (void)size;
    for (volatile int i = 0;; i = !i) continue;
    return CZ_OK;
}

static cz_status doze(cz_bytes *answer, const void *request, size_t size)
{
    struct timespec pause = {7, 0};
    while (nanosleep(&pause, &pause)) continue;
    cz_bytes_put(answer, request, size);
    return CZ_OK;
}

static cz_status eat(cz_bytes *answer, const void *request, size_t size)
{
    (void)request, (void)size;
    for (;;) {
        void *block = cz_alloc(1 << 28, 1, "a heap of texts");
        if (!block) return CZ_ERR_MEMORY;
        cz_bytes_put(answer, &block, sizeof block);
    }
}

static cz_status leave(cz_bytes *answer, const void *request, size_t size)
{
    (void)answer, (void)size;
    if (write(STDIN_FILENO, request, 3) < 0) return CZ_ERR_IO;
    _exit(0);
}

static cz_status look(cz_bytes *answer, const void *request, size_t size)
{
    (void)request, (void)size;
    int mpi = 0;
    for (char **text = environ; *text; text++)
        mpi += !strncmp(*text, "OMPI_", 5) || !strncmp(*text, "PMIX_", 5);
    cz_bytes_put_int(answer, mpi);
    cz_bytes_put_int(answer, open_files(0));
    cz_bytes_put_int(answer, cz_probe_ask(&(cz_bytes){0}, "echo", "/", "", 0));
    return CZ_OK;
}

static const cz_probe probes[] = {
    {"echo", echo}, {"refuse", refuse}, {"crash", crash}, {"spin", spin},
    {"doze", doze}, {"eat", eat},       {"leave", leave}, {"look", look},
};

static void check_answers(void)
{
    cz_bytes answer;
    check(!cz_probe_ask(&answer, "echo", "FILE", "text", 5) && answer.size == 5 &&
              !strcmp((char *)answer.data, "text"),
          "a request comes back: %s", cz_error_message());
    cz_bytes_free(&answer);
    check(!cz_probe_ask(&answer, "echo", "FILE", "", 0) && answer.size == 0, "and an empty one");
    cz_bytes_free(&answer);

    unsigned char *large = calloc(LARGE, 1);
    for (int i = 0; large && i < LARGE; i++) large[i] = (unsigned char)(i % 251);
    check(large && !cz_probe_ask(&answer, "echo", "FILE", large, LARGE) && answer.size == LARGE &&
              !memcmp(answer.data, large, LARGE),
          "and one of 20 MiB");
    cz_bytes_free(&answer);
    check(cz_probe_ask(&answer, "leave", "FILE", large, LARGE) == CZ_ERR_INPUT && !answer.data,
          "a part of an answer is none: %s", cz_error_message());
    cz_error_clear();
    check(cz_probe_ask(&answer, "refuse", "FILE", "FILE", 5) == CZ_ERR_INPUT && !answer.data &&
              !strcmp(cz_error_message(), "FILE: obs: is not what 7 expected"),
          "an error of the walk, as if it had run here");
    cz_error_clear();
    check(cz_probe_ask(&answer, "nothing", "FILE", "", 0) == CZ_ERR_BUG, "no such probe: %s",
          cz_error_message());
    cz_error_clear();
    free(large);
}

static void check_deaths(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    cz_bytes answer;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        check(cz_probe_ask(&answer, "crash", "FILE", &signals[i], sizeof *signals) ==
                      CZ_ERR_INPUT &&
                  !strcmp(cz_error_message(),
                          "FILE: is damaged: HDF5 crashed while reading its structure"),
              "a walk that dies of %s", strsignal(signals[i]));
        cz_error_clear();
    }
    check(cz_probe_ask(&answer, "crash", "FILE", &(int){SIGKILL}, sizeof(int)) == CZ_ERR_INPUT &&
              strstr(cz_error_message(), "more memory"),
          "one that is killed: %s", cz_error_message());
    cz_error_clear();
}

static void check_limits(void)
{
    cz_bytes answer;
    struct timespec began, ended;
    clock_gettime(CLOCK_MONOTONIC, &began);
    cz_status status = cz_probe_ask(&answer, "spin", "FILE", "", 0);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    double seconds =
        (double)(ended.tv_sec - began.tv_sec) + 1e-9 * (double)(ended.tv_nsec - began.tv_nsec);
    check(status == CZ_ERR_INPUT && strstr(cz_error_message(), "found no end") && seconds < 10,
          "a walk without end ends within 10 s (%.1f s): %s", seconds, cz_error_message());
    cz_error_clear();
    check(!cz_probe_ask(&answer, "doze", "FILE", "", 0),
          "a walk that waits, as for a slow file system, is waited for: %s", cz_error_message());
    cz_bytes_free(&answer);
    cz_error_clear();
#ifdef __SANITIZE_ADDRESS__
    check_skip("a walk that eats memory: a sanitizer needs the whole address space");
#else
    check(cz_probe_ask(&answer, "eat", "FILE", "", 0) == CZ_ERR_INPUT &&
              strstr(cz_error_message(), "more memory than 3.0 GiB"),
          "a walk that eats memory: %s", cz_error_message());
    cz_error_clear();
#endif
}

static void check_surroundings(void)
{
    cz_bytes answer;
    setenv("OMPI_COMM_WORLD_RANK", "0", 1);
    setenv("PMIX_RANK", "0", 1);
    check(!cz_probe_ask(&answer, "look", "FILE", "", 0), "a walk that looks around");
    cz_bytes_reader reader = cz_bytes_open(answer.data, answer.size);
    check(cz_bytes_take_int(&reader, 0, 0) == 0 && !reader.bad, "its environment names no MPI");
    int files = (int)cz_bytes_take_int(&reader, 0, 1000);
    check(files == open_files(FD_CLOEXEC), "it has the %d files that may be handed on", files);
    check(cz_bytes_take_int(&reader, CZ_ERR_BUG, CZ_ERR_BUG) == CZ_ERR_BUG,
          "a probe asks no probe");
    cz_bytes_free(&answer);
    cz_error_clear();
}

int main(int argc, char **argv)
{
    cz_bytes answer;
    if (argc == 1)
        check(cz_probe_ask(&answer, "echo", "/", "", 0) == CZ_ERR_BUG &&
                  strstr(cz_error_message(), "cz_probe_serve()"),
              "a program that serves no probe asks none");
    cz_error_clear();
    cz_probe_serve(argc, argv, probes, sizeof probes / sizeof *probes);
    int files = open_files(0);
    check_answers();
    check_deaths();
    check_limits();
    check_surroundings();
    check(open_files(0) == files, "no file stays open");
    check(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "no child is left");
    return check_done();
}
