#include "safetensors_header.h"

#include "czhpc/mapped.h"

#include <stdlib.h>
#include <string.h>

struct cz_safetensors_own {
    json_t *header;
    cz_mapped mapped; /* {0} where the bytes are the caller's */
};

static int by_name(const void *a, const void *b)
{
    const cz_stored_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

cz_status cz_safetensors_parse(cz_safetensors **file, const char *path, const void *bytes,
                               size_t size)
{
    *file = NULL;
    cz_safetensors *f = cz_alloc(1, sizeof *f, "a safetensors file");
    if (!f) return CZ_ERR_MEMORY;
    f->own = cz_alloc(1, sizeof *f->own, "a safetensors file");
    cz_status status = f->own ? CZ_OK : CZ_ERR_MEMORY;
    if (!status)
        status = safetensors_header(&f->own->header, &f->tensor, &f->count, path, bytes, size);
    if (status) {
        cz_safetensors_close(f);
        return status;
    }
    qsort(f->tensor, (size_t)f->count, sizeof *f->tensor, by_name);
    *file = f;
    return CZ_OK;
}

cz_status cz_safetensors_open(cz_safetensors **file, const char *path)
{
    cz_mapped mapped;
    *file = NULL;
    CZ_TRY(cz_mapped_open(&mapped, path));
    cz_status status = cz_safetensors_parse(file, path, mapped.bytes, mapped.size);
    if (status) cz_mapped_close(&mapped);
    else (*file)->own->mapped = mapped;
    return status;
}

void cz_safetensors_close(cz_safetensors *file)
{
    if (!file) return;
    if (file->own) {
        json_decref(file->own->header);
        cz_mapped_close(&file->own->mapped);
    }
    free(file->own);
    free(file->tensor);
    free(file);
}

const cz_stored_tensor *cz_safetensors_find(const cz_safetensors *file, const char *name)
{
    const cz_stored_tensor wanted = {.name = name};
    return bsearch(&wanted, file->tensor, (size_t)file->count, sizeof wanted, by_name);
}
