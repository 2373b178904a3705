/* A text model with its tokenizer, and the division of texts into batches. Private to src/embed. */
#ifndef CZ_TEXT_MODEL_H
#define CZ_TEXT_MODEL_H

#include "czhpc/bert.h"
#include "czhpc/comm.h"
#include "czhpc/tokenizer.h"

typedef struct text_model {
    cz_tokenizer *tokenizer;
    cz_bert *bert;
    int limit; /* tokens of a text, the rest is cut off */
} text_model;

/* Opens both and checks that they belong together. Local. */
cz_status text_model_open(text_model *model, const cz_config *config);
void text_model_close(text_model *model);

/* A hash of all files of a folder that decide a text's vector, and of the keys that do. Local. */
cz_status text_model_key(uint64_t *key, const cz_config *config);

/* The same to the bit: also of the kernels that compute, and of czhpc's version. */
uint64_t text_cache_key(uint64_t identity, const cz_backend *backend);

/* Texts as tokens, shortest first, in batches of about as many tokens. */
typedef struct text_plan {
    int count;
    int32_t **id; /* (count) tokens of each text */
    int *length;  /* (count) */
    int *order;   /* (count) the texts by length */
    int rows;     /* most cells x tokens of a batch */
    int batches;
    int *begin;  /* (batches + 1) into `order` */
    int cut;     /* texts that were longer than the limit */
    int unknown; /* texts with words that the vocabulary cannot spell */
} text_plan;

/* For `workers` threads in all. The same on every rank. Local. */
cz_status text_plan_make(text_plan *plan, const text_model *model, char *const *text, int count,
                         int workers);
void text_plan_free(text_plan *plan);

/* vectors (plan->count, width) set on every rank. Collective. */
cz_status text_encode(float *vectors, const text_plan *plan, const text_model *model,
                      cz_pooling pooling, const cz_backend *backend, const cz_comm *comm,
                      cz_pool *pool);

#endif
