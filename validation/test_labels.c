/* Vectors of labels: the committed table, and tables that must be refused. */
#include "check.h"
#include "czhpc/data.h"
#include "czhpc/label_table.h"

#include <hdf5.h>
#include <unistd.h>

#define TABLE "configs/labels.h5"

static cz_config config;
static char made[] = "/tmp/czhpc-labels-XXXXXX";

/* What a table is made wrong by. */
typedef enum fault {
    GOOD,
    NO_LABELS,
    NO_VECTORS,
    FLAT,
    ROWS,
    WHOLE,
    NUMBERS,
    NOT_A_NUMBER,
    TWICE,
    NOT_UTF8,
    FAULTS
} fault;

/* Two labels with vectors of three. */
static void write_table(fault wrong)
{
    const char *labels[] = {"neuron", wrong == TWICE ? "neuron" : "mural cell"};
    if (wrong == NOT_UTF8) labels[1] = "\xff\xfe";
    float vectors[] = {1, 2, 3, 4, wrong == NOT_A_NUMBER ? NAN : 5, 6};
    hsize_t rows = 2, shape[2] = {wrong == ROWS ? 1 : 2, 3}, flat = 6;
    hid_t file = H5Fcreate(made, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, H5T_VARIABLE);
    hid_t line = H5Screate_simple(1, &rows, NULL);
    hid_t grid =
        wrong == FLAT ? H5Screate_simple(1, &flat, NULL) : H5Screate_simple(2, shape, NULL);
    if (wrong != NO_LABELS) {
        hid_t set = H5Dcreate2(file, "labels", wrong == NUMBERS ? H5T_NATIVE_INT : text, line,
                               H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        if (wrong != NUMBERS) H5Dwrite(set, text, H5S_ALL, H5S_ALL, H5P_DEFAULT, labels);
        H5Dclose(set);
    }
    if (wrong != NO_VECTORS) {
        hid_t type = wrong == WHOLE ? H5T_NATIVE_INT : H5T_NATIVE_FLOAT;
        hid_t set = H5Dcreate2(file, "vectors", type, grid, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, vectors);
        H5Dclose(set);
    }
    H5Sclose(line);
    H5Sclose(grid);
    H5Tclose(text);
    H5Fclose(file);
}

/* The table is refused, and the message holds `words`. */
static void refused(const char *path, char *const *label, int count, const char *words)
{
    float *vectors;
    int width;
    snprintf(config.text.table, sizeof config.text.table, "%s", path);
    cz_status status = cz_label_vectors(&vectors, &width, label, count, &config);
    check(status == CZ_ERR_INPUT && !vectors && strstr(cz_error_message(), words), "refused: %s",
          cz_error_message());
    cz_error_clear();
}

static void check_committed(void)
{
    char *label[] = {"neuron", "memory B cell", "GABAergic neuron"};
    float *vectors = NULL, *as_read = NULL;
    int width = 0, plain = 0;
    strcpy(config.text.table, TABLE);
    config.text.width = 768;
    cz_status status = cz_label_vectors(&vectors, &width, label, 3, &config);
    if (!check(!status && width == 768, "the committed table, padded to 768: %s",
               cz_error_message()))
        return;
    config.text.width = 0;
    status = cz_label_vectors(&as_read, &plain, label, 3, &config);
    bool same = !status && plain == 384, zeros = true, differ = false;
    for (int i = 0; i < 3 && same; i++) {
        same = !memcmp(vectors + i * 768, as_read + i * 384, 384 * sizeof(float));
        for (int c = 384; c < 768; c++) zeros &= vectors[i * 768 + c] == 0;
        differ |= i > 0 && memcmp(as_read, as_read + i * 384, 384 * sizeof(float));
    }
    check(same && zeros && differ, "its vectors, 384 wide, are filled up with zeros");
    free(vectors);
    free(as_read);
}

static void check_made(void)
{
    char *label[] = {"mural cell", "neuron"};
    float *vectors = NULL;
    int width = 0;
    strcpy(config.text.table, made);
    config.model.tokens = 2;
    write_table(GOOD);
    cz_status status = cz_label_vectors(&vectors, &width, label, 2, &config);
    const float expected[] = {4, 5, 6, 0, 1, 2, 3, 0};
    check(!status && width == 4 && !memcmp(vectors, expected, sizeof expected),
          "rows are found by name, and filled up to whole tokens");
    free(vectors);
    char *unknown[] = {"neuron", "Neuron", "mural cel", "astrocyte of nowhere"};
    refused(made, unknown, 4,
            "no vector for 3 of 4 labels: 'Neuron' (near: 'neuron'), "
            "'mural cel' (near: 'mural cell'), 'astrocyte of nowhere'.");
    config.text.width = 2;
    refused(made, label, 2, "3 wide, text.width is 2");
    config.text.width = 0;
    static const char *const words[FAULTS] = {
        [NO_LABELS] = "labels: ",
        [NO_VECTORS] = "vectors: ",
        [FLAT] = "1 axes, expected 2",
        [ROWS] = "the shape (1, 3) for 2 labels",
        [WHOLE] = "does not hold floating-point numbers",
        [NUMBERS] = "does not hold strings",
        [NOT_A_NUMBER] = "'mural cell' is not finite at 1",
        [TWICE] = "'neuron' stands twice",
        [NOT_UTF8] = "text 1 is not UTF-8",
    };
    for (int wrong = GOOD + 1; wrong < FAULTS; wrong++) {
        write_table((fault)wrong);
        refused(made, label, 2, words[wrong]);
    }
}

static void check_files(void)
{
    char *label[] = {"neuron"};
    write_table(GOOD);
    if (truncate(made, 1500)) perror("truncate");
    refused(made, label, 1, made);
    if (truncate(made, 0)) perror("truncate");
    refused(made, label, 1, "not an HDF5 file");
    refused("/nowhere/labels.h5", label, 1, "No such file");
    refused("/tmp", label, 1, "folder");
    refused("LICENSE", label, 1, "not an HDF5 file");
}

int main(int argc, char **argv)
{
    cz_data_serve_probe(argc, argv);
    int handle = mkstemp(made);
    if (handle >= 0) close(handle);
    config.model.tokens = 8;
    check_committed();
    check_made();
    check_files();
    unlink(made);
    return check_done();
}
