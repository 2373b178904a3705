/* Bytes that one process writes and another reads: plain values and texts, one after another. */
#ifndef CZ_BYTES_H
#define CZ_BYTES_H

#include "czhpc/status.h"

#include <stdbool.h>
#include <stdint.h>

/* A growing buffer; {0} is an empty one. After a failure of memory (recorded with cz_fail())
 * it stays `failed`, and what is put into it is lost. Free with cz_bytes_free(). Local. */
typedef struct cz_bytes {
    unsigned char *data;
    size_t size, room;
    bool failed;
} cz_bytes;

void cz_bytes_put(cz_bytes *bytes, const void *from, size_t size);
void cz_bytes_put_int(cz_bytes *bytes, int64_t value);
void cz_bytes_put_text(cz_bytes *bytes, const char *text);
void cz_bytes_free(cz_bytes *bytes);

/* Takes them out again, in the same order. Nothing in them is trusted: what goes beyond the
 * end, or a text that does not end, makes the reader `bad`, which it stays; then values are 0
 * and texts "". Local. */
typedef struct cz_bytes_reader {
    const unsigned char *at, *end;
    bool bad;
} cz_bytes_reader;

cz_bytes_reader cz_bytes_open(const void *data, size_t size); /* data NULL where size is 0 */
bool cz_bytes_take(cz_bytes_reader *reader, void *to, size_t size);
/* A value from least to most; else the reader is bad. */
int64_t cz_bytes_take_int(cz_bytes_reader *reader, int64_t least, int64_t most);
/* A text that lies within the bytes, valid as long as they are. */
const char *cz_bytes_take_text(cz_bytes_reader *reader);
/* How many elements of at least `size` bytes each can still follow: bounds a count before
 * memory is taken for it. */
size_t cz_bytes_left(const cz_bytes_reader *reader, size_t size);

#endif
