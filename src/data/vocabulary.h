/* Tokens and their ids. A token that begins with ## continues a word. Private to src/data. */
#ifndef CZ_VOCABULARY_H
#define CZ_VOCABULARY_H

#include "czhpc/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { VOCABULARY_TOKENS_MAX = 4000000, VOCABULARY_BYTES_MAX = 1024 };

typedef struct vocabulary_entry {
    size_t offset; /* in `text`, without ## */
    int32_t length, id;
    bool continues;
} vocabulary_entry;

typedef struct vocabulary {
    char *text;
    vocabulary_entry *entry;
    uint32_t *slot; /* (slots) an entry's number + 1, 0: free */
    size_t slots;   /* a power of 2 */
    size_t used;    /* bytes of `text` */
    int tokens;
    int longest; /* bytes of a token, without ## */
} vocabulary;

/* Room for so many tokens and their bytes. Free with vocabulary_free(), harmless on {0}. Local. */
cz_status vocabulary_make(vocabulary *v, size_t tokens, size_t bytes);
void vocabulary_free(vocabulary *v);

/* Adds a token of at most VOCABULARY_BYTES_MAX bytes and returns -1; or the id that it has. */
int32_t vocabulary_add(vocabulary *v, const char *token, size_t size, int32_t id);

/* The id of a token, -1 if there is none. Local. */
int32_t vocabulary_find(const vocabulary *v, const char *token, size_t size);

/* The bytes of the longest token that a word begins with, or that it goes on with where it
 * `continues`; 0 if there is none. Local. */
size_t vocabulary_longest(const vocabulary *v, const char *word, size_t size, bool continues,
                          int32_t *id);

#endif
