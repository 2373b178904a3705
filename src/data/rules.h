/* Which cells stay, which part of the split each belongs to, and what is said of it. All of it
 * is Local and comes out the same on every rank, from codes that every rank has. */
#ifndef CZ_RULES_H
#define CZ_RULES_H

#include "table.h"

/* Before features are read. Fills cells' target (joined by '+'), label, adversaries, group and
 * batch with the codes of all table->n cells (texts that say nothing in their role are -1),
 * and keep (table->n): false where data.filter, or with data.missing=drop a missing target or
 * label, leaves a cell out. facts get a rule for each. CZ_ERR_INPUT: missing values with
 * data.missing=error, a filter whose value no cell has, no cell left; CZ_ERR_CONFIG: a filter
 * that cannot be read. */
cz_status rules_choose(cz_cells *cells, uint8_t *keep, const cell_table *table,
                       const cz_config *config);

/* After features were read, of cells->n cells with columns, row_hash and names: keep (n) false
 * for empty[i] (no counts, or an embedding of NaN alone), duplicates and classes below
 * data.min_cells, as the config says. */
cz_status rules_review(cz_cells *cells, uint8_t *keep, const uint8_t *empty,
                       const cz_config *config);

/* Drops all of `cells` but the features whose keep[i] is 0, renumbers the classes by first
 * appearance, and moves begin[] along. */
cz_status cells_keep(cz_cells *cells, const uint8_t *keep);

/* The split by split.method, and the rules about what is left: classes too small to be in all
 * parts, donors (target classes) with two values of an adversary, batches. CZ_ERR_INPUT: a
 * head with one class, or a part without cells. */
cz_status rules_split(cz_cells *cells, const cz_config *config);

/* Adds a line to the facts; the count is shown before it. Rules with count 0 and no news are
 * not added. */
void rules_say(cz_data_facts *facts, const char *name, int64_t cells, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
