/* HDF5 files that are well formed, with contents that no program would write: wrong types, shapes,
 * layouts, links and attributes, as the fuzzer's bytes decide. HDF5 itself is not under test. */
#ifndef FUZZ_H5_H
#define FUZZ_H5_H

#include "czhpc/h5.h"
#include "fuzz.h"

/* HDF5 prints nothing, and keeps its buffers: mapped anew each time, they would take most of the
 * time. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    cz_h5_quiet();
    if (H5set_free_list_limits(-1, -1, -1, -1, -1, -1) < 0) exit(2);
    return 0;
}

/* Handles that are open in this process: what is read must leave none. */
static inline hsize_t fuzz_handles(void)
{
    const H5I_type_t kinds[] = {H5I_FILE, H5I_GROUP,     H5I_DATASET,
                                H5I_ATTR, H5I_DATASPACE, H5I_DATATYPE};
    hsize_t all = 0, count;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (H5Inmembers(kinds[i], &count) >= 0) all += count;
    return all;
}

static inline hid_t fuzz_string(size_t size, bool utf8)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    if (utf8) H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static inline hid_t fuzz_odd_type(fuzz *f)
{
    const hsize_t pair = 2;
    hid_t type;
    switch (fuzz_below(f, 22)) {
    case 0:
        return H5Tcopy(H5T_STD_I8LE);
    case 1:
        return H5Tcopy(H5T_STD_U16BE);
    case 2:
        return H5Tcopy(H5T_STD_I32BE);
    case 3:
        return H5Tcopy(H5T_STD_I64LE);
    case 4:
        return H5Tcopy(H5T_STD_U64LE);
    case 5:
        return H5Tcopy(H5T_IEEE_F32BE);
    case 6:
        return H5Tcopy(H5T_IEEE_F64LE);
    case 7:
        return H5Tcopy(H5T_NATIVE_LDOUBLE);
    case 8:
        return fuzz_string(1, false);
    case 9:
        return fuzz_string(5, true);
    case 10:
        return fuzz_string(H5T_VARIABLE, false);
    case 11:
        return fuzz_string(H5T_VARIABLE, true);
    case 12:
        type = fuzz_string(3, true);
        H5Tset_strpad(type, fuzz_below(f, 2) ? H5T_STR_SPACEPAD : H5T_STR_NULLPAD);
        return type;
    case 13:
        type = H5Tenum_create(H5T_STD_I8LE);
        H5Tenum_insert(type, "FALSE", &(int8_t){0});
        H5Tenum_insert(type, "TRUE", &(int8_t){1});
        return type;
    case 14:
        type = H5Tenum_create(H5T_STD_I16LE);
        H5Tenum_insert(type, "red", &(int16_t){-7});
        return type;
    case 15:
        return H5Tcreate(H5T_OPAQUE, 3);
    case 16:
        type = H5Tcreate(H5T_COMPOUND, 8);
        H5Tinsert(type, "a", 4, H5T_STD_I32LE);
        return type;
    case 17:
        return H5Tarray_create2(H5T_STD_I32LE, 1, &pair);
    case 18:
        return H5Tvlen_create(H5T_STD_I32LE);
    case 19:
        return H5Tcopy(H5T_STD_REF_OBJ);
    case 20:
        return H5Tcopy(H5T_STD_B8LE);
    default:
        type = H5Tcopy(H5T_STD_I32LE);
        H5Tset_precision(type, 5);
        H5Tset_offset(type, 9);
        return type;
    }
}

/* The usual type, copied, or seldom another. */
static inline hid_t fuzz_type(fuzz *f, hid_t usual)
{
    return fuzz_seldom(f) ? fuzz_odd_type(f) : H5Tcopy(usual);
}

/* HDF5 dies when it packs other types than whole numbers by n-bit or scale-offset. */
static inline hid_t fuzz_layout(fuzz *f, int rank, const hsize_t *dim, bool whole)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[4];
    unsigned kind = fuzz_below(f, 12);
    if (rank == 0 || kind == 0) return list;
    if (kind == 1) H5Pset_layout(list, H5D_COMPACT);
    if (kind == 2) H5Pset_external(list, "/dev/zero", 0, H5F_UNLIMITED);
    if (kind <= 2) return list;
    for (int i = 0; i < rank; i++) chunk[i] = dim[i] > 4 ? 4 : dim[i] ? dim[i] : 1;
    if (kind == 3) chunk[0] = 1 << 19; /* more than a MiB */
    H5Pset_chunk(list, rank, chunk);
    if (kind == 4 || kind == 5) H5Pset_deflate(list, 1);
    if (kind == 5 || kind == 6) H5Pset_shuffle(list);
    if (kind == 6 || kind == 7) H5Pset_fletcher32(list);
    if (kind == 8) H5Pset_filter(list, 31999, H5Z_FLAG_OPTIONAL, 0, NULL);
    if (kind == 9 && whole) H5Pset_nbit(list);
    if (kind == 10 && whole) H5Pset_scaleoffset(list, H5Z_SO_INT, 0);
    return list;
}

/* HDF5 converts through 1 MiB that it clears each time: 4 KiB are enough here, and much faster. */
static inline hid_t fuzz_transfer(void)
{
    static hid_t list = H5I_INVALID_HID;
    if (list < 0) list = H5Pcreate(H5P_DATASET_XFER);
    if (list < 0 || H5Pset_buffer(list, 4096, NULL, NULL) < 0) exit(2);
    return list;
}

/* Values for `type`: numbers from `whole`, texts from `text` (either may be NULL), else zeros. */
static inline void fuzz_fill(fuzz *f, hid_t dataset, hid_t type, size_t count, const int64_t *whole,
                             char *const *text)
{
    H5T_class_t class = H5Tget_class(type);
    bool number = class == H5T_INTEGER || class == H5T_FLOAT;
    size_t size = H5Tget_size(type);
    if (count > 4096) return;
    if (number && whole) {
        H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, fuzz_transfer(), whole);
    } else if (text && H5Tis_variable_str(type) > 0) {
        H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, fuzz_transfer(), text);
    } else {
        char *raw = calloc(count + 1, size);
        if (!raw) exit(2);
        for (size_t i = 0; i < count && class == H5T_STRING && H5Tis_variable_str(type) <= 0; i++)
            if (text) memcpy(raw + i * size, text[i], strnlen(text[i], size));
        /* Numbers may be anything; of the other classes memory would hold addresses. */
        for (size_t i = 0; i < count * size && (number || class == H5T_ENUM); i++)
            raw[i] = (char)fuzz_byte(f);
        H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, fuzz_transfer(), raw);
        free(raw);
    }
}

/* An extent. What HDF5 would fill with its default in whole seconds, under the sanitizers, is made
 * more than is allowed. */
static inline hsize_t fuzz_extent(hsize_t n) { return n >> 14 && !(n >> 28) ? n << 14 : n; }

static inline hid_t fuzz_space(fuzz *f, int *rank, hsize_t *dim)
{
    switch (fuzz_below(f, 128)) {
    case 121:
        *rank = 0;
        return H5Screate(H5S_NULL);
    case 122:
        *rank = 0;
        return H5Screate(H5S_SCALAR);
    case 123:
        dim[(*rank)++] = 2;
        break;
    case 124:
        dim[0] = 0;
        break;
    case 125:
        dim[0]++;
        break;
    case 126:
        dim[*rank - 1] = fuzz_extent(fuzz_whole(f) >> 1);
        break;
    case 127:
        dim[0] = fuzz_extent((hsize_t)1 << fuzz_below(f, 62));
        break;
    default:
        break;
    }
    hsize_t most[4];
    for (int i = 0; i < *rank; i++) most[i] = dim[i];
    return H5Screate_simple(*rank, dim, most);
}

/* Whatever may stand in an object's place; false: the object itself is to be written. */
static inline bool fuzz_instead(fuzz *f, hid_t at, const char *name)
{
    unsigned kind = fuzz_byte(f);
    hid_t type, group;
    if (kind < 248) return false;
    switch (kind) {
    case 248:
        break; /* nothing */
    case 249:
        H5Lcreate_soft("/nowhere/at/all", at, name, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 250:
        H5Lcreate_soft(name, at, name, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 251:
        H5Lcreate_hard(at, ".", at, name, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 252:
        H5Lcreate_hard(at, "/", at, name, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 253:
        H5Lcreate_external("/nowhere.h5", "/", at, name, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 254:
        type = H5Tcopy(H5T_STD_I32LE);
        H5Tcommit2(at, name, type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        H5Tclose(type);
        break;
    default:
        group = H5Gcreate2(at, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        if (group >= 0) H5Gclose(group);
    }
    return true;
}

/* A dataset of the given type, rank and extents, or what the fuzzer makes of it. Returns its
 * handle, or a negative one where there is none. */
static inline hid_t fuzz_dataset(fuzz *f, hid_t at, const char *name, hid_t usual, int rank,
                                 const hsize_t *usual_dim, const int64_t *whole, char *const *text)
{
    hsize_t dim[4] = {0};
    size_t usually = 1, count = 1;
    if (fuzz_instead(f, at, name)) return -1;
    for (int i = 0; i < rank; i++) usually *= dim[i] = usual_dim[i];
    hid_t type = fuzz_type(f, usual), space = fuzz_space(f, &rank, dim);
    for (int i = 0; i < rank; i++) count *= dim[i] < 65536 ? dim[i] : 65536;
    hid_t list = fuzz_layout(f, rank, dim, H5Tget_class(type) == H5T_INTEGER);
    hid_t dataset = H5Dcreate2(at, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    bool given = count <= usually && rank > 0;
    if (dataset >= 0 && !fuzz_seldom(f) && rank > 0)
        fuzz_fill(f, dataset, type, count, given ? whole : NULL, given ? text : NULL);
    H5Pclose(list);
    H5Sclose(space);
    H5Tclose(type);
    return dataset;
}

static inline void fuzz_close(hid_t dataset)
{
    if (dataset >= 0) H5Dclose(dataset);
}

static inline void fuzz_put_attribute(hid_t at, const char *name, hid_t type, hid_t space,
                                      const void *value)
{
    hid_t attribute = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0 && value) H5Awrite(attribute, type, value);
    if (attribute >= 0) H5Aclose(attribute);
    H5Tclose(type);
    H5Sclose(space);
}

/* A text attribute as AnnData writes it, or something else. */
static inline void fuzz_attribute(fuzz *f, hid_t at, const char *name, const char *text)
{
    const hsize_t two = 2;
    char other[64];
    const char *several[2] = {text, text};
    switch (fuzz_below(f, 128)) {
    case 121:
        return;
    case 122:
        fuzz_text(f, other, sizeof other);
        several[0] = other;
        break;
    case 123:
        fuzz_put_attribute(at, name, fuzz_string(strlen(text) + 1, false), H5Screate(H5S_SCALAR),
                           text);
        return;
    case 124:
        fuzz_put_attribute(at, name, H5Tcopy(H5T_STD_I64LE), H5Screate(H5S_SCALAR), &(int64_t){3});
        return;
    case 125:
        fuzz_put_attribute(at, name, fuzz_string(H5T_VARIABLE, true),
                           H5Screate_simple(1, &two, NULL), several);
        return;
    case 126:
        fuzz_put_attribute(at, name, fuzz_string(H5T_VARIABLE, true), H5Screate(H5S_NULL), NULL);
        return;
    case 127:
        fuzz_put_attribute(at, name, fuzz_odd_type(f), H5Screate(H5S_SCALAR), NULL);
        return;
    default:
        break;
    }
    fuzz_put_attribute(at, name, fuzz_string(H5T_VARIABLE, true), H5Screate(H5S_SCALAR), several);
}

/* An attribute of one number or `count` whole numbers, or something else. */
static inline void fuzz_numbers(fuzz *f, hid_t at, const char *name, hid_t type, hsize_t count,
                                const void *values)
{
    int64_t other[8];
    hid_t file = H5Tcopy(type), space;
    switch (fuzz_below(f, 128)) {
    case 122:
        H5Tclose(file);
        return;
    case 123:
        H5Tclose(file);
        fuzz_attribute(f, at, name, "7");
        return;
    case 124:
        for (int i = 0; i < 8; i++) other[i] = (int64_t)fuzz_whole(f);
        values = other;
        break;
    case 125:
        count = count + 1;
        values = NULL;
        break;
    case 126:
        H5Tclose(file);
        file = fuzz_odd_type(f);
        values = NULL;
        break;
    case 127:
        count = 0;
        break;
    default:
        break;
    }
    space = count == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, NULL);
    fuzz_put_attribute(at, name, file, space, count ? values : NULL);
}

/* n texts: the usual ones, repeated, seldom another. Free with fuzz_free_texts(). */
static inline char **fuzz_texts(fuzz *f, int n, const char *const *usual, int count)
{
    char **text = calloc((size_t)n + 1, sizeof *text), other[48];
    if (!text) exit(2);
    for (int i = 0; i < n; i++) {
        bool odd = fuzz_seldom(f);
        if (odd) fuzz_text(f, other, sizeof other);
        text[i] = strdup(odd ? other : usual[i % count]);
    }
    return text;
}

static inline void fuzz_free_texts(char **text)
{
    for (char **at = text; *at; at++) free(*at);
    free(text);
}

/* n whole numbers: i % period, seldom any. */
static inline int64_t *fuzz_wholes(fuzz *f, int n, int period)
{
    int64_t *value = calloc((size_t)n + 1, sizeof *value);
    if (!value) exit(2);
    for (int i = 0; i < n; i++) value[i] = fuzz_seldom(f) ? (int64_t)fuzz_whole(f) : i % period;
    return value;
}

#endif
