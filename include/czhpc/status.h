/* One list of outcomes for the whole program, and one way to report a failure. */
#ifndef CZ_STATUS_H
#define CZ_STATUS_H

#include <stddef.h>

typedef enum cz_status {
    CZ_OK = 0,
    CZ_STOPPED,      /* a signal asked to stop; the state is saved */
    CZ_ERR_LOST,     /* other ranks' devices do not answer: what these say is the better message */
    CZ_ERR_DIVERGED, /* the loss or a weight is not finite */
    CZ_ERR_USAGE,    /* command line */
    CZ_ERR_CONFIG,   /* configuration file or override */
    CZ_ERR_INPUT,    /* an input file: missing, damaged, or not what was expected */
    CZ_ERR_IO,       /* the operating system refused: disk full, no permission */
    CZ_ERR_MEMORY,   /* no memory */
    CZ_ERR_MPI,      /* an MPI call failed */
    CZ_ERR_DEVICE,   /* the device asked for is not there or failed */
    CZ_ERR_BUG       /* arguments that cannot be: a mistake of czhpc's */
} cz_status;

/* The exit code of the process for an outcome, as --help lists them. Local. */
int cz_exit_code(cz_status status);

/* Records what failed and what the user can do about it, and returns `status`.
 * Nothing is printed here: of all ranks and threads only the first message of the
 * worst failure is printed, by cz_comm_agree() or by main. A process keeps its first
 * message until cz_error_clear(). Safe from any thread. Local. */
cz_status cz_fail(cz_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The message recorded by the first cz_fail() of this process, "" if none. Local. */
const char *cz_error_message(void);
void cz_error_clear(void);
/* From now on the messages of the calling thread are its own: the first is kept in `text` (size
 * bytes, emptied), is what this thread's cz_error_message() says and its cz_error_clear() forgets.
 * For a thread whose failure another tells, maybe later. NULL: as before. Local. */
void cz_error_divert(char *text, size_t size);

/* Memory that is zeroed, or NULL with the failure recorded (naming `what`). Local. */
void *cz_alloc(size_t count, size_t size, const char *what);

/* Passes a failure on. Only where nothing is owned; else set a status and goto done. */
#define CZ_TRY(call)                                                                               \
    do {                                                                                           \
        cz_status cz_try_status = (call);                                                          \
        if (cz_try_status) return cz_try_status;                                                   \
    } while (0)

#endif
