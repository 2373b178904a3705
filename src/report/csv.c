#include "csv.h"

#include "czhpc/config.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

typedef char beside[3 * CZ_PATH_MAX + 8];
static const char *name_beside(beside name, const char *path)
{
    snprintf(name, sizeof(beside), "%s.tmp", path);
    return name;
}

FILE *csv_create(const char *path)
{
    beside name;
    FILE *out = fopen(name_beside(name, path), "w");
    if (!out) cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", name, strerror(errno));
    return out;
}

cz_status csv_close(FILE *out, const char *path)
{
    beside name;
    bool failed = ferror(out);
    failed = fclose(out) || failed;
    if (!failed && !rename(name_beside(name, path), path)) return CZ_OK;
    cz_status status = cz_fail(CZ_ERR_IO, "%s: writing failed: %s", path, strerror(errno));
    remove(name_beside(name, path));
    return status;
}

void csv_drop(FILE *out, const char *path)
{
    beside name;
    fclose(out);
    remove(name_beside(name, path));
}

static void write_doubled(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '"') fputc('"', out);
        fputc(*text, out);
    }
}

static bool is_plain(const char *text)
{
    while (*text && *text != ',' && *text != '"' && *text != '\r' && *text != '\n') text++;
    return !*text;
}

void csv_text(FILE *out, const char *prefix, const char *text, const char *end)
{
    if (is_plain(prefix) && is_plain(text)) {
        fputs(prefix, out);
        fputs(text, out);
    } else {
        fputc('"', out);
        write_doubled(out, prefix);
        write_doubled(out, text);
        fputc('"', out);
    }
    fputs(end, out);
}

void csv_number(FILE *out, double value, const char *end)
{
    if (isfinite(value)) fprintf(out, "%.10g", value);
    fputs(end, out);
}
