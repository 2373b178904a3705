#include "relative.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 2045 }; /* what a database of Optuna's holds in one attribute */

static const char *piece_name(char name[48], size_t piece)
{
    snprintf(name, 48, "tpe:relative_params:%zu", piece);
    return name;
}

static json_t *choice_of(const cz_dimension *dimension, int choice)
{
    return json_loads(dimension->choice[choice], JSON_DECODE_ANY, NULL);
}

/* A value as Optuna's user knows it: a choice is itself, not its index. */
static json_t *value_out(const cz_dimension *dimension, double value)
{
    if (dimension->kind == CZ_CATEGORICAL) return choice_of(dimension, (int)value);
    return dimension->kind == CZ_INTEGER ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *in_pieces(const char *text)
{
    json_t *attributes = json_object();
    size_t size = strlen(text);
    int failed = attributes == NULL;
    for (size_t at = 0; !failed && at < size; at += PIECE) {
        char name[48];
        json_t *piece = json_stringn(text + at, size - at < PIECE ? size - at : PIECE);
        failed = json_object_set_new(attributes, piece_name(name, at / PIECE), piece);
    }
    if (!failed) return attributes;
    json_decref(attributes);
    return NULL;
}

json_t *relative_write(const cz_dimension *const *dimension, const double *x, int dimensions)
{
    json_t *values = json_object(), *attributes = NULL;
    int failed = values == NULL;
    for (int i = 0; i < dimensions && !failed; i++)
        failed = json_object_set_new(values, dimension[i]->name, value_out(dimension[i], x[i]));
    char *text = failed ? NULL : json_dumps(values, JSON_ENSURE_ASCII);
    if (text) attributes = in_pieces(text);
    free(text);
    json_decref(values);
    return attributes;
}

json_t *relative_read(const json_t *attributes)
{
    char name[48], *text = NULL;
    size_t size = 0;
    json_t *piece;
    for (size_t i = 0; (piece = json_object_get(attributes, piece_name(name, i))); i++) {
        size_t more = json_string_length(piece);
        char *longer = more ? realloc(text, size + more) : NULL;
        if (!longer) break;
        memcpy(longer + size, json_string_value(piece), more);
        text = longer;
        size += more;
    }
    json_t *values = text ? json_loadb(text, size, 0, NULL) : NULL;
    free(text);
    return values;
}

double relative_value(const json_t *relative, const cz_dimension *dimension)
{
    json_t *value = json_object_get(relative, dimension->name);
    if (dimension->kind != CZ_CATEGORICAL)
        return json_is_number(value) ? json_number_value(value) : NAN;
    for (int i = 0; value && i < dimension->choices; i++) {
        json_t *choice = choice_of(dimension, i);
        bool same = json_equal(choice, value);
        json_decref(choice);
        if (same) return i;
    }
    return NAN;
}
