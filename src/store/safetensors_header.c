/* Every check of a header that may be hostile. */
#include "safetensors_header.h"

#include "czhpc/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the length that a file begins with; of JSON at most; of a name in a message. */
enum { LENGTH = 8, HEADER_MAX = 100000000, NAME = 120 };

typedef struct data {
    const char *path;
    const char *begin;
    size_t size;
} data;

static const struct dtype {
    const char *name;
    size_t size;
} dtypes[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2},    {"F64", 8},     {"BOOL", 1},
              {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"I16", 2},
              {"U16", 2}, {"I32", 4}, {"U32", 4},     {"I64", 8},     {"U64", 8}};

/* Bytes of an element, 0 of an unknown type. */
static size_t stored_size(const char *dtype)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(dtype, dtypes[i].name)) return dtypes[i].size;
    return 0;
}

__attribute__((format(printf, 3, 4))) static cz_status refuse(const data *d, const char *name,
                                                              const char *format, ...)
{
    char shown[NAME], text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return cz_fail(CZ_ERR_INPUT, "%s: %s: %s", d->path,
                   cz_text_printable(shown, sizeof shown, name), text);
}

static cz_status read_shape(cz_stored_tensor *t, const json_t *shape, const data *d)
{
    t->elements = 1;
    if (!shape) return refuse(d, t->name, "has no shape");
    if (!json_is_array(shape))
        return refuse(d, t->name, "its shape is no list, expected one of whole numbers");
    if (json_array_size(shape) > CZ_STORED_AXES)
        return refuse(d, t->name, "has %zu axes, expected %d at most", json_array_size(shape),
                      CZ_STORED_AXES);
    t->rank = (int)json_array_size(shape);
    for (int i = 0; i < t->rank; i++) {
        const json_t *axis = json_array_get(shape, (size_t)i);
        t->dim[i] = json_is_integer(axis) ? json_integer_value(axis) : -1;
        if (t->dim[i] < 0)
            return refuse(d, t->name, "axis %d of its shape is no whole number of 0 or more", i);
        if (__builtin_mul_overflow(t->elements, (size_t)t->dim[i], &t->elements))
            return refuse(d, t->name, "its shape has more elements than can be counted");
    }
    return CZ_OK;
}

/* Where it lies, which must be in the data and have the size that type and shape tell. */
static cz_status read_place(cz_stored_tensor *t, const json_t *offsets, const data *d)
{
    const json_t *pair[2] = {json_array_get(offsets, 0), json_array_get(offsets, 1)};
    size_t bytes;
    if (!offsets) return refuse(d, t->name, "has no data_offsets");
    if (json_array_size(offsets) != 2 || !json_is_integer(pair[0]) || !json_is_integer(pair[1]))
        return refuse(d, t->name, "its data_offsets are not two whole numbers");
    long long begin = json_integer_value(pair[0]), end = json_integer_value(pair[1]);
    if (begin < 0)
        return refuse(d, t->name, "its data_offsets begin at %lld, expected 0 or more", begin);
    if (end < begin)
        return refuse(d, t->name, "its data_offsets end at %lld, before they begin at %lld", end,
                      begin);
    if ((size_t)end > d->size)
        return refuse(d, t->name,
                      "ends at byte %lld of the data, of which there are %zu: the file is "
                      "truncated, fetch it again",
                      end, d->size);
    if (__builtin_mul_overflow(t->elements, stored_size(t->dtype), &bytes) ||
        bytes != (size_t)(end - begin))
        return refuse(d, t->name,
                      "its data_offsets span %lld bytes, which %zu elements of %s "
                      "do not take",
                      end - begin, t->elements, t->dtype);
    t->data = d->begin + begin;
    return CZ_OK;
}

static cz_status read_tensor(cz_stored_tensor *t, const char *name, const json_t *entry,
                             const data *d)
{
    char shown[NAME];
    *t = (cz_stored_tensor){.name = name};
    if (!json_is_object(entry))
        return refuse(d, name, "is no object, expected one of dtype, shape and data_offsets");
    const json_t *dtype = json_object_get(entry, "dtype");
    if (!dtype) return refuse(d, name, "has no dtype");
    t->dtype = json_string_value(dtype);
    if (!t->dtype) return refuse(d, name, "its dtype is no text, expected one as \"F32\"");
    if (!stored_size(t->dtype))
        return refuse(d, name, "its dtype %s is unknown",
                      cz_text_printable(shown, sizeof shown, t->dtype));
    CZ_TRY(read_shape(t, json_object_get(entry, "shape"), d));
    return read_place(t, json_object_get(entry, "data_offsets"), d);
}

static cz_status check_metadata(json_t *metadata, const data *d)
{
    char shown[NAME];
    if (!json_is_object(metadata))
        return refuse(d, "__metadata__", "is no object, expected one of texts");
    for (void *i = json_object_iter(metadata); i; i = json_object_iter_next(metadata, i))
        if (!json_is_string(json_object_iter_value(i)))
            return refuse(d, "__metadata__", "its %s is no text",
                          cz_text_printable(shown, sizeof shown, json_object_iter_key(i)));
    return CZ_OK;
}

/* By where they begin; of those that begin together the empty ones first. */
static int by_place(const void *a, const void *b)
{
    const cz_stored_tensor *x = a, *y = b;
    const char *at = x->data, *other = y->data;
    if (at != other) return at < other ? -1 : 1;
    return (x->elements > 0) - (y->elements > 0);
}

static cz_status check_places(cz_stored_tensor *tensor, int count, const data *d)
{
    char shown[NAME];
    const char *end = d->begin;
    qsort(tensor, (size_t)count, sizeof *tensor, by_place);
    for (int i = 0; i < count; i++) {
        const cz_stored_tensor *t = &tensor[i];
        const char *begin = t->data;
        if (begin < end)
            return refuse(d, t->name,
                          "overlaps %s: it begins at byte %zu of the data, which "
                          "ends at %zu",
                          cz_text_printable(shown, sizeof shown, tensor[i - 1].name),
                          (size_t)(begin - d->begin), (size_t)(end - d->begin));
        if (begin > end)
            return refuse(d, t->name, "a hole of %zu bytes lies before it, expected none",
                          (size_t)(begin - end));
        end = begin + t->elements * stored_size(t->dtype);
    }
    if (end == d->begin + d->size) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT, "%s: %zu bytes follow the last tensor, expected none", d->path,
                   (size_t)(d->begin + d->size - end));
}

static cz_status read_entries(cz_stored_tensor *tensor, int *count, json_t *header, const data *d)
{
    for (void *i = json_object_iter(header); i; i = json_object_iter_next(header, i)) {
        const char *name = json_object_iter_key(i);
        json_t *entry = json_object_iter_value(i);
        if (!strcmp(name, "__metadata__")) CZ_TRY(check_metadata(entry, d));
        else CZ_TRY(read_tensor(&tensor[(*count)++], name, entry, d));
    }
    return check_places(tensor, *count, d);
}

/* Bytes of the JSON. */
static cz_status find_header(size_t *length, const char *path, const char *bytes, size_t size)
{
    static const char lfs[] = "version https://git-lfs";
    uint64_t n = 0;
    if (!size) return cz_fail(CZ_ERR_INPUT, "%s: is empty, expected a safetensors file", path);
    if (size >= sizeof lfs - 1 && !memcmp(bytes, lfs, sizeof lfs - 1))
        return cz_fail(CZ_ERR_INPUT,
                       "%s: is a git-lfs pointer, not the weights: fetch them by git lfs pull",
                       path);
    if (size < LENGTH)
        return cz_fail(CZ_ERR_INPUT,
                       "%s: is truncated: a safetensors file has 8 bytes at least, this %zu", path,
                       size);
    for (int i = 0; i < LENGTH; i++) n |= (uint64_t)(unsigned char)bytes[i] << 8 * i;
    if (n > HEADER_MAX)
        return cz_fail(CZ_ERR_INPUT,
                       "%s: its header would have %llu bytes, expected %d at most: it is no "
                       "safetensors file",
                       path, (unsigned long long)n, HEADER_MAX);
    if (n > size - LENGTH)
        return cz_fail(CZ_ERR_INPUT,
                       "%s: is truncated: its header has %llu bytes, of which %zu are there: "
                       "fetch it again",
                       path, (unsigned long long)n, size - LENGTH);
    if (!n || bytes[LENGTH] != '{')
        return cz_fail(CZ_ERR_INPUT,
                       "%s: its header does not begin with '{': it is no "
                       "safetensors file",
                       path);
    *length = (size_t)n;
    return CZ_OK;
}

/* The name, as the header writes it, that ends with the quote before `end`. */
static void copy_name(char *name, size_t size, const char *json, const char *end)
{
    const char *begin = end - 1;
    bool quote = false;
    while (begin > json && !quote) {
        if (*--begin != '"') continue;
        const char *escape = begin;
        while (escape > json && escape[-1] == '\\') escape--;
        quote = (begin - escape) % 2 == 0;
    }
    snprintf(name, size, "%.*s", (int)(end - begin), begin);
}

static cz_status not_json(const char *path, const char *json, const json_error_t *error)
{
    char name[2 * NAME], shown[NAME];
    if (!error->text[0]) return cz_fail(CZ_ERR_MEMORY, "no memory for the header of %s", path);
    if (json_error_code(error) != json_error_duplicate_key)
        return cz_fail(CZ_ERR_INPUT, "%s: its header is not JSON: %s, at byte %d of it", path,
                       cz_text_printable(shown, sizeof shown, error->text), error->position);
    copy_name(name, sizeof name, json, json + error->position);
    return cz_fail(CZ_ERR_INPUT, "%s: its header has %s twice, at byte %d of it again", path,
                   cz_text_printable(shown, sizeof shown, name), error->position);
}

cz_status safetensors_header(json_t **header, cz_stored_tensor **tensor, int *count,
                             const char *path, const char *bytes, size_t size)
{
    json_error_t error;
    size_t length = 0;
    *header = NULL;
    *tensor = NULL;
    *count = 0;
    CZ_TRY(find_header(&length, path, bytes, size));
    *header = json_loadb(bytes + LENGTH, length, JSON_REJECT_DUPLICATES, &error);
    if (!*header) return not_json(path, bytes + LENGTH, &error);
    *tensor = cz_alloc(json_object_size(*header), sizeof **tensor, "the tensors of a model");
    if (!*tensor) return CZ_ERR_MEMORY;
    data d = {path, bytes + LENGTH + length, size - LENGTH - length};
    return read_entries(*tensor, count, *header, &d);
}
