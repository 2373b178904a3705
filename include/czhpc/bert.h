/* BERT as a text encoder: token ids to one vector a text. Devlin et al. 2019.
 *
 * A model is a plain folder of Hugging Face's: config.json and model.safetensors. Its weights are
 * read where they are mapped; several workspaces, one a thread, share them. */
#ifndef CZ_BERT_H
#define CZ_BERT_H

#include "czhpc/config.h"
#include "czhpc/ops.h"

typedef struct cz_bert_shape {
    int width, layers, heads, feedforward;
    int vocabulary, positions, types; /* rows of the three embeddings */
    cz_activation activation;
    double eps; /* of every LayerNorm */
} cz_bert_shape;

/* Reads the shape from a folder's config.json. CZ_ERR_INPUT: it is missing or damaged, or tells of
 * a model that is no BERT with absolute positions. Local. */
cz_status cz_bert_read_shape(cz_bert_shape *shape, const char *folder);

/* The same from the file's text; `path` is for messages. */
cz_status cz_bert_parse_shape(cz_bert_shape *shape, const char *path, const char *text,
                              size_t size);

typedef struct cz_bert cz_bert;

/* Maps the folder's weights: fp32 is used in place, fp64, fp16 and bf16 are converted into memory.
 * Names may carry a prefix ("bert."), and LayerNorms their old names (gamma, beta). CZ_ERR_INPUT
 * names what is missing or has another shape than config.json says; CZ_ERR_MEMORY. Free with
 * cz_bert_close(). Local. */
cz_status cz_bert_open(cz_bert **bert, const char *folder);
void cz_bert_close(cz_bert *bert);

const cz_bert_shape *cz_bert_get_shape(const cz_bert *bert);

/* Bytes of the weights: in the file's pages, which the processes of a node share, and in memory of
 * this process, converted to fp32. */
typedef struct cz_bert_size {
    size_t mapped, converted;
} cz_bert_size;
cz_bert_size cz_bert_memory(const cz_bert *bert);

/* The file's tensors that the encoder has no use for, "pooler.dense.bias, ...", "" for none; and
 * how many they are. */
const char *cz_bert_unused(const cz_bert *bert, int *count);

/* Texts of one batch, padded to the longest. */
typedef struct cz_bert_batch {
    int cells, tokens;
    const int32_t *id;     /* (cells, tokens), any valid id where a text has ended */
    const int32_t *length; /* (cells) tokens of each, 1 .. tokens */
} cz_bert_batch;

typedef struct cz_bert_workspace cz_bert_workspace;

/* Buffers of one worker for batches of at most `rows` cells x tokens. The backend must be one of
 * fp32 or bf16. Free with cz_bert_workspace_close(). Local. */
cz_status cz_bert_workspace_open(cz_bert_workspace **workspace, const cz_bert *bert,
                                 const cz_backend *backend, int rows);
void cz_bert_workspace_close(cz_bert_workspace *workspace);

/* vectors (cells, width) fp32 set. A text's bits do not depend on the batch that it is in.
 * CZ_ERR_BUG: an id or length out of range, more rows or tokens than there is room for. Local. */
cz_status cz_bert_forward(cz_bert_workspace *workspace, cz_tensor vectors,
                          const cz_bert_batch *batch, cz_pooling pooling);

#endif
