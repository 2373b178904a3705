/* What a table's attribute `czhpc_check` holds. Private to src/data. */
#ifndef CZ_LABEL_CHECK_H
#define CZ_LABEL_CHECK_H

#include <stdint.h>

int64_t label_check(char *const *label, const float *vector, int rows, int width);

#endif
