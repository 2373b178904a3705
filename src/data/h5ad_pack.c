/* Plans as bytes: from a probe's process, and from rank 0 to all. */
#include "czhpc/h5.h"
#include "czhpc/text.h"
#include "h5ad_plan.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void put_texts(cz_bytes *bytes, char *const *text, int count)
{
    for (int i = 0; i < count; i++) cz_bytes_put_text(bytes, text[i]);
}

static void put_column(cz_bytes *bytes, const cz_column *column, int n)
{
    cz_bytes_put_text(bytes, column->name);
    cz_bytes_put_int(bytes, column->classes);
    put_texts(bytes, column->class_name, column->classes);
    cz_bytes_put(bytes, column->code, (size_t)n * sizeof *column->code);
}

static void put_matrix(cz_bytes *bytes, const h5ad_matrix *matrix)
{
    cz_bytes_put_text(bytes, matrix->place);
    cz_bytes_put_int(bytes, matrix->form);
    cz_bytes_put_int(bytes, matrix->rows);
    cz_bytes_put_int(bytes, matrix->columns);
    cz_bytes_put_int(bytes, matrix->entries);
    if (matrix->form == H5AD_FRAME) put_texts(bytes, matrix->part, matrix->columns);
}

void h5ad_plan_pack(cz_bytes *bytes, const h5ad_plan *plan, bool cell_names)
{
    bool names = cell_names && plan->cell_name;
    cz_bytes_put_text(bytes, plan->path);
    cz_bytes_put_int(bytes, plan->n);
    put_matrix(bytes, &plan->matrix);
    cz_bytes_put_int(bytes, plan->columns);
    for (int c = 0; c < plan->columns; c++) put_column(bytes, &plan->column[c], plan->n);
    cz_bytes_put_int(bytes, plan->measures);
    for (int m = 0; m < plan->measures; m++)
        cz_bytes_put(bytes, plan->measure[m], (size_t)plan->n * sizeof *plan->measure[m]);
    cz_bytes_put_int(bytes, plan->gene != NULL);
    if (plan->gene) put_texts(bytes, plan->gene, plan->matrix.columns);
    cz_bytes_put_int(bytes, names);
    if (names) put_texts(bytes, plan->cell_name, plan->n);
}

/* A reader that is not bad may hold what contradicts itself: such a value makes it bad. */
static void demand(cz_bytes_reader *reader, bool holds)
{
    if (!holds) reader->bad = true;
}

static const char *take_utf8(cz_bytes_reader *reader)
{
    const char *text = cz_bytes_take_text(reader);
    size_t size = strlen(text);
    demand(reader, cz_text_utf8(text, size) == size);
    return text;
}

/* `count` texts into *texts; what was taken before a failure is there to be freed. */
static cz_status take_texts(cz_bytes_reader *reader, char ***texts, int count)
{
    demand(reader, (size_t)count <= cz_bytes_left(reader, 1));
    if (reader->bad) return CZ_OK;
    char **taken = *texts = cz_alloc((size_t)count, sizeof *taken, "the texts of a plan");
    if (!taken) return CZ_ERR_MEMORY;
    for (int i = 0; i < count && !reader->bad; i++)
        if (!(taken[i] = strdup(take_utf8(reader))))
            return cz_fail(CZ_ERR_MEMORY, "no memory for the texts of a plan");
    return CZ_OK;
}

/* (n) values of `size` bytes each into *values. */
static cz_status take_array(cz_bytes_reader *reader, void **values, int n, size_t size)
{
    demand(reader, (size_t)n <= cz_bytes_left(reader, size));
    if (reader->bad) return CZ_OK;
    if (!(*values = cz_alloc((size_t)n, size, "the columns of a plan"))) return CZ_ERR_MEMORY;
    cz_bytes_take(reader, *values, (size_t)n * size);
    return CZ_OK;
}

static cz_status take_column(cz_bytes_reader *reader, cz_column *column, int n)
{
    void *code = NULL;
    demand(reader, cz_text_copy(column->name, sizeof column->name, cz_bytes_take_text(reader)));
    int classes = (int)cz_bytes_take_int(reader, 0, n);
    cz_status status = take_texts(reader, &column->class_name, classes);
    column->classes = column->class_name ? classes : 0;
    if (!status) status = take_array(reader, &code, n, sizeof *column->code);
    column->code = code;
    for (int i = 0; !status && !reader->bad && i < n; i++)
        demand(reader, column->code[i] >= -1 && column->code[i] < classes);
    return status;
}

static cz_status take_matrix(cz_bytes_reader *reader, h5ad_matrix *matrix, int n)
{
    demand(reader, cz_text_copy(matrix->place, sizeof matrix->place, cz_bytes_take_text(reader)));
    matrix->form = (h5ad_form)cz_bytes_take_int(reader, H5AD_DENSE, H5AD_FORMS - 1);
    matrix->rows = (int)cz_bytes_take_int(reader, n, n);
    matrix->columns = (int)cz_bytes_take_int(reader, 1, INT_MAX - 1);
    matrix->entries = cz_bytes_take_int(reader, 0, INT64_MAX / 8);
    if (matrix->form != H5AD_FRAME) return CZ_OK;
    return take_texts(reader, &matrix->part, matrix->columns);
}

static cz_status take_plan(cz_bytes_reader *reader, h5ad_plan *plan)
{
    demand(reader, cz_text_copy(plan->path, sizeof plan->path, cz_bytes_take_text(reader)));
    plan->n = (int)cz_bytes_take_int(reader, 1, INT_MAX - 1);
    CZ_TRY(take_matrix(reader, &plan->matrix, plan->n));
    int columns = (int)cz_bytes_take_int(reader, 0, H5AD_COLUMNS_MAX);
    while (plan->columns < columns && !reader->bad)
        CZ_TRY(take_column(reader, &plan->column[plan->columns++], plan->n));
    int measures = (int)cz_bytes_take_int(reader, 0, CZ_KEYS_MAX);
    while (plan->measures < measures && !reader->bad) {
        void *measure = NULL;
        CZ_TRY(take_array(reader, &measure, plan->n, sizeof *plan->measure[0]));
        plan->measure[plan->measures++] = measure;
    }
    if (cz_bytes_take_int(reader, 0, 1))
        CZ_TRY(take_texts(reader, &plan->gene, plan->matrix.columns));
    if (cz_bytes_take_int(reader, 0, 1)) CZ_TRY(take_texts(reader, &plan->cell_name, plan->n));
    demand(reader, reader->at == reader->end);
    return CZ_OK;
}

cz_status h5ad_plan_unpack(h5ad_plan *plan, const unsigned char *data, size_t size)
{
    cz_bytes_reader reader = cz_bytes_open(data, size);
    *plan = (h5ad_plan){0};
    cz_status status = take_plan(&reader, plan);
    if (!status && reader.bad)
        status = cz_fail(CZ_ERR_INPUT,
                         "%s: is damaged: what HDF5 found of its structure contradicts itself",
                         plan->path);
    if (status) h5ad_plan_free(plan);
    return status;
}
