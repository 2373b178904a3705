/* Products of matrices that lie in the first level cache as they are. */
#include "small.h"
#include "transpose.h"
#include "vector.h"

enum { TILE_ROWS = 4, TILE_VECTORS = 2 };

/* rows x (vectors LANES) elements of c, the last vector `left` wide. */
INLINE void tile(const int rows, const int vectors, const bool whole, real *c, ptrdiff_t ldc,
                 view a, const real *b, ptrdiff_t ldb, int K, int left, bool add)
{
    vec sum[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++) sum[r][v] =
        (vec){0};
    for (int k = 0; k < K; k++) {
        vec bk[TILE_VECTORS];
        UNROLL for (int v = 0; v < vectors; v++) bk[v] =
            whole || v + 1 < vectors ? load(b + v * LANES) : load_part(b + v * LANES, left);
        UNROLL for (int r = 0; r < rows; r++)
        {
            vec x = broadcast(a.data[r * a.row]);
            UNROLL for (int v = 0; v < vectors; v++) sum[r][v] += x * bk[v];
        }
        a.data += a.col;
        b += ldb;
    }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++)
    {
        real *at = c + r * ldc + v * LANES;
        int n = whole || v + 1 < vectors ? LANES : left;
        store_next(at, add ? load_next(at, n) + sum[r][v] : sum[r][v], n);
    }
}

/* `left` columns, at most TILE_VECTORS vectors, of up to TILE_ROWS rows. */
INLINE void tile_rows(const int rows, real *c, ptrdiff_t ldc, view a, const real *b, ptrdiff_t ldb,
                      int K, int left, bool add)
{
    if (left == 2 * LANES) tile(rows, 2, true, c, ldc, a, b, ldb, K, LANES, add);
    else if (left > LANES) tile(rows, 2, false, c, ldc, a, b, ldb, K, left - LANES, add);
    else if (left == LANES) tile(rows, 1, true, c, ldc, a, b, ldb, K, LANES, add);
    else tile(rows, 1, false, c, ldc, a, b, ldb, K, left, add);
}

void K(small_product)(real *c, ptrdiff_t ldc, view a, const real *b, ptrdiff_t ldb, int M, int N,
                      int K, bool add)
{
    for (int n = 0; n < N; n += TILE_VECTORS * LANES) {
        int left = N - n < TILE_VECTORS * LANES ? N - n : TILE_VECTORS * LANES;
        for (int m = 0; m < M; m += TILE_ROWS) {
            real *to = c + m * ldc + n;
            view from = {a.data + m * a.row, a.row, a.col};
            switch (M - m) {
            case 1:
                tile_rows(1, to, ldc, from, b + n, ldb, K, left, add);
                break;
            case 2:
                tile_rows(2, to, ldc, from, b + n, ldb, K, left, add);
                break;
            case 3:
                tile_rows(3, to, ldc, from, b + n, ldb, K, left, add);
                break;
            default:
                tile_rows(4, to, ldc, from, b + n, ldb, K, left, add);
            }
        }
    }
}

void K(transpose_small)(real *to, ptrdiff_t ldt, const real *from, ptrdiff_t ldf, int rows,
                        int cols)
{
    for (int r = 0; r < rows; r += LANES)
        for (int c = 0; c < cols; c += LANES)
            transpose(to + c * ldt + r, ldt, cols - c, from + r * ldf + c, ldf, rows - r);
}
