/* AnnData files that are refused: forms that are not read, and damage. Every rank must leave
 * with the same outcome, and rank 0 with the message. */
#include "../src/data/h5ad.h"
#include "check.h"
#include "czhpc/h5_read.h"
#include "czhpc/log.h"

#include <fcntl.h>
#include <unistd.h>

#define FORMS "validation/fixtures/forms.h5ad"
#define REFUSED "validation/fixtures/refused.h5ad"

static cz_comm comm;
static cz_pool *pool;

static cz_config plain_config(const char *path)
{
    cz_config config;
    cz_config_defaults(&config);
    config.data.source = CZ_SOURCE_H5AD;
    config.data.features = CZ_FEATURES_COUNTS;
    config.data.h5ad.count = 1;
    snprintf(config.data.h5ad.text[0], CZ_PATH_MAX, "%s", path);
    return config;
}

/* Whether all ranks say so; the verdict is then given by rank 0. */
static bool all_say(bool mine)
{
    int all = mine;
    MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, comm.mpi);
    return all;
}

#define check_all(ok, ...)                                                                         \
    do {                                                                                           \
        bool all_ok = all_say(ok);                                                                 \
        if (comm.rank == 0) check(all_ok, __VA_ARGS__);                                            \
    } while (0)

/* All ranks get CZ_ERR_INPUT, and rank 0 the message, which holds `words`. */
static void refused(const cz_config *config, const char *words)
{
    cz_cells cells;
    cz_status status = cz_h5ad_cells(&cells, config, &comm, pool);
    bool good = status == CZ_ERR_INPUT && (comm.rank || strstr(cz_error_message(), words)) &&
                (!comm.rank || !cz_error_message()[0]);
    check_all(good, "refused: %s", status ? cz_error_message() : words);
    cz_error_clear();
    if (!status) cz_cells_free(&cells);
}

static void check_refused_forms(void)
{
    static const struct {
        const char *path, *matrix, *obsm, *target, *words;
    } cases[] = {
        {REFUSED, "layer:negative", "", "donor_id", "is negative"},
        {REFUSED, "layer:negative dense", "", "donor_id", "is negative"},
        {REFUSED, "layer:negative columns", "", "donor_id", "is negative"},
        {REFUSED, "layer:nan", "", "donor_id", "is not finite"},
        {REFUSED, "X", "", "one", "all cells have the same 'one' (same)"},
        {REFUSED, "raw", "", "donor_id", "no raw/X; layers: nan, negative"},
        {FORMS, "layer:logs", "", "donor_id", "gene 'ENSG000' is not whole"},
        {FORMS, "X", "", "donor", "there is no column 'donor' (did you mean 'donor_id'?)"},
        {FORMS, "X", "", "cell_type/codes", "there is no column"},
        {FORMS, "X", "", "donor_id+nowhere", "there is no column 'nowhere'"},
        {FORMS, "X", "", "donor_id", "1 of 30 cells have no counts above 0: data.missing=drop"},
        {FORMS, "X", "", "gaps", "1 of 30 cells have no gaps"},
        {FORMS, "X", "", "nothing", "30 of 30 cells have no nothing"},
        {FORMS, "X", "gaps", "donor_id", "2 of 30 cells have no embedding gaps"},
        {FORMS, "X", "broken", "donor_id", "cell 12 (from 0) has 1 values that are not finite"},
        {FORMS, "X", "other", "donor_id", "obsm/other: the matrix is missing"},
        {"/nowhere.h5ad", "X", "", "donor_id", "No such file"},
        {"/tmp", "X", "", "donor_id", "folder"},
        {"LICENSE", "X", "", "donor_id", "not an HDF5 file"},
        {"configs/labels.h5", "X", "", "donor_id", "not AnnData. It holds: labels, vectors"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cz_config config = plain_config(cases[i].path);
        strcpy(config.data.matrix, cases[i].matrix);
        strcpy(config.data.target_key, cases[i].target);
        if (cases[i].obsm[0]) config.data.features = CZ_FEATURES_OBSM;
        strcpy(config.data.obsm, cases[i].obsm);
        refused(&config, cases[i].words);
    }
}

static char broken[] = "/tmp/czhpc-h5ad-XXXXXX";

/* A copy of the good file, of at most `size` bytes. */
static void copy_good(size_t size)
{
    static char bytes[1 << 20];
    FILE *from = fopen(FORMS, "rb"), *to = fopen(broken, "wb");
    size_t length = from && to ? fread(bytes, 1, sizeof bytes, from) : 0;
    if (length > size) length = size;
    if (!to || fwrite(bytes, 1, length, to) != length) MPI_Abort(comm.mpi, 4);
    fclose(from);
    fclose(to);
}

/* Writes one integer into a dataset. */
static void poke(const char *place, hsize_t index, int64_t value)
{
    hid_t file = H5Fopen(broken, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t set = H5Dopen2(file, place, H5P_DEFAULT), space = H5Dget_space(set);
    hsize_t one = 1;
    hid_t memory = H5Screate_simple(1, &one, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &index, NULL, &one, NULL);
    H5Dwrite(set, H5T_NATIVE_INT64, memory, space, H5P_DEFAULT, &value);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(set);
    H5Fclose(file);
}

/* Overwrites the bytes of a compressed chunk in its middle. */
static void scratch_chunk(const char *place)
{
    hid_t file = H5Fopen(broken, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t set = H5Dopen2(file, place, H5P_DEFAULT), space = H5Dget_space(set);
    hsize_t offset[2], size = 0;
    unsigned mask;
    haddr_t at = 0;
    H5Dget_chunk_info(set, space, 0, offset, &mask, &at, &size);
    H5Sclose(space);
    H5Dclose(set);
    H5Fclose(file);
    int handle = open(broken, O_WRONLY);
    char noise[16];
    memset(noise, 0xA5, sizeof noise);
    if (pwrite(handle, noise, sizeof noise, (off_t)(at + size / 2)) < 0) MPI_Abort(comm.mpi, 4);
    close(handle);
}

/* Makes the first text of a heap of texts longer than any file: HDF5 follows it. */
static void stretch_heap(void)
{
    static char bytes[1 << 20];
    FILE *file = fopen(broken, "rb+");
    size_t length = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    char *heap = memmem(bytes, length, "GCOL", 4);
    if (!heap || fseek(file, heap - bytes + 24, SEEK_SET) ||
        fwrite("\xff\xff\xff\x7f\0\0\0\0", 1, 8, file) != 8)
        MPI_Abort(comm.mpi, 4);
    fclose(file);
}

static void remove_attribute(const char *place, const char *name)
{
    hid_t file = H5Fopen(broken, H5F_ACC_RDWR, H5P_DEFAULT);
    H5Adelete_by_name(file, place, name, H5P_DEFAULT);
    H5Fclose(file);
}

static void remove_object(const char *place)
{
    hid_t file = H5Fopen(broken, H5F_ACC_RDWR, H5P_DEFAULT);
    H5Ldelete(file, place, H5P_DEFAULT);
    H5Fclose(file);
}

static void replace_by(const char *place, const char *other)
{
    hid_t file = H5Fopen(broken, H5F_ACC_RDWR, H5P_DEFAULT);
    H5Ldelete(file, place, H5P_DEFAULT);
    H5Lcreate_hard(file, other, file, place, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
}

enum { DAMAGES = 18 };

/* Makes damage number `i`; the words of its message. */
static const char *damage(int i)
{
    copy_good(i == 0 ? 0 : i == 1 ? 1000 : i == 2 ? 100000 : 1 << 20);
    switch (i) {
    case 0:
        return "not an HDF5 file";
    case 1:
    case 2:
        return "HDF5 cannot open it";
    case 3:
        scratch_chunk("X/data");
        return "X/data: cannot be read: the file is damaged";
    case 4:
        scratch_chunk("X/indices");
        return "X/indices: cannot be read: the file is damaged";
    case 5:
        scratch_chunk("obs/cell_type/codes");
        return "obs/cell_type/c";
    case 6:
        poke("X/indptr", 20, 3);
        return "does not rise from 0 to the";
    case 7:
        poke("X/indptr", 25, 1 << 20);
        return "does not rise from 0 to the";
    case 8:
        poke("X/indptr", 0, 1);
        return "does not rise from 0 to the";
    case 9:
        poke("X/indices", 90, 24);
        return "of 24: the file is damaged";
    case 10:
        poke("X/indices", 50, -1);
        return "names column -1 of 24";
    case 11:
        poke("obs/donor_id/codes", 29, 4);
        return "entry 29 has code 4 of 3 categories";
    case 12:
        remove_attribute("X", "shape");
        return "the attribute 'shape' is missing";
    case 13:
        remove_attribute("obs", "_index");
        return "obs/_index: attribute is missing";
    case 14:
        remove_object("X/indptr");
        return "X/indptr: the dataset is missing";
    case 15:
        remove_object("obs/_index");
        return "obs/_index: is missing";
    case 16:
        stretch_heap();
        return "";
    default:
        replace_by("obs/sex/codes", "X/indptr");
        return "has 31 entries, expected 30";
    }
}

static void check_damaged(void)
{
    if (comm.rank == 0) {
        int handle = mkstemp(broken);
        if (handle >= 0) close(handle);
    }
    MPI_Bcast(broken, sizeof broken, MPI_CHAR, 0, comm.mpi);
    cz_config config = plain_config(broken);
    for (int i = 0; i < DAMAGES; i++) {
        const char *words = comm.rank == 0 ? damage(i) : "";
        refused(&config, words);
    }
    if (comm.rank == 0) unlink(broken);
}

int main(int argc, char **argv)
{
    int provided;
    cz_data_serve_probe(argc, argv);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    if (cz_comm_world(&comm) || cz_pool_open(&pool, 2, NULL)) {
        fprintf(stderr, "%s\n", cz_error_message());
        MPI_Abort(MPI_COMM_WORLD, 4);
    }
    cz_log_set_speaker(false);
    check_refused_forms();
    check_damaged();
    cz_pool_close(pool);
    cz_comm_free(&comm);
    MPI_Finalize();
    return check_done();
}
