/* A study from the outside, for scripts:
 *   play_study dump FILE [NAME]                all it holds, as JSON
 *   play_study run FILE NAME TRIALS STEPS      asks, reports and tells until there is nothing to
 * do; says "asked N", "told N", "lost N" A trial's step has the value that step_value() gives it,
 * whoever runs it. */
#include "study_dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double step_value(int number, int step) { return number + step / 100.0; }

static cz_status suggest(void *context, const cz_trials *trials, int number, double *x,
                         json_t **attributes)
{
    (void)context;
    x[0] = 1e-5 * pow(10, (number * 7 % 31) / 10.0);
    x[1] = 2 + 3 * (number % 4);
    x[2] = trials->count % 3;
    *attributes = json_pack("{s[i]}", "play:number", number);
    return CZ_OK;
}

static const cz_space space = {
    .count = 3,
    .dimension = {{.name = "train.lr", .kind = CZ_FLOAT, .low = 1e-5, .high = 1e-1, .log = true},
                  {.name = "model.layers", .kind = CZ_INTEGER, .low = 2, .high = 11, .step = 3},
                  {.name = "model.pool",
                   .kind = CZ_CATEGORICAL,
                   .high = 2,
                   .choices = 3,
                   .choice = {"\"mean\"", "0.5", "null"}}}};

static void pause_up_to(int milliseconds)
{
    struct timespec time = {.tv_nsec = 1000000L * (rand() % (milliseconds + 1))};
    nanosleep(&time, NULL);
}

static void say(const char *what, int number)
{
    printf("%s %d\n", what, number);
    fflush(stdout);
}

static cz_status run_trial(cz_study *study, int number, int steps)
{
    bool mine = true;
    cz_status status = CZ_OK;
    for (int step = 1; !status && mine && step <= steps; step++) {
        pause_up_to(10);
        status = cz_study_report(study, number, step, step_value(number, step), &mine);
    }
    if (!status && mine)
        status = cz_study_tell(study, number, CZ_TRIAL_COMPLETE, step_value(number, steps), &mine);
    if (!status) say(mine ? "told" : "lost", number);
    return status;
}

static cz_status run(cz_study *study, int trials, int steps)
{
    for (;;) {
        cz_asked how;
        int number;
        cz_status status =
            cz_study_ask(study, &space, (cz_suggester){.suggest = suggest}, trials, &how, &number);
        if (status || how == CZ_ASKED_NOTHING) return status;
        if (how == CZ_ASKED_WAIT) {
            pause_up_to(200);
            continue;
        }
        say("asked", number);
        status = run_trial(study, number, steps);
        if (status) return status;
    }
}

static cz_status dump(cz_study *study)
{
    const cz_trials *trials;
    cz_status status = cz_study_read(study, &trials);
    if (status) return status;
    json_t *all = dump_trials(trials);
    json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(all);
    return CZ_OK;
}

int main(int argc, char **argv)
{
    cz_study *study = NULL;
    cz_status status = CZ_ERR_USAGE;
    srand((unsigned)getpid());
    if (argc >= 3 && argc <= 4 && !strcmp(argv[1], "dump")) {
        status = cz_study_open_read(&study, argv[2], argc > 3 ? argv[3] : NULL);
        if (!status) status = dump(study);
    } else if (argc == 6 && !strcmp(argv[1], "run")) {
        status = cz_study_open(&study, argv[2], argv[3], false);
        if (!status) status = run(study, atoi(argv[4]), atoi(argv[5]));
    }
    if (status) fprintf(stderr, "play_study: %s\n", cz_error_message());
    cz_study_close(study);
    return cz_exit_code(status);
}
