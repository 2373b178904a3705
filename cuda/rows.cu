/* Operations on rows that add: to others, reversed, position codes. A thread an element, neighbours
 * on neighbouring columns. */
#include "moves.h"

enum { THREADS = 256 };

static unsigned grid_for(cz_tensor t)
{
    return blocks_for((size_t)cz_rows(t) * (size_t)cz_cols(t), THREADS);
}

/* y += x, times -lambda where there is a step. */
template <typename Y, typename X>
__global__ void add_rows(rows_of<Y> y, rows_of<const X> x, const cz_step *step)
{
    real factor = step ? (real)-step->lambda : 1;
    each_element(y.rows, y.cols, [=](int n, int c) {
        put(y.at(n, c), factor * as_real(*x.at(n, c)) + as_real(*y.at(n, c)));
    });
}

/* x (B T, C) += code (T, C) */
template <typename Stored> __global__ void add_code(rows_of<Stored> x, rows_of<const float> code)
{
    each_element(x.rows, x.cols, [=](int n, int c) {
        put(x.at(n, c), as_real(*x.at(n, c)) + *code.at(n % code.rows, c));
    });
}

/* An element of code a thread, cells in their order. */
template <typename Stored> __global__ void sum_code(rows_of<float> dcode, rows_of<const Stored> dx)
{
    each_element(dcode.rows, dcode.cols, [=](int t, int c) {
        real sum = 0;
        for (int n = t; n < dx.rows; n += dcode.rows) sum += as_real(*dx.at(n, c));
        *dcode.at(t, c) += sum;
    });
}

/* go(y, x) of what either is, wide or stored. */
template <typename Go> static cz_status by_types(cz_tensor y, cz_tensor x, Go go)
{
    if (is_wide(y))
        return is_wide(x) ? go(view<float>(y), view<const float>(x))
                          : go(view<float>(y), view<const bf16>(x));
    return is_wide(x) ? go(view<bf16>(y), view<const float>(x))
                      : go(view<bf16>(y), view<const bf16>(x));
}

/* y += x, times -lambda of the step, where there is one. */
static cz_status add_scaled(cz_exec *exec, const char *name, cz_tensor y, cz_tensor x,
                            const cz_step *step)
{
    CZ_TRY(settle(exec, {y}, {x}));
    return by_types(y, x, [=]<typename Y, typename X>(rows_of<Y> to, rows_of<const X> from) {
        return launch(exec, name, add_rows<Y, X>, dim3(grid_for(y)), THREADS, 0, to, from, step);
    });
}
static cz_status add(cz_exec *exec, cz_tensor y, cz_tensor x)
{
    return add_scaled(exec, "add", y, x, nullptr);
}
static cz_status add_reversed(cz_exec *exec, cz_tensor dx, cz_tensor dy)
{
    return add_scaled(exec, "add_reversed", dx, dy, exec->step);
}

template <typename Stored>
static cz_status add_positions(cz_exec *exec, cz_tensor x, cz_tensor code)
{
    CZ_TRY(settle(exec, {x}, {code}));
    return launch(exec, "add_positions", add_code<Stored>, dim3(grid_for(x)), THREADS, 0,
                  view<Stored>(x), view<const float>(code));
}

template <typename Stored>
static cz_status add_positions_backward(cz_exec *exec, cz_tensor dcode, cz_tensor dx)
{
    CZ_TRY(settle(exec, {dcode}, {dx}));
    return launch(exec, "add_positions_backward", sum_code<Stored>, dim3(grid_for(dcode)), THREADS,
                  0, view<float>(dcode), view<const Stored>(dx));
}

template <typename Stored> static void fill(cz_backend *t)
{
    t->zero = zero_rows;
    t->copy = copy_rows;
    t->add = add;
    t->add_reversed = add_reversed;
    t->gather_rows = gather_rows;
    t->add_positions = add_positions<Stored>;
    t->add_positions_backward = add_positions_backward<Stored>;
}

void fill_rows(cuda_tables t)
{
    fill<float>(t.f32);
    fill<bf16>(t.bf16);
}
