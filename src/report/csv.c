#include "csv.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

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
