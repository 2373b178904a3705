/* The command line. One table in src/job/usage.c is the source of the parser and of --help. */
#ifndef CZ_USAGE_H
#define CZ_USAGE_H

#include "czhpc/config.h"

typedef enum cz_action {
    CZ_ACTION_TRAIN,
    CZ_ACTION_DRY_RUN,
    CZ_ACTION_CHECK_CONFIG,
    CZ_ACTION_PRINT_CONFIG,
    CZ_ACTION_DESCRIBE,
    CZ_ACTION_WRITE_SYNTHETIC,
    CZ_ACTION_LABELS, /* the tools of these names */
    CZ_ACTION_STUDY,
    CZ_ACTION_HELP,
    CZ_ACTION_HELP_CONFIG,
    CZ_ACTION_VERSION
} cz_action;

enum { CZ_OVERRIDES_MAX = 128 };

/* What a command line asks for. Options that stand for a key (--results, --name,
 * --text-model, --disable-text-modality) are overrides like --set, in the order of the command
 * line. The overrides point into argv and into the usage itself: do not copy one. */
typedef struct cz_usage {
    cz_action action;
    const char *config; /* NULL for tools and the actions from CZ_ACTION_HELP on */
    const char *file;   /* of a tool: what it reads, and what it writes */
    const char *out;
    const char *study; /* of the tool `study`: its name, NULL: the only one */
    int trials;        /* to print */
    cz_override overrides[CZ_OVERRIDES_MAX];
    int override_count;
    bool search, train; /* --search-hparams, --train-model */
    bool profile;
    int experiment; /* of the list, -1: all */
    bool resume;
    char resume_from[CZ_PATH_MAX]; /* a checkpoint file or folder; "" = auto, the run's own */
    const char *write_synthetic;   /* the file to write */
    char results[CZ_PATH_MAX + 32], name[CZ_NAME_MAX + 32]; /* "run.results=..." */
    char text_model[CZ_PATH_MAX + 32];
} cz_usage;

/* Reads a command line; the same on every rank, prints nothing. --help, --help-config and
 * --version end the reading. A first word `labels` or `study` is the tool of that name. After
 * --resume a word is its PATH unless it ends in .yaml or .yml, which is then the CONFIG. Local.
 * CZ_ERR_USAGE. */
cz_status cz_usage_parse(cz_usage *usage, int argc, char **argv);

/* How to use czhpc, at most 80 columns wide. Local. */
void cz_usage_help(FILE *out);

/* Prints what CZ_ACTION_HELP, _HELP_CONFIG or _VERSION ask for. Local. */
void cz_usage_answer(cz_action action, FILE *out);

#endif
