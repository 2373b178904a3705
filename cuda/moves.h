/* Rows that become zero, or others: as long as only such operations are asked for, and none needs
 * what another one wrote, they are noted, and then done by one kernel; launch() and whatever else
 * asks the GPU for work sees to it. */
#ifndef CZ_CUDA_MOVES_H
#define CZ_CUDA_MOVES_H

#include "kernel.h"

/* The operations, of tensors wide or stored. */
cz_status zero_rows(cz_exec *exec, cz_tensor x);
cz_status copy_rows(cz_exec *exec, cz_tensor y, cz_tensor x);
cz_status gather_rows(cz_exec *exec, cz_tensor y, cz_tensor x, const int32_t *index);

#endif
