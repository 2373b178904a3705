/* Columns of AnnData's data frames: texts, categories, numbers, booleans; plain or nullable. */
#include "column.h"
#include "czhpc/rng.h"
#include "czhpc/text.h"
#include "h5ad_parts.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_nullable(const char *encoding)
{
    return !strcmp(encoding, "nullable-integer") || !strcmp(encoding, "nullable-boolean") ||
           !strcmp(encoding, "nullable-string-array");
}

/* How to turn a form that is not read into one that is. */
static cz_status refuse_form(hid_t file, const char *place, const char *encoding)
{
    return cz_h5_fail(CZ_ERR_INPUT, file, place,
                      "is stored as %s%s%s, which is not read: in Python make it a category, "
                      "adata.obs[KEY] = adata.obs[KEY].astype(str).astype('category')",
                      encoding[0] ? "'" : "a group without encoding", encoding,
                      encoding[0] ? "'" : "");
}

/* The dataset of a column's values, and that of its mask, "" where it has none. */
static cz_status find_values(char values[H5AD_PLACE_MAX], char mask[H5AD_PLACE_MAX], hid_t file,
                             const char *place)
{
    cz_h5_kind kind;
    h5ad_text encoding;
    mask[0] = 0;
    CZ_TRY(h5ad_look(&kind, file, place));
    if (kind == CZ_H5_NONE)
        return cz_h5_fail(CZ_ERR_INPUT, file, place, "is missing: the file is damaged");
    CZ_TRY(h5ad_text_of(encoding, file, place, "encoding-type"));
    if (kind == CZ_H5_DATASET) {
        cz_text_copy(values, H5AD_PLACE_MAX, place);
        return CZ_OK;
    }
    if (!is_nullable(encoding)) return refuse_form(file, place, encoding);
    CZ_TRY(h5ad_check_version(file, place, "0.1.0"));
    CZ_TRY(h5ad_join(values, file, place, "values"));
    return h5ad_join(mask, file, place, "mask");
}

static cz_status check_length(hid_t file, const char *place, hsize_t length, int n)
{
    if (length == (hsize_t)n) return CZ_OK;
    return cz_h5_fail(CZ_ERR_INPUT, file, place,
                      "has %llu entries, expected %d: the file is damaged",
                      (unsigned long long)length, n);
}

/* missing[i] != 0 where the mask says so; `missing` (n) is the caller's to free. */
static cz_status read_mask(uint8_t **missing, hid_t file, const char *place, int n)
{
    hsize_t length = 0;
    H5T_class_t class;
    CZ_TRY(cz_h5_layout(&length, &class, file, place, 1));
    CZ_TRY(check_length(file, place, length, n));
    if (class != H5T_ENUM && class != H5T_INTEGER)
        return cz_h5_fail(CZ_ERR_INPUT, file, place, "does not hold booleans");
    if (!(*missing = cz_alloc((size_t)n, 1, "a mask"))) return CZ_ERR_MEMORY;
    return cz_h5_rows(*missing, H5T_NATIVE_UINT8, 0, n, file, place);
}

/* All texts of an array; NULL where masked or NaN. Free with cz_h5_free_strings(). */
static cz_status read_texts(char ***texts, int *count, hid_t file, const char *place)
{
    char values[H5AD_PLACE_MAX], mask[H5AD_PLACE_MAX];
    uint8_t *missing = NULL;
    hsize_t length;
    H5T_class_t class;
    *texts = NULL;
    *count = 0;
    CZ_TRY(find_values(values, mask, file, place));
    CZ_TRY(cz_h5_layout(&length, &class, file, values, 1));
    CZ_TRY(cz_h5_texts(texts, count, file, values));
    cz_status status = mask[0] ? read_mask(&missing, file, mask, *count) : CZ_OK;
    for (int i = 0; !status && i < *count; i++) {
        bool nan = class == H5T_FLOAT && !strcmp((*texts)[i], "nan");
        if (!nan && !(missing && missing[i])) continue;
        free((*texts)[i]);
        (*texts)[i] = NULL;
    }
    free(missing);
    if (!status) return CZ_OK;
    cz_h5_free_strings(*texts, (size_t)*count);
    *texts = NULL;
    *count = 0;
    return status;
}

/* Gives each distinct text a number, in order of first appearance: code[i] is that of text[i],
 * -1 of NULL; *classes texts are moved to the front of `text`, the others freed. */
static cz_status number_texts(int32_t *code, char **text, int n, int *classes)
{
    size_t slots = 16;
    while (slots < 2 * (size_t)n) slots *= 2;
    int32_t *table = cz_alloc(slots, sizeof *table, "the classes of a column");
    if (!table) return CZ_ERR_MEMORY;
    int found = 0;
    for (int i = 0; i < n; i++) {
        char *own = text[i];
        text[i] = NULL;
        code[i] = -1;
        if (!own) continue;
        size_t slot = cz_hash(0, own, strlen(own)) & (slots - 1);
        while (table[slot] && strcmp(text[table[slot] - 1], own) != 0)
            slot = (slot + 1) & (slots - 1);
        if (table[slot]) {
            free(own);
        } else {
            text[found++] = own;
            table[slot] = found;
        }
        code[i] = table[slot] - 1;
    }
    free(table);
    *classes = found;
    return CZ_OK;
}

/* Reads codes and turns them into class numbers; number (categories). */
static cz_status read_codes(int32_t *code, const int32_t *number, int categories, hid_t file,
                            const char *place, int n)
{
    hsize_t length = 0;
    H5T_class_t class;
    CZ_TRY(cz_h5_layout(&length, &class, file, place, 1));
    CZ_TRY(check_length(file, place, length, n));
    if (class != H5T_INTEGER)
        return cz_h5_fail(CZ_ERR_INPUT, file, place, "does not hold integers");
    CZ_TRY(cz_h5_rows(code, H5T_NATIVE_INT32, 0, n, file, place));
    for (int i = 0; i < n; i++) {
        if (code[i] < -1 || code[i] >= categories)
            return cz_h5_fail(CZ_ERR_INPUT, file, place,
                              "entry %d has code %d of %d categories: the file is damaged", i,
                              code[i], categories);
        code[i] = code[i] < 0 ? -1 : number[code[i]];
    }
    return CZ_OK;
}

static cz_status read_categorical(cz_column *column, hid_t file, const char *codes,
                                  const char *categories, int n)
{
    int count = 0;
    CZ_TRY(read_texts(&column->class_name, &count, file, categories));
    column->classes = count;
    int32_t *number = cz_alloc((size_t)count, sizeof *number, "the categories of a column");
    cz_status status = number ? CZ_OK : CZ_ERR_MEMORY;
    /* Two categories of one text become one class. */
    if (!status) status = number_texts(number, column->class_name, count, &column->classes);
    if (!status) status = read_codes(column->code, number, count, file, codes, n);
    free(number);
    return status ? status : column_keep(column, NULL, n);
}

/* The place that the attribute `categories` of AnnData 0.7's codes refers to. */
static cz_status find_legacy(char categories[H5AD_PLACE_MAX], hid_t file, const char *codes)
{
    hobj_ref_t reference;
    ssize_t length = -1;
    hid_t attribute = H5Aopen_by_name(file, codes, "categories", H5P_DEFAULT, H5P_DEFAULT);
    hid_t type = attribute < 0 ? -1 : H5Aget_type(attribute);
    hid_t space = attribute < 0 ? -1 : H5Aget_space(attribute);
    if (type >= 0 && space >= 0 && H5Tequal(type, H5T_STD_REF_OBJ) > 0 &&
        H5Sget_simple_extent_npoints(space) == 1 &&
        H5Aread(attribute, H5T_STD_REF_OBJ, &reference) >= 0)
        length = H5Rget_name(file, H5R_OBJECT, &reference, categories, H5AD_PLACE_MAX);
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (attribute >= 0) H5Aclose(attribute);
    if (length > 0 && length < H5AD_PLACE_MAX) return CZ_OK;
    return cz_h5_fail(CZ_ERR_INPUT, file, codes,
                      "its attribute 'categories' does not lead to the categories: the file is "
                      "damaged, or was copied without them");
}

/* Where the codes and the categories of a column are, in the form of AnnData 0.7 or of those
 * since; both "" where it is no category. */
static cz_status find_categorical(char codes[H5AD_PLACE_MAX], char categories[H5AD_PLACE_MAX],
                                  hid_t file, const char *place)
{
    cz_h5_kind kind;
    h5ad_text encoding;
    codes[0] = categories[0] = 0;
    CZ_TRY(h5ad_look(&kind, file, place));
    /* Where HDF5 cannot tell whether the attribute is there, reading it says why. */
    if (kind == CZ_H5_DATASET && H5Aexists_by_name(file, place, "categories", H5P_DEFAULT) != 0) {
        cz_text_copy(codes, H5AD_PLACE_MAX, place);
        return find_legacy(categories, file, place);
    }
    if (kind != CZ_H5_GROUP) return CZ_OK;
    CZ_TRY(h5ad_text_of(encoding, file, place, "encoding-type"));
    if (strcmp(encoding, "categorical") != 0) return CZ_OK;
    CZ_TRY(h5ad_check_version(file, place, "0.2.0"));
    CZ_TRY(h5ad_join(codes, file, place, "codes"));
    return h5ad_join(categories, file, place, "categories");
}

static cz_status read_any(cz_column *column, hid_t file, const char *place, int n)
{
    char codes[H5AD_PLACE_MAX], categories[H5AD_PLACE_MAX];
    CZ_TRY(find_categorical(codes, categories, file, place));
    if (codes[0]) return read_categorical(column, file, codes, categories, n);
    int count = 0;
    CZ_TRY(read_texts(&column->class_name, &count, file, place));
    column->classes = count;
    CZ_TRY(check_length(file, place, (hsize_t)count, n));
    return number_texts(column->code, column->class_name, n, &column->classes);
}

cz_status h5ad_column_read(cz_column *column, hid_t file, const char *place, int n)
{
    column->code = cz_alloc((size_t)n, sizeof *column->code, "the codes of a column");
    return column->code ? read_any(column, file, place, n) : CZ_ERR_MEMORY;
}

cz_status h5ad_names_read(char ***names, hid_t file, const char *place, int n)
{
    cz_column column = {0};
    *names = NULL;
    cz_status status = h5ad_column_read(&column, file, place, n);
    char **found = status ? NULL : cz_alloc((size_t)n, sizeof *found, "names");
    if (!status && !found) status = CZ_ERR_MEMORY;
    for (int i = 0; !status && i < n; i++) {
        int32_t code = column.code[i];
        if (!(found[i] = strdup(code < 0 ? "" : column.class_name[code])))
            status = cz_fail(CZ_ERR_MEMORY, "no memory for %d names", n);
    }
    column_free(&column);
    if (status) cz_h5_free_strings(found, (size_t)n);
    else *names = found;
    return status;
}

cz_status h5ad_entries(hsize_t *entries, hid_t file, const char *place)
{
    char values[H5AD_PLACE_MAX], other[H5AD_PLACE_MAX];
    H5T_class_t class;
    CZ_TRY(find_categorical(values, other, file, place));
    if (!values[0]) CZ_TRY(find_values(values, other, file, place));
    return cz_h5_layout(entries, &class, file, values, 1);
}

/* Where the n numbers of a column are, and their mask, "" without one. */
static cz_status find_numbers(char values[H5AD_PLACE_MAX], char mask[H5AD_PLACE_MAX], hid_t file,
                              const char *place, int n)
{
    hsize_t length = 0;
    H5T_class_t class = H5T_NO_CLASS;
    CZ_TRY(find_categorical(values, mask, file, place));
    bool category = values[0] != 0;
    if (!category) {
        CZ_TRY(find_values(values, mask, file, place));
        CZ_TRY(cz_h5_layout(&length, &class, file, values, 1));
    }
    if (class != H5T_FLOAT && class != H5T_INTEGER && class != H5T_ENUM)
        return cz_h5_fail(CZ_ERR_INPUT, file, place,
                          "holds %s, expected numbers: in Python, adata.obs[KEY] = "
                          "pandas.to_numeric(adata.obs[KEY].astype(str), errors='coerce')",
                          category ? "categories" : "texts");
    return check_length(file, values, length, n);
}

cz_status h5ad_measure_read(double *measure, hid_t file, const char *place, int n)
{
    char values[H5AD_PLACE_MAX], mask[H5AD_PLACE_MAX];
    uint8_t *missing = NULL;
    CZ_TRY(find_numbers(values, mask, file, place, n));
    CZ_TRY(cz_h5_rows(measure, H5T_NATIVE_DOUBLE, 0, n, file, values));
    cz_status status = mask[0] ? read_mask(&missing, file, mask, n) : CZ_OK;
    for (int i = 0; missing && !status && i < n; i++)
        if (missing[i]) measure[i] = NAN;
    free(missing);
    return status;
}

cz_status h5ad_measure_check(hid_t file, const char *place, int n)
{
    double *measure = cz_alloc((size_t)n, sizeof *measure, "a column of numbers");
    cz_status status = measure ? h5ad_measure_read(measure, file, place, n) : CZ_ERR_MEMORY;
    free(measure);
    return status;
}
