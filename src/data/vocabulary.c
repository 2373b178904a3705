#include "vocabulary.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a, which grows by one byte at a time. */
static uint64_t hash_begin(bool continues) { return 0xcbf29ce484222325u + continues; }
static uint64_t hash_byte(uint64_t hash, char byte)
{
    return (hash ^ (unsigned char)byte) * 0x100000001b3u;
}

/* The slot of a token, or the free one where it belongs. */
static uint32_t *find(const vocabulary *v, uint64_t hash, const char *text, size_t size,
                      bool continues)
{
    for (size_t at = hash ^ hash >> 32;; at++) {
        uint32_t *slot = &v->slot[at & (v->slots - 1)];
        if (!*slot) return slot;
        const vocabulary_entry *e = &v->entry[*slot - 1];
        if ((size_t)e->length == size && e->continues == continues &&
            !memcmp(v->text + e->offset, text, size))
            return slot;
    }
}

static uint32_t *find_token(const vocabulary *v, const char **token, size_t *size, bool *continues)
{
    *continues = *size >= 2 && !memcmp(*token, "##", 2);
    if (*continues) *token += 2, *size -= 2;
    uint64_t hash = hash_begin(*continues);
    for (size_t i = 0; i < *size; i++) hash = hash_byte(hash, (*token)[i]);
    return find(v, hash, *token, *size, *continues);
}

cz_status vocabulary_make(vocabulary *v, size_t tokens, size_t bytes)
{
    size_t slots = 16;
    while (slots < 2 * tokens) slots *= 2;
    *v = (vocabulary){.slots = slots};
    v->text = cz_alloc(bytes, 1, "a vocabulary");
    v->entry = cz_alloc(tokens, sizeof *v->entry, "a vocabulary");
    v->slot = cz_alloc(slots, sizeof *v->slot, "a vocabulary");
    return v->text && v->entry && v->slot ? CZ_OK : CZ_ERR_MEMORY;
}

void vocabulary_free(vocabulary *v)
{
    free(v->text);
    free(v->entry);
    free(v->slot);
    *v = (vocabulary){0};
}

int32_t vocabulary_add(vocabulary *v, const char *token, size_t size, int32_t id)
{
    bool continues;
    uint32_t *slot = find_token(v, &token, &size, &continues);
    if (*slot) return v->entry[*slot - 1].id;
    v->entry[v->tokens++] = (vocabulary_entry){v->used, (int32_t)size, id, continues};
    *slot = (uint32_t)v->tokens;
    if (size) memcpy(v->text + v->used, token, size);
    v->used += size;
    if ((int)size > v->longest) v->longest = (int)size;
    return -1;
}

int32_t vocabulary_find(const vocabulary *v, const char *token, size_t size)
{
    bool continues;
    uint32_t *slot = find_token(v, &token, &size, &continues);
    return *slot ? v->entry[*slot - 1].id : -1;
}

size_t vocabulary_longest(const vocabulary *v, const char *word, size_t size, bool continues,
                          int32_t *id)
{
    size_t best = 0;
    uint64_t hash = hash_begin(continues);
    if (size > (size_t)v->longest) size = (size_t)v->longest;
    for (size_t i = 0; i < size; i++) {
        hash = hash_byte(hash, word[i]);
        const uint32_t *slot = find(v, hash, word, i + 1, continues);
        if (!*slot) continue;
        best = i + 1;
        *id = v->entry[*slot - 1].id;
    }
    return best;
}
