#include "system.h"

#include <stdio.h>

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
