/* Operations on rows and vectors: Adam, add, copy, zero, gather. Each result is computed a second
 * time here, plainly and in double. */
#include "operands.h"

static cz_arena scratch;
static const cz_step chosen = {.seed = 0x1234567890abcdef,
                               .phase = 3,
                               .step = 41,
                               .lambda = 0.35,
                               .lr = 3e-4,
                               .bias1 = 0.271,
                               .bias2 = 0.00299};
static cz_step *step; /* a copy that every variant may read */

static void check_adam(const cz_backend *backend)
{
    cz_exec exec = variant_exec(backend, step, &scratch);
    cz_dtype dtype = cz_dtype_wide(cz_backend_dtype(backend));
    const double decay = 1e-2;
    double worst = 0;
    bool ran = true;
    for (int n = 0; n < 70; n++) {
        cz_tensor t[4], want[3]; /* w, m, v, g */
        for (unsigned i = 0; i < 4; i++) t[i] = random_tensor(dtype, 1, n, 1, 50 + i);
        for (unsigned i = 0; i < 3; i++) want[i] = random_tensor(CZ_F64, 1, n, 0, 50 + i);
        for (int i = 0; i < n; i++) {
            put(t[2], 0, i, fabs(get(t[2], 0, i)) * 1e-4);
            double w = get(t[0], 0, i), g = get(t[3], 0, i) + decay * w;
            double m = 0.9 * get(t[1], 0, i) + (1 - 0.9) * g;
            double v = 0.999 * get(t[2], 0, i) + (1 - 0.999) * g * g;
            put(want[1], 0, i, m);
            put(want[2], 0, i, v);
            put(want[0], 0, i,
                w - step->lr / step->bias1 * m / (sqrt(v) / sqrt(step->bias2) + 1e-8));
        }
        cz_tensor vector[4];
        for (int i = 0; i < 4; i++) vector[i] = cz_vector(t[i].data, dtype, n);
        ran &=
            !variant_wait(&exec, cz_adam(&exec, vector[0], vector[1], vector[2], vector[3], decay));
        for (int i = 0; i < 3; i++) worst = fmax(worst, distance(t[i], want[i]));
        for (int i = 0; i < 4; i++) drop_tensor(t[i]);
        for (int i = 0; i < 3; i++) drop_tensor(want[i]);
    }
    check(ran && worst < variant_tolerance(dtype), "%s: Adam, worst distance %.1e",
          cz_backend_name(backend), worst);
}

/* Of every pair of types that rows may have. */
static void check_sums(const cz_backend *backend)
{
    enum { N = 9, C = 37 };
    cz_exec exec = variant_exec(backend, step, &scratch);
    cz_dtype stored = cz_backend_dtype(backend), types[] = {stored, cz_dtype_wide(stored)};
    bool added = true, reversed = true, copied = true, zeroed = true;
    for (int i = 0; i < 4; i++) {
        cz_dtype to = types[i & 1], from = types[i / 2];
        cz_tensor a = random_tensor(to, N, C, 3, 1), b = random_tensor(from, N, C, 1, 2);
        cz_tensor sum = nan_tensor(CZ_F64, N, C, 0), back = nan_tensor(CZ_F64, N, C, 0);
        for (int n = 0; n < N; n++)
            for (int c = 0; c < C; c++) {
                put(sum, n, c, get(a, n, c) + get(b, n, c));
                put(back, n, c, get(a, n, c) - step->lambda * get(b, n, c));
            }
        added &=
            !variant_wait(&exec, cz_add(&exec, a, b)) && distance(a, sum) < variant_tolerance(to);
        fill(a, to, 1);
        reversed &= !variant_wait(&exec, cz_add_reversed(&exec, a, b)) &&
                    distance(a, back) < variant_tolerance(to);
        copied &= !variant_wait(&exec, cz_copy(&exec, a, b));
        for (int n = 0; n < N; n++)
            for (int c = 0; c < C; c++) copied &= get(a, n, c) == rounded_to(to, get(b, n, c));
        zeroed &= !variant_wait(&exec, cz_zero(&exec, a));
        for (int n = 0; n < N; n++)
            for (int c = 0; c < C; c++) zeroed &= get(a, n, c) == 0;
        copied &= isnan(get(a, N - 1, C)); /* the padding */
        drop_tensor(a), drop_tensor(b), drop_tensor(sum), drop_tensor(back);
    }
    const char *name = cz_backend_name(backend);
    check(added, "%s: add", name);
    check(reversed, "%s: add reversed", name);
    check(copied && zeroed, "%s: copy and zero", name);
}

static void check_gather(const cz_backend *backend)
{
    enum { N = 9, C = 37, M = 5 };
    cz_exec exec = variant_exec(backend, step, &scratch);
    cz_dtype dtype = cz_backend_dtype(backend);
    const int32_t some[N] = {4, 0, 0, 3, 2, 1, 4, 4, 2}, outside[N] = {0, 1, 5};
    int32_t *index = shared_room(sizeof some);
    memcpy(index, some, sizeof some);
    cz_tensor x = random_tensor(CZ_F32, M, C, 2, 3), y = nan_tensor(dtype, N, C, 2);
    bool ran = !variant_wait(&exec, cz_gather_rows(&exec, y, x, index));
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++) ran &= get(y, n, c) == rounded_to(dtype, get(x, index[n], c));
    const char *name = cz_backend_name(backend);
    check(ran, "%s: gather", name);
    if (!exec.gpu) /* a GPU does not look */
        check(cz_gather_rows(&exec, y, x, outside) == CZ_ERR_BUG &&
                  strstr(cz_error_message(), "index 5"),
              "%s: a row that is not there is refused", name);
    cz_error_clear();
    drop_tensor(x), drop_tensor(y);
    shared_free(index);
}

int main(void)
{
    scratch = shared_arena((size_t)16 << 20);
    step = shared_room(sizeof *step);
    *step = chosen;
    for (int v = 0; v < VARIANTS; v++) {
        const cz_backend *backend = variant_or_skip(v);
        if (!backend) continue;
        check_adam(backend);
        check_sums(backend);
        check_gather(backend);
    }
    shared_arena_free(&scratch);
    shared_free(step);
    return check_done();
}
