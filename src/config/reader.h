/* YAML as events with their places. Private to src/config. */
#ifndef CZ_READER_H
#define CZ_READER_H

#include "table.h"

#include <yaml.h>

typedef struct reader {
    yaml_parser_t yaml;
    yaml_event_t event;
    bool has_event;
    const char *path; /* NULL: the text of an override */
    cz_origin base;   /* of an override */
    const char *text;
    size_t size;
} reader;

/* The text of a file, or of a pipe, for the caller to free(); NULL with *status set. */
char *reader_file(size_t *size, cz_status *status, const char *path);

/* Begins at r->text (r->size). CZ_ERR_CONFIG: not UTF-8. */
cz_status reader_open(reader *r);
void reader_close(reader *r);

/* The next event. Anchors, aliases and tags are refused wherever they stand. */
cz_status reader_next(reader *r);
/* Where the current event stands. */
cz_origin reader_here(const reader *r);
/* The current event, a scalar. */
cz_value reader_scalar(const reader *r);

/* Records that a key is unknown, and the one that was meant. */
cz_status reader_unknown_key(const reader *r, const char *name);

/* The entries of `experiments`; the start of the list is the current event. */
cz_status experiments_parse(reader *r, cz_config *config);

#endif
