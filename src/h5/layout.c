/* What a dataset claims, held against what the file stores of it. */
#include "czhpc/h5_read.h"
#include "lzf.h"

#include <math.h>

/* How many bytes at most come out of one of a filter. */
static double ratio_of(H5Z_filter_t filter)
{
    switch (filter) {
    case H5Z_FILTER_DEFLATE:
        return 1032;
    case LZF_FILTER:
        return LZF_RATIO;
    case H5Z_FILTER_SHUFFLE:
    case H5Z_FILTER_FLETCHER32:
        return 1;
    default:
        return INFINITY;
    }
}

static size_t chunk_bytes(hid_t list, hid_t type)
{
    hsize_t dim[H5S_MAX_RANK];
    size_t bytes = H5Tget_size(type);
    int axes = H5Pget_chunk(list, H5S_MAX_RANK, dim);
    for (int a = 0; a < axes; a++) bytes *= (size_t)dim[a];
    return bytes;
}

static cz_status no_filter(hid_t file, const char *place, const char *name, int id)
{
    return cz_h5_fail(CZ_ERR_INPUT, file, place,
                      "is compressed with the filter '%s' (%d), which is not supported: write the "
                      "file again with compression='gzip', or run h5repack -f GZIP=4 IN OUT where "
                      "the filter is installed",
                      name[0] ? name : "unknown", id);
}

/* Fails naming the filter that HDF5 here lacks; `ratio` is that of all filters together. */
static cz_status check_filters(double *ratio, hid_t file, const char *place, hid_t list, hid_t type)
{
    int filters = H5Pget_nfilters(list);
    *ratio = 1;
    for (int i = 0; i < filters; i++) {
        unsigned flags, info, value[LZF_VALUES] = {0};
        size_t values = LZF_VALUES;
        char name[64] = "";
        H5Z_filter_t id =
            H5Pget_filter2(list, (unsigned)i, &flags, &values, value, sizeof name, name, &info);
        bool available = id >= 0 && H5Zfilter_avail(id) > 0;
        H5Eclear2(H5E_DEFAULT); /* where it looked for plugins */
        if (!available) return no_filter(file, place, name, (int)id);
        /* Chunks of another size would be read beyond their end; texts, whose size is not noted,
         * are read by probes alone. */
        bool unknown = value[LZF_CHUNK_BYTES] == 0 && H5Tis_variable_str(type) > 0;
        if (id == LZF_FILTER && !unknown && value[LZF_CHUNK_BYTES] != chunk_bytes(list, type))
            return cz_h5_fail(CZ_ERR_INPUT, file, place,
                              "was packed by lzf in chunks of %u bytes and is read in chunks of "
                              "%zu: the file is damaged",
                              value[LZF_CHUNK_BYTES], chunk_bytes(list, type));
        *ratio *= ratio_of(id);
    }
    return CZ_OK;
}

/* What is nowhere stored is the fill value; more than this of it is damage. */
enum { FILL_BYTES = 1 << 28 };

/* A damaged extent shows before memory is taken for it. */
static cz_status check_stored(hid_t file, const char *place, hid_t dataset, hid_t space, hid_t type)
{
    double ratio, bytes = (double)H5Sget_simple_extent_npoints(space) * (double)H5Tget_size(type);
    hid_t list = H5Dget_create_plist(dataset);
    if (list < 0) return cz_h5_fail(CZ_ERR_INPUT, file, place, "the dataset is damaged");
    bool elsewhere = H5Pget_layout(list) == H5D_VIRTUAL || H5Pget_external_count(list) > 0;
    cz_status status = check_filters(&ratio, file, place, list, type);
    H5Pclose(list);
    if (status) return status;
    if (elsewhere)
        return cz_h5_fail(CZ_ERR_INPUT, file, place,
                          "lies in other files: in Python read the file and write it as one");
    double stored = (double)H5Dget_storage_size(dataset); /* walks through all chunks */
    double most = FILL_BYTES + (stored > 0 ? stored * ratio : 0);
    if (bytes <= most) return CZ_OK;
    return cz_h5_fail(CZ_ERR_INPUT, file, place,
                      "claims %.0f bytes, of which at most %.0f can be stored: the file is damaged",
                      bytes, most);
}

cz_status cz_h5_layout(hsize_t *dim, H5T_class_t *class, hid_t file, const char *place, int rank)
{
    if (cz_h5_kind_of(file, place) != CZ_H5_DATASET)
        return cz_h5_fail(CZ_ERR_INPUT, file, place, "the dataset is missing");
    cz_status status = CZ_OK;
    hid_t dataset = H5Dopen2(file, place, H5P_DEFAULT);
    hid_t space = dataset < 0 ? -1 : H5Dget_space(dataset);
    hid_t type = dataset < 0 ? -1 : H5Dget_type(dataset);
    if (space < 0 || type < 0) {
        status = cz_h5_fail(CZ_ERR_INPUT, file, place, "the dataset is damaged");
        goto done;
    }
    int found =
        H5Sget_simple_extent_type(space) == H5S_NULL ? -1 : H5Sget_simple_extent_ndims(space);
    if (found != rank) {
        status = found < 0 ? cz_h5_fail(CZ_ERR_INPUT, file, place, "the dataset holds no values")
                           : cz_h5_fail(CZ_ERR_INPUT, file, place,
                                        "the dataset has %d axes, expected %d", found, rank);
        goto done;
    }
    if (rank) H5Sget_simple_extent_dims(space, dim, NULL);
    *class = H5Tget_class(type);
    status = check_stored(file, place, dataset, space, type);
done:
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (dataset >= 0) H5Dclose(dataset);
    return status;
}
