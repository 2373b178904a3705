/* The table of keys, and what is done with one key. Private to src/config. */
#ifndef CZ_CONFIG_TABLE_H
#define CZ_CONFIG_TABLE_H

#include "czhpc/config.h"

typedef enum cz_kind {
    CZ_KIND_BOOL,
    CZ_KIND_INT,   /* int */
    CZ_KIND_WHOLE, /* int64_t */
    CZ_KIND_REAL,
    CZ_KIND_CHOICE, /* an enum: the index of the word among the choices */
    CZ_KIND_WORD,   /* char[]: one of the choices */
    CZ_KIND_TEXT,   /* char[] */
    CZ_KIND_PATH,   /* char[]: a file that is read */
    CZ_KIND_NAMES,  /* cz_names */
    CZ_KIND_TEXTS,  /* cz_texts; one may stand without brackets */
    CZ_KIND_PATHS   /* cz_texts: files that are read; one may stand without brackets */
} cz_kind;

enum { CZ_CHOICES_MAX = 4, CZ_CONFIG_KEYS = 112 };

typedef struct cz_key {
    const char *name;    /* "train.lr"; keys of one section stand together */
    size_t offset, size; /* of the member of cz_config */
    const char *preset;  /* the default, as one would write it */
    const char *help;
    const char *choice[CZ_CHOICES_MAX + 1];
    double min, max; /* numbers; INFINITY: no limit but the type's */
    cz_kind kind;
    bool above, below; /* the limit itself is outside */
    bool may_be_empty; /* texts */
    bool result;       /* takes part in cz_config_hash() */
} cz_key;

extern const cz_key cz_keys[];
extern const int cz_key_count;

/* The index of a key by its full name, -1 if there is none. */
int cz_key_find(const char *name);
/* The key that `name` was meant to be, or NULL. */
const char *cz_key_nearest(const char *name);
/* The length of the section's name in "section.key". */
int cz_key_section(const cz_key *key);

/* What a value arrives as: a word of YAML or of the command line, or a list of them. */
typedef struct cz_value {
    const char *text;
    size_t length;
    bool quoted; /* a text in quotes is never a number or a truth */
    bool list;   /* the entries follow one by one, see cz_key_append() */
} cz_value;

enum { CZ_REASON_MAX = 512 };

bool cz_key_takes_list(const cz_key *key);

/* Sets one member from a value. false: `reason` says what was expected and what was found. A
 * list empties the member, whose entries are then appended. */
bool cz_key_set(cz_config *config, const cz_key *key, const cz_value *value,
                char reason[CZ_REASON_MAX]);
/* Adds one entry to a list. */
bool cz_key_append(cz_config *config, const cz_key *key, const cz_value *value,
                   char reason[CZ_REASON_MAX]);

/* The member's value as YAML reads it back. */
void cz_key_write(const cz_config *config, const cz_key *key, FILE *out);
/* "a number above 0, at most 1", "one of auto, cpu", ... */
void cz_key_expected(const cz_key *key, char *text, size_t size);

/* Where each key was last set, for messages: index like cz_keys. */
typedef struct cz_origin {
    int line, column;     /* from 1; 0: not from the file */
    const char *override; /* text of the override, NULL: not from one */
} cz_origin;

/* Records "FILE:LINE:COLUMN: ..." or "--set KEY=VALUE: ..." and returns CZ_ERR_CONFIG. */
cz_status cz_config_fail(const char *file, cz_origin origin, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Reads a file over the values of `config`. origin: one per key. */
cz_status cz_config_parse(cz_config *config, cz_origin *origin, const char *path);
/* A list in YAML's flow form, "[a, b]", for overrides. */
cz_status cz_config_parse_list(cz_config *config, const cz_key *key, cz_origin origin,
                               const char *text);
/* Applies an override, KEY=VALUE. */
cz_status cz_config_override(cz_config *config, cz_origin *origin, const char *text);
/* Takes the values of the file train.from. CZ_ERR_INPUT. */
cz_status cz_config_take_best(cz_config *config);
/* The list of experiments: names, and each of its items as a configuration. */
cz_status cz_config_check_experiments(const cz_config *config, const char *path);
/* Reads search.space; what is wrong with it, in `text` or fixed, NULL for nothing. */
const char *cz_config_space_fault(cz_space *space, const cz_config *config,
                                  char text[CZ_REASON_MAX]);
/* What must fit together. */
cz_status cz_config_check(const cz_config *config, const cz_origin *origin, const char *path);

#endif
