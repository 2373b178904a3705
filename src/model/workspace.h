/* The buffers that a batch walks through, and the passes over each part of the model.
 * Private to src/model. N = block cells x T tokens. */
#ifndef CZ_MODEL_WORKSPACE_H
#define CZ_MODEL_WORKSPACE_H

#include "layout.h"

/* Views of one layer's weights and gradients; gradients are absent when evaluating. */
typedef struct linear {
    cz_tensor w, b, dw, db;
} linear;

typedef struct norm {
    cz_tensor gain, bias, dgain, dbias;
} norm;

typedef struct attention {
    linear in, out;
    norm norm;
} attention;

/* What the forward pass keeps of one attention block with its LayerNorm. */
typedef struct attention_cache {
    cz_tensor qkv;        /* (N, 3F); cross-attention uses the first F columns only */
    cz_tensor weights;    /* (block, H, T, T) */
    cz_tensor mixed;      /* (N, F) before the output projection */
    cz_tensor sum;        /* (N, F) before the LayerNorm */
    cz_tensor mean, rstd; /* (N) */
    cz_tensor y;          /* (N, F) */
    cz_dropout drop_weights, drop_out;
} attention_cache;

typedef struct layer_cache {
    attention_cache attention;
    cz_tensor hidden;     /* (N, feedforward) */
    cz_tensor sum;        /* (N, F) */
    cz_tensor mean, rstd; /* (N) */
    cz_tensor y;          /* (N, F) */
    cz_dropout drop_hidden, drop_out;
} layer_cache;

typedef struct pool_cache {
    cz_tensor input;      /* (N, D), only when D != F */
    cz_tensor kv;         /* (N, 2D) */
    cz_tensor weights;    /* (block, H, L, T) */
    cz_tensor mean, rstd; /* (block, L) */
    cz_tensor z;          /* (block, D) */
    cz_dropout drop_weights, drop_out;
} pool_cache;

typedef struct head_cache {
    cz_tensor h1, h2, logits; /* (block, D), (block, D/2), (block, classes) */
    cz_dropout drop[2];
} head_cache;

/* Scratch of the backward pass; one of each is enough, parts run one after the other. */
typedef struct gradients {
    cz_tensor y;             /* (N, F) of the tokens, handed from part to part */
    cz_tensor branch, mixed; /* (N, F) */
    cz_tensor extra;         /* (N, F) */
    cz_tensor qkv;           /* (N, 3F) */
    cz_tensor hidden;        /* (N, max(F, feedforward)) */
    cz_tensor kv, input;     /* (N, 2D), (N, D) */
    cz_tensor z, dz;         /* (block, D): sum over heads, one head's */
    cz_tensor h1, h2;
} gradients;

struct cz_workspace {
    const cz_model *model;
    cz_exec exec;
    cz_arena scratch, memory;
    cz_dtype dtype;
    cz_pool_form form;
    int block, slots;
    bool training;

    linear omics, text, ffn[2], input;
    cz_tensor omics_positions, text_positions, domics_positions, dtext_positions;
    attention cross, pool;
    struct layer {
        attention attention;
        linear up, down;
        norm norm;
    } * layer;
    cz_tensor latents, dlatents;
    struct head {
        linear layer[3];
    } head[CZ_MAX_HEADS];

    cz_tensor text_vectors; /* (labels, text_width) fp32, the caller's */
    int32_t *slot_of;       /* (labels) slot of a label in this batch, -1 none */
    int32_t *slot_label;    /* (slots) */
    int32_t *slot;          /* (block) slot of each cell of the block */
    int used;               /* slots in use */

    cz_tensor label_vectors;       /* (slots, text_width) */
    cz_tensor label_tokens;        /* (slots T, F) */
    cz_tensor label_kv, dlabel_kv; /* (slots T, 2F) */
    cz_tensor dlabel_tokens;       /* (slots T, F) */
    cz_tensor query, dquery;       /* (L, D) latents through the query projection */

    cz_tensor features; /* (block, width) */
    cz_tensor tokens;   /* (N, F) */
    attention_cache cross_cache;
    cz_tensor ffn_hidden, fused; /* (N, F) */
    layer_cache *layer_cache;
    pool_cache pool_cache;
    head_cache head_cache[CZ_MAX_HEADS];
    gradients d;
};

/* The cells of the block at hand. */
typedef struct cell_block {
    int begin, cells;
    const cz_batch *batch;
} cell_block;

/* Binds the views to flat arrays; g NULL: evaluating. */
void bind_weights(cz_workspace *ws, const void *w, void *g);
/* Points the dropout sites at the cells of a block. */
void bind_masks(cz_workspace *ws, const uint32_t *cell);

/* A site as the operations want it: NULL when there is nothing to drop. */
const cz_dropout *dropout(const cz_workspace *ws, const cz_dropout *site);

/* The first `rows` rows of a buffer as (rows / T, T, C). */
cz_tensor tokens3(const cz_workspace *ws, cz_tensor t, int rows);

/* Rows [begin, begin + count) of a layer: a part of a packed projection. */
linear linear_part(linear l, int begin, int count);
/* dW, db, and dx = dy W (gated by the activation that x is, see cz_linear_backward_input);
 * an absent dx is not wanted. */
cz_status linear_backward(cz_workspace *ws, cz_tensor dx, cz_tensor dy, cz_tensor x, linear l,
                          bool gated, double p);

/* Each forward pass writes its part of the workspace; each backward pass stands beside it. */
cz_status labels_assign(cz_workspace *ws, const cz_batch *batch);
cz_status labels_forward(cz_workspace *ws);
cz_status labels_backward(cz_workspace *ws);
cz_status queries_forward(cz_workspace *ws);
cz_status queries_backward(cz_workspace *ws);

cz_status tokens_forward(cz_workspace *ws, const cell_block *b);
cz_status tokens_backward(cz_workspace *ws, const cell_block *b, cz_tensor dy);
cz_status fusion_forward(cz_workspace *ws, const cell_block *b);
cz_status fusion_backward(cz_workspace *ws, const cell_block *b, cz_tensor dy);
cz_status encoder_forward(cz_workspace *ws, const cell_block *b, int layer, cz_tensor x);
cz_status encoder_backward(cz_workspace *ws, const cell_block *b, int layer, cz_tensor x,
                           cz_tensor dy);
cz_status resampler_forward(cz_workspace *ws, const cell_block *b, cz_tensor x);
cz_status resampler_backward(cz_workspace *ws, const cell_block *b, cz_tensor dx, cz_tensor x);
/* Heads, losses, and when training the gradient of z into d.z. */
cz_status heads_pass(cz_workspace *ws, const cell_block *b, const cz_outcome *outcome);

#endif
