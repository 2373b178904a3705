/* What the tests of a study share: a file of their own, and a space to search. */
#ifndef STUDY_CASES_H
#define STUDY_CASES_H

#include "check.h"
#include "czhpc/file.h"
#include "czhpc/study.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CASES_PATH = 512 };
static char cases_folder[64], cases_file[CASES_PATH];

static inline bool cases_begin(void)
{
    snprintf(cases_folder, sizeof cases_folder, "/tmp/czhpc-study-XXXXXX");
    if (!mkdtemp(cases_folder)) return false;
    snprintf(cases_file, sizeof cases_file, "%s/study.log", cases_folder);
    return true;
}

static inline void cases_end(void)
{
    char command[CASES_PATH];
    snprintf(command, sizeof command, "rm -rf '%s'", cases_folder);
    if (system(command)) puts("the folder of the test stays");
}

static const cz_space cases_space = {
    .count = 3,
    .dimension = {{.name = "train.lr", .kind = CZ_FLOAT, .low = 1e-5, .high = 1e-1, .log = true},
                  {.name = "model.layers", .kind = CZ_INTEGER, .low = 2, .high = 11, .step = 3},
                  {.name = "model.pool",
                   .kind = CZ_CATEGORICAL,
                   .high = 1,
                   .choices = 2,
                   .choice = {"\"mean\"", "0.5"}}}};

static inline cz_status cases_suggest(void *context, const cz_trials *trials, int number, double *x,
                                      json_t **attributes)
{
    int *calls = context;
    (void)trials;
    if (calls) ++*calls;
    x[0] = 1e-5 * (number + 1);
    x[1] = 2 + 3 * (number % 4);
    x[2] = number % 2;
    *attributes = json_pack("{si}", "test:number", number);
    return CZ_OK;
}

static inline cz_asked cases_ask(cz_study *study, int limit, int *number)
{
    cz_asked how = CZ_ASKED_NOTHING;
    cz_status status = cz_study_ask(study, &cases_space, (cz_suggester){.suggest = cases_suggest},
                                    limit, &how, number);
    if (status) printf("# ask: %s\n", cz_error_message());
    return status ? CZ_ASKED_NOTHING : how;
}

static inline cz_study *cases_open(const char *name)
{
    cz_study *study;
    if (cz_study_open(&study, cases_file, name, false)) printf("# open: %s\n", cz_error_message());
    return study;
}

/* All of the file, for the caller to free(). */
static inline char *cases_bytes(size_t *size)
{
    char *bytes;
    cz_file_read(cases_file, &bytes, size);
    return bytes;
}

static inline void cases_write(const char *bytes, size_t size)
{
    FILE *file = fopen(cases_file, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) perror(cases_file);
}

static inline void cases_append(const char *text)
{
    FILE *file = fopen(cases_file, "ab");
    if (!file || fputs(text, file) < 0 || fclose(file)) perror(cases_file);
}

/* Whether the call failed in this way, with these words. */
static inline bool cases_failed(cz_status got, cz_status wanted, const char *words)
{
    bool good = got == wanted && strstr(cz_error_message(), words);
    if (!good) printf("# status %d, '%s'\n", (int)got, cz_error_message());
    cz_error_clear();
    return good;
}

static inline void cases_sleep(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    nanosleep(&time, NULL);
}

#endif
