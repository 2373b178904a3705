#include "old.h"

#include "czhpc/rng.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void old_column_free(cz_column *column)
{
    cz_h5_free_strings(column->class_name, (size_t)column->classes);
    free(column->code);
    *column = (cz_column){0};
}

/* Gives each distinct text a number, in order of first appearance: code[i] is that of text[i];
 * *classes texts are moved to the front of `text`, the others freed. */
static cz_status number_texts(int32_t *code, char **text, int n, int *classes)
{
    size_t slots = 16;
    while (slots < 2 * (size_t)n) slots *= 2;
    int32_t *table = cz_alloc(slots, sizeof *table, "the classes of a column");
    if (!table) return CZ_ERR_MEMORY;
    int found = 0;
    for (int i = 0; i < n; i++) {
        size_t slot = cz_hash(0, text[i], strlen(text[i])) & (slots - 1);
        while (table[slot] && strcmp(text[table[slot] - 1], text[i]) != 0)
            slot = (slot + 1) & (slots - 1);
        if (table[slot]) {
            free(text[i]);
        } else {
            text[found++] = text[i];
            table[slot] = found;
        }
        code[i] = table[slot] - 1;
        if (i >= found) text[i] = NULL;
    }
    free(table);
    *classes = found;
    return CZ_OK;
}

static cz_status check_length(hid_t file, const char *place, hsize_t length, int n)
{
    if (length == (hsize_t)n) return CZ_OK;
    return cz_h5_fail(CZ_ERR_INPUT, file, place,
                      "has %llu entries for %d cells: the file is damaged",
                      (unsigned long long)length, n);
}

static cz_status read_plain(cz_column *column, hid_t file, const char *place, int n)
{
    hsize_t length = 0;
    H5T_class_t class;
    char encoding[64];
    int count;
    CZ_TRY(cz_h5_text_attribute(encoding, sizeof encoding, file, place, "encoding-type"));
    if (!encoding[0])
        return cz_h5_fail(CZ_ERR_INPUT, file, place,
                          "has no encoding, as AnnData before 0.8 writes it: read the file in "
                          "Python with anndata.read_h5ad() and write it again");
    CZ_TRY(cz_h5_layout(&length, &class, file, place, 1));
    CZ_TRY(check_length(file, place, length, n));
    CZ_TRY(cz_h5_texts(&column->class_name, &count, file, place));
    column->classes = count;
    return number_texts(column->code, column->class_name, n, &column->classes);
}

static cz_status read_categorical(cz_column *column, hid_t file, const char *place, int n)
{
    char codes[CZ_NAME_MAX + 32], categories[CZ_NAME_MAX + 32];
    snprintf(codes, sizeof codes, "%s/codes", place);
    snprintf(categories, sizeof categories, "%s/categories", place);
    hsize_t length = 0;
    H5T_class_t class;
    CZ_TRY(cz_h5_layout(&length, &class, file, codes, 1));
    CZ_TRY(check_length(file, codes, length, n));
    if (class != H5T_INTEGER)
        return cz_h5_fail(CZ_ERR_INPUT, file, codes, "does not hold integers");
    CZ_TRY(cz_h5_layout(&length, &class, file, categories, 1));
    /* A column without any value has an empty list of floating-point categories. */
    if (length > 0) CZ_TRY(cz_h5_texts(&column->class_name, &column->classes, file, categories));
    CZ_TRY(cz_h5_rows(column->code, H5T_NATIVE_INT32, 0, n, file, codes));
    for (int i = 0; i < n; i++)
        if (column->code[i] < -1 || column->code[i] >= column->classes)
            return cz_h5_fail(CZ_ERR_INPUT, file, codes,
                              "cell %d has code %d of %d categories: the file is "
                              "damaged",
                              i, column->code[i], column->classes);
    return CZ_OK;
}

static cz_status read_one(cz_column *column, hid_t file, const char *key, int n)
{
    char place[CZ_NAME_MAX + 16], names[1024];
    snprintf(place, sizeof place, "obs/%s", key);
    column->code = cz_alloc((size_t)n, sizeof *column->code, "the codes of a column");
    if (!column->code) return CZ_ERR_MEMORY;
    cz_h5_kind kind = strchr(key, '/') || !*key ? CZ_H5_NONE : cz_h5_kind_of(file, place);
    if (kind == CZ_H5_DATASET) return read_plain(column, file, place, n);
    if (kind != CZ_H5_GROUP) {
        cz_h5_members(file, "obs", names, sizeof names);
        return cz_h5_fail(CZ_ERR_INPUT, file, "obs", "there is no column '%s'; there are: %s", key,
                          names);
    }
    CZ_TRY(old_check_encoding(file, place, "categorical", "0.2.0"));
    return read_categorical(column, file, place, n);
}

/* column becomes the pairs of `column` and `other`, missing where either is. */
static cz_status join(cz_column *column, const cz_column *other, int n)
{
    size_t pairs = (size_t)column->classes * (size_t)other->classes;
    if (pairs > INT_MAX)
        return cz_fail(CZ_ERR_INPUT, "the joined column has up to %zu classes: too many", pairs);
    /* Only pairs that occur are named: there may be far fewer than can be. */
    int32_t *number = cz_alloc(pairs, sizeof *number, "the pairs of two columns");
    char **name = cz_alloc((size_t)n, sizeof *name, "the pairs of two columns");
    cz_status status = number && name ? CZ_OK : CZ_ERR_MEMORY;
    int found = 0;
    for (int i = 0; i < n && !status; i++) {
        int32_t a = column->code[i], b = other->code[i];
        column->code[i] = -1;
        if (a < 0 || b < 0) continue;
        int32_t *at = &number[(size_t)a * (size_t)other->classes + (size_t)b];
        if (!*at) {
            /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): as below */
            if (asprintf(&name[found], "%s+%s", column->class_name[a], other->class_name[b]) < 0)
                status = cz_fail(CZ_ERR_MEMORY, "no memory for the names of joined classes");
            *at = ++found;
        }
        column->code[i] = *at - 1;
    }
    free(number);
    cz_h5_free_strings(column->class_name, (size_t)column->classes);
    column->class_name = name;
    column->classes = name ? found : 0;
    return status;
}

static bool says_nothing(const char *name, old_role role)
{
    if (!*name || !strcasecmp(name, "nan")) return true;
    if (role == OLD_LABEL) return false; /* "unknown" is a label with a text of its own */
    return !strcasecmp(name, "unknown") || !strcasecmp(name, "na") ||
           (role == OLD_TARGET && !strcasecmp(name, "pooled"));
}

static void forget_unknown(cz_column *column, old_role role, int n)
{
    if (!column->class_name) return; /* no cell has a value */
    for (int i = 0; i < n; i++) {
        int32_t code = column->code[i];
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): where a code is, names are */
        if (code >= 0 && says_nothing(column->class_name[code], role)) column->code[i] = -1;
    }
}

cz_status old_column(cz_column *column, hid_t file, const char *key, old_role role, int n)
{
    char keys[CZ_NAME_MAX], *rest = NULL;
    snprintf(keys, sizeof keys, "%s", key);
    *column = (cz_column){0};
    snprintf(column->name, sizeof column->name, "%s", key);
    char *part = strtok_r(keys, "+", &rest);
    CZ_TRY(read_one(column, file, part ? part : "", n));
    forget_unknown(column, role, n);
    while ((part = strtok_r(NULL, "+", &rest))) {
        cz_column other = {0};
        cz_status status = read_one(&other, file, part, n);
        if (!status) {
            forget_unknown(&other, role, n);
            status = join(column, &other, n);
        }
        old_column_free(&other);
        if (status) return status;
    }
    return CZ_OK;
}

cz_status old_column_keep(cz_column *column, const uint8_t *keep, int n)
{
    int32_t *number = cz_alloc((size_t)column->classes, sizeof *number, "the classes of a column");
    char **name = cz_alloc((size_t)column->classes, sizeof *name, "the classes of a column");
    if (!number || !name) {
        free(number);
        free(name);
        return CZ_ERR_MEMORY;
    }
    int kept = 0, found = 0;
    for (int i = 0; i < n; i++) {
        if (!keep[i]) continue;
        int32_t code = column->code[i];
        if (code >= 0 && !number[code]) {
            name[found] = column->class_name[code];
            column->class_name[code] = NULL;
            number[code] = ++found;
        }
        column->code[kept++] = code < 0 ? -1 : number[code] - 1;
    }
    cz_h5_free_strings(column->class_name, (size_t)column->classes);
    column->class_name = name;
    column->classes = found;
    free(number);
    return CZ_OK;
}
