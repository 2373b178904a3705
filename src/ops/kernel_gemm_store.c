/* What a product ends with where no operation follows it. */
#include "kernel.h"

/* `whole`: no vector is cut off at the end of a row. The target comes by value: what is stored
 * might alias what a pointer shows. */
INLINE void store_rows(const target to, const real *c, ptrdiff_t ldc, int row, int rows, int col,
                       int cols, const bool whole, const bool wide, const bool add)
{
    for (int r = 0; r < rows; r++, c += ldc) {
        ptrdiff_t at = (row + r) * to.ld + col;
        for (int i = 0; i < cols; i += LANES) {
            int left = whole ? LANES : cols - i;
            vec v = load_next(c + i, left);
            if (add) v += load_any(to.data, at + i, left, wide);
            store_any(to.data, at + i, v, left, wide);
        }
    }
}

INLINE void store_as(const target *to, const real *c, ptrdiff_t ldc, int row, int rows, int col,
                     int cols, const bool wide, const bool add)
{
    if (cols % LANES) store_rows(*to, c, ldc, row, rows, col, cols, false, wide, add);
    else store_rows(*to, c, ldc, row, rows, col, cols, true, wide, add);
}

void K(store_block)(const void *context, const real *c, ptrdiff_t ldc, int row, int rows, int col,
                    int cols)
{
    const target *to = context;
    if (to->wide && to->add) store_as(to, c, ldc, row, rows, col, cols, true, true);
    else if (to->wide) store_as(to, c, ldc, row, rows, col, cols, true, false);
    else if (to->add) store_as(to, c, ldc, row, rows, col, cols, false, true);
    else store_as(to, c, ldc, row, rows, col, cols, false, false);
}
