/* The whole model in fp64: gradients of every parameter against central differences, the two
 * resampler forms, blocks of any size; and on every variant what may not depend on the company of
 * a cell. */
#include "czhpc/model.h"
#include "czhpc/rng.h"
#include "variants.h"

enum { CELLS = 7, LABELS = 3, WIDTH = 24, TEXT_WIDTH = 16, SLOTS = 3 };

typedef struct fixture {
    cz_model *model;
    double *w, *g;
    float x[CELLS * WIDTH], text[LABELS * TEXT_WIDTH];
    int32_t row[CELLS], label[CELLS], code[CZ_MAX_HEADS][CELLS];
    uint32_t cell[CELLS];
    double loss[CZ_MAX_HEADS][CELLS];
    int32_t best[CZ_MAX_HEADS][CELLS];
    cz_step step;
    int heads;
} fixture;

static cz_model_spec base_spec(void)
{
    return (cz_model_spec){
        .width = WIDTH,
        .text_width = TEXT_WIDTH,
        .text = true,
        .tokens = 4,
        .heads = 2,
        .fusion_dim = 12,
        .layers = 1,
        .feedforward = 20,
        .latents = 5,
        .latent_dim = 12,
        .dropout = 0.2,
        .head_count = 2,
        .head = {{"donor", 4, false}, {"sex", 2, true}},
    };
}

static bool fixture_open(fixture *f, const cz_model_spec *spec)
{
    memset(f, 0, sizeof *f);
    if (cz_model_open(&f->model, spec)) return false;
    size_t n = cz_model_params(f->model)->total;
    f->w = calloc(n, sizeof *f->w);
    f->g = calloc(n, sizeof *f->g);
    f->heads = spec->head_count;
    cz_params_initialise(cz_model_params(f->model), f->w, CZ_F64, 0, n, 3);
    cz_rng rng = cz_rng_open(5, 0, 0, 200, 0);
    /* LayerNorm gains of 1 and biases of 0 would hide mistakes. */
    for (size_t i = 0; i < n; i++) f->w[i] += 0.1 * cz_rng_normal(&rng);
    for (int i = 0; i < CELLS * WIDTH; i++) f->x[i] = (float)cz_rng_normal(&rng);
    for (int i = 0; i < LABELS * TEXT_WIDTH; i++) f->text[i] = (float)cz_rng_normal(&rng);
    for (int i = 0; i < CELLS; i++) {
        f->row[i] = (i * 3) % CELLS;
        f->cell[i] = (uint32_t)(100 + 11 * i);
        f->label[i] = (i * 2) % LABELS;
        for (int h = 0; h < f->heads; h++)
            f->code[h][i] =
                h && i == 2 ? -1 : (int32_t)cz_rng_below(&rng, (uint32_t)spec->head[h].classes);
    }
    /* lambda -1 turns the reversal into the identity, whose gradient differences can check. */
    f->step = (cz_step){.seed = 9, .step = 4, .lambda = -1};
    for (int h = 0; h < f->heads; h++) f->step.scale[h] = 0.3 + 0.1 * h;
    return true;
}

static void fixture_close(fixture *f)
{
    cz_model_close(f->model);
    free(f->w);
    free(f->g);
}

static cz_batch batch_of(fixture *f, int begin, int cells)
{
    cz_batch b = {.cells = cells,
                  .x = cz_matrix(f->x, CZ_F32, CELLS, WIDTH),
                  .row = f->row + begin,
                  .cell = f->cell + begin,
                  .label = f->label + begin};
    for (int h = 0; h < f->heads; h++) b.code[h] = f->code[h] + begin;
    return b;
}

static cz_outcome outcome_of(fixture *f)
{
    cz_outcome o = {0};
    for (int h = 0; h < f->heads; h++) {
        o.loss[h] = f->loss[h];
        o.best[h] = f->best[h];
    }
    return o;
}

static cz_workspace *workspace_on(const cz_backend *backend, fixture *f, int block,
                                  cz_pool_form form)
{
    cz_workspace *ws = NULL;
    cz_tensor text = cz_matrix(f->text, CZ_F32, LABELS, TEXT_WIDTH);
    if (cz_workspace_open(&ws, f->model, backend, NULL, text, block, SLOTS)) return NULL;
    cz_workspace_set_pool(ws, form);
    return ws;
}
static cz_workspace *open_workspace(fixture *f, int block, cz_pool_form form)
{
    return workspace_on(cz_backend_cpu(CZ_F64, CZ_LEVEL_PORTABLE), f, block, form);
}

/* The weights as a variant of a type has them; free(). */
static void *weights_for(const fixture *f, cz_dtype stored)
{
    cz_dtype dtype = cz_dtype_wide(stored);
    size_t n = cz_model_params(f->model)->total, size = cz_dtype_size(dtype);
    char *w = malloc(n * size);
    if (!w) exit(1);
    for (size_t i = 0; i < n; i++) write_number(w + i * size, dtype, f->w[i]);
    return w;
}

/* The loss whose gradient cz_model_train() gives; g is spoiled. */
static double total_loss(fixture *f, cz_workspace *ws)
{
    cz_batch batch = batch_of(f, 0, CELLS);
    cz_outcome out = outcome_of(f);
    if (cz_model_train(ws, (cz_weights){f->w, NULL}, f->g, &batch, &f->step, &out)) return NAN;
    double total = 0;
    for (int h = 0; h < f->heads; h++)
        for (int i = 0; i < CELLS; i++) total += f->step.scale[h] * f->loss[h][i];
    return total;
}

static double loss_at(fixture *f, cz_workspace *ws, double *at, double value)
{
    double kept = *at;
    *at = value;
    double loss = total_loss(f, ws);
    *at = kept;
    return loss;
}

/* A short step: a longer one crosses corners of ReLU. */
static double derivative(fixture *f, cz_workspace *ws, double *at)
{
    const double h = 1e-5;
    double x = *at;
    return (loss_at(f, ws, at, x + h) - loss_at(f, ws, at, x - h)) / (2 * h);
}

/* Worst difference over some elements of a parameter, relative to the gradient's size. */
static double difference_error(fixture *f, cz_workspace *ws, const double *gradient,
                               const cz_param_entry *p)
{
    size_t size = cz_param_size(p), stride = size / 12 + 1;
    double worst = 0, scale = 1e-3;
    for (size_t i = 0; i < size; i += stride) {
        size_t at = p->offset + i;
        worst = fmax(worst, fabs(derivative(f, ws, &f->w[at]) - gradient[at]));
        scale = fmax(scale, fabs(gradient[at]));
    }
    return worst / scale;
}

static void check_gradients(const char *name, const cz_model_spec *spec)
{
    fixture f;
    if (!check(fixture_open(&f, spec), "%s: opens (%s)", name, cz_error_message())) return;
    cz_workspace *ws = open_workspace(&f, 3, CZ_POOL_AUTO);
    const cz_params *params = cz_model_params(f.model);
    double loss = total_loss(&f, ws), worst = 0;
    double *gradient = malloc(params->total * sizeof *gradient);
    memcpy(gradient, f.g, params->total * sizeof *gradient);
    const char *where = "";
    for (int p = 0; p < params->count; p++) {
        double error = difference_error(&f, ws, gradient, &params->entry[p]);
        if (!(error <= worst)) {
            worst = error;
            where = params->entry[p].name;
        }
    }
    check(isfinite(loss) && worst < TOL_MODEL_DIFFERENCE,
          "%s: gradients of %d parameters, worst %.1e in %s", name, params->count, worst, where);
    free(gradient);
    cz_workspace_close(ws);
    fixture_close(&f);
}

/* Gradients by another block size and the other resampler form are the same sums. */
static void check_forms(void)
{
    cz_model_spec spec = base_spec();
    fixture f;
    fixture_open(&f, &spec);
    size_t n = cz_model_params(f.model)->total;
    double *first = malloc(n * sizeof *first);
    for (int k = 0; k < 4; k++) {
        static const int block[] = {7, 1, 3, 64};
        static const cz_pool_form form[] = {CZ_POOL_FACTORED, CZ_POOL_FACTORED, CZ_POOL_PLAIN,
                                            CZ_POOL_PLAIN};
        cz_workspace *ws = open_workspace(&f, block[k], form[k]);
        memset(f.g, 0, n * sizeof *f.g);
        total_loss(&f, ws);
        if (k == 0) memcpy(first, f.g, n * sizeof *first);
        double gap = check_distance(f.g, first, n);
        check(gap < TOL_F64_FORMS, "blocks of %d, %s resampler: same gradient, gap %.1e", block[k],
              form[k] == CZ_POOL_PLAIN ? "plain" : "factored", gap);
        cz_workspace_close(ws);
    }
    free(first);
    fixture_close(&f);
}

/* The losses of head 0 of all cells, whose block is the workspace's; false if that failed. */
static bool losses_of(fixture *f, cz_workspace *ws, cz_weights w, double loss[CELLS])
{
    cz_batch all = batch_of(f, 0, CELLS);
    cz_outcome out = outcome_of(f);
    cz_status status = cz_model_evaluate(ws, w, &all, &out);
    memcpy(loss, f->loss[0], sizeof f->loss[0]);
    return !status;
}

/* A cell's loss has the same bits alone and in company, in blocks of any size. */
static void check_company(const cz_backend *backend)
{
    static const int blocks[] = {1, 3, 64};
    cz_model_spec spec = base_spec();
    fixture f;
    fixture_open(&f, &spec);
    cz_weights w = {weights_for(&f, cz_backend_dtype(backend)), NULL};
    double together[CELLS], again[CELLS];
    cz_workspace *ws = workspace_on(backend, &f, 4, CZ_POOL_AUTO);
    cz_outcome out = outcome_of(&f);
    bool same = losses_of(&f, ws, w, together);
    for (int i = 0; i < CELLS; i++) {
        cz_batch one = batch_of(&f, i, 1);
        same &= !cz_model_evaluate(ws, w, &one, &out) && f.loss[0][0] == together[i];
    }
    const char *name = cz_backend_name(backend);
    check(same, "%s: a cell's loss has the same bits alone and among others", name);
    cz_batch none = batch_of(&f, 0, 0);
    check(cz_model_evaluate(ws, w, &none, &out) == CZ_OK, "%s: an empty batch is fine", name);
    cz_workspace_close(ws);
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        ws = workspace_on(backend, &f, blocks[i], CZ_POOL_AUTO);
        same &= losses_of(&f, ws, w, again) && !memcmp(again, together, sizeof together);
        cz_workspace_close(ws);
    }
    check(same, "%s: and in blocks of any size", name);
    free((void *)w.flat);
    fixture_close(&f);
}

/* Packs all that ends in ranges of `step` elements. */
static char *pack_by(const fixture *f, const cz_backend *backend, const void *w, size_t step)
{
    size_t n = cz_model_params(f->model)->total;
    size_t bytes = (cz_model_packed_bytes(f->model, backend) + 63) & ~(size_t)63;
    char *packed = aligned_alloc(64, bytes);
    if (!packed) exit(1);
    memset(packed, 0, bytes);
    for (size_t begin = 0; begin < n; begin += step)
        cz_model_pack(f->model, backend, packed, w, begin, begin + step < n ? begin + step : n);
    return packed;
}

/* Losses of head 0 and the gradient of a batch, with dropout; false if that failed. */
static bool step_of(fixture *f, const cz_backend *backend, cz_weights w, double loss[CELLS],
                    void *gradient)
{
    cz_workspace *ws = workspace_on(backend, f, 3, CZ_POOL_AUTO);
    cz_batch all = batch_of(f, 0, CELLS);
    cz_outcome out = outcome_of(f);
    cz_status status = cz_model_train(ws, w, gradient, &all, &f->step, &out);
    memcpy(loss, f->loss[0], sizeof f->loss[0]);
    cz_workspace_close(ws);
    return !status;
}

static void compare_packed(fixture *f, const cz_backend *backend)
{
    size_t n = cz_model_params(f->model)->total;
    size_t size = n * cz_dtype_size(cz_dtype_wide(cz_backend_dtype(backend)));
    void *flat = weights_for(f, cz_backend_dtype(backend));
    char *whole = pack_by(f, backend, flat, n), *parts = pack_by(f, backend, flat, 997);
    char *plain = malloc(size), *ready = malloc(size);
    double loss[2][CELLS];
    bool same = step_of(f, backend, (cz_weights){flat, NULL}, loss[0], plain) &&
                step_of(f, backend, (cz_weights){flat, whole}, loss[1], ready) &&
                !memcmp(loss[0], loss[1], sizeof loss[0]) && !memcmp(plain, ready, size);
    const char *name = cz_backend_name(backend);
    check(!memcmp(whole, parts, cz_model_packed_bytes(f->model, backend)),
          "%s: weights packed in parts are those packed at once", name);
    check(same, "%s: packed weights give the same losses and gradients", name);
    free(flat), free(whole), free(parts), free(plain), free(ready);
}

/* Packed weights are the same whoever packs which part, and change no bit of a step; where a
 * variant packs them. */
static void check_packing(const cz_backend *backend)
{
    cz_model_spec spec = base_spec();
    spec.fusion_dim = 60; /* several units, and some that are not whole */
    spec.feedforward = 70;
    fixture f;
    fixture_open(&f, &spec);
    if (cz_model_packed_bytes(f.model, backend)) compare_packed(&f, backend);
    fixture_close(&f);
}

static void check_refusals(void)
{
    cz_model *model;
    cz_model_spec spec = base_spec();
    spec.tokens = 5;
    check(cz_model_open(&model, &spec) == CZ_ERR_CONFIG && strstr(cz_error_message(), "tokens"),
          "tokens that do not divide the features are refused: %s", cz_error_message());
    cz_error_clear();
    spec = base_spec();
    spec.heads = 5;
    check(cz_model_open(&model, &spec) == CZ_ERR_CONFIG && strstr(cz_error_message(), "heads"),
          "heads that do not divide the widths are refused");
    cz_error_clear();
    spec = base_spec();
    spec.head[1].classes = 1;
    check(cz_model_open(&model, &spec) == CZ_ERR_CONFIG && strstr(cz_error_message(), "sex"),
          "a column of one class is refused by name");
    cz_error_clear();
}

static void check_reference_size(void)
{
    cz_model_spec s = {.width = 512,
                       .text_width = 768,
                       .text = true,
                       .tokens = 8,
                       .heads = 8,
                       .fusion_dim = 256,
                       .layers = 1,
                       .feedforward = 2048,
                       .latents = 61,
                       .latent_dim = 256,
                       .head_count = 2,
                       .head = {{"donor_id", 14, false}, {"sex", 2, true}}};
    cz_model *model;
    if (!check(cz_model_open(&model, &s) == CZ_OK, "the reference's model opens")) return;
    size_t weights = cz_params_weights(cz_model_params(model));
    check(weights == 2230544, "the reference's model has %zu parameters", weights);
    cz_model_close(model);
    s.text = false;
    if (cz_model_open(&model, &s)) return;
    weights = cz_params_weights(cz_model_params(model));
    check(weights == 495376, "without text it has %zu", weights);
    cz_model_close(model);
}

int main(void)
{
    check_reference_size();
    cz_model_spec spec = base_spec();
    check_gradients("base", &spec);
    spec.dropout = 0;
    check_gradients("without dropout", &spec);
    spec = base_spec();
    spec.text = false;
    check_gradients("without text", &spec);
    spec = base_spec();
    spec.latent_dim = 10;
    spec.positions = CZ_POSITIONS_LEARNED;
    check_gradients("latent_dim differs, learned positions", &spec);
    spec = base_spec();
    spec.layers = 2;
    spec.head_count = 4;
    spec.head[2] = (cz_head_spec){"state", 3, false};
    spec.head[3] = (cz_head_spec){"batch", 3, true};
    check_gradients("two layers, two targets, two adversaries", &spec);
    spec = base_spec();
    spec.layers = 0;
    check_gradients("no encoder layer", &spec);
    check_forms();
    for (int v = 0; v < VARIANTS; v++) {
        if (backend_variants[v].gpu) continue; /* promises no bits in another company */
        if (!variant_or_skip(v)) continue;
        check_company(variant_backend(v));
        check_packing(variant_backend(v));
    }
    check_refusals();
    return check_done();
}
