#include "replay.h"

#include "czhpc/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A text that is rewritten for jansson. */
typedef struct rewriting {
    const char *at, *end;
    char *out;
} rewriting;

static void copy(rewriting *r, size_t size)
{
    memcpy(r->out, r->at, size);
    r->out += size;
    r->at += size;
}

/* Puts `text` in the place of `size` bytes. */
static void replace(rewriting *r, size_t size, const char *text)
{
    size_t length = strlen(text);
    memcpy(r->out, text, length);
    r->out += length;
    r->at += size;
}

/* The code unit of "\uXXXX" at `at`, -1 where none is written there. */
static long escaped_unit(const char *at, const char *end)
{
    char digits[5] = "", *rest;
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u') return -1;
    memcpy(digits, at + 2, 4);
    if (strspn(digits, "0123456789abcdefABCDEF") != 4) return -1;
    return strtol(digits, &rest, 16);
}

/* One escape. Python writes half a surrogate pair where its text has one; jansson refuses it. */
static void copy_escape(rewriting *r)
{
    long unit = escaped_unit(r->at, r->end), next = escaped_unit(r->at + 6, r->end);
    if (unit < 0) copy(r, r->end - r->at > 1 ? 2 : 1);
    else if (unit < 0xd800 || unit > 0xdfff) copy(r, 6);
    else if (unit < 0xdc00 && next >= 0xdc00 && next <= 0xdfff) copy(r, 12);
    else replace(r, 6, "\\ufffd");
}

static void copy_text(rewriting *r)
{
    copy(r, 1);
    while (r->at < r->end && *r->at != '"') {
        if (*r->at == '\\') copy_escape(r);
        else copy(r, 1);
    }
    if (r->at < r->end) copy(r, 1);
}

static bool begins(const rewriting *r, const char *word)
{
    size_t length = strlen(word);
    return (size_t)(r->end - r->at) >= length && !memcmp(r->at, word, length);
}

/* A number; a whole one that int64 may not hold as a real one. */
static void copy_number(rewriting *r)
{
    enum { WHOLE = 18, REAL = 300 };
    const char *at = r->at;
    while (at < r->end && *at >= '0' && *at <= '9') at++;
    size_t digits = (size_t)(at - r->at);
    bool whole = at == r->end || !strchr(".eE", *at);
    if (digits > REAL && whole) {
        replace(r, digits, "1e300");
        return;
    }
    copy(r, digits);
    if (digits > WHOLE && whole) {
        memcpy(r->out, "e0", 2);
        r->out += 2;
    }
    while (r->at < r->end && strchr("0123456789.eE+-", *r->at)) copy(r, 1);
}

static size_t rewrite(char *out, const char *text, size_t size)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    static const char *const texts[] = {"\"NaN\"", "\"Infinity\"", "\"-Infinity\""};
    rewriting r = {.at = text, .end = text + size, .out = out};
    while (r.at < r.end) {
        int word = 0;
        while (word < 3 && !begins(&r, words[word])) word++;
        if (word < 3) replace(&r, strlen(words[word]), texts[word]);
        else if (*r.at == '"') copy_text(&r);
        else if (*r.at >= '0' && *r.at <= '9') copy_number(&r);
        else copy(&r, 1);
    }
    return (size_t)(r.out - out);
}

cz_status cz_replay_parse(json_t **value, const char *text, size_t size)
{
    json_error_t error = {0};          /* without a text where memory fails jansson */
    char *out = malloc(2 * size + 16); /* NaN grows most, of 3 bytes to 5 */
    *value = NULL;
    if (!out) return cz_fail(CZ_ERR_MEMORY, "no memory for the journal of a study");
    size_t length = rewrite(out, text, size);
    *value = json_loadb(out, length, JSON_ALLOW_NUL, &error);
    free(out);
    if (*value || error.text[0]) return CZ_OK;
    return cz_fail(CZ_ERR_MEMORY, "no memory for the journal of a study");
}

bool cz_attribute_number(const json_t *value, double *number)
{
    const char *text = json_string_value(value);
    if (json_is_number(value)) *number = json_number_value(value);
    else if (text && !strcmp(text, "NaN")) *number = NAN;
    else if (text && !strcmp(text, "Infinity")) *number = INFINITY;
    else if (text && !strcmp(text, "-Infinity")) *number = -INFINITY;
    else return false;
    return true;
}

/* "", "Z", "+01:00", "-05:30": seconds east of Greenwich. */
static bool read_zone(const char *text, bool *local, int *east)
{
    int hours, minutes, used = 0;
    *local = !text[0];
    *east = 0;
    if (*local || !strcmp(text, "Z")) return true;
    if (sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || text[1 + used]) return false;
    if (hours < 0 || hours > 24 || minutes < 0 || minutes > 59) return false;
    *east = (text[0] == '-' ? -60 : 60) * (60 * hours + minutes);
    return text[0] == '-' || text[0] == '+';
}

/* Millionths of a second after the full ones. */
static const char *read_micros(const char *text, int64_t *micros)
{
    int64_t unit = 100000;
    *micros = 0;
    if (*text != '.') return text;
    for (text++; *text >= '0' && *text <= '9'; text++, unit /= 10) *micros += unit * (*text - '0');
    return text;
}

bool cz_replay_time(const json_t *value, double *seconds)
{
    const char *text = json_string_value(value);
    struct tm day = {.tm_isdst = -1};
    int used = 0, east;
    int64_t micros;
    bool local;
    if (!text || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &day.tm_year, &day.tm_mon, &day.tm_mday,
                        &day.tm_hour, &day.tm_min, &day.tm_sec, &used) != 6)
        return false;
    if (!read_zone(read_micros(text + used, &micros), &local, &east)) return false;
    day.tm_year -= 1900;
    day.tm_mon -= 1;
    int64_t whole = local ? mktime(&day) : timegm(&day) - east;
    *seconds = (double)(whole * 1000000 + micros) / 1e6;
    return true;
}

bool cz_replay_choice(char *text, const json_t *choice)
{
    char number[CZ_NUMBER_MAX];
    if (json_is_real(choice)) {
        cz_text_float(number, json_real_value(choice), 53);
        return cz_text_copy(text, CZ_SPACE_CHOICE, number);
    }
    if (json_is_object(choice) || json_is_array(choice)) return false;
    char *dumped = json_dumps(choice, JSON_ENCODE_ANY | JSON_COMPACT);
    bool fits = dumped && cz_text_copy(text, CZ_SPACE_CHOICE, dumped);
    free(dumped);
    return fits;
}

static bool read_choices(cz_dimension *dimension, const json_t *choices, const char **why)
{
    size_t count = json_array_size(choices);
    *why = "a parameter of no choice, or of more than 16";
    if (count < 1 || count > CZ_SPACE_CHOICES) return false;
    *why = "a choice of more than 95 bytes, or one that is a list";
    for (size_t i = 0; i < count; i++)
        if (!cz_replay_choice(dimension->choice[i], json_array_get(choices, i))) return false;
    dimension->kind = CZ_CATEGORICAL;
    dimension->choices = (int)count;
    dimension->high = (double)count - 1;
    return true;
}

static bool read_range(cz_dimension *dimension, const json_t *attributes, const char **why)
{
    const json_t *step = json_object_get(attributes, "step");
    *why = "a distribution whose bounds are none";
    dimension->log = json_is_true(json_object_get(attributes, "log"));
    if (!cz_attribute_number(json_object_get(attributes, "low"), &dimension->low) ||
        !cz_attribute_number(json_object_get(attributes, "high"), &dimension->high))
        return false;
    if (!json_is_null(step) && !cz_attribute_number(step, &dimension->step)) return false;
    if (!isfinite(dimension->low) || !isfinite(dimension->high) || !isfinite(dimension->step))
        return false;
    if (dimension->low > dimension->high || dimension->step < 0) return false;
    if (dimension->log && dimension->low <= 0) return false;
    return dimension->kind == CZ_FLOAT || dimension->step >= 1;
}

/* What the JSON of a distribution says. */
static bool read_distribution(cz_dimension *dimension, const json_t *parsed, const char **why)
{
    const char *kind = json_string_value(json_object_get(parsed, "name"));
    const json_t *attributes = json_object_get(parsed, "attributes");
    *why = "a distribution that is not JSON";
    if (!kind) return false;
    if (!strcmp(kind, "CategoricalDistribution"))
        return read_choices(dimension, json_object_get(attributes, "choices"), why);
    *why = "a distribution of an unknown kind";
    if (strcmp(kind, "FloatDistribution") != 0 && strcmp(kind, "IntDistribution") != 0)
        return false;
    dimension->kind = kind[0] == 'F' ? CZ_FLOAT : CZ_INTEGER;
    return read_range(dimension, attributes, why);
}

cz_status cz_replay_distribution(cz_dimension *dimension, const char *name, const json_t *text,
                                 const char **why)
{
    json_t *parsed = NULL;
    *dimension = (cz_dimension){0};
    *why = "a parameter's name of more than 127 bytes";
    if (!cz_text_copy(dimension->name, sizeof dimension->name, name)) return CZ_OK;
    if (json_is_string(text))
        CZ_TRY(cz_replay_parse(&parsed, json_string_value(text), json_string_length(text)));
    if (read_distribution(dimension, parsed, why)) *why = NULL;
    json_decref(parsed);
    return CZ_OK;
}
