/* The HDF5 helpers: what is written is read back, and what cannot be read says why. */
#include "check.h"
#include "czhpc/h5.h"

#include <unistd.h>

static char path[64];

static bool said(const char *part)
{
    bool has = strstr(cz_error_message(), part) != NULL;
    if (!has) printf("     message: %s\n", cz_error_message());
    cz_error_clear();
    return has;
}

static void write_file(void)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t group = H5Gcreate2(file, "a", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    check(!cz_h5_write_string(group, "text", "Zelltyp \xc3\xa4") &&
              !cz_h5_write_string(group, "text", "twice") &&
              !cz_h5_write_int(group, "whole", -7000000000) &&
              !cz_h5_write_double(group, "real", 0.1),
          "attributes are written, and replaced");

    hsize_t n = 3;
    const char *words[] = {"one", NULL, "three"};
    const char *fixed = "abc\0\0de\0\0\0longy";
    hid_t space = H5Screate_simple(1, &n, NULL), variable = H5Tcopy(H5T_C_S1);
    H5Tset_size(variable, H5T_VARIABLE);
    hid_t five = H5Tcopy(H5T_C_S1);
    H5Tset_size(five, 5);
    hid_t set =
        H5Dcreate2(group, "variable", variable, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(set, variable, H5S_ALL, H5S_ALL, H5P_DEFAULT, words);
    cz_h5_close(&set);
    set = H5Dcreate2(group, "fixed", five, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(set, five, H5S_ALL, H5S_ALL, H5P_DEFAULT, fixed);
    hid_t attribute =
        H5Acreate2(set, "fixed", five, H5Screate(H5S_SCALAR), H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, five, "exact");
    cz_h5_close(&attribute);
    cz_h5_close(&set);
    set = H5Dcreate2(group, "number", H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    check(cz_h5_close(&set) && set < 0 && cz_h5_close(&set), "closing twice is harmless");
    cz_h5_close(&space);
    cz_h5_close(&variable);
    cz_h5_close(&five);
    cz_h5_close(&group);
    cz_h5_close(&file);
}

static void check_values(hid_t group)
{
    char *text = NULL;
    int64_t whole = 0;
    double real = 0;
    check(!cz_h5_read_string(group, "text", &text) && !strcmp(text, "twice"), "string attribute");
    free(text);
    check(!cz_h5_read_int(group, "whole", &whole) && whole == -7000000000, "integer attribute");
    check(!cz_h5_read_double(group, "real", &real) && real == 0.1, "double attribute");
    check(!cz_h5_read_double(group, "whole", &real) && real == -7e9, "an integer read as double");
    check(cz_h5_read_int(group, "real", &whole) == CZ_ERR_INPUT &&
              said("/a/real: attribute is not"),
          "a double is not an integer");
    check(cz_h5_read_string(group, "gone", &text) == CZ_ERR_INPUT && !text && said("a/gone"),
          "a missing attribute is named");
    check(cz_h5_read_string(group, "real", &text) == CZ_ERR_INPUT && said("not a string"),
          "a number is not a string");
}

static void check_strings(hid_t group)
{
    hid_t set;
    char **words;
    size_t count;
    check(!cz_h5_open_dataset(&set, group, "variable") &&
              !cz_h5_read_strings(set, &words, &count) && count == 3 && !strcmp(words[0], "one") &&
              !words[1][0] && !strcmp(words[2], "three"),
          "variable strings, one of them NULL");
    cz_h5_free_strings(words, count);
    cz_h5_close(&set);

    char *text = NULL;
    check(!cz_h5_open_dataset(&set, group, "fixed") && !cz_h5_read_strings(set, &words, &count) &&
              count == 3 && !strcmp(words[0], "abc") && !strcmp(words[2], "longy"),
          "fixed strings, one without a final 0");
    cz_h5_free_strings(words, count);
    check(!cz_h5_read_string(set, "fixed", &text) && !strcmp(text, "exact"), "a fixed attribute");
    free(text);
    cz_h5_close(&set);

    check(!cz_h5_open_dataset(&set, group, "number") &&
              cz_h5_read_strings(set, &words, &count) == CZ_ERR_INPUT && !words && !count &&
              said("/a/number: does not hold strings"),
          "numbers are not strings");
    cz_h5_close(&set);
}

static void check_files(void)
{
    hid_t file;
    check(cz_h5_open_file(&file, "/no/such.h5") == CZ_ERR_INPUT && file < 0 && said("No such file"),
          "a missing file");
    check(cz_h5_open_file(&file, "/tmp") == CZ_ERR_INPUT && said("folder"), "a folder");
    check(cz_h5_open_file(&file, "/dev/zero") == CZ_ERR_INPUT && said("no regular file"),
          "a device, which like a pipe might never end");
    check(cz_h5_open_file(&file, "/proc/self/exe") == CZ_ERR_INPUT && said("not an HDF5"),
          "another kind of file");
    if (!check(!truncate(path, 600) && cz_h5_open_file(&file, path) == CZ_ERR_INPUT &&
                   said("truncated"),
               "a file cut short gives HDF5's reason"))
        cz_h5_close(&file);
}

int main(void)
{
    hid_t file = H5I_INVALID_HID, group = H5I_INVALID_HID, other;
    snprintf(path, sizeof path, "/tmp/test_h5-%d.h5", (int)getpid());
    cz_h5_quiet();
    write_file();

    check(!cz_h5_open_file(&file, path) && !cz_h5_open_group(&group, file, "a"), "opened");
    check(cz_h5_has(file, "a/fixed") && cz_h5_has(file, "/a") && !cz_h5_has(file, "a/b/c") &&
              !cz_h5_has(file, "x/y") && cz_h5_has_attribute(group, "text"),
          "what is there and what is not");
    check(cz_h5_open_dataset(&other, file, "a") == CZ_ERR_INPUT && said("a: is not a dataset") &&
              other < 0 && cz_h5_open_group(&other, group, "gone") == CZ_ERR_INPUT &&
              said(".h5: /a/gone: is missing"),
          "another kind, and a missing object, are named");
    check_values(group);
    check_strings(group);
    cz_h5_close(&group);
    cz_h5_close(&file);
    check_files();
    unlink(path);
    return check_done();
}
