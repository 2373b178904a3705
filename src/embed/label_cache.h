/* Vectors that a text model has made before: a table for each model, named by its key. Private to
 * src/embed; all of it is for rank 0. */
#ifndef CZ_LABEL_CACHE_H
#define CZ_LABEL_CACHE_H

#include "czhpc/label_table.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct label_cache {
    char path[3 * CZ_PATH_MAX]; /* "" without a cache */
    char key[CZ_LABEL_KEY];
    cz_label_table table; /* what it holds; no rows where there is none yet */
} label_cache;

/* Reads the table of a model; one that is damaged or of another model is passed over with a
 * warning, and will be written anew. Local. */
void label_cache_open(label_cache *cache, const char *folder, uint64_t key);
void label_cache_close(label_cache *cache);
/* Once the width of the model's vectors is known: passes over a table of another one. Local. */
void label_cache_check(label_cache *cache, int width);
/* Whether it has all of these labels: then the model itself is not needed. Local. */
bool label_cache_holds(const label_cache *cache, char *const *label, int count);

/* Writes the table anew with `count` labels more. What goes wrong is a warning. Local. */
void label_cache_add(const label_cache *cache, char *const *label, const float *vectors, int count,
                     int width, const cz_config *config);

#endif
