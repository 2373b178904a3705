#include "system.h"

#include <stdio.h>
#include <string.h>

bool system_read(char *text, size_t size, size_t *length, const char *root, const char *path)
{
    char whole[8192];
    text[0] = 0;
    if ((size_t)snprintf(whole, sizeof whole, "%s%s", root, path) >= sizeof whole) return false;
    FILE *in = fopen(whole, "r");
    if (!in) return false;
    size_t read = fread(text, 1, size - 1, in);
    bool ok = !ferror(in);
    fclose(in);
    text[read] = 0;
    if (length) *length = read;
    return ok;
}

const char *system_behind(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) == 0) return line + length + strspn(line + length, "\t ");
    }
    return NULL;
}
