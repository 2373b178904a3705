/* A learned code for each token's place. */
#include "vector.h"

static void add_row(real *to, const real *from, int C)
{
    for (int c = 0; c < C; c += LANES) add_next(to + c, load_next(from + c, C - c), C - c);
}

cz_status K(add_positions)(cz_exec *exec, cz_tensor x, cz_tensor code)
{
    (void)exec;
    for (int n = 0; n < cz_rows(x); n++)
        add_row(tensor_row(x, n), tensor_row(code, n % x.dim[1]), x.dim[2]);
    return CZ_OK;
}

cz_status K(add_positions_backward)(cz_exec *exec, cz_tensor dcode, cz_tensor dx)
{
    (void)exec;
    for (int n = 0; n < cz_rows(dx); n++)
        add_row(tensor_row(dcode, n % dx.dim[1]), tensor_row(dx, n), dx.dim[2]);
    return CZ_OK;
}
