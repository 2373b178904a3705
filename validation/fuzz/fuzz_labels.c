/* A table of label vectors: the walk of its probe, and what takes the probe's answer apart; that
 * also with the input itself as the answer, where its first byte is odd. */
#include "data/label_table.c" /* unpack() is its own */
#include "fuzz_h5.h"

enum { LABELS = 4, WIDTH = 3 };

static void write_table(fuzz *f)
{
    static const char *const usual[LABELS] = {"neuron", "astrocyte", "T cell", "a \"b\" {c}"};
    const hsize_t dim[2] = {LABELS, WIDTH};
    hid_t file = H5Fcreate(fuzz_path(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t string = fuzz_string(H5T_VARIABLE, true);
    char **label = fuzz_texts(f, LABELS, usual, LABELS);
    int64_t *value = fuzz_wholes(f, LABELS * WIDTH, 5);
    fuzz_close(fuzz_dataset(f, file, "labels", string, 1, dim, NULL, label));
    fuzz_close(fuzz_dataset(f, file, "vectors", H5T_IEEE_F32LE, 2, dim, value, NULL));
    fuzz_free_texts(label);
    free(value);
    H5Tclose(string);
    H5Fclose(file);
}

static void take_apart(const cz_bytes *answer, bool trusted)
{
    cz_label_table read = {0};
    cz_status status = unpack(&read, answer, "labels.h5");
    if (trusted) fuzz_must(!status);
    if (fuzz_good(status, CZ_ERR_INPUT, CZ_ERR_MEMORY))
        for (int i = 0; i < read.rows; i++) fuzz_must(cz_label_row(&read, read.label[i]) >= 0);
    cz_label_table_free(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz f = {data, data + size};
    cz_bytes answer = {0};
    if (fuzz_byte(&f) & 1) {
        cz_bytes_put(&answer, f.at, (size_t)(f.end - f.at));
        take_apart(&answer, false);
    } else {
        write_table(&f);
        hsize_t before = fuzz_handles();
        cz_status status = labels_probe(&answer, fuzz_path(), strlen(fuzz_path()) + 1);
        fuzz_must(fuzz_handles() == before);
        if (fuzz_good(status, CZ_ERR_INPUT, CZ_ERR_MEMORY)) take_apart(&answer, true);
    }
    cz_bytes_free(&answer);
    return 0;
}
