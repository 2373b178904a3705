/* Numbers as files hold them, made into those that are asked for: HDF5's own conversion runs on
 * one thread alone. Private to src/h5. All Local. */
#ifndef CZ_NUMBERS_H
#define CZ_NUMBERS_H

#include <hdf5.h>

/* n numbers from one form to another, as HDF5 does it: what an integer cannot hold becomes its
 * largest or smallest. Neither needs to be aligned. Safe from any thread. */
typedef void (*h5_convert)(void *to, const void *from, size_t n);

/* From the type of a dataset to float, int32 or int64 as they lie in memory. NULL: not one of the
 * pairs, HDF5 must do it. */
h5_convert h5_converter(hid_t stored, hid_t wanted);

#endif
