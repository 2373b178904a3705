/* Small files of the kernel's. Private to src/base. */
#ifndef CZ_SYSTEM_H
#define CZ_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>

/* The beginning of a file of root/path, as a text; *length, if not NULL, counts bytes of 0 in it
 * too. false: it cannot be read. Local. */
bool system_read(char *text, size_t size, size_t *length, const char *root, const char *path);

#endif
