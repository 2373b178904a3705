/* Where each layer's parameters stand in the table. Private to src/model. */
#ifndef CZ_MODEL_LAYOUT_H
#define CZ_MODEL_LAYOUT_H

#include "czhpc/model.h"

/* Of every LayerNorm, PyTorch's. */
#define CZ_NORM_EPS 1e-5

/* Rows [row, row + rows) of a weight and its bias. */
typedef struct linear_ids {
    int w, b;
    int row, rows;
    int matrix; /* its place among the model's packed matrices, -1: never multiplied by as a whole
                 */
} linear_ids;

typedef struct norm_ids {
    int gain, bias;
} norm_ids;

/* Multi-head attention as PyTorch keeps it, and the LayerNorm that follows it here. */
typedef struct attention_ids {
    linear_ids in;          /* query, key and value projections, one under the other; */
    linear_ids query, rest; /* the first of them, the other two: where inputs differ */
    linear_ids out;
    norm_ids norm;
} attention_ids;

typedef struct layer_ids {
    attention_ids attention;
    linear_ids up, down;
    norm_ids norm;
} layer_ids;

typedef struct head_ids {
    linear_ids layer[3];
} head_ids;

struct cz_model {
    cz_model_spec spec;
    cz_params params;
    linear_ids omics, text, ffn[2];
    int omics_positions, text_positions; /* -1 without */
    attention_ids cross;
    layer_ids *layer; /* (spec.layers) */
    int latents;
    linear_ids input; /* only when latent_dim != fusion_dim; else -1 */
    attention_ids pool;
    head_ids head[CZ_MAX_HEADS];

    linear_ids *matrix; /* (matrices) that linear layers multiply by: cz_model_pack() */
    int matrices;
};

/* Bytes from the first packed matrix to each, into `at` if not NULL, and to the end. packing.c */
size_t packed_places(const cz_model *m, const cz_backend *backend, size_t *at);

#endif
