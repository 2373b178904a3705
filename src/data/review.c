/* Which cells stay once their features are known. */
#include "column.h"
#include "rules.h"
#include "sorting.h"

#include <stdlib.h>
#include <string.h>

typedef struct hashed {
    uint64_t hash;
    int32_t cell;
} hashed;

static int by_hash(const void *left, const void *right)
{
    const hashed *a = left, *b = right;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return a->cell < b->cell ? -1 : a->cell > b->cell;
}

static cz_status drop_empty(cz_cells *cells, uint8_t *keep, const uint8_t *empty,
                            const cz_config *config)
{
    int missing = 0;
    bool counts = config->data.features == CZ_FEATURES_COUNTS;
    for (int i = 0; i < cells->n; i++) {
        keep[i] = !empty[i];
        missing += empty[i] != 0;
    }
    if (!missing) return CZ_OK;
    char what[CZ_NAME_MAX + 32] = "counts above 0";
    if (!counts) snprintf(what, sizeof what, "embedding %s (all NaN)", config->data.obsm);
    if (missing == cells->n)
        return cz_fail(CZ_ERR_INPUT, "%s: no cell is left: %d have no %s", cells->facts.source,
                       missing, what);
    if (config->data.missing == CZ_MISSING_ERROR)
        return cz_fail(CZ_ERR_INPUT,
                       "%s: %d of %d cells have no %s: data.missing=drop leaves them "
                       "out",
                       cells->facts.source, missing, cells->n, what);
    rules_say(&cells->facts, counts ? "no counts" : "no embedding", missing,
              "%d of %d cells left out: no %s", missing, cells->n, what);
    return CZ_OK;
}

/* Cells of which an earlier one is equal; they are left out if the config says so. */
static cz_status find_duplicates(cz_cells *cells, uint8_t *keep, const cz_config *config)
{
    hashed *row = cz_alloc((size_t)cells->n, sizeof *row, "the hashes of cells");
    if (!row) return CZ_ERR_MEMORY;
    int rows = 0, found = 0;
    bool drop = config->data.duplicates == CZ_DUPLICATES_DROP;
    for (int i = 0; i < cells->n; i++)
        if (keep[i]) row[rows++] = (hashed){cells->row_hash[i], i};
    cz_status status =
        sort_by_hash(row, (size_t)rows, sizeof *row, offsetof(hashed, hash), by_hash);
    for (int i = 1; i < rows && !status; i++) {
        if (row[i].hash != row[i - 1].hash) continue;
        found++;
        if (drop) keep[row[i].cell] = 0;
    }
    free(row);
    if (found && drop)
        rules_say(&cells->facts, "duplicates", found,
                  "%d of %d cells left out: their features equal an earlier cell's", found, rows);
    else if (found)
        rules_say(&cells->facts, "duplicates", found,
                  "%d of %d cells have the features of an earlier cell; they are kept", found,
                  rows);
    cells->facts.duplicates = drop ? 0 : found;
    return status;
}

static cz_status drop_small_classes(cz_cells *cells, uint8_t *keep, const cz_config *config)
{
    const cz_column *target = &cells->target;
    int *count = column_count(target, keep, cells->n), classes = 0, left_out = 0;
    uint8_t *small = cz_alloc((size_t)target->classes, 1, "the small classes");
    cz_status status = count && small ? CZ_OK : CZ_ERR_MEMORY;
    for (int k = 0; k < target->classes && !status; k++) {
        small[k] = count[k] > 0 && count[k] < config->data.min_cells;
        classes += small[k];
        left_out += small[k] ? count[k] : 0;
    }
    if (classes) {
        char names[RULES_NAMES];
        int before = 0;
        for (int i = 0; i < cells->n; i++) {
            before += keep[i] != 0;
            if (keep[i] && target->code[i] >= 0 && small[target->code[i]]) keep[i] = 0;
        }
        rules_name(names, target, small);
        rules_say(&cells->facts, "minimal cells", left_out,
                  "%d of %d cells left out: %d classes of %s have fewer than %d: %s", left_out,
                  before, classes, target->name, config->data.min_cells, names);
        if (left_out == before)
            status = cz_fail(CZ_ERR_INPUT,
                             "%s: no cell is left: all %d classes of %s have fewer than "
                             "data.min_cells=%d cells",
                             cells->facts.source, classes, target->name, config->data.min_cells);
    }
    free(count);
    free(small);
    return status;
}

cz_status rules_review(cz_cells *cells, uint8_t *keep, const uint8_t *empty,
                       const cz_config *config)
{
    CZ_TRY(drop_empty(cells, keep, empty, config));
    CZ_TRY(find_duplicates(cells, keep, config));
    return drop_small_classes(cells, keep, config);
}

int count_kept(const uint8_t *keep, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++) kept += keep[i] != 0;
    return kept;
}

/* Moves the entries that are kept to the front; each of `size` bytes. */
static void keep_entries(void *values, size_t size, const uint8_t *keep, int n)
{
    char *to = values;
    for (int i = 0; values && i < n; i++) {
        if (!keep[i]) continue;
        memmove(to, (char *)values + (size_t)i * size, size);
        to += size;
    }
}

cz_status cells_keep(cz_cells *cells, const uint8_t *keep, int ranks)
{
    cz_column *column[4 + CZ_KEYS_MAX] = {&cells->target, &cells->label, &cells->group,
                                          &cells->batch};
    int n = cells->n, columns = 4, kept = 0;
    for (int a = 0; a < cells->adversaries; a++) column[columns++] = &cells->adversary[a];
    for (int k = 0; k < columns; k++)
        if (column[k]->code) CZ_TRY(column_keep(column[k], keep, n));
    for (int i = 0; i < n && cells->cell_name; i++)
        if (!keep[i]) free(cells->cell_name[i]);
    keep_entries(cells->cell_name, sizeof *cells->cell_name, keep, n);
    keep_entries(cells->row_hash, sizeof *cells->row_hash, keep, n);
    keep_entries(cells->split, 1, keep, n);
    keep_entries(cells->measure, (size_t)cells->measures * sizeof *cells->measure, keep, n);
    for (int r = 1, row = 0; r <= ranks && cells->begin; r++) {
        for (; row < cells->begin[r]; row++) kept += keep[row] != 0;
        cells->begin[r] = kept;
    }
    cells->n = count_kept(keep, n);
    cells->facts.dropped = cells->facts.read - cells->n;
    return CZ_OK;
}
