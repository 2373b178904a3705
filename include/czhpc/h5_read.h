/* Reading HDF5 files that others wrote: nothing in them is trusted.
 *
 * A failure is CZ_ERR_INPUT unless said otherwise; its message starts with the file and the
 * place in it, and ends with HDF5's own reason where there is one. */
#ifndef CZ_H5_READ_H
#define CZ_H5_READ_H

#include "czhpc/status.h"

#include <hdf5.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

/* A file open for reading. Close with cz_h5_close(). */
typedef struct cz_h5_file {
    hid_t id;
    char path[1024]; /* as the user named it */
} cz_h5_file;

/* Opens `path` on this rank alone. Says plainly what is wrong with one that is missing, a
 * folder, empty, not readable, not HDF5, or cut off. Local. */
cz_status cz_h5_open(cz_h5_file *file, const char *path);
/* Opens it for collective reading (MPI-IO). Collective over `comm`; not agreed. */
cz_status cz_h5_open_shared(cz_h5_file *file, const char *path, MPI_Comm comm);
void cz_h5_close(cz_h5_file *file); /* a file opened shared: collective */

/* cz_fail(CZ_ERR_INPUT) with "FILE: PLACE: " before the message and HDF5's reason, if its error
 * stack holds one, after it. */
cz_status cz_h5_fail(const cz_h5_file *file, const char *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

typedef enum cz_h5_kind { CZ_H5_NONE, CZ_H5_GROUP, CZ_H5_DATASET, CZ_H5_OTHER } cz_h5_kind;

/* What stands at `place` ("obs/cell_type"); CZ_H5_NONE where a link leads nowhere. Local. */
cz_h5_kind cz_h5_kind_of(const cz_h5_file *file, const char *place);

/* The names of a group's members, "a, b, c", cut to `size`. Local. */
void cz_h5_members(const cz_h5_file *file, const char *group, char *names, size_t size);

/* A text attribute of the object at `place` ("/" is the file's root), "" where there is none
 * or it is not one text. Local. */
void cz_h5_text_attribute(char *text, size_t size, const cz_h5_file *file, const char *place,
                          const char *name);

/* An attribute of `count` integers. Local. */
cz_status cz_h5_integers_attribute(int64_t *values, int count, const cz_h5_file *file,
                                   const char *place, const char *name);

/* A dataset's axes and its values' class; fails where it is none, where it has other than `rank`
 * axes, or where a filter is missing that its values need. Local. */
cz_status cz_h5_shape(hsize_t *dim, H5T_class_t *class, const cz_h5_file *file, const char *place,
                      int rank);

/* A whole dataset of one axis as texts: strings of fixed or variable length, integers, or
 * booleans (False, True). Fails on any text that is not UTF-8. Free with cz_h5_free_texts().
 * Local. */
cz_status cz_h5_texts(char ***texts, int *count, const cz_h5_file *file, const char *place);
void cz_h5_free_texts(char **texts, int count);

/* Rows [begin, begin + count) of a dataset of one or two axes into `values`, as `type`. In a
 * file opened shared this is collective, in blocks of at most 256 MiB a rank (counts may differ
 * and be 0), and not agreed; else local. */
cz_status cz_h5_rows(void *values, hid_t type, int64_t begin, int64_t count, const cz_h5_file *file,
                     const char *place);

#endif
