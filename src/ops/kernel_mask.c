/* Dropout masks from Philox4x32-10. */
#include "kernel.h"

#include "czhpc/rng.h"

void K(mask)(uint8_t *bits, const cz_step *step, unsigned site, double p, uint32_t cell,
             int elements)
{
    unsigned threshold = cz_dropout_threshold(p);
    for (int e = 0; e < elements; e += 8) {
        cz_block block = cz_philox(step->seed, cell, step->step,
                                   cz_counter(CZ_RNG_DROPOUT + site, (uint32_t)e / 8), step->phase);
        unsigned byte = 0;
        for (int i = 0; i < 8 && e + i < elements; i++)
            byte |= (unsigned)((block.v[i / 2] >> (i % 2 * 16) & 0xffff) >= threshold) << i;
        bits[e / 8] = (uint8_t)byte;
    }
}
