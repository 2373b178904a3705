#include "column.h"

#include "czhpc/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void column_free(cz_column *column)
{
    for (int k = 0; k < column->classes && column->class_name; k++) free(column->class_name[k]);
    free(column->class_name);
    free(column->code);
    *column = (cz_column){0};
}

cz_status column_copy(cz_column *column, const cz_column *from, int n)
{
    *column = (cz_column){.classes = from->classes};
    memcpy(column->name, from->name, sizeof column->name);
    column->code = cz_alloc((size_t)n, sizeof *column->code, "the codes of a column");
    column->class_name =
        cz_alloc((size_t)from->classes, sizeof *column->class_name, "the names of classes");
    cz_status status = column->code && column->class_name ? CZ_OK : CZ_ERR_MEMORY;
    if (!status) memcpy(column->code, from->code, (size_t)n * sizeof *column->code);
    for (int k = 0; k < from->classes && !status; k++)
        if (!(column->class_name[k] = strdup(from->class_name[k])))
            status = cz_fail(CZ_ERR_MEMORY, "no memory for the names of %s", from->name);
    if (status) column_free(column);
    return status;
}

/* The pairs found so far, and where to look one up. */
typedef struct pair_set {
    int found;
    size_t slots;   /* a power of two */
    int32_t *slot;  /* (slots) 1 + the pair's number, 0 = free */
    uint64_t *pair; /* (n) */
} pair_set;

/* The number of a pair; *added says whether it is new. */
static int find_pair(pair_set *p, uint64_t pair, bool *added)
{
    size_t at = cz_hash(0, &pair, sizeof pair) & (p->slots - 1);
    while (p->slot[at] && p->pair[p->slot[at] - 1] != pair) at = (at + 1) & (p->slots - 1);
    *added = !p->slot[at];
    if (*added) {
        p->pair[p->found] = pair;
        p->slot[at] = ++p->found;
    }
    return p->slot[at] - 1;
}

/* Room for n pairs. */
static cz_status open_pairs(pair_set *p, int n)
{
    *p = (pair_set){.slots = 16};
    while (p->slots < 2 * (size_t)n) p->slots *= 2;
    p->slot = cz_alloc(p->slots, sizeof *p->slot, "the pairs of two columns");
    p->pair = cz_alloc((size_t)n, sizeof *p->pair, "the pairs of two columns");
    return p->slot && p->pair ? CZ_OK : CZ_ERR_MEMORY;
}

static void close_pairs(pair_set *p)
{
    free(p->slot);
    free(p->pair);
}

cz_status column_join(cz_column *column, const cz_column *other, int n)
{
    pair_set p;
    cz_status status = open_pairs(&p, n);
    char **name = cz_alloc((size_t)n, sizeof *name, "the pairs of two columns");
    if (!name) status = CZ_ERR_MEMORY;
    for (int i = 0; i < n && !status; i++) {
        int32_t a = column->code[i], b = other->code[i];
        column->code[i] = -1;
        if (a < 0 || b < 0) continue;
        bool added;
        int k = find_pair(&p, (uint64_t)a << 32 | (uint64_t)b, &added);
        column->code[i] = k;
        if (added && asprintf(&name[k], "%s+%s", column->class_name[a], other->class_name[b]) < 0)
            status = cz_fail(CZ_ERR_MEMORY, "no memory for the names of joined classes");
    }
    close_pairs(&p);
    if (!name) return status;
    for (int k = 0; k < column->classes; k++) free(column->class_name[k]);
    free(column->class_name);
    column->class_name = name;
    column->classes = p.found;
    return status;
}

cz_status column_keep(cz_column *column, const uint8_t *keep, int n)
{
    int32_t *number = cz_alloc((size_t)column->classes, sizeof *number, "the classes of a column");
    char **name = cz_alloc((size_t)column->classes, sizeof *name, "the classes of a column");
    if (!number || !name) {
        free(number);
        free(name);
        return CZ_ERR_MEMORY;
    }
    int kept = 0, found = 0;
    for (int i = 0; i < n; i++) {
        if (keep && !keep[i]) continue;
        int32_t code = column->code[i];
        if (code >= 0 && !number[code]) {
            name[found] = column->class_name[code];
            column->class_name[code] = NULL;
            number[code] = ++found;
        }
        column->code[kept++] = code < 0 ? -1 : number[code] - 1;
    }
    for (int k = 0; k < column->classes; k++) free(column->class_name[k]);
    free(column->class_name);
    column->class_name = name;
    column->classes = found;
    free(number);
    return CZ_OK;
}

int *column_count(const cz_column *column, const uint8_t *keep, int n)
{
    int *count = cz_alloc((size_t)column->classes, sizeof *count, "the sizes of classes");
    for (int i = 0; count && i < n; i++)
        if ((!keep || keep[i]) && column->code[i] >= 0) count[column->code[i]]++;
    return count;
}

static int by_pair(const void *left, const void *right)
{
    const column_pair *x = left, *y = right;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    return x->b < y->b ? -1 : x->b > y->b;
}

column_pair *column_pairs(int *pairs, const cz_column *a, const cz_column *b, int n)
{
    pair_set p;
    cz_status status = open_pairs(&p, n);
    column_pair *all = status ? NULL : cz_alloc((size_t)n, sizeof *all, "the pairs of two columns");
    for (int i = 0; all && i < n; i++) {
        bool added;
        if (a->code[i] < 0 || b->code[i] < 0) continue;
        int k = find_pair(&p, (uint64_t)a->code[i] << 32 | (uint64_t)b->code[i], &added);
        if (added) all[k] = (column_pair){a->code[i], b->code[i], 0};
        all[k].cells++;
    }
    *pairs = all ? p.found : 0;
    if (all) qsort(all, (size_t)p.found, sizeof *all, by_pair);
    close_pairs(&p);
    return all;
}
