#include "czhpc/bytes.h"

#include <stdlib.h>
#include <string.h>

void cz_bytes_put(cz_bytes *bytes, const void *from, size_t size)
{
    if (bytes->failed || size == 0) return;
    if (size > bytes->room - bytes->size) {
        size_t room = bytes->room < 256 ? 256 : bytes->room;
        while (room - bytes->size < size && room <= SIZE_MAX / 2) room *= 2;
        unsigned char *data =
            room - bytes->size < size ? NULL : (unsigned char *)realloc(bytes->data, room);
        if (!data) {
            cz_fail(CZ_ERR_MEMORY, "no memory for %zu bytes and %zu more", bytes->size, size);
            bytes->failed = true;
            return;
        }
        bytes->data = data;
        bytes->room = room;
    }
    memcpy(bytes->data + bytes->size, from, size);
    bytes->size += size;
}

void cz_bytes_put_int(cz_bytes *bytes, int64_t value) { cz_bytes_put(bytes, &value, sizeof value); }

/* With its final 0, by which it is found again. */
void cz_bytes_put_text(cz_bytes *bytes, const char *text)
{
    cz_bytes_put(bytes, text, strlen(text) + 1);
}

void cz_bytes_free(cz_bytes *bytes)
{
    free(bytes->data);
    *bytes = (cz_bytes){0};
}

cz_bytes_reader cz_bytes_open(const void *data, size_t size)
{
    const unsigned char *at = size ? data : (const unsigned char *)"";
    return (cz_bytes_reader){at, at + size, false};
}

bool cz_bytes_take(cz_bytes_reader *reader, void *to, size_t size)
{
    if (reader->bad || size > cz_bytes_left(reader, 1)) {
        reader->bad = true;
        memset(to, 0, size);
        return false;
    }
    if (size) {
        memcpy(to, reader->at, size);
        reader->at += size;
    }
    return true;
}

int64_t cz_bytes_take_int(cz_bytes_reader *reader, int64_t least, int64_t most)
{
    int64_t value;
    if (!cz_bytes_take(reader, &value, sizeof value)) return 0;
    if (value >= least && value <= most) return value;
    reader->bad = true;
    return 0;
}

const char *cz_bytes_take_text(cz_bytes_reader *reader)
{
    size_t left = cz_bytes_left(reader, 1);
    const unsigned char *text = reader->at, *end = left ? memchr(text, 0, left) : NULL;
    if (!end) {
        reader->bad = true;
        return "";
    }
    reader->at = end + 1;
    return (const char *)text;
}

size_t cz_bytes_left(const cz_bytes_reader *reader, size_t size)
{
    if (reader->bad) return 0;
    return (size_t)(reader->end - reader->at) / (size ? size : 1);
}
