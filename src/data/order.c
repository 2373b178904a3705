/* The order in which an epoch walks over the training cells. */
#include "order.h"

#include "czhpc/data.h"

void cz_shuffle(int32_t *value, int n, cz_rng *rng)
{
    for (int i = n - 1; i > 0; i--) {
        uint32_t j = cz_rng_below(rng, (uint32_t)i + 1);
        int32_t kept = value[i];
        value[i] = value[j];
        value[j] = kept;
    }
}

void cz_epoch_order(int32_t *order, int n, int64_t seed, uint32_t phase, int epoch)
{
    cz_rng rng = cz_rng_open((uint64_t)seed, 0, (uint32_t)epoch, CZ_RNG_ORDER, phase);
    for (int i = 0; i < n; i++) order[i] = i;
    cz_shuffle(order, n, &rng);
}
