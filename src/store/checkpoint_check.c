/* Whether a file is a checkpoint that goes on with this model, this configuration, these cells. */
#include "checkpoint.h"

#include "seal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cz_status read_hash(hid_t group, const char *name, uint64_t *hash)
{
    char *text, *end;
    CZ_TRY(cz_h5_read_string(group, name, &text));
    *hash = strtoull(text, &end, 16);
    bool whole = end > text && !*end;
    free(text);
    return whole ? CZ_OK : cz_h5_fail(CZ_ERR_INPUT, group, name, "is not a hexadecimal number");
}

static cz_status read_meta(cz_findings *findings, char **config, hid_t file)
{
    hid_t meta;
    int64_t workers;
    char *backend = NULL;
    CZ_TRY(cz_h5_open_group(&meta, file, "meta"));
    cz_status status = cz_h5_read_string(meta, "backend", &backend);
    if (!status) status = cz_h5_read_int(meta, "workers", &workers);
    if (!status) status = read_hash(meta, "config_hash", &findings->config_hash);
    if (!status) status = read_hash(meta, "data_hash", &findings->data_hash);
    if (!status) status = cz_h5_read_string(meta, "config", config);
    if (!status) {
        snprintf(findings->backend, sizeof findings->backend, "%s", backend);
        findings->workers = (int)workers;
        findings->config_size = strlen(*config) + 1;
    }
    free(backend);
    cz_h5_close(&meta);
    return status;
}

static cz_status read_member(cz_progress *progress, const cz_member *member, hid_t group)
{
    char *at = (char *)progress + member->offset;
    int64_t whole;
    if (member->kind == CZ_MEMBER_DOUBLE)
        return cz_h5_read_double(group, member->name, (double *)(void *)at);
    CZ_TRY(cz_h5_read_int(group, member->name, &whole));
    if (member->kind == CZ_MEMBER_INT64) {
        *(int64_t *)(void *)at = whole;
        return CZ_OK;
    }
    if (whole < INT_MIN || whole > INT_MAX)
        return cz_h5_fail(CZ_ERR_INPUT, group, member->name, "is out of range");
    *(int *)(void *)at = (int)whole;
    return CZ_OK;
}

/* Opens a dataset that must have `n` elements in one dimension. */
static cz_status open_array(hid_t *dataset, hid_t file, const char *path, size_t n)
{
    int rank;
    hsize_t size = 0;
    CZ_TRY(cz_h5_open_dataset(dataset, file, path));
    cz_status status = cz_h5_shape(*dataset, 1, &rank, &size);
    if (!status && (rank != 1 || size != n))
        status = cz_h5_fail(CZ_ERR_INPUT, file, path, "has %llu elements, %zu expected",
                            (unsigned long long)size, n);
    if (status) cz_h5_close(dataset);
    return status;
}

static cz_status read_progress(cz_progress *progress, hid_t file)
{
    hid_t group, partial;
    CZ_TRY(cz_h5_open_group(&group, file, "progress"));
    cz_status status = CZ_OK;
    for (int i = 0; i < CZ_MEMBERS && !status; i++)
        status = read_member(progress, &cz_progress_member[i], group);
    cz_h5_close(&group);
    if (status) return status;
    CZ_TRY(open_array(&partial, file, "progress/partial", CZ_PROGRESS_SUMS));
    if (H5Dread(partial, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, progress->partial) < 0)
        status = cz_h5_fail(CZ_ERR_INPUT, partial, NULL, "cannot be read");
    cz_h5_close(&partial);
    return status;
}

/* "name (rows, columns) at offset" of a row, or that it is not there. */
static void describe_row(char *text, size_t size, const cz_table_row *row)
{
    if (!row) snprintf(text, size, "none");
    else if (row->rank == 2)
        snprintf(text, size, "%.95s (%d, %d) at %llu", row->name, row->rows, row->columns,
                 (unsigned long long)row->offset);
    else
        snprintf(text, size, "%.95s (%d) at %llu", row->name, row->rows,
                 (unsigned long long)row->offset);
}

/* Compares the file's table with ours up to the first difference. */
static cz_status compare_tables(const cz_table_row *rows, size_t count,
                                const cz_checkpoint *checkpoint, const char *path)
{
    size_t own = (size_t)checkpoint->count;
    for (size_t i = 0; i < count || i < own; i++) {
        char there[160], here[160];
        cz_table_row mine = {0};
        if (i < own) mine = cz_table_row_of(&checkpoint->params[i]);
        if (i < count && i < own && !strncmp(rows[i].name, mine.name, sizeof mine.name) &&
            rows[i].rank == mine.rank && rows[i].rows == mine.rows &&
            rows[i].columns == mine.columns && rows[i].offset == mine.offset)
            continue;
        describe_row(there, sizeof there, i < count ? &rows[i] : NULL);
        describe_row(here, sizeof here, i < own ? &mine : NULL);
        return cz_fail(CZ_ERR_INPUT,
                       "%s: holds another model: parameter %zu is %s there, %s here: use the "
                       "model section and the data that it was trained with",
                       path, i, there, here);
    }
    return CZ_OK;
}

static cz_status check_table(const cz_checkpoint *checkpoint, hid_t file, cz_findings *findings)
{
    hid_t dataset = H5I_INVALID_HID, type = H5I_INVALID_HID;
    cz_table_row *rows = NULL;
    int rank;
    hsize_t count = 0;
    CZ_TRY(cz_h5_open_dataset(&dataset, file, "params/table"));
    cz_status status = cz_h5_shape(dataset, 1, &rank, &count);
    if (status) goto done;
    type = cz_table_type(false);
    rows = cz_alloc((size_t)count, sizeof *rows, "a checkpoint's table of parameters");
    if (!rows) {
        status = CZ_ERR_MEMORY;
        goto done;
    }
    if (count > 0 && H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) < 0) {
        status = cz_h5_fail(CZ_ERR_INPUT, dataset, NULL, "cannot be read");
        goto done;
    }
    findings->damaged = false;
    status = compare_tables(rows, (size_t)count, checkpoint, findings->path);

done:
    free(rows);
    cz_h5_close(&type);
    cz_h5_close(&dataset);
    return status;
}

static cz_status check_state(const cz_checkpoint *checkpoint, hid_t file, cz_findings *findings)
{
    hid_t wanted = cz_state_file_type(checkpoint->dtype);
    for (int i = 0; i < CZ_STATES; i++) {
        hid_t dataset;
        CZ_TRY(open_array(&dataset, file, cz_state_path[i], checkpoint->n));
        hid_t type = H5Dget_type(dataset);
        bool same = H5Tequal(type, wanted) > 0;
        cz_h5_close(&type);
        cz_h5_close(&dataset);
        if (!same)
            return cz_fail(CZ_ERR_INPUT,
                           "%s: %s was not saved in %s: use the run.precision that it was trained "
                           "with",
                           findings->path, cz_state_path[i],
                           checkpoint->dtype == CZ_F64 ? "fp64" : "fp32");
    }
    return CZ_OK;
}

static cz_status check_hashes(const cz_checkpoint *checkpoint, const cz_findings *findings)
{
    if (checkpoint->config_hash && checkpoint->config_hash != findings->config_hash)
        return cz_fail(CZ_ERR_INPUT,
                       "%s: was trained with another configuration (hash %016llx, this one "
                       "%016llx): resume with the config.yaml in the run's folder, or choose a "
                       "new run.name",
                       findings->path, (unsigned long long)findings->config_hash,
                       (unsigned long long)checkpoint->config_hash);
    if (checkpoint->data_hash && checkpoint->data_hash != findings->data_hash)
        return cz_fail(CZ_ERR_INPUT,
                       "%s: was trained on other cells (hash %016llx, these %016llx): give the "
                       "same data and split, or choose a new run.name",
                       findings->path, (unsigned long long)findings->data_hash,
                       (unsigned long long)checkpoint->data_hash);
    return CZ_OK;
}

/* Checks all of a sealed file but the numbers of the state. */
static cz_status check_opened(cz_findings *findings, char **config, const cz_checkpoint *checkpoint,
                              hid_t file)
{
    hid_t meta;
    int64_t schema = 0;
    CZ_TRY(cz_h5_open_group(&meta, file, "meta"));
    cz_status status = cz_h5_read_int(meta, "schema", &schema);
    cz_h5_close(&meta);
    if (status) return status;
    if (schema != CZ_SCHEMA) {
        findings->damaged = false;
        return cz_fail(CZ_ERR_INPUT,
                       "%s: has schema %lld, this czhpc reads %d: use the czhpc that wrote it, or "
                       "a newer one",
                       findings->path, (long long)schema, CZ_SCHEMA);
    }
    CZ_TRY(read_meta(findings, config, file));
    CZ_TRY(read_progress(&findings->progress, file));
    CZ_TRY(check_table(checkpoint, file, findings));
    CZ_TRY(check_state(checkpoint, file, findings));
    return check_hashes(checkpoint, findings);
}

/* Everything that can be known of findings->path without its state; on rank 0. */
cz_status cz_checkpoint_check(cz_findings *findings, char **config, const cz_checkpoint *checkpoint)
{
    hid_t file;
    findings->damaged = true;
    CZ_TRY(cz_seal_check(findings->path));
    CZ_TRY(cz_h5_open_file(&file, findings->path));
    cz_status status = check_opened(findings, config, checkpoint, file);
    cz_h5_close(&file);
    if (!status) findings->damaged = false;
    return status;
}
