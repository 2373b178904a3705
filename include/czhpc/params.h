/* The table of a model's parameters: the one place that knows their names and order. */
#ifndef CZ_PARAMS_H
#define CZ_PARAMS_H

#include "czhpc/param.h"
#include "czhpc/status.h"
#include "czhpc/tensor.h"

#include <stdint.h>

typedef enum cz_init {
    CZ_INIT_FAN_IN,  /* U(-1/sqrt(a), 1/sqrt(a)), a = inputs of the layer: PyTorch's Linear */
    CZ_INIT_XAVIER,  /* U(-s, s), s = sqrt(6 / (rows + columns)). Glorot & Bengio 2010, eq. 16 */
    CZ_INIT_NORMAL,  /* N(0, a^2) */
    CZ_INIT_CONSTANT /* a */
} cz_init;

typedef struct cz_params {
    int count, capacity;
    cz_param_entry *entry; /* (count) */
    struct cz_initialiser {
        cz_init kind;
        double a;
    } * init;     /* (count) */
    size_t total; /* elements of a flat array: the sizes and the padding between them */
} cz_params;

/* Appends a parameter and returns its index through *index (NULL: not wanted). cols 0: a
 * vector. Local. */
cz_status cz_params_add(cz_params *params, int *index, int rows, int cols, cz_init kind, double a,
                        const char *name, ...) __attribute__((format(printf, 7, 8)));
void cz_params_free(cz_params *params);

/* Number of weights, without padding. */
size_t cz_params_weights(const cz_params *params);

/* Fills elements [begin, end) of the flat array `w` with initial values that depend on
 * (seed, parameter, element) only; padding becomes 0. Local. */
void cz_params_initialise(const cz_params *params, void *w, cz_dtype dtype, size_t begin,
                          size_t end, int64_t seed);

/* View of parameter `index` in a flat array. */
cz_tensor cz_params_view(const cz_params *params, int index, void *flat, cz_dtype dtype);

#endif
