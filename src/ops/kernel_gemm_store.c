/* What a product ends with where no operation follows it. */
#include "kernel.h"

void K(store_block)(const void *context, const real *c, ptrdiff_t ldc, int row, int rows, int col,
                    int cols)
{
    const target *to = context;
    for (int r = 0; r < rows; r++, c += ldc) {
        ptrdiff_t at = (row + r) * to->ld + col;
        for (int i = 0; i < cols; i += LANES) {
            vec v = load_next(c + i, cols - i);
            if (to->wide) {
                real *y = (real *)to->data + at + i;
                store_next(y, to->add ? load_next(y, cols - i) + v : v, cols - i);
            } else {
                stored *y = (stored *)to->data + at + i;
                store_next(y, to->add ? load_next(y, cols - i) + v : v, cols - i);
            }
        }
    }
}
