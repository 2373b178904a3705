/* One parameter of a model: its name, its shape and its place in the flat arrays. */
#ifndef CZ_PARAM_H
#define CZ_PARAM_H

#include <stddef.h>

typedef struct cz_param_entry {
    char name[96];
    int rank, dim[2];
    size_t offset; /* elements into the flat arrays, a multiple of 16 */
} cz_param_entry;

static inline size_t cz_param_size(const cz_param_entry *p)
{
    return p->rank == 2 ? (size_t)p->dim[0] * (size_t)p->dim[1] : (size_t)p->dim[0];
}

#endif
