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
} cz_lines;

/* CZ_ERR_MEMORY. cz_lines_text() ends them: text and size are good then; it is called once, and
 * cz_lines_free() after it. */
cz_status cz_lines_open(cz_lines *lines, const char *worker);
cz_status cz_lines_text(cz_lines *lines);
void cz_lines_free(cz_lines *lines);

/* One line: its operation, then its fields, then its end. */
void cz_line_begin(const cz_lines *lines, int op);
void cz_line_end(const cz_lines *lines);
void cz_line_int(const cz_lines *lines, const char *key, int64_t value);
void cz_line_text(const cz_lines *lines, const char *key, const char *text);
void cz_line_json(const cz_lines *lines, const char *key, const json_t *value);
void cz_line_number(const cz_lines *lines, const char *key, double value);
/* [value], or null for NAN */
void cz_line_values(const cz_lines *lines, double value);
void cz_line_time(const cz_lines *lines, const char *key, double seconds);

/* Whole lines. */
void cz_lines_param(const cz_lines *lines, int64_t trial, const cz_dimension *dimension,
                    double value);
void cz_lines_attribute(const cz_lines *lines, int op, const char *of, int64_t id, const char *name,
                        const json_t *value);
/* A running trial with all it has from the beginning: one line, so that no half of it is ever
 * there. attributes: may be NULL. */
void cz_lines_trial(const cz_lines *lines, int64_t study, double started, const cz_space *space,
                    const double *x, const json_t *user, const json_t *system);

#endif
