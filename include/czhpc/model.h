/* The fusion model: expression tokens and label tokens, fused by cross-attention, a transformer
 * encoder and a Perceiver resampler, under a list of classification heads.
 *
 * A workspace belongs to one worker. It walks a batch through the layers in blocks of a few
 * cells, forward and backward, so that activations stay in the cache; label tokens are computed
 * once for the slots of the batch, latent queries once for all its cells. */
#ifndef CZ_MODEL_H
#define CZ_MODEL_H

#include "czhpc/config.h"
#include "czhpc/ops.h"
#include "czhpc/params.h"

typedef struct cz_head_spec {
    char name[CZ_NAME_MAX]; /* the column it predicts */
    int classes;
    bool adversary; /* behind gradient reversal */
} cz_head_spec;

typedef struct cz_model_spec {
    int width;      /* features of a cell */
    int text_width; /* of a label's vector; unused without text */
    bool text;
    int tokens, heads, fusion_dim, layers, feedforward, latents, latent_dim;
    double dropout;
    cz_positions positions;
    int head_count;
    cz_head_spec head[CZ_MAX_HEADS];
} cz_model_spec;

/* Dropout sites, as masks are addressed (cz_dropout.site). */
enum {
    CZ_SITE_CROSS_WEIGHTS = 0, /* (H, T, T) label attention */
    CZ_SITE_CROSS_OUT = 1,     /* (T, F) */
    CZ_SITE_POOL_WEIGHTS = 2,  /* (H, L, T) resampler attention */
    CZ_SITE_POOL_OUT = 3,      /* (L, D) */
    CZ_SITE_HEAD = 4,          /* + 2 head: (D) after the first layer, + 1: (D/2) */
    CZ_SITE_LAYER = 32         /* + 4 layer: (H, T, T), (T, F), (T, feedforward), (T, F) */
};

typedef struct cz_model cz_model;

/* Checks a spec and lays out its parameters. CZ_ERR_CONFIG names the keys that do not fit
 * together. Local. Free with cz_model_close(). */
cz_status cz_model_open(cz_model **model, const cz_model_spec *spec);
void cz_model_close(cz_model *model);
const cz_model_spec *cz_model_get_spec(const cz_model *model);
const cz_params *cz_model_params(const cz_model *model);

/* Floating point operations (2 a multiply-add) really executed in matrix products for `cells`
 * cells with `slots` label slots: forward, or forward and backward. */
double cz_model_flops(const cz_model *model, int cells, int slots, bool training);

/* The layers, their shapes, parameters and FLOPs a cell, one line each, for --describe. */
void cz_model_describe(const cz_model *model, FILE *out);

/* A flat array of the table of parameters, and what cz_model_pack() made of it for the backend in
 * use; NULL: linear layers pack what they multiply by, every time. On a GPU `packed` is the whole
 * array once more, as activations are stored. */
typedef struct cz_weights {
    const void *flat, *packed;
} cz_weights;

/* Bytes of the packed matrices of a model, 0 where the backend keeps none. Local. */
size_t cz_model_packed_bytes(const cz_model *model, const cz_backend *backend);

/* Packs the matrices, in units of CZ_PACK_ROWS rows, of which elements [begin, end) of `flat` hold
 * the last element. Several workers may pack, each a range; cz_model_border() gives the last place
 * up to `at` that parts no unit. Local. */
void cz_model_pack(const cz_model *model, const cz_backend *backend, void *packed, const void *flat,
                   size_t begin, size_t end);
size_t cz_model_border(const cz_model *model, size_t at);

/* A range of cells. */
typedef struct cz_batch {
    int cells;
    cz_tensor x;                       /* (M, width) fp32, the rows that `row` points into */
    const int32_t *row;                /* (cells) */
    const uint32_t *cell;              /* (cells) what masks go by: index in the whole data set */
    const int32_t *label;              /* (cells) class of the label column; unused without text */
    const int32_t *code[CZ_MAX_HEADS]; /* (cells) class per head, -1 unknown */
    /* Slots of the labels; absent: the workspace finds them, from memory of the host. */
    const int32_t *slot;       /* (cells) */
    const int32_t *slot_label; /* (slots) */
    int slots;
} cz_batch;

/* Numbers the labels of a batch in the order in which they first appear: slot (cells), slot_label
 * (most), of which *slots are used. slot_of (labels) holds -1 before and after. CZ_ERR_BUG for a
 * label that is none of `labels`, or more than `most` different ones. Local. */
cz_status cz_assign_slots(int32_t *slot, int32_t *slot_label, int *slots, int32_t *slot_of,
                          const int32_t *label, int cells, int labels, int most);

/* What comes out, the caller's memory. loss and best are needed for every head. */
typedef struct cz_outcome {
    double *loss[CZ_MAX_HEADS];     /* (cells) 0 where unknown */
    int32_t *best[CZ_MAX_HEADS];    /* (cells) predicted class */
    cz_tensor logits[CZ_MAX_HEADS]; /* (cells, classes); absent: not wanted */
    cz_tensor latent;               /* (cells, latent_dim) pooled vector before the heads */
    /* Added to by cz_attention_tally(); NULL: not wanted. */
    int64_t *resampler_attention; /* (latents, tokens) */
    int64_t *fusion_attention;    /* (tokens, tokens of the text) */
} cz_outcome;

typedef struct cz_workspace cz_workspace;

/* Buffers of one worker for blocks of `block` cells and at most `slots` different labels a
 * batch. text (labels, text_width) fp32 of all classes of the label column stays the caller's;
 * absent without text. gpu: that of the backend, NULL for a CPU's; all memory that a pass is given
 * is then the GPU's, weights, batch (which says its slots), step, outcome and text, and a pass
 * returns before it is done. Local. Free with cz_workspace_close(). */
cz_status cz_workspace_open(cz_workspace **workspace, const cz_model *model,
                            const cz_backend *backend, cz_gpu *gpu, cz_tensor text, int block,
                            int slots);
void cz_workspace_close(cz_workspace *workspace);

/* Bytes that cz_workspace_open() would take, for --dry-run. */
size_t cz_workspace_bytes(const cz_model *model, const cz_backend *backend, int block, int slots);

/* Different labels in the last batch, each computed once. */
int cz_workspace_labels(const cz_workspace *workspace);

/* Which resampler form to use; CZ_POOL_AUTO unless a test says otherwise. */
void cz_workspace_set_pool(cz_workspace *workspace, cz_pool_form form);

/* Losses of a batch without dropout. Local. */
cz_status cz_model_evaluate(cz_workspace *workspace, cz_weights w, const cz_batch *batch,
                            const cz_outcome *outcome);

/* Losses with dropout, and their gradient in the flat array `g` (set):
 * d/dw of sum over heads and known cells of loss * step->scale[head] (and the class's weight,
 * where the step has them: cz_outcome's losses are without), the gradient of adversaries reversed
 * and scaled by step->lambda where it enters the latent. Local. */
cz_status cz_model_train(cz_workspace *workspace, cz_weights w, void *g, const cz_batch *batch,
                         const cz_step *step, const cz_outcome *outcome);

#endif
