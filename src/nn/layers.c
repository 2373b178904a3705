#include "czhpc/layers.h"

cz_tensor cz_tokens(cz_tensor t, int T)
{
    return (cz_tensor){t.data, t.dtype, 3, {cz_rows(t) / T, T, cz_cols(t), 1}, t.ld, NULL};
}

cz_linear_layer cz_linear_part(cz_linear_layer l, int begin, int count)
{
    l.w = cz_row_range(l.w, begin, count);
    l.b = cz_columns(l.b, begin, count);
    if (l.dw.data) {
        l.dw = cz_row_range(l.dw, begin, count);
        l.db = cz_columns(l.db, begin, count);
    }
    return l;
}

static cz_status backward(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor x, cz_linear_layer l,
                          cz_tensor gate, double p, bool add)
{
    CZ_TRY(cz_linear_backward_weight(exec, l.dw, l.db, dy, x, l.add));
    return dx.data ? cz_linear_backward_input(exec, dx, dy, l.w, gate, p, add) : CZ_OK;
}

cz_status cz_linear_layer_backward(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor x,
                                   cz_linear_layer l, bool gated, double p)
{
    return backward(exec, dx, dy, x, l, gated ? x : (cz_tensor){0}, p, false);
}

cz_status cz_linear_layer_backward_add(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor x,
                                       cz_linear_layer l)
{
    return backward(exec, dx, dy, x, l, (cz_tensor){0}, 0, true);
}
