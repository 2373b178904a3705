/* Files in memory. */
#include "czhpc/h5.h"

#include <stdlib.h>

cz_status cz_h5_create_image(hid_t *file, const char *what)
{
    enum { GROWTH = 1 << 16 };
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    cz_h5_quiet();
    H5Pset_fapl_core(access, GROWTH, false);
    *file = H5Fcreate(what, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    cz_h5_close(&access);
    if (*file >= 0) return CZ_OK;
    return cz_fail(CZ_ERR_IO, "%s: HDF5 cannot make a file in memory: %s", what, cz_h5_error());
}

cz_status cz_h5_take_image(void **bytes, size_t *size, hid_t file, const char *what)
{
    H5Fflush(file, H5F_SCOPE_GLOBAL);
    ssize_t length = H5Fget_file_image(file, NULL, 0);
    if (length <= 0) return cz_h5_fail(CZ_ERR_IO, file, NULL, "has no image");
    void *image = cz_alloc((size_t)length, 1, what);
    if (!image) return CZ_ERR_MEMORY;
    if (H5Fget_file_image(file, image, (size_t)length) != length) {
        free(image);
        return cz_h5_fail(CZ_ERR_IO, file, NULL, "has no image");
    }
    *bytes = image;
    *size = (size_t)length;
    return CZ_OK;
}
