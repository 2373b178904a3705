/* A safetensors file: an input that begins with '{' is the header up to the first byte 0, and then
 * the data; any other is the whole file. What opens has all its tensors within the file, finds
 * each, and converts it. */
#include "czhpc/safetensors.h"
#include "fuzz.h"

/* The file in memory of its own size, so that reading beyond shows. */
static char *compose(const uint8_t *data, size_t size, size_t *bytes)
{
    bool whole = !size || data[0] != '{';
    const uint8_t *stop = whole ? NULL : memchr(data, 0, size);
    size_t header = stop ? (size_t)(stop - data) : size;
    size_t rest = stop ? size - header - 1 : 0, before = whole ? 0 : 8;
    *bytes = before + header + rest;
    char *file = malloc(*bytes ? *bytes : 1);
    if (!file) exit(2);
    for (size_t i = 0; i < before; i++) file[i] = (char)(header >> 8 * i);
    memcpy(file + before, data, header);
    if (rest) memcpy(file + before + header, stop + 1, rest);
    return file;
}

static size_t width(const cz_stored_tensor *t)
{
    if (!cz_stored_is_float(t)) return 1; /* at least */
    return !strcmp(t->dtype, "F64") ? 8 : !strcmp(t->dtype, "F32") ? 4 : 2;
}

static void check_tensor(const cz_stored_tensor *t, const char *file, size_t size)
{
    const char *data = t->data;
    size_t elements = 1;
    fuzz_must(t->rank >= 0 && t->rank <= CZ_STORED_AXES);
    for (int i = 0; i < t->rank; i++) {
        fuzz_must(t->dim[i] >= 0);
        elements *= (size_t)t->dim[i];
    }
    fuzz_must(t->elements == elements && data >= file && data <= file + size);
    fuzz_must(t->elements <= (size_t)(file + size - data) / width(t));
    if (!cz_stored_is_float(t)) return;
    float *values = malloc((elements ? elements : 1) * sizeof *values);
    if (!values) exit(2);
    cz_stored_copy(values, t);
    const float *in_place = cz_stored_in_place(t);
    fuzz_must(!in_place || !memcmp(in_place, values, elements * sizeof *values));
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cz_safetensors *f;
    size_t bytes;
    char *file = compose(data, size, &bytes);
    cz_status status = cz_safetensors_parse(&f, "fuzz", file, bytes);
    if (fuzz_good(status, CZ_ERR_INPUT, CZ_ERR_MEMORY)) {
        for (int i = 0; i < f->count; i++) {
            check_tensor(&f->tensor[i], file, bytes);
            fuzz_must(cz_safetensors_find(f, f->tensor[i].name) == &f->tensor[i]);
            fuzz_must(i == 0 || strcmp(f->tensor[i - 1].name, f->tensor[i].name) < 0);
        }
    } else {
        fuzz_must(!f);
    }
    cz_safetensors_close(f);
    free(file);
    return 0;
}
