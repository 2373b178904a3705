/* Files as the system sees them. All of it is Local. */
#ifndef CZ_FILE_H
#define CZ_FILE_H

#include "czhpc/status.h"

#include <stddef.h>
#include <stdio.h>

/* Writes all of `bytes` at the descriptor's position. CZ_ERR_IO names `path`. */
cz_status cz_file_write(int fd, const char *path, const void *bytes, size_t size);

/* Makes the entries of a folder durable: what was created, renamed and removed in it. */
cz_status cz_file_sync_folder(const char *folder);

/* fsync()s a file, or the folder that holds it. CZ_ERR_IO. */
cz_status cz_file_sync(const char *path);
cz_status cz_file_sync_parent(const char *path);

/* "FOLDER/NAME" into `path` (CZ_FILE_PATH bytes). CZ_ERR_IO: too long. */
enum { CZ_FILE_PATH = 4096 };
cz_status cz_file_path(char *path, const char *folder, const char *name);

/* Creates a folder and its parents. CZ_ERR_IO. */
cz_status cz_make_folder(const char *path);

/* Removes a folder and all that is in it, following no links; CZ_OK where there is none. CZ_ERR_IO.
 */
cz_status cz_remove_folder(const char *path);

/* A file that takes the place of `path` when it is whole, at once or not at all: written under a
 * name of its own, brought to disk, renamed, so that of several writers the last one wins.
 * CZ_ERR_IO: also where `path` is there and no regular file. */
typedef struct cz_new_file {
    FILE *out; /* to write to; errors show at the end */
    char path[CZ_FILE_PATH], temporary[CZ_FILE_PATH];
} cz_new_file;
cz_status cz_new_file_open(cz_new_file *file, const char *path);
/* From here on it is there; after an error what was there before still is. */
cz_status cz_new_file_close(cz_new_file *file);
/* It never will be. Nothing to do for one that could not be opened. */
void cz_new_file_drop(cz_new_file *file);
/* The same of `size` bytes. */
cz_status cz_write_file(const char *path, const void *bytes, size_t size);
/* Whether a new file has a chance: before the work that gives the bytes. CZ_ERR_IO; CZ_ERR_USAGE:
 * one is there. */
cz_status cz_may_create_file(const char *path);

/* All of a file and a final 0, for the caller to free(). CZ_ERR_INPUT. */
cz_status cz_file_read(const char *path, char **bytes, size_t *size);

#endif
