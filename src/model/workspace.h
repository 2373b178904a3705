/* The buffers that a batch walks through, and the passes over each part of the model; stored or
 * wide as ops.h says, stored where nothing else is said.
 * Private to src/model. N = block cells x T tokens. */
#ifndef CZ_MODEL_WORKSPACE_H
#define CZ_MODEL_WORKSPACE_H

#include "czhpc/layers.h"
#include "layout.h"

typedef struct pool_cache {
    cz_tensor input;      /* (N, D), only when D != F */
    cz_tensor kv;         /* (N, 2D) */
    cz_tensor weights;    /* (block, H, L, T) */
    cz_tensor mean, rstd; /* (block, L), wide */
    cz_tensor u;          /* (N heads, cz_pool_row(D)), only on a GPU */
    cz_tensor z;          /* (block, D) */
    cz_dropout drop_weights, drop_out;
} pool_cache;

typedef struct head_cache {
    cz_tensor h1, h2;          /* (block, D), (block, D/2) */
    cz_tensor logits, dlogits; /* (block, classes); logits are wide */
    cz_dropout drop[2];
} head_cache;

/* What the way back through a part of the model writes: the tokens, the fusion, a layer. Parts run
 * one after the other, and on a CPU one of each buffer is enough; on a GPU, where gradients of
 * weights are summed later, each part has its own. */
typedef struct part_gradients {
    cz_tensor y; /* (N, F) of the part's output */
    cz_encoder_scratch scratch;
} part_gradients;
enum { TOKENS_PART, FUSION_PART, LAYER_PARTS }; /* of layer l: LAYER_PARTS + l */

/* Scratch of the backward pass. */
typedef struct gradients {
    part_gradients *part;
    cz_tensor kv, input; /* (N, 2D), (N, D) */
    cz_tensor z;         /* (block, D) */
} gradients;

struct cz_workspace {
    const cz_model *model;
    cz_exec exec;
    cz_arena scratch, memory;
    cz_dtype dtype;
    cz_pool_form form;
    int block, slots;
    bool training;
    bool added;        /* gradients of linear layers are added to those of a block before */
    size_t *packed_at; /* (model's matrices) bytes from the first packed one */

    cz_linear_layer omics, text, ffn[2], input;
    cz_tensor omics_positions, text_positions, domics_positions, dtext_positions;
    cz_attention_layer cross, pool;
    cz_linear_layer cross_query, cross_rest, pool_query, pool_rest; /* of their projections */
    cz_encoder_layer *layer;
    cz_tensor latents, dlatents;
    struct head {
        cz_linear_layer layer[3];
    } head[CZ_MAX_HEADS];

    cz_tensor text_vectors; /* (labels, text_width) fp32, the caller's */
    int32_t *slot_of;       /* (labels) -1, for cz_assign_slots() */
    int32_t *found_label;   /* (slots), and */
    int32_t *found_slot;    /* (most cells of a batch) where the batch does not say them */
    int found_room;         /* cells that there is room for */
    const int32_t *slot, *slot_label; /* of this batch */
    int used;                         /* slots in use */

    cz_tensor label_vectors;       /* (slots, text_width) */
    cz_tensor label_tokens;        /* (slots T, F) */
    cz_tensor label_kv, dlabel_kv; /* (slots T, 2F), the gradient wide */
    cz_tensor dlabel_tokens;       /* (slots T, F) */
    cz_tensor latent_rows;         /* (L, D) latents as an activation: a view, or */
    void *latent_copy;             /* a copy of them */
    cz_tensor query, dquery;       /* (L, D) them through the query projection; dquery wide */

    cz_tensor features; /* (block, width) */
    cz_tensor tokens;   /* (N, F) */
    cz_attention_cache cross_cache;
    cz_tensor ffn_hidden, fused; /* (N, F) */
    cz_encoder_cache *layer_cache;
    pool_cache pool_cache;
    head_cache head_cache[CZ_MAX_HEADS];
    gradients d;
};

/* The cells of the block at hand. */
typedef struct cell_block {
    int begin, cells;
    const cz_batch *batch;
} cell_block;

/* Binds the views to flat arrays; g NULL: evaluating; `added`: linear layers add to it. */
void bind_weights(cz_workspace *ws, cz_weights w, void *g, bool added);
/* Points the dropout sites at the cells of a block. */
void bind_masks(cz_workspace *ws, const uint32_t *cell);

/* The rows of t (N, C) as (cells, T, C). */
cz_tensor tokens3(const cz_workspace *ws, cz_tensor t);

/* The gradient of a part's output. */
cz_tensor part_gradient(const cz_workspace *ws, const cell_block *b, int part);

/* Each forward pass writes its part of the workspace; each backward pass stands beside it. First
 * _gather brings what a pass reads from elsewhere; _collect takes what blocks have summed, for
 * both before either goes on: a GPU copies both at once. */
cz_status labels_find(cz_workspace *ws, const cz_batch *batch);
cz_status labels_gather(cz_workspace *ws);
cz_status labels_forward(cz_workspace *ws);
cz_status labels_collect(cz_workspace *ws);
cz_status labels_backward(cz_workspace *ws);
cz_status queries_gather(cz_workspace *ws);
cz_status queries_forward(cz_workspace *ws);
cz_status queries_collect(cz_workspace *ws);
cz_status queries_backward(cz_workspace *ws);

cz_status tokens_gather(cz_workspace *ws, const cell_block *b);
cz_status tokens_forward(cz_workspace *ws, const cell_block *b);
cz_status tokens_backward(cz_workspace *ws, const cell_block *b);
cz_status fusion_forward(cz_workspace *ws, const cell_block *b);
cz_status fusion_backward(cz_workspace *ws, const cell_block *b);
cz_status resampler_forward(cz_workspace *ws, const cell_block *b, cz_tensor x);
cz_status resampler_backward(cz_workspace *ws, const cell_block *b, cz_tensor dx, cz_tensor x);
/* Heads, losses, and when training the gradient of z into d.z. */
cz_status heads_pass(cz_workspace *ws, const cell_block *b, const cz_outcome *outcome);

#endif
