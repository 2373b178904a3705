/* Packed datasets: what h5py packed is read, what cannot be is refused, and no size is believed. */
#include "check.h"
#include "czhpc/h5_read.h"

#include <unistd.h>

#define PACKED "validation/fixtures/packed.h5"

enum { VALUES = 1000, FILLED = 100000 };

static cz_pool *pool;
static char made[] = "/tmp/czhpc-packed-XXXXXX";

static int64_t value_of(const char *kind, int64_t i)
{
    if (!strcmp(kind, "flat")) return i / 200;
    if (!strcmp(kind, "mixed")) return i * 7919 % 251;
    uint64_t u = (uint64_t)i;
    return (int64_t)((u * 6364136223846793005u + 1442695040888963407u) ^ (u << 17));
}

/* The same by threads; a dataset that is not packed, or has checksums, is left to HDF5. */
static void check_unpacked(hid_t file, const char *place, const char *kind, bool packed)
{
    static int64_t values[VALUES];
    bool same = cz_h5_is_packed(file, place, H5T_NATIVE_INT64) == packed;
    memset(values, 0, sizeof values);
    if (packed)
        same = same && !cz_h5_unpack(values, H5T_NATIVE_INT64, 0, VALUES, file, place, pool);
    for (int i = 0; i < VALUES && packed; i++) same = same && values[i] == value_of(kind, i);
    check(same, "%s is %s: %s", place, packed ? "unpacked" : "left to HDF5", cz_error_message());
    cz_error_clear();
}

static void check_values(hid_t file)
{
    static const char *const kinds[] = {"flat", "mixed", "noise"};
    static const char *const forms[] = {"plain", "gzip",        "gzip_shuffle",
                                        "lzf",   "lzf_shuffle", "lzf_checked"};
    for (int k = 0; k < 3; k++) {
        for (int f = 0; f < 6; f++) {
            static int64_t values[VALUES];
            char place[64];
            hsize_t dim = 0;
            H5T_class_t class;
            snprintf(place, sizeof place, "%s/%s", kinds[k], forms[f]);
            memset(values, 0, sizeof values);
            bool same = !cz_h5_layout(&dim, &class, file, place, 1) && dim == VALUES &&
                        !cz_h5_rows(values, H5T_NATIVE_INT64, 0, VALUES, file, place);
            for (int i = 0; i < VALUES; i++) same = same && values[i] == value_of(kinds[k], i);
            check(same, "%s is read: %s", place, cz_error_message());
            cz_error_clear();
            check_unpacked(file, place, kinds[k], f > 0 && f < 5);
        }
    }
}

static void check_fill(hid_t file)
{
    static const char *const places[] = {"fill/chunked", "fill/contiguous", "fill/part"};
    static float values[FILLED];
    for (int p = 0; p < 3; p++) {
        hsize_t dim = 0;
        H5T_class_t class;
        bool same = !cz_h5_layout(&dim, &class, file, places[p], 1) && dim == FILLED &&
                    !cz_h5_rows(values, H5T_NATIVE_FLOAT, 0, FILLED, file, places[p]);
        for (int i = 0; i < FILLED; i++)
            same = same && values[i] == (p == 2 && i / 1000 == 5 ? 1.5f : 2.5f);
        memset(values, 0, sizeof values);
        if (p != 1)
            same =
                same && !cz_h5_unpack(values, H5T_NATIVE_FLOAT, 0, FILLED, file, places[p], pool);
        for (int i = 0; i < FILLED && p != 1; i++)
            same = same && values[i] == (p == 2 && i / 1000 == 5 ? 1.5f : 2.5f);
        check(same, "%s: what is not stored is the fill value: %s", places[p], cz_error_message());
        cz_error_clear();
    }
}

/* A dataset `x` of one axis with one filter; `raw` bytes as its first chunk. */
static void write_chunk(H5Z_filter_t filter, size_t values, const unsigned *value, hsize_t size,
                        hsize_t chunk, const void *raw, size_t bytes)
{
    hid_t file = H5Fcreate(made, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &size, NULL);
    H5Pset_chunk(list, 1, &chunk);
    H5Pset_filter(list, filter, H5Z_FLAG_OPTIONAL, values, value);
    hid_t set = H5Dcreate2(file, "x", H5T_STD_U8LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    hsize_t first = 0;
    if (bytes && H5Dwrite_chunk(set, H5P_DEFAULT, 0, &first, bytes, raw) < 0) perror(made);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(list);
    H5Fclose(file);
}

/* Its layout or its values are refused with these words. */
static void refused(const char *words, const char *what)
{
    static unsigned char bytes[1 << 12];
    hid_t file;
    hsize_t dim = 0;
    H5T_class_t class;
    cz_status status = cz_h5_open_file(&file, made);
    if (!status) status = cz_h5_layout(&dim, &class, file, "x", 1);
    if (!status) status = cz_h5_rows(bytes, H5T_NATIVE_UINT8, 0, sizeof bytes, file, "x");
    check(status == CZ_ERR_INPUT && strstr(cz_error_message(), words), "%s: %s", what,
          cz_error_message());
    cz_error_clear();
    cz_h5_close(&file);
}

static void check_hostile(void)
{
    enum { CHUNK = 4096, LZF = 32000 };
    unsigned good[] = {4, 0x105, CHUNK}, small[] = {4, 0x105, 8}, huge[] = {4, 0x105, 0xfffffff0u};
    unsigned char noise[64], backwards[64] = {0xff, 0xff, 0xff}, brief[] = {0, 1};
    memset(noise, 0xa5, sizeof noise);
    const char *size = "was packed by lzf in chunks of", *packed = "packed by lzf";
    write_chunk(LZF, 3, small, CHUNK, CHUNK, noise, sizeof noise);
    refused(size, "a chunk smaller than its dataset's");
    write_chunk(LZF, 3, huge, CHUNK, CHUNK, noise, sizeof noise);
    refused(size, "a chunk of 4 GiB");
    write_chunk(LZF, 0, NULL, CHUNK, CHUNK, noise, sizeof noise);
    refused(size, "a chunk of unknown size");
    write_chunk(LZF, 3, good, CHUNK, CHUNK, noise, sizeof noise);
    refused(packed, "a chunk of noise");
    write_chunk(LZF, 3, good, CHUNK, CHUNK, backwards, sizeof backwards);
    refused(packed, "a chunk that copies from before its begin");
    write_chunk(LZF, 3, good, CHUNK, CHUNK, brief, sizeof brief);
    refused(packed, "a chunk that ends before its end");
    write_chunk(H5Z_FILTER_DEFLATE, 1, &(unsigned){4}, (hsize_t)1 << 40, CHUNK, noise,
                sizeof noise);
    refused("of which at most", "a terabyte in 64 bytes");
    write_chunk(32015, 0, NULL, CHUNK, CHUNK, noise, sizeof noise);
    refused("the filter 'unknown' (32015), which is not supported: write the file again with",
            "a filter that is not there");
}

static void check_elsewhere(void)
{
    hsize_t size = 4096;
    hid_t file = H5Fcreate(made, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &size, NULL);
    H5Pset_external(list, "/etc/hostname", 0, size);
    hid_t set = H5Dcreate2(file, "x", H5T_STD_U8LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    H5Dclose(set);
    H5Pclose(list);
    H5Sclose(space);
    H5Fclose(file);
    refused("lies in other files", "values in another file");
}

int main(void)
{
    hid_t file;
    int handle = mkstemp(made);
    if (handle >= 0) close(handle);
    check(!cz_h5_open_file(&file, PACKED) && !cz_pool_open(&pool, 3, NULL), "%s", PACKED);
    check_values(file);
    check_fill(file);
    cz_h5_close(&file);
    cz_pool_close(pool);
    check_hostile();
    check_elsewhere();
    unlink(made);
    return check_done();
}
