/* Texts by number and back, through a hash table. Private to src/data. All Local. */
#ifndef CZ_NAMES_H
#define CZ_NAMES_H

#include "czhpc/status.h"

#include <stdint.h>

/* Texts that differ, numbered in the order in which they were added. They stay the caller's,
 * and need not end with 0. Free with name_set_free(). */
typedef struct name_set {
    int count, most;
    const char **text; /* (count) */
    size_t *length;    /* (count) */
    int32_t *slot;     /* (slots) 1 + a text's number, 0 = free */
    size_t slots;      /* a power of two */
} name_set;

/* An empty set with room for `most` texts. CZ_ERR_MEMORY. */
cz_status name_set_open(name_set *set, int most);
void name_set_free(name_set *set);

/* The number of a text, -1 where it is not there; add gives a new one its number. */
int name_set_find(const name_set *set, const char *text, size_t length);
int name_set_add(name_set *set, const char *text, size_t length);

#endif
