/* How many synthetic cells there are of each type from each donor. */
#include "synthetic.h"

#include "czhpc/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const cz_synthetic_type_name[CZ_TYPES] = {
    "oligodendrocyte",
    "cerebellar granule cell",
    "microglial cell",
    "oligodendrocyte precursor cell",
    "GABAergic neuron",
    "astrocyte",
    "mural cell",
    "capillary endothelial cell",
    "glutamatergic neuron",
    "endothelial cell of artery",
    "differentiation-committed oligodendrocyte precursor",
    "vascular associated smooth muscle cell",
    "leukocyte",
    "central nervous system macrophage",
    "neuron",
    "ependymal cell",
};

/* CELLxGENE Census 2023-12-15, tissue_general "central nervous system": cells of each type, and
 * of each donor in a 20 % split, both as published. Five times the latter is exactly the total
 * of the former, 31,780. */
static const int type_total[CZ_TYPES] = {10924, 8678, 2562, 2036, 1744, 1557, 1076, 1072,
                                         996,   336,  306,  158,  146,  110,  52,   27};
static const int donor_support[CZ_DONORS] = {439, 480, 288, 193, 663, 381, 687,
                                             569, 544, 412, 201, 332, 359, 808};

/* Shares n by weights: rounded down, then one more for the largest remainders (the first of
 * equals). share (count) out. */
static void scale_total(int *share, int n, const int *weight, int count)
{
    int64_t total = 0, remainder[CZ_TYPES];
    int left = n;
    for (int k = 0; k < count; k++) total += weight[k];
    for (int k = 0; k < count; k++) {
        share[k] = (int)((int64_t)n * weight[k] / total);
        remainder[k] = (int64_t)n * weight[k] % total;
        left -= share[k];
    }
    for (; left > 0; left--) {
        int best = 0;
        for (int k = 1; k < count; k++)
            if (remainder[k] > remainder[best]) best = k;
        share[best]++;
        remainder[best] = -1;
    }
}

/* Gamma(shape) of scale 1. Marsaglia & Tsang 2000; below 1 by the power of a uniform. */
static double draw_gamma(cz_rng *rng, double shape)
{
    double power = shape < 1 ? pow(1 - cz_rng_uniform(rng), 1 / shape) : 1;
    double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = cz_rng_normal(rng), v = 1 + c * x;
        v = v * v * v;
        if (v <= 0) continue;
        if (log(1 - cz_rng_uniform(rng)) < 0.5 * x * x + d - d * v + d * log(v))
            return power * d * v;
    }
}

/* A donor's types: Dirichlet around the common proportions, with a little of each type so
 * that both margins can be met. */
static void draw_types(double part[CZ_TYPES], const int type[CZ_TYPES], int n, double concentration,
                       uint64_t seed, int donor)
{
    cz_rng rng = cz_rng_open(seed, (uint32_t)donor, CZ_DRAW_TABLE, CZ_RNG_SYNTHETIC, 0);
    double sum = 0;
    for (int c = 0; c < CZ_TYPES; c++) {
        part[c] = type[c] ? draw_gamma(&rng, concentration * type[c] / n) : 0;
        sum += part[c];
    }
    for (int c = 0; c < CZ_TYPES; c++)
        if (type[c]) part[c] = part[c] / sum + 1e-4 * type[c] / n;
}

/* Iterative proportional fitting (Deming & Stephan 1940) of a positive table. */
static void fit_margins(double table[CZ_TYPES][CZ_DONORS], const int type[CZ_TYPES],
                        const int donor[CZ_DONORS])
{
    for (int round = 0; round < 500; round++) {
        for (int c = 0; c < CZ_TYPES; c++) {
            double sum = 0;
            for (int d = 0; d < CZ_DONORS; d++) sum += table[c][d];
            for (int d = 0; d < CZ_DONORS && sum > 0; d++) table[c][d] *= type[c] / sum;
        }
        for (int d = 0; d < CZ_DONORS; d++) {
            double sum = 0;
            for (int c = 0; c < CZ_TYPES; c++) sum += table[c][d];
            for (int c = 0; c < CZ_TYPES && sum > 0; c++) table[c][d] *= donor[d] / sum;
        }
    }
}

/* Finds a way to round one more entry of row c up: directly where column d lacks one, else by
 * taking back another row's entry of d and rounding that row up elsewhere. */
static int round_up(char up[CZ_TYPES][CZ_DONORS], int lacks[CZ_DONORS],
                    const double fraction[CZ_TYPES][CZ_DONORS], char seen[CZ_DONORS], int c)
{
    for (int d = 0; d < CZ_DONORS; d++) {
        if (seen[d] || up[c][d] || fraction[c][d] <= 0) continue;
        seen[d] = 1;
        int done = lacks[d] > 0;
        if (done) lacks[d]--;
        for (int other = 0; other < CZ_TYPES && !done; other++) {
            if (!up[other][d] || !round_up(up, lacks, fraction, seen, other)) continue;
            up[other][d] = 0;
            done = 1;
        }
        if (!done) continue;
        up[c][d] = 1;
        return 1;
    }
    return 0;
}

/* Rounds every entry down or up so that both margins stay. The fractions themselves are a flow
 * that does, so a whole-numbered one exists (Ford & Fulkerson 1956): largest fractions first,
 * then augmenting paths for what is left. */
static void round_table(int count[CZ_TYPES][CZ_DONORS], double table[CZ_TYPES][CZ_DONORS],
                        const int type[CZ_TYPES], const int donor[CZ_DONORS])
{
    double fraction[CZ_TYPES][CZ_DONORS];
    char up[CZ_TYPES][CZ_DONORS] = {{0}};
    int wants[CZ_TYPES], lacks[CZ_DONORS];
    memcpy(wants, type, sizeof wants);
    memcpy(lacks, donor, sizeof lacks);
    for (int c = 0; c < CZ_TYPES; c++)
        for (int d = 0; d < CZ_DONORS; d++) {
            count[c][d] = (int)floor(table[c][d] + 1e-6);
            fraction[c][d] = type[c] && donor[d] ? fmax(table[c][d] - count[c][d], 1e-9) : 0;
            wants[c] -= count[c][d];
            lacks[d] -= count[c][d];
        }
    for (;;) {
        int row = -1, column = -1;
        for (int c = 0; c < CZ_TYPES; c++)
            for (int d = 0; d < CZ_DONORS; d++)
                if (wants[c] > 0 && lacks[d] > 0 && !up[c][d] && fraction[c][d] > 0 &&
                    (row < 0 || fraction[c][d] > fraction[row][column])) {
                    row = c;
                    column = d;
                }
        if (row < 0) break;
        up[row][column] = 1;
        wants[row]--;
        lacks[column]--;
    }
    for (int c = 0; c < CZ_TYPES; c++)
        for (; wants[c] > 0; wants[c]--) {
            char seen[CZ_DONORS] = {0};
            if (!round_up(up, lacks, (const double(*)[CZ_DONORS])fraction, seen, c)) break;
        }
    for (int c = 0; c < CZ_TYPES; c++)
        for (int d = 0; d < CZ_DONORS; d++) count[c][d] += up[c][d];
}

void cz_synthetic_table(int count[CZ_TYPES][CZ_DONORS], int n, double concentration, uint64_t seed)
{
    int type[CZ_TYPES], donor[CZ_DONORS];
    double table[CZ_TYPES][CZ_DONORS], part[CZ_TYPES];
    scale_total(type, n, type_total, CZ_TYPES);
    scale_total(donor, n, donor_support, CZ_DONORS);
    for (int d = 0; d < CZ_DONORS; d++) {
        draw_types(part, type, n, concentration, seed, d);
        for (int c = 0; c < CZ_TYPES; c++) table[c][d] = part[c] * donor[d];
    }
    fit_margins(table, type, donor);
    round_table(count, table, type, donor);
}
