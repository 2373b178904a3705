/* Handles of HDF5: opening, closing, and what went wrong. */
#include "czhpc/h5.h"

#include "access.h"
#include "lzf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void cz_h5_quiet(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

/* The remedy was tried: h5repack, of 1.10 as of 1.14, keeps what 1.10 cannot read. */
static const char newer[] =
    " (written by a newer HDF5 with libver='latest', or damaged: in Python, "
    "anndata.read_h5ad(FILE).write_h5ad(NEW) writes what every HDF5 reads)";

static herr_t keep_innermost(unsigned n, const H5E_error2_t *error, void *text)
{
    if (n == 0 && error->desc) snprintf(text, 256, "%s", error->desc);
    return 0;
}

const char *cz_h5_error(void)
{
    static char text[256];
    text[0] = 0;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, text);
    H5Eclear2(H5E_DEFAULT);
    return text;
}

cz_status cz_h5_fail(cz_status status, hid_t at, const char *name, const char *format, ...)
{
    char reason[256], file[1024] = "HDF5", object[512] = "", message[1024];
    snprintf(reason, sizeof reason, "%s", cz_h5_error());
    if (H5Fget_name(at, file, sizeof file) < 0) snprintf(file, sizeof file, "HDF5");
    if (H5Iget_type(at) == H5I_FILE || H5Iget_name(at, object, sizeof object) < 0) object[0] = 0;
    H5Eclear2(H5E_DEFAULT);
    if (!strcmp(object, "/")) object[0] = 0;
    if (name && name[0] == '/') name++;

    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return cz_fail(status, "%s: %s%s%s%s%s%s%s%s", file, object, name ? "/" : "", name ? name : "",
                   object[0] || name ? ": " : "", message, reason[0] ? ": " : "", reason,
                   strstr(reason, " version") ? newer : "");
}

bool cz_h5_close(hid_t *id)
{
    herr_t result = 0;
    if (*id >= 0) {
        switch (H5Iget_type(*id)) {
        case H5I_FILE:
            result = H5Fclose(*id);
            break;
        case H5I_GROUP:
        case H5I_DATASET:
            result = H5Oclose(*id);
            break;
        case H5I_DATATYPE:
            result = H5Tclose(*id);
            break;
        case H5I_DATASPACE:
            result = H5Sclose(*id);
            break;
        case H5I_ATTR:
            result = H5Aclose(*id);
            break;
        default:
            result = H5Pclose(*id);
        }
    }
    *id = H5I_INVALID_HID;
    return result >= 0;
}

hid_t h5_access(void)
{
    cz_h5_quiet();
    lzf_register();
    hid_t access_list = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(access_list, false, true);
    return access_list;
}

cz_status cz_h5_open_file(hid_t *file, const char *path)
{
    struct stat status;
    *file = H5I_INVALID_HID;
    cz_h5_quiet();
    /* Asked of the system first: HDF5 says "unable to open file" to everything. */
    if (stat(path, &status) || access(path, R_OK))
        return cz_fail(CZ_ERR_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return cz_fail(CZ_ERR_INPUT, "%s: is a folder, an HDF5 file was expected", path);
    if (!S_ISREG(status.st_mode)) /* a pipe would be waited for */
        return cz_fail(CZ_ERR_INPUT, "%s: is no regular file, an HDF5 file was expected", path);
    if (H5Fis_hdf5(path) <= 0) return cz_fail(CZ_ERR_INPUT, "%s: is not an HDF5 file", path);
    hid_t access_list = h5_access();
    *file = H5Fopen(path, H5F_ACC_RDONLY, access_list);
    const char *reason = *file < 0 ? cz_h5_error() : ""; /* before another call clears it */
    H5Pclose(access_list);
    if (*file >= 0) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT, "%s: HDF5 cannot open it: %s%s", path, reason,
                   strstr(reason, " version") ? newer : " (cut short or damaged)");
}

bool cz_h5_has(hid_t at, const char *path)
{
    char step[1024];
    size_t length = strlen(path);
    if (length >= sizeof step) return false;
    memcpy(step, path, length + 1);

    /* H5Lexists() fails where a step on the way is missing: ask for each. */
    for (size_t i = 1; i <= length; i++) {
        if (step[i] != '/' && step[i] != 0) continue;
        step[i] = 0;
        if (strcmp(step, "/") != 0 && H5Lexists(at, step, H5P_DEFAULT) <= 0) break;
        if (i == length) break;
        step[i] = '/';
    }
    bool has = !strcmp(step, path) && H5Oexists_by_name(at, path, H5P_DEFAULT) > 0;
    H5Eclear2(H5E_DEFAULT);
    return has;
}

bool cz_h5_has_attribute(hid_t at, const char *name)
{
    htri_t has = H5Aexists(at, name);
    H5Eclear2(H5E_DEFAULT);
    return has != 0;
}

static cz_status open_object(hid_t *object, hid_t at, const char *path, H5I_type_t kind,
                             const char *what)
{
    *object = H5I_INVALID_HID;
    if (!cz_h5_has(at, path)) return cz_h5_fail(CZ_ERR_INPUT, at, path, "is missing");
    *object = H5Oopen(at, path, H5P_DEFAULT);
    if (*object < 0) return cz_h5_fail(CZ_ERR_INPUT, at, path, "cannot be opened");
    if (H5Iget_type(*object) == kind) return CZ_OK;
    cz_h5_close(object);
    return cz_h5_fail(CZ_ERR_INPUT, at, path, "is not a %s", what);
}

cz_status cz_h5_open_group(hid_t *group, hid_t at, const char *path)
{
    return open_object(group, at, path, H5I_GROUP, "group");
}

cz_status cz_h5_open_dataset(hid_t *dataset, hid_t at, const char *path)
{
    return open_object(dataset, at, path, H5I_DATASET, "dataset");
}

cz_status cz_h5_shape(hid_t dataset, int most, int *rank, hsize_t *dims)
{
    hsize_t all[H5S_MAX_RANK];
    hid_t space = H5Dget_space(dataset);
    if (space < 0) return cz_h5_fail(CZ_ERR_INPUT, dataset, NULL, "has no extent");
    H5S_class_t class = H5Sget_simple_extent_type(space);
    *rank = class == H5S_NULL ? -1 : H5Sget_simple_extent_dims(space, all, NULL);
    H5Sclose(space);
    if (class == H5S_NO_CLASS || (class != H5S_NULL && *rank < 0))
        return cz_h5_fail(CZ_ERR_INPUT, dataset, NULL, "has no readable extent");
    if (*rank > most)
        return cz_h5_fail(CZ_ERR_INPUT, dataset, NULL, "has %d dimensions, at most %d expected",
                          *rank, most);
    for (int i = 0; i < *rank; i++) dims[i] = all[i];
    return CZ_OK;
}
