/* Finding out what will be read of an AnnData file; in a probe's process, for all ranks. */
#include "h5ad_plan.h"

#include "column.h"
#include "czhpc/probe.h"
#include "czhpc/text.h"
#include "h5ad_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Asks for a column, once. */
static void ask_column(h5ad_request *request, const char *key)
{
    for (int c = 0; c < request->columns; c++)
        if (!strcmp(request->column[c], key)) return;
    if (*key && request->columns < H5AD_COLUMNS_MAX)
        cz_text_copy(request->column[request->columns++], CZ_NAME_MAX, key);
}

/* Asks for the columns "A+B". */
static void ask_columns(h5ad_request *request, const char *keys)
{
    char parts[CZ_NAME_MAX], *rest = NULL;
    cz_text_copy(parts, sizeof parts, keys);
    for (char *part = strtok_r(parts, "+", &rest); part; part = strtok_r(NULL, "+", &rest))
        ask_column(request, part);
}

void h5ad_request_make(h5ad_request *request, const cz_config *config, int index)
{
    const char *key;
    memset(request, 0, sizeof *request); /* its bytes go to the probe, gaps and all */
    cz_text_copy(request->path, sizeof request->path, config->data.h5ad.text[index]);
    request->counts = config->data.features == CZ_FEATURES_COUNTS;
    cz_text_copy(request->matrix, sizeof request->matrix, config->data.matrix);
    cz_text_copy(request->obsm, sizeof request->obsm, config->data.obsm);
    cz_text_copy(request->gene_key, sizeof request->gene_key, config->data.gene_key);
    ask_columns(request, config->data.target_key);
    ask_columns(request, config->data.label_key);
    int needed = request->columns;
    for (int a = 0; a < config->data.adversary_keys.count; a++)
        ask_columns(request, config->data.adversary_keys.name[a]);
    for (int c = needed; c < request->columns; c++) request->adversary[c] = true;
    for (int f = 0; f < config->data.filter.count; f++) {
        cz_filter filter;
        if (!cz_config_filter(&filter, config->data.filter.text[f]))
            ask_column(request, filter.key);
    }
    cz_config_split(config, &key);
    ask_columns(request, key);
    ask_columns(request, config->data.batch_key);
    request->measures = config->data.quality_keys.count;
    for (int q = 0; q < request->measures; q++)
        cz_text_copy(request->measure[q], CZ_NAME_MAX, config->data.quality_keys.name[q]);
}

void h5ad_plan_free(h5ad_plan *plan)
{
    for (int c = 0; c < plan->columns; c++) column_free(&plan->column[c]);
    for (int m = 0; m < plan->measures; m++) free(plan->measure[m]);
    cz_h5_free_strings(plan->cell_name, (size_t)plan->n);
    cz_h5_free_strings(plan->gene, (size_t)plan->matrix.columns);
    h5ad_matrix_free(&plan->matrix);
    *plan = (h5ad_plan){0};
}

/* What else a file without AnnData's root may be, and the way out. */
static cz_status refuse_root(hid_t file, const char *encoding)
{
    char members[512];
    cz_h5_members(file, "", members, sizeof members);
    const char *advice = "";
    if (!strcmp(encoding, "MuData") || cz_h5_kind_of(file, "mod") == CZ_H5_GROUP)
        advice = ": it is MuData, of which one modality is read: in Python, "
                 "mudata.read(FILE)['rna'].write_h5ad(NEW)";
    else if (cz_h5_kind_of(file, "row_attrs") == CZ_H5_GROUP)
        advice = ": it is Loom: in Python, anndata.io.read_loom(FILE).write_h5ad(NEW)";
    else if (cz_h5_kind_of(file, "matrix") == CZ_H5_GROUP)
        advice = ": it is 10x Genomics': in Python, scanpy.read_10x_h5(FILE).write_h5ad(NEW)";
    return cz_h5_fail(CZ_ERR_INPUT, file, NULL, "is HDF5 but not AnnData%s. It holds: %s", advice,
                      members[0] ? members : "nothing");
}

static cz_status check_root(hid_t file)
{
    h5ad_text encoding;
    CZ_TRY(h5ad_text_of(encoding, file, "/", "encoding-type"));
    if (!strcmp(encoding, "anndata")) return CZ_OK;
    if (!encoding[0] && cz_h5_kind_of(file, "obs") != CZ_H5_NONE &&
        cz_h5_kind_of(file, "var") != CZ_H5_NONE)
        return CZ_OK; /* AnnData 0.7 left the root without attributes */
    return refuse_root(file, encoding);
}

/* Where the matrix is, and the data frame of its genes. */
static cz_status set_place(h5ad_matrix *matrix, const char **genes, const h5ad_request *request)
{
    const char *name = request->matrix, *folder = "", *rest = name;
    *genes = "var";
    if (!request->counts) {
        folder = "obsm/";
        rest = request->obsm;
    } else if (!strcmp(name, "raw")) {
        *genes = "raw/var";
        rest = "raw/X";
    } else if (!strncmp(name, "layer:", 6) && name[6]) {
        folder = "layers/";
        rest = name + 6;
    } else if (strcmp(name, "X") != 0) {
        return cz_fail(CZ_ERR_CONFIG, "data.matrix '%s' is none of X, raw, layer:NAME", name);
    }
    snprintf(matrix->place, sizeof matrix->place, "%s%s", folder, rest);
    return CZ_OK;
}

/* Whether the dataset at `place` has no dataspace, as AnnData writes an absent X. */
static bool is_null(hid_t file, const char *place)
{
    hid_t dataset = H5Dopen2(file, place, H5P_DEFAULT);
    hid_t space = dataset < 0 ? -1 : H5Dget_space(dataset);
    bool null = space >= 0 && H5Sget_simple_extent_type(space) == H5S_NULL;
    if (space >= 0) H5Sclose(space);
    if (dataset >= 0) H5Dclose(dataset);
    H5Eclear2(H5E_DEFAULT);
    return null;
}

/* Fails unless there is a matrix at the plan's place; says which there are. */
static cz_status check_matrix(const h5ad_plan *plan, hid_t file)
{
    cz_h5_kind kind;
    char layers[256], obsm[256];
    CZ_TRY(h5ad_look(&kind, file, plan->matrix.place));
    if (kind == CZ_H5_GROUP || (kind == CZ_H5_DATASET && !is_null(file, plan->matrix.place)))
        return CZ_OK;
    cz_h5_members(file, "layers", layers, sizeof layers);
    cz_h5_members(file, "obsm", obsm, sizeof obsm);
    return cz_h5_fail(CZ_ERR_INPUT, file, plan->matrix.place,
                      "the matrix is missing. There are%s X and%s raw/X; layers: %s; obsm: %s. See "
                      "data.matrix, data.features, data.obsm",
                      cz_h5_kind_of(file, "X") == CZ_H5_NONE || is_null(file, "X") ? " no" : "",
                      cz_h5_kind_of(file, "raw/X") == CZ_H5_NONE ? " no" : "",
                      layers[0] ? layers : "none", obsm[0] ? obsm : "none");
}

static cz_status find_genes(h5ad_plan *plan, hid_t file, const char *frame_place, const char *key)
{
    h5ad_frame frame;
    char place[H5AD_PLACE_MAX];
    CZ_TRY(h5ad_frame_open(&frame, file, frame_place));
    cz_status status = CZ_OK;
    if (frame.rows != plan->matrix.columns)
        status = cz_h5_fail(CZ_ERR_INPUT, file, frame_place, "names %d genes, the matrix has %d",
                            frame.rows, plan->matrix.columns);
    if (!status) status = h5ad_frame_find(place, &frame, file, *key ? key : frame.index, "");
    if (!status) status = h5ad_names_read(&plan->gene, file, place, frame.rows);
    h5ad_frame_free(&frame);
    return status;
}

static cz_status find_columns(h5ad_plan *plan, const h5ad_frame *obs, hid_t file,
                              const h5ad_request *request)
{
    char place[H5AD_PLACE_MAX];
    for (int c = 0; c < request->columns; c++) {
        cz_column *column = &plan->column[plan->columns++];
        memcpy(column->name, request->column[c], sizeof column->name);
        CZ_TRY(h5ad_frame_find(
            place, obs, file, request->column[c],
            request->adversary[c] ? "; data.adversary_keys=[] trains without an adversary" : ""));
        CZ_TRY(h5ad_column_read(column, file, place, plan->n));
    }
    for (int m = 0; m < request->measures; m++) {
        CZ_TRY(h5ad_frame_find(place, obs, file, request->measure[m], ""));
        double *measure = cz_alloc((size_t)plan->n, sizeof *measure, "a column of numbers");
        if (!measure) return CZ_ERR_MEMORY;
        plan->measure[plan->measures++] = measure;
        CZ_TRY(h5ad_measure_read(measure, file, place, plan->n));
    }
    CZ_TRY(h5ad_join(place, file, "obs", obs->index));
    return h5ad_names_read(&plan->cell_name, file, place, plan->n);
}

static cz_status find_all(h5ad_plan *plan, hid_t file, const h5ad_request *request)
{
    const char *genes;
    h5ad_frame obs;
    CZ_TRY(check_root(file));
    CZ_TRY(set_place(&plan->matrix, &genes, request));
    CZ_TRY(h5ad_frame_open(&obs, file, "obs"));
    plan->n = obs.rows;
    cz_status status = CZ_OK;
    if (plan->n == 0) status = cz_h5_fail(CZ_ERR_INPUT, file, "obs", "there are no cells");
    if (!status) status = check_matrix(plan, file);
    if (!status) status = h5ad_matrix_find(&plan->matrix, file, plan->n);
    if (!status && request->counts) status = find_genes(plan, file, genes, request->gene_key);
    if (!status) status = find_columns(plan, &obs, file, request);
    h5ad_frame_free(&obs);
    return status;
}

cz_status h5ad_plan_find(h5ad_plan *plan, const h5ad_request *request)
{
    hid_t file;
    *plan = (h5ad_plan){0};
    memcpy(plan->path, request->path, sizeof plan->path);
    cz_status status = cz_h5_open_file(&file, request->path);
    if (!status) status = find_all(plan, file, request);
    cz_h5_close(&file);
    if (status) h5ad_plan_free(plan);
    return status;
}

cz_status h5ad_probe(cz_bytes *answer, const void *request, size_t size)
{
    h5ad_plan plan;
    if (size != sizeof(h5ad_request))
        return cz_fail(CZ_ERR_BUG, "the probe was asked in %zu bytes, not %zu", size,
                       sizeof(h5ad_request));
    CZ_TRY(h5ad_plan_find(&plan, request));
    h5ad_plan_pack(answer, &plan, true);
    h5ad_plan_free(&plan);
    return answer->failed ? CZ_ERR_MEMORY : CZ_OK;
}

/* Whether the plan answers the request: the probe may have been harmed. */
static bool is_answer(const h5ad_plan *plan, const h5ad_request *request)
{
    bool same = !strcmp(plan->path, request->path) && plan->columns == request->columns &&
                plan->measures == request->measures && plan->cell_name &&
                !plan->gene == !request->counts;
    for (int c = 0; same && c < plan->columns; c++)
        same = !strcmp(plan->column[c].name, request->column[c]);
    h5ad_matrix asked = {0};
    const char *genes;
    return same && !set_place(&asked, &genes, request) && !strcmp(plan->matrix.place, asked.place);
}

cz_status h5ad_plan_make(h5ad_plan *plan, const h5ad_request *request)
{
    cz_bytes answer = {0};
    *plan = (h5ad_plan){0};
    cz_status status = cz_probe_ask(&answer, "h5ad", request->path, request, sizeof(h5ad_request));
    if (!status) status = h5ad_plan_unpack(plan, answer.data, answer.size);
    if (!status && !is_answer(plan, request))
        status = cz_fail(CZ_ERR_INPUT, "%s: is damaged: reading its structure led elsewhere",
                         request->path);
    cz_bytes_free(&answer);
    if (status) h5ad_plan_free(plan);
    return status;
}

cz_status h5ad_plan_share(h5ad_plan *plan, cz_status status, const cz_comm *comm)
{
    cz_bytes bytes = {0};
    bool own = comm->rank == 0;
    if (own && !status) {
        h5ad_plan_pack(&bytes, plan, false);
        if (bytes.failed) status = CZ_ERR_MEMORY;
    }
    size_t size = bytes.size;
    unsigned char *data = bytes.data;
    status = cz_comm_broadcast(comm, status, &size, sizeof size);
    if (!status) {
        if (!own) data = cz_alloc(size, 1, "the plan of a file");
        status = cz_comm_agree(comm, data ? CZ_OK : CZ_ERR_MEMORY);
    }
    if (!status) status = cz_comm_broadcast(comm, status, data, size);
    if (!status) status = cz_comm_agree(comm, own ? CZ_OK : h5ad_plan_unpack(plan, data, size));
    if (!own) free(data);
    cz_bytes_free(&bytes);
    if (status && own) h5ad_plan_free(plan);
    if (status && !own) *plan = (h5ad_plan){0};
    return status;
}
