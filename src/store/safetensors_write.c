#include "czhpc/file.h"
#include "czhpc/safetensors.h"
#include "czhpc/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The header as an object: metadata first, then the tensors in the order of the table. */
static cz_status describe(json_t **header, size_t *bytes, const cz_param_entry *params, int count,
                          const char *const *metadata, int pairs)
{
    json_t *object = json_object(), *about = json_object();
    bool ok = object && about;
    *bytes = 0;
    for (int i = 0; i < pairs && ok; i++, metadata += 2)
        ok = !json_object_set_new(about, metadata[0], json_string(metadata[1]));
    if (ok && pairs > 0) ok = !json_object_set(object, "__metadata__", about);
    json_decref(about);
    for (int i = 0; i < count && ok; i++) {
        const cz_param_entry *p = &params[i];
        size_t end = *bytes + cz_param_size(p) * sizeof(float);
        json_t *shape = json_pack(p->rank == 2 ? "[i,i]" : "[i]", p->dim[0], p->dim[1]);
        json_t *entry = json_pack("{s:s, s:o, s:[I,I]}", "dtype", "F32", "shape", shape,
                                  "data_offsets", (json_int_t)*bytes, (json_int_t)end);
        ok = !json_object_get(object, p->name);
        ok = !json_object_set_new(object, p->name, entry) && ok;
        *bytes = end;
    }
    if (!ok) {
        json_decref(object);
        return cz_fail(CZ_ERR_BUG, "the weights cannot be described in JSON: a name or a text of "
                                   "the metadata occurs twice or is not UTF-8");
    }
    *header = object;
    return CZ_OK;
}

static void copy_tensor(char *to, const cz_param_entry *entry, const void *w, cz_dtype dtype)
{
    size_t n = cz_param_size(entry);
    if (dtype == CZ_F32) {
        memcpy(to, (const float *)w + entry->offset, n * sizeof(float));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float rounded = (float)((const double *)w)[entry->offset + i];
        memcpy(to + i * sizeof rounded, &rounded, sizeof rounded);
    }
}

cz_status cz_safetensors_write(const char *path, const cz_param_entry *params, int count,
                               const void *w, cz_dtype dtype, const char *const *metadata,
                               int pairs)
{
    json_t *header = NULL;
    size_t bytes, at;
    char *text = NULL, *file = NULL;
    CZ_TRY(describe(&header, &bytes, params, count, metadata, pairs));
    cz_status status = CZ_ERR_MEMORY;
    text = json_dumps(header, JSON_COMPACT);
    if (!text) {
        cz_fail(status, "no memory for the header of %s", path);
        goto done;
    }
    uint64_t length = strlen(text), padded = (length + 7) / 8 * 8;
    file = cz_alloc(8 + padded + bytes, 1, "the weights as safetensors");
    if (!file) goto done;

    for (int i = 0; i < 8; i++) file[i] = (char)(padded >> 8 * i);
    for (size_t i = 0; i < padded; i++) file[8 + i] = i < length ? text[i] : ' ';
    at = 8 + padded;
    for (int i = 0; i < count; i++) {
        copy_tensor(file + at, &params[i], w, dtype);
        at += cz_param_size(&params[i]) * sizeof(float);
    }
    status = cz_write_file(path, file, at);

done:
    free(file);
    free(text);
    json_decref(header);
    return status;
}
