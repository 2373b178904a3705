#include "h5ad_files.h"

#include "names.h"

#include "czhpc/profile.h"

#include <stdio.h>
#include <string.h>

void h5ad_files_close(h5ad_files *files)
{
    for (int f = 0; f < files->count; f++) h5ad_plan_free(&files->plan[f]);
    cell_table_free(&files->table);
    gene_list_free(&files->genes);
    *files = (h5ad_files){0};
}

void h5ad_files_name(char *name, size_t size, const cz_config *config)
{
    enum { TAIL = sizeof " and 16 more" };
    const cz_texts *paths = &config->data.h5ad;
    size_t used = 0;
    name[0] = 0;
    for (int f = 0; f < paths->count; f++) {
        const char *path = paths->text[f];
        if (used + strlen(path) + 2 + TAIL > size) {
            snprintf(name + used, size - used, " and %d more", paths->count - f);
            return;
        }
        used += (size_t)snprintf(name + used, size - used, "%s%s", f ? ", " : "", path);
    }
}

static cz_status make_plans(h5ad_files *files, const cz_config *config, const cz_comm *comm)
{
    for (int f = 0; f < config->data.h5ad.count; f++) {
        h5ad_plan *plan = &files->plan[f];
        h5ad_request_make(&files->request, config, f);
        cz_status status = !comm || comm->rank == 0 ? h5ad_plan_make(plan, &files->request) : CZ_OK;
        if (comm) status = h5ad_plan_share(plan, status, comm);
        if (status) return status;
        files->count = f + 1;
    }
    h5ad_request_make(&files->request, config, 0);
    return CZ_OK;
}

static cz_status check_widths(const h5ad_files *files)
{
    const h5ad_matrix *first = &files->plan[0].matrix;
    for (int f = 1; f < files->count; f++) {
        const h5ad_matrix *other = &files->plan[f].matrix;
        if (other->columns != first->columns)
            return cz_fail(CZ_ERR_INPUT, "%s: %s is %d wide, that of %s is %d: they do not compare",
                           files->plan[f].path, other->place, other->columns, files->plan[0].path,
                           first->columns);
    }
    return CZ_OK;
}

/* Counts the names that stand again; where names are known, on rank 0. */
static cz_status count_repeated(h5ad_files *files)
{
    const cell_table *table = &files->table;
    name_set names;
    if (!table->cell_name) return CZ_OK;
    CZ_TRY(name_set_open(&names, table->n));
    for (int i = 0; i < table->n; i++)
        name_set_add(&names, table->cell_name[i], strlen(table->cell_name[i]));
    files->repeated_cells = table->n - names.count;
    name_set_free(&names);
    return CZ_OK;
}

/* What all ranks compute alike from the plans. */
static cz_status join(h5ad_files *files)
{
    CZ_TRY(cell_table_make(&files->table, files->plan, files->count, &files->request));
    files->width = files->plan[0].matrix.columns;
    if (!files->counts) return check_widths(files);
    CZ_TRY(gene_list_make(&files->genes, files->plan, files->count));
    files->width = files->genes.genes;
    return CZ_OK;
}

cz_status h5ad_files_open(h5ad_files *files, const cz_config *config, const cz_comm *comm)
{
    CZ_PHASE("read columns");
    *files = (h5ad_files){.counts = config->data.features == CZ_FEATURES_COUNTS};
    cz_status status = make_plans(files, config, comm);
    if (!status) status = join(files);
    if (!status) status = count_repeated(files);
    if (comm && files->count == config->data.h5ad.count) status = cz_comm_agree(comm, status);
    if (comm && !status)
        status = cz_comm_broadcast(comm, status, &files->repeated_cells, sizeof(int));
    if (status) h5ad_files_close(files);
    return status;
}

int64_t h5ad_files_entries(const h5ad_files *files)
{
    int64_t entries = 0;
    for (int f = 0; f < files->count; f++) {
        const h5ad_matrix *matrix = &files->plan[f].matrix;
        bool dense = matrix->form == H5AD_DENSE;
        entries += dense ? (int64_t)matrix->rows * matrix->columns : matrix->entries;
    }
    return entries;
}
