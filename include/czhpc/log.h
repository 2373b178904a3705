/* What the program says while it runs: to the terminal and to the run's czhpc.log. */
#ifndef CZ_LOG_H
#define CZ_LOG_H

#include "czhpc/status.h"

#include <stdbool.h>

/* Only the process that calls this with true (rank 0) says anything. Local. */
void cz_log_set_speaker(bool speaks);

/* Also writes every line to `path`, appending, each with the time. Local. */
cz_status cz_log_open(const char *path);
void cz_log_close(void);

/* A second log, of an item that this process leads among others: until cz_log_leave() all lines go
 * there alone, whether the process speaks or not. Local. CZ_ERR_IO. */
cz_status cz_log_enter(const char *path);
void cz_log_leave(void);

/* Like cz_note(), also from within an item to the terminal and the first log. Of a process that
 * speaks. */
void cz_announce(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line; the newline is added. cz_note() goes to stderr and to the log, cz_log() to the
 * log alone, cz_warn() like cz_note() with "warning: " before it. From the main thread. */
void cz_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cz_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cz_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Draws over the last line of the terminal; the next line said takes its place. Not logged. */
void cz_log_draw(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "czhpc: error: ..." on stderr, whoever calls. */
void cz_print_error(const char *message);

#endif
