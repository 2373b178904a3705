/* Vectors of label texts: out of a table, or made by a text model. */
#ifndef CZ_EMBED_H
#define CZ_EMBED_H

#include "czhpc/bert.h"
#include "czhpc/comm.h"
#include "czhpc/config.h"
#include "czhpc/ops.h"

typedef struct cz_embedding {
    int width;
    float *vectors;    /* (labels, width) on every rank */
    uint64_t identity; /* of what gives the vectors: equal where they are equal to rounding */
    char about[1024];  /* on rank 0, for log and summary: what gives the vectors */
    char made[1024];   /* on rank 0, for the log: how many were made now; "" of a table */
} cz_embedding;

/* Vectors of `count` different labels, the same on every rank, as text.model or else text.table
 * says; padded with zeros to text.width. The texts are spread over the ranks and the threads of
 * their pools; `backend` must be one of fp32. Vectors that the same model has made before are
 * taken from a table in the folder `cache`, which is made and kept (NULL: none). CZ_ERR_INPUT,
 * CZ_ERR_MEMORY; what goes wrong with the cache is a warning. Free with cz_embedding_free().
 * Collective. */
cz_status cz_embed_labels(cz_embedding *embedding, char *const *label, int count,
                          const cz_config *config, const char *cache, const cz_backend *backend,
                          const cz_comm *comm, cz_pool *pool);
void cz_embedding_free(cz_embedding *embedding);

/* The width that vectors would have and the memory of the text model's weights (none of a table),
 * after a look at all the files of either but no computing. Local. */
cz_status cz_embed_shape(int *width, cz_bert_size *weights, char *const *label, int count,
                         const cz_config *config);

/* "cls" or "mean", as in a configuration. Local. */
const char *cz_pooling_name(cz_pooling pooling);

#endif
