/* Packed datasets unpacked by threads, against HDF5's own reading: numbers of every kind, chunks
 * that fit and that do not, some nowhere, some left as they are; and what is left to HDF5. */
#include "check.h"
#include "czhpc/h5_read.h"
#include "czhpc/rng.h"

#include <unistd.h>

enum { ROWS = 301, COLUMNS = 37 };

static cz_pool *pool[3];
static const int threads[3] = {1, 2, 7};
static char path[] = "/tmp/czhpc-unpack-XXXXXX";

/* How a dataset is made. */
typedef struct form {
    hid_t type;
    int columns; /* 0: one axis */
    hsize_t chunk[2];
    bool shuffle;
    int written;    /* rows that are written */
    float fill;     /* value of the others */
    unsigned skips; /* of the second chunk: filters that are left out of it */
} form;

/* Bits of every kind: also infinite, not a number, and at the ends of integers. */
static void draw(void *values, size_t bytes)
{
    cz_rng rng = cz_rng_open(3, 0, 0, 77, 0);
    unsigned char *to = values;
    for (size_t i = 0; i < bytes; i++) {
        uint32_t bits = cz_rng_u32(&rng);
        to[i] = bits & 0x300 ? (unsigned char)bits : bits & 0x400 ? 0xff : 0x00;
    }
}

/* The chunk as it is, with bits for the filters that it did not pass. */
static void write_unfiltered(hid_t set, const char *place, const form *f, const char *values,
                             size_t value_bytes)
{
    size_t columns = f->columns ? (size_t)f->columns : 1, wide = f->columns ? f->chunk[1] : 1;
    size_t bytes = f->chunk[0] * wide * value_bytes;
    char *chunk = calloc(bytes, 1);
    hsize_t at[2] = {f->chunk[0], 0};
    for (size_t r = 0; r < f->chunk[0] && f->chunk[0] + r < ROWS; r++)
        for (size_t c = 0; c < wide && c < columns; c++)
            memcpy(chunk + (r * wide + c) * value_bytes,
                   values + ((f->chunk[0] + r) * columns + c) * value_bytes, value_bytes);
    if (H5Dwrite_chunk(set, H5P_DEFAULT, f->skips, at, bytes, chunk) < 0) perror(place);
    free(chunk);
}

static void make(hid_t file, const char *place, const form *f)
{
    static char values[ROWS * COLUMNS * 8];
    hsize_t dim[2] = {ROWS, (hsize_t)f->columns}, part[2] = {(hsize_t)f->written, dim[1]};
    const hsize_t grows[2] = {H5S_UNLIMITED, H5S_UNLIMITED};
    int axes = f->columns ? 2 : 1;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(axes, dim, grows);
    hid_t memory = H5Screate_simple(axes, part, NULL);
    H5Pset_chunk(list, axes, f->chunk);
    if (f->shuffle) H5Pset_shuffle(list);
    H5Pset_deflate(list, 2);
    if (f->fill != 0) H5Pset_fill_value(list, H5T_NATIVE_FLOAT, &f->fill);
    hid_t set = H5Dcreate2(file, place, f->type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    draw(values, sizeof values);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, (hsize_t[2]){0}, NULL, part, NULL);
    if (f->written && H5Dwrite(set, f->type, memory, space, H5P_DEFAULT, values) < 0) perror(place);
    if (f->skips) write_unfiltered(set, place, f, values, H5Tget_size(f->type));
    H5Dclose(set);
    H5Sclose(memory);
    H5Sclose(space);
    H5Pclose(list);
}

/* Whether some ranges of rows come out as HDF5 reads them, whatever the threads. */
static bool agrees(hid_t file, const char *place, hid_t type, int columns)
{
    static const int range[][2] = {{0, ROWS}, {0, 1},     {ROWS - 1, 1}, {60, 1},
                                   {59, 3},   {130, 120}, {7, 0}};
    static char mine[ROWS * COLUMNS * 8 + 1], theirs[ROWS * COLUMNS * 8 + 1];
    size_t row = (size_t)(columns ? columns : 1) * H5Tget_size(type);
    bool same = cz_h5_is_packed(file, place, type);
    for (size_t k = 0; k < sizeof range / sizeof *range; k++)
        for (int p = 0; p < 3; p++) {
            size_t bytes = (size_t)range[k][1] * row;
            memset(mine, 0x55, sizeof mine);
            memset(theirs, 0x55, sizeof theirs);
            same = same && !cz_h5_rows(theirs, type, range[k][0], range[k][1], file, place) &&
                   !cz_h5_unpack(mine, type, range[k][0], range[k][1], file, place, pool[p]) &&
                   !memcmp(mine, theirs, bytes) && mine[bytes] == 0x55;
        }
    return same;
}

static void check_numbers(hid_t file)
{
    const struct {
        const char *name;
        hid_t type;
        bool as[3]; /* float, int32, int64 */
    } kinds[] = {{"f4", H5T_NATIVE_FLOAT, {1, 0, 0}}, {"f8", H5T_NATIVE_DOUBLE, {1, 0, 0}},
                 {"i1", H5T_NATIVE_INT8, {1, 0, 0}},  {"u1", H5T_NATIVE_UINT8, {1, 0, 0}},
                 {"i2", H5T_NATIVE_INT16, {1, 1, 0}}, {"u2", H5T_NATIVE_UINT16, {1, 1, 0}},
                 {"i4", H5T_NATIVE_INT32, {1, 1, 1}}, {"u4", H5T_NATIVE_UINT32, {1, 1, 1}},
                 {"i8", H5T_NATIVE_INT64, {1, 1, 1}}, {"u8", H5T_NATIVE_UINT64, {1, 1, 1}},
                 {"big", H5T_STD_I32BE, {0, 0, 0}},   {"bits", H5T_STD_B32LE, {0, 0, 0}}};
    const hid_t wanted[3] = {H5T_NATIVE_FLOAT, H5T_NATIVE_INT32, H5T_NATIVE_INT64};
    static const char *const word[3] = {"float", "int32", "int64"};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        make(file, kinds[k].name, &(form){kinds[k].type, COLUMNS, {61, 10}, k % 2, ROWS, 0, 0});
        for (int w = 0; w < 3; w++) {
            if (kinds[k].as[w])
                check(agrees(file, kinds[k].name, wanted[w], COLUMNS), "%s as %s: as HDF5 (%s)",
                      kinds[k].name, word[w], cz_error_message());
            else
                check(!cz_h5_is_packed(file, kinds[k].name, wanted[w]), "%s as %s: left to HDF5",
                      kinds[k].name, word[w]);
            cz_error_clear();
        }
    }
}

static void check_chunks(hid_t file)
{
    const struct {
        const char *what;
        form f;
    } cases[] = {
        {"one axis", {H5T_NATIVE_INT64, 0, {61}, false, ROWS, 0, 0}},
        {"one axis, shuffled", {H5T_NATIVE_INT64, 0, {61}, true, ROWS, 0, 0}},
        {"one chunk larger than all", {H5T_NATIVE_INT32, 0, {1000}, true, ROWS, 0, 0}},
        {"chunks of one value", {H5T_NATIVE_INT32, COLUMNS, {1, 1}, true, 40, 0, 0}},
        {"whole rows", {H5T_NATIVE_INT32, COLUMNS, {50, COLUMNS}, false, ROWS, 0, 0}},
        {"whole columns", {H5T_NATIVE_INT32, COLUMNS, {ROWS, 5}, false, ROWS, 0, 0}},
        {"chunks nowhere", {H5T_NATIVE_INT32, COLUMNS, {61, 10}, true, 100, 7, 0}},
        {"nothing written", {H5T_NATIVE_INT64, COLUMNS, {61, 10}, true, 0, -2, 0}},
        {"a chunk not packed", {H5T_NATIVE_INT32, COLUMNS, {61, 10}, false, ROWS, 0, 1}},
        {"a chunk neither packed nor shuffled",
         {H5T_NATIVE_INT32, COLUMNS, {61, 10}, true, ROWS, 0, 3}},
        {"a chunk shuffled by none, one axis", {H5T_NATIVE_INT64, 0, {61}, true, ROWS, 0, 3}},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        make(file, cases[k].what, &cases[k].f);
        check(agrees(file, cases[k].what, H5T_NATIVE_FLOAT, cases[k].f.columns) &&
                  agrees(file, cases[k].what, H5T_NATIVE_INT32, cases[k].f.columns),
              "%s: as HDF5 (%s)", cases[k].what, cz_error_message());
        cz_error_clear();
    }
}

/* A dataset with other filters than those. */
static void make_other(hid_t file, const char *place, bool deflate, bool checksum, hsize_t chunk)
{
    hsize_t dim = 3 * chunk;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &dim, NULL);
    H5Pset_chunk(list, 1, &chunk);
    if (deflate) H5Pset_deflate(list, 1);
    if (checksum) H5Pset_fletcher32(list);
    hid_t set = H5Dcreate2(file, place, H5T_NATIVE_FLOAT, space, H5P_DEFAULT, list, H5P_DEFAULT);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(list);
}

static void check_left(hid_t file)
{
    make_other(file, "as it is", false, false, 100);
    make_other(file, "with a checksum", true, true, 100);
    make_other(file, "in huge chunks", true, false, (5 << 20));
    static const char *const place[] = {"as it is", "with a checksum", "in huge chunks", "nowhere"};
    for (int k = 0; k < 4; k++)
        check(!cz_h5_is_packed(file, place[k], H5T_NATIVE_FLOAT), "a dataset %s is left to HDF5",
              place[k]);
    float value;
    check(cz_h5_unpack(&value, H5T_NATIVE_FLOAT, 0, 1, file, place[0], pool[1]) == CZ_ERR_BUG,
          "and not unpacked: %s", cz_error_message());
    cz_error_clear();
    check(cz_h5_unpack(&value, H5T_NATIVE_FLOAT, ROWS, 1, file, "f4", pool[1]) == CZ_ERR_BUG,
          "nor rows that are not there: %s", cz_error_message());
    cz_error_clear();
}

/* What stands in the second chunk of a dataset, and what is said of it. */
static void check_damage(hid_t file)
{
    static unsigned char noise[1 << 16];
    static float values[3000];
    const struct {
        const char *what;
        size_t bytes;
        uint32_t skips;
        unsigned char first;
    } cases[] = {{"noise", 500, 0, 0xa5},
                 {"a byte", 1, 0, 0x78},
                 {"half a chunk that is not packed", 2000, 1, 0},
                 {"more than a chunk that is not packed", 4004, 1, 0},
                 {"far more than a chunk", sizeof noise, 0, 0x78}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        hsize_t at = 1000;
        make_other(file, cases[k].what, true, false, 1000);
        hid_t set = H5Dopen2(file, cases[k].what, H5P_DEFAULT);
        memset(noise, 0x5a, sizeof noise);
        noise[0] = cases[k].first;
        if (H5Dwrite_chunk(set, H5P_DEFAULT, cases[k].skips, &at, cases[k].bytes, noise) < 0)
            perror(cases[k].what);
        H5Dclose(set);
        for (int p = 0; p < 3; p++) {
            cz_status status =
                cz_h5_unpack(values, H5T_NATIVE_FLOAT, 0, 3000, file, cases[k].what, pool[p]);
            check(status == CZ_ERR_INPUT && strstr(cz_error_message(), "the file is damaged"),
                  "%s for a chunk, %d threads: %s", cases[k].what, threads[p], cz_error_message());
            cz_error_clear();
        }
    }
}

int main(void)
{
    int handle = mkstemp(path);
    if (handle >= 0) close(handle);
    cz_h5_quiet();
    for (int p = 0; p < 3; p++)
        if (cz_pool_open(&pool[p], threads[p], NULL)) return 1;
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    check_numbers(file);
    check_chunks(file);
    check_left(file);
    check_damage(file);
    H5Fclose(file);
    for (int p = 0; p < 3; p++) cz_pool_close(pool[p]);
    unlink(path);
    return check_done();
}
