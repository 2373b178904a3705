/* A grid over a space: the cartesian product of a few values of each dimension. */
#ifndef GRID_H
#define GRID_H

#include "czhpc/space.h"

/* x (space->count) of point number modulo the grid's size; `side`: values of a cut dimension. */
void grid_point(double *x, int side, const cz_space *space, int number);

#endif
