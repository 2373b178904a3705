/* Exported weights, byte by byte. With a path as argument: only writes that file, for
 * test_safetensors.sh, which reads it with the library that owns the format. */
#include "check.h"
#include "czhpc/safetensors.h"

#include <stdint.h>
#include <unistd.h>

/* Offsets leave holes, as the alignment of the flat arrays does: the file has none. */
static const cz_param_entry table[] = {
    {"proj.weight", 2, {2, 3}, 0}, {"proj.bias", 1, {3, 0}, 16}, {"norm.weight", 1, {1, 0}, 32}};
enum { COUNT = 3, VALUES = 10 };
static const float value[VALUES] = {1, -2, 0.5f, 3.25f, 1e-20f, -0.0f, 7, 8, 9, 0.1f};
static const char *const metadata[] = {"format", "pt", "note", "a \"quoted\" \xc3\xa4\n"};

static void fill(float *w32, double *w64)
{
    int next = 0;
    for (int i = 0; i < 48; i++) w32[i] = 777, w64[i] = 777;
    for (int p = 0; p < COUNT; p++)
        for (size_t i = 0; i < cz_param_size(&table[p]); i++, next++) {
            w32[table[p].offset + i] = value[next];
            /* Rounds to the same fp32. */
            w64[table[p].offset + i] = value[next] * (1 + 0x1p-40);
        }
}

static size_t read_file(char *bytes, size_t size, const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t got = file ? fread(bytes, 1, size, file) : 0;
    if (file) fclose(file);
    return got;
}

static void check_bytes(const char *path, const char *json, const char *what)
{
    char got[2048], want[2048] = {0};
    size_t length = strlen(json), size = read_file(got, sizeof got, path);
    size_t padded = (length + 7) / 8 * 8, total = 8 + padded + sizeof value;
    want[0] = (char)(padded & 255);
    want[1] = (char)(padded >> 8);
    memset(want + 8, ' ', padded);
    memcpy(want + 8, json, length);
    memcpy(want + 8 + padded, value, sizeof value);
    if (!check(size == total && !memcmp(got, want, total), "%s", what))
        printf("     %zu bytes, %zu expected: %.*s\n", size, total, (int)padded, got + 8);
}

int main(int argc, char **argv)
{
    float w32[48];
    double w64[48];
    char path[64];
    fill(w32, w64);
    if (argc > 1)
        return cz_safetensors_write(argv[1], table, COUNT, w32, CZ_F32, metadata, 2) != CZ_OK;

    snprintf(path, sizeof path, "/tmp/test_safetensors-%d", (int)getpid());
    cz_status status = cz_safetensors_write(path, table, COUNT, w32, CZ_F32, metadata, 2);
    check(!status, "written with metadata");
    check_bytes(path,
                "{\"__metadata__\":{\"format\":\"pt\",\"note\":\"a \\\"quoted\\\" \xc3\xa4\\n\"},"
                "\"proj.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                "\"proj.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[24,36]},"
                "\"norm.weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[36,40]}}",
                "header, padding and numbers");
    status = cz_safetensors_write(path, table, COUNT, w64, CZ_F64, NULL, 0);
    check(!status, "written from fp64, over the former");
    check_bytes(path,
                "{\"proj.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                "\"proj.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[24,36]},"
                "\"norm.weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[36,40]}}",
                "the same numbers rounded, no metadata");
    unlink(path);

    cz_param_entry twice[2] = {table[0], table[0]};
    check(cz_safetensors_write(path, twice, 2, w32, CZ_F32, NULL, 0) == CZ_ERR_BUG &&
              access(path, F_OK),
          "a name that occurs twice is refused");
    cz_error_clear();
    static const char *const bad[] = {"note", "\xff\xfe"};
    check(cz_safetensors_write(path, table, COUNT, w32, CZ_F32, bad, 1) == CZ_ERR_BUG,
          "metadata that is not UTF-8 is refused");
    cz_error_clear();
    check(cz_safetensors_write("/no/such/folder/x", table, COUNT, w32, CZ_F32, NULL, 0) ==
                  CZ_ERR_IO &&
              strstr(cz_error_message(), "No such file"),
          "a folder that is missing");
    return check_done();
}
