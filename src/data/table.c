#include "table.h"

#include "names.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void free_names(char **name, int count)
{
    for (int i = 0; name && i < count; i++) free(name[i]);
    free(name);
}

void cell_table_free(cell_table *table)
{
    for (int k = 0; k < table->columns; k++) {
        free_names(table->column[k].class_name, table->column[k].classes);
        free(table->column[k].code);
    }
    for (int k = 0; k < table->measures; k++) free(table->measure[k]);
    free_names(table->cell_name, table->n);
    *table = (cell_table){0};
}

const cz_column *cell_table_column(const cell_table *table, const char *key)
{
    for (int k = 0; k < table->columns; k++)
        if (!strcmp(table->column[k].name, key)) return &table->column[k];
    return NULL;
}

/* The cells of each file, after those of the files before. */
static cz_status place_files(cell_table *table, const h5ad_plan *plans, int files)
{
    int64_t n = 0;
    for (int f = 0; f < files; f++) {
        n += plans[f].n;
        if (n > INT_MAX)
            return cz_fail(CZ_ERR_INPUT, "%s: with it there are %lld cells, more than %d",
                           plans[f].path, (long long)n, INT_MAX);
        table->first[f + 1] = (int)n;
    }
    table->n = (int)n;
    table->files = files;
    return CZ_OK;
}

/* Codes of all files: classes of the same name are one, numbered by first appearance. */
static cz_status join_codes(cz_column *joined, name_set *names, const cell_table *table,
                            const h5ad_plan *plans, int key)
{
    for (int f = 0; f < table->files; f++) {
        const cz_column *column = &plans[f].column[key];
        int32_t *class = cz_alloc((size_t)column->classes, sizeof *class, "the classes of files");
        if (!class) return CZ_ERR_MEMORY;
        for (int i = 0; i < plans[f].n; i++) {
            int32_t code = column->code[i], *to = &joined->code[table->first[f] + i];
            *to = -1;
            if (code < 0) continue;
            const char *name = column->class_name[code];
            if (!class[code]) class[code] = 1 + name_set_add(names, name, strlen(name));
            *to = class[code] - 1;
        }
        free(class);
    }
    return CZ_OK;
}

static cz_status join_column(cz_column *joined, const cell_table *table, const h5ad_plan *plans,
                             int key)
{
    name_set names = {0};
    int64_t most = 0;
    for (int f = 0; f < table->files; f++) most += plans[f].column[key].classes;
    if (most > INT_MAX)
        return cz_fail(CZ_ERR_INPUT, "obs/%s: has more than %d values", plans[0].column[key].name,
                       INT_MAX);
    memcpy(joined->name, plans[0].column[key].name, sizeof joined->name);
    joined->code = cz_alloc((size_t)table->n, sizeof *joined->code, "the codes of a column");
    cz_status status = joined->code ? name_set_open(&names, (int)most) : CZ_ERR_MEMORY;
    if (!status) status = join_codes(joined, &names, table, plans, key);
    if (status) goto done;
    joined->class_name = cz_alloc((size_t)names.count, sizeof(char *), "the names of classes");
    if (!joined->class_name) status = CZ_ERR_MEMORY;
    for (int k = 0; k < names.count && !status; k++) {
        if (!(joined->class_name[k] = strdup(names.text[k])))
            status = cz_fail(CZ_ERR_MEMORY, "no memory for the names of %s", joined->name);
        joined->classes = k + 1;
    }
done:
    name_set_free(&names);
    return status;
}

static cz_status join_measure(double **joined, const cell_table *table, const h5ad_plan *plans,
                              int key)
{
    *joined = cz_alloc((size_t)table->n, sizeof **joined, "a column of numbers");
    if (!*joined) return CZ_ERR_MEMORY;
    for (int f = 0; f < table->files; f++)
        memcpy(*joined + table->first[f], plans[f].measure[key],
               (size_t)plans[f].n * sizeof **joined);
    return CZ_OK;
}

static cz_status join_names(cell_table *table, h5ad_plan *plans)
{
    if (!plans[0].cell_name) return CZ_OK;
    table->cell_name = cz_alloc((size_t)table->n, sizeof(char *), "the names of cells");
    if (!table->cell_name) return CZ_ERR_MEMORY;
    for (int f = 0; f < table->files; f++) {
        memcpy(table->cell_name + table->first[f], plans[f].cell_name,
               (size_t)plans[f].n * sizeof(char *));
        free(plans[f].cell_name);
        plans[f].cell_name = NULL;
    }
    return CZ_OK;
}

/* What was joined is of no more use in the plans. */
static void drop_columns(h5ad_plan *plan)
{
    for (int k = 0; k < plan->columns; k++) {
        free_names(plan->column[k].class_name, plan->column[k].classes);
        free(plan->column[k].code);
    }
    for (int k = 0; k < plan->measures; k++) free(plan->measure[k]);
    plan->columns = plan->measures = 0;
}

cz_status cell_table_make(cell_table *table, h5ad_plan *plans, int files,
                          const h5ad_request *request)
{
    *table = (cell_table){0};
    cz_status status = place_files(table, plans, files);
    for (int k = 0; k < request->columns && !status; k++) {
        table->columns = k + 1;
        status = join_column(&table->column[k], table, plans, k);
    }
    for (int k = 0; k < request->measures && !status; k++) {
        table->measures = k + 1;
        memcpy(table->measure_name[k], request->measure[k], sizeof table->measure_name[k]);
        status = join_measure(&table->measure[k], table, plans, k);
    }
    if (!status) status = join_names(table, plans);
    for (int f = 0; f < files; f++) drop_columns(&plans[f]);
    if (status) cell_table_free(table);
    return status;
}
