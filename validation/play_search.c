/* Plays searches of test functions, for race_search.py:  play_search FUNCTION tpe|random SEEDS
 * TRIALS. Prints the best value that each seed finds. */
#include "czhpc/sampler.h"

#include "search_history.h"

#include <stdio.h>

enum { DIMENSIONS = 5 };

/* The functions, which race_search.py has too; a choice comes as its index. */
static double branin(const double *x)
{
    double pi = acos(-1), a = x[1] - 5.1 / (4 * pi * pi) * x[0] * x[0] + 5 / pi * x[0] - 6;
    return a * a + 10 * (1 - 1 / (8 * pi)) * cos(x[0]) + 10;
}

static double rates(const double *x)
{
    double a = log10(x[0]) + 2.5, b = log10(x[1]) + 5;
    return a * a + 0.3 * b * b + 0.2 * a * b + 0.1 * fabs(x[2] - 6);
}

static double steps(const double *x)
{
    return pow(log2(x[0]) - 6, 2) + pow((x[1] - 13) / 4, 2) + pow(log10(x[2]) + 3, 2) +
           fabs(x[3] - 0.3) * 5;
}

static double choices(const double *x)
{
    static const double cost[3][6] = {{5, 3, 4, 2, 6, 1.5}, {2, 4, 1, 3, 5, 6}, {3, 6, 2, 5, 0, 4}};
    return cost[0][(int)x[0]] + cost[1][(int)x[1]] * (1 + (x[0] == 5)) + cost[2][(int)x[2]] +
           (x[1] == 2 && x[2] == 4 ? -1 : 0);
}

/* A loss against learning rate, width, dropout, layers and the kind of pooling. */
static double tuning(const double *x)
{
    static const double pool[3] = {0.08, 0, 0.15};
    double rate = log10(x[0]), width = log2(x[1]);
    return 0.4 + 0.15 * pow(rate + 3 + 0.2 * (x[3] - 2), 2) + 0.02 * pow(width - 8, 2) +
           0.8 * pow(x[2] - 0.02 * width, 2) + 0.03 * fabs(x[3] - 3) + pool[(int)x[4]] +
           (rate > -1.5 ? 1 : 0);
}

static cz_dimension numeric(cz_dimension_kind kind, double low, double high, double step, bool log)
{
    return (cz_dimension){.kind = kind, .low = low, .high = high, .step = step, .log = log};
}

static cz_dimension categorical(int choices_of_it)
{
    cz_dimension dimension = {.kind = CZ_CATEGORICAL, .choices = choices_of_it};
    for (int i = 0; i < choices_of_it; i++) snprintf(dimension.choice[i], CZ_SPACE_CHOICE, "%d", i);
    return dimension;
}

typedef struct function {
    const char *name;
    double (*value)(const double *x);
    int dimensions;
    cz_dimension dimension[DIMENSIONS];
} function;

static function find_function(const char *name)
{
    const function all[] = {
        {"branin",
         branin,
         2,
         {numeric(CZ_FLOAT, -5, 10, 0, false), numeric(CZ_FLOAT, 0, 15, 0, false)}},
        {"rates",
         rates,
         3,
         {numeric(CZ_FLOAT, 1e-6, 1, 0, true), numeric(CZ_FLOAT, 1e-8, 1, 0, true),
          numeric(CZ_INTEGER, 0, 20, 2, false)}},
        {"steps",
         steps,
         4,
         {numeric(CZ_INTEGER, 1, 1024, 1, true), numeric(CZ_INTEGER, 1, 40, 1, false),
          numeric(CZ_FLOAT, 1e-6, 1, 0, true), numeric(CZ_FLOAT, 0, 1, 0.1, false)}},
        {"choices", choices, 3, {categorical(6), categorical(6), categorical(6)}},
        {"tuning",
         tuning,
         5,
         {numeric(CZ_FLOAT, 1e-5, 1e-1, 0, true), numeric(CZ_INTEGER, 16, 1024, 1, true),
          numeric(CZ_FLOAT, 0, 0.6, 0, false), numeric(CZ_INTEGER, 1, 6, 1, false),
          categorical(3)}},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i].name, name)) return all[i];
    return (function){0};
}

static double play(const function *f, const cz_sampling *sampling, int count)
{
    cz_space space = {.count = f->dimensions};
    double x[CZ_SPACE_MAX], best = INFINITY;
    memcpy(space.dimension, f->dimension, sizeof f->dimension);
    for (int i = 0; i < space.count; i++) space.dimension[i].name[0] = (char)('a' + i);
    cz_trials trials = {.dimensions = space.count, .dimension = space.dimension};
    for (int i = 0; i < count; i++) {
        json_t *attributes = NULL;
        if (cz_sample(x, &attributes, sampling, &space, &trials, i)) return NAN;
        json_decref(attributes);
        cz_trial *trial = history_add(&trials);
        history_set(trial, x, space.count);
        history_tell(trial, CZ_TRIAL_COMPLETE, f->value(x));
        best = fmin(best, trial->value);
    }
    history_drop(&trials);
    return best;
}

int main(int argc, char **argv)
{
    function f = find_function(argc > 1 ? argv[1] : "");
    if (argc != 5 || !f.value) {
        fprintf(stderr, "usage: %s FUNCTION tpe|random SEEDS TRIALS\n", argv[0]);
        return 2;
    }
    cz_sampling sampling = cz_sampling_default();
    sampling.kind = strcmp(argv[2], "tpe") ? CZ_SAMPLE_RANDOM : CZ_SAMPLE_TPE;
    for (; sampling.seed < strtoul(argv[3], NULL, 10); sampling.seed++)
        printf("%.17g\n", play(&f, &sampling, (int)strtol(argv[4], NULL, 10)));
    return 0;
}
