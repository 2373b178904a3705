/* A checkpoint without its state, made in memory: so all that concerns the disk is plain
 * writing, with the system's own errors, before any rank enters parallel HDF5. */
#include "checkpoint.h"

#include "czhpc/version.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* In hexadecimal, as messages print it. */
static cz_status write_hash(hid_t group, const char *name, uint64_t hash)
{
    char text[20];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    return cz_h5_write_string(group, name, text);
}

static cz_status write_meta(hid_t file, const cz_checkpoint *checkpoint)
{
    hid_t meta = H5Gcreate2(file, "meta", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (meta < 0) return cz_h5_fail(CZ_ERR_IO, file, "meta", "cannot be created");
    cz_status status = cz_h5_write_int(meta, "schema", CZ_SCHEMA);
    if (!status) status = cz_h5_write_string(meta, "code", "czhpc " CZ_VERSION);
    if (!status) status = cz_h5_write_string(meta, "backend", checkpoint->backend);
    if (!status) status = cz_h5_write_int(meta, "workers", checkpoint->workers);
    if (!status) status = write_hash(meta, "config_hash", checkpoint->config_hash);
    if (!status) status = write_hash(meta, "data_hash", checkpoint->data_hash);
    if (!status)
        status = cz_h5_write_string(meta, "config", checkpoint->config ? checkpoint->config : "");
    cz_h5_close(&meta);
    return status;
}

/* Creates a one-dimensional dataset and, where `values` is given, fills it. */
static cz_status write_array(hid_t file, const char *path, hid_t stored, hid_t memory, hsize_t n,
                             hid_t plan, const void *values)
{
    hid_t space = H5Screate_simple(1, &n, NULL);
    hid_t dataset = H5Dcreate2(file, path, stored, space, H5P_DEFAULT, plan, H5P_DEFAULT);
    cz_status status = CZ_OK;
    if (dataset < 0 ||
        (values && H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0))
        status = cz_h5_fail(CZ_ERR_IO, file, path, "cannot be created");
    cz_h5_close(&dataset);
    cz_h5_close(&space);
    return status;
}

static cz_status write_progress(hid_t file, const cz_progress *progress, hid_t plan)
{
    hid_t group = H5Gcreate2(file, "progress", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (group < 0) return cz_h5_fail(CZ_ERR_IO, file, "progress", "cannot be created");
    cz_status status = CZ_OK;
    for (int i = 0; i < CZ_MEMBERS && !status; i++) {
        const cz_member *member = &cz_progress_member[i];
        const char *at = (const char *)progress + member->offset;
        if (member->kind == CZ_MEMBER_DOUBLE)
            status = cz_h5_write_double(group, member->name, *(const double *)(const void *)at);
        else if (member->kind == CZ_MEMBER_INT64)
            status = cz_h5_write_int(group, member->name, *(const int64_t *)(const void *)at);
        else status = cz_h5_write_int(group, member->name, *(const int *)(const void *)at);
    }
    cz_h5_close(&group);
    if (status) return status;
    return write_array(file, "progress/partial", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE,
                       CZ_PROGRESS_SUMS, plan, progress->partial);
}

static cz_status write_table(hid_t file, const cz_checkpoint *checkpoint, hid_t plan)
{
    hid_t group = H5Gcreate2(file, "params", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t stored = cz_table_type(true), memory = cz_table_type(false);
    size_t count = (size_t)checkpoint->count;
    cz_table_row *rows = cz_alloc(count, sizeof *rows, "the table of parameters");
    cz_status status = rows ? CZ_OK : CZ_ERR_MEMORY;
    for (size_t i = 0; rows && i < count; i++) rows[i] = cz_table_row_of(&checkpoint->params[i]);
    if (!status) status = write_array(file, "params/table", stored, memory, count, plan, rows);
    free(rows);
    cz_h5_close(&memory);
    cz_h5_close(&stored);
    cz_h5_close(&group);
    return status;
}

/* The empty datasets of the state. Their chunks are allocated by the parallel writes. */
static cz_status create_state(hid_t file, const cz_checkpoint *checkpoint, hid_t plan)
{
    hid_t group = H5Gcreate2(file, "state", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t type = cz_state_file_type(checkpoint->dtype), chunked = H5Pcopy(plan);
    hsize_t n = checkpoint->n, chunk = n < CZ_STATE_CHUNK ? n : CZ_STATE_CHUNK;
    cz_status status = CZ_OK;
    if (group < 0 || H5Pset_chunk(chunked, 1, &chunk) < 0 || H5Pset_fletcher32(chunked) < 0 ||
        H5Pset_fill_time(chunked, H5D_FILL_TIME_NEVER) < 0)
        status = cz_h5_fail(CZ_ERR_IO, file, "state", "cannot be created");
    for (int i = 0; i < CZ_STATES && !status; i++)
        status = write_array(file, cz_state_path[i], type, type, n, chunked, NULL);
    cz_h5_close(&chunked);
    cz_h5_close(&group);
    return status;
}

cz_status cz_checkpoint_image(void **bytes, size_t *size, const cz_checkpoint *checkpoint)
{
    static const char what[] = "a checkpoint's table and progress";
    hid_t file, plan = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(plan, false); /* the same state, the same bytes */
    cz_status status = cz_h5_create_image(&file, what);
    if (!status) status = write_meta(file, checkpoint);
    if (!status) status = write_progress(file, &checkpoint->progress, plan);
    if (!status) status = write_table(file, checkpoint, plan);
    if (!status) status = create_state(file, checkpoint, plan);
    if (!status) status = cz_h5_take_image(bytes, size, file, what);
    cz_h5_close(&file);
    cz_h5_close(&plan);
    return status;
}
