/* Layers that more than one model is made of: views of their weights, what a forward pass keeps,
 * and both passes. N rows are cells x T tokens, F columns; every pass is local to one exec and
 * fails as its operations do. */
#ifndef CZ_LAYERS_H
#define CZ_LAYERS_H

#include "czhpc/ops.h"

/* Weights as a flat array or a file holds them, and their gradients: absent when not training. */
typedef struct cz_linear_layer {
    cz_tensor w, b, dw, db; /* (outputs, inputs), (outputs) */
    bool add;               /* gradients are added to, else set */
} cz_linear_layer;

typedef struct cz_norm_layer {
    cz_tensor gain, bias, dgain, dbias; /* (F) */
    double eps;
} cz_norm_layer;

/* Multi-head attention and the LayerNorm of the residual sum that follows it. */
typedef struct cz_attention_layer {
    int heads;
    cz_linear_layer in[3]; /* query, key and value: apart, or one under the other in in[0] */
    bool apart;
    cz_linear_layer out;
    cz_norm_layer norm;
} cz_attention_layer;

typedef struct cz_encoder_layer {
    cz_attention_layer attention;
    cz_linear_layer up, down;
    cz_activation activation; /* between them */
    cz_norm_layer norm;
} cz_encoder_layer;

/* What the forward pass keeps, in buffers for the most rows there are. Sites with p = 0 drop
 * nothing. */
typedef struct cz_attention_cache {
    cz_tensor qkv;        /* (N, 3F); cross-attention uses the first F columns only */
    cz_tensor weights;    /* (cells, H, T, T) */
    cz_tensor mixed;      /* (N, F) before the output projection */
    cz_tensor sum;        /* (N, F) before the LayerNorm */
    cz_tensor mean, rstd; /* (N) */
    cz_tensor y;          /* (N, F) */
    cz_dropout drop_weights, drop_out;
} cz_attention_cache;

typedef struct cz_encoder_cache {
    cz_attention_cache attention;
    cz_tensor hidden;     /* (N, feedforward) */
    cz_tensor sum;        /* (N, F) */
    cz_tensor mean, rstd; /* (N) */
    cz_tensor y;          /* (N, F) the layer's output */
    cz_dropout drop_hidden, drop_out;
} cz_encoder_cache;

/* Scratch of a backward pass. */
typedef struct cz_encoder_scratch {
    cz_tensor branch, mixed, extra; /* (N, F) */
    cz_tensor attended;             /* (N, F) of attention's branch; may be `branch` */
    cz_tensor qkv;                  /* (N, 3F) */
    cz_tensor hidden;               /* (N, at least feedforward) */
} cz_encoder_scratch;

/* The cells that walk through a layer together. */
typedef struct cz_sequences {
    int cells, tokens;
    const int32_t *length; /* (cells) tokens that others attend to, the first of each; NULL: all */
    bool first_only;       /* of each cell only the first token's output is wanted */
    bool training;         /* masks are drawn */
} cz_sequences;

/* A site as the operations want it: NULL when there is nothing to drop. */
static inline const cz_dropout *cz_dropping(bool training, const cz_dropout *site)
{
    return training && cz_dropout_threshold(site->p) > 0 ? site : NULL;
}

/* The rows of t (N, C) as (N / T, T, C). */
cz_tensor cz_tokens(cz_tensor t, int T);

/* Rows [begin, begin + count) of a layer: a part of a packed projection. */
cz_linear_layer cz_linear_part(cz_linear_layer l, int begin, int count);

/* dW and db as layer.add says, and dx = dy W set (gated by the activation that x is, see
 * cz_linear_backward_input); an absent dx is not wanted. */
cz_status cz_linear_layer_backward(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor x,
                                   cz_linear_layer l, bool gated, double p);
/* The same, dy W added to dx. */
cz_status cz_linear_layer_backward_add(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor x,
                                       cz_linear_layer l);

/* A post-norm transformer encoder layer, x (cells tokens, F) to the first rows of cache->y:
 * cells tokens of them, or with first_only cells. Vaswani et al. 2017, section 3.1. */
cz_status cz_encoder_layer_forward(cz_exec *exec, const cz_encoder_layer *layer,
                                   const cz_encoder_cache *cache, const cz_sequences *s,
                                   cz_tensor x);

/* dx (cells tokens, F) set: the gradient of the input x, from dy, that of the output, which it may
 * be. For packed projections, ReLU and whole outputs. */
cz_status cz_encoder_layer_backward(cz_exec *exec, const cz_encoder_layer *layer,
                                    const cz_encoder_cache *cache,
                                    const cz_encoder_scratch *scratch, const cz_sequences *s,
                                    cz_tensor dx, cz_tensor x, cz_tensor dy);

#endif
