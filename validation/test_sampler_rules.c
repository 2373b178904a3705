/* What samplers, grids and pruners promise, without an oracle. */
#include "czhpc/sampler.h"

#include "czhpc/rng.h"

#include "../src/search/history.h"
#include "../src/search/tpe.h"
#include "../src/search/truncated_normal.h"
#include "check.h"
#include "search_history.h"

#include <limits.h>

static cz_dimension real_from(double low, double high, double step, bool log)
{
    return (cz_dimension){
        .name = "real", .kind = CZ_FLOAT, .low = low, .high = high, .step = step, .log = log};
}

static cz_dimension whole_from(double low, double high, double step, bool log)
{
    cz_dimension dimension = real_from(low, high, step, log);
    dimension.kind = CZ_INTEGER;
    strcpy(dimension.name, "whole");
    return dimension;
}

static cz_dimension choice_of(int choices)
{
    cz_dimension dimension = {.name = "choice", .kind = CZ_CATEGORICAL, .choices = choices};
    for (int i = 0; i < choices; i++) snprintf(dimension.choice[i], CZ_SPACE_CHOICE, "%d", i);
    return dimension;
}

static void check_dimensions(void)
{
    cz_dimension a = real_from(0, 1, 0.1, false), b = real_from(0, 2, 0.1, false);
    cz_dimension c = choice_of(3), d = choice_of(3), whole = whole_from(2, 10, 4, false);
    check(cz_dimension_agrees(&a, &b) && !cz_dimension_equal(&a, &b) && cz_dimension_equal(&a, &a),
          "another range agrees and is not equal");
    b = real_from(0.1, 1, 0, true);
    check(!cz_dimension_agrees(&a, &b), "logarithms do not agree with none");
    check(!cz_dimension_agrees(&a, &whole), "another name and kind do not agree");
    strcpy(d.choice[2], "9");
    check(cz_dimension_equal(&c, &c) && !cz_dimension_agrees(&c, &d), "other choices do not agree");
    check(cz_dimension_holds(&a, 0.1 * 3) && cz_dimension_holds(&a, 1) &&
              !cz_dimension_holds(&a, 0.35) && !cz_dimension_holds(&a, 1.1) &&
              !cz_dimension_holds(&a, NAN),
          "a stepped real holds its steps");
    check(cz_dimension_holds(&whole, 6) && !cz_dimension_holds(&whole, 8) &&
              !cz_dimension_holds(&whole, 14) && !cz_dimension_holds(&whole, 2.5),
          "a whole number holds its steps");
    check(cz_dimension_holds(&c, 2) && !cz_dimension_holds(&c, 3) && !cz_dimension_holds(&c, -1) &&
              !cz_dimension_holds(&c, 0.5) && !cz_dimension_holds(&c, NAN),
          "choices hold their indices");
    a.high = 0;
    c.choices = 1;
    check(cz_dimension_single(&a) && cz_dimension_single(&c) && !cz_dimension_single(&d) &&
              !cz_dimension_single(&whole),
          "single values");
}

/* Every kind, and two of one value. */
static cz_space mixed_space(void)
{
    cz_space space = {.count = 8};
    space.dimension[0] = real_from(-1, 2, 0, false);
    space.dimension[1] = real_from(1e-5, 1e-1, 0, true);
    space.dimension[2] = real_from(0, 0.7, 0.1, false);
    space.dimension[3] = whole_from(8, 64, 8, false);
    space.dimension[4] = whole_from(16, 1024, 1, true);
    space.dimension[5] = choice_of(4);
    space.dimension[6] = choice_of(1);
    space.dimension[7] = real_from(0.5, 0.5, 0, false);
    for (int i = 0; i < space.count; i++)
        snprintf(space.dimension[i].name, CZ_SPACE_NAME, "d%d", i);
    return space;
}

static bool all_hold(const cz_space *space, const double *x)
{
    for (int i = 0; i < space->count; i++)
        if (!cz_dimension_holds(&space->dimension[i], x[i])) return false;
    return true;
}

static void check_random(void)
{
    enum { N = 4000 };
    cz_space space = mixed_space();
    cz_sampling sampling = cz_sampling_default(), other;
    cz_trials none = {0};
    double x[CZ_SPACE_MAX], again[CZ_SPACE_MAX];
    int outside = 0, small = 0, first_step = 0, choice = 0, repeated = 0;
    json_t *attributes;
    sampling.kind = CZ_SAMPLE_RANDOM;
    other = sampling;
    other.seed = 1;
    for (int i = 0; i < N; i++) {
        cz_sample(x, &attributes, &sampling, &space, &none, i);
        outside += !all_hold(&space, x) || attributes;
        small += x[1] < 1e-3;
        first_step += x[3] == 8;
        choice += x[5] == 3;
        cz_sample(again, &attributes, &sampling, &space, &none, i);
        outside += memcmp(x, again, sizeof *x * (size_t)space.count) != 0;
        cz_sample(again, &attributes, &other, &space, &none, i);
        repeated += x[0] == again[0];
    }
    check(!outside && !repeated, "%d random points are values of their space, and repeat", N);
    /* Five standard deviations. */
    check(fabs(small - N / 2.0) < 5 * sqrt(N) / 2, "half of a logarithm's range: %d", small);
    check(fabs(first_step - N / 8.0) < 5 * sqrt(N * 7) / 8, "one of 8 steps: %d", first_step);
    check(fabs(choice - N / 4.0) < 5 * sqrt(N * 3) / 4, "one of 4 choices: %d", choice);
}

static bool is_axis(cz_dimension dimension, int side, const double *expected, int count)
{
    cz_space space = {.count = 1, .dimension = {dimension}};
    cz_sampling sampling = cz_sampling_default();
    cz_trials none = {0};
    json_t *attributes;
    sampling.kind = CZ_SAMPLE_GRID;
    sampling.grid = side;
    for (int i = 0; i < 2 * count; i++) {
        double x = NAN;
        cz_sample(&x, &attributes, &sampling, &space, &none, i);
        if (!(fabs(x - expected[i % count]) <= 1e-12 * fabs(x))) return false;
        if (!cz_dimension_holds(&dimension, x)) return false;
    }
    return cz_grid_size(&sampling, &space) == count;
}

#define AXIS(dimension, side, ...)                                                                 \
    is_axis(dimension, side, (const double[]){__VA_ARGS__},                                        \
            (int)(sizeof(double[]){__VA_ARGS__} / sizeof(double)))

static void check_axes(void)
{
    check(AXIS(real_from(0, 1, 0, false), 5, 0, 0.25, 0.5, 0.75, 1), "a real is cut evenly");
    check(AXIS(real_from(1e-4, 1, 0, true), 3, 1e-4, 1e-2, 1), "and evenly in its logarithm");
    check(AXIS(real_from(0, 1, 0, false), 1, 0), "one cut is the low bound");
    check(AXIS(real_from(0, 0.3, 0.1, false), 5, 0, 0.1, 0.2, 0.3), "few steps are all taken");
    check(AXIS(whole_from(1, 5, 1, false), 5, 1, 2, 3, 4, 5), "few whole numbers likewise");
    check(AXIS(whole_from(2, 8, 3, false), 3, 2, 5, 8), "and with a step");
    check(AXIS(whole_from(0, 100, 1, false), 5, 0, 25, 50, 75, 100), "many are cut");
    check(AXIS(whole_from(1, 10000, 1, true), 5, 1, 10, 100, 1000, 10000),
          "and evenly in their logarithm");
    check(AXIS(whole_from(1, 20, 1, true), 8, 1, 2, 4, 6, 8, 13, 20), "cuts that meet are one");
    check(AXIS(choice_of(7), 3, 0, 1, 2, 3, 4, 5, 6), "choices are all taken");
    check(AXIS(real_from(2, 2, 0, false), 5, 2), "a single value is one");
}

static void check_grid(void)
{
    cz_space space = {.count = 3};
    cz_sampling sampling = cz_sampling_default();
    cz_trials none = {0};
    json_t *attributes;
    double x[3];
    int wrong = 0;
    sampling.kind = CZ_SAMPLE_GRID;
    space.dimension[0] = whole_from(0, 1, 1, false);
    space.dimension[1] = choice_of(3);
    space.dimension[2] = whole_from(0, 3, 1, false);
    for (int i = 0; i < 24; i++) {
        cz_sample(x, &attributes, &sampling, &space, &none, i);
        wrong += x[0] != i / 12 || x[1] != i / 4 % 3 || x[2] != i % 4;
    }
    check(!wrong && cz_grid_size(&sampling, &space) == 24,
          "the grid of 24 points, last one fastest");
    space.count = CZ_SPACE_MAX;
    for (int i = 0; i < space.count; i++) space.dimension[i] = real_from(0, 1, 0, false);
    check(cz_grid_size(&sampling, &space) == INT_MAX, "5^24 points are INT_MAX");
    sampling.grid = 0;
    check(cz_sample(x, &attributes, &sampling, &space, &none, 0) == CZ_ERR_BUG, "a side of 0");
    cz_error_clear();
}

/* A study over a space: n trials that random sampling made, told sign * x[0]; a state of each. */
static cz_trials a_study(cz_space *space, int n, double sign, cz_trial_state state)
{
    cz_trials trials = {.dimensions = space->count, .dimension = space->dimension};
    cz_sampling sampling = cz_sampling_default();
    json_t *attributes;
    double x[CZ_SPACE_MAX];
    sampling.kind = CZ_SAMPLE_RANDOM;
    for (int i = 0; i < n; i++) {
        cz_sample(x, &attributes, &sampling, space, &trials, i);
        cz_trial *trial = history_add(&trials);
        history_set(trial, x, space->count);
        history_tell(trial, state, sign == 0 ? 1 : sign * x[0]);
    }
    return trials;
}

static bool samples_well(const cz_sampling *sampling, const cz_space *space,
                         const cz_trials *trials)
{
    double x[CZ_SPACE_MAX], again[CZ_SPACE_MAX], ratio = NAN;
    json_t *attributes, *other;
    cz_status status = cz_sample(x, &attributes, sampling, space, trials, trials->count);
    if (!status) status = cz_sample(again, &other, sampling, space, trials, trials->count);
    bool same = !memcmp(x, again, sizeof *x * (size_t)space->count) &&
                (attributes == other || json_equal(attributes, other));
    json_decref(attributes);
    json_decref(other);
    if (!status) status = tpe_log_ratio(&ratio, x, 1, sampling, space, trials, trials->count);
    return !status && same && all_hold(space, x) && isfinite(ratio);
}

static void check_states(const char *what, int n, double sign, cz_trial_state state)
{
    cz_space space = mixed_space();
    cz_trials trials = a_study(&space, n, sign, state);
    cz_sampling sampling = cz_sampling_default();
    sampling.startup = 0; /* TPE whatever became of the trials */
    bool well = samples_well(&sampling, &space, &trials);
    sampling.joint = false;
    well = well && samples_well(&sampling, &space, &trials);
    check(well, "TPE samples after %s", what);
    history_drop(&trials);
}

static void check_no_history(void)
{
    cz_space space = mixed_space(), nothing = {0};
    cz_sampling sampling = cz_sampling_default();
    cz_trials none = {0};
    double x[CZ_SPACE_MAX], ratio = NAN;
    json_t *attributes;
    cz_status status = cz_sample(x, &attributes, &sampling, &space, &none, 0);
    check(!status && !attributes && all_hold(&space, x), "TPE begins by chance");
    status = tpe_log_ratio(&ratio, x, 1, &sampling, &space, &none, 0);
    check(!status && ratio == 0, "without trials both densities are the prior's: %g", ratio);
    sampling.startup = 0;
    status = cz_sample(x, &attributes, &sampling, &space, &none, 0);
    check(!status && !attributes && all_hold(&space, x), "TPE from no trial at all");
    check(!cz_sample(x, &attributes, &sampling, &nothing, &none, 0) && !attributes,
          "a space without dimensions");
    sampling.candidates = 0;
    check(cz_sample(x, &attributes, &sampling, &space, &none, 0) == CZ_ERR_BUG, "no candidates");
    cz_error_clear();
}

/* The values of a running trial that are in its attributes alone repel the next one. */
static void check_attributes(void)
{
    cz_space space = mixed_space();
    cz_trials trials = a_study(&space, 12, 1, CZ_TRIAL_COMPLETE);
    cz_sampling sampling = cz_sampling_default();
    double x[CZ_SPACE_MAX], before, after, blind;
    json_t *attributes;
    cz_sample(x, &attributes, &sampling, &space, &trials, 12);
    const char *text = json_string_value(json_object_get(attributes, "tpe:relative_params:0"));
    json_t *values = json_loads(text ? text : "", 0, NULL);
    check(json_object_size(values) == 6 && json_real_value(json_object_get(values, "d0")) == x[0] &&
              json_integer_value(json_object_get(values, "d4")) == (json_int_t)x[4] &&
              json_integer_value(json_object_get(values, "d5")) == (json_int_t)x[5],
          "what is sampled together stands in the trial's attributes: %s", text ? text : "nothing");
    json_decref(values);
    tpe_log_ratio(&before, x, 1, &sampling, &space, &trials, 13);
    json_object_update(history_add(&trials)->system, attributes);
    tpe_log_ratio(&after, x, 1, &sampling, &space, &trials, 13);
    sampling.constant_liar = false;
    tpe_log_ratio(&blind, x, 1, &sampling, &space, &trials, 13);
    check(after < before - 0.1 && blind == before, "a running trial repels: %.3f, was %.3f", after,
          before);
    json_decref(attributes);
    cz_sample(x, &attributes, &sampling, &space, &trials, 13);
    check(!attributes, "without a liar nothing is told");
    history_drop(&trials);
}

/* The trials before were in another range: what they share is sampled there, and kept where it is
 * inside the new range. */
static void check_ranges(void)
{
    cz_space space = mixed_space();
    cz_trials trials = a_study(&space, 12, 0, CZ_TRIAL_COMPLETE);
    cz_space narrow = space;
    cz_sampling sampling = cz_sampling_default();
    double x[CZ_SPACE_MAX];
    json_t *attributes;
    int outside = 0, kept = 0;
    narrow.dimension[0].low = 0;
    for (int seed = 0; seed < 40; seed++) {
        sampling.seed = (uint64_t)seed;
        outside +=
            cz_sample(x, &attributes, &sampling, &narrow, &trials, 12) || !all_hold(&narrow, x);
        const char *text = json_string_value(json_object_get(attributes, "tpe:relative_params:0"));
        json_t *values = json_loads(text ? text : "", 0, NULL);
        kept += json_real_value(json_object_get(values, "d0")) == x[0];
        json_decref(values);
        json_decref(attributes);
    }
    check(!outside && kept > 0 && kept < 40, "another range: %d of 40 keep what all share", kept);
    history_drop(&trials);
}

/* As many bytes as an attribute of Optuna's holds, and no more. */
static void check_pieces(void)
{
    cz_space space = {.count = CZ_SPACE_MAX};
    for (int i = 0; i < space.count; i++) {
        space.dimension[i] = real_from(0, 1, 0, false);
        snprintf(space.dimension[i].name, CZ_SPACE_NAME, "%02d%0100d", i, 0);
    }
    cz_trials trials = a_study(&space, 12, 1, CZ_TRIAL_COMPLETE);
    cz_sampling sampling = cz_sampling_default();
    double x[CZ_SPACE_MAX], before, after;
    json_t *attributes;
    cz_sample(x, &attributes, &sampling, &space, &trials, 12);
    size_t size = json_string_length(json_object_get(attributes, "tpe:relative_params:0"));
    check(json_object_size(attributes) == 2 && size == 2045, "%zu pieces, the first of %zu",
          json_object_size(attributes), size);
    tpe_log_ratio(&before, x, 1, &sampling, &space, &trials, 13);
    json_object_update(history_add(&trials)->system, attributes);
    tpe_log_ratio(&after, x, 1, &sampling, &space, &trials, 13);
    check(after < before, "pieces are put together again");
    json_object_del(trials.trial[12].system, "tpe:relative_params:1");
    tpe_log_ratio(&after, x, 1, &sampling, &space, &trials, 13);
    check(after == before, "half of the pieces are none");
    json_decref(attributes);
    history_drop(&trials);
}

static void check_log_mass(void)
{
    /* By mpmath, 60 digits. */
    static const struct {
        double a, b, log_mass;
    } known[] = {{-30, -29.5, -439.42947495001869}, {-1e-5, 1e-5, -11.738716817631622},
                 {3, 3.001, -12.328193603728506},   {-1, 50, -0.17275377902344989},
                 {12, 13, -75.410676444989301},     {-1000, -10, -53.23128515051247},
                 {-1000, -40, -804.6084420137538}};
    double worst = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        double mass = normal_log_mass(known[i].a, known[i].b);
        double mirrored = normal_log_mass(-known[i].b, -known[i].a);
        worst = fmax(worst, fabs(mass / known[i].log_mass - 1));
        worst = fmax(worst, fabs(mirrored / known[i].log_mass - 1));
    }
    check(worst < 1e-12, "mass of the normal and of its tails: relative error %.1e", worst);
}

static void check_quantiles(void)
{
    static const double bound[][2] = {{-3, 2},  {-1, 100}, {0, 1},          {1, 4},    {20, 30},
                                      {-9, -8}, {-60, 0},  {-0.001, 0.001}, {50, 50.1}};
    double worst = 0;
    int outside = 0;
    for (size_t i = 0; i < sizeof bound / sizeof *bound; i++) {
        double a = bound[i][0], b = bound[i][1], all = normal_log_mass(a, b);
        outside += truncated_normal_quantile(0, a, b) != a;
        for (int k = 1; k < 50; k++) {
            double x = truncated_normal_quantile(k / 50.0, a, b);
            outside += !(x > a && x < b);
            worst = fmax(worst, fabs(exp(normal_log_mass(a, x) - all) - k / 50.0));
        }
    }
    check(!outside && worst < 1e-9, "quantiles between two bounds: error %.1e", worst);
}

static bool pruned(const cz_pruning *pruning, const cz_trials *trials, int number,
                   cz_status expected)
{
    bool stop = false;
    json_t *rungs = NULL;
    cz_status status = cz_prune(&stop, &rungs, pruning, trials, number);
    json_decref(rungs);
    if (status) cz_error_clear();
    return status == expected && stop;
}

static void check_prune_arguments(void)
{
    cz_trials trials = {0};
    cz_pruning pruning = cz_pruning_default();
    bool stop = true;
    json_t *rungs = NULL;
    history_add(&trials);
    check(!cz_prune(&stop, &rungs, &pruning, &trials, 0) && !stop && !rungs,
          "a trial without steps goes on");
    check(cz_prune(&stop, &rungs, &pruning, &trials, 1) == CZ_ERR_BUG &&
              cz_prune(&stop, &rungs, &pruning, &trials, -1) == CZ_ERR_BUG,
          "a trial that is not there");
    history_report(&trials.trial[0], 1, NAN);
    check(pruned(&pruning, &trials, 0, CZ_OK), "a value that is none stops a trial at its rung");
    pruning.eta = 1;
    check(cz_prune(&stop, &rungs, &pruning, &trials, 0) == CZ_ERR_BUG, "eta 1");
    pruning.eta = 4;
    pruning.first_rung = 0;
    check(cz_prune(&stop, &rungs, &pruning, &trials, 0) == CZ_ERR_BUG, "a first rung of 0");
    cz_error_clear();
    pruning.first_rung = INT_MAX;
    check(!pruned(&pruning, &trials, 0, CZ_OK), "a rung that is never reached");
    pruning.kind = CZ_PRUNE_NONE;
    check(!pruned(&pruning, &trials, 0, CZ_OK), "no pruner");
    history_drop(&trials);
}

/* Of 8 others at the first rung one has a value of 1, the rest what Optuna wrote for an infinity.
 */
static bool pruned_beside(const char *infinity, double value)
{
    cz_trials trials = {0};
    cz_pruning pruning = cz_pruning_default();
    for (int i = 0; i < 8; i++)
        json_object_set_new(history_add(&trials)->system, "completed_rung_0",
                            i ? json_string(infinity) : json_real(1));
    history_report(history_add(&trials), 1, value);
    bool stop = pruned(&pruning, &trials, 8, CZ_OK);
    history_drop(&trials);
    return stop;
}

static void check_infinite_rungs(void)
{
    check(!pruned_beside("Infinity", 2) && pruned_beside("-Infinity", 0) &&
              pruned_beside("NaN", 2) && !pruned_beside("NaN", 0),
          "infinite values at a rung compete, those that are none do not");
}

/* The last of 7 trials comes to the first rung with this value, the others with 1 to 6; its owner
 * dies, and the next one reports that step again. Whether it is to stop. */
static bool pruned_again(double value)
{
    cz_trials trials = {0};
    cz_pruning pruning = cz_pruning_default();
    for (int i = 0; i < 6; i++)
        json_object_set_new(history_add(&trials)->system, "completed_rung_0", json_real(i + 1));
    cz_trial *last = history_add(&trials);
    json_object_set_new(last->system, "completed_rung_0", json_real(value));
    history_report(last, 1, value);
    bool stop = pruned(&pruning, &trials, 6, CZ_OK);
    history_report(last, 2, value);
    check(!pruned(&pruning, &trials, 6, CZ_OK), "a rung of an earlier step is behind a trial");
    history_drop(&trials);
    return stop;
}

static void check_rung_again(void)
{
    /* One of 7 goes on, two of 8 would. */
    check(pruned_again(1.5) && !pruned_again(0.5),
          "a step that is told again is judged again, with its own value counted once");
}

/* Whether the best trial still counts as good with this constraint. */
static bool good_with(const char *name, json_t *constraint)
{
    cz_space space = mixed_space();
    cz_trials trials = a_study(&space, 12, 1, CZ_TRIAL_COMPLETE);
    cz_sampling sampling = cz_sampling_default();
    history h;
    bool good = false;
    history_tell(&trials.trial[5], CZ_TRIAL_COMPLETE, -1e9);
    json_object_set_new(trials.trial[5].system, name, constraint);
    if (history_make(&h, &sampling, &trials, 12)) return false;
    for (int i = 0; i < h.below; i++) good = good || h.trial[i]->number == 5;
    history_free(&h);
    history_drop(&trials);
    return good;
}

static void check_infinite_constraints(void)
{
    check(good_with("constraints:memory", json_real(-1)) &&
              good_with("constraints:memory", json_string("-Infinity")) &&
              good_with("constraints", json_pack("[s]", "-Infinity")),
          "a constraint that is kept");
    check(!good_with("constraints:memory", json_real(1)) &&
              !good_with("constraints:memory", json_string("Infinity")) &&
              !good_with("constraints", json_pack("[f, s]", -1.0, "Infinity")),
          "a constraint that is broken, if infinitely");
}

enum { EPOCHS = 16, TRIALS = 27, SEEDS = 20 };

/* A loss that falls with the epochs, faster for some points; noise of its own for each epoch. */
static double loss_at(const double *x, int epoch, cz_rng *noise)
{
    double end = pow(log10(x[0]) + 3, 2) / 4 + pow(x[1] - 0.3, 2);
    return end + (1 + x[1]) * pow(epoch, -0.7) + 0.02 * cz_rng_normal(noise);
}

/* Runs one search; *best: of its complete trials. Returns the epochs it took. */
static int search(double *best, cz_pruner_kind kind, uint64_t seed)
{
    cz_space space = {.count = 2};
    space.dimension[0] = real_from(1e-5, 1e-1, 0, true);
    space.dimension[1] = real_from(0, 1, 0, false);
    cz_trials trials = {.dimensions = 2, .dimension = space.dimension};
    cz_sampling sampling = cz_sampling_default();
    cz_pruning pruning = cz_pruning_default();
    int epochs = 0;
    sampling.kind = CZ_SAMPLE_RANDOM;
    sampling.seed = seed;
    pruning.kind = kind;
    *best = INFINITY;
    for (int i = 0; i < TRIALS; i++) {
        cz_rng noise = cz_rng_open(seed, (uint32_t)i, 1, CZ_RNG_SEARCH, 0);
        double x[2], value = NAN;
        json_t *made;
        bool stop = false;
        cz_sample(x, &made, &sampling, &space, &trials, i);
        cz_trial *trial = history_add(&trials);
        history_set(trial, x, 2);
        for (int epoch = 1; epoch <= EPOCHS && !stop; epoch++) {
            history_report(trial, epoch, value = loss_at(x, epoch, &noise));
            epochs++;
            if (epoch == EPOCHS) break;
            cz_prune(&stop, &made, &pruning, &trials, i);
            json_object_update(trial->system, made);
            json_decref(made);
        }
        history_tell(trial, stop ? CZ_TRIAL_PRUNED : CZ_TRIAL_COMPLETE, value);
        if (!stop) *best = fmin(*best, value);
    }
    history_drop(&trials);
    return epochs;
}

static void check_halving(void)
{
    double sum = 0, squares = 0, halved = 0;
    int epochs = 0, halved_epochs = 0;
    for (int seed = 0; seed < SEEDS; seed++) {
        double best;
        epochs += search(&best, CZ_PRUNE_NONE, (uint64_t)seed);
        sum += best;
        squares += best * best;
        halved_epochs += search(&best, CZ_PRUNE_ASHA, (uint64_t)seed);
        halved += best;
    }
    double mean = sum / SEEDS, spread = sqrt((squares / SEEDS - mean * mean) / (SEEDS - 1));
    /* Student's 95 % for 19 degrees of freedom. */
    check(fabs(halved / SEEDS - mean) < 2.093 * spread && 2 * halved_epochs < epochs,
          "successive halving finds %.4f in %d epochs, no pruner %.4f +- %.4f in %d",
          halved / SEEDS, halved_epochs, mean, 2.093 * spread, epochs);
}

int main(void)
{
    check_dimensions();
    check_random();
    check_axes();
    check_grid();
    check_no_history();
    check_states("12 trials of equal value", 12, 0, CZ_TRIAL_COMPLETE);
    check_states("12 trials without a value", 12, NAN, CZ_TRIAL_COMPLETE);
    check_states("12 trials of infinite values", 12, INFINITY, CZ_TRIAL_COMPLETE);
    check_states("12 pruned trials without steps", 12, 1, CZ_TRIAL_PRUNED);
    check_states("12 failed trials", 12, 1, CZ_TRIAL_FAILED);
    check_states("12 running trials", 12, 1, CZ_TRIAL_RUNNING);
    check_states("130 trials", 130, 1, CZ_TRIAL_COMPLETE);
    check_attributes();
    check_ranges();
    check_pieces();
    check_log_mass();
    check_quantiles();
    check_prune_arguments();
    check_infinite_rungs();
    check_rung_again();
    check_infinite_constraints();
    check_halving();
    return check_done();
}
