/* Keyed permutations. Private to src/data. */
#ifndef CZ_ORDER_H
#define CZ_ORDER_H

#include "czhpc/rng.h"

/* Permutes the n values by Fisher and Yates: every permutation equally likely. Local. */
void cz_shuffle(int32_t *value, int n, cz_rng *rng);

#endif
