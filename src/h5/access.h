/* How files are opened to be read. Private to src/h5. */
#ifndef CZ_ACCESS_H
#define CZ_ACCESS_H

#include <hdf5.h>

/* Access properties to read by: no lock is taken, which network file systems may not have.
 * Makes HDF5 quiet and able to read lzf. Close with H5Pclose(). */
hid_t h5_access(void);

#endif
