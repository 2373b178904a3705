/* Rows of matrices in every form, streamed by any number of ranks: large enough for several
 * blocks, wanted rows few or many, spread evenly or all on one rank. */
#include "../src/data/h5ad_rows.h"
#include "check.h"

#include <unistd.h>

enum { ROWS = 3000, COLUMNS = 2000 };

static cz_comm comm;
static cz_pool *pool; /* that unpacks, NULL: HDF5 does */
static hid_t own;
static char path[] = "/tmp/czhpc-rows-XXXXXX";

#define check_all(ok, ...)                                                                         \
    do {                                                                                           \
        int all_ok = ok;                                                                           \
        MPI_Allreduce(MPI_IN_PLACE, &all_ok, 1, MPI_INT, MPI_MIN, comm.mpi);                       \
        if (comm.rank == 0) check(all_ok, __VA_ARGS__);                                            \
        cz_error_clear();                                                                          \
    } while (0)

/* A quarter of the values are 0; cell 7 has none. */
static int truth(int row, int column)
{
    unsigned mixed = (unsigned)(row * 7919 + column * 104729);
    return row == 7 ? 0 : (int)((mixed >> 3) % 4);
}

static void put(hid_t file, const char *place, hid_t stored, hid_t memory, const void *values,
                hsize_t rows, hsize_t columns, hsize_t chunk_rows, hsize_t chunk_columns)
{
    hsize_t dim[2] = {rows, columns}, chunk[2] = {chunk_rows, chunk_columns};
    hid_t space = H5Screate_simple(columns ? 2 : 1, dim, NULL);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    if (chunk_rows) H5Pset_chunk(list, columns ? 2 : 1, chunk);
    if (chunk_rows) H5Pset_deflate(list, 1);
    hid_t set = H5Dcreate2(file, place, stored, space, links, list, H5P_DEFAULT);
    if (H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0) MPI_Abort(comm.mpi, 4);
    H5Dclose(set);
    H5Pclose(links);
    H5Pclose(list);
    H5Sclose(space);
}

static void write_dense(hid_t file)
{
    static int8_t dense[ROWS][COLUMNS];
    for (int i = 0; i < ROWS; i++)
        for (int g = 0; g < COLUMNS; g++) dense[i][g] = (int8_t)truth(i, g);
    put(file, "dense", H5T_STD_I8LE, H5T_NATIVE_INT8, dense, ROWS, COLUMNS, 0, 0);
    put(file, "chunked", H5T_STD_U16BE, H5T_NATIVE_INT8, dense, ROWS, COLUMNS, 700, 125);
    put(file, "tall", H5T_IEEE_F32BE, H5T_NATIVE_INT8, dense, ROWS, COLUMNS, ROWS, 50);
    put(file, "native", H5T_NATIVE_FLOAT, H5T_NATIVE_INT8, dense, ROWS, COLUMNS, 700, 125);
}

/* Rows of the matrix, or of its transpose; each backwards where `backwards`. */
static int64_t compress(int32_t *index, int8_t *value, int64_t *pointer, bool columns,
                        bool backwards)
{
    int64_t filled = 0;
    int outer = columns ? COLUMNS : ROWS, inner = columns ? ROWS : COLUMNS;
    for (int a = 0; a < outer; a++) {
        pointer[a] = filled;
        for (int k = 0; k < inner; k++) {
            int b = backwards ? inner - 1 - k : k;
            int v = columns ? truth(b, a) : truth(a, b);
            if (v == 0) continue;
            index[filled] = b;
            value[filled++] = (int8_t)v;
        }
    }
    pointer[outer] = filled;
    return filled;
}

static void write_sparse(hid_t file)
{
    int32_t *index = malloc((size_t)ROWS * COLUMNS * sizeof *index);
    int8_t *value = malloc((size_t)ROWS * COLUMNS);
    int64_t *pointer = malloc((ROWS + 1) * sizeof *pointer);
    if (!index || !value || !pointer) MPI_Abort(comm.mpi, 4);
    hsize_t entries = (hsize_t)compress(index, value, pointer, false, false);
    put(file, "csr/data", H5T_IEEE_F64LE, H5T_NATIVE_INT8, value, entries, 0, 0, 0);
    put(file, "csr/indices", H5T_STD_I32LE, H5T_NATIVE_INT32, index, entries, 0, 0, 0);
    put(file, "csr/indptr", H5T_STD_I64LE, H5T_NATIVE_INT64, pointer, ROWS + 1, 0, 0, 0);
    compress(index, value, pointer, false, true);
    put(file, "backwards/data", H5T_IEEE_F32LE, H5T_NATIVE_INT8, value, entries, 0, 50000, 0);
    put(file, "backwards/indices", H5T_STD_I64BE, H5T_NATIVE_INT32, index, entries, 0, 50000, 0);
    put(file, "backwards/indptr", H5T_STD_I32LE, H5T_NATIVE_INT64, pointer, ROWS + 1, 0, 100, 0);
    compress(index, value, pointer, true, false);
    put(file, "csc/data", H5T_STD_U8LE, H5T_NATIVE_INT8, value, entries, 0, 0, 0);
    put(file, "csc/indices", H5T_STD_I16LE, H5T_NATIVE_INT32, index, entries, 0, 90000, 0);
    put(file, "csc/indptr", H5T_STD_I32LE, H5T_NATIVE_INT64, pointer, COLUMNS + 1, 0, 0, 0);
    free(index);
    free(value);
    free(pointer);
}

enum { FRAME = 4 };
static char *const frame_part[FRAME] = {"frame/a", "frame/b", "frame/flag", "frame/holes"};

static double frame_truth(int row, int column)
{
    if (column == 3 && row % 5 == 0) return NAN;
    return column == 2 ? row % 2 : (double)row / 4 + column;
}

/* Numbers of two types, booleans as h5py stores them, and a nullable column. */
static void write_frame(hid_t file)
{
    static double number[ROWS];
    static int8_t flag[ROWS], mask[ROWS];
    int8_t no = 0, yes = 1;
    hid_t boolean = H5Tenum_create(H5T_STD_I8LE);
    H5Tenum_insert(boolean, "FALSE", &no);
    H5Tenum_insert(boolean, "TRUE", &yes);
    for (int i = 0; i < ROWS; i++) {
        flag[i] = (int8_t)(i % 2);
        mask[i] = (int8_t)(i % 5 == 0);
    }
    for (int c = 0; c < 2; c++) {
        for (int i = 0; i < ROWS; i++) number[i] = frame_truth(i, c);
        put(file, frame_part[c], c ? H5T_IEEE_F32LE : H5T_IEEE_F64BE, H5T_NATIVE_DOUBLE, number,
            ROWS, 0, c ? 100 : 0, 0);
    }
    put(file, frame_part[2], boolean, boolean, flag, ROWS, 0, 0, 0);
    for (int i = 0; i < ROWS; i++) number[i] = mask[i] ? 0 : frame_truth(i, 3);
    put(file, "frame/holes/values", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, number, ROWS, 0, 0, 0);
    put(file, "frame/holes/mask", boolean, boolean, mask, ROWS, 0, 0, 0);
    H5Tclose(boolean);
}

/* A userblock in front: HDF5's addresses are not the file's. */
static void write_file(void)
{
    hid_t list = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_userblock(list, 1024);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, list, H5P_DEFAULT);
    write_dense(file);
    write_sparse(file);
    write_frame(file);
    H5Fclose(file);
    H5Pclose(list);
}

/* Which rows this rank wants: its part of those that `step` leaves, or on one rank all. */
static int choose_rows(int32_t *row, int step, int owner)
{
    int rows = 0, first = ROWS * comm.rank / comm.size, end = ROWS * (comm.rank + 1) / comm.size;
    if (owner >= 0) first = 0, end = owner % comm.size == comm.rank ? ROWS : 0;
    for (int i = first; i < end; i++)
        if (i % step == 0) row[rows++] = i;
    return rows;
}

static bool same_row(const cz_csr *csr, int i, int row, const int32_t *number, int genes)
{
    int expected[COLUMNS] = {0};
    for (int g = 0; g < COLUMNS; g++) {
        int to = number ? number[g] : g;
        if (to >= 0) expected[to] += truth(row, g);
    }
    int64_t k = csr->begin[i];
    for (int g = 0; g < genes; g++) {
        if (!expected[g]) continue;
        if (k == csr->begin[i + 1] || csr->gene[k] != g || csr->count[k] != (float)expected[g])
            return false;
        k++;
    }
    return k == csr->begin[i + 1];
}

static h5ad_matrix matrix_at(const char *place, h5ad_form form, hid_t file)
{
    h5ad_matrix matrix = {.form = form, .rows = ROWS, .columns = COLUMNS};
    snprintf(matrix.place, sizeof matrix.place, "%s", place);
    if (form == H5AD_DENSE) return matrix;
    char data[CZ_NAME_MAX + 32];
    hsize_t entries = 0;
    snprintf(data, sizeof data, "%s/data", place);
    hid_t set = H5Dopen2(file, data, H5P_DEFAULT), space = H5Dget_space(set);
    H5Sget_simple_extent_dims(space, &entries, NULL);
    H5Sclose(space);
    H5Dclose(set);
    matrix.entries = (int64_t)entries;
    return matrix;
}

/* Two sources, one after the other, as two files would be. */
static void check_counts(hid_t file, const char *place, h5ad_form form, const int32_t *number,
                         int genes, int step, int owner)
{
    static int32_t row[ROWS];
    static char *gene[COLUMNS];
    h5ad_matrix matrix = matrix_at(place, form, file);
    count_rows counts;
    for (int g = 0; g < COLUMNS; g++) gene[g] = "gene";
    int rows = choose_rows(row, step, owner);
    row_source from = {file, &matrix, row, rows, number, gene, &comm, pool, own};
    cz_status status = count_rows_open(&counts, 2 * rows, genes);
    if (!status) status = rows_read_counts(&counts, &from);
    if (!status) status = rows_read_counts(&counts, &from);
    bool same = !status && counts.csr.rows == 2 * rows;
    for (int i = 0; same && i < rows; i++)
        same = same_row(&counts.csr, i, row[i], number, genes) &&
               same_row(&counts.csr, rows + i, row[i], number, genes);
    check_all(same, "%s, every %d. row, %s%s %s", place, step, owner < 0 ? "shared" : "on one rank",
              number ? ", other genes" : "", cz_error_message());
    count_rows_free(&counts);
}

static void check_embedding(hid_t file, const char *place, h5ad_form form)
{
    enum { STRIDE = COLUMNS + 3 };
    static int32_t row[ROWS];
    h5ad_matrix matrix = matrix_at(place, form, file);
    int rows = choose_rows(row, 3, -1);
    float *x = malloc((size_t)rows * STRIDE * sizeof *x + 1);
    row_source from = {file, &matrix, row, rows, NULL, NULL, &comm, pool, own};
    bool same = x && !rows_read_embedding(x, STRIDE, &from);
    for (int i = 0; same && i < rows; i++)
        for (int c = 0; same && c < COLUMNS; c++)
            same = x[(size_t)i * STRIDE + (size_t)c] == (float)truth(row[i], c);
    check_all(same, "%s as an embedding %s", place, cz_error_message());
    free(x);
}

static void check_frame(hid_t file)
{
    static int32_t row[ROWS];
    static float x[ROWS][FRAME];
    h5ad_matrix matrix = {.place = "frame",
                          .form = H5AD_FRAME,
                          .rows = ROWS,
                          .columns = FRAME,
                          .part = (char **)frame_part};
    int rows = choose_rows(row, 2, -1);
    row_source from = {file, &matrix, row, rows, NULL, NULL, &comm, pool, own};
    bool same = !rows_read_embedding(x[0], FRAME, &from);
    for (int i = 0; same && i < rows; i++)
        for (int c = 0; same && c < FRAME; c++) {
            float expected = (float)frame_truth(row[i], c);
            same = isnan(expected) ? isnan(x[i][c]) : x[i][c] == expected;
        }
    check_all(same, "a data frame's columns %s", cz_error_message());
}

int main(int argc, char **argv)
{
    int provided;
    hid_t file;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    if (cz_comm_world(&comm)) MPI_Abort(MPI_COMM_WORLD, 4);
    if (comm.rank == 0) {
        int handle = mkstemp(path);
        if (handle >= 0) close(handle);
        write_file();
    }
    MPI_Bcast(path, sizeof path, MPI_CHAR, 0, comm.mpi);
    cz_status status = cz_h5_open_shared(&file, path, comm.mpi);
    check_all(!status, "all ranks open a file with a userblock %s", cz_error_message());
    static const struct {
        const char *place;
        h5ad_form form;
    } forms[] = {{"csr", H5AD_CSR},     {"backwards", H5AD_CSR}, {"csc", H5AD_CSC},
                 {"dense", H5AD_DENSE}, {"chunked", H5AD_DENSE}, {"tall", H5AD_DENSE},
                 {"native", H5AD_DENSE}};
    static int32_t halves[COLUMNS]; /* backwards, two to one, some left out */
    for (int g = 0; g < COLUMNS; g++) halves[g] = g % 10 == 3 ? -1 : (COLUMNS - 1 - g) / 2;
    for (int unpacking = 0; unpacking < 2; unpacking++) {
        if (unpacking) {
            status = cz_pool_open(&pool, 2, NULL);
            if (!status) status = cz_h5_open_file(&own, path);
            check_all(!status, "each rank opens it for its threads to unpack %s",
                      cz_error_message());
        }
        for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
            check_counts(file, forms[f].place, forms[f].form, NULL, COLUMNS, 1, -1);
            check_counts(file, forms[f].place, forms[f].form, halves, COLUMNS / 2, 7,
                         comm.size - 1);
            check_embedding(file, forms[f].place, forms[f].form);
        }
        check_frame(file);
    }
    cz_h5_close(&own);
    cz_pool_close(pool);
    cz_h5_close(&file);
    if (comm.rank == 0) unlink(path);
    cz_comm_free(&comm);
    MPI_Finalize();
    return check_done();
}
