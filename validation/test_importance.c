/* Importance of parameters: regression trees, their exact marginals, and shares that are known. */
#include "../src/report/fanova.h"
#include "check.h"

enum { N = 400, AXES = 3, STEPS = 16, FINE = 64, CHOICES = 3 };

static double x[N * AXES], y[N];

/* Two numbers and a choice; the numbers on a grid, so that every threshold is a multiple of 1/64 of
 * the range. */
static const tree_axis mixed[AXES] = {{0, 1, 0}, {-2, 2, 0}, {0, 0, CHOICES}};

static void draw_on_grid(int n)
{
    cz_rng rng = cz_rng_open(7, 0, 0, CZ_RNG_FOREST, 1);
    for (int i = 0; i < n; i++) {
        x[i * AXES] = (cz_rng_below(&rng, STEPS) + 0.5) / STEPS;
        x[i * AXES + 1] = -2 + 4 * (cz_rng_below(&rng, STEPS) + 0.5) / STEPS;
        x[i * AXES + 2] = cz_rng_below(&rng, CHOICES);
        y[i] = sin(5 * x[i * AXES]) * x[i * AXES + 1] + (x[i * AXES + 2] == 1) +
               0.3 * cz_rng_normal(&rng);
    }
}

static double on_fine_grid(const regression_tree *tree, int i, int j, int c)
{
    double at[AXES] = {(i + 0.5) / FINE, -2 + 4 * (j + 0.5) / FINE, c};
    return tree_value(tree, at);
}

/* The same by summing over all cells of the fine grid, on which the tree is constant. */
static void integrate(double *variance, double *effect, const regression_tree *tree)
{
    static double marginal[AXES][FINE];
    double mean = 0, square = 0, cells = (double)FINE * FINE * CHOICES;
    memset(marginal, 0, sizeof marginal);
    for (int i = 0; i < FINE; i++)
        for (int j = 0; j < FINE; j++)
            for (int c = 0; c < CHOICES; c++) {
                double value = on_fine_grid(tree, i, j, c);
                mean += value / cells;
                square += value * value / cells;
                marginal[0][i] += value / (FINE * CHOICES);
                marginal[1][j] += value / (FINE * CHOICES);
                marginal[2][c] += value / (FINE * FINE);
            }
    *variance = square - mean * mean;
    for (int a = 0; a < AXES; a++) {
        int places = a < 2 ? FINE : CHOICES;
        effect[a] = 0;
        for (int p = 0; p < places; p++)
            effect[a] += (marginal[a][p] - mean) * (marginal[a][p] - mean) / places;
    }
}

static void check_marginals(int n)
{
    static int weight[N];
    double variance, effect[AXES], want_variance, want[AXES];
    tree_data data = {n, AXES, mixed, x, y};
    regression_tree tree;
    cz_rng rng = cz_rng_open(0, 0, 0, CZ_RNG_FOREST, 0);
    draw_on_grid(n);
    for (int i = 0; i < n; i++) weight[i] = i % 3; /* a third is left out */
    bool grown = !tree_grow(&tree, &data, weight, &rng) && !fanova_tree(&variance, effect, &tree);
    check(grown, "a tree of %d samples has %d nodes", n, tree.nodes);
    integrate(&want_variance, want, &tree);
    check(fabs(variance - want_variance) < 1e-12 * want_variance,
          "its variance is that of summing over a grid");
    check(check_distance(effect, want, AXES) < 1e-12,
          "and so are its marginal variances: %.6f %.6f %.6f", effect[0], effect[1], effect[2]);
    tree_free(&tree);
}

/* A tree of distinct samples tells each of them. */
static void check_fit(void)
{
    static const tree_axis unit[] = {{0, 1, 0}, {0, 1, 0}};
    static int weight[N];
    double worst = 0;
    tree_data data = {N, 2, unit, x, y};
    regression_tree tree;
    cz_rng rng = cz_rng_open(1, 0, 0, CZ_RNG_FOREST, 2);
    for (int i = 0; i < 2 * N; i++) x[i] = cz_rng_uniform(&rng);
    for (int i = 0; i < N; i++) {
        y[i] = cz_rng_normal(&rng);
        weight[i] = 1;
    }
    bool grown = !tree_grow(&tree, &data, weight, &rng);
    for (int i = 0; i < N && grown; i++)
        worst = fmax(worst, fabs(tree_value(&tree, x + 2 * (size_t)i) - y[i]));
    check(grown && worst == 0, "a tree of distinct samples has all their values");
    tree_free(&tree);
}

typedef struct known {
    const char *name;
    double (*y)(const double *x);
    int axes;
    tree_axis axis[3];
    double share[3];
} known;

static double two_slopes(const double *at) { return 3 * at[0] + at[1]; }
static double with_idle(const double *at) { return at[1] * at[1]; }
static double by_choice(const double *at) { return (at[0] == 2 ? 3 : 0) + 2 * at[1]; }

/* Variances: of a x on [0, 1] a^2 / 12; of 3 on one of three choices 9 (1/3) (2/3). */
static const known all[] = {
    {"3 x1 + x2", two_slopes, 2, {{0, 1, 0}, {0, 1, 0}}, {0.9, 0.1}},
    {"x2^2 beside an idle x1", with_idle, 2, {{0, 1, 0}, {-1, 1, 0}}, {0, 1}},
    {"a choice and a slope", by_choice, 2, {{0, 0, 3}, {0, 1, 0}}, {6 / (6 + 1.0), 1 / 7.0}},
    {"a sum of 1e300", two_slopes, 2, {{0, 1e300, 0}, {0, 1e300, 0}}, {0.9, 0.1}},
};

static void draw_in_box(const known *k)
{
    cz_rng rng = cz_rng_open(3, 0, 0, CZ_RNG_FOREST, 3);
    for (int i = 0; i < N; i++) {
        double *at = x + (size_t)i * k->axes;
        for (int a = 0; a < k->axes; a++)
            at[a] = k->axis[a].choices ? cz_rng_below(&rng, (uint32_t)k->axis[a].choices)
                                       : k->axis[a].low + cz_rng_uniform(&rng) *
                                                              (k->axis[a].high - k->axis[a].low);
        y[i] = k->y(at);
    }
}

static void check_known(const known *k)
{
    double share[3], again[3], sum = 0;
    tree_data data = {N, k->axes, k->axis, x, y};
    draw_in_box(k);
    bool done = !fanova(share, &data, 0) && !fanova(again, &data, 0), near = done;
    for (int a = 0; a < k->axes && done; a++) {
        sum += share[a];
        near &= fabs(share[a] - k->share[a]) < 0.03;
    }
    check(near, "%s: shares %.3f and %.3f, expected %.3f and %.3f", k->name, share[0], share[1],
          k->share[0], k->share[1]);
    check(done && fabs(sum - 1) < 1e-12 && !memcmp(share, again, sizeof *share * (size_t)k->axes),
          "%s: they sum to 1, and are the same again", k->name);
}

/* Axes that say the same share alike, whichever comes first. */
static void check_ties(void)
{
    static const tree_axis unit[] = {{0, 1, 0}, {0, 1, 0}};
    double share[2];
    tree_data data = {N, 2, unit, x, y};
    cz_rng rng = cz_rng_open(5, 0, 0, CZ_RNG_FOREST, 4);
    for (int i = 0; i < N; i++) y[i] = x[2 * i] = x[2 * i + 1] = cz_rng_uniform(&rng);
    bool done = !fanova(share, &data, 0);
    check(done && fabs(share[0] - 0.5) < 0.1, "two axes that are the same: %.3f and %.3f", share[0],
          share[1]);
    for (int i = 0; i < N; i++) y[i] = 2;
    check(!fanova(share, &data, 0) && share[0] == 0 && share[1] == 0, "a constant: nothing");
}

int main(void)
{
    check_fit();
    check_marginals(40);
    check_marginals(N);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) check_known(&all[i]);
    check_ties();
    return check_done();
}
