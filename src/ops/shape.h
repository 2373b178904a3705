/* Checks of what an operation is called with. Each returns CZ_ERR_BUG with a message that names
 * the operation, the tensor, and its shape beside that of the tensor it has to fit. */
#ifndef CZ_SHAPE_H
#define CZ_SHAPE_H

#include "czhpc/ops.h"

/* What is being checked: the operation, and a tensor whose shape gives the sizes. */
typedef struct cz_fit {
    const char *op, *name;
    cz_tensor to;
    cz_dtype dtype;
} cz_fit;

/* The same for what is summed in, as weights, their gradients and statistics; and for `t` of
 * either type. */
cz_fit cz_fit_wide(cz_fit fit);
cz_fit cz_fit_either(cz_fit fit, cz_tensor t);

/* `t` as a matrix (its axes before the last as one), a vector, or of rank 3 and 4. */
cz_status cz_fit_matrix(const cz_fit *fit, const char *name, cz_tensor t, int rows, int cols);
cz_status cz_fit_vector(const cz_fit *fit, const char *name, cz_tensor t, int n);
cz_status cz_fit_tensor3(const cz_fit *fit, const char *name, cz_tensor t, int a, int b, int c);
cz_status cz_fit_tensor4(const cz_fit *fit, const char *name, cz_tensor t, int a, int b, int c,
                         int d);

/* The tensor itself: data, type, leading dimension, and its rank (0: any). */
cz_status cz_fit_self(const cz_fit *fit, int rank);

/* `parts` > 0 equal parts of the last axis, as heads want. */
cz_status cz_fit_parts(const cz_fit *fit, int parts);

/* Dropout over `elements` of each of `cells`; NULL fits. */
cz_status cz_fit_dropout(const cz_fit *fit, const cz_dropout *drop, int cells, double elements);

#endif
