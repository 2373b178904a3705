/* Copies of the weights as products want them. */
#include "layout.h"

/* The elements of the flat array that a matrix has, and the rows of them that are packed at once.
 */
typedef struct extent {
    size_t begin, end, unit;
    int cols;
} extent;

static extent extent_of(const cz_model *m, const linear_ids *matrix)
{
    const cz_param_entry *entry = &m->params.entry[matrix->w];
    size_t cols = (size_t)entry->dim[1];
    size_t begin = entry->offset + (size_t)matrix->row * cols;
    return (extent){begin, begin + (size_t)matrix->rows * cols, CZ_PACK_ROWS * cols, entry->dim[1]};
}

static size_t matrix_bytes(const cz_model *m, const cz_backend *backend, int i)
{
    const linear_ids *matrix = &m->matrix[i];
    size_t bytes = cz_packed_bytes(backend, matrix->rows, extent_of(m, matrix).cols);
    return (bytes + 63) & ~(size_t)63;
}

size_t packed_places(const cz_model *m, const cz_backend *backend, size_t *at)
{
    size_t bytes = 0;
    for (int i = 0; i < m->matrices; i++) {
        if (at) at[i] = bytes;
        bytes += matrix_bytes(m, backend, i);
    }
    return bytes;
}

size_t cz_model_packed_bytes(const cz_model *m, const cz_backend *backend)
{
    return packed_places(m, backend, NULL);
}

size_t cz_model_border(const cz_model *m, size_t at)
{
    for (int i = 0; i < m->matrices; i++) {
        extent e = extent_of(m, &m->matrix[i]);
        if (at > e.begin && at < e.end) return at - (at - e.begin) % e.unit;
    }
    return at;
}

/* The units of one matrix that end in [begin, end). */
static void pack_units(const cz_model *m, const cz_backend *backend, const linear_ids *matrix,
                       void *packed, const void *flat, size_t begin, size_t end)
{
    extent e = extent_of(m, matrix);
    size_t first = begin > e.begin ? (begin - e.begin) / e.unit : 0;
    cz_dtype wide = cz_dtype_wide(cz_backend_dtype(backend));
    cz_tensor w =
        cz_matrix((char *)flat + e.begin * cz_dtype_size(wide), wide, matrix->rows, e.cols);
    for (size_t at = e.begin + first * e.unit; at < e.end; at += e.unit) {
        size_t last = at + e.unit < e.end ? at + e.unit : e.end;
        if (last > end) return;
        if (last <= begin) continue;
        int row = (int)((at - e.begin) / (size_t)e.cols);
        cz_pack(backend, packed, w, row, (int)((last - at) / (size_t)e.cols));
    }
}

void cz_model_pack(const cz_model *m, const cz_backend *backend, void *packed, const void *flat,
                   size_t begin, size_t end)
{
    char *at = packed;
    for (int i = 0; i < m->matrices; i++) {
        pack_units(m, backend, &m->matrix[i], at, flat, begin, end);
        at += matrix_bytes(m, backend, i);
    }
}
