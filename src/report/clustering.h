/* An order of rows in which like stands by like. Private to src/report; Local. */
#ifndef CZ_CLUSTERING_H
#define CZ_CLUSTERING_H

#include "czhpc/status.h"

/* The leaves, from left to right, of the tree of average linkage (UPGMA) on Euclidean distances:
 * at each step the two nearest clusters join, the older one on the left. A distance that is not
 * finite is the largest.
 *   order (rows) out, x (rows, columns)
 * O(rows^3) time, O(rows^2) memory. CZ_ERR_MEMORY. Sokal & Michener 1958; the update of
 * distances: Lance & Williams 1967, eq. 1. */
cz_status cluster_order(int *order, const double *x, int rows, int columns);

#endif
