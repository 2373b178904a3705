/* The split of a job's cells by split.method, and what is said of the parts. */
#include "column.h"
#include "rules.h"
#include "split.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

cz_status rules_parts(uint8_t *part, const cz_column *column, const uint8_t *keep, int n)
{
    static const struct {
        const char *word;
        cz_split part;
    } known[] = {{"train", CZ_TRAIN},    {"training", CZ_TRAIN},   {"validation", CZ_VALIDATION},
                 {"val", CZ_VALIDATION}, {"valid", CZ_VALIDATION}, {"test", CZ_TEST}};
    int *count = column_count(column, keep, n), unknown = 0;
    uint8_t *other = cz_alloc((size_t)column->classes, 1, "the parts of a column");
    cz_status status = count && other ? CZ_OK : CZ_ERR_MEMORY;
    for (int k = 0; k < column->classes && !status; k++) {
        part[k] = CZ_SPLITS;
        for (size_t w = 0; w < sizeof known / sizeof *known; w++)
            if (!strcasecmp(column->class_name[k], known[w].word)) part[k] = (uint8_t)known[w].part;
        other[k] = part[k] == CZ_SPLITS && count[k] > 0;
        unknown += other[k];
    }
    if (unknown) {
        char names[RULES_NAMES];
        rules_name(names, column, other);
        status = cz_fail(CZ_ERR_INPUT,
                         "split.method column:%s: expected train, validation (val, valid) or test, "
                         "found %s",
                         column->name, names);
    }
    free(count);
    free(other);
    return status;
}

cz_status rules_check_heads(const cz_cells *cells)
{
    for (int h = 0; h <= cells->adversaries; h++) {
        const cz_column *column = h ? &cells->adversary[h - 1] : &cells->target;
        const char *key = h ? "data.adversary_keys" : "data.target_key";
        if (column->classes > 1) continue;
        return cz_fail(CZ_ERR_INPUT,
                       "%s: %s: all cells have the same '%s' (%s): name another column in %s%s",
                       cells->facts.source, key, column->name,
                       column->classes ? column->class_name[0] : "none", key,
                       h ? ", or train without one by data.adversary_keys=[]" : "");
    }
    return CZ_OK;
}

static cz_status stratify(cz_cells *cells, const cz_config *config, cz_split_method method)
{
    return cz_split_cells(cells->split, cells->n, cells->target.code, cells->target.classes,
                          cells->row_hash, method, config->split.train, config->split.validation,
                          config->split.seed);
}

static cz_status by_method(cz_cells *cells, const cz_config *config)
{
    const char *key;
    cz_split_method method = cz_config_split(config, &key);
    switch (method) {
    case CZ_SPLIT_GROUP:
        return split_groups(cells, config);
    case CZ_SPLIT_COLUMN:
        return split_column(cells, config);
    case CZ_SPLIT_KFOLD:
        return split_folds(cells->split, cells->n, cells->target.code, cells->target.classes,
                           cells->row_hash, config->split.folds, config->split.fold,
                           config->split.seed);
    default:
        return stratify(cells, config, method);
    }
}

cz_status rules_split(cz_cells *cells, const cz_config *config)
{
    CZ_TRY(rules_check_heads(cells));
    if (!cells->split) cells->split = cz_alloc((size_t)cells->n, 1, "the split of the cells");
    if (!cells->split) return CZ_ERR_MEMORY;
    CZ_TRY(rules_adversaries(cells));
    CZ_TRY(by_method(cells, config));
    CZ_TRY(rules_of_parts(cells, config));
    return rules_of_batches(cells);
}
