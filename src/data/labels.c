/* The vectors of a job's labels out of a table. */
#include "czhpc/label_table.h"
#include "czhpc/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names every label that the table lacks, and one near it that it has. */
static cz_status check_labels(const cz_label_table *read, char *const *label, int count,
                              const char *path)
{
    char text[2048] = "";
    int missing = 0;
    for (int i = 0; i < count; i++) {
        if (cz_label_row(read, label[i]) >= 0) continue;
        const char *near = cz_text_nearest(label[i], (const char *const *)read->label, read->rows);
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s'%s'%s%s%s", missing++ ? ", " : "", label[i],
                 near ? " (near: '" : "", near ? near : "", near ? "')" : "");
    }
    if (!missing) return CZ_OK;
    return cz_fail(
        CZ_ERR_INPUT,
        "%s: no vector for %d of %d labels: %s. Add them to the table (text.table), let a "
        "model make them (text.model), or set model.text=false",
        path, missing, count, text);
}

cz_status cz_label_width(int *width, int found, const char *path, const cz_config *config)
{
    int tokens = config->model.tokens, wanted = config->text.width;
    *width = wanted ? wanted : (found + tokens - 1) / tokens * tokens;
    if (found <= *width) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT, "%s: vectors are %d wide, text.width is %d: raise it, or set 0",
                   path, found, wanted);
}

cz_status cz_label_vectors(float **vectors, int *width, char *const *label, int count,
                           const cz_config *config)
{
    char path[2 * CZ_PATH_MAX];
    cz_label_table read = {0};
    *vectors = NULL;
    *width = 0;
    snprintf(path, sizeof path, "%s", config->text.table);
    if (!strcmp(path, "embedded")) CZ_TRY(cz_config_share(path, sizeof path, "labels.h5"));
    cz_status status = cz_label_table_read(&read, path);
    if (!status) status = check_labels(&read, label, count, path);
    if (!status) status = cz_label_width(width, read.width, path, config);
    if (status) goto done;
    *vectors = cz_alloc((size_t)count * (size_t)*width, sizeof **vectors, "label vectors");
    if (!*vectors) status = CZ_ERR_MEMORY;
    for (int i = 0; i < count && !status; i++)
        memcpy(*vectors + (size_t)i * (size_t)*width,
               read.vector + (size_t)cz_label_row(&read, label[i]) * (size_t)read.width,
               (size_t)read.width * sizeof(float));
done:
    cz_label_table_free(&read);
    return status;
}
