/* What is said of a split, and of classes that lie within classes. */
#include "column.h"
#include "sorting.h"
#include "split.h"

#include <stdlib.h>
#include <string.h>

/* The commonest class of an adversary in each class of the target. */
typedef struct majorities {
    int32_t *of;                /* (classes of the target) */
    int *cells;                 /* (classes of the target) of that commonest one */
    uint8_t *mixed;             /* (classes of the target) there are others */
    int known, classes, differ; /* cells of known value; mixed classes; cells of the others */
} majorities;

static cz_status find_majorities(majorities *m, const cz_column *adversary, const cz_cells *cells)
{
    size_t classes = (size_t)cells->target.classes;
    int pairs;
    column_pair *all = column_pairs(&pairs, &cells->target, adversary, cells->n);
    m->of = cz_alloc(classes, sizeof *m->of, "the majorities");
    m->cells = cz_alloc(classes, sizeof *m->cells, "the majorities");
    m->mixed = cz_alloc(classes, 1, "the classes of two values");
    if (!all || !m->of || !m->cells || !m->mixed) {
        free(all);
        return CZ_ERR_MEMORY;
    }
    for (int p = 0; p < pairs; p++) {
        int32_t class = all[p].a;
        m->mixed[class] = m->cells[class] > 0;
        m->known += all[p].cells;
        if (all[p].cells <= m->cells[class]) continue;
        m->of[class] = all[p].b;
        m->cells[class] = all[p].cells;
    }
    m->differ = m->known;
    for (size_t k = 0; k < classes; k++) {
        m->classes += m->mixed[k];
        m->differ -= m->cells[k];
    }
    free(all);
    return CZ_OK;
}

/* Cells of unknown class stay unknown. */
static cz_status take_majority(cz_column *adversary, const cz_column *target, const majorities *m,
                               int n)
{
    for (int i = 0; i < n; i++)
        if (adversary->code[i] >= 0) adversary->code[i] = m->of[target->code[i]];
    return column_keep(adversary, NULL, n);
}

static cz_status rule_of_adversary(cz_cells *cells, cz_column *adversary)
{
    const cz_column *target = &cells->target;
    majorities m = {0};
    char names[RULES_NAMES];
    cz_status status = find_majorities(&m, adversary, cells);
    if (status || !m.classes) goto done;
    rules_name(names, target, m.mixed);
    if (m.differ < m.known / 10.0) {
        rules_say(&cells->facts, "two values", m.classes,
                  "%d of %d classes of %s have two values of %s; the commoner one is used, for %d "
                  "cells: %s",
                  m.classes, target->classes, target->name, adversary->name, m.differ, names);
        status = take_majority(adversary, target, &m, cells->n);
    } else {
        rules_say(&cells->facts, "two values", m.classes,
                  "%d of %d classes of %s have two values of %s, which is taken cell by cell: %s",
                  m.classes, target->classes, target->name, adversary->name, names);
    }
done:
    free(m.of);
    free(m.cells);
    free(m.mixed);
    return status;
}

cz_status rules_adversaries(cz_cells *cells)
{
    for (int a = 0; a < cells->adversaries; a++) {
        cz_column *adversary = &cells->adversary[a];
        int unknown = 0;
        for (int i = 0; i < cells->n; i++) unknown += adversary->code[i] < 0;
        cells->facts.unknown[a] = unknown;
        if (unknown)
            rules_say(&cells->facts, "unknown adversary", unknown,
                      "%d of %d cells have no known %s; they are kept and carry none of its loss",
                      unknown, cells->n, adversary->name);
        CZ_TRY(rule_of_adversary(cells, adversary));
    }
    return CZ_OK;
}

static const char *const part_name[CZ_SPLITS] = {"training", "validation", "test"};

static cz_status check_parts(const cz_cells *cells, const cz_config *config)
{
    int count[CZ_SPLITS] = {0};
    for (int i = 0; i < cells->n; i++) count[cells->split[i]]++;
    for (int p = 0; p < CZ_SPLITS; p++)
        if (!count[p])
            return cz_fail(CZ_ERR_INPUT,
                           "%s: split.method %s leaves no %s cells of %d: choose another split or "
                           "other shares",
                           cells->facts.source, config->split.method, part_name[p], cells->n);
    return CZ_OK;
}

/* Cells of a class in each part. */
typedef bool class_test(const int cells[CZ_SPLITS]);

static bool is_untrained(const int cells[CZ_SPLITS]) { return !cells[CZ_TRAIN]; }

static bool is_untested(const int cells[CZ_SPLITS]) { return cells[CZ_TRAIN] && !cells[CZ_TEST]; }

static bool is_small(const int cells[CZ_SPLITS])
{
    return cells[CZ_TRAIN] && !(cells[CZ_VALIDATION] && cells[CZ_TEST]);
}

static bool is_single(const int cells[CZ_SPLITS])
{
    return cells[CZ_TRAIN] + cells[CZ_VALIDATION] + cells[CZ_TEST] == 1;
}

/* Classes of the target that a test picks: their names and test cells. Returns how many. */
static int pick(char names[RULES_NAMES], int *tested, uint8_t *marked, class_test *test,
                const cz_column *target, const int *count)
{
    int found = 0;
    *tested = 0;
    for (int k = 0; k < target->classes; k++, count += CZ_SPLITS) {
        marked[k] = test(count);
        found += marked[k];
        if (marked[k]) *tested += count[CZ_TEST];
    }
    rules_name(names, target, marked);
    return found;
}

/* Whole groups need not reach every part; a class cut cell by cell fails to when it is small. */
static void say_classes(cz_cells *cells, uint8_t *marked, const int *count, bool by_cells)
{
    const cz_column *target = &cells->target;
    cz_data_facts *facts = &cells->facts;
    const char *name = target->name;
    char names[RULES_NAMES];
    int tested, found, all = target->classes;
    if ((found = pick(names, &tested, marked, is_untrained, target, count)))
        rules_say(facts, "untrained classes", found,
                  "%d of %d classes of %s have no training cell; their %d test cells cannot be "
                  "named rightly: %s",
                  found, all, name, tested, names);
    if (by_cells && (found = pick(names, &tested, marked, is_small, target, count)))
        rules_say(facts, "small classes", found,
                  "%d of %d classes of %s are too small for all three parts: %s", found, all, name,
                  names);
    if (!by_cells && (found = pick(names, &tested, marked, is_untested, target, count)))
        rules_say(facts, "untested classes", found, "%d of %d classes of %s have no test cell: %s",
                  found, all, name, names);
    if ((found = pick(names, &tested, marked, is_single, target, count)))
        rules_say(facts, "single cells", found,
                  "%d of %d classes of %s have one cell each; data.min_cells leaves them out: %s",
                  found, all, name, names);
}

typedef struct hashed {
    uint64_t hash;
    uint8_t part;
} hashed;

static int by_hash(const void *left, const void *right)
{
    const hashed *a = left, *b = right;
    return (a->hash > b->hash) - (a->hash < b->hash);
}

/* Cells that equal one of another part: those are known before they are tested. */
static cz_status say_torn(cz_cells *cells)
{
    hashed *row = cz_alloc((size_t)cells->n, sizeof *row, "the hashes of cells");
    if (!row) return CZ_ERR_MEMORY;
    int torn = 0;
    for (int i = 0; i < cells->n; i++) row[i] = (hashed){cells->row_hash[i], cells->split[i]};
    cz_status status =
        sort_by_hash(row, (size_t)cells->n, sizeof *row, offsetof(hashed, hash), by_hash);
    for (int begin = 0, end; begin < cells->n && !status; begin = end) {
        bool apart = false;
        for (end = begin + 1; end < cells->n && row[end].hash == row[begin].hash; end++)
            apart = apart || row[end].part != row[begin].part;
        if (apart) torn += end - begin;
    }
    free(row);
    if (torn)
        rules_say(&cells->facts, "torn duplicates", torn,
                  "%d cells have the features of a cell in another part of the split; "
                  "data.duplicates=drop keeps one of each",
                  torn);
    return status;
}

cz_status rules_of_parts(cz_cells *cells, const cz_config *config)
{
    const cz_column *target = &cells->target;
    const char *key;
    cz_split_method method = cz_config_split(config, &key);
    CZ_TRY(check_parts(cells, config));
    int *count = cz_alloc((size_t)target->classes * CZ_SPLITS, sizeof *count, "the parts' classes");
    uint8_t *marked = cz_alloc((size_t)target->classes, 1, "the parts' classes");
    cz_status status = count && marked ? CZ_OK : CZ_ERR_MEMORY;
    for (int i = 0; i < cells->n && !status; i++)
        count[(size_t)target->code[i] * CZ_SPLITS + cells->split[i]]++;
    if (!status)
        say_classes(cells, marked, count, method != CZ_SPLIT_GROUP && method != CZ_SPLIT_COLUMN);
    free(count);
    free(marked);
    return status ? status : say_torn(cells);
}

static void say_batches(cz_cells *cells, const int *batches, const int *classes)
{
    const cz_column *target = &cells->target, *batch = &cells->batch;
    int single = 0, shared = 0, unknown = 0;
    for (int k = 0; k < target->classes; k++) single += batches[k] == 1;
    for (int b = 0; b < batch->classes; b++) shared += classes[b] > 1;
    for (int i = 0; i < cells->n; i++) unknown += batch->code[i] < 0;
    if (unknown)
        rules_say(&cells->facts, "missing batch", unknown, "%d of %d cells have no %s", unknown,
                  cells->n, batch->name);
    if (single)
        rules_say(&cells->facts, "one batch", single,
                  "%d of %d classes of %s lie in one %s each: a split of their cells cannot tell "
                  "the class from the batch",
                  single, target->classes, target->name, batch->name);
    if (shared)
        rules_say(&cells->facts, "shared batches", shared,
                  "%d of %d classes of %s hold cells of several classes of %s", shared,
                  batch->classes, batch->name, target->name);
}

cz_status rules_of_batches(cz_cells *cells)
{
    const cz_column *target = &cells->target, *batch = &cells->batch;
    if (!batch->code) return CZ_OK;
    int pairs;
    column_pair *all = column_pairs(&pairs, target, batch, cells->n);
    int *batches = cz_alloc((size_t)target->classes, sizeof *batches, "the batches of classes");
    int *classes = cz_alloc((size_t)batch->classes, sizeof *classes, "the classes of batches");
    cz_status status = all && batches && classes ? CZ_OK : CZ_ERR_MEMORY;
    for (int p = 0; p < pairs && !status; p++) {
        batches[all[p].a]++;
        classes[all[p].b]++;
    }
    if (!status) say_batches(cells, batches, classes);
    free(all);
    free(batches);
    free(classes);
    return status;
}
