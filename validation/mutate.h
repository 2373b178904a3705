/* Damage to an AnnData file, by seed: what disks, networks and other programs do to bytes, and
 * what HDF5 allows but AnnData never writes. One process; the file must be whole before. */
#ifndef MUTATE_H
#define MUTATE_H

#include "czhpc/h5.h"
#include "czhpc/rng.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OBJECTS_MAX = 400, OBJECT_NAME = 128 };

/* What is in the file, and the random numbers of the mutant. */
typedef struct mutant {
    const char *path;
    cz_rng rng;
    hid_t file;
    int objects;
    char object[OBJECTS_MAX][OBJECT_NAME];
} mutant;

static uint32_t mutant_below(mutant *m, uint32_t n) { return cz_rng_below(&m->rng, n); }

static herr_t mutant_note(hid_t at, const char *name, const H5O_info_t *info, void *context)
{
    mutant *m = context;
    (void)at, (void)info;
    if (m->objects < OBJECTS_MAX && strlen(name) < OBJECT_NAME)
        strcpy(m->object[m->objects++], name);
    return 0;
}

/* An object of the file; every second time one that every job reads. */
static const char *mutant_object(mutant *m)
{
    static const char *const often[] = {"X",
                                        "X/data",
                                        "X/indices",
                                        "X/indptr",
                                        "obs",
                                        "var",
                                        "obsm",
                                        "obsm/geneformer",
                                        "obs/donor_id",
                                        "obs/donor_id/codes",
                                        "obs/donor_id/categories",
                                        "obs/cell_type",
                                        "obs/cell_type/codes",
                                        "obs/cell_type/categories",
                                        "obs/sex",
                                        "obs/_index",
                                        "var/_index"};
    if (mutant_below(m, 2)) {
        const char *name = often[mutant_below(m, sizeof often / sizeof *often)];
        if (cz_h5_has(m->file, name)) return name;
    }
    return m->object[1 + mutant_below(m, (uint32_t)m->objects - 1)]; /* 0 is the root */
}

/* ---- bytes ---- */

static void mutant_flip(mutant *m, int times)
{
    struct stat facts;
    int handle = open(m->path, O_RDWR);
    if (handle < 0 || fstat(handle, &facts) || facts.st_size < 1) abort();
    for (int i = 0; i < times; i++) {
        unsigned char byte;
        off_t at = (off_t)mutant_below(m, (uint32_t)facts.st_size);
        if (pread(handle, &byte, 1, at) != 1) abort();
        byte ^= (unsigned char)(1u << mutant_below(m, 8));
        if (pwrite(handle, &byte, 1, at) != 1) abort();
    }
    close(handle);
}

/* Bits or bytes shortly behind a signature of HDF5's, where sizes and addresses stand. */
static void mutant_flip_structure(mutant *m)
{
    static const char *const signs[] = {"TREE", "SNOD", "HEAP", "GCOL", "OHDR", "FRHP", "\x89HDF"};
    static unsigned char bytes[1 << 20];
    int handle = open(m->path, O_RDWR), times = 1 + (int)mutant_below(m, 3);
    ssize_t size = read(handle, bytes, sizeof bytes);
    if (handle < 0 || size < 1) abort();
    for (int i = 0; i < times; i++) {
        const char *sign = signs[mutant_below(m, sizeof signs / sizeof *signs)];
        size_t from = mutant_below(m, (uint32_t)size);
        unsigned char *found = memmem(bytes + from, (size_t)size - from, sign, 4);
        if (!found) found = memmem(bytes, (size_t)size, sign, 4);
        off_t at = (off_t)(found ? (size_t)(found - bytes) : from) + mutant_below(m, 64);
        if (at >= size) continue;
        unsigned char byte = bytes[at] ^ (unsigned char)(1u << mutant_below(m, 8));
        if (mutant_below(m, 3) == 0) byte = mutant_below(m, 2) ? 0xff : 0;
        if (pwrite(handle, &byte, 1, at) != 1) abort();
    }
    close(handle);
}

static void mutant_overwrite(mutant *m)
{
    unsigned char block[64];
    struct stat facts;
    int handle = open(m->path, O_RDWR), with = (int)mutant_below(m, 3);
    if (handle < 0 || fstat(handle, &facts)) abort();
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = with == 0 ? 0 : with == 1 ? 0xff : (unsigned char)mutant_below(m, 256);
    off_t at = (off_t)mutant_below(m, (uint32_t)facts.st_size);
    if (pwrite(handle, block, 1 + mutant_below(m, sizeof block), at) < 1) abort();
    close(handle);
}

static void mutant_cut(mutant *m)
{
    struct stat facts;
    if (stat(m->path, &facts)) abort();
    if (truncate(m->path, (off_t)mutant_below(m, (uint32_t)facts.st_size))) abort();
}

/* ---- structure ---- */

static hid_t mutant_text_type(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    return type;
}

/* A type that does not belong where it is put. */
static hid_t mutant_type(mutant *m)
{
    hid_t type;
    switch (mutant_below(m, 9)) {
    case 0:
        return mutant_text_type(H5T_VARIABLE);
    case 1:
        return mutant_text_type(1 + mutant_below(m, 20));
    case 2:
        return H5Tcopy(H5T_STD_U64BE);
    case 3:
        return H5Tcopy(H5T_IEEE_F64BE);
    case 4:
        return H5Tcopy(H5T_STD_REF_OBJ);
    case 5:
        return H5Tvlen_create(H5T_NATIVE_INT);
    case 6:
        type = H5Tcreate(H5T_COMPOUND, 16);
        H5Tinsert(type, "r", 0, H5T_NATIVE_DOUBLE);
        H5Tinsert(type, "i", 8, H5T_NATIVE_INT64);
        return type;
    case 7:
        return H5Tcreate(H5T_OPAQUE, 1 + mutant_below(m, 9));
    default:
        type = H5Tenum_create(H5T_NATIVE_INT8);
        H5Tenum_insert(type, "FALSE", &(int8_t){0});
        return type;
    }
}

static hid_t mutant_space(mutant *m)
{
    static const hsize_t sizes[] = {0, 1, 2, 29, 30, 31, 1000, (hsize_t)1 << 31, (hsize_t)1 << 60};
    if (mutant_below(m, 8) == 0) return H5Screate(mutant_below(m, 2) ? H5S_SCALAR : H5S_NULL);
    hsize_t dim[3];
    for (int a = 0; a < 3; a++) dim[a] = sizes[mutant_below(m, sizeof sizes / sizeof *sizes)];
    return H5Screate_simple(1 + (int)mutant_below(m, 3), dim, NULL);
}

static void mutant_delete(mutant *m, const char *name) { H5Ldelete(m->file, name, H5P_DEFAULT); }

/* Another dataset in its place, of another type or shape or both; its attributes are lost, or
 * said to be an array's. */
static void mutant_replace(mutant *m)
{
    const char *name = mutant_object(m);
    hsize_t chunk[3] = {64, 1, 1};
    hid_t type = mutant_below(m, 3) ? mutant_type(m) : H5Tcopy(H5T_NATIVE_INT32);
    hid_t space = mutant_space(m), list = H5Pcreate(H5P_DATASET_CREATE);
    int axes = H5Sget_simple_extent_ndims(space);
    if (axes > 0 && mutant_below(m, 4)) H5Pset_chunk(list, axes, chunk);
    if (axes > 0 && mutant_below(m, 2)) H5Pset_deflate(list, 4);
    mutant_delete(m, name);
    hid_t set = H5Dcreate2(m->file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (set >= 0 && mutant_below(m, 2)) {
        cz_h5_write_string(set, "encoding-type", "array");
        cz_h5_write_string(set, "encoding-version", "0.2.0");
    }
    cz_h5_close(&set);
    H5Pclose(list);
    H5Sclose(space);
    H5Tclose(type);
}

static void mutant_link(mutant *m)
{
    char name[OBJECT_NAME], *last;
    snprintf(name, sizeof name, "%s", mutant_object(m));
    mutant_delete(m, name);
    switch (mutant_below(m, 5)) {
    case 0: /* round and round */
        H5Lcreate_soft("/loop", m->file, name, H5P_DEFAULT, H5P_DEFAULT);
        H5Lcreate_soft(name, m->file, "loop", H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 1:
        H5Lcreate_soft("/nowhere/at/all", m->file, name, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 2: /* a group within itself */
        last = strrchr(name, '/');
        if (last) *last = 0;
        H5Lcreate_hard(m->file, last ? name : "/", m->file, last ? "within" : name, H5P_DEFAULT,
                       H5P_DEFAULT);
        if (last) {
            *last = '/';
            H5Lcreate_soft("/within", m->file, name, H5P_DEFAULT, H5P_DEFAULT);
        }
        break;
    case 3:
        H5Lcreate_external(mutant_below(m, 2) ? "/nowhere.h5" : m->path, name, m->file, name,
                           H5P_DEFAULT, H5P_DEFAULT);
        break;
    default: /* another object stands there */
        H5Lcreate_hard(m->file, mutant_object(m), m->file, name, H5P_DEFAULT, H5P_DEFAULT);
    }
}

/* An attribute lost, or of another type, shape or text. */
static void mutant_attribute(mutant *m)
{
    static const char *const names[] = {"encoding-type", "encoding-version", "shape",
                                        "_index",        "column-order",     "ordered",
                                        "categories",    "na-value"};
    static const char *const texts[] = {
        "",        "array",       "csr_matrix",       "csc_matrix", "dataframe",
        "dict",    "categorical", "string-array",     "0.0.0",      "obs",
        "../..",   "/",           "nullable-integer", "raw",        "_index/_index",
        "\xff\xfe"};
    const char *name = names[mutant_below(m, sizeof names / sizeof *names)];
    hid_t object = H5Oopen(m->file, mutant_object(m), H5P_DEFAULT);
    if (object < 0) return;
    if (H5Aexists(object, name) > 0) H5Adelete(object, name);
    if (mutant_below(m, 3) == 0) {
        cz_h5_write_string(object, name, texts[mutant_below(m, sizeof texts / sizeof *texts)]);
    } else if (mutant_below(m, 2)) {
        int64_t shape[2] = {(int64_t)mutant_below(m, 60) - 15, (int64_t)1 << mutant_below(m, 62)};
        hsize_t size = 2;
        hid_t space = H5Screate_simple(1, &size, NULL);
        hid_t attribute = H5Acreate2(object, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
        H5Awrite(attribute, H5T_NATIVE_INT64, shape);
        cz_h5_close(&attribute);
        H5Sclose(space);
    } else if (mutant_below(m, 2)) {
        hsize_t size = mutant_below(m, 3);
        hid_t type = mutant_type(m), space = H5Screate_simple(1, &size, NULL);
        hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
        cz_h5_close(&attribute);
        H5Sclose(space);
        H5Tclose(type);
    }
    H5Oclose(object);
}

/* A column as AnnData 0.7 wrote it, whose categories lie where its reference does not lead. */
static void mutant_reference(mutant *m)
{
    static const char *const keys[] = {"obs/donor_id", "obs/cell_type", "obs/sex"};
    const char *key = keys[mutant_below(m, 3)];
    hobj_ref_t reference = 0;
    hsize_t size = 30;
    int8_t codes[30];
    for (int i = 0; i < 30; i++) codes[i] = (int8_t)mutant_below(m, 3);
    mutant_delete(m, key);
    hid_t space = H5Screate_simple(1, &size, NULL), one = H5Screate(H5S_SCALAR);
    hid_t set =
        H5Dcreate2(m->file, key, H5T_STD_I8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(set, H5T_NATIVE_INT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, codes);
    switch (mutant_below(m, 4)) {
    case 0:
        break;
    case 1:
        reference = mutant_below(m, 1u << 31);
        break;
    case 2: /* the column itself */
        H5Rcreate(&reference, m->file, key, H5R_OBJECT, -1);
        break;
    default:
        H5Rcreate(&reference, m->file, mutant_object(m), H5R_OBJECT, -1);
    }
    hid_t attribute = H5Acreate2(set, "categories", H5T_STD_REF_OBJ, one, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, H5T_STD_REF_OBJ, &reference);
    cz_h5_close(&attribute);
    cz_h5_close(&set);
    H5Sclose(one);
    H5Sclose(space);
}

/* Wrong numbers in a dataset of numbers. */
static void mutant_values(mutant *m)
{
    static const int64_t wrong[] = {-1, -2, 1000, INT32_MAX, INT64_MAX, INT64_MIN, 0, 255};
    hid_t set = H5Dopen2(m->file, mutant_object(m), H5P_DEFAULT);
    if (set < 0) return;
    hid_t space = H5Dget_space(set), type = H5Dget_type(set);
    H5T_class_t class = H5Tget_class(type);
    hssize_t points = H5Sget_simple_extent_npoints(space);
    size_t size = points > 0 && points < 1 << 20 ? (size_t)points : 0;
    if (size && (class == H5T_INTEGER || class == H5T_FLOAT)) {
        int64_t *values = calloc(size, sizeof *values);
        H5Dread(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
        for (uint32_t i = 0, times = 1 + mutant_below(m, 5); i < times; i++)
            values[mutant_below(m, (uint32_t)size)] =
                wrong[mutant_below(m, sizeof wrong / sizeof *wrong)];
        H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
        free(values);
    }
    H5Tclose(type);
    H5Sclose(space);
    H5Dclose(set);
}

static void mutant_restructure(mutant *m, int kind)
{
    m->objects = 0;
    m->file = H5Fopen(m->path, H5F_ACC_RDWR, H5P_DEFAULT);
    if (m->file < 0) abort();
    H5Ovisit(m->file, H5_INDEX_NAME, H5_ITER_NATIVE, mutant_note, m);
    for (uint32_t i = 0, times = 1 + mutant_below(m, 2); i < times; i++) {
        switch (kind) {
        case 0:
            mutant_delete(m, mutant_object(m));
            break;
        case 1:
            mutant_replace(m);
            break;
        case 2:
            mutant_link(m);
            break;
        case 3:
            mutant_reference(m);
            break;
        case 4:
            mutant_values(m);
            break;
        default:
            mutant_attribute(m);
        }
    }
    cz_h5_close(&m->file);
    H5Eclear2(H5E_DEFAULT);
}

/* Damages the file at `path` in one of twelve ways, which it names. */
static const char *mutate(const char *path, uint64_t seed)
{
    static const char *const kinds[] = {
        "part missing", "other type or shape", "link",        "reference",
        "wrong values", "attribute",           "attribute",   "flips",
        "flip",         "flips in structure",  "overwritten", "cut short"};
    static mutant m;
    m = (mutant){.path = path, .rng = cz_rng_open(seed, 0, 0, CZ_RNG_SYNTHETIC, 0)};
    int kind = (int)(seed % (sizeof kinds / sizeof *kinds));
    cz_h5_quiet();
    if (kind < 7) mutant_restructure(&m, kind);
    else if (kind == 7) mutant_flip(&m, 16);
    else if (kind == 8) mutant_flip(&m, 1);
    else if (kind == 9) mutant_flip_structure(&m);
    else if (kind == 10) mutant_overwrite(&m);
    else mutant_cut(&m);
    if (mutant_below(&m, 20) == 0 && kind < 9) mutant_flip(&m, 4);
    cz_error_clear();
    return kinds[kind];
}

#endif
