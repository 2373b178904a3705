/* Reading HDF5 files that others wrote: nothing in them is trusted. Places are paths from the
 * file's root ("obs/cell_type"); failures name file and place, see cz_h5_fail(). */
#ifndef CZ_H5_READ_H
#define CZ_H5_READ_H

#include "czhpc/h5.h"
#include "czhpc/pool.h"

#include <mpi.h>

/* Opens a file that cz_h5_open_file() on one rank has found good for collective reading
 * (MPI-IO; on NFS by each rank alone), without a lock. Collective over `comm`; the outcome is not
 * agreed. */
cz_status cz_h5_open_shared(hid_t *file, const char *path, MPI_Comm comm);

typedef enum cz_h5_kind { CZ_H5_NONE, CZ_H5_GROUP, CZ_H5_DATASET, CZ_H5_OTHER } cz_h5_kind;

/* What stands at `place`; CZ_H5_NONE where a link leads nowhere. Local. */
cz_h5_kind cz_h5_kind_of(hid_t file, const char *place);

/* The names of a group's members, "a, b, c", cut to `size`. Local. */
void cz_h5_members(hid_t file, const char *group, char *names, size_t size);

/* A text attribute of the object at `place` ("/" is the root), "" where there is none.
 * CZ_ERR_INPUT: it is no text. Local. */
cz_status cz_h5_text_attribute(char *text, size_t size, hid_t file, const char *place,
                               const char *name);

/* An attribute of `count` integers. Local. */
cz_status cz_h5_integers_attribute(int64_t *values, int count, hid_t file, const char *place,
                                   const char *name);

/* A dataset's axes and its values' class. CZ_ERR_INPUT: it is no dataset, has other than `rank`
 * axes, a filter is missing that its values need, or fewer bytes are stored than its values can
 * be packed in. Visits all that HDF5 needs to find its values. Local. */
cz_status cz_h5_layout(hsize_t *dim, H5T_class_t *class, hid_t file, const char *place, int rank);

/* A whole dataset of one axis as texts: strings of fixed or variable length, integers, numbers
 * as Python prints them (cz_text_float()), or booleans (False, True). CZ_ERR_INPUT: other
 * values, or text that is not UTF-8. Free with
 * cz_h5_free_strings(). Local. */
cz_status cz_h5_texts(char ***texts, int *count, hid_t file, const char *place);

/* Rows [begin, begin + count) of a dataset of one or two axes into `values`, as `type`. In a
 * file opened shared this is collective, in blocks of at most 256 MiB a rank (counts may differ
 * and be 0), and not agreed; else local. */
cz_status cz_h5_rows(void *values, hid_t type, int64_t begin, int64_t count, hid_t file,
                     const char *place);

/* Whether threads can unpack a dataset of one or two axes into values of `type`: its chunks, of 16
 * MiB at most, are packed by deflate or lzf, perhaps shuffled before, and hold numbers as they lie
 * in memory here. Of all others (other filters, checksums, byte orders) HDF5 takes care in
 * cz_h5_rows(). Local. */
bool cz_h5_is_packed(hid_t file, const char *place, hid_t type);

/* The same rows of such a dataset by the threads of a pool, of a file that this process has opened
 * alone. Local, main thread. CZ_ERR_INPUT: a chunk is damaged. */
cz_status cz_h5_unpack(void *values, hid_t type, int64_t begin, int64_t count, hid_t file,
                       const char *place, cz_pool *pool);

#endif
