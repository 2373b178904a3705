/* safetensors files: what PyTorch and czhpc wrote is read, each type right, and whatever else a
 * file may say is refused with a message. */
#include "check.h"
#include "czhpc/file.h"
#include "czhpc/rng.h"
#include "czhpc/safetensors.h"
#include "czhpc/store.h"
#include "czhpc/text.h"

#include <unistd.h>

#define FIXTURE "validation/fixtures/dtypes.safetensors"

enum { FILE_MAX = 1 << 18, HALVES = 1 << 16, MUTANTS = 20000 };

static char made[] = "/tmp/czhpc-safetensors-XXXXXX";

/* A file of a header and its data, in memory that ends where the file does. */
typedef struct image {
    char *bytes;
    size_t size;
} image;

static image compose(const char *header, const void *data, size_t size)
{
    size_t length = strlen(header);
    image f = {malloc(8 + length + size), 8 + length + size};
    for (int i = 0; i < 8; i++) f.bytes[i] = (char)(length >> 8 * i);
    memcpy(f.bytes + 8, header, length);
    if (data) memcpy(f.bytes + 8 + length, data, size);
    else memset(f.bytes + 8 + length, 1, size);
    return f;
}

static image copy_of(const char *bytes, size_t size)
{
    image f = {malloc(size ? size : 1), size};
    memcpy(f.bytes, bytes, size);
    return f;
}

static image read_file(const char *path)
{
    static char bytes[FILE_MAX];
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (file) fclose(file);
    return copy_of(bytes, size);
}

static bool same_value(float a, float b)
{
    return (isnan(a) && isnan(b)) || !memcmp(&a, &b, sizeof a);
}

static bool same_shape(const cz_stored_tensor *a, const cz_stored_tensor *b)
{
    return a->rank == b->rank && a->elements == b->elements &&
           !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim);
}

/* ---- what is read ---- */

static void check_twin(const cz_safetensors *file, const char *name, const char *dtype)
{
    float got[64], want[64];
    char twin[64];
    snprintf(twin, sizeof twin, "%s.f32", name);
    const cz_stored_tensor *t = cz_safetensors_find(file, name);
    const cz_stored_tensor *f32 = cz_safetensors_find(file, twin);
    bool ok = t && f32 && !strcmp(t->dtype, dtype) && same_shape(t, f32) && t->elements <= 64 &&
              cz_stored_is_float(t);
    if (ok) {
        cz_stored_copy(got, t);
        cz_stored_copy(want, f32);
        for (size_t i = 0; i < t->elements; i++) ok = ok && same_value(got[i], want[i]);
    }
    check(ok, "%s of PyTorch's as fp32", name);
}

static void check_fixture(void)
{
    cz_safetensors *file;
    if (!check(!cz_safetensors_open(&file, FIXTURE), "%s%s", FIXTURE, cz_error_message())) return;
    check_twin(file, "f64", "F64");
    check_twin(file, "f32", "F32");
    check_twin(file, "f16", "F16");
    check_twin(file, "bf16", "BF16");
    check_twin(file, "scalar", "BF16");
    check_twin(file, "empty", "F16");
    int others = 0;
    bool found = true, sorted = true;
    for (int i = 0; i < file->count; i++) {
        const cz_stored_tensor *t = &file->tensor[i];
        found = found && cz_safetensors_find(file, t->name) == t;
        sorted = sorted && (i == 0 || strcmp(file->tensor[i - 1].name, t->name) < 0);
        others += !strncmp(t->name, "other.", 6) && !cz_stored_is_float(t) && t->elements == 3;
    }
    check(found && sorted && file->count == 20, "tensors are sorted and found by name");
    check(others == 8, "types that are no numbers of ours are stepped over");
    check(!cz_safetensors_find(file, "f33") && !cz_safetensors_find(file, ""),
          "a name that is not there");
    cz_safetensors_close(file);
    cz_safetensors_close(NULL);
}

static void check_round_trip(void)
{
    /* Offsets leave holes, as the alignment of the flat arrays does. */
    static const cz_param_entry table[] = {{"proj.weight", 2, {2, 3}, 0},
                                           {"proj.bias", 1, {3, 0}, 16},
                                           {"norm.weight", 1, {1, 0}, 32}};
    static const char *const metadata[] = {"format", "pt", "note", "a \"quoted\" \xc3\xa4\n"};
    float w[48];
    for (int i = 0; i < 48; i++) w[i] = (float)i / 7 - 3;
    cz_safetensors *file = NULL;
    cz_status status = cz_safetensors_write(made, table, 3, w, CZ_F32, metadata, 2);
    if (!status) status = cz_safetensors_open(&file, made);
    bool ok = !status && file->count == 3;
    for (int i = 0; i < 3 && ok; i++) {
        const cz_stored_tensor *t = cz_safetensors_find(file, table[i].name);
        ok = t && !strcmp(t->dtype, "F32") && t->rank == table[i].rank &&
             t->elements == cz_param_size(&table[i]);
        for (int axis = 0; axis < table[i].rank && ok; axis++)
            ok = t->dim[axis] == table[i].dim[axis];
        const float *values = ok ? cz_stored_in_place(t) : NULL;
        ok = values && !memcmp(values, w + table[i].offset, t->elements * sizeof *w);
    }
    check(ok, "what czhpc wrote is read, in place%s", cz_error_message());
    cz_error_clear();
    cz_safetensors_close(file);
}

static float half_by_arithmetic(unsigned bits)
{
    int exponent = (int)(bits >> 10 & 31), fraction = (int)(bits & 1023);
    double size = exponent == 0    ? ldexp(fraction, -24)
                  : exponent == 31 ? (fraction ? NAN : INFINITY)
                                   : ldexp(1024 + fraction, exponent - 25);
    return (float)(bits & 0x8000 ? -size : size);
}

static float bfloat_by_arithmetic(unsigned bits)
{
    int exponent = (int)(bits >> 7 & 255), fraction = (int)(bits & 127);
    double size = exponent == 0     ? ldexp(fraction, -133)
                  : exponent == 255 ? (fraction ? NAN : INFINITY)
                                    : ldexp(128 + fraction, exponent - 134);
    return (float)(bits & 0x8000 ? -size : size);
}

/* All patterns of 16 bits; `pad` spaces behind the header move the data to every address. */
static void check_halves(const char *dtype, float (*value)(unsigned), int pad)
{
    static uint16_t bits[HALVES];
    static float got[HALVES];
    char header[128];
    cz_safetensors *file;
    for (unsigned i = 0; i < HALVES; i++) bits[i] = (uint16_t)i;
    snprintf(header, sizeof header,
             "{\"a\":{\"dtype\":\"%s\",\"shape\":[256,256],\"data_offsets\":[0,%d]}}%*s", dtype,
             2 * HALVES, pad, "");
    image f = compose(header, bits, sizeof bits);
    bool ok = !cz_safetensors_parse(&file, "memory", f.bytes, f.size);
    if (ok) {
        cz_stored_copy(got, &file->tensor[0]);
        for (unsigned i = 0; i < HALVES; i++) ok = ok && same_value(got[i], value(i));
        ok = ok && !cz_stored_in_place(&file->tensor[0]);
        cz_safetensors_close(file);
    }
    check(ok, "%s: all 65,536 patterns, %zu bytes off alignment", dtype,
          (8 + strlen(header)) % sizeof(float));
    free(f.bytes);
}

/* F32 and F64 on every address. */
static void check_alignment(void)
{
    static const struct {
        double wide[4];
        float single[2];
    } data = {{0.1, 1e39, -1e-45, 1 + 0x1p-24}, {-0.1f, 1e-40f}};
    static const float want[6] = {0.1f, INFINITY, -0x1p-149f, 1, -0.1f, 1e-40f};
    bool ok = true;
    for (int pad = 0; pad < 8; pad++) {
        char header[200];
        float got[6];
        cz_safetensors *file;
        snprintf(header, sizeof header,
                 "{\"d\":{\"dtype\":\"F64\",\"shape\":[4],\"data_offsets\":[0,32]},"
                 "\"s\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[32,40]}}%*s",
                 pad, "");
        image f = compose(header, &data, sizeof data);
        if (cz_safetensors_parse(&file, "memory", f.bytes, f.size)) exit(2);
        cz_stored_copy(got, &file->tensor[0]);
        cz_stored_copy(got + 4, &file->tensor[1]);
        for (int i = 0; i < 6; i++) ok = ok && same_value(got[i], want[i]);
        const float *in_place = cz_stored_in_place(&file->tensor[1]);
        bool aligned = (8 + strlen(header)) % sizeof(float) == 0;
        ok = ok && !cz_stored_in_place(&file->tensor[0]);
        ok = ok && in_place == (aligned ? file->tensor[1].data : NULL);
        cz_safetensors_close(file);
        free(f.bytes);
    }
    check(ok, "F64 and F32 on every address, in place where they are aligned");
}

static cz_status parse(const char *header, size_t size)
{
    cz_safetensors *file;
    image f = compose(header, NULL, size);
    cz_status status = cz_safetensors_parse(&file, "memory", f.bytes, f.size);
    cz_safetensors_close(file);
    free(f.bytes);
    return status;
}

static void check_sizes(void)
{
    static const struct {
        const char *dtype;
        int size;
    } types[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1},
                 {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
                 {"U32", 4},  {"F32", 4}, {"I64", 8}, {"U64", 8},     {"F64", 8}};
    bool good = true, bad = true;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char header[128];
        size_t bytes = 3 * (size_t)types[i].size;
        for (size_t size = bytes - 1; size <= bytes + 1; size++) {
            snprintf(header, sizeof header,
                     "{\"a\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%zu]}}",
                     types[i].dtype, size);
            cz_status status = parse(header, size);
            if (size == bytes) good = good && !status;
            else bad = bad && status == CZ_ERR_INPUT;
            cz_error_clear();
        }
    }
    check(good && bad, "all 15 types of the format, and their sizes");
    check(!parse("{}", 0) && !parse("{\"__metadata__\":{}} ", 0), "no tensors at all");
    check(!parse("{\"e\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]},"
                 "\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[4,8]},"
                 "\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}",
                 8),
          "an empty tensor between two, no axes, 8 axes, another order%s", cz_error_message());
}

/* ---- what is refused ---- */

static void refused(const char *what, cz_status status, const char *message)
{
    bool ok = status == CZ_ERR_INPUT && strstr(cz_error_message(), message);
    if (!check(ok, "refused: %s", what)) printf("     %d %s\n", status, cz_error_message());
    cz_error_clear();
}

static void check_entries(void)
{
#define TENSOR(dtype, shape, offsets)                                                              \
    "{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(dtype, shape, offsets) "{\"a\":" TENSOR(dtype, shape, offsets) "}"
#define TWO(x, y) "{\"a\":" TENSOR("\"U8\"", "[4]", x) ",\"b\":" TENSOR("\"U8\"", "[4]", y) "}"
    static const struct {
        const char *header;
        size_t size;
        const char *message;
    } cases[] = {
        {"[]", 0, "does not begin with '{'"},
        {" {}", 0, "does not begin with '{'"},
        {"", 0, "does not begin with '{'"},
        {"{", 0, "is not JSON: string or '}' expected"},
        {"{\"a\":1}}", 0, "is not JSON"},
        {"{\"a\":\"\xff\"}", 0, "is not JSON"},
        {"{\"a\\u0000\":1}", 0, "is not JSON"},
        {"{\"a\":1,\"a\":1}", 0, "has \"a\" twice, at byte 10 of it"},
        {"{\"a\":[]}", 0, "memory: a: is no object"},
        {"{\"a\":{\"shape\":[],\"data_offsets\":[0,4]}}", 4, "has no dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "has no shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 4, "has no data_offsets"},
        {ONE("4", "[]", "[0,4]"), 4, "dtype is no text"},
        {ONE("\"F4\"", "[]", "[0,4]"), 4, "dtype F4 is unknown"},
        {ONE("\"f32\"", "[]", "[0,4]"), 4, "dtype f32 is unknown"},
        {ONE("\"F32\"", "1", "[0,4]"), 4, "shape is no list"},
        {ONE("\"F32\"", "[1,-1]", "[0,4]"), 4, "axis 1 of its shape"},
        {ONE("\"F32\"", "[1.0]", "[0,4]"), 4, "axis 0 of its shape"},
        {ONE("\"F32\"", "[\"1\"]", "[0,4]"), 4, "axis 0 of its shape"},
        {ONE("\"F32\"", "[null]", "[0,4]"), 4, "axis 0 of its shape"},
        {ONE("\"F32\"", "[9223372036854775808]", "[0,4]"), 4, "too big"},
        {ONE("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "has 9 axes"},
        {ONE("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 0, "more elements"},
        {ONE("\"F64\"", "[2305843009213693952]", "[0,0]"), 0,
         "span 0 bytes, which 2305843009213693952 elements"},
        {ONE("\"F32\"", "[1]", "[-4,0]"), 4, "begin at -4"},
        {ONE("\"F32\"", "[1]", "[4,0]"), 4, "end at 0, before they begin at 4"},
        {ONE("\"F32\"", "[1]", "[0]"), 4, "data_offsets are not two whole numbers"},
        {ONE("\"F32\"", "[1]", "[0,4,4]"), 4, "data_offsets are not two whole numbers"},
        {ONE("\"F32\"", "[1]", "[0,4.0]"), 4, "data_offsets are not two whole numbers"},
        {ONE("\"F32\"", "[1]", "{}"), 4, "data_offsets are not two whole numbers"},
        {ONE("\"F32\"", "[1]", "[0,4]"), 3,
         "ends at byte 4 of the data, of which there are 3: the file is truncated"},
        {ONE("\"F32\"", "[1]", "[9223372036854775803,9223372036854775807]"), 4, "truncated"},
        {ONE("\"F32\"", "[2]", "[0,4]"), 4, "span 4 bytes, which 2 elements of F32"},
        {ONE("\"F32\"", "[1]", "[0,4]"), 5, "1 bytes follow the last tensor"},
        {ONE("\"F32\"", "[1]", "[4,8]"), 8, "a hole of 4 bytes lies before it"},
        {"{}", 4, "4 bytes follow the last tensor"},
        {TWO("[0,4]", "[3,7]"), 7,
         "b: overlaps a: it begins at byte 3 of the data, which ends at 4"},
        {TWO("[0,4]", "[0,4]"), 4, "overlaps a: it begins at byte 0"},
        {TWO("[5,9]", "[0,4]"), 9, "a: a hole of 1 bytes"},
        {TWO("[0,4]", "[4,8]"), 9, "1 bytes follow the last tensor"},
        {"{\"__metadata__\":1}", 0, "__metadata__: is no object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__: its a is no text"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(cases[i].message, parse(cases[i].header, cases[i].size), cases[i].message);
}

static cz_status parse_bytes(const char *bytes, size_t size)
{
    cz_safetensors *file;
    image f = copy_of(bytes, size);
    cz_status status = cz_safetensors_parse(&file, "memory", f.bytes, f.size);
    cz_safetensors_close(file);
    free(f.bytes);
    return status;
}

static cz_status open_file(const char *path)
{
    cz_safetensors *file;
    cz_status status = cz_safetensors_open(&file, path);
    cz_safetensors_close(file);
    return status;
}

static void check_files(void)
{
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
    refused("a file that is missing", open_file("/no/such/file"), "No such file");
    refused("a folder", open_file("/tmp"), "is a folder");
    if (cz_write_file(made, "", 0)) exit(2);
    refused("an empty file", open_file(made), "is empty");
    refused("7 bytes", parse_bytes("\2\0\0\0\0\0\0", 7), "is truncated: a safetensors file");
    refused("a header beyond the end", parse_bytes("\3\0\0\0\0\0\0\0{}", 10),
            "is truncated: its header has 3 bytes, of which 2 are there");
    refused("100,000,000 bytes of header", parse_bytes("\0\xe1\xf5\5\0\0\0\0{}", 10),
            "is truncated: its header has 100000000 bytes");
    refused("100,000,001 bytes of header", parse_bytes("\1\xe1\xf5\5\0\0\0\0{}", 10),
            "would have 100000001 bytes, expected 100000000 at most");
    refused("2^64 - 1 bytes of header", parse_bytes("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10),
            "would have 18446744073709551615 bytes");
    refused("a pickle", parse_bytes("\x80\2\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.", 14),
            "it is no safetensors file");
    refused("a git-lfs pointer", parse_bytes(pointer, sizeof pointer - 1), "git lfs pull");
}

/* Names of a file must not move the cursor of a terminal, nor fill the screen. */
static void check_names(void)
{
    bool ok = parse("{\"a\\u001b[31m\\n\xc2\x9b\x7f\xc3\xa4\":1}", 0) == CZ_ERR_INPUT;
    check(ok && strstr(cz_error_message(), ": a\\x1b[31m\\x0a\\x9b\\x7f\xc3\xa4: is no"),
          "control characters of a name are written as numbers");
    cz_error_clear();
    refused("no name", parse("{\"\":1}", 0), "memory: \"\": is no object");
    bool cut = true;
    for (int shift = 0; shift < 4; shift++) {
        char header[4000] = "{\"", *at = header + 2;
        for (int i = 0; i < shift; i++) *at++ = 'x';
        for (int i = 0; i < 300; i++) at = stpcpy(at, "\xf0\x9f\xa7\xac");
        strcpy(at, "\":1}");
        ok = parse(header, 0) == CZ_ERR_INPUT;
        const char *message = cz_error_message();
        size_t length = strlen(message);
        cut = cut && ok && length < 200 && cz_text_utf8(message, length) == length &&
              strstr(message, "\xf0\x9f\xa7\xac...: is no object");
        cz_error_clear();
    }
    check(cut, "long names are cut between characters");
}

/* A message about a name that stands twice finds it, whatever is in it, and at once. */
static void check_twice(void)
{
    enum { LONG = 4000000 };
    refused("a part that stands twice", parse("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 0),
            "its header has \"dtype\" twice");
    refused("a name with quotes twice", parse("{\"a\\\"\\\\\":1,\"a\\\"\\\\\":1}", 0),
            "its header has \"a\\\"\\\\\" twice");
    char *header = malloc(2 * LONG + 32), *at = header;
    for (int name = 0; name < 2; name++) {
        at = stpcpy(at, name ? ",\"" : "{\"");
        memset(at, '\\', LONG);
        at = stpcpy(at + LONG, "\":1");
    }
    strcpy(at, "}");
    refused("a name of 2,000,000 backslashes twice", parse(header, 0), "...");
    free(header);
}

/* ---- damage ---- */

static void check_truncation(void)
{
    image whole = read_file(FIXTURE);
    size_t size = 0;
    bool ok = whole.size > 1000;
    for (; size < whole.size && ok; size++) {
        ok = parse_bytes(whole.bytes, size) == CZ_ERR_INPUT && cz_error_message()[0];
        cz_error_clear();
    }
    check(ok, "%s is refused at every length (%zu)", FIXTURE, size);
    check(!parse_bytes(whole.bytes, whole.size), "and whole it is not");
    free(whole.bytes);
}

/* Whatever opens can be used. */
static bool usable(const cz_safetensors *file, const image *f)
{
    float values[256];
    bool ok = true;
    for (int i = 0; i < file->count && ok; i++) {
        const cz_stored_tensor *t = &file->tensor[i];
        const char *data = t->data;
        ok = data >= f->bytes && data <= f->bytes + f->size &&
             t->elements <= f->size - (size_t)(data - f->bytes) &&
             cz_safetensors_find(file, t->name) == t;
        if (ok && cz_stored_is_float(t) && t->elements <= 256) cz_stored_copy(values, t);
    }
    return ok;
}

static void check_mutants(void)
{
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"}," //
        "\"a.weight\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
        "\"b\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[12,20]},"
        "\"c\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[20,40]}}";
    static const char signs[] = "{}[]\",:0123456789-.eE\\ \0\xff";
    cz_rng rng = cz_rng_open(2, 0, 0, CZ_RNG_SYNTHETIC, 0);
    int opened = 0, wrong = 0;
    for (int m = 0; m < MUTANTS; m++) {
        cz_safetensors *file;
        image f = compose(header, NULL, 40);
        for (uint32_t i = 0, times = 1 + cz_rng_below(&rng, 3); i < times; i++) {
            char random = (char)cz_rng_below(&rng, 256), sign = signs[cz_rng_below(&rng, 23)];
            f.bytes[cz_rng_below(&rng, (uint32_t)f.size)] = cz_rng_below(&rng, 2) ? random : sign;
        }
        cz_status status = cz_safetensors_parse(&file, "memory", f.bytes, f.size);
        if (!status) {
            opened++;
            wrong += !usable(file, &f) || cz_error_message()[0];
        } else {
            wrong += status != CZ_ERR_INPUT || !cz_error_message()[0] || file;
        }
        cz_error_clear();
        cz_safetensors_close(file);
        free(f.bytes);
    }
    check(!wrong && opened > 100, "of %d damaged files %d open, the others are refused", MUTANTS,
          opened);
}

int main(void)
{
    int handle = mkstemp(made);
    if (handle < 0) return 2;
    close(handle);
    check_fixture();
    check_round_trip();
    for (int pad = 0; pad < 2; pad++) {
        check_halves("F16", half_by_arithmetic, pad);
        check_halves("BF16", bfloat_by_arithmetic, pad);
    }
    check_alignment();
    check_sizes();
    check_entries();
    check_files();
    check_names();
    check_twice();
    check_truncation();
    check_mutants();
    unlink(made);
    return check_done();
}
