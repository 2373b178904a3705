/* A learned code for each token's place. */
#include "vector.h"

cz_status K(add_positions)(cz_exec *exec, cz_tensor x, cz_tensor code)
{
    (void)exec;
    int C = x.dim[2];
    for (int n = 0; n < cz_rows(x); n++) {
        stored *to = tensor_row(x, n);
        const real *from = wide_row(code, n % x.dim[1]);
        for (int c = 0; c < C; c += LANES) add_next(to + c, load_next(from + c, C - c), C - c);
    }
    return CZ_OK;
}

cz_status K(add_positions_backward)(cz_exec *exec, cz_tensor dcode, cz_tensor dx)
{
    (void)exec;
    int C = dx.dim[2];
    for (int n = 0; n < cz_rows(dx); n++) {
        real *to = wide_row(dcode, n % dx.dim[1]);
        const stored *from = tensor_row(dx, n);
        for (int c = 0; c < C; c += LANES) add_next(to + c, load_next(from + c, C - c), C - c);
    }
    return CZ_OK;
}
