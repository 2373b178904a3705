#include "czhpc/status.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char message[4096];
static _Thread_local char *diverted;
static _Thread_local size_t diverted_size;

int cz_exit_code(cz_status status)
{
    switch (status) {
    case CZ_OK:
        return 0;
    case CZ_STOPPED:
        return 75;
    case CZ_ERR_DIVERGED:
        return 5;
    case CZ_ERR_USAGE:
    case CZ_ERR_CONFIG:
        return 2;
    case CZ_ERR_INPUT:
        return 3;
    case CZ_ERR_IO:
    case CZ_ERR_MEMORY:
    case CZ_ERR_MPI:
    case CZ_ERR_LOST:
    case CZ_ERR_DEVICE:
    case CZ_ERR_BUG:
        return 4;
    }
    return 4;
}

cz_status cz_fail(cz_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (diverted) {
        if (!diverted[0]) vsnprintf(diverted, diverted_size, format, arguments);
    } else {
        pthread_mutex_lock(&lock);
        if (!message[0]) vsnprintf(message, sizeof message, format, arguments);
        pthread_mutex_unlock(&lock);
    }
    va_end(arguments);
    return status;
}

void cz_error_divert(char *text, size_t size)
{
    diverted = text;
    diverted_size = size;
    if (text) text[0] = 0;
}

const char *cz_error_message(void) { return diverted ? diverted : message; }

void cz_error_clear(void)
{
    if (diverted) {
        diverted[0] = 0;
        return;
    }
    pthread_mutex_lock(&lock);
    message[0] = 0;
    pthread_mutex_unlock(&lock);
}

void *cz_alloc(size_t count, size_t size, const char *what)
{
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory)
        cz_fail(CZ_ERR_MEMORY, "no memory for %s (%zu x %zu bytes): use more ranks or less data",
                what, count, size);
    return memory;
}
