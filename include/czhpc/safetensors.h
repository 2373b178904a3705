/* Weights in the safetensors format, read and written.
 * https://github.com/huggingface/safetensors: 8 bytes little-endian N, N bytes of JSON padded with
 * spaces, then the tensors without holes, row-major and little-endian. */
#ifndef CZ_SAFETENSORS_H
#define CZ_SAFETENSORS_H

#include "czhpc/param.h"
#include "czhpc/status.h"
#include "czhpc/tensor.h"

#include <stdbool.h>
#include <stdint.h>

enum { CZ_STORED_AXES = 8 };

/* A tensor as it lies in a file; all of it stays the file's. */
typedef struct cz_stored_tensor {
    const char *name;
    const char *dtype;           /* as the file says: "BF16" */
    int rank;                    /* 0: a single value */
    int64_t dim[CZ_STORED_AXES]; /* (rank) */
    size_t elements;             /* the product of dim; may be 0 */
    const void *data;            /* (elements), at any address */
} cz_stored_tensor;

typedef struct cz_safetensors {
    int count;                      /* may be 0 */
    cz_stored_tensor *tensor;       /* (count), sorted by name */
    struct cz_safetensors_own *own; /* the header and, if it was opened here, the file */
} cz_safetensors;

/* Maps a file for reading, without a copy, and checks all of its header, in which nothing is
 * trusted: sizes, types, shapes, and that the tensors lie one after the other from the first byte
 * of the data to the last. What the numbers are is not looked at. CZ_ERR_INPUT says what is wrong,
 * CZ_ERR_MEMORY; *file is then NULL. Free with cz_safetensors_close(). Local. */
cz_status cz_safetensors_open(cz_safetensors **file, const char *path);

/* The same of bytes that stay the caller's until the file is closed; `path` is for messages. */
cz_status cz_safetensors_parse(cz_safetensors **file, const char *path, const void *bytes,
                               size_t size);

void cz_safetensors_close(cz_safetensors *file); /* NULL is fine */

/* NULL where there is no tensor of that name. Local. */
const cz_stored_tensor *cz_safetensors_find(const cz_safetensors *file, const char *name);

/* Whether its type is F64, F32, F16 or BF16: the ones that can be copied. Local. */
bool cz_stored_is_float(const cz_stored_tensor *tensor);

/* The values where they lie; NULL where they are no fp32 or not aligned for it. Local. */
const float *cz_stored_in_place(const cz_stored_tensor *tensor);

/* to (tensor->elements): the values, F64 rounded to the nearest fp32. Of a type that is not
 * cz_stored_is_float() nothing is written. Local. */
void cz_stored_copy(float *to, const cz_stored_tensor *tensor);

/* Writes parameters of a model as fp32 (fp64 states are rounded), with the names and shapes of the
 * table (count). `metadata`: `pairs` pairs of texts, may be NULL where there are none. `path` is
 * replaced at once or not at all. CZ_ERR_IO; CZ_ERR_BUG: a name occurs twice or a text is not
 * UTF-8. Local. */
cz_status cz_safetensors_write(const char *path, const cz_param_entry *params, int count,
                               const void *w, cz_dtype dtype, const char *const *metadata,
                               int pairs);

#endif
