/* A checkpoint, checked against a small model's. The first byte says: the input as it stands, the
 * input with a right seal behind it (only where HDF5 will not see it as its own), or a file of
 * HDF5 with the parts of a checkpoint, sealed. */
#include "fuzz_h5.h"
#include "store/checkpoint.h"
#include "store/seal.h"

enum { PARAMS = 2, SIZE = 32 };

static const cz_param_entry param[PARAMS] = {{"latents", 2, {3, 4}, 0}, {"bias", 1, {5, 0}, 16}};

static void write_meta(fuzz *f, hid_t file)
{
    hid_t meta = H5Gcreate2(file, "meta", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    fuzz_numbers(f, meta, "schema", H5T_STD_I64LE, 1, &(int64_t){CZ_SCHEMA});
    fuzz_attribute(f, meta, "backend", "cpu, portable, fp32");
    fuzz_numbers(f, meta, "workers", H5T_STD_I64LE, 1, &(int64_t){2});
    fuzz_attribute(f, meta, "config_hash", "00000000000000a1");
    fuzz_attribute(f, meta, "data_hash", "00000000000000b2");
    fuzz_attribute(f, meta, "config", "{}\n");
    H5Gclose(meta);
}

static void write_progress(fuzz *f, hid_t file)
{
    const hsize_t sums = CZ_PROGRESS_SUMS;
    hid_t group = H5Gcreate2(file, "progress", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    int64_t *partial = fuzz_wholes(f, CZ_PROGRESS_SUMS, 7);
    for (int i = 0; i < CZ_MEMBERS; i++) {
        bool whole = cz_progress_member[i].kind != CZ_MEMBER_DOUBLE;
        fuzz_numbers(f, group, cz_progress_member[i].name, whole ? H5T_STD_I64LE : H5T_IEEE_F64LE,
                     1, whole ? (const void *)&(int64_t){i} : &(double){0.5});
    }
    fuzz_close(fuzz_dataset(f, group, "partial", H5T_IEEE_F64LE, 1, &sums, partial, NULL));
    free(partial);
    H5Gclose(group);
}

static void write_table(fuzz *f, hid_t file)
{
    cz_table_row row[PARAMS + 1] = {{"", 0, 0, 0, 0}};
    hid_t group = H5Gcreate2(file, "params", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t memory = cz_table_type(false),
          stored = fuzz_seldom(f) ? fuzz_odd_type(f) : cz_table_type(true);
    hsize_t rows = fuzz_seldom(f) ? fuzz_below(f, PARAMS + 2) : PARAMS;
    for (int i = 0; i < PARAMS; i++) {
        row[i] = cz_table_row_of(&param[i]);
        if (fuzz_seldom(f)) row[i].rank = (int32_t)fuzz_whole(f);
        if (fuzz_seldom(f)) row[i].rows = (int32_t)fuzz_whole(f);
        if (fuzz_seldom(f)) row[i].offset = fuzz_whole(f);
        if (fuzz_seldom(f)) memset(row[i].name, 'x', sizeof row[i].name);
    }
    hid_t space = H5Screate_simple(1, &rows, NULL);
    hid_t table = H5Dcreate2(group, "table", stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (table >= 0 && !fuzz_seldom(f)) H5Dwrite(table, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, row);
    fuzz_close(table);
    H5Sclose(space);
    H5Tclose(stored);
    H5Tclose(memory);
    H5Gclose(group);
}

static void write_file(fuzz *f)
{
    const hsize_t size = SIZE;
    hid_t file = H5Fcreate(fuzz_path(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (!fuzz_seldom(f)) write_meta(f, file);
    if (!fuzz_seldom(f)) write_progress(f, file);
    if (!fuzz_seldom(f)) write_table(f, file);
    hid_t state = H5Gcreate2(file, "state", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    for (int i = 0; i < CZ_STATES; i++)
        fuzz_close(fuzz_dataset(f, file, cz_state_path[i], H5T_IEEE_F32LE, 1, &size, NULL, NULL));
    H5Gclose(state);
    H5Fclose(file);
}

static const char SIGNATURE[8] = {'\211', 'H', 'D', 'F', '\r', '\n', '\032', '\n'};

/* The signature of HDF5 stands at 0, 512, 1024, ...: everywhere, to be sure. */
static bool is_hdf5(const fuzz *f)
{
    return memmem(f->at, (size_t)(f->end - f->at), SIGNATURE, sizeof SIGNATURE) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cz_findings findings;
    fuzz f = {data, data + size};
    unsigned how = fuzz_below(&f, 3);
    char *config = NULL;
    cz_checkpoint mine = {.params = param, .count = PARAMS, .n = SIZE, .dtype = CZ_F32};
    if (fuzz_below(&f, 2)) mine.config_hash = 0xa1;
    if (how == 0) write_file(&f);
    else fuzz_write(f.at, (size_t)(f.end - f.at));
    if (how == 1 && is_hdf5(&f)) return -1;
    if (how != 2) fuzz_must(!cz_seal(fuzz_path()));
    memset(&findings, 0, sizeof findings);
    snprintf(findings.path, sizeof findings.path, "%s", fuzz_path());
    hsize_t before = fuzz_handles();
    cz_status status = cz_checkpoint_check(&findings, &config, &mine);
    fuzz_must(fuzz_handles() == before);
    if (fuzz_good(status, CZ_ERR_INPUT, CZ_ERR_MEMORY)) {
        fuzz_must(how == 0 && !findings.damaged && config);
        fuzz_must(findings.config_size == strlen(config) + 1);
        fuzz_must(!mine.config_hash || findings.config_hash == mine.config_hash);
        fuzz_must(memchr(findings.backend, 0, sizeof findings.backend));
    }
    free(config);
    return 0;
}
