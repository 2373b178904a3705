/* Rows that are set, copied or gathered, several of them by one kernel. */
#include "moves.h"

#include "device.h"

static const int THREADS = 256;

/* Each has some of the blocks of the launch. */
struct move_work {
    noted_move move[MOST_MOVES];
};

static __device__ __forceinline__ real read_element(const noted_move &m, ptrdiff_t row, int c)
{
    if (m.wide_x) return ((const float *)m.x)[row * m.ldx + c];
    return as_real(((const bf16 *)m.x)[row * m.ldx + c]);
}

static __global__ void move_rows(move_work work)
{
    int block = (int)blockIdx.x, j = 0;
    while (block >= work.move[j].blocks) block -= work.move[j++].blocks;
    const noted_move &m = work.move[j];
    each_element(m.rows, m.cols, (unsigned)block, (unsigned)m.blocks, [&](int n, int c) {
        ptrdiff_t at = (ptrdiff_t)n * m.ldy + c;
        if (m.by_sixteens) {
            ((uint4 *)m.y)[at] = uint4{0, 0, 0, 0};
            return;
        }
        real x = m.x ? read_element(m, m.index ? m.index[n] : n, c) : 0;
        if (m.wide_y) ((float *)m.y)[at] = x;
        else put((bf16 *)m.y + at, x);
    });
}

cz_status take_moves(const cz_gpu *gpu)
{
    device *d = device_of(gpu);
    cz_exec exec = exec_on(&d->shown);
    move_work work;
    int count = d->moves.count, blocks = 0;
    if (!count) return CZ_OK;
    for (int i = 0; i < count; i++) blocks += (work.move[i] = d->moves.move[i]).blocks;
    d->moves.count = 0;
    return launch(&exec, "move_rows", move_rows, dim3((unsigned)blocks), THREADS, 0, work);
}

/* Whether what is noted must be done before. */
static bool comes_after(const move_queue *q, const span &y, const span &x)
{
    for (int i = 0; i < q->count; i++)
        if (overlap(y, q->y[i]) || overlap(y, q->x[i]) || overlap(x, q->y[i])) return true;
    return false;
}

/* index NULL: row by row; x absent: zero. */
static cz_status note(cz_exec *exec, cz_tensor y, cz_tensor x, const int32_t *index)
{
    move_queue *q = &device_of(exec->gpu)->moves;
    noted_move m = {y.data, x.data, index,      cz_rows(y), cz_cols(y), y.ld,
                    x.ld,   0,      is_wide(y), is_wide(x), false};
    size_t elements = (size_t)m.rows * (size_t)m.cols;
    if (!elements) return CZ_OK;
    CZ_TRY(settle(exec, {y}, {x}));
    if (q->count == MOST_MOVES || comes_after(q, span(y), span(x))) CZ_TRY(take_moves(exec->gpu));
    int each = 16 / (int)cz_dtype_size(y.dtype);
    if (!x.data && (uintptr_t)y.data % 16 == 0 && m.ldy % each == 0 && m.cols % each == 0) {
        m.by_sixteens = true;
        m.ldy /= each;
        m.cols /= each;
        elements /= (size_t)each;
    }
    m.blocks = (int)blocks_for(elements, THREADS);
    q->y[q->count] = span(y);
    q->x[q->count] = span(x);
    q->move[q->count++] = m;
    return CZ_OK;
}

cz_status zero_rows(cz_exec *exec, cz_tensor x) { return note(exec, x, {}, nullptr); }
cz_status copy_rows(cz_exec *exec, cz_tensor y, cz_tensor x) { return note(exec, y, x, nullptr); }
cz_status gather_rows(cz_exec *exec, cz_tensor y, cz_tensor x, const int32_t *index)
{
    return note(exec, y, x, index);
}
