/* The resampler's pooling: blocks of cells, and the attention of latents to tokens. All of it in a
 * step, of a Zen 4's peak: 55 % forward and 66 % backward in fp32, 39 and 57 % in bf16, whose peak
 * is twice as high (validation/bench_model.c). */
#include "pooling.h"
#include "scratch.h"
#include "transpose.h"

static cz_status open_pool(pool *p, int B)
{
    int block = cz_pool_cells(p->T, p->L, p->D, p->H);
    p->ldl = round_up(p->L);
    size_t n = (size_t)(block < B ? block : B), weights = n * cell_weights(p);
    size_t z = p->form == CZ_POOL_FACTORED ? cell_rows(p) : n * cell_rows(p);
    bool good = (p->scores = take(p->exec, weights)) &&
                (p->u = take_stored(p->exec, n * cell_u(p))) &&
                (p->weights = take_stored(p->exec, weights)) && (p->z = take(p->exec, z));
    for (int i = 0; i < 3; i++) good = good && (p->row[i] = take(p->exec, (size_t)p->D));
    p->soft = p->weights;
    if (p->dw) good = good && (p->dz = take_stored(p->exec, z));
    if (p->dw && p->drop_attention) good = good && (p->soft = take_stored(p->exec, weights));
    return good ? CZ_OK : CZ_ERR_MEMORY;
}

/* The next block of at most `block` cells; false after the last. */
static bool next_block(pool *p, int B)
{
    int block = cz_pool_cells(p->T, p->L, p->D, p->H);
    p->first += p->cells;
    p->cells = B - p->first < block ? B - p->first : block;
    return p->cells > 0;
}

/* scores[i, t, h, l] = q_h[l] k_h[i, t], for all cells of the block at once. */
static cz_status scores(pool *p)
{
    int M = p->cells * p->T, ld = p->H * p->ldl;
    for (int h = 0; h < p->H; h++)
        CZ_TRY(K(gemm)(p->exec, set_real(p->scores + h * p->ldl, ld),
                       rows_of(head_of(p, p->k, 0, h), p->k.ld),
                       transpose_of(head_columns(p, p->w->q, h)), M, p->L, p->size, NULL, NULL));
    return CZ_OK;
}

/* Softmax over t of T rows `step` apart, LANES latents at a time; x is destroyed. Lanes beyond L
 * hold whatever was there; nothing reads them. */
static void softmax_columns(stored *soft, real *x, ptrdiff_t step, int T, int L, real scale)
{
    for (int l = 0; l < L; l += LANES) {
        vec top = broadcast(-INFINITY), sum = {0};
        for (int t = 0; t < T; t++) top = vec_max(load(x + t * step + l), top);
        for (int t = 0; t < T; t++) {
            vec e = vec_exp((load(x + t * step + l) - top) * broadcast(scale));
            store(x + t * step + l, e);
            sum += e;
        }
        vec factor = broadcast(1) / sum;
        for (int t = 0; t < T; t++) store(soft + t * step + l, load(x + t * step + l) * factor);
    }
}

/* A tile of the attention of head h of a cell: latents from l, tokens from t. */
typedef struct tile {
    stored *columns, *soft; /* element (t, l); soft only in backward */
    ptrdiff_t step;
    stored *rows; /* element (l, t) of probs */
    ptrdiff_t ld;
    const uint8_t *bits; /* of the cell, NULL without dropout */
    size_t at;           /* element (l, t) in it */
    int latents, tokens, T;
    real scale;
} tile;

static tile tile_at(const pool *p, int i, int h, int l, int t)
{
    int cell = p->first + i;
    size_t place = (size_t)i * cell_weights(p) + (size_t)((t * p->H + h) * p->ldl + l);
    return (tile){.columns = p->weights + place,
                  .soft = p->soft + place,
                  .step = (ptrdiff_t)p->H * p->ldl,
                  .rows = tensor_row(p->probs, (cell * p->H + h) * p->L + l) + t,
                  .ld = p->probs.ld,
                  .bits = cell_mask(p->drop_attention, cell, p->H * p->L * p->T),
                  .at = (size_t)(h * p->L + l) * (size_t)p->T + (size_t)t,
                  .latents = p->L - l < LANES ? p->L - l : LANES,
                  .tokens = p->T - t < LANES ? p->T - t : LANES,
                  .T = p->T,
                  .scale = drop_scale(p->drop_attention)};
}

INLINE void drop_latents(const tile *a, vec v[LANES])
{
    for (int l = 0; l < a->latents; l++)
        v[l] = dropped(v[l], a->bits, a->at + (size_t)l * (size_t)a->T, a->scale, a->tokens);
}
INLINE void store_columns(const tile *a, stored *to, const vec v[LANES])
{
    for (int t = 0; t < a->tokens; t++) store(to + t * a->step, v[t]);
}

/* probs from columns, which then go through the dropout. */
static void keep_tile(const tile *a)
{
    vec by_token[LANES] = {{0}}, by_latent[LANES] = {{0}};
    for (int t = 0; t < a->tokens; t++) by_token[t] = load(a->columns + t * a->step);
    transpose_tile(by_latent, by_token);
    for (int l = 0; l < a->latents; l++) store_next(a->rows + l * a->ld, by_latent[l], a->tokens);
    if (!a->bits) return;
    drop_latents(a, by_latent);
    transpose_tile(by_token, by_latent);
    store_columns(a, a->columns, by_token);
}

/* Columns, before and after the dropout, from probs. */
static void restore_tile(const tile *a)
{
    vec by_token[LANES] = {{0}}, by_latent[LANES] = {{0}};
    for (int l = 0; l < a->latents; l++) by_latent[l] = load_next(a->rows + l * a->ld, a->tokens);
    transpose_tile(by_token, by_latent);
    store_columns(a, a->soft, by_token);
    if (!a->bits) return;
    drop_latents(a, by_latent);
    transpose_tile(by_token, by_latent);
    store_columns(a, a->columns, by_token);
}

static void for_each_tile(const pool *p, void (*act)(const tile *))
{
    for (int i = 0; i < p->cells; i++)
        for (int h = 0; h < p->H; h++)
            for (int l = 0; l < p->L; l += LANES)
                for (int t = 0; t < p->T; t += LANES) {
                    tile a = tile_at(p, i, h, l, t);
                    act(&a);
                }
}

static void attend(pool *p)
{
    real scale = (real)(1 / sqrt((double)p->size));
    for (int i = 0; i < p->cells; i++)
        for (int h = 0; h < p->H; h++) {
            size_t at = (size_t)i * cell_weights(p) + (size_t)(h * p->ldl);
            softmax_columns(p->weights + at, p->scores + at, (ptrdiff_t)p->H * p->ldl, p->T, p->L,
                            scale);
        }
    for_each_tile(p, keep_tile);
}

cz_status K(resampler_pool_forward)(cz_exec *exec, cz_tensor y, cz_tensor probs, cz_tensor mean,
                                    cz_tensor rstd, cz_tensor u, cz_tensor k, cz_tensor v,
                                    const cz_pool_weights *weights, int H, cz_pool_form form,
                                    const cz_dropout *drop_attention, const cz_dropout *drop_out)
{
    (void)u;
    size_t kept = exec->scratch->used;
    int B = k.dim[0], T = k.dim[1], D = k.dim[2], L = cz_rows(weights->q);
    pool p = {.exec = exec,
              .w = weights,
              .y = y,
              .k = k,
              .v = v,
              .probs = probs,
              .mean = mean,
              .rstd = rstd,
              .drop_attention = drop_attention,
              .drop_out = drop_out,
              .form = form,
              .T = T,
              .L = L,
              .D = D,
              .H = H,
              .size = D / H};
    draw_masks(exec, drop_attention, B, H * L * T);
    draw_masks(exec, drop_out, B, L * D);
    cz_status status = open_pool(&p, B);
    while (!status && next_block(&p, B)) {
        status = scores(&p);
        if (!status) attend(&p);
        if (!status) status = K(pool_open)(&p);
        for (int i = 0; i < p.cells && !status; i++) {
            real *z;
            status = K(pool_rows)(&p, i, &z);
            if (!status) K(pool_norm_forward)(&p, i, z);
        }
    }
    exec->scratch->used = kept;
    return status;
}

/* dscores = scale (a da - p sum over t of a da), where a = drop(p), in the place of a. */
static void softmax_columns_backward(stored *a, real *da, const stored *soft, ptrdiff_t step, int T,
                                     int L, real scale)
{
    for (int l = 0; l < L; l += LANES) {
        vec sum = {0};
        for (int t = 0; t < T; t++) {
            vec own = load(a + t * step + l) * load(da + t * step + l);
            store(da + t * step + l, own);
            sum += own;
        }
        for (int t = 0; t < T; t++) {
            vec d = load(da + t * step + l) - load(soft + t * step + l) * sum;
            store(a + t * step + l, d * broadcast(scale));
        }
    }
}

/* Gradients of queries (added to) and keys (set) from those of the weights. */
static cz_status scores_backward(pool *p)
{
    int N = p->cells * p->T, ld = p->H * p->ldl;
    real scale = (real)(1 / sqrt((double)p->size));
    for (int i = 0; i < p->cells; i++)
        for (int h = 0; h < p->H; h++) {
            size_t at = (size_t)i * cell_weights(p) + (size_t)(h * p->ldl);
            softmax_columns_backward(p->weights + at, p->scores + at, p->soft + at, ld, p->T, p->L,
                                     scale);
        }
    for (int h = 0; h < p->H; h++) {
        const stored *ds = p->weights + h * p->ldl;
        CZ_TRY(K(gemm)(p->exec, set_stored(head_of(p, p->dk, 0, h), p->dk.ld), rows_of(ds, ld),
                       view_of(head_columns(p, p->w->q, h)), N, p->size, p->L, NULL, NULL));
        CZ_TRY(K(gemm)(p->exec, add_tensor(head_columns(p, p->dw->q, h)), transposed(ds, ld),
                       rows_of(head_of(p, p->k, 0, h), p->k.ld), p->L, p->size, N, NULL, NULL));
    }
    return CZ_OK;
}

cz_status K(resampler_pool_backward)(cz_exec *exec, cz_tensor dk, cz_tensor dv,
                                     const cz_pool_weights *gradients, cz_tensor dy,
                                     cz_tensor probs, cz_tensor mean, cz_tensor rstd, cz_tensor u,
                                     cz_tensor k, cz_tensor v, const cz_pool_weights *weights,
                                     int H, cz_pool_form form, const cz_dropout *drop_attention,
                                     const cz_dropout *drop_out)
{
    (void)u;
    size_t kept = exec->scratch->used;
    int B = k.dim[0], T = k.dim[1], D = k.dim[2], L = cz_rows(weights->q);
    pool p = {.exec = exec,
              .w = weights,
              .dw = gradients,
              .y = dy,
              .k = k,
              .v = v,
              .dk = dk,
              .dv = dv,
              .probs = probs,
              .mean = mean,
              .rstd = rstd,
              .drop_attention = drop_attention,
              .drop_out = drop_out,
              .form = form,
              .T = T,
              .L = L,
              .D = D,
              .H = H,
              .size = D / H};
    cz_status status = open_pool(&p, B);
    while (!status && next_block(&p, B)) {
        for_each_tile(&p, restore_tile);
        status = K(pool_open)(&p);
        for (int i = 0; i < p.cells && !status; i++) {
            real *z;
            status = K(pool_rows)(&p, i, &z);
            if (status) break;
            K(pool_norm_backward)(&p, i, z);
            status = K(pool_back)(&p, i);
        }
        if (!status) status = K(pool_close)(&p);
        if (!status) status = scores_backward(&p);
    }
    exec->scratch->used = kept;
    return status;
}
