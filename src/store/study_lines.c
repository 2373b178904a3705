#include "study_lines.h"
#include "replay.h"

#include "czhpc/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

cz_status cz_lines_open(cz_lines *lines, const char *worker)
{
    *lines = (cz_lines){.worker = worker};
    lines->file = open_memstream(&lines->text, &lines->size);
    if (lines->file) return CZ_OK;
    return cz_fail(CZ_ERR_MEMORY, "no memory for lines of a study");
}

cz_status cz_lines_text(cz_lines *lines)
{
    bool failed = ferror(lines->file) != 0;
    failed = fclose(lines->file) || failed || lines->failed;
    lines->file = NULL;
    if (lines->failed == CZ_ERR_BUG)
        return cz_fail(CZ_ERR_BUG, "a study is told a text that is not UTF-8");
    return failed ? cz_fail(CZ_ERR_MEMORY, "no memory for lines of a study") : CZ_OK;
}

void cz_lines_free(cz_lines *lines)
{
    if (lines->file) fclose(lines->file);
    free(lines->text);
    *lines = (cz_lines){0};
}

static void put_json(cz_lines *lines, const json_t *value)
{
    /* 17 digits: a double reads back as the same bits. */
    if (json_dumpf(value, lines->file,
                   JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(17)) &&
        !lines->failed)
        lines->failed = CZ_ERR_MEMORY;
}

static void put_text(cz_lines *lines, const char *text)
{
    json_t *value = json_string(text);
    if (!value && text[cz_text_utf8(text, strlen(text))]) lines->failed = CZ_ERR_BUG;
    put_json(lines, value);
    json_decref(value);
}

/* As Python's json does. */
static void put_number(FILE *file, double value)
{
    char number[CZ_NUMBER_MAX];
    if (isnan(value)) fputs("NaN", file);
    else if (isinf(value)) fputs(value < 0 ? "-Infinity" : "Infinity", file);
    else cz_text_float(number, value, 53), fputs(number, file);
}

static void put_key(cz_lines *lines, const char *key)
{
    fputc(',', lines->file);
    put_text(lines, key);
    fputc(':', lines->file);
}

void cz_line_begin(cz_lines *lines, int op)
{
    fprintf(lines->file, "{\"op_code\":%d", op);
    cz_line_text(lines, "worker_id", lines->worker);
}

void cz_line_end(cz_lines *lines) { fputs("}\n", lines->file); }

void cz_line_int(cz_lines *lines, const char *key, int64_t value)
{
    put_key(lines, key);
    fprintf(lines->file, "%lld", (long long)value);
}

void cz_line_text(cz_lines *lines, const char *key, const char *text)
{
    put_key(lines, key);
    put_text(lines, text);
}

void cz_line_json(cz_lines *lines, const char *key, const json_t *value)
{
    put_key(lines, key);
    put_json(lines, value);
}

void cz_line_number(cz_lines *lines, const char *key, double value)
{
    put_key(lines, key);
    put_number(lines->file, value);
}

/* [value], or null for NAN */
static void put_values(cz_lines *lines, double value)
{
    put_key(lines, "values");
    if (isnan(value)) {
        fputs("null", lines->file);
        return;
    }
    fputc('[', lines->file);
    put_number(lines->file, value);
    fputc(']', lines->file);
}

void cz_line_time(cz_lines *lines, const char *key, double seconds)
{
    char text[64];
    time_t whole = (time_t)floor(seconds);
    long micros = lrint((seconds - floor(seconds)) * 1e6);
    struct tm local;
    if (micros > 999999) micros = 999999;
    localtime_r(&whole, &local);
    size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &local);
    snprintf(text + length, sizeof text - length, ".%06ld", micros);
    cz_line_text(lines, key, text);
}

static void put_bound(FILE *file, const cz_dimension *dimension, const char *key, double value)
{
    fprintf(file, "\"%s\": ", key);
    if (dimension->kind == CZ_INTEGER) fprintf(file, "%.0f", value);
    else if (value == 0 && !strcmp(key, "step")) fputs("null", file);
    else put_number(file, value);
    fputs(", ", file);
}

static void put_distribution(FILE *file, const cz_dimension *dimension)
{
    if (dimension->kind == CZ_CATEGORICAL) {
        fputs("{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [", file);
        for (int i = 0; i < dimension->choices; i++)
            fprintf(file, "%s%s", i ? ", " : "", dimension->choice[i]);
        fputs("]}}", file);
        return;
    }
    fprintf(file, "{\"name\": \"%s\", \"attributes\": {",
            dimension->kind == CZ_FLOAT ? "FloatDistribution" : "IntDistribution");
    put_bound(file, dimension, "step", dimension->step);
    put_bound(file, dimension, "low", dimension->low);
    put_bound(file, dimension, "high", dimension->high);
    fprintf(file, "\"log\": %s}}", dimension->log ? "true" : "false");
}

/* A text that is JSON itself. */
static void put_distribution_text(cz_lines *lines, const cz_dimension *dimension)
{
    char *text = NULL;
    size_t size;
    FILE *inner = open_memstream(&text, &size);
    if (inner) put_distribution(inner, dimension);
    if (inner && !fclose(inner)) put_text(lines, text);
    else lines->failed = CZ_ERR_MEMORY;
    free(text);
}

static void put_internal(FILE *file, const cz_dimension *dimension, double value)
{
    if (dimension->kind == CZ_CATEGORICAL) fprintf(file, "%.0f", value);
    else put_number(file, value);
}

void cz_lines_param(cz_lines *lines, int64_t trial, const cz_dimension *dimension, double value)
{
    cz_line_begin(lines, CZ_OP_PARAM);
    cz_line_int(lines, "trial_id", trial);
    cz_line_text(lines, "param_name", dimension->name);
    put_key(lines, "param_value_internal");
    put_internal(lines->file, dimension, value);
    put_key(lines, "distribution");
    put_distribution_text(lines, dimension);
    cz_line_end(lines);
}

void cz_lines_state(cz_lines *lines, int64_t trial, cz_trial_state state, double value, double time)
{
    cz_line_begin(lines, CZ_OP_STATE);
    cz_line_int(lines, "trial_id", trial);
    cz_line_int(lines, "state", state);
    put_values(lines, value);
    cz_line_time(lines, state == CZ_TRIAL_RUNNING ? "datetime_start" : "datetime_complete", time);
    cz_line_end(lines);
}

void cz_lines_attribute(cz_lines *lines, int op, const char *of, int64_t id, const char *name,
                        const json_t *value)
{
    cz_line_begin(lines, op);
    cz_line_int(lines, of, id);
    bool system = op == CZ_OP_STUDY_SYSTEM || op == CZ_OP_TRIAL_SYSTEM;
    put_key(lines, system ? "system_attr" : "user_attr");
    fputc('{', lines->file);
    put_text(lines, name);
    fputc(':', lines->file);
    put_json(lines, value);
    fputc('}', lines->file);
    cz_line_end(lines);
}

static void put_members(cz_lines *lines, const char *key, const cz_space *space, const double *x)
{
    put_key(lines, key);
    for (int i = 0; i < space->count; i++) {
        fputc(i ? ',' : '{', lines->file);
        put_text(lines, space->dimension[i].name);
        fputc(':', lines->file);
        if (x) put_internal(lines->file, &space->dimension[i], x[i]);
        else put_distribution_text(lines, &space->dimension[i]);
    }
    fputs(space->count ? "}" : "{}", lines->file);
}

static void put_object(cz_lines *lines, const char *key, const json_t *object)
{
    put_key(lines, key);
    if (object) put_json(lines, object);
    else fputs("{}", lines->file);
}

void cz_lines_trial(cz_lines *lines, int64_t study, double started, const cz_space *space,
                    const double *x, const json_t *user, const json_t *system)
{
    cz_line_begin(lines, CZ_OP_CREATE_TRIAL);
    cz_line_int(lines, "study_id", study);
    cz_line_time(lines, "datetime_start", started);
    cz_line_int(lines, "state", CZ_TRIAL_RUNNING);
    fputs(",\"value\":null,\"values\":null", lines->file);
    put_members(lines, "distributions", space, NULL);
    put_members(lines, "params", space, x);
    put_object(lines, "user_attrs", user);
    put_object(lines, "system_attrs", system);
    put_object(lines, "intermediate_values", NULL);
    cz_line_end(lines);
}
