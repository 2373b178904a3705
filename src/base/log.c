#include "czhpc/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool speaker = true;
static FILE *file, *item; /* the job's log; that of an item of it */
static bool drawn;        /* a line that the next one takes the place of */

void cz_log_set_speaker(bool speaks) { speaker = speaks; }

static cz_status open_log(FILE **log, const char *path)
{
    *log = fopen(path, "a");
    if (!*log) return cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    setvbuf(*log, NULL, _IOLBF, 0);
    return CZ_OK;
}

static void close_log(FILE **log)
{
    if (*log) fclose(*log);
    *log = NULL;
}

cz_status cz_log_open(const char *path)
{
    close_log(&file);
    return open_log(&file, path);
}

void cz_log_close(void) { close_log(&file); }

cz_status cz_log_enter(const char *path)
{
    close_log(&item);
    return open_log(&item, path);
}

void cz_log_leave(void) { close_log(&item); }

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

static void write_log(FILE *log, const char *prefix, const char *format, va_list arguments)
{
    if (!log) return;
    char stamp[40];
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S ", &local);
    fputs(stamp, log);
    write_line(log, prefix, format, arguments);
}

/* To the terminal and a log; or to a log alone. */
static void say(bool aloud, FILE *log, const char *prefix, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    if (aloud) {
        clear_drawn();
        write_line(stderr, prefix, format, arguments);
    }
    write_log(log, prefix, format, again);
    va_end(again);
}

void cz_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (item) say(false, item, "", format, arguments);
    else if (speaker) say(true, file, "", format, arguments);
    va_end(arguments);
}

void cz_log(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (item || speaker) say(false, item ? item : file, "", format, arguments);
    va_end(arguments);
}

void cz_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (item) say(false, item, "warning: ", format, arguments);
    else if (speaker) say(true, file, "warning: ", format, arguments);
    va_end(arguments);
}

void cz_announce(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (speaker) say(true, file, "", format, arguments);
    va_end(arguments);
}

void cz_log_draw(const char *format, ...)
{
    if (!speaker || item) return;
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
