#include "access.h"
#include "czhpc/h5_read.h"

#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

/* On NFS, MPI libraries lock what they read; where no lock is to be had, reading fails. */
static bool is_on_nfs(const char *path, MPI_Comm comm)
{
    struct statfs facts;
    int on_nfs = !statfs(path, &facts) && facts.f_type == NFS_SUPER_MAGIC;
    MPI_Allreduce(MPI_IN_PLACE, &on_nfs, 1, MPI_INT, MPI_MAX, comm);
    return on_nfs;
}

cz_status cz_h5_open_shared(hid_t *file, const char *path, MPI_Comm comm)
{
    if (is_on_nfs(path, comm)) return cz_h5_open_file(file, path);
    hid_t access_list = h5_access();
    H5Pset_fapl_mpio(access_list, comm, MPI_INFO_NULL);
    H5Pset_all_coll_metadata_ops(access_list, true);
    *file = H5Fopen(path, H5F_ACC_RDONLY, access_list);
    cz_status status = CZ_OK;
    if (*file < 0)
        status = cz_fail(CZ_ERR_INPUT,
                         "%s: cannot be opened by all ranks together: %s. Every node must see it",
                         path, cz_h5_error());
    H5Pclose(access_list);
    return status;
}

cz_h5_kind cz_h5_kind_of(hid_t file, const char *place)
{
    cz_h5_kind kind = CZ_H5_NONE;
    char part[1024];
    size_t length = strlen(place);
    /* Every link on the way must be there before HDF5 may be asked for what it leads to. */
    for (size_t i = 1; i <= length && i < sizeof part; i++) {
        if (place[i] != '/' && place[i] != 0) continue;
        memcpy(part, place, i);
        part[i] = 0;
        if (H5Lexists(file, part, H5P_DEFAULT) <= 0 ||
            H5Oexists_by_name(file, part, H5P_DEFAULT) <= 0)
            goto done;
    }
    H5O_info_t info;
    if (H5Oget_info_by_name(file, length ? place : "/", &info, H5P_DEFAULT) < 0) goto done;
    kind = info.type == H5O_TYPE_GROUP     ? CZ_H5_GROUP
           : info.type == H5O_TYPE_DATASET ? CZ_H5_DATASET
                                           : CZ_H5_OTHER;
done:
    H5Eclear2(H5E_DEFAULT);
    return kind;
}

typedef struct name_list {
    char *text;
    size_t size;
} name_list;

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    name_list *list = context;
    size_t used = strlen(list->text);
    (void)group, (void)info;
    if (used + strlen(name) + 8 >= list->size) {
        snprintf(list->text + used, list->size - used, ", ...");
        return 1;
    }
    snprintf(list->text + used, list->size - used, "%s%s", used ? ", " : "", name);
    return 0;
}

void cz_h5_members(hid_t file, const char *group, char *names, size_t size)
{
    name_list list = {names, size};
    hsize_t at = 0;
    names[0] = 0;
    H5Literate_by_name(file, *group ? group : "/", H5_INDEX_NAME, H5_ITER_NATIVE, &at, add_name,
                       &list, H5P_DEFAULT);
    H5Eclear2(H5E_DEFAULT);
}

cz_status cz_h5_text_attribute(char *text, size_t size, hid_t file, const char *place,
                               const char *name)
{
    char *value = NULL;
    text[0] = 0;
    hid_t object = H5Oopen(file, place, H5P_DEFAULT);
    if (object < 0) return cz_h5_fail(CZ_ERR_INPUT, file, place, "cannot be opened");
    cz_status status = CZ_OK;
    if (cz_h5_has_attribute(object, name)) status = cz_h5_read_string(object, name, &value);
    if (value) snprintf(text, size, "%s", value);
    free(value);
    cz_h5_close(&object);
    return status;
}

cz_status cz_h5_integers_attribute(int64_t *values, int count, hid_t file, const char *place,
                                   const char *name)
{
    if (H5Aexists_by_name(file, place, name, H5P_DEFAULT) <= 0)
        return cz_h5_fail(CZ_ERR_INPUT, file, place, "the attribute '%s' is missing", name);
    cz_status status = CZ_OK;
    hid_t attribute = H5Aopen_by_name(file, place, name, H5P_DEFAULT, H5P_DEFAULT);
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    if (attribute < 0 || type < 0 || H5Tget_class(type) != H5T_INTEGER ||
        H5Sget_simple_extent_npoints(space) != count ||
        H5Aread(attribute, H5T_NATIVE_INT64, values) < 0)
        status = cz_h5_fail(CZ_ERR_INPUT, file, place, "the attribute '%s' is not %d integers",
                            name, count);
    if (space >= 0) H5Sclose(space);
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
    return status;
}

enum { BLOCK_BYTES = 1 << 28 };

/* One hyperslab of rows; of none a rank still takes part. */
static cz_status read_block(void *values, hid_t dataset, hid_t type, hid_t space, hid_t transfer,
                            int axes, const hsize_t *dim, hsize_t begin, hsize_t count)
{
    hsize_t start[2] = {begin, 0}, size[2] = {count, axes == 2 ? dim[1] : 1};
    hid_t memory = H5Screate_simple(axes, size, NULL);
    if (count > 0 && size[1] > 0) {
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL);
    } else {
        H5Sselect_none(space);
        H5Sselect_none(memory);
    }
    herr_t result = H5Dread(dataset, type, memory, space, transfer, values);
    cz_status status = CZ_OK;
    if (result < 0)
        status = cz_h5_fail(CZ_ERR_INPUT, dataset, NULL, "cannot be read: the file is damaged");
    H5Sclose(memory);
    return status;
}

/* The largest number of blocks that a rank of the file's communicator needs. */
static int64_t blocks_of_all(int64_t blocks, hid_t file, bool *shared)
{
    MPI_Comm comm = MPI_COMM_NULL;
    MPI_Info info = MPI_INFO_NULL;
    hid_t access_list = H5Fget_access_plist(file);
    *shared =
        H5Pget_driver(access_list) == H5FD_MPIO && H5Pget_fapl_mpio(access_list, &comm, &info) >= 0;
    H5Pclose(access_list);
    if (!*shared) return blocks;
    MPI_Allreduce(MPI_IN_PLACE, &blocks, 1, MPI_INT64_T, MPI_MAX, comm);
    MPI_Comm_free(&comm);
    if (info != MPI_INFO_NULL) MPI_Info_free(&info);
    return blocks;
}

cz_status cz_h5_rows(void *values, hid_t type, int64_t begin, int64_t count, hid_t file,
                     const char *place)
{
    hid_t dataset = H5Dopen2(file, place, H5P_DEFAULT);
    hid_t space = dataset < 0 ? -1 : H5Dget_space(dataset);
    hsize_t dim[2] = {0, 1};
    int axes = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    /* The same on every rank: what is checked here is in the file's metadata. */
    if (axes != 1 && axes != 2) {
        cz_status status = cz_h5_fail(CZ_ERR_INPUT, file, place, "the dataset cannot be read");
        if (space >= 0) H5Sclose(space);
        if (dataset >= 0) H5Dclose(dataset);
        return status;
    }
    H5Sget_simple_extent_dims(space, dim, NULL);
    size_t row_bytes = H5Tget_size(type) * (axes == 2 ? (size_t)dim[1] : 1);
    int64_t rows = row_bytes && row_bytes < BLOCK_BYTES ? (int64_t)(BLOCK_BYTES / row_bytes) : 1;
    bool shared;
    int64_t blocks = blocks_of_all((count + rows - 1) / rows, file, &shared);
    hid_t transfer = H5Pcreate(H5P_DATASET_XFER);
    if (shared) H5Pset_dxpl_mpio(transfer, H5FD_MPIO_COLLECTIVE);

    cz_status status = CZ_OK;
    for (int64_t block = 0; block < blocks; block++) {
        int64_t first = block * rows < count ? block * rows : count;
        int64_t size = count - first < rows ? count - first : rows;
        cz_status block_status =
            read_block((char *)values + (size_t)first * row_bytes, dataset, type, space, transfer,
                       axes, dim, (hsize_t)begin + (hsize_t)first, (hsize_t)size);
        if (!status) status = block_status;
    }
    H5Pclose(transfer);
    H5Sclose(space);
    H5Dclose(dataset);
    return status;
}
