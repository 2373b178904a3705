/* Numbers stored as bf16, both ways, through every variant that stores them: all that there are,
 * everything around the borders between them, and what is no ordinary number. */
#include "variants.h"

/* Rows of an odd length, so that conversions end in parts of vectors. */
enum { NUMBERS = 1 << 16, COLS = 37, PAD = 3, ROWS = (NUMBERS + COLS - 1) / COLS };
enum { INFINITE = 0x7f80, SIGN = 0x8000, LEAST_NORMAL = 0x0080 };

static cz_arena scratch;

static uint16_t half_at(cz_tensor t, int i)
{
    uint16_t half;
    memcpy(&half, cz_at(t, i / COLS, i % COLS), sizeof half);
    return half;
}
static uint32_t word_at(cz_tensor t, int i)
{
    uint32_t word;
    memcpy(&word, cz_at(t, i / COLS, i % COLS), sizeof word);
    return word;
}
static double word_value(uint32_t word)
{
    float x;
    memcpy(&x, &word, sizeof x);
    return (double)x;
}

/* Elements of all bits set, padding included. */
static cz_tensor open_tensor(cz_dtype dtype)
{
    cz_tensor t = cz_matrix(NULL, dtype, ROWS, COLS);
    t.ld = COLS + PAD;
    t.data = shared_room((size_t)ROWS * (COLS + PAD) * cz_dtype_size(dtype));
    memset(t.data, 0xff, (size_t)ROWS * (COLS + PAD) * cz_dtype_size(dtype));
    return t;
}

static bool copied(cz_exec *exec, cz_tensor y, cz_tensor x)
{
    return !variant_wait(exec, cz_copy(exec, y, x));
}

static bool padding_untouched(cz_tensor t)
{
    unsigned char ones[PAD * sizeof(float)];
    memset(ones, 0xff, sizeof ones);
    bool same = true;
    for (int r = 0; r < ROWS; r++)
        same = same && !memcmp(cz_at(t, r, COLS), ones, PAD * cz_dtype_size(t.dtype));
    return same;
}

static bool is_nan(uint16_t half) { return (half & ~SIGN) > INFINITE; }
static bool is_denormal(uint16_t half) { return (half & ~SIGN) < LEAST_NORMAL && half & ~SIGN; }

/* Whether `got` is what `x` may become: the nearest, a quiet NaN of a NaN, and above the
 * portable level a zero of what is smaller than any normal number. */
static bool narrowed_right(uint16_t got, double x, bool flushes)
{
    if (isnan(x)) return is_nan(got) && got & 0x40;
    if (flushes && fabs(x) < 0x1p-126)
        return (got & ~SIGN) == 0 && (got & SIGN) == (signbit(x) ? SIGN : 0);
    return got == bf16_of(x);
}

/* Every bf16 read into fp32, exactly, and stored again. */
static void check_round_trip(const cz_backend *backend, bool flushes)
{
    cz_exec exec = variant_exec(backend, NULL, &scratch);
    cz_tensor stored = open_tensor(CZ_BF16), wide = open_tensor(CZ_F32),
              back = open_tensor(CZ_BF16);
    for (int i = 0; i < NUMBERS; i++) {
        uint16_t half = (uint16_t)i;
        memcpy(cz_at(stored, i / COLS, i % COLS), &half, sizeof half);
    }
    bool read = copied(&exec, wide, stored) && padding_untouched(wide);
    bool stays = copied(&exec, back, wide) && padding_untouched(back);
    for (int i = 0; i < NUMBERS; i++) {
        uint16_t half = (uint16_t)i;
        read = read && (word_at(wide, i) == (uint32_t)half << 16 ||
                        (is_nan(half) && isnan(word_value(word_at(wide, i)))));
        bool same = half_at(back, i) == (is_nan(half) ? half | 0x40 : half);
        bool zero = flushes && is_denormal(half) && half_at(back, i) == (half & SIGN);
        stays = stays && (same || zero);
    }
    const char *name = cz_backend_name(backend);
    check(read, "%s: all 65536 bf16 are read exactly", name);
    check(stays, "%s: and stored as they were, a NaN quiet", name);
    shared_free(stored.data);
    shared_free(wide.data);
    shared_free(back.data);
}

/* Between each number and the next: just below the middle, the middle, just above, and the last
 * before the next. */
static void check_rounding(const cz_backend *backend, bool flushes)
{
    static const uint32_t beyond[] = {0x0001, 0x7fff, 0x8000, 0x8001, 0xffff};
    cz_exec exec = variant_exec(backend, NULL, &scratch);
    cz_tensor wide = open_tensor(CZ_F32), stored = open_tensor(CZ_BF16);
    bool right = true;
    for (size_t k = 0; k < sizeof beyond / sizeof *beyond; k++) {
        for (int i = 0; i < NUMBERS; i++) {
            uint32_t word = (uint32_t)i << 16 | beyond[k];
            memcpy(cz_at(wide, i / COLS, i % COLS), &word, sizeof word);
        }
        right = right && copied(&exec, stored, wide) && padding_untouched(stored);
        for (int i = 0; i < NUMBERS; i++)
            right =
                right && narrowed_right(half_at(stored, i), word_value(word_at(wide, i)), flushes);
    }
    check(right, "%s: what lies between two is stored as the nearer, a tie as the even one",
          cz_backend_name(backend));
    shared_free(wide.data);
    shared_free(stored.data);
}

/* The same by name, against figures written down. */
static void check_borders(const cz_backend *backend)
{
    static const struct border {
        uint32_t from;
        uint16_t to;
    } borders[] = {
        {0x7f7f7fff, 0x7f7f}, /* the last that is nearer to the largest */
        {0x7f7f8000, 0x7f80}, /* a tie with what would come next: infinite */
        {0x7f7fffff, 0x7f80}, /* the largest fp32 */
        {0xff7fffff, 0xff80}, {0x7f800000, 0x7f80}, {0xff800000, 0xff80}, /* infinities */
        {0x7f800001, 0x7fc0},                       /* a NaN in the lower half only */
        {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, /* ties */
        {0x00000000, 0x0000}, {0x80000000, 0x8000}, /* zeros keep their sign */
    };
    enum { COUNT = sizeof borders / sizeof *borders };
    cz_exec exec = variant_exec(backend, NULL, &scratch);
    uint32_t *from = shared_room(COUNT * sizeof *from);
    uint16_t *to = shared_room(COUNT * sizeof *to);
    for (int i = 0; i < COUNT; i++) from[i] = borders[i].from;
    bool right = copied(&exec, cz_matrix(to, CZ_BF16, 1, COUNT), cz_matrix(from, CZ_F32, 1, COUNT));
    for (int i = 0; i < COUNT; i++) right = right && to[i] == borders[i].to;
    check(right, "%s: too large becomes infinite, a NaN stays one, zeros keep their sign",
          cz_backend_name(backend));
    shared_free(from);
    shared_free(to);
}

/* In products what is smaller than any normal number is exact, or 0 above the portable level, or
 * either on a GPU, by which of its units its library takes; what is too large is infinite. */
static void check_products(const cz_backend *backend, bool flushes)
{
    enum { N = 3 };
    const double x[N] = {0x1p-130, 0x1p-80, -0x1p120}, w[N] = {0x1p10, 0x1p-60, 0x1p10};
    cz_exec exec = variant_exec(backend, NULL, &scratch);
    uint16_t *stored = shared_room(N * sizeof *stored);
    float *wide = shared_room(N * sizeof *wide), *y = shared_room(N * sizeof *y);
    for (int i = 0; i < N; i++) {
        write_number(&stored[i], CZ_BF16, x[i]);
        wide[i] = (float)w[i];
        cz_tensor xi = cz_matrix(&stored[i], CZ_BF16, 1, 1), wi = cz_matrix(&wide[i], CZ_F32, 1, 1);
        cz_tensor yi = cz_matrix(&y[i], CZ_F32, 1, 1), absent = {0};
        if (variant_wait(&exec, cz_linear_forward(&exec, yi, xi, wi, absent, CZ_LINEAR, NULL, 0)))
            y[i] = NAN;
    }
    bool exact = y[0] == 0x1p-120f && y[1] == 0x1p-140f, none = y[0] == 0 && y[1] == 0;
    bool either = cz_backend_on_gpu(backend) && (y[0] == 0 || y[0] == 0x1p-120f) &&
                  (y[1] == 0 || y[1] == 0x1p-140f);
    check((flushes ? none : exact || either) && y[2] == -INFINITY,
          "%s: products of the smallest are %s, of the largest infinite", cz_backend_name(backend),
          flushes ? "0"
          : exact ? "exact"
                  : "exact or 0");
    shared_free(stored);
    shared_free(wide);
    shared_free(y);
}

int main(void)
{
    scratch = shared_arena((size_t)16 << 20);
    for (int v = 0; v < VARIANTS; v++) {
        if (backend_variants[v].dtype != CZ_BF16 || !variant_or_skip(v)) continue;
        bool flushes = backend_variants[v].level > CZ_LEVEL_PORTABLE;
        check_round_trip(variant_backend(v), flushes);
        check_rounding(variant_backend(v), flushes);
        check_borders(variant_backend(v));
        check_products(variant_backend(v), flushes);
    }
    shared_arena_free(&scratch);
    return check_done();
}
