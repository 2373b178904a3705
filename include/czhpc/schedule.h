/* The learning rate of a step. */
#ifndef CZ_SCHEDULE_H
#define CZ_SCHEDULE_H

#include <stdint.h>

/* Linear warm-up from 0 over the first warmup * total steps, then `cycles` half cosines from
 * 1 towards 0 and back: with cycles 1, Loshchilov & Hutter 2017, eq. 5 without restarts.
 *   step 0 .. total-1; returns the factor on the peak learning rate, in [0, 1]. Local. */
double cz_schedule(int64_t step, int64_t total, double warmup, double cycles);

#endif
