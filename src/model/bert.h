/* What the parts of the BERT encoder share. Private to src/model. */
#ifndef CZ_MODEL_BERT_H
#define CZ_MODEL_BERT_H

#include "czhpc/bert.h"
#include "czhpc/layers.h"
#include "czhpc/safetensors.h"

struct cz_bert {
    cz_bert_shape shape;
    cz_safetensors *file;
    cz_tensor words, positions, types; /* (rows, width) */
    cz_norm_layer norm;                /* of their sum */
    cz_encoder_layer *layer;           /* (shape.layers) */
    float **converted;                 /* (conversions) weights that are no fp32 in the file */
    int conversions;
    cz_bert_size size;
    char unused[2048];
    int unused_count;
};

#endif
