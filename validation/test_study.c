/* A study in its file: what Optuna wrote is read as Optuna reads it (make_study.py), what czhpc
 * writes reads back, a file that a dying writer left is healed, and what is no study is refused. */
#include "study_cases.h"
#include "study_dump.h"

#include <signal.h>
#include <sys/resource.h>

#define FIXTURES "validation/fixtures/search/"

static void check_fixture(const char *name, const json_t *expected)
{
    cz_study *study;
    const cz_trials *trials;
    cz_status status = cz_study_open_read(&study, FIXTURES "study.log", name);
    if (!status) status = cz_study_read(study, &trials);
    json_t *got = status ? NULL : dump_trials(trials);
    size_t count = json_array_size(json_object_get(expected, "trials"));
    check(count > 3 && json_equal(got, expected), "study '%s' of Optuna's, %zu trials %s", name,
          count, cz_error_message());
    json_decref(got);
    cz_study_close(study);
}

static void check_fixtures(void)
{
    json_t *all = json_load_file(FIXTURES "study.json", JSON_ALLOW_NUL, NULL);
    const char *name;
    json_t *expected;
    check(json_object_size(all) == 2, "the fixture of Optuna");
    json_object_foreach(all, name, expected) check_fixture(name, expected);
    json_decref(all);
}

/* A trial of 3 steps that ends in a state. */
static bool play_trial(cz_study *study, cz_trial_state state, double value)
{
    int number;
    bool mine = true;
    if (cases_ask(study, 1000, &number) != CZ_ASKED_NEW) return false;
    for (int step = 1; step <= 3; step++)
        if (cz_study_report(study, number, step, step == 3 ? NAN : 10 * number + step, &mine) ||
            !mine)
            return false;
    return !cz_study_tell(study, number, state, value, &mine) && mine;
}

static void check_written(void)
{
    cz_study *study = cases_open("a");
    const cz_trials *trials;
    bool mine, good = play_trial(study, CZ_TRIAL_COMPLETE, 0.1 + 0.2);
    good = good && play_trial(study, CZ_TRIAL_PRUNED, NAN);
    good = good && play_trial(study, CZ_TRIAL_FAILED, NAN);
    good = good && play_trial(study, CZ_TRIAL_COMPLETE, -INFINITY);
    good = good && !cz_study_set(study, false, "note", json_string("\xc3\xa4\n"));
    good = good && !cz_study_set(study, true, "plan", json_pack("{si}", "eta", 4));
    check(good && !cz_study_read(study, &trials) && trials->count == 4, "four trials are written");
    const cz_trial *t = trials->trial;
    check(t[0].state == CZ_TRIAL_COMPLETE && t[0].value == 0.1 + 0.2 && t[0].steps == 3 &&
              t[0].step[1].value == 2 && isnan(t[0].step[2].value),
          "a value and its steps read back as the same bits, NaN too");
    check(t[1].state == CZ_TRIAL_PRUNED && t[1].value == 12,
          "a pruned one has its last finite step");
    check(t[2].state == CZ_TRIAL_FAILED && isnan(t[2].value) && t[3].value == -INFINITY,
          "none of a failed one, and an infinite one");
    check(cz_trials_best(trials) == 3, "the best one");
    check(cz_trial_param(trials, &t[1], "train.lr") == 2e-5 &&
              cz_trial_param(trials, &t[1], "model.layers") == 5 &&
              cz_trial_param(trials, &t[1], "model.pool") == 1 &&
              isnan(cz_trial_param(trials, &t[1], "train")) && trials->dimensions == 3,
          "parameters");
    bool now = fabs((double)time(NULL) - t[1].started) < 60 && t[1].ended >= t[1].started;
    check(now, "times");
    check(!strcmp(json_string_value(json_object_get(trials->user, "note")), "\xc3\xa4\n") &&
              json_integer_value(json_object_get(json_object_get(trials->system, "plan"), "eta")) ==
                  4 &&
              json_integer_value(json_object_get(t[3].system, "test:number")) == 3,
          "attributes");
    check(
        cases_failed(cz_study_tell(study, 0, CZ_TRIAL_COMPLETE, NAN, &mine), CZ_ERR_BUG, "told") &&
            cases_failed(cz_study_tell(study, 0, CZ_TRIAL_RUNNING, 1, &mine), CZ_ERR_BUG, "told"),
        "no complete trial without a value, and none that runs on");
    size_t before, after;
    free(cases_bytes(&before));
    check(cases_failed(cz_study_set(study, false, "\xff", json_true()), CZ_ERR_BUG, "UTF-8"),
          "no name that is no text");
    free(cases_bytes(&after));
    check(before == after, "of which nothing is written");
    json_t *here = dump_trials(trials);
    cz_study *again = cases_open("a");
    good = again && !cz_study_read(again, &trials);
    json_t *there = good ? dump_trials(trials) : NULL;
    check(json_equal(here, there), "another reads the same");
    json_decref(here);
    json_decref(there);
    cz_study_close(again);
    cz_study_close(study);
}

static void check_asked(void)
{
    cz_study *study = cases_open("asked");
    size_t before, after;
    int number;
    bool mine = false, lost = true;
    check(cases_ask(study, 0, &number) == CZ_ASKED_NOTHING && number == -1, "no trial is wanted");
    check(cases_ask(study, 1, &number) == CZ_ASKED_NEW && number == 0 &&
              cases_ask(study, 1, &number) == CZ_ASKED_NOTHING,
          "as many trials as are wanted");
    bool good = !cz_study_report(study, 0, 1, NAN, &mine) && mine;
    free(cases_bytes(&before));
    good = good && !cz_study_report(study, 0, 1, NAN, &mine) && mine;
    free(cases_bytes(&after));
    check(good && before == after, "a step that stands there is not told again");
    const cz_trials *trials;
    good = !cz_study_report(study, 0, 1, 2, &mine) && !cz_study_read(study, &trials);
    check(good && trials->trial[0].steps == 1 && trials->trial[0].step[0].value == 2,
          "but with another value");
    good = !cz_study_set_trial(study, 0, true, "rung", json_real(0.5), &mine) && mine;
    good = good && !cz_study_read(study, &trials);
    check(good && json_real_value(json_object_get(trials->trial[0].system, "rung")) == 0.5,
          "an attribute of a trial");
    good = !cz_study_tell(study, 0, CZ_TRIAL_FAILED, NAN, &mine) && mine;
    check(good && cases_ask(study, 1, &number) == CZ_ASKED_NOTHING, "failed ones count");
    free(cases_bytes(&before));
    good = !cz_study_tell(study, 0, CZ_TRIAL_COMPLETE, 1, &lost) && !lost;
    good = good && !cz_study_report(study, 0, 9, 1, &lost) && !lost;
    good = good && !cz_study_set_trial(study, 0, false, "x", json_true(), &lost) && !lost;
    good = good && !cz_study_tell(study, 77, CZ_TRIAL_COMPLETE, 1, &lost) && !lost;
    free(cases_bytes(&after));
    check(good && before == after, "nothing is told of a trial that is finished or not there");
    cz_study_close(study);
}

static void check_space(void)
{
    cz_study *study = cases_open("asked");
    cz_space space = cases_space;
    cz_suggester suggester = {.suggest = cases_suggest};
    cz_asked how;
    int number;
    space.dimension[0].log = false;
    check(cases_failed(cz_study_ask(study, &space, suggester, 9, &how, &number), CZ_ERR_CONFIG,
                       "train.lr"),
          "a parameter keeps its scale");
    space = cases_space;
    snprintf(space.dimension[2].choice[1], CZ_SPACE_CHOICE, "0.25");
    check(cases_failed(cz_study_ask(study, &space, suggester, 9, &how, &number), CZ_ERR_CONFIG,
                       "model.pool"),
          "and its choices");
    space = cases_space;
    space.dimension[0].high = 1e-5;
    check(cases_failed(cz_study_ask(study, &space, suggester, 9, &how, &number), CZ_ERR_BUG,
                       "train.lr"),
          "what is suggested lies within the bounds");
    space.dimension[0].high = 1;
    const cz_trials *trials;
    bool good =
        !cz_study_ask(study, &space, suggester, 9, &how, &number) && !cz_study_read(study, &trials);
    check(good && trials->dimensions == 4 &&
              cz_trial_param(trials, &trials->trial[1], "train.lr") > 0,
          "bounds may change");
    cz_study_close(study);
}

/* Lines as Optuna's enqueue_trial() and add_trial() write them. */
static void check_queued(void)
{
    cz_study *study = cases_open("queue");
    const cz_trials *trials;
    cz_asked how;
    int number, calls = 0;
    const char *text = "{\"op_code\":4,\"worker_id\":\"o\",\"study_id\":2,\"datetime_start\":null,"
                       "\"state\":4,\"value\":null,\"values\":null,\"distributions\":{},"
                       "\"params\":{},\"user_attrs\":{\"by\":\"hand\"},\"system_attrs\":"
                       "{\"fixed_params\":{\"train.lr\":0.5%s}},\"intermediate_values\":{}}\n";
    char line[1024];
    snprintf(line, sizeof line, text, "");
    cases_append(line);
    snprintf(line, sizeof line, text, ",\"model.layers\":8,\"model.pool\":0.5");
    cases_append(line);
    cz_suggester suggester = {.suggest = cases_suggest, .context = &calls};
    bool good = !cz_study_ask(study, &cases_space, suggester, 0, &how, &number);
    check(good && how == CZ_ASKED_QUEUED && number == 0 && calls == 1,
          "a queued trial, whatever the limit");
    good = !cz_study_ask(study, &cases_space, suggester, 0, &how, &number);
    check(good && how == CZ_ASKED_QUEUED && number == 1 && calls == 1, "and one that fixes all");
    good = !cz_study_read(study, &trials);
    const cz_trial *t = trials->trial;
    check(good && t[0].state == CZ_TRIAL_RUNNING &&
              cz_trial_param(trials, &t[0], "train.lr") == 0.5 &&
              cz_trial_param(trials, &t[0], "model.layers") == 2 && !isnan(t[0].started) &&
              cz_trial_param(trials, &t[1], "model.layers") == 8 &&
              cz_trial_param(trials, &t[1], "model.pool") == 1,
          "have the values that are fixed, the others are suggested");
    cz_study_close(study);
}

static void check_room(void)
{
    cz_study *study = cases_open("queue");
    char line[8192] = "{\"op_code\":4,\"study_id\":2,\"datetime_start\":null,\"state\":4,"
                      "\"distributions\":{";
    const char *one = "\"p%d\":\"{\\\"name\\\":\\\"FloatDistribution\\\",\\\"attributes\\\":"
                      "{\\\"low\\\":0,\\\"high\\\":1,\\\"step\\\":null}}\"%s";
    size_t before, after, used = strlen(line);
    cz_asked how;
    int number;
    for (int i = 0; i < 22; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, one, i, i < 21 ? "," : "},");
    used += (size_t)snprintf(line + used, sizeof line - used, "\"params\":{");
    for (int i = 0; i < 22; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, "\"p%d\":0.5%s", i,
                                 i < 21 ? "," : "}}\n");
    cases_append(line);
    free(cases_bytes(&before));
    cz_status status = cz_study_ask(study, &cases_space, (cz_suggester){.suggest = cases_suggest},
                                    0, &how, &number);
    free(cases_bytes(&after));
    check(cases_failed(status, CZ_ERR_CONFIG, "25 parameters") && before == after,
          "a queued trial gets no more parameters than can be read");
    cz_study_close(study);
}

static void check_refused(void)
{
    static const struct {
        const char *line, *words;
    } bad[] = {
        {"{\"op_code\":11,\"worker_id\":\"w\"}\n", "study.log:2: op_code 11"},
        {"{\"worker_id\":\"w\"}\n", "study.log:2: op_code is nothing"},
        {"[]\n", "study.log:2: op_code"},
        {"{\"op_code\":4}\n", "study.log:2: study_id"},
        {"{\"op_code\":4,\"study_id\":0,\"datetime_start\":7}\n", "datetime_start"},
        {"{\"op_code\":4,\"study_id\":0,\"datetime_start\":null,\"state\":5}\n", "state 5"},
        {"{\"op_code\":0,\"study_name\":\"b\",\"directions\":[3]}\n", "directions"},
        {"{\"op_code\":0,\"study_name\":\"b\",\"directions\":[]}\n", "directions"},
        {"half a line\n{\"op_code\":10}\n", "study.log:2: is no JSON"},
        {"{\"op_code\":2,\"study_id\":0,\"user_attr\":{\"x\":1e999}}\n", "study.log:2: is whole"},
        {"half a line\n{\"op_code\":2,\"user_attr\":{\"x\":1e999}}\n", "study.log:2: is no JSON"},
        {"{\"op_code\":2,\"study_id\":0,\"user_attr\":{}}\n", "0 attributes"},
        {"{\"op_code\":4,\"study_id\":0,\"datetime_start\":null}\n"
         "{\"op_code\":5,\"trial_id\":0,\"param_name\":\"x\",\"param_value_internal\":1,"
         "\"distribution\":\"{\\\"name\\\":\\\"Odd\\\"}\"}\n",
         "study.log:3: x: a distribution of an unknown kind"},
        {"{\"op_code\":4,\"study_id\":0,\"datetime_start\":null}\n"
         "{\"op_code\":6,\"trial_id\":0,\"state\":1,\"values\":[1,2]}\n",
         "study.log:3: values"},
        {"{\"op_code\":4,\"study_id\":0,\"datetime_start\":null}\n"
         "{\"op_code\":7,\"trial_id\":0,\"step\":1,\"intermediate_value\":\"x\"}\n",
         "study.log:3: intermediate_value"},
    };
    cz_study *study;
    char *first, file[1024];
    size_t size;
    unlink(cases_file);
    cz_study_close(cases_open("a"));
    first = cases_bytes(&size);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(file, sizeof file, "%s%s", first, bad[i].line);
        cases_write(file, strlen(file));
        cz_status status = cz_study_open(&study, cases_file, "a", false);
        check(cases_failed(status, CZ_ERR_INPUT, bad[i].words) && !study, "refused: %s",
              bad[i].words);
    }
    cases_write(first, size);
    free(first);
}

static void check_not_there(void)
{
    cz_study *study;
    char *kept = NULL, path[2 * CASES_PATH], names[64];
    size_t size;
    check(cases_failed(cz_study_open(&study, cases_file, "a", true), CZ_ERR_INPUT, "minimises"),
          "another direction");
    cz_study_close(cases_open("b"));
    check(!cz_study_open_read(&study, cases_file, NULL) && !strcmp(cz_study_name(study), "a"),
          "several studies and no name: the first");
    cz_study_names(names, sizeof names, study);
    check(!strcmp(names, "a, b"), "and the names of all");
    cz_study_close(study);
    check(cases_failed(cz_study_open_read(&study, cases_file, "c"), CZ_ERR_INPUT, "a, b"),
          "none of that name");
    cases_append("{\"op_code\":1,\"worker_id\":\"w\",\"study_id\":1}\n");
    check(!cz_study_open_read(&study, cases_file, NULL) && !strcmp(cz_study_name(study), "a"),
          "a deleted study is not there");
    check(cases_failed(cz_study_set(study, false, "x", json_null()), CZ_ERR_BUG, "to read"),
          "who reads does not write");
    cases_append("{\"op_code\":1,\"worker_id\":\"w\",\"study_id\":0}\n");
    const cz_trials *trials;
    check(cases_failed(cz_study_read(study, &trials), CZ_ERR_INPUT, "deleted"),
          "deleted meanwhile");
    cz_study_close(study);
    cases_append("{\"op_code\":0,\"study_name\":\"two\",\"directions\":[1,2]}\n");
    check(
        cases_failed(cz_study_open(&study, cases_file, "two", false), CZ_ERR_INPUT, "2 objectives"),
        "two objectives");
    cases_write("# a page of text\n\nnot ours\n", 27);
    check(
        cases_failed(cz_study_open(&study, cases_file, "a", false), CZ_ERR_INPUT, "study.log:1") &&
            (kept = cases_bytes(&size)) && size == 27,
        "a file that is no journal, which stays");
    free(kept);
    snprintf(path, sizeof path, "%s/below", cases_file);
    check(cases_failed(cz_study_open(&study, path, "a", false), CZ_ERR_IO, "below.lock"),
          "a place that cannot be written");
    check(cases_failed(cz_study_open(&study, cases_folder, "a", false), CZ_ERR_INPUT, "no file"),
          "a folder");
    snprintf(path, sizeof path, "%s/none", cases_folder);
    check(cases_failed(cz_study_open_read(&study, path, "a"), CZ_ERR_INPUT, "none"), "no file");
    check(cases_failed(cz_study_open(&study, path, "\xff", false), CZ_ERR_CONFIG, "UTF-8"),
          "a name that is no text");
}

/* Trials that the whole lines of a file finish. */
static int finished(const char *bytes, size_t size)
{
    int count = 0;
    for (const char *at = bytes, *stop; (stop = memchr(at, '\n', size - (size_t)(at - bytes)));
         at = stop + 1)
        count += !memcmp(at, "{\"op_code\":6", 12);
    return count;
}

/* Whether every line is JSON and ended. */
static bool is_journal(const char *bytes, size_t size)
{
    if (!size || bytes[size - 1] != '\n') return false;
    for (const char *at = bytes, *stop; (size_t)(at - bytes) < size; at = stop + 1) {
        stop = memchr(at, '\n', size - (size_t)(at - bytes));
        /* Python's NaN stands in steps alone. */
        char line[4096], *nan;
        snprintf(line, sizeof line, "%.*s", (int)(stop - at), at);
        if ((nan = strstr(line, "NaN"))) memcpy(nan, "0.0", 3);
        json_t *op = json_loads(line, 0, NULL);
        json_decref(op);
        if (!op) return false;
    }
    return true;
}

static int finished_trials(const cz_trials *trials)
{
    int count = 0;
    for (int i = 0; i < trials->count; i++) count += trials->trial[i].state != CZ_TRIAL_RUNNING;
    return count;
}

static bool survives(const char *bytes, size_t size)
{
    const cz_trials *trials;
    size_t after;
    bool mine = false;
    int number, before = finished(bytes, size);
    cases_write(bytes, size);
    cz_study *study = cases_open("torn");
    bool good = study && !cz_study_read(study, &trials) && finished_trials(trials) >= before;
    good = good && finished_trials(trials) <= before + 1;
    good = good && cases_ask(study, 1000, &number) == CZ_ASKED_NEW &&
           !cz_study_tell(study, number, CZ_TRIAL_COMPLETE, 1, &mine) && mine;
    good = good && !cz_study_read(study, &trials) && finished_trials(trials) > before;
    cz_study_close(study);
    char *now = cases_bytes(&after);
    good = good && is_journal(now, after) && finished(now, after) > before;
    free(now);
    return good;
}

static bool holds(const char *text)
{
    size_t size;
    char *bytes = cases_bytes(&size);
    bool found = bytes && strstr(bytes, text);
    free(bytes);
    return found;
}

static void check_torn(void)
{
    unlink(cases_file);
    cz_study *study = cases_open("torn");
    bool good = true;
    for (int i = 0; i < 12; i++) good = good && play_trial(study, CZ_TRIAL_COMPLETE, i);
    cz_study_close(study);
    size_t size;
    int bad = 0, worse = 0;
    char *bytes = cases_bytes(&size), *tail = malloc(size + 64);
    srand(11);
    for (int i = 0; good && i < 200; i++) bad += !survives(bytes, (size_t)rand() % (size + 1));
    check(good && bad == 0, "200 files that were cut anywhere: nothing finished is lost (%d bad)",
          bad);
    for (int i = 0; good && i < 100; i++) {
        size_t more = 1 + (size_t)rand() % 60;
        memcpy(tail, bytes, size);
        for (size_t j = 0; j < more; j++) tail[size + j] = (char)(i % 2 ? rand() : 0);
        worse += !survives(tail, size + more);
    }
    check(worse == 0, "100 files with rubbish after their end (%d bad)", worse);
    /* What two writers of Optuna's make of it, when one dies within a line. */
    snprintf(tail, size + 64, "%.*s{\"op_code\":7,\"wor{\"op_code\":10,\"kept\":1}\n", (int)size,
             bytes);
    bool kept = survives(tail, strlen(tail));
    check(kept && holds("\n{\"op_code\":10,\"kept\":1}\n"),
          "half a line with a whole one after it");
    check(size > 0 && survives(bytes, size - 1), "a last line that lacks only its end");
    free(bytes);
    free(tail);
}

static void check_full_disk(void)
{
    cz_study *study = cases_open("torn");
    struct rlimit limit, small;
    size_t before, after, told;
    int number;
    bool mine = false;
    cases_ask(study, 10000, &number);
    char *old = cases_bytes(&before);
    getrlimit(RLIMIT_FSIZE, &limit);
    small = limit;
    small.rlim_cur = before + 20; /* half a line fits */
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    cz_status status = cz_study_tell(study, number, CZ_TRIAL_COMPLETE, 2, &mine);
    setrlimit(RLIMIT_FSIZE, &limit);
    check(cases_failed(status, CZ_ERR_IO, "study.log"), "a full disk is an error");
    char *now = cases_bytes(&after);
    check(before == after && !memcmp(old, now, before), "that leaves the file as it was");
    bool good = !cz_study_tell(study, number, CZ_TRIAL_COMPLETE, 2, &mine) && mine;
    free(now);
    now = cases_bytes(&told);
    check(good && told > before && is_journal(now, told), "and told again once there is room");
    free(old);
    free(now);
    cz_study_close(study);
}

/* A file in whose place another was put. */
static void check_replaced(void)
{
    cz_study *study = cases_open("torn");
    const cz_trials *trials;
    size_t size;
    char *bytes = cases_bytes(&size);
    bool good = !cz_study_read(study, &trials) && trials->count > 1;
    cz_study *other = NULL;
    unlink(cases_file);
    good = good && (other = cases_open("other")) && play_trial(other, CZ_TRIAL_FAILED, NAN);
    cz_study_close(other);
    check(good && cases_failed(cz_study_read(study, &trials), CZ_ERR_INPUT, "torn"),
          "another file in its place");
    cases_write(bytes, size);
    check(!cz_study_read(study, &trials) && trials->count > 1, "and its own again");
    free(bytes);
    cz_study_close(study);
}

static void check_times(void)
{
    cz_study *study;
    const cz_trials *trials;
    const char *times[] = {"2026-01-31T10:00:00.250000", "2026-01-31T08:00:00.25+00:00",
                           "2026-01-31T13:30:00.250+05:30", "2026-01-31T08:00:00.25Z"};
    setenv("TZ", "XYZ-2", 1);
    tzset();
    unlink(cases_file);
    cz_study_close(cases_open("a"));
    for (int i = 0; i < 4; i++) {
        char line[256];
        snprintf(line, sizeof line,
                 "{\"op_code\":4,\"worker_id\":\"w\",\"study_id\":0,\"datetime_start\":\"%s\"}\n",
                 times[i]);
        cases_append(line);
    }
    bool good = !cz_study_open_read(&study, cases_file, "a") && !cz_study_read(study, &trials);
    for (int i = 0; good && i < 4; i++) good = trials->trial[i].started == 1769846400.25;
    check(good, "times, local and of any zone");
    cz_study_close(study);
    unsetenv("TZ");
    tzset();
}

static bool number_is(json_t *attribute, double wanted)
{
    double number = -1;
    bool there = cz_attribute_number(attribute, &number);
    json_decref(attribute);
    if (isnan(wanted)) return there && isnan(number);
    return there && number == wanted;
}

static void check_numbers(void)
{
    double number;
    json_t *text = json_string("infinity");
    check(number_is(json_integer(3), 3) && number_is(json_real(0.5), 0.5) &&
              number_is(json_string("Infinity"), INFINITY) &&
              number_is(json_string("-Infinity"), -INFINITY) && number_is(json_string("NaN"), NAN),
          "the number of an attribute, infinite or none");
    check(!cz_attribute_number(text, &number) && !cz_attribute_number(NULL, &number) &&
              !cz_attribute_number(json_null(), &number),
          "an attribute that is no number");
    json_decref(text);
}

int main(void)
{
    if (!cases_begin()) return 1;
    check_fixtures();
    check_written();
    check_asked();
    check_space();
    check_queued();
    check_room();
    check_refused();
    check_not_there();
    check_torn();
    check_full_disk();
    check_replaced();
    check_times();
    check_numbers();
    cases_end();
    return check_done();
}
