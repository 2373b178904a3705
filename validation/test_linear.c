/* Linear layers with all that is fused into them, masks, levels, and refusals, those of rows too.
 * Each result is computed a second time here, plainly and in double. */
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
static const cz_tensor none;

static cz_status linear(cz_exec *exec, cz_tensor y, cz_tensor x, cz_tensor w, cz_tensor bias,
                        cz_activation act, const cz_dropout *drop, int cells)
{
    return variant_wait(exec, cz_linear_forward(exec, y, x, w, bias, act, drop, cells));
}
static cz_status linear_input(cz_exec *exec, cz_tensor dx, cz_tensor dy, cz_tensor w,
                              cz_tensor gate, double p)
{
    return variant_wait(exec, cz_linear_backward_input(exec, dx, dy, w, gate, p, false));
}
static cz_status linear_weight(cz_exec *exec, cz_tensor dw, cz_tensor dbias, cz_tensor dy,
                               cz_tensor x)
{
    return variant_wait(exec, cz_linear_backward_weight(exec, dw, dbias, dy, x, true));
}

/* Whether an element is kept, by the definition in ops.h. */
static bool kept(const cz_dropout *drop, int cell, int e)
{
    cz_block block =
        cz_philox(step->seed, drop->cell[cell], step->step,
                  cz_counter(CZ_RNG_DROPOUT + drop->site, (uint32_t)e / 8), step->phase);
    uint32_t half = block.v[e % 8 / 2] >> (e % 2 ? 16 : 0) & 0xffff;
    return half >= (uint32_t)floor(65536 * drop->p + 0.5);
}

/* A dropout site for `cells` cells of `elements` each, its bits set to 1 before. */
typedef struct site {
    cz_dropout drop;
    uint32_t *cell;
} site;

static void site_open(site *s, unsigned number, double p, int cells, int elements)
{
    size_t size = (size_t)cells * cz_mask_bytes(elements);
    s->cell = shared_room((size_t)cells * sizeof *s->cell);
    s->drop = (cz_dropout){number, p, s->cell, shared_room(size + 1)};
    memset(s->drop.bits, 0xff, size + 1);
    for (int b = 0; b < cells; b++) s->cell[b] = 1000003u * (uint32_t)(b + 1);
}
static void site_close(site *s)
{
    shared_free(s->drop.bits);
    shared_free(s->cell);
}

/* Every bit of every cell's mask, and none beyond. */
static bool site_bits_right(const site *s, int cells, int elements)
{
    size_t bytes = cz_mask_bytes(elements);
    bool right = s->drop.bits[(size_t)cells * bytes] == 0xff;
    for (int b = 0; b < cells; b++)
        for (int e = 0; e < (int)bytes * 8; e++) {
            bool bit = s->drop.bits[(size_t)b * bytes + (size_t)e / 8] >> e % 8 & 1;
            right &= bit == (e < elements && kept(&s->drop, b, e));
        }
    return right;
}

static void define_forward(cz_tensor y, cz_tensor x, cz_tensor w, cz_tensor bias, cz_activation act,
                           const cz_dropout *drop, int cells)
{
    int C = cz_cols(y), rows = cells ? cz_rows(y) / cells : 0;
    for (int n = 0; n < cz_rows(y); n++)
        for (int c = 0; c < C; c++) {
            double sum = bias.data ? get(bias, 0, c) : 0;
            for (int k = 0; k < cz_cols(x); k++) sum += get(x, n, k) * get(w, c, k);
            if (act == CZ_RELU && sum < 0) sum = 0;
            if (act == CZ_GELU) sum *= erfc(-sum * sqrt(0.5)) / 2;
            if (drop) sum *= kept(drop, n / rows, n % rows * C + c) ? cz_dropout_scale(drop->p) : 0;
            put(y, n, c, sum);
        }
}

/* All combinations of bias, activation and dropout, at odd sizes; y of either type. */
static void check_forward(const cz_backend *backend)
{
    cz_exec exec = variant_exec(backend, step, &scratch);
    cz_dtype dtype = cz_backend_dtype(backend), wide = cz_dtype_wide(dtype);
    const int sizes[][4] = {
        {1, 1, 1, 1}, {3, 5, 13, 40}, {4, 2, 64, 30}, {5, 1, 531, 7}, {0, 0, 4, 4}};
    double worst = 0, worst_wide = 0;
    bool bits = true, ran = true;
    for (int i = 0; i < 60; i++) {
        const int *size = sizes[i / 12];
        int cells = size[0], N = cells * size[1], C = size[2], K = size[3];
        cz_tensor x = random_tensor(dtype, N, K, i % 3, 1), w = random_weights(dtype, C, K, 0, 2);
        cz_tensor bias = i & 1 ? as_vector(random_tensor(wide, 1, C, 0, 3)) : none;
        cz_activation act = (cz_activation)(i / 4 % 3);
        cz_tensor y = nan_tensor(dtype, N, C, i % 4), want = nan_tensor(CZ_F64, N, C, 0);
        cz_tensor y_wide = nan_tensor(wide, N, C, i % 5);
        site s;
        site_open(&s, (unsigned)i, i == 14 ? 0 : 0.2, cells, size[1] * C);
        const cz_dropout *drop = i & 2 ? &s.drop : NULL;
        ran &= !linear(&exec, y_wide, x, w, bias, act, drop, cells);
        if (drop) memset(s.drop.bits, 0xff, (size_t)cells * cz_mask_bytes(size[1] * C));
        ran &= !linear(&exec, y, x, w, bias, act, drop, cells);
        define_forward(want, x, w, bias, act, drop, cells);
        worst = fmax(worst, distance(y, want));
        worst_wide = fmax(worst_wide, distance(y_wide, want));
        if (drop) bits &= site_bits_right(&s, cells, size[1] * C);
        site_close(&s);
        drop_tensor(x), drop_tensor(w), drop_tensor(bias), drop_tensor(y), drop_tensor(want);
        drop_tensor(y_wide);
    }
    const char *name = cz_backend_name(backend);
    check(ran && worst < variant_tolerance(dtype),
          "%s: bias, activation, dropout: worst distance %.1e", name, worst);
    check(ran && worst_wide < variant_tolerance(wide),
          "%s: the same of the type of weights: worst distance %.1e", name, worst_wide);
    check(bits, "%s: mask bits are those of cz_philox", name);
}

/* Masks of many lengths, at thresholds from none to nearly all. */
static void check_masks(const cz_backend *backend)
{
    cz_exec exec = variant_exec(backend, step, &scratch);
    cz_dtype dtype = cz_backend_dtype(backend);
    bool right = true;
    double share = 0;
    for (int C = 1; C < 700; C += 1 + C / 9) {
        const double rates[] = {0, 0.11378010821029086, 0.5, 0.9999};
        site s;
        site_open(&s, (unsigned)C % 240, rates[C % 4], 2, C);
        cz_tensor x = nan_tensor(dtype, 2, 0, 1), w = random_weights(dtype, C, 0, 1, 2);
        cz_tensor y = nan_tensor(dtype, 2, C, 0);
        right &= !linear(&exec, y, x, w, none, CZ_LINEAR, &s.drop, 2);
        right &= site_bits_right(&s, 2, C);
        site_close(&s);
        drop_tensor(x), drop_tensor(w), drop_tensor(y);
    }
    enum { MANY = 80000 };
    site s;
    site_open(&s, 7, 0.11378010821029086, 1, MANY);
    cz_tensor x = random_tensor(dtype, 1, 1, 0, 1), w = random_weights(dtype, MANY, 1, 0, 2);
    cz_tensor y = nan_tensor(dtype, 1, MANY, 0);
    right &= !linear(&exec, y, x, w, none, CZ_LINEAR, &s.drop, 1);
    right &= site_bits_right(&s, 1, MANY);
    for (int i = 0; i < MANY; i++) share += (double)(s.drop.bits[i / 8] >> i % 8 & 1) / MANY;
    const char *name = cz_backend_name(backend);
    check(right, "%s: masks of 1 to 700 and of 80000 elements, bit for bit", name);
    /* five standard deviations of a share of MANY draws */
    check(fabs(share - (1 - s.drop.p)) < 5 * sqrt(s.drop.p / MANY), "%s: kept %.4f of %.4f", name,
          share, 1 - s.drop.p);
    site_close(&s);
    drop_tensor(x), drop_tensor(w), drop_tensor(y);
}

/* A draw that is the threshold itself is kept: p is taken from the draws. */
static void check_threshold(const cz_backend *backend)
{
    enum { C = 64 };
    cz_exec exec = variant_exec(backend, step, &scratch);
    cz_dtype dtype = cz_backend_dtype(backend);
    cz_tensor x = nan_tensor(dtype, 1, 0, 1), w = random_weights(dtype, C, 0, 1, 2);
    cz_tensor y = nan_tensor(dtype, 1, C, 0);
    bool right = true;
    for (int e = 0; e < C; e++) {
        site s;
        site_open(&s, 2, 0, 1, C);
        cz_block block = cz_philox(step->seed, s.cell[0], step->step,
                                   cz_counter(CZ_RNG_DROPOUT + 2, (uint32_t)e / 8), step->phase);
        s.drop.p = (block.v[e % 8 / 2] >> (e % 2 ? 16 : 0) & 0xffff) / 65536.0;
        right &= !linear(&exec, y, x, w, none, CZ_LINEAR, &s.drop, 1);
        right &= (s.drop.bits[e / 8] >> e % 8 & 1) && site_bits_right(&s, 1, C);
        site_close(&s);
    }
    check(right, "%s: a draw at the threshold is kept", cz_backend_name(backend));
    drop_tensor(x), drop_tensor(w), drop_tensor(y);
}

/* A NaN goes through, so that a diverged layer is seen; through ReLU a GPU's library promises none,
 * and its weights are looked at instead (mpi_gpu). */
static void check_nan(const cz_backend *backend, cz_activation act, const char *name)
{
    enum { C = 21 };
    cz_exec exec = variant_exec(backend, step, &scratch);
    cz_dtype dtype = cz_backend_dtype(backend);
    cz_tensor x = nan_tensor(dtype, 1, 3, 0), w = random_weights(dtype, C, 3, 0, 1);
    cz_tensor y = random_tensor(dtype, 1, C, 0, 2);
    bool all = !linear(&exec, y, x, w, none, act, NULL, 0);
    for (int c = 0; c < C; c++) all &= isnan(get(y, 0, c));
    check(all, "%s: NaN passes through %s", cz_backend_name(backend), name);
    drop_tensor(x), drop_tensor(w), drop_tensor(y);
}

static void check_backward(const cz_backend *backend)
{
    cz_exec exec = variant_exec(backend, step, &scratch);
    cz_dtype dtype = cz_backend_dtype(backend), wide = cz_dtype_wide(dtype);
    const int sizes[][3] = {{1, 1, 1}, {17, 33, 20}, {40, 9, 531}, {70, 150, 64}, {0, 5, 4}};
    double worst_x = 0, worst_b = 0;
    bool ran = true;
    for (int i = 0; i < 10; i++) {
        int N = sizes[i / 2][0], C = sizes[i / 2][1], K = sizes[i / 2][2];
        double p = i % 2 ? 0.25 : 0;
        cz_tensor dy = random_tensor(dtype, N, C, i, 4), w = random_weights(dtype, C, K, 1, 5);
        cz_tensor gate = random_tensor(dtype, N, K, 2, 6), dx = nan_tensor(dtype, N, K, 3);
        cz_tensor dw = random_tensor(wide, C, K, 0, 7), dbias = random_tensor(wide, 1, C, 0, 8);
        cz_tensor want = nan_tensor(CZ_F64, N, K, 0), sums = random_tensor(CZ_F64, 1, C, 0, 8);
        for (int n = 0; n < N; n++)
            for (int k = 0; k < K; k++) {
                double sum = 0;
                for (int c = 0; c < C; c++) sum += get(dy, n, c) * get(w, c, k);
                put(want, n, k, get(gate, n, k) > 0 ? sum * cz_dropout_scale(p) : 0);
            }
        for (int n = 0; n < N; n++)
            for (int c = 0; c < C; c++) put(sums, 0, c, get(sums, 0, c) + get(dy, n, c));
        ran &= !linear_input(&exec, dx, dy, w, gate, p) &&
               !linear_weight(&exec, dw, as_vector(dbias), dy, gate);
        worst_x = fmax(worst_x, distance(dx, want));
        worst_b = fmax(worst_b, distance(dbias, sums));
        drop_tensor(dy), drop_tensor(w), drop_tensor(gate), drop_tensor(dx), drop_tensor(dw);
        drop_tensor(dbias), drop_tensor(want), drop_tensor(sums);
    }
    const char *name = cz_backend_name(backend);
    check(ran && worst_x < variant_tolerance(dtype), "%s: dx through a gate, worst distance %.1e",
          name, worst_x);
    check(ran && worst_b < variant_tolerance(wide), "%s: dbias added, worst distance %.1e", name,
          worst_b);
}

/* dx added to, stored and wide. */
static void check_added(const cz_backend *backend)
{
    enum { N = 37, C = 21, K = 44 };
    cz_exec exec = variant_exec(backend, step, &scratch);
    cz_dtype dtype = cz_backend_dtype(backend), wide = cz_dtype_wide(dtype);
    double worst[2];
    bool ran = true;
    for (int i = 0; i < 2; i++) {
        cz_tensor dy = random_tensor(dtype, N, C, 1, 4), w = random_weights(dtype, C, K, 1, 5);
        cz_tensor dx = nan_tensor(i ? wide : dtype, N, K, 3), want = nan_tensor(CZ_F64, N, K, 0);
        fill(dx, dtype, 9);
        for (int n = 0; n < N; n++)
            for (int k = 0; k < K; k++) {
                double sum = get(dx, n, k);
                for (int c = 0; c < C; c++) sum += get(dy, n, c) * get(w, c, k);
                put(want, n, k, sum);
            }
        ran &= !variant_wait(&exec, cz_linear_backward_input(&exec, dx, dy, w, none, 0, true));
        worst[i] = distance(dx, want);
        drop_tensor(dy), drop_tensor(w), drop_tensor(dx), drop_tensor(want);
    }
    cz_tensor x = random_tensor(dtype, N, K, 0, 1), dy = random_tensor(dtype, N, C, 0, 2);
    cz_tensor w = random_weights(dtype, C, K, 0, 3), dx = nan_tensor(dtype, N, K, 0);
    bool refused = cz_linear_backward_input(&exec, dx, dy, w, x, 0, true) == CZ_ERR_BUG;
    cz_error_clear();
    drop_tensor(x), drop_tensor(dy), drop_tensor(w), drop_tensor(dx);
    check(ran && refused && worst[0] < variant_tolerance(dtype) &&
              worst[1] < variant_tolerance(dtype),
          "%s: dx added to, distance %.1e, wide %.1e", cz_backend_name(backend), worst[0],
          worst[1]);
}

/* Weights that activations' type does not hold are rounded to it, or not; no worse. */
static void check_weights(const cz_backend *backend)
{
    enum { N = 50, C = 40, K = 70 };
    cz_exec exec = variant_exec(backend, step, &scratch);
    cz_dtype dtype = cz_backend_dtype(backend), wide = cz_dtype_wide(dtype);
    cz_tensor x = random_tensor(dtype, N, K, 0, 1), w = random_tensor(wide, C, K, 0, 2);
    cz_tensor y = nan_tensor(wide, N, C, 0), dx = nan_tensor(dtype, N, K, 0);
    cz_tensor want = nan_tensor(CZ_F64, N, C, 0), dy = random_tensor(dtype, N, C, 0, 3);
    cz_tensor back = nan_tensor(CZ_F64, N, K, 0), turned = nan_tensor(CZ_F64, K, C, 0);
    for (int c = 0; c < C; c++)
        for (int k = 0; k < K; k++) put(turned, k, c, get(w, c, k));
    bool ran = !linear(&exec, y, x, w, none, CZ_LINEAR, NULL, 0) &&
               !linear_input(&exec, dx, dy, w, none, 0);
    define_forward(want, x, w, none, CZ_LINEAR, NULL, 0);
    define_forward(back, dy, turned, none, CZ_LINEAR, NULL, 0);
    double gap = distance(y, want), gap_back = distance(dx, back);
    check(ran && gap < variant_tolerance(dtype) && gap_back < 2 * variant_tolerance(dtype),
          "%s: any weights, %.1e and back %.1e", cz_backend_name(backend), gap, gap_back);
    drop_tensor(x), drop_tensor(w), drop_tensor(y), drop_tensor(dx), drop_tensor(want);
    drop_tensor(dy), drop_tensor(back), drop_tensor(turned);
}

/* Two layers, ReLU and dropout between them: every gradient against central differences of
 * sum(cotangent * y), the cotangent random. */
enum { CELLS = 3, ROWS = 2, IN = 5, HIDDEN = 11, OUT = 4, TENSORS = 5 };

typedef struct network {
    cz_tensor at[TENSORS]; /* x, w1, b1, w2, b2 */
    cz_tensor h, y, cotangent;
    site s;
} network;

static double network_loss(cz_exec *exec, network *net)
{
    linear(exec, net->h, net->at[0], net->at[1], as_vector(net->at[2]), CZ_RELU, &net->s.drop,
           CELLS);
    linear(exec, net->y, net->h, net->at[3], as_vector(net->at[4]), CZ_LINEAR, NULL, 0);
    double loss = 0;
    for (int n = 0; n < cz_rows(net->y); n++)
        for (int c = 0; c < OUT; c++) loss += get(net->cotangent, n, c) * get(net->y, n, c);
    return loss;
}

static double difference_gap(cz_exec *exec, network *net, cz_tensor at, cz_tensor gradient)
{
    const double h = 1e-5;
    cz_tensor want = nan_tensor(CZ_F64, cz_rows(at), cz_cols(at), 0);
    for (int r = 0; r < cz_rows(at); r++)
        for (int c = 0; c < cz_cols(at); c++) {
            double before = get(at, r, c);
            put(at, r, c, before + h);
            double up = network_loss(exec, net);
            put(at, r, c, before - h);
            double down = network_loss(exec, net);
            put(at, r, c, before);
            put(want, r, c, (up - down) / (2 * h));
        }
    double gap = distance(gradient, want);
    drop_tensor(want);
    return gap;
}

static void check_differences(void)
{
    cz_exec exec = variant_exec(cz_backend_cpu(CZ_F64, CZ_LEVEL_PORTABLE), step, &scratch);
    const int N = CELLS * ROWS,
              size[TENSORS][2] = {{N, IN}, {HIDDEN, IN}, {1, HIDDEN}, {OUT, HIDDEN}, {1, OUT}};
    const char *const name[TENSORS] = {"x", "w1", "bias1", "w2", "bias2"};
    network net = {.h = nan_tensor(CZ_F64, N, HIDDEN, 0),
                   .y = nan_tensor(CZ_F64, N, OUT, 0),
                   .cotangent = random_tensor(CZ_F64, N, OUT, 0, 20)};
    site_open(&net.s, 9, 0.3, CELLS, ROWS * HIDDEN);
    cz_tensor d[TENSORS], dh = nan_tensor(CZ_F64, N, HIDDEN, 0);
    for (int i = 0; i < TENSORS; i++) {
        net.at[i] = random_tensor(CZ_F64, size[i][0], size[i][1], 0, 30 + (unsigned)i);
        d[i] = nan_tensor(CZ_F64, size[i][0], size[i][1], 0);
        if (i) memset(d[i].data, 0, sizeof(double) * (size_t)(size[i][0] * size[i][1]));
    }
    network_loss(&exec, &net);
    linear_input(&exec, dh, net.cotangent, net.at[3], net.h, net.s.drop.p);
    linear_weight(&exec, d[3], as_vector(d[4]), net.cotangent, net.h);
    linear_input(&exec, d[0], dh, net.at[1], none, 0);
    linear_weight(&exec, d[1], as_vector(d[2]), dh, net.at[0]);
    for (int i = 0; i < TENSORS; i++) {
        double gap = difference_gap(&exec, &net, net.at[i], d[i]);
        check(gap < TOL_FINITE_DIFFERENCE, "finite differences in %s: distance %.1e", name[i], gap);
    }
    for (int i = 0; i < TENSORS; i++) drop_tensor(net.at[i]), drop_tensor(d[i]);
    drop_tensor(net.h), drop_tensor(net.y), drop_tensor(net.cotangent), drop_tensor(dh);
    site_close(&net.s);
}

/* The message has the operation and two shapes in it. */
static void check_refused(const char *what, cz_status status, const char *op, const char *one,
                          const char *other)
{
    const char *said = cz_error_message();
    check(status == CZ_ERR_BUG && strstr(said, op) && strstr(said, one) && strstr(said, other),
          "refused, %s: %s", what, said);
    cz_error_clear();
}

/* What is stored and what is wide are not taken for each other. */
static void check_refused_types(void)
{
    cz_exec exec = variant_exec(cz_backend_cpu(CZ_BF16, CZ_LEVEL_PORTABLE), step, &scratch);
    float wide[64] = {0};
    uint16_t data[64] = {0}, more[64] = {0};
    cz_tensor x = cz_matrix(data, CZ_BF16, 4, 3), w = cz_matrix(wide, CZ_F32, 5, 3);
    cz_tensor y = cz_matrix(more, CZ_BF16, 4, 5), bias = cz_vector(data, CZ_BF16, 5);
    cz_tensor x_wide = cz_matrix(wide, CZ_F32, 4, 3), w_stored = cz_matrix(data, CZ_BF16, 5, 3);
    check_refused("wide x", linear(&exec, y, x_wide, w, none, CZ_LINEAR, NULL, 0), "linear_forward",
                  "(4, 3) fp32", "bf16");
    check_refused("stored w", linear(&exec, y, x, w_stored, none, CZ_LINEAR, NULL, 0),
                  "linear_forward", "(5, 3) bf16", "(5, 3) fp32");
    check_refused("stored bias", linear(&exec, y, x, w, bias, CZ_LINEAR, NULL, 0), "linear_forward",
                  "(5) bf16", "(5) fp32");
    check_refused("wide dx", linear_input(&exec, x_wide, y, w, none, 0), "linear_backward_input",
                  "(4, 3) fp32", "bf16");
    check_refused("wide gate", linear_input(&exec, x, y, w, x_wide, 0), "linear_backward_input",
                  "(4, 3) fp32", "(4, 3) bf16");
    check_refused("stored dw", cz_linear_backward_weight(&exec, w_stored, none, y, x, true),
                  "linear_backward_weight", "(5, 3) bf16", "(5, 3) fp32");
    check_refused("stored dbias", cz_linear_backward_weight(&exec, w, bias, y, x, true),
                  "linear_backward_weight", "(5) bf16", "(5) fp32");
    check_refused("stored moments", cz_adam(&exec, bias, bias, bias, bias, 0), "cz_adam",
                  "(5) bf16", "fp32");
    check_refused("a gather from bf16", cz_gather_rows(&exec, x, x, NULL), "gather_rows",
                  "(4, 3) bf16", "(4, 3) fp32");
    cz_tensor twice = cz_matrix(wide, CZ_F64, 4, 3);
    check_refused("neither", cz_copy(&exec, x, twice), "cz_copy", "fp64", "bf16");
    check_refused("neither, added", cz_add(&exec, twice, x), "cz_add", "fp64", "bf16");
}

static void check_refusals(void)
{
    cz_exec exec = variant_exec(cz_backend_cpu(CZ_F32, CZ_LEVEL_PORTABLE), step, &scratch);
    float data[64] = {0}, more[64] = {0};
    uint8_t bits[8];
    uint32_t cell[2] = {0};
    cz_tensor x = cz_matrix(data, CZ_F32, 4, 3), w = cz_matrix(data, CZ_F32, 5, 3);
    cz_tensor y = cz_matrix(more, CZ_F32, 4, 5), bad = cz_matrix(data, CZ_F32, 5, 2);
    cz_tensor vector = cz_vector(data, CZ_F32, 4);
    cz_dropout drop = {0, 0.5, cell, bits};
    check_refused("w's inputs", linear(&exec, y, x, bad, none, CZ_LINEAR, NULL, 0),
                  "linear_forward", "(5, 2)", "(4, 3)");
    check_refused("y's outputs", linear(&exec, x, x, w, none, CZ_LINEAR, NULL, 0), "linear_forward",
                  "(4, 3)", "(5, 3)");
    check_refused("bias", linear(&exec, y, x, w, vector, CZ_LINEAR, NULL, 0), "linear_forward",
                  "(4) fp32", "(4, 5)");
    cz_tensor twice = cz_matrix(data, CZ_F64, 5, 3);
    check_refused("type", linear(&exec, y, x, twice, none, CZ_LINEAR, NULL, 0), "linear_forward",
                  "fp64", "fp32");
    cz_tensor narrow = w;
    narrow.ld = 2;
    check_refused("rows that overlap", linear(&exec, y, x, narrow, none, CZ_LINEAR, NULL, 0),
                  "linear_forward", "rows 2 apart", "(4, 3)");
    cz_tensor nothing = cz_matrix(NULL, CZ_F32, 5, 3);
    check_refused("no data", linear(&exec, y, x, nothing, none, CZ_LINEAR, NULL, 0),
                  "linear_forward", "no data", "(4, 3)");
    check_refused("rows of cells", linear(&exec, y, x, w, none, CZ_LINEAR, &drop, 3),
                  "linear_forward", "4 rows", "3 cells");
    drop.p = 1;
    check_refused("p of 1", linear(&exec, y, x, w, none, CZ_LINEAR, &drop, 2), "linear_forward",
                  "p 1", "(4, 5)");
    check_refused("dx", linear_input(&exec, x, y, bad, none, 0), "linear_backward_input", "(4, 3)",
                  "(5, 2)");
    check_refused("dx is dy", linear_input(&exec, cz_matrix(more, CZ_F32, 4, 3), y, w, none, 0),
                  "linear_backward_input", "dx", "dy");
    check_refused("gate", linear_input(&exec, x, y, w, y, 0), "linear_backward_input", "(4, 5)",
                  "(4, 3)");
    check_refused("dw", cz_linear_backward_weight(&exec, bad, none, y, x, true),
                  "linear_backward_weight", "(5, 2)", "(4, 3)");
    check_refused("dbias", cz_linear_backward_weight(&exec, w, vector, y, x, true),
                  "linear_backward_weight", "(4) fp32", "(4, 5)");
    check_refused("add", cz_add(&exec, y, x), "cz_add", "(4, 3)", "(4, 5)");
    check_refused("add reversed", cz_add_reversed(&exec, y, x), "add_reversed", "(4, 3)", "(4, 5)");
    check_refused("gather", cz_gather_rows(&exec, y, x, NULL), "gather_rows", "(4, 3)", "(4, 5)");
    check_refused("adam", cz_adam(&exec, vector, vector, vector, cz_vector(data, CZ_F32, 3), 0),
                  "cz_adam", "(3) fp32", "(4) fp32");
}

/* One of the variants that the tests walk through, which says what it is. */
static bool listed(const cz_backend *backend, cz_dtype dtype, cz_level level)
{
    for (int v = 0; v < VARIANTS; v++)
        if (backend_variants[v].dtype == dtype && backend_variants[v].level == level)
            return strcmp(cz_backend_name(backend), backend_variants[v].name) == 0 &&
                   cz_backend_dtype(backend) == dtype;
    return false;
}

static void check_levels(void)
{
    bool parsed = true, named = true, best = true;
    for (int i = 0; i < CZ_LEVELS; i++) {
        cz_level level = CZ_LEVELS;
        parsed &= cz_level_parse(cz_level_name((cz_level)i), &level) && level == (cz_level)i;
    }
    for (cz_dtype dtype = CZ_F32; dtype <= CZ_BF16; dtype++) {
        best &= cz_backend_cpu(dtype, CZ_LEVEL_PORTABLE) != NULL &&
                cz_backend_cpu(dtype, cz_level_best(dtype)) != NULL;
        for (cz_level level = CZ_LEVEL_PORTABLE; level < CZ_LEVELS; level++) {
            const cz_backend *backend = cz_backend_cpu(dtype, level);
            named &= !backend || listed(backend, dtype, level);
            best &= !backend || level <= cz_level_best(dtype);
        }
    }
    cz_level level;
    check(parsed && !cz_level_parse("avx", &level), "levels are parsed by their names");
    check(named, "every variant says what it is, and the tests walk through it");
    check(best, "there is a portable level of every type, and none above its best");
    check(!cz_backend_cpu(CZ_F64, CZ_LEVEL_AVX2) && !cz_backend_cpu(CZ_F32, CZ_LEVEL_AMX) &&
              !cz_backend_cpu(CZ_BF16, CZ_LEVEL_AVX2),
          "fp64 is portable only, fp32 has no tiles, AVX2 no bf16");
}

int main(void)
{
    scratch = shared_arena((size_t)16 << 20);
    step = shared_room(sizeof *step);
    *step = chosen;
    check_levels();
    check_refusals();
    check_refused_types();
    check_differences();
    for (int v = 0; v < VARIANTS; v++) {
        const cz_backend *backend = variant_or_skip(v);
        if (!backend) continue;
        check_forward(backend);
        check_masks(backend);
        check_threshold(backend);
        check_nan(backend, CZ_LINEAR, "a layer");
        check_nan(backend, CZ_GELU, "GELU");
        if (!cz_backend_on_gpu(backend)) check_nan(backend, CZ_RELU, "ReLU");
        check_backward(backend);
        check_added(backend);
        check_weights(backend);
    }
    shared_arena_free(&scratch);
    shared_free(step);
    return check_done();
}
