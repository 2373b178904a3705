#include "czhpc/sampler.h"

#include "draw.h"
#include "grid.h"
#include "tpe.h"

cz_sampling cz_sampling_default(void)
{
    return (cz_sampling){.kind = CZ_SAMPLE_TPE,
                         .startup = 10,
                         .candidates = 24,
                         .joint = true,
                         .constant_liar = true,
                         .grid = 5};
}

static void sample_random(double *x, const cz_space *space, cz_rng *rng)
{
    for (int i = 0; i < space->count; i++) x[i] = draw_uniform(&space->dimension[i], rng);
}

cz_status cz_sample(double *x, json_t **attributes, const cz_sampling *sampling,
                    const cz_space *space, const cz_trials *trials, int number)
{
    cz_rng rng = cz_rng_open(sampling->seed, (uint32_t)number, 0, CZ_RNG_SEARCH, 0);
    *attributes = NULL;
    if (sampling->candidates < 1 || sampling->grid < 1)
        return cz_fail(CZ_ERR_BUG, "a sampler of %d candidates and %d values on a grid's side",
                       sampling->candidates, sampling->grid);
    switch (sampling->kind) {
    case CZ_SAMPLE_GRID:
        grid_point(x, sampling->grid, space, number);
        return CZ_OK;
    case CZ_SAMPLE_TPE:
        if (tpe_ready(sampling, trials))
            return tpe_sample(x, attributes, sampling, space, trials, number, &rng);
        break;
    case CZ_SAMPLE_RANDOM:
        break;
    }
    sample_random(x, space, &rng);
    return CZ_OK;
}
