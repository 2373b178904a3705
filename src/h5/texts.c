#include "czhpc/h5_read.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cz_h5_free_texts(char **texts, int count)
{
    for (int i = 0; texts && i < count; i++) free(texts[i]);
    free(texts);
}

/* Whether `text` is UTF-8 as RFC 3629 has it: no overlong form, no surrogate. */
static bool is_utf8(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        int more = *at < 0x80 ? 0 : *at >= 0xF0 ? 3 : *at >= 0xE0 ? 2 : 1;
        uint32_t code = more == 0 ? *at : *at & (0x3Fu >> more);
        if (more && (*at < 0xC2 || *at > 0xF4)) return false;
        at++;
        for (int i = 0; i < more; i++, at++) {
            if ((*at & 0xC0) != 0x80) return false;
            code = code << 6 | (*at & 0x3Fu);
        }
        if ((more == 2 && code < 0x800) || (more == 3 && (code < 0x10000 || code > 0x10FFFF)) ||
            (code >= 0xD800 && code <= 0xDFFF))
            return false;
    }
    return true;
}

static char *copy_text(const char *text, size_t length)
{
    char *copy = malloc(length + 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = 0;
    }
    return copy;
}

/* A NULL in a variable-length dataset was never written: an empty text. */
static cz_status read_variable(char **texts, int count, const cz_h5_file *file, const char *place,
                               hid_t dataset, hid_t type)
{
    char **raw = cz_alloc((size_t)count, sizeof *raw, "texts");
    if (!raw) return CZ_ERR_MEMORY;
    cz_status status = CZ_OK;
    hid_t space = H5Dget_space(dataset);
    if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) < 0) {
        status = cz_h5_fail(file, place, "its texts cannot be read: the file is damaged");
    } else {
        for (int i = 0; i < count; i++)
            texts[i] = raw[i] ? copy_text(raw[i], strlen(raw[i])) : copy_text("", 0);
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw);
    }
    H5Sclose(space);
    free(raw);
    return status;
}

static cz_status read_fixed(char **texts, int count, const cz_h5_file *file, const char *place,
                            hid_t dataset, hid_t type)
{
    size_t size = H5Tget_size(type);
    char *raw = cz_alloc((size_t)count, size, "texts");
    if (!raw) return CZ_ERR_MEMORY;
    cz_status status = CZ_OK;
    if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) < 0)
        status = cz_h5_fail(file, place, "its texts cannot be read: the file is damaged");
    bool spaces = H5Tget_strpad(type) == H5T_STR_SPACEPAD;
    for (int i = 0; !status && i < count; i++) {
        size_t length = strnlen(raw + (size_t)i * size, size);
        while (spaces && length && raw[(size_t)i * size + length - 1] == ' ') length--;
        texts[i] = copy_text(raw + (size_t)i * size, length);
    }
    free(raw);
    return status;
}

/* Integers; or an enumeration, by its values' names (booleans are FALSE and TRUE, which
 * Python shows as False and True). */
static cz_status read_numbers(char **texts, int count, const cz_h5_file *file, const char *place,
                              hid_t dataset, hid_t type)
{
    bool names = H5Tget_class(type) == H5T_ENUM;
    int64_t *raw = cz_alloc((size_t)count, sizeof *raw, "integers");
    if (!raw) return CZ_ERR_MEMORY;
    cz_status status = CZ_OK;
    /* HDF5 converts no enumeration to an integer; an enumeration's values are read as stored. */
    hid_t memory = names ? H5Tget_super(type) : H5Tcopy(H5T_NATIVE_INT64);
    size_t size = names ? H5Tget_size(type) : sizeof *raw;
    if (size > sizeof *raw ||
        H5Dread(dataset, names ? type : memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) < 0)
        status = cz_h5_fail(file, place, "its values cannot be read: the file is damaged");
    for (int i = 0; !status && i < count; i++) {
        char text[64] = "";
        const char *value = (const char *)raw + (size_t)i * size;
        if (!names) snprintf(text, sizeof text, "%" PRId64, raw[i]);
        else if (H5Tenum_nameof(type, value, text, sizeof text) < 0)
            status = cz_h5_fail(file, place, "value %d is none of the enumeration's", i);
        if (!strcmp(text, "FALSE")) snprintf(text, sizeof text, "False");
        if (!strcmp(text, "TRUE")) snprintf(text, sizeof text, "True");
        texts[i] = copy_text(text, strlen(text));
    }
    H5Tclose(memory);
    free(raw);
    return status;
}

cz_status cz_h5_texts(char ***texts, int *count, const cz_h5_file *file, const char *place)
{
    hsize_t size = 0;
    H5T_class_t class;
    *texts = NULL;
    *count = 0;
    CZ_TRY(cz_h5_shape(&size, &class, file, place, 1));
    if (class != H5T_STRING && class != H5T_INTEGER && class != H5T_ENUM)
        return cz_h5_fail(file, place,
                          "holds %s, expected texts, integers or booleans: make it a category or "
                          "a string in Python",
                          class == H5T_FLOAT ? "floating-point numbers" : "an unknown type");
    if (size >= INT_MAX)
        return cz_h5_fail(file, place, "has %llu entries, more than can be",
                          (unsigned long long)size);
    char **found = cz_alloc((size_t)size, sizeof *found, "texts");
    if (!found) return CZ_ERR_MEMORY;
    hid_t dataset = H5Dopen2(file->id, place, H5P_DEFAULT), type = H5Dget_type(dataset);
    int n = (int)size;
    cz_status status = class != H5T_STRING ? read_numbers(found, n, file, place, dataset, type)
                       : H5Tis_variable_str(type) > 0
                           ? read_variable(found, n, file, place, dataset, type)
                           : read_fixed(found, n, file, place, dataset, type);
    H5Tclose(type);
    H5Dclose(dataset);
    for (int i = 0; !status && i < n; i++) {
        if (!found[i]) status = cz_fail(CZ_ERR_MEMORY, "no memory for %d texts", n);
        else if (!is_utf8(found[i]))
            status = cz_h5_fail(file, place, "text %d is not UTF-8: the file is damaged", i);
    }
    if (status) {
        cz_h5_free_texts(found, n);
        return status;
    }
    *texts = found;
    *count = n;
    return CZ_OK;
}
