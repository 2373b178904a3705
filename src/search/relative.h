/* What a running trial was given for several dimensions at once, in its system attributes
 * tpe:relative_params:<i> for other samplers to see before it sets them: pieces of a JSON text. */
#ifndef RELATIVE_H
#define RELATIVE_H

#include "czhpc/space.h"

#include <jansson.h>

/* The attributes of a point x (dimensions), a new object; NULL: no memory. */
json_t *relative_write(const cz_dimension *const *dimension, const double *x, int dimensions);

/* The values by name, a new object; NULL where there are none that can be read. */
json_t *relative_read(const json_t *attributes);

/* The value of one dimension, NAN for none; relative NULL is fine. */
double relative_value(const json_t *relative, const cz_dimension *dimension);

#endif
