/* How much of a function's variance each parameter alone explains. Private to src/report; Local. */
#ifndef CZ_FANOVA_H
#define CZ_FANOVA_H

#include "regression_tree.h"

#include <stdint.h>

/* share (axes) out: of the variance over the box, drawn evenly, the part of each axis' main effect,
 * as a forest of 64 regression trees has it; they sum to 1. Each tree is grown on a bootstrap
 * sample, and its effects are integrated exactly over its leaves; shares are means over the trees.
 * All 0 where no tree has any variance. The same for the same data and seed. CZ_ERR_MEMORY.
 * Hutter, Hoos & Leyton-Brown, ICML 2014, algorithm 2. */
cz_status fanova(double *share, const tree_data *data, uint64_t seed);

/* The variance of one tree over the box, and that of its main effect along each axis,
 * effect (axes). CZ_ERR_MEMORY. */
cz_status fanova_tree(double *variance, double *effect, const regression_tree *tree);

#endif
