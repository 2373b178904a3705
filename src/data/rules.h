/* Which cells stay, which part of the split each belongs to, and what is said of it. All of it
 * is Local and comes out the same on every rank, from codes that every rank has. */
#ifndef CZ_RULES_H
#define CZ_RULES_H

#include "table.h"

/* Before features are read. Fills cells' n, target (joined by '+'), label, adversaries, group
 * and batch with the codes of all table->n cells (texts that say nothing in their role are -1),
 * and keep (table->n): false where data.filter, or with data.missing=drop a missing target,
 * label or group, leaves a cell out. facts.source must be there; facts get a rule for each.
 * CZ_ERR_INPUT: missing values with data.missing=error, a filter whose value no cell has, no
 * cell left; CZ_ERR_CONFIG: a filter that cannot be read. */
cz_status rules_choose(cz_cells *cells, uint8_t *keep, const cell_table *table,
                       const cz_config *config);

/* After features were read, of cells->n cells with columns, row_hash and names: keep (n) false
 * for empty[i] (no counts, or an embedding of NaN alone), duplicates and classes below
 * data.min_cells, as the config says. */
cz_status rules_review(cz_cells *cells, uint8_t *keep, const uint8_t *empty,
                       const cz_config *config);

/* Drops all of `cells` but the features whose keep[i] is 0, renumbers the classes by first
 * appearance, moves begin (ranks + 1) along and counts facts.dropped. What is not there yet
 * (NULL) is left alone. */
cz_status cells_keep(cz_cells *cells, const uint8_t *keep, int ranks);

/* How many of keep (n) are not 0. */
int count_kept(const uint8_t *keep, int n);

/* A head needs something to tell apart: CZ_ERR_INPUT where all cells are of one class. */
cz_status rules_check_heads(const cz_cells *cells);

/* The split by split.method, and the rules about what is left: classes too small to be in all
 * parts, donors (target classes) with two values of an adversary, batches. CZ_ERR_INPUT: a
 * head with one class, or a part without cells. */
cz_status rules_split(cz_cells *cells, const cz_config *config);

/* Adds a line to the facts, which tells the count itself. What is not UTF-8 or a control
 * character becomes '?', and a line too long ends with "...". */
void rules_say(cz_data_facts *facts, const char *name, int64_t count, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* "a, b, c, d, e and 7 more" of the classes with marked[k], for such a line. */
enum { RULES_NAMES = 160 };
void rules_name(char text[RULES_NAMES], const cz_column *column, const uint8_t *marked);

/* The classes of split.method column:KEY as parts: part (column->classes). Classes that no cell
 * with keep[i] (NULL: all) has are not looked at. CZ_ERR_INPUT: a text that is no part. */
cz_status rules_parts(uint8_t *part, const cz_column *column, const uint8_t *keep, int n);

#endif
