#include "czhpc/log.h"
#include "czhpc/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct cz_progress_bar {
    bool terminal;
    const char *adversary;
    double started;   /* seconds, at the first step seen */
    double drawn;     /* when the bar was last drawn */
    long first, last; /* optimiser steps at the first report and now */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Under mpirun a rank's stderr is a pipe, which mpirun copies to its own: the parent's is the
 * one that a person looks at. */
static bool seen_by_a_person(void)
{
    if (isatty(STDERR_FILENO)) return true;
    char link[64], target[64];
    snprintf(link, sizeof link, "/proc/%d/fd/2", (int)getppid());
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length <= 0 || !getenv("OMPI_COMM_WORLD_RANK")) return false;
    target[length] = 0;
    return !strncmp(target, "/dev/pts/", 9) || !strncmp(target, "/dev/tty", 8);
}

cz_status cz_progress_open(cz_progress_bar **opened, const char *adversary)
{
    cz_progress_bar *bar = cz_alloc(1, sizeof *bar, "the progress bar");
    *opened = bar;
    if (!bar) return CZ_ERR_MEMORY;
    bar->terminal = seen_by_a_person();
    bar->adversary = adversary;
    return CZ_OK;
}

void cz_progress_close(cz_progress_bar *bar) { free(bar); }

static void print_time(char *text, size_t size, double seconds)
{
    long s = (long)(seconds + 0.5);
    if (s >= 3600) snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
}

void cz_progress_step(void *context, const cz_step_report *r)
{
    enum { WIDTH = 24 };
    cz_progress_bar *bar = context;
    double time = now();
    bar->last = (long)(r->epoch - 1) * r->steps + r->step;
    if (bar->started == 0) {
        bar->started = time;
        bar->first = bar->last;
    }
    if (!bar->terminal || (time - bar->drawn < 0.1 && r->step < r->steps)) return;
    bar->drawn = time;
    double per_step =
        bar->last > bar->first ? (time - bar->started) / (double)(bar->last - bar->first) : 0;
    char eta[32];
    print_time(eta, sizeof eta, per_step * (double)((long)r->epochs * r->steps - bar->last));
    char blocks[WIDTH + 1];
    int full = (int)((long)WIDTH * r->step / r->steps);
    for (int i = 0; i < WIDTH; i++) blocks[i] = i < full ? '#' : '.';
    blocks[WIDTH] = 0;
    double cells = (double)r->cells / r->step;
    char scores[64] = "";
    if (isfinite(r->loss))
        snprintf(scores, sizeof scores, " loss %.3f accuracy %.1f %%", r->loss, 100 * r->accuracy);
    cz_log_draw("epoch %d/%d [%s]%s %.0f cells/s ETA %s", r->epoch, r->epochs, blocks, scores,
                per_step > 0 ? cells / per_step : 0, eta);
}

void cz_progress_epoch(void *context, const cz_epoch_report *r)
{
    cz_progress_bar *bar = context;
    char adversary[CZ_NAME_MAX + 40] = "", test[48] = "";
    if (bar->adversary)
        snprintf(adversary, sizeof adversary, "  %s %5.2f %%", bar->adversary,
                 100 * r->validation.accuracy[1]);
    if (r->has_test) snprintf(test, sizeof test, "  test %5.2f %%", 100 * r->test.accuracy[0]);
    cz_note("epoch %3d/%d  train %5.2f %% loss %.4f  validation %5.2f %% loss %.4f%s%s  lr %.2e  "
            "%.1f s%s",
            r->epoch, r->epochs, 100 * r->train.accuracy[0], r->train.loss[0],
            100 * r->validation.accuracy[0], r->validation.loss[0], test, adversary, r->lr,
            r->seconds, r->best ? "  best" : "");
}
