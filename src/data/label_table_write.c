/* Writing a table of label vectors. */
#include "czhpc/label_table.h"
#include "label_check.h"

#include "czhpc/h5.h"
#include "czhpc/rng.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
    /* A name of its own: several jobs may write one table at once, and the last one wins. */
    struct timespec now;
    char unfinished[2 * CZ_PATH_MAX];
    clock_gettime(CLOCK_REALTIME, &now);
    if (snprintf(unfinished, sizeof unfinished, "%s.%ld-%ld.tmp", path, (long)getpid(),
                 now.tv_nsec) >= (int)sizeof unfinished)
        return cz_fail(CZ_ERR_IO, "%.100s...: the path is too long", path);
    cz_h5_quiet();
    hid_t file = H5Fcreate(unfinished, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    cz_status status = CZ_OK;
    if (file < 0)
        status = cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", unfinished, cz_h5_error());
    else status = fill(file, label, vector, rows, width, key, model, pooling);
    if (!cz_h5_close(&file) && !status)
        status = cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", unfinished, cz_h5_error());
    if (!status && rename(unfinished, path))
        status = cz_fail(CZ_ERR_IO, "%s: cannot be renamed from %s: %s", path, unfinished,
                         strerror(errno));
    if (status) remove(unfinished);
    return status;
}
