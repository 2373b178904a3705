/* Leases of trials (of one second here): who owns a trial keeps it while it lives, and loses it
 * when its beats stop; who lost it tells nothing. The lock of a dead process is taken over. */
#include "study_cases.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>

/* What befalls the next rename: in the moment before it, another waiter removes the lock and makes
 * its own, or it is refused, as in a sticky folder. */
static _Thread_local enum { LET, MAKE_ANOTHER, REFUSE } befalls;

/* In the place of the C library's. */
int rename(const char *from, const char *to)
{
    int now = befalls;
    befalls = LET;
    if (now == REFUSE) {
        errno = EPERM;
        return -1;
    }
    if (now == MAKE_ANOTHER) {
        unlink(from);
        close(open(from, O_CREAT | O_EXCL | O_WRONLY, 0666));
    }
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

static void foreign_lease(const char *owner, double beat)
{
    char line[256];
    snprintf(line, sizeof line,
             "{\"op_code\":8,\"worker_id\":\"w\",\"trial_id\":0,\"user_attr\":{\"czhpc:lease\":"
             "{\"owner\":\"%s\",\"beat\":%.3f}}}\n",
             owner, beat);
    cases_append(line);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* A lives and beats; when it is closed without a word, B takes its trial over. */
static void check_taken(void)
{
    cz_study *a = cases_open("s"), *b = cases_open("s");
    int number, taken;
    bool kept = true, mine = false;
    check(cases_ask(a, 1, &number) == CZ_ASKED_NEW, "A has a trial");
    for (int i = 0; i < 10; i++) {
        cases_sleep(0.25);
        kept = kept && cases_ask(b, 1, &taken) == CZ_ASKED_WAIT;
    }
    check(kept, "which is A's while A lives, for 2.5 leases");
    check(!cz_study_report(a, number, 1, 0.5, &mine) && mine, "A tells a step");
    cz_study_close(a);
    check(cases_ask(b, 1, &taken) == CZ_ASKED_WAIT, "A is gone, its lease is not over");
    cases_sleep(1.2);
    check(cases_ask(b, 1, &taken) == CZ_ASKED_TAKEN && taken == number, "then B has the trial");
    const cz_trials *trials;
    bool good = !cz_study_read(b, &trials) && trials->count == 1 && trials->trial[0].steps == 1 &&
                trials->trial[0].params == 3;
    check(good, "with its step and its parameters");
    check(!cz_study_tell(b, taken, CZ_TRIAL_COMPLETE, 1, &mine) && mine &&
              cases_ask(b, 1, &number) == CZ_ASKED_NOTHING,
          "and tells it");
    cz_study_close(b);
}

static void check_lost(void)
{
    cz_study *study = cases_open("s");
    size_t before, after;
    bool report = true, attribute = true, tell = true;
    int number;
    unlink(cases_file);
    cz_study_close(study);
    study = cases_open("s");
    bool good = cases_ask(study, 1, &number) == CZ_ASKED_NEW;
    foreign_lease("another", now() + 100);
    check(cases_ask(study, 1, &number) == CZ_ASKED_WAIT && number == -1,
          "a trial that was lost runs elsewhere");
    number = 0;
    free(cases_bytes(&before));
    good = good && !cz_study_report(study, number, 1, 1, &report);
    good = good && !cz_study_set_trial(study, number, true, "x", json_null(), &attribute);
    good = good && !cz_study_tell(study, number, CZ_TRIAL_COMPLETE, 1, &tell);
    good = good && !cz_study_release(study, number);
    cases_sleep(1);
    free(cases_bytes(&after));
    check(good && !report && !attribute && !tell, "who lost a trial hears so");
    check(before == after, "and writes nothing, nor beats");
    check(cases_ask(study, 1, &number) == CZ_ASKED_WAIT, "it is another's");
    foreign_lease("another", now() - 0.5);
    check(cases_ask(study, 1, &number) == CZ_ASKED_WAIT, "as long as the lease");
    foreign_lease("another", now() - 1.1);
    check(cases_ask(study, 1, &number) == CZ_ASKED_TAKEN && number == 0, "and no longer");
    cz_study_close(study);
}

static void check_released(void)
{
    unlink(cases_file);
    cz_study *a = cases_open("s"), *b = cases_open("s");
    int number;
    bool mine = true;
    bool good = cases_ask(a, 1, &number) == CZ_ASKED_NEW && !cz_study_release(a, number);
    check(good && cases_ask(b, 1, &number) == CZ_ASKED_TAKEN,
          "a trial that is given up is free at once");
    good = !cz_study_tell(a, number, CZ_TRIAL_COMPLETE, 1, &mine) && !mine;
    check(good, "its first owner has no more to say");
    good = !cz_study_release(b, number) && cases_ask(b, 1, &number) == CZ_ASKED_TAKEN;
    check(good, "who gave it up may have it again");
    cz_study_close(a);
    cz_study_close(b);
}

/* A running trial of Optuna's has no lease. */
static void check_others(void)
{
    unlink(cases_file);
    cz_study *study = cases_open("s");
    int number;
    cases_append("{\"op_code\":4,\"worker_id\":\"o\",\"study_id\":0,\"datetime_start\":null}\n");
    check(cases_ask(study, 1, &number) == CZ_ASKED_NOTHING,
          "Optuna's running trial is not taken over");
    cz_study_close(study);
}

/* A trial that kills every process does not kill the search. */
static void check_deaths(void)
{
    unlink(cases_file);
    const cz_trials *trials;
    int number, taken = 0;
    cz_study *study = cases_open("s");
    bool mine, good = cases_ask(study, 1, &number) == CZ_ASKED_NEW && !cz_study_release(study, 0);
    good = good && cases_ask(study, 1, &number) == CZ_ASKED_TAKEN;
    cz_study_close(study);
    for (; taken < 9; taken++) {
        cases_sleep(1.1);
        study = cases_open("s");
        if (cases_ask(study, 1, &number) != CZ_ASKED_TAKEN) break;
        if (taken < 2) cz_study_report(study, number, taken + 1, 1, &mine);
        cz_study_close(study);
    }
    check(good && taken == 7 && number == -1,
          "a trial is resumed after each step, and four times where its process dies without one");
    good = study && !cz_study_read(study, &trials) && trials->count == 1 &&
           trials->trial[0].state == CZ_TRIAL_FAILED && trials->trial[0].steps == 2;
    const char *why =
        good ? json_string_value(json_object_get(trials->trial[0].user, "czhpc:failure")) : NULL;
    check(why && strstr(why, "five times"), "then it fails, and says why");
    check(cases_ask(study, 2, &number) == CZ_ASKED_NEW && number == 1, "and others follow");
    cz_study_close(study);
}

/* Beats in the file, and how many of them stand alone: not behind a step told in the same append.
 */
static int count_beats(int *alone)
{
    size_t size;
    int beats = 0;
    char *bytes = cases_bytes(&size);
    bool step = false;
    *alone = 0;
    for (char *at = bytes, *end; (end = strchr(at, '\n')); at = end + 1) {
        bool beat = !strncmp(at, "{\"op_code\":8", 12);
        beats += beat;
        *alone += beat && !step;
        step = !strncmp(at, "{\"op_code\":7", 12);
    }
    free(bytes);
    return beats;
}

static cz_study *begin_three(void)
{
    int number;
    unlink(cases_file);
    cz_study *study = cases_open("s");
    for (int i = 0; i < 3; i++) cases_ask(study, 3, &number);
    return study;
}

static void check_beats(void)
{
    int alone;
    cz_study *study = begin_three();
    cases_sleep(2.1);
    cz_study_close(study);
    int beats = count_beats(&alone);
    /* Every third to quarter of a second, of three trials; fewer on a machine that is busy. */
    check(beats >= 3 * 3 && beats <= 3 * 9, "%d beats of 3 trials in 2.1 leases", beats);
}

/* Where steps are told all the time no beat stands alone. */
static void check_beats_with_steps(void)
{
    int alone;
    bool mine = true, good = true;
    double longest = 0, last = now();
    cz_study *study = begin_three();
    for (int i = 0; i < 150; i++) {
        good = good && !cz_study_report(study, i % 3, i / 3, 1, &mine) && mine;
        cases_sleep(0.005);
        if (i % 3 == 2) {
            longest = fmax(longest, now() - last);
            last = now();
        }
    }
    cz_study_close(study);
    int beats = count_beats(&alone);
    /* On a busy machine a report may come so late that a beat came first. */
    check(good && beats >= 3 && (alone == 0 || longest > 0.08),
          "%d beats with steps, %d without, reports %.2f s apart", beats - alone, alone, longest);
}

/* A heartbeat that fails says so at the next call, and lends its words to no other failure. */
static void check_broken(void)
{
    unlink(cases_file);
    cz_study *study = cases_open("s");
    size_t size;
    int number;
    bool mine, good = cases_ask(study, 1, &number) == CZ_ASKED_NEW;
    char *bytes = cases_bytes(&size);
    cases_append("{\"op_code\":11}\n");
    cases_sleep(0.6);
    check(good && !cz_error_message()[0], "a heartbeat that fails does not speak for the process");
    cases_write(bytes, size);
    cz_status status = cz_study_report(study, number, 1, 1, &mine);
    check(cases_failed(status, CZ_ERR_INPUT, "study.log:3: op_code 11"), "but at the next call");
    free(bytes);
    cz_study_close(study);
}

/* Half a lease after which a lock is a dead process's. */
static void check_dead_lock(bool link)
{
    char lock[2 * CASES_PATH];
    cz_study *study = cases_open("s");
    snprintf(lock, sizeof lock, "%s.lock", cases_file);
    bool made = link ? !symlink("nowhere", lock) : !access(cases_folder, W_OK);
    if (!link) fclose(fopen(lock, "w"));
    double began = now();
    cz_status status = cz_study_set(study, false, "x", json_true());
    double took = now() - began;
    check(made && !status && took > 0.5 && took < 5 && access(lock, F_OK) != 0,
          "the %s of a dead process is taken away, after %.1f s", link ? "link" : "lock", took);
    cz_study_close(study);
}

/* Of two that find a lock abandoned one removes it and makes its own, which the other spares. */
static void check_spared_lock(void)
{
    char lock[2 * CASES_PATH];
    cz_study *study = cases_open("s");
    snprintf(lock, sizeof lock, "%s.lock", cases_file);
    fclose(fopen(lock, "w"));
    befalls = MAKE_ANOTHER;
    double began = now();
    cz_status status = cz_study_set(study, false, "x", json_true());
    double took = now() - began;
    check(!status && befalls == LET && took > 1,
          "the lock of one who was faster is left to it, after %.1f s", took);
    fclose(fopen(lock, "w"));
    befalls = REFUSE;
    status = cz_study_set(study, false, "x", json_true());
    check(cases_failed(status, CZ_ERR_IO, "study.log.lock"), "one that cannot be removed is told");
    unlink(lock);
    cz_study_close(study);
}

/* While a suggestion is made, this process's lock goes to another. */
static cz_status lose_lock(void *context, const cz_trials *trials, int number, double *x,
                           json_t **attributes)
{
    const char *lock = context;
    FILE *other;
    cases_sleep(0.05); /* locks made at the same tick of the clock look the same */
    unlink(lock);
    if ((other = fopen(lock, "w"))) fclose(other);
    return cases_suggest(NULL, trials, number, x, attributes);
}

static void check_lost_lock(void)
{
    char lock[2 * CASES_PATH];
    cz_study *study = cases_open("lock");
    cz_asked how;
    int number;
    size_t before, after;
    free(cases_bytes(&before));
    snprintf(lock, sizeof lock, "%s.lock", cases_file);
    cz_suggester suggester = {.suggest = lose_lock, .context = lock};
    cz_status status = cz_study_ask(study, &cases_space, suggester, 99, &how, &number);
    free(cases_bytes(&after));
    check(cases_failed(status, CZ_ERR_IO, "stood still") && before == after,
          "who stood still and lost the lock appends nothing");
    check(!access(lock, F_OK), "and leaves the other's lock");
    unlink(lock);
    cz_study_close(study);
}

static void check_seconds(void)
{
    setenv("CZHPC_LEASE", "0", 1);
    check(cz_study_lease_seconds() == 60, "a lease of 60 s");
    unsetenv("CZHPC_LEASE");
    check(cz_study_lease_seconds() == 60, "where nothing else is asked for");
}

int main(void)
{
    setenv("CZHPC_LEASE", "1", 1);
    if (!cases_begin()) return 1;
    check_taken();
    check_lost();
    check_released();
    check_others();
    check_deaths();
    check_beats();
    check_beats_with_steps();
    check_broken();
    check_dead_lock(false);
    check_dead_lock(true);
    check_spared_lock();
    check_lost_lock();
    check_seconds();
    cases_end();
    return check_done();
}
