/* The little that data and store share of HDF5: guards, error text, attributes, strings.
 *
 * Everything here is Local and for one thread at a time: the library is not thread-safe. A
 * failure names the file, the object in it and HDF5's own reason; HDF5 itself prints nothing
 * after cz_h5_quiet(). Handles (hid_t) start as H5I_INVALID_HID and are closed by
 * cz_h5_close(), which is harmless on an invalid one: one `done:` label closes them all. */
#ifndef CZ_H5_H
#define CZ_H5_H

#include "czhpc/status.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

/* Stops HDF5 from printing its error stack. cz_h5_open_file() calls it; who opens or creates
 * files otherwise calls it first. */
void cz_h5_quiet(void);

/* The innermost reason on HDF5's error stack ("Fletcher32 checksum error"), "" if none; the
 * stack is cleared. Valid until the next call. */
const char *cz_h5_error(void);

/* cz_fail() with "FILE: OBJECT/NAME: message: HDF5's reason"; `at` is any open handle of the
 * file, `name` a name under it or NULL. */
cz_status cz_h5_fail(cz_status status, hid_t at, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Closes a handle of any kind and makes it invalid; false if HDF5 could not, which for a file
 * or dataset that was written means that data may be lost. */
bool cz_h5_close(hid_t *id);

/* Opens a file for reading by this process alone, without a lock. CZ_ERR_INPUT: it is missing, may
 * not be read, is a folder, or is not HDF5 that this library understands. */
cz_status cz_h5_open_file(hid_t *file, const char *path);

/* A file in memory: HDF5 that runs into a full disk crashes when the process ends. Its image is for
 * the caller to free() and to write; `what` says of what, for messages. CZ_ERR_IO, CZ_ERR_MEMORY.
 */
cz_status cz_h5_create_image(hid_t *file, const char *what);
cz_status cz_h5_take_image(void **bytes, size_t *size, hid_t file, const char *what);

/* Whether `path` (steps divided by '/') leads to an object under `at`. */
bool cz_h5_has(hid_t at, const char *path);
/* Whether there is an attribute `name`; also true where HDF5 cannot tell, which reading it then
 * does. */
bool cz_h5_has_attribute(hid_t at, const char *name);

/* Opens a group or dataset under `at`. CZ_ERR_INPUT: missing, or of another kind. */
cz_status cz_h5_open_group(hid_t *group, hid_t at, const char *path);
cz_status cz_h5_open_dataset(hid_t *dataset, hid_t at, const char *path);

/* Extent of a dataset: its rank (0: scalar, -1: without dataspace), and dims, at most `most`
 * of them. CZ_ERR_INPUT: more dimensions than that. */
cz_status cz_h5_shape(hid_t dataset, int most, int *rank, hsize_t *dims);

/* Scalar attributes. Strings are written as variable-length UTF-8, as AnnData does, and read
 * in whatever form they are; `*text` is for the caller to free(). Reading converts any integer
 * to int64 and any number to double. CZ_ERR_INPUT: missing or of another kind; CZ_ERR_IO:
 * cannot be written. */
cz_status cz_h5_write_string(hid_t at, const char *name, const char *text);
cz_status cz_h5_write_int(hid_t at, const char *name, int64_t value);
cz_status cz_h5_write_double(hid_t at, const char *name, double value);
cz_status cz_h5_read_string(hid_t at, const char *name, char **text);
cz_status cz_h5_read_int(hid_t at, const char *name, int64_t *value);
cz_status cz_h5_read_double(hid_t at, const char *name, double *value);

/* All strings of a dataset of at most one dimension, fixed or variable in length, a NULL one
 * as "": `*strings` (count) is freed by cz_h5_free_strings(). CZ_ERR_INPUT. */
cz_status cz_h5_read_strings(hid_t dataset, char ***strings, size_t *count);
/* The same of an attribute; one without values has none, whatever its type. CZ_ERR_INPUT. */
cz_status cz_h5_read_strings_attribute(hid_t at, const char *name, char ***strings, size_t *count);
void cz_h5_free_strings(char **strings, size_t count);

#endif
