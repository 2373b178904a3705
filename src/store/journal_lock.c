#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void sleep_for(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    nanosleep(&time, NULL);
}

/* The lock as a waiter sees it, and since when it has looked like that. */
typedef struct sight {
    struct stat status;
    double since;
} sight;

static bool same_lock(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* As Optuna gives a lock back: under a name of its own, so that of two only one removes it. A lock
 * that is not the one that was seen is another's, made meanwhile, and goes back. 0, also where it
 * is not there any more, or errno: it cannot be moved. */
static int remove_lock(const cz_journal *journal, const struct stat *seen)
{
    char renamed[CZ_FILE_PATH + 64];
    unsigned long long random[2] = {0};
    struct stat found;
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        random[0] = (unsigned long long)getpid();
    snprintf(renamed, sizeof renamed, "%s%016llx%016llx.rename", journal->lock, random[0],
             random[1]);
    if (rename(journal->lock, renamed)) return errno == ENOENT ? 0 : errno;
    /* Refused where the next one has the lock by now: then this one's owner finds that it lost. */
    if (lstat(renamed, &found) || !same_lock(&found, seen)) (void)!link(renamed, journal->lock);
    unlink(renamed);
    return 0;
}

/* Whether the lock has been the same one for longer than a live process holds it. */
static bool is_abandoned(const cz_journal *journal, sight *seen)
{
    struct stat now;
    if (lstat(journal->lock, &now)) return false;
    if (!same_lock(&now, &seen->status)) {
        seen->status = now;
        seen->since = monotonic();
    }
    return monotonic() - seen->since > journal->grace;
}

static cz_status create_lock(cz_journal *journal, bool *created)
{
    int fd = open(journal->lock, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    *created = fd >= 0 && !fstat(fd, &journal->mine);
    int failed = errno;
    if (fd >= 0) close(fd);
    if (*created) return CZ_OK;
    if (failed == EEXIST || failed == EINTR) return CZ_OK;
    return cz_fail(CZ_ERR_IO, "%s: the lock cannot be made: %s", journal->lock, strerror(failed));
}

static cz_status take_away(const cz_journal *journal, const sight *seen)
{
    int failed = remove_lock(journal, &seen->status);
    if (!failed) return CZ_OK;
    return cz_fail(CZ_ERR_IO, "%s: the lock of a dead process cannot be removed: %s", journal->lock,
                   strerror(failed));
}

cz_status cz_journal_lock(cz_journal *journal)
{
    sight seen = {.since = monotonic()};
    double wait = 0.001;
    for (;;) {
        bool created;
        CZ_TRY(create_lock(journal, &created));
        if (created) return CZ_OK;
        if (is_abandoned(journal, &seen)) {
            CZ_TRY(take_away(journal, &seen));
            wait = 0.001;
            continue;
        }
        sleep_for(wait);
        wait = fmin(2 * wait, 1);
    }
}

bool cz_journal_locked(const cz_journal *journal)
{
    struct stat status;
    return !lstat(journal->lock, &status) && same_lock(&status, &journal->mine);
}

void cz_journal_unlock(cz_journal *journal)
{
    /* Another's, where this process was stopped for so long that it was taken for dead. */
    if (cz_journal_locked(journal)) remove_lock(journal, &journal->mine);
}
