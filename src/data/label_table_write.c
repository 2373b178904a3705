/* Writing a table of label vectors. */
#include "czhpc/label_table.h"
#include "label_check.h"

#include "czhpc/file.h"
#include "czhpc/h5.h"
#include "czhpc/rng.h"

#include <stdlib.h>
#include <string.h>

int64_t label_check(char *const *label, const float *vector, int rows, int width)
{
    uint64_t hash = cz_hash(0, vector, (size_t)rows * (size_t)width * sizeof *vector);
    for (int i = 0; i < rows; i++) hash = cz_hash(hash, label[i], strlen(label[i]) + 1);
    return (int64_t)hash;
}

static cz_status write_set(hid_t file, const char *name, hid_t type, int axes, const hsize_t *dim,
                           const void *values)
{
    cz_status status = CZ_OK;
    hid_t space = H5Screate_simple(axes, dim, NULL);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (set < 0 || H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        status = cz_h5_fail(CZ_ERR_IO, file, name, "cannot be written");
    cz_h5_close(&space);
    if (!cz_h5_close(&set) && !status)
        status = cz_h5_fail(CZ_ERR_IO, file, name, "cannot be written");
    return status;
}

static cz_status fill(hid_t file, char *const *label, const float *vector, int rows, int width,
                      const char *key, const char *model, const char *pooling)
{
    const hsize_t dim[2] = {(hsize_t)rows, (hsize_t)width};
    hid_t text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, H5T_VARIABLE);
    H5Tset_cset(text, H5T_CSET_UTF8);
    cz_status status = write_set(file, "labels", text, 1, dim, label);
    cz_h5_close(&text);
    if (!status) status = write_set(file, "vectors", H5T_NATIVE_FLOAT, 2, dim, vector);
    if (!status && key[0]) status = cz_h5_write_string(file, "czhpc_key", key);
    if (!status) status = cz_h5_write_string(file, "model", model);
    if (!status) status = cz_h5_write_string(file, "pooling", pooling);
    if (!status)
        status = cz_h5_write_int(file, "czhpc_check", label_check(label, vector, rows, width));
    return status;
}

cz_status cz_label_table_write(const char *path, char *const *label, const float *vector, int rows,
                               int width, const char *key, const char *model, const char *pooling)
{
    static const char what[] = "a table of label vectors";
    void *bytes = NULL;
    size_t size = 0;
    hid_t file;
    cz_status status = cz_h5_create_image(&file, what);
    if (!status) status = fill(file, label, vector, rows, width, key, model, pooling);
    if (!status) status = cz_h5_take_image(&bytes, &size, file, what);
    cz_h5_close(&file);
    if (!status) status = cz_write_file(path, bytes, size);
    free(bytes);
    return status;
}
