#include "czhpc/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool speaker = true;
static FILE *file;
static bool drawn; /* a line that the next one takes the place of */

void cz_log_set_speaker(bool speaks) { speaker = speaks; }

cz_status cz_log_open(const char *path)
{
    cz_log_close();
    file = fopen(path, "a");
    if (!file) return cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    setvbuf(file, NULL, _IOLBF, 0);
    return CZ_OK;
}

void cz_log_close(void)
{
    if (file) fclose(file);
    file = NULL;
}

static void write_line(FILE *to, const char *prefix, const char *format, va_list arguments)
{
    fputs(prefix, to);
    vfprintf(to, format, arguments);
    fputc('\n', to);
}

static void clear_drawn(void)
{
    if (drawn) fputs("\r\033[K", stderr);
    drawn = false;
}

static void write_log(const char *prefix, const char *format, va_list arguments)
{
    if (!file) return;
    char stamp[40];
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S ", &local);
    fputs(stamp, file);
    write_line(file, prefix, format, arguments);
}

void cz_note(const char *format, ...)
{
    if (!speaker) return;
    va_list arguments;
    va_start(arguments, format);
    clear_drawn();
    write_line(stderr, "", format, arguments);
    va_end(arguments);
    va_start(arguments, format);
    write_log("", format, arguments);
    va_end(arguments);
}

void cz_log(const char *format, ...)
{
    if (!speaker) return;
    va_list arguments;
    va_start(arguments, format);
    write_log("", format, arguments);
    va_end(arguments);
}

void cz_warn(const char *format, ...)
{
    if (!speaker) return;
    va_list arguments;
    va_start(arguments, format);
    clear_drawn();
    write_line(stderr, "warning: ", format, arguments);
    va_end(arguments);
    va_start(arguments, format);
    write_log("warning: ", format, arguments);
    va_end(arguments);
}

void cz_log_draw(const char *format, ...)
{
    if (!speaker) return;
    clear_drawn();
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fflush(stderr);
    drawn = true;
}

void cz_print_error(const char *text)
{
    clear_drawn();
    fprintf(stderr, "czhpc: error: %s\n", text);
}
