/* Small files of the kernel's. Private to src/base. */
#ifndef CZ_SYSTEM_H
#define CZ_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>

/* The beginning of a file of root/path, as a text; *length, if not NULL, counts bytes of 0 in it
 * too. false: it cannot be read. Local. */
bool system_read(char *text, size_t size, size_t *length, const char *root, const char *path);

/* The word behind `key` at the start of a line; NULL: there is none. Local. */
const char *system_behind(const char *text, const char *key);

#endif
