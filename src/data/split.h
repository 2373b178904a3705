/* The ways to split, and what is said of a split. Private to src/data; all Local. */
#ifndef CZ_SPLIT_H
#define CZ_SPLIT_H

#include "rules.h"

/* A row in the order that its key gives it within its class. */
typedef struct placed {
    int32_t class;
    int32_t cell;
    uint64_t key;  /* where the row comes within its class */
    uint64_t hash; /* of the row; tells rows of the same key apart */
} placed;

/* row (n): classes one after the other (all are class 0 unless by_class), rows of a class by
 * Philox of (seed, row hash). CZ_ERR_BUG: a code out of range. */
cz_status split_place(placed *row, int n, const int32_t *code, int classes,
                      const uint64_t *row_hash, bool by_class, int64_t seed);

/* Each class is dealt out to `folds` parts that differ by one cell at most, equal rows together;
 * fold `fold` tests, the next validates. The folds are the same for every `fold`: so each cell
 * is tested exactly once. */
cz_status split_folds(uint8_t *split, int n, const int32_t *code, int classes,
                      const uint64_t *row_hash, int folds, int fold, int64_t seed);

/* Whole classes of cells->group fall together, in the order of Philox of (seed, name), each into
 * the part that is furthest behind its share; but of a class of the target that has several
 * groups the last one trains, if none did. CZ_ERR_INPUT: fewer than three groups. */
cz_status split_groups(cz_cells *cells, const cz_config *config);

/* As cells->group says; where no cell is to validate, training cells are cut by the shares. */
cz_status split_column(cz_cells *cells, const cz_config *config);

/* A donor (target class) of two sexes (classes of an adversary): where the adversary is a
 * property of the target but for fewer than 1 in 10 cells, those take their class's majority. */
cz_status rules_adversaries(cz_cells *cells);

/* What is said of the parts. CZ_ERR_INPUT: one is empty. */
cz_status rules_of_parts(cz_cells *cells, const cz_config *config);

/* What is said of batches: target classes of one batch, batches of several classes. */
cz_status rules_of_batches(cz_cells *cells);

#endif
