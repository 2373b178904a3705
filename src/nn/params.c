#include "czhpc/params.h"
#include "czhpc/rng.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ALIGN = 16 }; /* elements: 64 bytes of fp32, 128 of fp64 */

static cz_status grow(cz_params *params)
{
    int capacity = params->capacity ? 2 * params->capacity : 64;
    void *entry = realloc(params->entry, (size_t)capacity * sizeof *params->entry);
    if (entry) params->entry = entry;
    void *init = realloc(params->init, (size_t)capacity * sizeof *params->init);
    if (init) params->init = init;
    if (!entry || !init) return cz_fail(CZ_ERR_MEMORY, "no memory for the table of parameters");
    params->capacity = capacity;
    return CZ_OK;
}

cz_status cz_params_add(cz_params *params, int *index, int rows, int cols, cz_init kind, double a,
                        const char *name, ...)
{
    if (params->count == params->capacity) CZ_TRY(grow(params));
    if (index) *index = params->count;
    params->init[params->count] = (struct cz_initialiser){kind, a};
    cz_param_entry *entry = &params->entry[params->count++];
    *entry = (cz_param_entry){.rank = cols ? 2 : 1, .dim = {rows, cols}, .offset = params->total};
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(entry->name, sizeof entry->name, name, arguments);
    va_end(arguments);
    params->total += (cz_param_size(entry) + ALIGN - 1) / ALIGN * ALIGN;
    return CZ_OK;
}

void cz_params_free(cz_params *params)
{
    free(params->entry);
    free(params->init);
    *params = (cz_params){0};
}

size_t cz_params_weights(const cz_params *params)
{
    size_t weights = 0;
    for (int i = 0; i < params->count; i++) weights += cz_param_size(&params->entry[i]);
    return weights;
}

static void set(void *w, cz_dtype dtype, size_t i, double value)
{
    if (dtype == CZ_F64) ((double *)w)[i] = value;
    else ((float *)w)[i] = (float)value;
}

/* A block of four words gives two elements of 53 bits each, so that any element can be drawn
 * without drawing those before it. */
static double draw(const cz_param_entry *entry, struct cz_initialiser init, uint32_t index,
                   uint32_t element, uint64_t seed)
{
    if (init.kind == CZ_INIT_CONSTANT) return init.a;
    cz_rng rng = cz_rng_open(seed, index, element / 2, CZ_RNG_INIT, 0);
    if (init.kind == CZ_INIT_NORMAL) {
        double first = cz_rng_normal(&rng), second = cz_rng_normal(&rng);
        return init.a * (element % 2 ? second : first);
    }
    double first = cz_rng_uniform(&rng), second = cz_rng_uniform(&rng);
    double bound = init.kind == CZ_INIT_XAVIER ? sqrt(6.0 / (entry->dim[0] + entry->dim[1]))
                                               : 1 / sqrt(init.a);
    return bound * (2 * (element % 2 ? second : first) - 1);
}

void cz_params_initialise(const cz_params *params, void *w, cz_dtype dtype, size_t begin,
                          size_t end, int64_t seed)
{
    for (int p = 0; p < params->count; p++) {
        const cz_param_entry *entry = &params->entry[p];
        size_t next = p + 1 < params->count ? params->entry[p + 1].offset : params->total;
        size_t size = cz_param_size(entry);
        size_t from = begin > entry->offset ? begin : entry->offset;
        for (size_t i = from; i < next && i < end; i++) {
            size_t element = i - entry->offset;
            set(w, dtype, i,
                element < size
                    ? draw(entry, params->init[p], (uint32_t)p, (uint32_t)element, (uint64_t)seed)
                    : 0);
        }
    }
}

cz_tensor cz_params_view(const cz_params *params, int index, void *flat, cz_dtype dtype)
{
    const cz_param_entry *entry = &params->entry[index];
    void *data = (char *)flat + entry->offset * cz_dtype_size(dtype);
    return entry->rank == 2 ? cz_matrix(data, dtype, entry->dim[0], entry->dim[1])
                            : cz_vector(data, dtype, entry->dim[0]);
}
