#include "names.h"

#include "czhpc/rng.h"

#include <stdlib.h>
#include <string.h>

cz_status name_set_open(name_set *set, int most)
{
    *set = (name_set){.most = most, .slots = 16};
    while (set->slots < 2 * (size_t)most) set->slots *= 2;
    set->text = cz_alloc((size_t)most, sizeof *set->text, "a set of names");
    set->length = cz_alloc((size_t)most, sizeof *set->length, "a set of names");
    set->slot = cz_alloc(set->slots, sizeof *set->slot, "a set of names");
    if (set->text && set->length && set->slot) return CZ_OK;
    name_set_free(set);
    return CZ_ERR_MEMORY;
}

void name_set_free(name_set *set)
{
    free(set->text);
    free(set->length);
    free(set->slot);
    *set = (name_set){0};
}

/* The slot of a text, or the free one where it belongs. */
static size_t slot_of(const name_set *set, const char *text, size_t length)
{
    size_t at = cz_hash(0, text, length) & (set->slots - 1);
    for (; set->slot[at]; at = (at + 1) & (set->slots - 1)) {
        int32_t k = set->slot[at] - 1;
        if (set->length[k] == length && !memcmp(set->text[k], text, length)) break;
    }
    return at;
}

int name_set_find(const name_set *set, const char *text, size_t length)
{
    return set->slot[slot_of(set, text, length)] - 1;
}

int name_set_add(name_set *set, const char *text, size_t length)
{
    size_t at = slot_of(set, text, length);
    if (!set->slot[at]) {
        set->text[set->count] = text;
        set->length[set->count] = length;
        set->slot[at] = ++set->count;
    }
    return set->slot[at] - 1;
}
