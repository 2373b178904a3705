/* What the files of the tokenizer share. Private to src/data/token*. */
#ifndef CZ_TOKENIZER_PARTS_H
#define CZ_TOKENIZER_PARTS_H

#include "czhpc/bytes.h"
#include "czhpc/json.h"
#include "czhpc/mapped.h"
#include "czhpc/tokenizer.h"
#include "vocabulary.h"

/* What becomes of a text before it is cut into words, in this order. */
typedef struct tokenizer_rules {
    bool clean;   /* controls are dropped, white space becomes ' ' */
    bool chinese; /* ideographs are words */
    bool strip;   /* accents are dropped */
    bool lower;
} tokenizer_rules;

/* A token that is found in the raw text. */
typedef struct tokenizer_special {
    char *text;
    size_t size;
    int32_t id;
} tokenizer_special;

struct cz_tokenizer {
    vocabulary vocabulary;
    tokenizer_special *special; /* (specials) */
    int specials;
    bool begins[256]; /* a special token begins with this byte */
    tokenizer_rules rules;
    size_t word_max; /* characters of a word that may be cut */
    int size, limit;
    int32_t unknown, first, last; /* [UNK], [CLS], [SEP] */
    const char *origin;
};

/* What a folder holds; `bytes` is NULL where there is no such file. */
typedef struct tokenizer_files {
    const char *folder; /* for messages */
    cz_mapped json, vocabulary, config;
} tokenizer_files;

/* What cz_tokenizer_open() does with the files' contents. Local. */
cz_status tokenizer_make(cz_tokenizer **tokenizer, const tokenizer_files *files,
                         cz_text_case wanted);

typedef enum tokenizer_name {
    NAME_UNKNOWN,
    NAME_FIRST,
    NAME_LAST,
    NAME_PADDING,
    NAME_MASK,
    NAME_COUNT
} tokenizer_name;

/* What tokenizer_config.json says: 1, 0, or -1 where it says nothing. Texts are of `root`. */
typedef struct tokenizer_settings {
    json_t *root;
    int lower, strip, chinese;
    int limit;
    const char *name[NAME_COUNT]; /* "[UNK]" and so on where it names no others */
} tokenizer_settings;

/* All presets when the file is not there. Free with json_decref(settings->root). Local. */
cz_status tokenizer_read_settings(tokenizer_settings *settings, const tokenizer_files *files);

/* Fill a zeroed tokenizer with all but limit and origin; `rules` as the files have them. Local. */
cz_status tokenizer_read_json(cz_tokenizer *t, const tokenizer_files *files, int *strip);
cz_status tokenizer_read_vocabulary(cz_tokenizer *t, const tokenizer_files *files,
                                    const tokenizer_settings *settings);

/* Adds a special token that the vocabulary has, or the next beyond it; `path` is the
 * file that asks for it. Local. */
cz_status tokenizer_add_special(cz_tokenizer *t, const char *path, const char *text, int32_t id);

/* Fails where an object asks for more than the literal match of a token: lstrip, ... Local. */
cz_status tokenizer_check_flags(const json_t *token, const char *path, const char *text);

/* A JSON value as a whole number of 0 to `most`, else -1. */
int tokenizer_whole(const json_t *value, int most);

/* A file as an object; free with json_decref(). Local. CZ_ERR_INPUT: it is none. */
cz_status tokenizer_parse(json_t **root, const char *path, const cz_mapped *file);

/* Appends the normalised text, UTF-8, to `to`. Local. CZ_ERR_MEMORY. */
cz_status tokenizer_normalise(cz_bytes *to, const tokenizer_rules *rules, const char *text,
                              size_t size);

#endif
