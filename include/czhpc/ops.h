/* The operations a model is made of, and the backends that carry them out.
 *
 * A model calls the cz_<op>() functions. Each checks the shapes and types of its arguments,
 * always, and hands them to the table of the exec's backend. Letters: B cells, T tokens,
 * S label slots, L latents, H heads, C channels, N rows, K inner size, p dropout.
 *
 * Gradients of what several cells share (weights, latents, label keys and values) are added
 * (+=); gradients of per-cell activations are set (=). Any N, B or S may be 0.
 * Types: activations and their gradients are of the backend's type, which is all that "stored"
 * means below: bf16, fp32 or fp64. What is "wide" is of cz_dtype_wide() of it: weights, biases and
 * gains, statistics, logits, and the gradients of what several cells share. In bf16 an operation
 * computes in fp32 and rounds where it stores; a product may round its weights too, and at all
 * levels but the portable one what is smaller than 2^-126 counts as 0.
 * Every operation is local to one exec, starts no thread and takes scratch only from
 * exec->scratch, which it leaves as it found it. Errors: CZ_ERR_BUG on shapes or types that
 * disagree (both are named), CZ_ERR_MEMORY when the scratch is too small. */
#ifndef CZ_OPS_H
#define CZ_OPS_H

#include "czhpc/arena.h"
#include "czhpc/tensor.h"

#include <stdbool.h>
#include <stdint.h>

enum { CZ_MAX_HEADS = 12 };

/* What changes from step to step. Operations read it through a pointer, so that a recorded
 * step can be replayed. */
typedef struct cz_step {
    uint64_t seed;  /* key of every mask */
    uint32_t phase; /* phase or trial */
    uint32_t step;  /* optimiser steps done, over the whole phase */
    double lr;
    double bias1, bias2;        /* 1 - beta^t of Adam */
    double lambda;              /* gradient reversal */
    double scale[CZ_MAX_HEADS]; /* 1 / known cells of the global batch, or / their weights' sum */
    cz_tensor class_weight[CZ_MAX_HEADS]; /* (classes) fp64 of a head; absent: all 1 */
} cz_step;

typedef struct cz_backend cz_backend;
typedef struct cz_gpu cz_gpu;

/* Where operations run: one CPU worker with its scratch, or a GPU. */
typedef struct cz_exec {
    const cz_backend *backend;
    const cz_step *step;
    cz_arena *scratch;
    cz_gpu *gpu; /* NULL: a CPU; else all that operations read and write is its memory, the step
                  * and the scratch too, and they return before their work is done */
    bool aside;  /* a hint: what is asked for now is not wanted soon, so that a GPU may do it beside
                  * what is asked for next; as if in order all the same */
} cz_exec;

/* A dropout site of a batch. NULL where an operation takes one: no dropout.
 * Element e of a cell (row-major over the cell's part of the tensor) belongs to Philox
 * counter (cell, step, CZ_RNG_DROPOUT + site and e / 8, phase), halfword e % 8 (low half of
 * word 0 first); it is kept iff that halfword >= round(65536 p). Kept elements are scaled by
 * cz_dropout_scale(p), the inverse of the rate at which this really keeps. */
typedef struct cz_dropout {
    unsigned site;
    double p;
    const uint32_t *cell; /* (B) number of each cell, the same on any division of the batch */
    uint8_t *bits;        /* (B, cz_mask_bytes(elements)); bit e % 8 of byte e / 8: kept.
                           * Written by forward, read by backward; the caller's. */
} cz_dropout;

static inline unsigned cz_dropout_threshold(double p) { return (unsigned)(p * 65536 + 0.5); }
static inline double cz_dropout_scale(double p)
{
    return 65536.0 / (65536 - cz_dropout_threshold(p));
}
static inline size_t cz_mask_bytes(int elements) { return ((size_t)elements + 7) / 8; }

/* CZ_GELU is x Phi(x), with the normal distribution function, not its tanh form. Hendrycks &
 * Gimpel 2016. It has no way back yet: what uses it is not trained. */
typedef enum cz_activation { CZ_LINEAR, CZ_RELU, CZ_GELU } cz_activation;

/* y = drop(act(x w^T + bias)): y (N, C) out, stored or wide, x (N, K), w (C, K), bias (C) or
 * absent. `drop` is over B cells of N / B rows each (cells = B; ignored without drop). A NaN stays
 * one through a ReLU on a CPU; a GPU may make it 0. */
cz_status cz_linear_forward(cz_exec *exec, cz_tensor y, cz_tensor x, cz_tensor w, cz_tensor bias,
                            cz_activation act, const cz_dropout *drop, int cells);

/* dx = dy w, dx (N, K) set, dy (N, C), w (C, K). Where x was the output of a ReLU and its
 * dropout, pass it as `gate` (N, K) (else absent) with that dropout's p: dx becomes the
 * gradient before both, dx * (x > 0) * cz_dropout_scale(p). dx may not be dy or gate. With `add`,
 * which goes without a gate, dy w is added to dx, stored or wide, and may be rounded before. */
cz_status cz_linear_backward_input(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor w,
                                   cz_tensor gate, double p, bool add);

/* dw += dy^T x, dbias += column sums of dy; both are set instead without `add`, which spares the
 * first block of a batch reading what it would only add zeros to: dw (C, K), dbias (C) or absent.
 */
cz_status cz_linear_backward_weight(cz_exec *exec, cz_tensor dw, cz_tensor dbias, cz_tensor dy,
                                    cz_tensor x, bool add);

/* Multi-head attention without its projections. Vaswani et al. 2017, eq. 1.
 *   out   (B, Tq, F) set          q (B, Tq, F); head h owns columns h F/H .. (h+1) F/H
 *   probs (B, H, Tq, Tk) set      softmax before dropout, kept for backward
 *   k, v  (S, Tk, F)              cell b reads slot[b] of them; slot NULL: S = B, its own
 *   length (S)                    keys that count, the first 1 .. Tk of each slot's; the others,
 *                                 padding, have the probability 0. NULL: all of them
 * The scale 1/sqrt(F/H) is applied here. Dropout is over (H, Tq, Tk) of each cell. */
cz_status cz_attention_forward(cz_exec *exec, cz_tensor out, cz_tensor probs, cz_tensor q,
                               cz_tensor k, cz_tensor v, const int32_t *slot, const int32_t *length,
                               int H, const cz_dropout *drop);

/* dq set; dk, dv added to, and wide, with a slot array, set without one. Shapes as above; keys that
 * did not count have a probability, and so a gradient, of 0. */
cz_status cz_attention_backward(cz_exec *exec, cz_tensor dq, cz_tensor dk, cz_tensor dv,
                                cz_tensor dout, cz_tensor probs, cz_tensor q, cz_tensor k,
                                cz_tensor v, const int32_t *slot, int H, const cz_dropout *drop);

/* sum[i][j] += the probabilities (b, h, i, j) of all cells and heads, each a whole number of
 * 2^-CZ_TALLY_BITS, so that every order of adding gives the same: sum (Tq, Tk), probs
 * (B, H, Tq, Tk) as either attention leaves them. Exact for B H < 2^33. */
enum { CZ_TALLY_BITS = 30 };
cz_status cz_attention_tally(cz_exec *exec, int64_t *sum, cz_tensor probs);

/* y = LN(s) gain + bias with s = residual + drop(x). Ba, Kiros & Hinton 2016.
 *   y (N, C) set, may be residual; x (N, C) becomes s, kept for backward with
 *   mean, rstd (N) set; gain, bias (C); eps is added to the variance.
 * N = cells * rows of a cell, as in linear. */
cz_status cz_add_dropout_norm_forward(cz_exec *exec, cz_tensor y, cz_tensor mean, cz_tensor rstd,
                                      cz_tensor x, cz_tensor residual, cz_tensor gain,
                                      cz_tensor bias, double eps, const cz_dropout *drop,
                                      int cells);

/* dx (N, C) set: gradient of x; dresidual (N, C) set; dgain, dbias (C) added to;
 * dresidual may be dy. s, mean, rstd as forward left them. */
cz_status cz_add_dropout_norm_backward(cz_exec *exec, cz_tensor dx, cz_tensor dresidual,
                                       cz_tensor dgain, cz_tensor dbias, cz_tensor dy, cz_tensor s,
                                       cz_tensor mean, cz_tensor rstd, cz_tensor gain,
                                       const cz_dropout *drop, int cells);

/* The Perceiver resampler after its input projections: (B, T, D) tokens and L latent queries
 * to one vector a cell. Jaegle et al. 2021; Alayrac et al. 2022.
 *   y[b] = mean over l of LN(latents[l] + drop_out(b_o + W_o concat_h A_h v_h)),
 *   A_h = drop_attention(softmax(q_h k_h^T / sqrt(D/H))).
 * Two forms of the same function: plain, and factored, where
 *   concat_h(A_h v_h) W_o^T = sum_(h,t) A[l,(h,t)] U[(h,t)],  U[(h,t)] = W_o[:, h] v[h,t],
 * which pays iff T D + L H T < L T + L D.
 *   y (B, D) set; probs (B, H, L, T) set; mean, rstd (B, L) set: kept for backward
 *   u (B T H, cz_pool_row(D)) stored: U as forward leaves it for backward, which overwrites it;
 *     absent: backward makes it again. CPUs always do, sooner than they would read it. */
typedef struct cz_pool_weights {
    cz_tensor q;          /* (L, D) latents through the query projection; stored, not wide */
    cz_tensor latents;    /* (L, D) */
    cz_tensor w_out;      /* (D, D) */
    cz_tensor b_out;      /* (D) */
    cz_tensor gain, bias; /* (D) of the LayerNorm */
} cz_pool_weights;

typedef enum cz_pool_form { CZ_POOL_AUTO, CZ_POOL_PLAIN, CZ_POOL_FACTORED } cz_pool_form;

/* What CZ_POOL_AUTO chooses. */
cz_pool_form cz_pool_cheapest(int T, int L, int D, int H);

/* Elements from row to row of U. */
static inline int cz_pool_row(int D) { return (D + 7) & ~7; }

cz_status cz_resampler_pool_forward(cz_exec *exec, cz_tensor y, cz_tensor probs, cz_tensor mean,
                                    cz_tensor rstd, cz_tensor u, cz_tensor k, cz_tensor v,
                                    const cz_pool_weights *weights, int H, cz_pool_form form,
                                    const cz_dropout *drop_attention, /* (H, L, T) of a cell */
                                    const cz_dropout *drop_out);      /* (L, D) of a cell */

/* dk, dv (B, T, D) set; every member of `gradients` (shapes as the weights, all wide) added to. */
cz_status cz_resampler_pool_backward(cz_exec *exec, cz_tensor dk, cz_tensor dv,
                                     const cz_pool_weights *gradients, cz_tensor dy,
                                     cz_tensor probs, cz_tensor mean, cz_tensor rstd, cz_tensor u,
                                     cz_tensor k, cz_tensor v, const cz_pool_weights *weights,
                                     int H, cz_pool_form form, const cz_dropout *drop_attention,
                                     const cz_dropout *drop_out);

/* Softmax cross-entropy of one head. code (B): the class, -1 unknown (no loss, no gradient).
 *   dlogits (B, C) set: (softmax - one-hot) * step->scale[head], times the class's
 *           step->class_weight[head] where there is one; stored; absent: not wanted
 *   loss    (B) double, set: -log p of the true class, 0 where unknown
 *   best    (B) set: index of the largest logit (the first of equals)
 *   logits  (B, C), wide */
cz_status cz_cross_entropy(cz_exec *exec, cz_tensor dlogits, double *loss, int32_t *best,
                           cz_tensor logits, const int32_t *code, int head);

/* Heads on a latent: each three linear layers, D -> D -> D/2 -> classes, ReLU and dropout after the
 * first two, and cz_cross_entropy() with the head's place among them.
 *   z      (B, D);  h1 (B, D), h2 (B, D/2), logits (B, classes), wide: set, with loss and best
 *   dz     (B, D) set: the sum over heads, in their order, of the gradient that reaches z, an
 *          adversary's times -step->lambda, as cz_add_reversed() has it; absent: no gradients are
 *          wanted. With it dlogits is set, and dw and db are set or added to. */
typedef struct cz_head {
    cz_tensor w[3], b[3];   /* of a layer: (outputs, inputs), (outputs) */
    cz_tensor dw[3], db[3]; /* absent without dz */
    bool add;               /* gradients of weights are added to, else set */
    bool adversary;
    cz_tensor h1, h2, logits;
    cz_tensor dlogits;         /* (B, classes); absent without dz */
    const cz_dropout *drop[2]; /* over h1 and h2 of a cell */
    double *loss;              /* (B) these as cz_cross_entropy() has them */
    int32_t *best;
    const int32_t *code;
} cz_head;
cz_status cz_heads(cz_exec *exec, cz_tensor dz, cz_tensor z, const cz_head *head, int heads);

/* y[n] = x[index[n]], converted to y's type: y (N, C), x (M, C) fp32, index in 0 .. M-1. */
cz_status cz_gather_rows(cz_exec *exec, cz_tensor y, cz_tensor x, const int32_t *index);

/* x = 0; y = x. (N, C), in these and the next two each stored or wide. */
cz_status cz_zero(cz_exec *exec, cz_tensor x);
cz_status cz_copy(cz_exec *exec, cz_tensor y, cz_tensor x);

/* y += x, (N, C). */
cz_status cz_add(cz_exec *exec, cz_tensor y, cz_tensor x);

/* dx += -step->lambda dy, (N, C): a gradient reversal layer's way back. Ganin et al. 2016. */
cz_status cz_add_reversed(cz_exec *exec, cz_tensor dx, cz_tensor dy);

/* x[b, t] += code[t]: x (B, T, C), code (T, C); and back, dcode[t] += sum over b of dx[b, t]. */
cz_status cz_add_positions(cz_exec *exec, cz_tensor x, cz_tensor code);
cz_status cz_add_positions_backward(cz_exec *exec, cz_tensor dcode, cz_tensor dx);

/* Adam with coupled L2 decay, on vectors of n elements; lr and bias corrections from step.
 * Kingma & Ba 2015, alg. 1, beta 0.9 and 0.999, eps 1e-8; g + decay * w takes g's place. */
cz_status cz_adam(cz_exec *exec, cz_tensor w, cz_tensor m, cz_tensor v, cz_tensor g, double decay);

/* Instruction levels of the CPU backend, each wanting the ones before it. */
typedef enum cz_level {
    CZ_LEVEL_PORTABLE,
    CZ_LEVEL_AVX2,
    CZ_LEVEL_AVX512,
    CZ_LEVEL_AMX,
    CZ_LEVELS
} cz_level;

const char *cz_level_name(cz_level level);
bool cz_level_parse(const char *name, cz_level *level);
/* The highest that this processor has and a type has kernels for: fp32 portable, avx2, avx512;
 * bf16 portable, avx512 (with AVX512_BF16), amx; fp64 portable. */
cz_level cz_level_best(cz_dtype dtype);

/* The CPU backend for a type at a level, NULL if the processor or the build lacks it, or the type
 * has no kernels there. Backends are constants; never free them. */
const cz_backend *cz_backend_cpu(cz_dtype dtype, cz_level level);
/* That of the highest level, `most` at most, for which it is not NULL. */
const cz_backend *cz_backend_best(cz_dtype dtype, cz_level most);

/* "cpu, avx2, fp32": for logs and checkpoints. */
const char *cz_backend_name(const cz_backend *backend);
cz_dtype cz_backend_dtype(const cz_backend *backend);
cz_level cz_backend_level(const cz_backend *backend);
bool cz_backend_on_gpu(const cz_backend *backend);

/* Copies of a matrix of weights w (C, K), wide, as this backend's products want it: bytes of the
 * memory that they take, 0 where there are none; and its rows [row, row + rows) brought into them,
 * row a multiple of CZ_PACK_ROWS, rows too unless they are the last. Where cz_tensor.packed of w
 * shows them, cz_linear_forward() and cz_linear_backward_input() do not read w itself. The memory
 * is the caller's, aligned to 64 bytes. */
enum { CZ_PACK_ROWS = 32 };
size_t cz_packed_bytes(const cz_backend *backend, int C, int K);
void cz_pack(const cz_backend *backend, void *packed, cz_tensor w, int row, int rows);

/* GFLOP/s of one core of this backend in a loop of multiply-adds on registers: the peak that a
 * fraction is of. Takes about 0.1 s. */
double cz_peak_gflops(const cz_backend *backend);

/* Bytes of scratch that any operation of a backend may take at once when no tensor has more than
 * `rows` rows, `cols` columns, the resampler has L latents, T tokens, width D and H heads, and
 * cz_heads() at most rows / T cells, rounded up, of that width. */
size_t cz_ops_scratch(const cz_backend *backend, int rows, int cols, int L, int T, int D, int H);

#endif
