#include "czhpc/h5_read.h"
#include "czhpc/text.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Integers; or an enumeration, by its values' names (booleans are FALSE and TRUE, which
 * Python shows as False and True). */
static cz_status read_numbers(char ***texts, int count, hid_t file, const char *place,
                              hid_t dataset)
{
    cz_status status = CZ_OK;
    hid_t type = H5Dget_type(dataset);
    bool names = H5Tget_class(type) == H5T_ENUM;
    bool whole = !names && H5Tget_sign(type) == H5T_SGN_NONE;
    /* The names of an enumeration are those of its values as they are stored. */
    size_t size = names ? H5Tget_size(type) : sizeof(int64_t);
    int64_t *raw = cz_alloc((size_t)count, sizeof *raw, "integers");
    char **found = *texts = cz_alloc((size_t)count, sizeof *found, "texts");
    if (!raw || !found) status = CZ_ERR_MEMORY;
    else if (size > sizeof *raw || H5Dread(dataset,
                                           names   ? type
                                           : whole ? H5T_NATIVE_UINT64
                                                   : H5T_NATIVE_INT64,
                                           H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) < 0)
        status = cz_h5_fail(CZ_ERR_INPUT, file, place, "its values cannot be read");
    for (int i = 0; !status && i < count; i++) {
        char text[64] = "";
        if (!names && whole) snprintf(text, sizeof text, "%" PRIu64, (uint64_t)raw[i]);
        else if (!names) snprintf(text, sizeof text, "%" PRId64, raw[i]);
        else if (H5Tenum_nameof(type, (char *)raw + (size_t)i * size, text, sizeof text) < 0)
            status = cz_h5_fail(CZ_ERR_INPUT, file, place, "value %d has no name", i);
        if (!strcmp(text, "FALSE")) snprintf(text, sizeof text, "False");
        if (!strcmp(text, "TRUE")) snprintf(text, sizeof text, "True");
        if (!status && !(found[i] = strdup(text)))
            status = cz_fail(CZ_ERR_MEMORY, "no memory for %d texts", count);
    }
    H5Tclose(type);
    free(raw);
    return status;
}

/* Floating-point numbers, as Python prints them in their own precision. */
static cz_status read_floats(char ***texts, int count, hid_t file, const char *place, hid_t dataset)
{
    hid_t type = H5Dget_type(dataset);
    size_t size = H5Tget_size(type);
    int bits = size <= 2 ? 11 : size <= 4 ? 24 : 53;
    cz_status status = CZ_OK;
    double *raw = cz_alloc((size_t)count, sizeof *raw, "numbers");
    char **found = *texts = cz_alloc((size_t)count, sizeof *found, "texts");
    if (!raw || !found) status = CZ_ERR_MEMORY;
    else if (H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) < 0)
        status = cz_h5_fail(CZ_ERR_INPUT, file, place, "its values cannot be read");
    for (int i = 0; !status && i < count; i++) {
        char text[CZ_NUMBER_MAX];
        cz_text_float(text, raw[i], bits);
        if (!(found[i] = strdup(text)))
            status = cz_fail(CZ_ERR_MEMORY, "no memory for %d texts", count);
    }
    H5Tclose(type);
    free(raw);
    return status;
}

cz_status cz_h5_texts(char ***texts, int *count, hid_t file, const char *place)
{
    hsize_t size = 0;
    size_t read = 0;
    H5T_class_t class;
    *texts = NULL;
    *count = 0;
    CZ_TRY(cz_h5_layout(&size, &class, file, place, 1));
    if (class != H5T_STRING && class != H5T_INTEGER && class != H5T_ENUM && class != H5T_FLOAT)
        return cz_h5_fail(CZ_ERR_INPUT, file, place,
                          "holds neither texts, numbers nor booleans: make it a category or a "
                          "string in Python");
    if (size >= INT_MAX)
        return cz_h5_fail(CZ_ERR_INPUT, file, place, "has %llu entries, more than can be",
                          (unsigned long long)size);
    hid_t dataset;
    CZ_TRY(cz_h5_open_dataset(&dataset, file, place));
    int n = (int)size;
    cz_status status = class == H5T_STRING  ? cz_h5_read_strings(dataset, texts, &read)
                       : class == H5T_FLOAT ? read_floats(texts, n, file, place, dataset)
                                            : read_numbers(texts, n, file, place, dataset);
    cz_h5_close(&dataset);
    for (int i = 0; !status && i < n; i++)
        if (cz_text_utf8((*texts)[i], strlen((*texts)[i])) < strlen((*texts)[i]))
            status = cz_h5_fail(CZ_ERR_INPUT, file, place, "text %d is not UTF-8", i);
    if (status) {
        cz_h5_free_strings(*texts, (size_t)n);
        *texts = NULL;
        return status;
    }
    *count = n;
    return CZ_OK;
}
