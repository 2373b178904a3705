/* Lines of a study's journal, as they are written. All of it is Local. */
#ifndef CZ_STUDY_LINES_H
#define CZ_STUDY_LINES_H

#include "czhpc/study.h"

#include <stdio.h>

/* Lines that are put together, to be appended at once. */
typedef struct cz_lines {
    FILE *file;
    char *text;
    size_t size;
    const char *worker;
    cz_status failed; /* of what was put there; cz_lines_text() says it */
} cz_lines;

/* CZ_ERR_MEMORY; CZ_ERR_BUG: a text that is not UTF-8. cz_lines_text() ends them: text and size are
 * good then; it is called once, and cz_lines_free() after it. */
cz_status cz_lines_open(cz_lines *lines, const char *worker);
cz_status cz_lines_text(cz_lines *lines);
void cz_lines_free(cz_lines *lines);

/* One line: its operation, then its fields, then its end. */
void cz_line_begin(cz_lines *lines, int op);
void cz_line_end(cz_lines *lines);
void cz_line_int(cz_lines *lines, const char *key, int64_t value);
void cz_line_text(cz_lines *lines, const char *key, const char *text);
void cz_line_json(cz_lines *lines, const char *key, const json_t *value);
void cz_line_number(cz_lines *lines, const char *key, double value);
void cz_line_time(cz_lines *lines, const char *key, double seconds);

/* Whole lines. */
void cz_lines_param(cz_lines *lines, int64_t trial, const cz_dimension *dimension, double value);
/* values: NAN for none. CZ_TRIAL_RUNNING with the time when it began, else when it ended. */
void cz_lines_state(cz_lines *lines, int64_t trial, cz_trial_state state, double value,
                    double time);
void cz_lines_attribute(cz_lines *lines, int op, const char *of, int64_t id, const char *name,
                        const json_t *value);
/* A running trial with all it has from the beginning: one line, so that no half of it is ever
 * there. user, system: attributes, each may be NULL. */
void cz_lines_trial(cz_lines *lines, int64_t study, double started, const cz_space *space,
                    const double *x, const json_t *user, const json_t *system);

#endif
