/* Samplers and pruners against Optuna's (make_search.py), and by what they promise.
 *   test_sampler [FOLDER]      tpe.json and prune.json of another folder alone */
#include "czhpc/sampler.h"

#include "czhpc/rng.h"

#include "../src/search/tpe.h"
#include "check.h"
#include "search_history.h"

#include <limits.h>

static json_t *load(const char *folder, const char *name)
{
    char path[4096];
    json_error_t error;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    json_t *cases = json_load_file(path, 0, &error);
    check(json_array_size(cases) > 0, "%s: %zu cases %s", path, json_array_size(cases),
          cases ? "" : error.text);
    return cases;
}

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool truth_of(json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static int whole_of(json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

/* A number, a text such as "-inf", or null. */
static double real(json_t *value)
{
    if (json_is_string(value)) return strtod(json_string_value(value), NULL);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static double real_at(json_t *array, size_t i) { return real(json_array_get(array, i)); }

static cz_dimension dimension_of(json_t *d)
{
    json_t *choices = json_object_get(d, "choices");
    cz_dimension dimension = {.low = real(json_object_get(d, "low")),
                              .high = real(json_object_get(d, "high")),
                              .step = real(json_object_get(d, "step")),
                              .log = truth_of(d, "log")};
    dimension.kind = choices ? CZ_CATEGORICAL : truth_of(d, "float") ? CZ_FLOAT : CZ_INTEGER;
    snprintf(dimension.name, sizeof dimension.name, "%s", text_of(d, "name"));
    if (!choices) return dimension;
    dimension.low = dimension.high = dimension.step = 0;
    dimension.choices = (int)json_array_size(choices);
    for (int i = 0; i < dimension.choices; i++)
        snprintf(dimension.choice[i], sizeof dimension.choice[i], "%s",
                 json_string_value(json_array_get(choices, (size_t)i)));
    return dimension;
}

static cz_space space_of(json_t *dimensions)
{
    cz_space space = {.count = (int)json_array_size(dimensions)};
    for (int i = 0; i < space.count; i++)
        space.dimension[i] = dimension_of(json_array_get(dimensions, (size_t)i));
    return space;
}

static void add_trial(cz_trials *trials, json_t *t)
{
    json_t *params = json_array_get(t, 2), *steps = json_array_get(t, 3), *one;
    size_t i;
    cz_trial *trial = history_add(trials);
    history_tell(trial, (cz_trial_state)json_integer_value(json_array_get(t, 0)), real_at(t, 1));
    json_array_foreach(params, i, one)
    {
        int dimension = (int)json_integer_value(json_array_get(one, 0));
        trial->param[trial->params++] = (cz_trial_value){dimension, real_at(one, 1)};
    }
    json_array_foreach(steps, i, one)
    {
        history_report(trial, json_integer_value(json_array_get(one, 0)), real_at(one, 1));
    }
    json_object_update(trial->system, json_array_get(t, 4));
}

/* Of what a case says; dimension: room for 2 CZ_SPACE_MAX. */
static cz_trials trials_of(json_t *c, cz_dimension *dimension)
{
    cz_trials trials = {.maximise = truth_of(c, "maximise"), .dimension = dimension};
    json_t *one;
    size_t i;
    json_array_foreach(json_object_get(c, "dimensions"), i, one)
    {
        dimension[trials.dimensions++] = dimension_of(one);
    }
    json_array_foreach(json_object_get(c, "trials"), i, one) { add_trial(&trials, one); }
    return trials;
}

/* The largest error of a case's log ratios. */
static double ratio_error(json_t *c, const cz_sampling *sampling, const cz_space *space,
                          const cz_trials *trials)
{
    json_t *expected = json_object_get(c, "log_ratio"), *x = json_object_get(c, "x");
    double point[16 * CZ_SPACE_MAX], out[16], worst = 0;
    int n = (int)json_array_size(x);
    for (int k = 0; k < n; k++)
        for (int i = 0; i < space->count; i++)
            point[k * space->count + i] = real_at(json_array_get(x, (size_t)k), (size_t)i);
    if (tpe_log_ratio(out, point, n, sampling, space, trials, trials->count)) return INFINITY;
    for (int k = 0; k < n; k++) {
        double wanted = real_at(expected, (size_t)k), gap = fabs(out[k] - wanted);
        if (isnan(out[k]) != isnan(wanted)) return INFINITY;
        if (!isnan(wanted)) worst = fmax(worst, gap);
    }
    return worst;
}

enum { DRAWS = 1000 };

/* The largest gap between the shares of Optuna's suggestions and of ours up to some values. */
static double suggestion_gap(json_t *c, cz_sampling sampling, const cz_space *space,
                             const cz_trials *trials)
{
    static double x[DRAWS][CZ_SPACE_MAX];
    double worst = 0;
    json_t *column, *cut, *attributes;
    size_t i, k;
    for (int draw = 0; draw < DRAWS; draw++) {
        sampling.seed = (uint64_t)draw;
        if (cz_sample(x[draw], &attributes, &sampling, space, trials, trials->count)) return 1;
        json_decref(attributes);
    }
    json_array_foreach(json_object_get(c, "suggested"), i, column)
    {
        json_array_foreach(column, k, cut)
        {
            int below = 0;
            for (int draw = 0; draw < DRAWS; draw++) below += x[draw][i] <= real_at(cut, 0) + 1e-9;
            worst = fmax(worst, fabs((double)below / DRAWS - real_at(cut, 1)));
        }
    }
    return worst;
}

static void check_case(json_t *c)
{
    cz_dimension dimension[2 * CZ_SPACE_MAX];
    cz_trials trials = trials_of(c, dimension);
    cz_space space = space_of(json_object_get(c, "space"));
    cz_sampling sampling = cz_sampling_default();
    sampling.joint = truth_of(c, "joint");
    sampling.constant_liar = truth_of(c, "liar");
    double error = ratio_error(c, &sampling, &space, &trials);
    check(error < TOL_TPE, "log ratio, %s: error %.1e", text_of(c, "name"), error);
    if (json_object_get(c, "suggested")) {
        double gap = suggestion_gap(c, sampling, &space, &trials);
        /* Kolmogorov and Smirnov: 0.0728 at 1 % for two samples of 1,000. */
        check(gap < 0.0728, "suggestions, %s: gap %.3f", text_of(c, "name"), gap);
    }
    history_drop(&trials);
}

static void check_tpe(const char *folder)
{
    json_t *cases = load(folder, "tpe.json"), *one;
    size_t i;
    json_array_foreach(cases, i, one) { check_case(one); }
    json_decref(cases);
}

static cz_pruning pruning_of(json_t *c)
{
    bool median = !strcmp(text_of(c, "kind"), "median");
    return (cz_pruning){.kind = median ? CZ_PRUNE_MEDIAN : CZ_PRUNE_ASHA,
                        .startup = whole_of(c, "startup"),
                        .warmup = whole_of(c, "warmup"),
                        .eta = whole_of(c, "eta"),
                        .first_rung = whole_of(c, "first_rung")};
}

/* An infinity is the largest number, on disk. */
static bool same_rungs(const cz_trial *trial, json_t *expected)
{
    const char *name;
    json_t *value;
    json_object_foreach(expected, name, value)
    {
        double wanted = fmax(fmin(real(value), 1.7976931348623157e308), -1.7976931348623157e308);
        if (json_number_value(json_object_get(trial->system, name)) != wanted) return false;
    }
    return json_object_size(trial->system) == json_object_size(expected);
}

/* Whether a verdict is Optuna's; what it writes goes to the trial. */
static bool right_verdict(cz_trials *trials, const cz_pruning *pruning, json_t *event)
{
    int number = (int)json_integer_value(json_array_get(event, 0));
    bool stop = false;
    json_t *rungs = NULL;
    history_report(&trials->trial[number], json_integer_value(json_array_get(event, 1)),
                   real_at(event, 2));
    if (cz_prune(&stop, &rungs, pruning, trials, number)) return false;
    json_object_update(trials->trial[number].system, rungs);
    json_decref(rungs);
    return stop == json_is_true(json_array_get(event, 3));
}

static void check_pruned(json_t *c, size_t index)
{
    cz_pruning pruning = pruning_of(c);
    cz_trials trials = {.maximise = truth_of(c, "maximise")};
    json_t *rungs = json_object_get(c, "rungs"), *event;
    int verdicts = 0, wrong = 0, other = 0;
    size_t i;
    for (i = 0; i < json_array_size(rungs); i++) history_add(&trials);
    json_array_foreach(json_object_get(c, "events"), i, event)
    {
        cz_trial *trial = &trials.trial[json_integer_value(json_array_get(event, 0))];
        if (json_array_size(event) == 4) {
            wrong += !right_verdict(&trials, &pruning, event);
            verdicts++;
        } else {
            history_tell(trial, (cz_trial_state)json_integer_value(json_array_get(event, 1)),
                         real_at(event, 2));
        }
    }
    for (i = 0; i < json_array_size(rungs); i++)
        other += !same_rungs(&trials.trial[i], json_array_get(rungs, i));
    check(verdicts > 0 && !wrong && !other, "pruned study %zu: %d of %d verdicts, %d rungs differ",
          index, wrong, verdicts, other);
    history_drop(&trials);
}

static void check_pruners(const char *folder)
{
    json_t *cases = load(folder, "prune.json"), *one;
    size_t i;
    json_array_foreach(cases, i, one) { check_pruned(one, i); }
    json_decref(cases);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : "validation/fixtures/search";
    check_tpe(folder);
    check_pruners(folder);
    return check_done();
}
