#include "label_cache.h"
#include "czhpc/file.h"

#include "czhpc/embed.h"

#include "czhpc/log.h"
#include "czhpc/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The failure at hand becomes a warning: a cache only saves time. */
static void warn(const char *what)
{
    cz_warn("%s: %s", what, cz_error_message());
    cz_error_clear();
}

/* What is kept cannot be used: it is passed over. */
static void pass_over(label_cache *cache)
{
    warn("label vectors are made anew, as those kept cannot be used");
    cz_label_table_free(&cache->table);
}

static cz_status wrong_model(const label_cache *cache)
{
    return cz_fail(CZ_ERR_INPUT, "%s: is of another model", cache->path);
}

void label_cache_open(label_cache *cache, const char *folder, uint64_t key)
{
    *cache = (label_cache){0};
    if (!folder) return;
    snprintf(cache->key, sizeof cache->key, "%016" PRIx64, key);
    snprintf(cache->path, sizeof cache->path, "%s/%s.h5", folder, cache->key);
    if (access(cache->path, F_OK)) return;
    cz_status status = cz_label_table_read(&cache->table, cache->path);
    if (!status && strcmp(cache->table.key, cache->key) != 0) status = wrong_model(cache);
    if (status) pass_over(cache);
}

void label_cache_check(label_cache *cache, int width)
{
    if (!cache->table.rows || cache->table.width == width) return;
    wrong_model(cache);
    pass_over(cache);
}

bool label_cache_holds(const label_cache *cache, char *const *label, int count)
{
    for (int i = 0; i < count; i++)
        if (cz_label_row(&cache->table, label[i]) < 0) return false;
    return true;
}

void label_cache_close(label_cache *cache) { cz_label_table_free(&cache->table); }

static cz_status make_folder(const char *path)
{
    char folder[3 * CZ_PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    return cz_make_folder(folder);
}

void label_cache_add(const label_cache *cache, char *const *label, const float *vectors, int count,
                     int width, const cz_config *config)
{
    const cz_label_table *old = &cache->table;
    size_t rows = (size_t)old->rows + (size_t)count, columns = (size_t)width;
    if (!cache->path[0] || !count) return;
    char **labels = cz_alloc(rows, sizeof *labels, "labels");
    float *all = cz_alloc(rows * columns, sizeof *all, "label vectors");
    cz_status status = labels && all ? CZ_OK : CZ_ERR_MEMORY;
    if (!status) {
        for (int i = 0; i < old->rows; i++) labels[i] = old->label[i];
        for (int i = 0; i < count; i++) labels[old->rows + i] = label[i];
        if (old->rows) memcpy(all, old->vector, (size_t)old->rows * columns * sizeof *all);
        memcpy(all + (size_t)old->rows * columns, vectors, (size_t)count * columns * sizeof *all);
        status = make_folder(cache->path);
    }
    if (!status)
        status = cz_label_table_write(cache->path, labels, all, (int)rows, width, cache->key,
                                      config->text.model, cz_pooling_name(config->text.pooling));
    if (status) warn("label vectors could not be kept for the next run");
    free(labels);
    free(all);
}
