/* Synthetic cells as an AnnData file of the 0.8 form, which every later reader opens. Rank 0
 * lays the file out alone, strings included, which MPI-IO cannot write; then all ranks write
 * their rows. The file has its name only when it is whole. */
#include "synthetic.h"

#include "czhpc/h5.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 1 << 28 };

static const char FEATURES[] = "obsm/geneformer";

static cz_status encode(hid_t at, const char *type, const char *version)
{
    CZ_TRY(cz_h5_write_string(at, "encoding-type", type));
    return cz_h5_write_string(at, "encoding-version", version);
}

static cz_status make_group(hid_t *group, hid_t at, const char *name, const char *type,
                            const char *version)
{
    *group = H5Gcreate2(at, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (*group < 0) return cz_h5_fail(CZ_ERR_IO, at, name, "the group cannot be written");
    return encode(*group, type, version);
}

/* Texts of any length in UTF-8. Closed by the caller. */
static hid_t text_type(void)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

/* A dataset of one axis; `memory` describes the values, `stored` how they are kept. */
static cz_status write_array(hid_t at, const char *name, const char *encoding, hid_t stored,
                             hid_t memory, const void *values, int count)
{
    hsize_t size = (hsize_t)count;
    hid_t space = H5Screate_simple(1, &size, NULL);
    hid_t dataset = H5Dcreate2(at, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    cz_status status = CZ_OK;
    if (dataset < 0 ||
        (count > 0 && H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0))
        status = cz_h5_fail(CZ_ERR_IO, at, name, "%d values cannot be written", count);
    if (!status) status = encode(dataset, encoding, "0.2.0");
    if (!cz_h5_close(&dataset) && !status)
        status = cz_h5_fail(CZ_ERR_IO, at, name, "%d values cannot be written", count);
    cz_h5_close(&space);
    return status;
}

static cz_status write_texts(hid_t at, const char *name, char *const *text, int count)
{
    hid_t type = text_type();
    cz_status status = write_array(at, name, "string-array", type, type, text, count);
    cz_h5_close(&type);
    return status;
}

/* AnnData's boolean: an enumeration FALSE 0, TRUE 1 of one byte. */
static cz_status write_not_ordered(hid_t at)
{
    int8_t no = 0, yes = 1;
    hid_t type = H5Tenum_create(H5T_STD_I8LE), space = H5Screate(H5S_SCALAR);
    H5Tenum_insert(type, "FALSE", &no);
    H5Tenum_insert(type, "TRUE", &yes);
    hid_t attribute = H5Acreate2(at, "ordered", type, space, H5P_DEFAULT, H5P_DEFAULT);
    cz_status status = CZ_OK;
    if (attribute < 0 || H5Awrite(attribute, type, &no) < 0)
        status = cz_h5_fail(CZ_ERR_IO, at, "ordered", "the attribute cannot be written");
    cz_h5_close(&attribute);
    cz_h5_close(&space);
    cz_h5_close(&type);
    return status;
}

static cz_status write_column(hid_t obs, const cz_column *column, int n)
{
    hid_t group = H5I_INVALID_HID, stored = column->classes > 127 ? H5T_STD_I16LE : H5T_STD_I8LE;
    cz_status status = make_group(&group, obs, column->name, "categorical", "0.2.0");
    if (!status) status = write_not_ordered(group);
    if (!status) status = write_texts(group, "categories", column->class_name, column->classes);
    if (!status)
        status = write_array(group, "codes", "array", stored, H5T_NATIVE_INT32, column->code, n);
    cz_h5_close(&group);
    return status;
}

/* A frame's attributes: its index, and the order of its columns. */
static cz_status describe_frame(hid_t frame, const char *const *column, int columns)
{
    hsize_t size = (hsize_t)columns;
    hid_t type = text_type(), space = H5Screate_simple(1, &size, NULL);
    hid_t attribute = H5Acreate2(frame, "column-order", type, space, H5P_DEFAULT, H5P_DEFAULT);
    cz_status status = cz_h5_write_string(frame, "_index", "_index");
    if (attribute < 0 || (columns > 0 && H5Awrite(attribute, type, column) < 0))
        status = cz_h5_fail(CZ_ERR_IO, frame, "column-order", "the attribute cannot be written");
    cz_h5_close(&attribute);
    cz_h5_close(&space);
    cz_h5_close(&type);
    return status;
}

static cz_status write_obs(hid_t file, const cz_cells *cells)
{
    const cz_column *column[3 + CZ_KEYS_MAX] = {&cells->target, &cells->label};
    const char *name[3 + CZ_KEYS_MAX];
    int columns = 2;
    for (int a = 0; a < cells->adversaries; a++) column[columns++] = &cells->adversary[a];
    hid_t obs = H5I_INVALID_HID;
    cz_status status = make_group(&obs, file, "obs", "dataframe", "0.2.0");
    if (!status) status = write_texts(obs, "_index", cells->cell_name, cells->n);
    for (int k = 0; k < columns && !status; k++) {
        name[k] = column[k]->name;
        status = write_column(obs, column[k], cells->n);
    }
    if (!status) status = describe_frame(obs, name, columns);
    cz_h5_close(&obs);
    return status;
}

/* Genes there are none; readers want the frame. */
static cz_status write_var(hid_t file)
{
    hid_t var = H5I_INVALID_HID;
    cz_status status = make_group(&var, file, "var", "dataframe", "0.2.0");
    if (!status) status = write_texts(var, "_index", NULL, 0);
    if (!status) status = describe_frame(var, NULL, 0);
    cz_h5_close(&var);
    return status;
}

/* The embedding's place, for all ranks to fill: nothing is written to it here. */
static cz_status make_features(hid_t file, const cz_cells *cells)
{
    hsize_t size[2] = {(hsize_t)cells->n, (hsize_t)cells->width};
    hid_t obsm = H5I_INVALID_HID, space = H5Screate_simple(2, size, NULL);
    hid_t plan = H5Pcreate(H5P_DATASET_CREATE), dataset = H5I_INVALID_HID;
    H5Pset_fill_time(plan, H5D_FILL_TIME_NEVER);
    cz_status status = make_group(&obsm, file, "obsm", "dict", "0.1.0");
    if (!status) {
        dataset = H5Dcreate2(file, FEATURES, H5T_IEEE_F32LE, space, H5P_DEFAULT, plan, H5P_DEFAULT);
        status = dataset < 0 ? cz_h5_fail(CZ_ERR_IO, file, FEATURES, "cannot be written")
                             : encode(dataset, "array", "0.2.0");
    }
    cz_h5_close(&dataset);
    cz_h5_close(&plan);
    cz_h5_close(&space);
    cz_h5_close(&obsm);
    return status;
}

static cz_status lay_out(const char *path, const cz_cells *cells)
{
    cz_h5_quiet();
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (file < 0)
        return cz_fail(CZ_ERR_IO, "%s: the file cannot be created: %s", path, cz_h5_error());
    cz_status status = encode(file, "anndata", "0.1.0");
    if (!status) status = write_obs(file, cells);
    if (!status) status = write_var(file);
    if (!status) status = make_features(file, cells);
    if (!cz_h5_close(&file) && !status)
        status = cz_fail(CZ_ERR_IO, "%s: the file cannot be written: %s", path, cz_h5_error());
    return status;
}

/* This rank's rows, in blocks that MPI-IO can count; ranks with fewer blocks write none. */
static cz_status write_rows(hid_t dataset, const cz_cells *cells, const cz_comm *comm)
{
    int64_t step = BLOCK_BYTES / ((int64_t)cells->width * (int64_t)sizeof(float)), most = 0;
    if (step < 1) step = 1;
    for (int r = 0; r < comm->size; r++)
        if (cells->begin[r + 1] - cells->begin[r] > most)
            most = cells->begin[r + 1] - cells->begin[r];
    int64_t first = cells->begin[comm->rank], rows = cells->begin[comm->rank + 1] - first;
    hid_t transfer = H5Pcreate(H5P_DATASET_XFER), space = H5Dget_space(dataset);
    H5Pset_dxpl_mpio(transfer, H5FD_MPIO_COLLECTIVE);
    cz_status status = CZ_OK;
    for (int64_t at = 0; at < most; at += step) {
        int64_t count = rows - at < step ? rows - at : step;
        hsize_t start[2] = {(hsize_t)(first + at), 0};
        hsize_t size[2] = {(hsize_t)(count > 0 ? count : 1), (hsize_t)cells->width};
        hid_t memory = H5Screate_simple(2, size, NULL);
        if (count > 0) {
            H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL);
        } else {
            H5Sselect_none(space);
            H5Sselect_none(memory);
        }
        const float *x = cells->x + (count > 0 ? (size_t)at * (size_t)cells->width : 0);
        if (H5Dwrite(dataset, H5T_NATIVE_FLOAT, memory, space, transfer, x) < 0 && !status)
            status = cz_h5_fail(CZ_ERR_IO, dataset, NULL, "rows cannot be written");
        cz_h5_close(&memory);
    }
    cz_h5_close(&space);
    cz_h5_close(&transfer);
    return status;
}

static cz_status fill(const char *path, const cz_cells *cells, const cz_comm *comm)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), dataset = H5I_INVALID_HID;
    cz_h5_quiet();
    H5Pset_fapl_mpio(access, comm->mpi, MPI_INFO_NULL);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, access);
    cz_status status = CZ_OK;
    if (file < 0)
        status = cz_fail(CZ_ERR_IO, "%s: the file cannot be opened by all ranks: %s", path,
                         cz_h5_error());
    status = cz_comm_agree(comm, status);
    if (!status) {
        dataset = H5Dopen2(file, FEATURES, H5P_DEFAULT);
        if (dataset < 0) status = cz_h5_fail(CZ_ERR_IO, file, FEATURES, "cannot be opened");
        status = cz_comm_agree(comm, status);
    }
    if (!status) status = write_rows(dataset, cells, comm);
    cz_h5_close(&dataset);
    if (!cz_h5_close(&file) && !status)
        status = cz_fail(CZ_ERR_IO, "%s: the file cannot be written: %s", path, cz_h5_error());
    cz_h5_close(&access);
    return cz_comm_agree(comm, status);
}

/* The generator's own columns, whatever the config's keys are. */
static cz_config own_columns(const cz_config *config)
{
    cz_config own = *config;
    own.data.source = CZ_SOURCE_SYNTHETIC;
    strcpy(own.data.target_key, "donor_id");
    strcpy(own.data.label_key, "cell_type");
    own.data.adversary_keys.count = 3;
    strcpy(own.data.adversary_keys.name[0], "sex");
    strcpy(own.data.adversary_keys.name[1], "library_id");
    strcpy(own.data.adversary_keys.name[2], "dataset_id");
    strcpy(own.split.method, "stratified");
    own.data.batch_key[0] = 0;
    return own;
}

cz_status cz_synthetic_write(const char *path, const cz_config *config, const cz_comm *comm,
                             cz_pool *pool)
{
    cz_config own = own_columns(config);
    char unfinished[CZ_PATH_MAX + 8];
    cz_cells cells;
    if (strlen(path) >= CZ_PATH_MAX)
        return cz_fail(CZ_ERR_IO, "the name of the file to write is over %d bytes long",
                       CZ_PATH_MAX - 1);
    snprintf(unfinished, sizeof unfinished, "%s.tmp", path);
    cz_status status = cz_synthetic_cells(&cells, &own, comm, pool);
    if (!status)
        status = cz_comm_agree(comm, comm->rank == 0 ? lay_out(unfinished, &cells) : CZ_OK);
    if (!status) status = fill(unfinished, &cells, comm);
    if (comm->rank == 0) {
        if (!status && rename(unfinished, path))
            status = cz_fail(CZ_ERR_IO, "%s: the file cannot be renamed from %s: %s", path,
                             unfinished, strerror(errno));
        if (status) remove(unfinished);
    }
    status = cz_comm_agree(comm, status);
    cz_cells_free(&cells);
    return status;
}
