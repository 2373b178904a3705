/* The pieces of a checkpoint: tables of members, and the movement of the arrays. */
#include "checkpoint.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

const char *const cz_state_path[CZ_STATES] = {"/state/w", "/state/m", "/state/v"};

const cz_member cz_progress_member[CZ_MEMBERS] = {
    {"phase", offsetof(cz_progress, phase), CZ_MEMBER_INT},
    {"epoch", offsetof(cz_progress, epoch), CZ_MEMBER_INT},
    {"step", offsetof(cz_progress, step), CZ_MEMBER_INT},
    {"steps_done", offsetof(cz_progress, steps_done), CZ_MEMBER_INT64},
    {"best_epoch", offsetof(cz_progress, best_epoch), CZ_MEMBER_INT},
    {"best_value", offsetof(cz_progress, best_value), CZ_MEMBER_DOUBLE},
    {"stale", offsetof(cz_progress, stale), CZ_MEMBER_INT},
    {"finished", offsetof(cz_progress, finished), CZ_MEMBER_INT},
    {"metrics_bytes", offsetof(cz_progress, metrics_bytes), CZ_MEMBER_INT64},
};

cz_table_row cz_table_row_of(const cz_param_entry *entry)
{
    cz_table_row row = {"", entry->rank, entry->dim[0], entry->rank == 2 ? entry->dim[1] : 0,
                        entry->offset};
    /* Bytes after the final 0 are 0: the file depends on the name alone. */
    memcpy(row.name, entry->name, strnlen(entry->name, sizeof row.name - 1));
    return row;
}

hid_t cz_table_type(bool file)
{
    hid_t text = H5Tcopy(H5T_C_S1), type = H5Tcreate(H5T_COMPOUND, sizeof(cz_table_row));
    H5Tset_size(text, sizeof((cz_table_row *)NULL)->name);
    H5Tinsert(type, "name", HOFFSET(cz_table_row, name), text);
    H5Tinsert(type, "rank", HOFFSET(cz_table_row, rank), H5T_STD_I32LE);
    H5Tinsert(type, "rows", HOFFSET(cz_table_row, rows), H5T_STD_I32LE);
    H5Tinsert(type, "columns", HOFFSET(cz_table_row, columns), H5T_STD_I32LE);
    H5Tinsert(type, "offset", HOFFSET(cz_table_row, offset), H5T_STD_U64LE);
    if (file) H5Tpack(type);
    H5Tclose(text);
    return type;
}

/* Properties to open a file by, on all ranks; without collective metadata each rank would read it
 * for itself. A rank that is alone needs no MPI, nor a lock, which file systems may not have. */
static cz_status open_plan(hid_t *plan, const cz_comm *comm)
{
    *plan = H5Pcreate(H5P_FILE_ACCESS);
    if (comm->size == 1) {
        if (*plan >= 0 && H5Pset_file_locking(*plan, false, true) >= 0) return CZ_OK;
        return cz_fail(CZ_ERR_MEMORY, "HDF5 cannot open files: %s", cz_h5_error());
    }
    if (*plan >= 0 && H5Pset_fapl_mpio(*plan, comm->mpi, MPI_INFO_NULL) >= 0 &&
        H5Pset_all_coll_metadata_ops(*plan, true) >= 0 &&
        H5Pset_coll_metadata_write(*plan, true) >= 0)
        return CZ_OK;
    return cz_fail(CZ_ERR_MPI, "HDF5 cannot use MPI: %s", cz_h5_error());
}

/* Opens on all ranks, or on none. */
static cz_status open_together(hid_t *file, const char *path, bool writes, const cz_comm *comm)
{
    hid_t plan;
    cz_status status = open_plan(&plan, comm);
    /* Asked before: were it to open on some ranks only, these could never close it again. */
    if (!status && access(path, writes ? R_OK | W_OK : R_OK))
        status = cz_fail(writes ? CZ_ERR_IO : CZ_ERR_INPUT,
                         "%s: cannot be opened: %s (do all ranks share its folder?)", path,
                         strerror(errno));
    status = cz_comm_agree(comm, status);
    if (!status) {
        *file = H5Fopen(path, writes ? H5F_ACC_RDWR : H5F_ACC_RDONLY, plan);
        if (*file < 0)
            status = cz_fail(writes ? CZ_ERR_IO : CZ_ERR_INPUT,
                             "%s: cannot be opened by all ranks: %s", path, cz_h5_error());
        status = cz_comm_agree(comm, status);
    }
    cz_h5_close(&plan);
    return status;
}

/* Moves elements [begin, end) between an array and a dataset; `memory` is the whole array. */
static cz_status move_slice(hid_t dataset, cz_dtype dtype, char *memory, size_t begin, size_t end,
                            bool writes, bool alone)
{
    hsize_t start = begin, count = end - begin, one = count ? count : 1;
    hid_t type = cz_state_memory_type(dtype), plan = H5Pcreate(H5P_DATASET_XFER);
    hid_t there = H5Dget_space(dataset), here = H5Screate_simple(1, &one, NULL);
    void *at = memory + begin * cz_dtype_size(dtype);
    herr_t result = alone ? 0 : H5Pset_dxpl_mpio(plan, H5FD_MPIO_COLLECTIVE);
    if (count) result |= H5Sselect_hyperslab(there, H5S_SELECT_SET, &start, NULL, &count, NULL);
    else result |= H5Sselect_none(there) | H5Sselect_none(here);
    /* Every rank gets here with valid handles, so no rank waits in vain inside. */
    result |= writes ? H5Dwrite(dataset, type, here, there, plan, at)
                     : H5Dread(dataset, type, here, there, plan, at);
    cz_status status = CZ_OK;
    if (result < 0)
        status =
            cz_h5_fail(writes ? CZ_ERR_IO : CZ_ERR_INPUT, dataset, NULL,
                       "elements %zu to %zu cannot be %s", begin, end, writes ? "written" : "read");
    cz_h5_close(&here);
    cz_h5_close(&there);
    cz_h5_close(&plan);
    return status;
}

cz_status cz_state_move(const char *path, const cz_checkpoint *checkpoint, bool writes,
                        bool whole_weights, const cz_comm *comm)
{
    hid_t file = H5I_INVALID_HID;
    cz_h5_quiet();
    cz_status status = open_together(&file, path, writes, comm);
    for (int i = 0; i < CZ_STATES && !status; i++) {
        bool whole = i == 0 && whole_weights;
        hid_t dataset = H5I_INVALID_HID;
        status = cz_comm_agree(comm, cz_h5_open_dataset(&dataset, file, cz_state_path[i]));
        if (!status)
            status = move_slice(dataset, checkpoint->dtype, cz_state_array(checkpoint, i),
                                whole ? 0 : checkpoint->begin,
                                whole ? checkpoint->n : checkpoint->end, writes, comm->size == 1);
        if (!cz_h5_close(&dataset) && !status)
            status = cz_fail(CZ_ERR_IO, "%s: %s cannot be closed: %s", path, cz_state_path[i],
                             cz_h5_error());
        status = cz_comm_agree(comm, status);
    }
    if (!cz_h5_close(&file) && !status)
        status = cz_fail(CZ_ERR_IO, "%s: cannot be closed: %s", path, cz_h5_error());
    return cz_comm_agree(comm, status);
}
