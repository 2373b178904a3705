/* Scalar attributes and datasets of strings. */
#include "czhpc/h5.h"

#include <stdlib.h>
#include <string.h>

/* A scalar attribute of `type`, created or replaced. */
static cz_status write_scalar(hid_t at, const char *name, hid_t stored, hid_t memory,
                              const void *value)
{
    cz_status status = CZ_OK;
    hid_t space = H5Screate(H5S_SCALAR), attribute = H5I_INVALID_HID;
    if (cz_h5_has_attribute(at, name)) H5Adelete(at, name);
    attribute = H5Acreate2(at, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, memory, value) < 0)
        status = cz_h5_fail(CZ_ERR_IO, at, name, "attribute cannot be written");
    cz_h5_close(&attribute);
    cz_h5_close(&space);
    return status;
}

static hid_t variable_utf8(void)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

cz_status cz_h5_write_string(hid_t at, const char *name, const char *text)
{
    hid_t type = variable_utf8();
    cz_status status = write_scalar(at, name, type, type, &text);
    cz_h5_close(&type);
    return status;
}

cz_status cz_h5_write_int(hid_t at, const char *name, int64_t value)
{
    return write_scalar(at, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

cz_status cz_h5_write_double(hid_t at, const char *name, double value)
{
    return write_scalar(at, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

/* Opens attribute `name`, which must hold one value; its type's class through *class. */
static cz_status open_scalar(hid_t *attribute, hid_t *type, H5T_class_t *class, hid_t at,
                             const char *name)
{
    *attribute = *type = H5I_INVALID_HID;
    if (!cz_h5_has_attribute(at, name))
        return cz_h5_fail(CZ_ERR_INPUT, at, name, "attribute is missing");
    *attribute = H5Aopen(at, name, H5P_DEFAULT);
    hid_t space = *attribute < 0 ? H5I_INVALID_HID : H5Aget_space(*attribute);
    hssize_t points = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    *type = *attribute < 0 ? H5I_INVALID_HID : H5Aget_type(*attribute);
    *class = *type < 0 ? H5T_NO_CLASS : H5Tget_class(*type);
    cz_h5_close(&space);
    if (points == 1 && *class != H5T_NO_CLASS) return CZ_OK;
    cz_h5_close(attribute);
    cz_h5_close(type);
    return cz_h5_fail(CZ_ERR_INPUT, at, name, "attribute cannot be read as one value");
}

static cz_status read_number(hid_t at, const char *name, hid_t memory, bool whole, void *value)
{
    hid_t attribute, type;
    H5T_class_t class = H5T_NO_CLASS;
    CZ_TRY(open_scalar(&attribute, &type, &class, at, name));
    cz_status status = CZ_OK;
    if (class != H5T_INTEGER && (whole || class != H5T_FLOAT))
        status = cz_h5_fail(CZ_ERR_INPUT, at, name, "attribute is not %s",
                            whole ? "an integer" : "a number");
    else if (H5Aread(attribute, memory, value) < 0)
        status = cz_h5_fail(CZ_ERR_INPUT, at, name, "attribute cannot be read");
    cz_h5_close(&type);
    cz_h5_close(&attribute);
    return status;
}

cz_status cz_h5_read_int(hid_t at, const char *name, int64_t *value)
{
    return read_number(at, name, H5T_NATIVE_INT64, true, value);
}

cz_status cz_h5_read_double(hid_t at, const char *name, double *value)
{
    return read_number(at, name, H5T_NATIVE_DOUBLE, false, value);
}

/* A string type to read `stored` by: variable, or fixed with room for a final 0. */
static hid_t memory_string(hid_t stored, size_t *fixed)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    *fixed = H5Tis_variable_str(stored) > 0 ? 0 : H5Tget_size(stored) + 1;
    H5Tset_size(type, *fixed ? *fixed : H5T_VARIABLE);
    H5Tset_cset(type, H5Tget_cset(stored));
    return type;
}

cz_status cz_h5_read_string(hid_t at, const char *name, char **text)
{
    hid_t attribute, type, memory = H5I_INVALID_HID;
    H5T_class_t class = H5T_NO_CLASS;
    size_t fixed = 0;
    char *read = NULL;
    *text = NULL;
    CZ_TRY(open_scalar(&attribute, &type, &class, at, name));
    cz_status status = CZ_OK;
    if (class != H5T_STRING) {
        status = cz_h5_fail(CZ_ERR_INPUT, at, name, "attribute is not a string");
        goto done;
    }
    memory = memory_string(type, &fixed);
    if (fixed && !(read = cz_alloc(fixed, 1, "a string"))) {
        status = CZ_ERR_MEMORY;
        goto done;
    }
    if (H5Aread(attribute, memory, fixed ? (void *)read : (void *)&read) < 0) {
        if (!fixed) read = NULL;
        status = cz_h5_fail(CZ_ERR_INPUT, at, name, "attribute cannot be read");
        goto done;
    }
    *text = strdup(read ? read : "");
    if (!*text) status = cz_fail(CZ_ERR_MEMORY, "no memory for a string");

done:
    if (fixed) free(read);
    else H5free_memory(read);
    cz_h5_close(&memory);
    cz_h5_close(&type);
    cz_h5_close(&attribute);
    return status;
}

/* Copies `count` strings out of what HDF5 read; the first failure of memory ends it. */
static cz_status copy_strings(char **strings, const char *packed, char *const *variable,
                              size_t fixed, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *text = fixed ? packed + i * fixed : variable[i];
        strings[i] = strdup(text ? text : "");
        if (!strings[i]) return cz_fail(CZ_ERR_MEMORY, "no memory for %zu strings", count);
    }
    return CZ_OK;
}

/* The n strings of a dataset or an attribute. */
static cz_status read_all_strings(hid_t from, hid_t space, size_t n, char ***strings, size_t *count)
{
    size_t fixed = 0;
    void *read = NULL;
    bool filled = false;
    cz_status status = CZ_OK;
    bool attribute = H5Iget_type(from) == H5I_ATTR;
    hid_t type = attribute ? H5Aget_type(from) : H5Dget_type(from), memory = H5I_INVALID_HID;
    if (type < 0 || H5Tget_class(type) != H5T_STRING) {
        status = cz_h5_fail(CZ_ERR_INPUT, from, NULL, "does not hold strings");
        goto done;
    }
    memory = memory_string(type, &fixed);
    read = cz_alloc(n, fixed ? fixed : sizeof(char *), "strings of a file");
    *strings = cz_alloc(n, sizeof(char *), "strings of a file");
    if (!read || !*strings) {
        status = CZ_ERR_MEMORY;
        goto done;
    }
    *count = n;
    if (n > 0 && (attribute ? H5Aread(from, memory, read)
                            : H5Dread(from, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, read)) < 0) {
        status = cz_h5_fail(CZ_ERR_INPUT, from, NULL, "cannot be read");
        goto done;
    }
    filled = n > 0 && !fixed;
    status = copy_strings(*strings, read, read, fixed, n);

done:
    if (filled) H5Dvlen_reclaim(memory, space, H5P_DEFAULT, read);
    free(read);
    if (status) {
        cz_h5_free_strings(*strings, *count);
        *strings = NULL;
        *count = 0;
    }
    cz_h5_close(&memory);
    cz_h5_close(&type);
    return status;
}

cz_status cz_h5_read_strings(hid_t dataset, char ***strings, size_t *count)
{
    int rank;
    hsize_t n = 1;
    *strings = NULL;
    *count = 0;
    CZ_TRY(cz_h5_shape(dataset, 1, &rank, &n));
    hid_t space = H5Dget_space(dataset);
    cz_status status = read_all_strings(dataset, space, rank < 0 ? 0 : (size_t)n, strings, count);
    cz_h5_close(&space);
    return status;
}

cz_status cz_h5_read_strings_attribute(hid_t at, const char *name, char ***strings, size_t *count)
{
    *strings = NULL;
    *count = 0;
    if (!cz_h5_has_attribute(at, name))
        return cz_h5_fail(CZ_ERR_INPUT, at, name, "attribute is missing");
    hid_t attribute = H5Aopen(at, name, H5P_DEFAULT);
    hid_t space = attribute < 0 ? H5I_INVALID_HID : H5Aget_space(attribute);
    cz_status status = CZ_OK;
    if (space < 0) status = cz_h5_fail(CZ_ERR_INPUT, at, name, "attribute cannot be read");
    else if (H5Sget_simple_extent_type(space) != H5S_NULL &&
             H5Sget_simple_extent_npoints(space) > 0)
        status = read_all_strings(attribute, space, (size_t)H5Sget_simple_extent_npoints(space),
                                  strings, count);
    cz_h5_close(&space);
    cz_h5_close(&attribute);
    return status;
}

void cz_h5_free_strings(char **strings, size_t count)
{
    for (size_t i = 0; strings && i < count; i++) free(strings[i]);
    free(strings);
}
