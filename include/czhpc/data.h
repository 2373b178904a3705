/* Cells: features, codes, split; where they come from; in which order they are trained on. */
#ifndef CZ_DATA_H
#define CZ_DATA_H

#include "czhpc/comm.h"
#include "czhpc/config.h"

/* Depth and quality: three of the counts (total_counts, n_genes_by_counts, pct_counts_mt, as
 * Scanpy names them), then data.quality_keys. */
enum { CZ_MEASURES_MAX = 3 + CZ_KEYS_MAX };

typedef enum cz_split { CZ_TRAIN, CZ_VALIDATION, CZ_TEST, CZ_SPLITS } cz_split;

/* A categorical column of all cells. Classes are numbered by first appearance. */
typedef struct cz_column {
    char name[CZ_NAME_MAX]; /* the key, e.g. "donor_id" */
    int classes;
    char **class_name; /* (classes) */
    int32_t *code;     /* (n), -1 = unknown */
} cz_column;

/* What was found or done by a rule, a line in the summary. */
enum { CZ_RULES_MAX = 40 };
typedef struct cz_rule {
    char name[40];  /* "filter", "two values": the same in every run */
    int64_t count;  /* of cells, genes or classes, as the text says */
    char text[256]; /* "1204 of 9015 cells left out: sex is not male, female" */
} cz_rule;

/* What a reader learns about the file, in the summary. */
typedef struct cz_data_facts {
    char source[CZ_PATH_MAX + 64]; /* "synthetic, label_redundant" or the file */
    char features[256];            /* "counts, 1000 of 1000 genes, 128 components (61.2 %)" */
    int read, dropped;             /* cells in the file; cells left out for missing values */
    int duplicates;                /* cells whose feature row stands in the file before */
    int unknown[CZ_KEYS_MAX];      /* cells of unknown class, per adversary */
    int genes;                     /* of counts, before any is chosen; 0 of an embedding */
    int64_t entries;               /* values stored of the cells that their columns let stay, as
                                    * far as the files' structure tells */
    int rules;
    cz_rule rule[CZ_RULES_MAX];
} cz_data_facts;

/* All cells of a job. Codes, split and hashes of all n cells are on every rank; features are
 * sharded: rank r holds rows begin[r] .. begin[r+1]-1. Free with cz_cells_free(). */
typedef struct cz_cells {
    int n;
    int width;      /* features per cell */
    int32_t *begin; /* (ranks + 1) */
    float *x;       /* (rows of this rank, width) */
    cz_column target;
    cz_column label;
    cz_column adversary[CZ_KEYS_MAX];
    int adversaries;
    cz_column group, batch; /* of split.method group:KEY or column:KEY, and of data.batch_key;
                             * without a name where there is none */
    int measures;           /* numbers a cell that tell its depth and quality */
    char measure_name[CZ_MEASURES_MAX][CZ_NAME_MAX]; /* total_counts, ..., data.quality_keys */
    float *measure;                                  /* (n, measures) NAN = missing */
    uint8_t *split;                                  /* (n) cz_split */
    uint64_t *row_hash;                              /* (n) hash of what was measured of the cell */
    char **cell_name;                                /* (n) on rank 0, NULL elsewhere */
    cz_data_facts facts;
} cz_cells;

/* Loads or generates the cells of a configuration: codes, split, then features; whatever is
 * fitted is fitted on training cells. Collective over `comm`; the pool of every rank helps. */
cz_status cz_cells_load(cz_cells *cells, const cz_config *config, const cz_comm *comm,
                        cz_pool *pool);
/* Serves and exits where this process was started to probe a file; else returns. To be called
 * first in main(), before MPI starts, by every program that loads cells. */
void cz_data_serve_probe(int argc, char **argv);

/* Shape only (n, width, classes; no features), for --dry-run. Local. */
cz_status cz_cells_shape(cz_cells *cells, const cz_config *config);
void cz_cells_free(cz_cells *cells);
/* A hash of what decides what is learned from the cells: values, codes and split, the same on every
 * number of ranks. Local. */
uint64_t cz_cells_hash(const cz_cells *cells);

/* Bytes that cells take on the rank that needs most. */
typedef struct cz_cells_memory {
    size_t columns;   /* codes, hashes, measures and names: until the end */
    size_t features;  /* the rank's rows: from preparing to the end */
    size_t reading;   /* beside columns, while the files are read */
    size_t preparing; /* beside columns and features, while counts become features */
} cz_cells_memory;
/* Of a shape, on `ranks` of `threads` each. Local. */
cz_cells_memory cz_cells_bytes(const cz_cells *shape, const cz_config *config, int ranks,
                               int threads);

/* The known truth of synthetic cells, on the cells of `part`; NAN where there is none.
 * Collective. */
typedef struct cz_optimum {
    double with_label, without_label; /* accuracy of the exact posterior */
    double discriminant;              /* linear discriminant fitted on the training cells,
                                       * features and one-hot label */
} cz_optimum;
cz_status cz_cells_optimum(cz_optimum *optimum, const cz_cells *cells, const cz_config *config,
                           cz_split part, const cz_comm *comm, cz_pool *pool);

/* class (n), for the caller to free(): the target of the cells row[0 .. n-1] by a linear
 * discriminant on cells->measure alone, fitted on the training cells; counts as log(1 + count),
 * a missing measure as the mean of the training cells. Local. CZ_ERR_MEMORY. */
cz_status cz_quality_classes(int32_t **class, const int32_t *row, int n, const cz_cells *cells);

/* Writes the synthetic cells of a configuration as AnnData (X absent, obsm["geneformer"], obs
 * columns, donor, label, adversary). Collective. CZ_ERR_IO. */
cz_status cz_synthetic_write(const char *path, const cz_config *config, const cz_comm *comm,
                             cz_pool *pool);

/* Generates the synthetic cells: everything of `cells` but the split. Collective. */
cz_status cz_synthetic_cells(cz_cells *cells, const cz_config *config, const cz_comm *comm,
                             cz_pool *pool);

/* split (n) from target codes and row hashes alone: within a class cells are ordered by
 * Philox of (seed, row hash) and cut at the largest remainders; equal rows fall together;
 * method random: the same without classes. Local. */
cz_status cz_split_cells(uint8_t *split, int n, const int32_t *code, int classes,
                         const uint64_t *row_hash, cz_split_method method, double train,
                         double validation, int64_t seed);

/* The order of an epoch: order[i] of 0 .. n-1, a permutation that is a pure function of
 * (seed, phase, epoch). Local. */
void cz_epoch_order(int32_t *order, int n, int64_t seed, uint32_t phase, int epoch);

/* The order of an epoch that draws the classes alike: order[i] of 0 .. n-1, where k of the
 * classes of code (n; -1 = none, never drawn) have cells. Each k draws in a row take one cell of
 * each class, in an order of their own; a class goes through all its cells before one comes again,
 * in another order each time. A pure function of (code, seed, phase, epoch). Local.
 * CZ_ERR_MEMORY; CZ_ERR_INPUT: no cell has a class. */
cz_status cz_epoch_order_balanced(int32_t *order, int n, const int32_t *code, int classes,
                                  int64_t seed, uint32_t phase, int epoch);

#endif
