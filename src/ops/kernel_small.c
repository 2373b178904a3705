/* Products of matrices that lie in the first level cache as they are. */
#include "small.h"
#include "transpose.h"
#include "vector.h"

enum { TILE_ROWS = 4, TILE_VECTORS = 2 };

INLINE real element(const void *data, ptrdiff_t at, const bool wide)
{
    return wide ? ((const real *)data)[at] : as_real(((const stored *)data)[at]);
}

typedef struct operands {
    target c;
    view a, b;
    int K;
} operands;

/* rows x (vectors LANES) elements of c from (m, n), the last vector `left` wide. */
INLINE void tile(const operands *o, const int rows, const int vectors, const bool whole,
                 const bool c_wide, const bool a_wide, const bool b_wide, int m, int n, int left)
{
    vec sum[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++) sum[r][v] =
        (vec){0};
    for (int k = 0; k < o->K; k++) {
        vec bk[TILE_VECTORS];
        UNROLL for (int v = 0; v < vectors; v++) bk[v] =
            load_any(o->b.data, k * o->b.row + n + v * LANES,
                     whole || v + 1 < vectors ? LANES : left, b_wide);
        UNROLL for (int r = 0; r < rows; r++)
        {
            vec x = broadcast(element(o->a.data, (m + r) * o->a.row + k * o->a.col, a_wide));
            UNROLL for (int v = 0; v < vectors; v++) sum[r][v] += x * bk[v];
        }
    }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++)
    {
        ptrdiff_t at = (m + r) * o->c.ld + n + v * LANES;
        int count = whole || v + 1 < vectors ? LANES : left;
        vec before = o->c.add ? load_any(o->c.data, at, count, c_wide) : (vec){0};
        store_any(o->c.data, at, before + sum[r][v], count, c_wide);
    }
}

/* `left` columns, at most TILE_VECTORS vectors, of up to TILE_ROWS rows. */
INLINE void tile_rows(const operands *o, const int rows, const bool c_wide, const bool a_wide,
                      const bool b_wide, int m, int n, int left)
{
    if (left == 2 * LANES) tile(o, rows, 2, true, c_wide, a_wide, b_wide, m, n, LANES);
    else if (left > LANES) tile(o, rows, 2, false, c_wide, a_wide, b_wide, m, n, left - LANES);
    else if (left == LANES) tile(o, rows, 1, true, c_wide, a_wide, b_wide, m, n, LANES);
    else tile(o, rows, 1, false, c_wide, a_wide, b_wide, m, n, left);
}

INLINE void multiply(const operands *o, int M, int N, const bool c_wide, const bool a_wide,
                     const bool b_wide)
{
    for (int n = 0; n < N; n += TILE_VECTORS * LANES) {
        int left = N - n < TILE_VECTORS * LANES ? N - n : TILE_VECTORS * LANES;
        for (int m = 0; m < M; m += TILE_ROWS) switch (M - m) {
            case 1:
                tile_rows(o, 1, c_wide, a_wide, b_wide, m, n, left);
                break;
            case 2:
                tile_rows(o, 2, c_wide, a_wide, b_wide, m, n, left);
                break;
            case 3:
                tile_rows(o, 3, c_wide, a_wide, b_wide, m, n, left);
                break;
            default:
                tile_rows(o, 4, c_wide, a_wide, b_wide, m, n, left);
            }
    }
}

void K(small_product)(target c, view a, view b, int M, int N, int K)
{
    operands o = {c, a, b, K};
#if CZ_STORED_BITS == 16
    if (a.wide && c.wide) multiply(&o, M, N, true, true, false);
    else if (a.wide) multiply(&o, M, N, false, true, false);
    else if (c.wide) multiply(&o, M, N, true, false, true);
    else multiply(&o, M, N, false, false, false);
#else
    multiply(&o, M, N, true, true, true);
#endif
}

void K(transpose_small)(real *to, ptrdiff_t ldt, const stored *from, ptrdiff_t ldf, int rows,
                        int cols)
{
    for (int r = 0; r < rows; r += LANES)
        for (int c = 0; c < cols; c += LANES)
            transpose(to + c * ldt + r, ldt, cols - c, from + r * ldf + c, ldf, rows - r);
}
