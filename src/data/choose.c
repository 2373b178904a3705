/* Which cells of the files are looked at: columns in their roles, filters, missing values. */
#include "column.h"
#include "rules.h"

#include "czhpc/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum column_role { ROLE_TARGET, ROLE_TEXT, ROLE_OTHER } column_role;

/* What a role takes for no value, for messages. */
static const char *const nothing[] = {"empty, nan, na, unknown or pooled", "empty or nan",
                                      "empty, nan, na or unknown"};

static bool says_nothing(const char *name, column_role role)
{
    if (!*name || !strcasecmp(name, "nan")) return true;
    if (role == ROLE_TEXT) return false; /* "unknown" is a label with a text of its own */
    return !strcasecmp(name, "unknown") || !strcasecmp(name, "na") ||
           (role == ROLE_TARGET && !strcasecmp(name, "pooled"));
}

/* A copy of the table's column, without the classes that say nothing. */
static cz_status take_one(cz_column *column, const cell_table *table, const char *key,
                          column_role role)
{
    const cz_column *from = cell_table_column(table, key);
    if (!from) return cz_fail(CZ_ERR_BUG, "the column '%s' was not read", key);
    CZ_TRY(column_copy(column, from, table->n));
    for (int i = 0; i < table->n; i++)
        if (column->code[i] >= 0 && says_nothing(column->class_name[column->code[i]], role))
            column->code[i] = -1;
    return CZ_OK;
}

/* The column of a key, or the columns "A+B" joined. */
static cz_status take(cz_column *column, const cell_table *table, const char *key, column_role role)
{
    char keys[CZ_NAME_MAX], *rest = NULL;
    snprintf(keys, sizeof keys, "%s", key);
    const char *part = strtok_r(keys, "+", &rest);
    CZ_TRY(take_one(column, table, part ? part : "", role));
    while ((part = strtok_r(NULL, "+", &rest))) {
        cz_column other = {0};
        cz_status status = take_one(&other, table, part, role);
        if (!status) status = column_join(column, &other, table->n);
        column_free(&other);
        if (status) return status;
    }
    snprintf(column->name, sizeof column->name, "%s", key);
    return CZ_OK;
}

static cz_status take_columns(cz_cells *cells, const cell_table *table, const cz_config *config)
{
    const char *key;
    cz_split_method method = cz_config_split(config, &key);
    CZ_TRY(take(&cells->target, table, config->data.target_key, ROLE_TARGET));
    CZ_TRY(take(&cells->label, table, config->data.label_key, ROLE_TEXT));
    for (int a = 0; a < config->data.adversary_keys.count; a++) {
        cells->adversaries = a + 1;
        CZ_TRY(take(&cells->adversary[a], table, config->data.adversary_keys.name[a], ROLE_OTHER));
    }
    if (method == CZ_SPLIT_GROUP || method == CZ_SPLIT_COLUMN)
        CZ_TRY(take(&cells->group, table, key, method == CZ_SPLIT_GROUP ? ROLE_OTHER : ROLE_TEXT));
    if (config->data.batch_key[0])
        CZ_TRY(take(&cells->batch, table, config->data.batch_key, ROLE_OTHER));
    return CZ_OK;
}

/* A value of a filter that no cell has: the nearest that there is, and the others. */
static cz_status no_such_value(const cz_column *column, const char *value, const char *source)
{
    enum { SHOWN = 12 };
    char there[512] = "";
    size_t used = 0;
    int shown = 0;
    for (; shown < column->classes && shown < SHOWN; shown++) {
        size_t size = strlen(column->class_name[shown]);
        if (used + size + 5 > sizeof there) break;
        used +=
            (size_t)sprintf(there + used, "%s'%s'", shown ? ", " : "", column->class_name[shown]);
    }
    char more[32] = "";
    if (shown < column->classes)
        snprintf(more, sizeof more, " and %d more", column->classes - shown);
    const char *nearest =
        cz_text_nearest(value, (const char *const *)column->class_name, column->classes);
    return cz_fail(CZ_ERR_INPUT,
                   "%s: data.filter: no cell has the value '%s' of %s%s%s%s; there are: %s%s",
                   source, value, column->name, nearest ? ", did you mean '" : "",
                   nearest ? nearest : "", nearest ? "'?" : "", there, more);
}

/* chosen (classes): the classes that a filter names. */
static cz_status choose_classes(uint8_t *chosen, const cz_column *column, const cz_filter *filter,
                                const char *source)
{
    for (int v = 0; v < filter->values; v++) {
        const char *value = filter->text + filter->value[v];
        int k = 0;
        while (k < column->classes && strcmp(column->class_name[k], value) != 0) k++;
        if (k == column->classes) return no_such_value(column, value, source);
        chosen[k] = 1;
    }
    return CZ_OK;
}

/* A missing value is none of those named: "=" leaves its cell out, "!=" keeps it. */
static cz_status apply(cz_cells *cells, uint8_t *keep, const cell_table *table, const char *text)
{
    cz_filter filter;
    const char *wrong = cz_config_filter(&filter, text);
    if (wrong) return cz_fail(CZ_ERR_CONFIG, "data.filter: '%s': %s", text, wrong);
    const cz_column *column = cell_table_column(table, filter.key);
    if (!column) return cz_fail(CZ_ERR_BUG, "the column '%s' was not read", filter.key);
    uint8_t *chosen = cz_alloc((size_t)column->classes, 1, "the classes of a filter");
    if (!chosen) return CZ_ERR_MEMORY;
    cz_status status = choose_classes(chosen, column, &filter, cells->facts.source);
    int before = 0, after = 0, missing = 0;
    for (int i = 0; i < table->n && !status; i++) {
        if (!keep[i]) continue;
        int32_t code = column->code[i];
        keep[i] = (code >= 0 && chosen[code]) != filter.negated;
        before++;
        after += keep[i];
        missing += keep[i] && code < 0;
    }
    free(chosen);
    if (status) return status;
    char kept[96] = "";
    if (missing) snprintf(kept, sizeof kept, ", %d of them without a value", missing);
    rules_say(&cells->facts, "filter", before - after, "%d cells before, %d after%s: %s", before,
              after, kept, text);
    if (after) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT, "%s: data.filter: no cell is left after '%s'", cells->facts.source,
                   text);
}

/* Cells that are kept and have no value in a column; they are then left out. */
static int leave_out(uint8_t *keep, const cz_column *column, int n)
{
    int missing = 0;
    for (int i = 0; i < n && column->code; i++) {
        if (!keep[i] || column->code[i] >= 0) continue;
        keep[i] = 0;
        missing++;
    }
    return missing;
}

static cz_status drop_missing(cz_cells *cells, uint8_t *keep, const cz_config *config)
{
    const char *key;
    column_role of_group = cz_config_split(config, &key) == CZ_SPLIT_GROUP ? ROLE_OTHER : ROLE_TEXT;
    const struct {
        const char *rule;
        const cz_column *column;
        column_role role;
    } needed[] = {{"missing target", &cells->target, ROLE_TARGET},
                  {"missing label", &cells->label, ROLE_TEXT},
                  {"missing group", &cells->group, of_group}};
    for (int k = 0; k < 3; k++) {
        const cz_column *column = needed[k].column;
        int before = count_kept(keep, cells->n), missing = leave_out(keep, column, cells->n);
        if (!missing) continue;
        if (config->data.missing == CZ_MISSING_ERROR)
            return cz_fail(CZ_ERR_INPUT,
                           "%s: %d of %d cells have no %s (%s): data.missing=drop leaves them out",
                           cells->facts.source, missing, before, column->name,
                           nothing[needed[k].role]);
        rules_say(&cells->facts, needed[k].rule, missing, "%d of %d cells left out: no %s (%s)",
                  missing, before, column->name, nothing[needed[k].role]);
        if (missing == before)
            return cz_fail(CZ_ERR_INPUT, "%s: no cell is left: %d have no %s (%s)",
                           cells->facts.source, missing, column->name, nothing[needed[k].role]);
    }
    return CZ_OK;
}

cz_status rules_choose(cz_cells *cells, uint8_t *keep, const cell_table *table,
                       const cz_config *config)
{
    const char *key;
    cells->n = cells->facts.read = table->n;
    memset(keep, 1, (size_t)table->n);
    CZ_TRY(take_columns(cells, table, config));
    for (int f = 0; f < config->data.filter.count; f++)
        CZ_TRY(apply(cells, keep, table, config->data.filter.text[f]));
    CZ_TRY(drop_missing(cells, keep, config));
    if (cz_config_split(config, &key) != CZ_SPLIT_COLUMN) return CZ_OK;
    /* Better now than after the features were read. */
    uint8_t *part = cz_alloc((size_t)cells->group.classes, 1, "the parts of a column");
    cz_status status = part ? rules_parts(part, &cells->group, keep, cells->n) : CZ_ERR_MEMORY;
    free(part);
    return status;
}
