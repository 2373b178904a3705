/* The configuration of a job: typed, filled from defaults, a YAML file and overrides.
 * One table in src/config/ (key, type, default, range, help) is the source of the parser, the
 * defaults, --help-config and --print-config; the members below bear the keys' names. */
#ifndef CZ_CONFIG_H
#define CZ_CONFIG_H

#include "czhpc/space.h"
#include "czhpc/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { CZ_KEYS_MAX = 8, CZ_NAME_MAX = 128, CZ_PATH_MAX = 1024, CZ_TEXTS_MAX = 16 };

/* A list of column names. */
typedef struct cz_names {
    int count;
    char name[CZ_KEYS_MAX][CZ_NAME_MAX];
} cz_names;

/* A list of files, or of longer texts. */
typedef struct cz_texts {
    int count;
    char text[CZ_TEXTS_MAX][CZ_PATH_MAX];
} cz_texts;

typedef enum cz_source { CZ_SOURCE_SYNTHETIC, CZ_SOURCE_H5AD } cz_source;
typedef enum cz_features { CZ_FEATURES_COUNTS, CZ_FEATURES_OBSM } cz_features;
typedef enum cz_missing { CZ_MISSING_ERROR, CZ_MISSING_DROP } cz_missing;
typedef enum cz_preset { CZ_LABEL_REDUNDANT, CZ_LABEL_INFORMATIVE } cz_preset;
typedef enum cz_positions { CZ_POSITIONS_NONE, CZ_POSITIONS_LEARNED } cz_positions;
typedef enum cz_stopping {
    CZ_STOPPING_NONE,
    CZ_STOPPING_PATIENCE,
    CZ_STOPPING_REFERENCE
} cz_stopping;
typedef enum cz_select { CZ_SELECT_VALIDATION, CZ_SELECT_TEST } cz_select;
typedef enum cz_duplicates { CZ_DUPLICATES_KEEP, CZ_DUPLICATES_DROP } cz_duplicates;
typedef enum cz_split_method {
    CZ_SPLIT_STRATIFIED, /* each class of the target is cut alike */
    CZ_SPLIT_RANDOM,     /* all cells at random */
    CZ_SPLIT_GROUP,      /* group:KEY, whole groups of a column fall together */
    CZ_SPLIT_COLUMN,     /* column:KEY, a column of obs says train, validation or test */
    CZ_SPLIT_KFOLD       /* each class cut into split.folds, split.fold is tested */
} cz_split_method;
typedef enum cz_text_case {
    CZ_CASE_AUTO, /* as the tokenizer's files say, else as the vocabulary looks */
    CZ_CASE_CASED,
    CZ_CASE_UNCASED
} cz_text_case;
/* How a text's tokens become its vector: the first one, [CLS], or the mean of all. */
typedef enum cz_pooling { CZ_POOLING_CLS, CZ_POOLING_MEAN } cz_pooling;
typedef enum cz_class_weights { CZ_WEIGHTS_NONE, CZ_WEIGHTS_BALANCED } cz_class_weights;
typedef enum cz_sampler { CZ_SAMPLER_SHUFFLE, CZ_SAMPLER_BALANCED } cz_sampler;
typedef enum cz_precision {
    CZ_PRECISION_AUTO,
    CZ_PRECISION_FP32,
    CZ_PRECISION_BF16,
    CZ_PRECISION_FP64
} cz_precision;
typedef enum cz_binding { CZ_BINDING_AUTO, CZ_BINDING_INHERIT } cz_binding;
typedef enum cz_device { CZ_DEVICE_AUTO, CZ_DEVICE_CPU, CZ_DEVICE_CUDA } cz_device;
typedef enum cz_objective { CZ_OBJECTIVE_ACCURACY, CZ_OBJECTIVE_LOSS } cz_objective;
typedef enum cz_search_sampler {
    CZ_SEARCH_TPE,
    CZ_SEARCH_RANDOM,
    CZ_SEARCH_GRID
} cz_search_sampler;
typedef enum cz_search_pruner { CZ_SEARCH_ALL, CZ_SEARCH_MEDIAN, CZ_SEARCH_ASHA } cz_search_pruner;

/* One entry of `experiments`: the same job with other values, over seeds and splits. */
enum { CZ_EXPERIMENTS_MAX = 24, CZ_EXPERIMENT_SETS = 16, CZ_EXPERIMENT_SEEDS = 32 };
typedef struct cz_experiment {
    char name[64]; /* a folder under the run's */
    int sets;
    char set[CZ_EXPERIMENT_SETS][256];  /* "train.lr=1e-3" */
    int seeds, splits;                  /* each at least 1 */
    int64_t seed[CZ_EXPERIMENT_SEEDS];  /* run.seed */
    int64_t split[CZ_EXPERIMENT_SEEDS]; /* split.seed */
    char compare_to[64];                /* another experiment's name, "" for none */
} cz_experiment;

typedef struct cz_config {
    struct {
        char name[CZ_NAME_MAX];    /* folder under run.results; default: the config's file name */
        char results[CZ_PATH_MAX]; /* "results" */
        int64_t seed;              /* 0: of weights, order and dropout */
        int threads;               /* 0 = the cores that the rank may use */
        cz_binding binding;        /* of threads to cores */
        cz_device device;
        cz_precision precision;
        char level[16];     /* auto | portable | avx2 | avx512 | amx: of the CPU kernels */
        char transport[16]; /* auto | window | messages */
        int memory;         /* MiB that a rank may take; 0 = its share of what is free */
        int ranks_per_item; /* ranks that work on an experiment together; 0 = all */
    } run;
    struct {
        cz_source source;
        cz_texts h5ad;                /* one file, or several of the same genes */
        cz_features features;         /* counts | obsm */
        char matrix[CZ_NAME_MAX];     /* counts from: X | raw | layer:NAME */
        char obsm[CZ_NAME_MAX];       /* embedding read when features: obsm; "geneformer" */
        char target_key[CZ_NAME_MAX]; /* donor_id; several joined by '+' */
        char label_key[CZ_NAME_MAX];  /* cell_type */
        cz_names adversary_keys;      /* [sex] */
        char gene_key[CZ_NAME_MAX];   /* var column of gene names; "" = index */
        char batch_key[CZ_NAME_MAX];  /* obs column of libraries or batches; "" = none */
        cz_names quality_keys;        /* numeric obs columns, for the floor from quality alone */
        cz_texts filter;              /* "KEY = A | B" and "KEY != A | B"; all must hold */
        cz_missing missing;           /* rows without target, label, counts or embedding */
        cz_duplicates duplicates;     /* cells equal to one before */
        int min_cells;                /* 1: target classes of fewer cells are left out */
        double target_sum;            /* 10000 */
        int variable_genes;           /* 2000 */
        int components;               /* 512: width of the features from counts */
    } data;
    struct {
        cz_preset preset;
        int cells;    /* 31780 */
        int width;    /* 512 */
        int64_t seed; /* of the generator */
    } synthetic;
    struct {
        char method[CZ_NAME_MAX + 8]; /* see cz_config_split() */
        double train, validation;     /* 0.70, 0.15; the rest is test */
        int folds, fold;              /* of kfold: fold is tested, the next one validates */
        int64_t seed;
    } split;
    struct {
        char table[CZ_PATH_MAX]; /* HDF5 file of label vectors; relative to the config file,
                                  * or "embedded" = cz_config_share() of labels.h5 */
        char model[CZ_PATH_MAX]; /* folder of a BERT that makes the vectors instead; "" = none */
        cz_pooling pooling;      /* cls | mean */
        cz_text_case casing;     /* auto | cased | uncased */
        int width;               /* 768: vectors are padded with zeros to this; 0 = as read */
    } text;
    struct {
        bool text;       /* false: --disable-text-modality */
        int tokens;      /* 8 */
        int heads;       /* 8 */
        int fusion_dim;  /* 256 */
        int layers;      /* 1 transformer encoder layer */
        int feedforward; /* 2048 */
        int latents;     /* 61 */
        int latent_dim;  /* 256 */
        double dropout;
        cz_positions positions;
    } model;
    struct {
        int epochs;                      /* 50 */
        int batch;                       /* 128, global */
        double lr, weight_decay, warmup; /* 5.947e-4, 1e-4, 0.1 of the steps */
        /* half cosines c after the warm-up. With N steps in all, w = floor(warmup N) and
         * step s = 0 .. N-1: lr(s) = lr s/w while s < w, then
         * lr (1 + cos(pi c (s - w)/(N - w))) / 2. 1 ends at 0, 2 comes back to the peak. */
        double cosine_cycles;
        double adv_lambda;
        cz_stopping stopping;
        int patience;
        cz_class_weights class_weights; /* of the target's loss */
        cz_sampler sampler;
        int block;              /* cells that walk through the layers together; 0 = auto */
        char from[CZ_PATH_MAX]; /* best_hyperparameters.json whose values are taken; "" once they
                                 * are, or for none */
    } train;
    struct {
        cz_select select; /* split whose accuracy picks the epoch */
        bool test_every_epoch;
        bool bayes; /* fitted discriminant and optimum (synthetic) at the end */
    } eval;
    struct {
        int every;       /* epochs between checkpoints; 0 = best, last, and when stopped */
        int every_steps; /* 0 = off; also within an epoch */
        int keep;        /* last K kept, besides the best */
    } checkpoint;
    struct {
        char study[CZ_PATH_MAX]; /* Optuna journal; "" = study.log in the run's folder */
        char name[CZ_NAME_MAX];  /* of the study in it */
        cz_texts space;          /* see cz_config_space() */
        int trials, epochs;      /* 20 trials of 5 epochs */
        double fold;             /* 0.1: share of the training cells that judges the trials */
        cz_objective objective;  /* on the fold, after a trial's last epoch */
        cz_search_sampler sampler;
        cz_search_pruner pruner;
        int ranks_per_trial;
        int64_t seed;
        int confirm, confirm_seeds; /* the best 3 are trained in full on 2 new seeds each */
    } search;
    int experiments;
    cz_experiment experiment[CZ_EXPERIMENTS_MAX];
} cz_config;

/* An override from the command line, "section.key=value". The value is taken as it stands,
 * without YAML's quotes; a list is written [a, b]. */
typedef struct cz_override {
    const char *text;
} cz_override;

void cz_config_defaults(cz_config *config);

/* Defaults, then the file (NULL: none), then the overrides in order, then the checks of
 * ranges and of what must fit together (fusion_dim divisible by heads, ...). Paths in a file
 * are relative to the folder of the file if they exist there, else to the working directory;
 * paths of an override to the working directory. An empty file is refused, as it is more often
 * an accident than a wish; {} asks for all defaults. run.name becomes the file's name.
 * Errors, CZ_ERR_CONFIG: "FILE:LINE:COLUMN: key 'train.lrr' is unknown, did you mean
 * 'train.lr'?" and the like; CZ_ERR_INPUT when the file cannot be read. Local. */
cz_status cz_config_load(cz_config *config, const char *path, const cz_override *overrides,
                         int count);

/* The whole configuration as YAML that cz_config_load() reads back to the same values. */
cz_status cz_config_print(const cz_config *config, FILE *out);
/* Every key with type, default, range and one line of help. */
void cz_config_help(FILE *out);
/* What split.method says, "group:library_id", and through *key the column that it names, "" for
 * none. Of a checked configuration; CZ_SPLIT_STRATIFIED also for "donor". Local. */
cz_split_method cz_config_split(const cz_config *config, const char **key);
/* An entry of data.filter. */
typedef struct cz_filter {
    char key[CZ_NAME_MAX];
    bool negated; /* KEY != ... */
    int values;
    int value[CZ_PATH_MAX / 2]; /* (values) where each begins in `text` */
    char text[CZ_PATH_MAX];
} cz_filter;

/* Reads "KEY = A | B" or "KEY != A | B". Spaces around the signs count for nothing; a key or a
 * value that contains | or =, or begins or ends with a space, stands in double quotes, in which
 * \" is a quote and \\ a backslash. Returns NULL, or what is wrong: nothing, for a checked
 * configuration. Local. */
const char *cz_config_filter(cz_filter *filter, const char *text);

/* The parameters of search.space, each of its entries
 *   KEY = LOW .. HIGH [step S] [log]    of a key of numbers
 *   KEY = A | B | C                     of any key
 * where KEY is one of model.* or train.*. CZ_ERR_CONFIG. Local. */
cz_status cz_config_space(cz_space *space, const cz_config *config);
/* Gives the configuration the values x (space->count) of a point, and checks it. Local.
 * CZ_ERR_CONFIG: they do not fit together. */
cz_status cz_config_set_point(cz_config *config, const cz_space *space, const double *x);

/* Gives all keys of search.space their defaults: what is left is what a search starts from. Local.
 */
void cz_config_reset_space(cz_config *config);

/* The name of a hyperparameter in best_hyperparameters.json: the reference's ("lr",
 * "num_latents"), else the key. Local. */
const char *cz_config_reference_name(const char *key);

/* Runs of `experiments`: seeds x splits of each, in the file's order. Local. */
int cz_config_items(const cz_config *config);
/* Which of them, and whose. */
typedef struct cz_config_item {
    int experiment;
    int64_t seed, split;
    char folder[128]; /* below the run's: "text-off/seed-3", or "text-off/seed-3-split-1" */
} cz_config_item;
/* Which one item `index` is; false: there is none. Local. */
bool cz_config_find_item(cz_config_item *which, const cz_config *config, int index);
/* Item `index` and its configuration, checked; its run.name is the run's with the folder. Local.
 * CZ_ERR_CONFIG: the values of its experiment do not fit together; CZ_ERR_USAGE: no such item. */
cz_status cz_config_item_of(cz_config *item, cz_config_item *which, const cz_config *config,
                            int index);

/* A hash of all values that decide the result (not run.name, results, threads, transport...);
 * of files their names without the folders. */
uint64_t cz_config_hash(const cz_config *config);

/* Whether the file `path` is a configuration of the same hash; else how: the first value that is
 * another one, or why the file cannot be read. Local. */
bool cz_config_is_of(char *how, size_t size, const cz_config *config, const char *path);
/* A hash of the values of all keys that begin with one of `prefix`; of files with their folders, or
 * their names alone. Local. */
uint64_t cz_config_hash_of(const cz_config *config, const char *const *prefix, int prefixes,
                           bool folders);

/* The path of a file that comes along with czhpc ("labels.h5"): in configs/ of the source tree
 * or share/czhpc/configs/ of the installation. Local. CZ_ERR_INPUT: there is none. */
cz_status cz_config_share(char *path, size_t size, const char *name);

#endif
