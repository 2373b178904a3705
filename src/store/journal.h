/* The file of a study: lines that are only ever appended, under the lock FILE.lock that Optuna's
 * JournalFileBackend takes (its two kinds exclude each other and ours). All of it is Local. */
#ifndef CZ_JOURNAL_H
#define CZ_JOURNAL_H

#include "czhpc/file.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

typedef struct cz_journal {
    char path[CZ_FILE_PATH]; /* absolute */
    char lock[CZ_FILE_PATH + 8];
    double grace;     /* seconds after which a lock that nobody renews is a dead process's */
    struct stat mine; /* the lock file that this process made */
} cz_journal;

/* Names the file, which need not be there. CZ_ERR_IO: the path is too long. */
cz_status cz_journal_name(cz_journal *journal, const char *path, double grace);

/* Waits for the lock. CZ_ERR_IO: the folder cannot be written, or a dead process's lock in it. */
cz_status cz_journal_lock(cz_journal *journal);
void cz_journal_unlock(cz_journal *journal);
/* Whether the lock is still this process's. */
bool cz_journal_locked(const cz_journal *journal);

/* Makes the file where it is not there; under the lock. CZ_ERR_IO. */
cz_status cz_journal_create(const cz_journal *journal);

/* All bytes from `from` on, for the caller to free(); *size 0 where the file ends before.
 * CZ_ERR_INPUT: it cannot be read. */
cz_status cz_journal_read(const cz_journal *journal, int64_t from, char **bytes, size_t *size);

/* Appends whole lines in one write and brings them to disk; under the lock. `end`: the end of what
 * a reader could read: what a writer that died left behind it is cut off first.
 * CZ_ERR_IO: no part of the lines is there. */
cz_status cz_journal_append(const cz_journal *journal, int64_t end, const char *lines, size_t size);

#endif
