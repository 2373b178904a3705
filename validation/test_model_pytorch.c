/* The whole model against PyTorch: forward values, losses, every gradient and 20 steps of Adam,
 * on the cases that make_model.py wrote. Another file of its kind may be named as the
 * argument (make validate: the reference's size). */
#include "czhpc/model.h"
#include "czhpc/rng.h"
#include "czhpc/schedule.h"
#include "variants.h"

#include <hdf5.h>

typedef struct test_case {
    char name[64];
    hid_t group;
    cz_model *model;
    int cells, batch, steps, labels, tensors; /* cells in all and of a batch; tensors stored */
    double lr, decay, warmup;
    cz_step step;
    float *x, *text;
    int32_t *label, *code, *order, *shapes;
    uint32_t *cell;
    char *names;                                                  /* (tensors, 96) */
    double *weights, *gradients, *final, *losses, *class_weights; /* the last of head 0, or NULL */
} test_case;

enum { NAME_SIZE = 96 };

static void attribute(hid_t group, const char *name, hid_t type, void *value)
{
    hid_t id = H5Aopen(group, name, H5P_DEFAULT);
    if (id < 0 || H5Aread(id, type, value) < 0) exit(check_failures + 1);
    H5Aclose(id);
}

static int integer(hid_t group, const char *name)
{
    int value;
    attribute(group, name, H5T_NATIVE_INT, &value);
    return value;
}

static double number(hid_t group, const char *name)
{
    double value;
    attribute(group, name, H5T_NATIVE_DOUBLE, &value);
    return value;
}

/* A whole dataset; the caller frees it. dim (2): its extents, 1 where it has fewer. */
static void *array(hid_t group, const char *name, hid_t type, int dim[2])
{
    hsize_t size[2] = {1, 1};
    hid_t id = H5Dopen2(group, name, H5P_DEFAULT);
    hid_t space = H5Dget_space(id);
    if (id < 0 || H5Sget_simple_extent_ndims(space) > 2) exit(check_failures + 1);
    H5Sget_simple_extent_dims(space, size, NULL);
    void *values = shared_room((size_t)(size[0] * size[1]) * H5Tget_size(type));
    if (!values || H5Dread(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        exit(check_failures + 1);
    H5Sclose(space);
    H5Dclose(id);
    if (dim) dim[0] = (int)size[0];
    if (dim) dim[1] = (int)size[1];
    return values;
}

static cz_model_spec read_spec(hid_t group)
{
    int dim[2];
    cz_model_spec spec = {
        .width = integer(group, "width"),
        .text_width = integer(group, "text_width"),
        .text = integer(group, "text"),
        .tokens = integer(group, "tokens"),
        .heads = integer(group, "heads"),
        .fusion_dim = integer(group, "fusion_dim"),
        .layers = integer(group, "layers"),
        .feedforward = integer(group, "feedforward"),
        .latents = integer(group, "latents"),
        .latent_dim = integer(group, "latent_dim"),
        .dropout = number(group, "dropout"),
        .positions = integer(group, "positions") ? CZ_POSITIONS_LEARNED : CZ_POSITIONS_NONE,
    };
    int *classes = array(group, "classes", H5T_NATIVE_INT, dim);
    int *adversary = array(group, "adversary", H5T_NATIVE_INT, NULL);
    spec.head_count = dim[0];
    for (int h = 0; h < dim[0]; h++) {
        snprintf(spec.head[h].name, sizeof spec.head[h].name, "head %d", h);
        spec.head[h].classes = classes[h];
        spec.head[h].adversary = adversary[h];
    }
    shared_free(classes);
    shared_free(adversary);
    return spec;
}

static void read_case(test_case *c, hid_t group, const char *name)
{
    *c = (test_case){.group = group};
    snprintf(c->name, sizeof c->name, "%s", name);
    cz_model_spec spec = read_spec(group);
    if (cz_model_open(&c->model, &spec)) {
        check(false, "%s: the model opens: %s", name, cz_error_message());
        exit(check_failures);
    }
    c->lr = number(group, "lr");
    c->decay = number(group, "decay");
    c->warmup = number(group, "warmup");
    c->step.lambda = number(group, "adv_lambda");
    c->step.phase = (uint32_t)integer(group, "phase");
    attribute(group, "seed", H5T_NATIVE_UINT64, &c->step.seed);

    int dim[2];
    hid_t string = H5Tcopy(H5T_C_S1);
    H5Tset_size(string, NAME_SIZE);
    H5Tset_strpad(string, H5T_STR_NULLPAD);
    c->names = array(group, "names", string, dim);
    H5Tclose(string);
    c->tensors = dim[0];
    c->shapes = array(group, "shapes", H5T_NATIVE_INT32, NULL);
    c->weights = array(group, "weights", H5T_NATIVE_DOUBLE, NULL);
    c->gradients = array(group, "gradients", H5T_NATIVE_DOUBLE, NULL);
    c->final = array(group, "final", H5T_NATIVE_DOUBLE, NULL);
    c->losses = array(group, "losses", H5T_NATIVE_DOUBLE, NULL);
    c->x = array(group, "x", H5T_NATIVE_FLOAT, dim);
    c->cells = dim[0];
    c->text = array(group, "text", H5T_NATIVE_FLOAT, dim);
    c->labels = dim[0];
    c->label = array(group, "label", H5T_NATIVE_INT32, NULL);
    c->cell = array(group, "cell", H5T_NATIVE_UINT32, NULL);
    c->code = array(group, "code", H5T_NATIVE_INT32, NULL);
    if (H5Lexists(group, "class_weights", H5P_DEFAULT) > 0) {
        c->class_weights = array(group, "class_weights", H5T_NATIVE_DOUBLE, dim);
        c->step.class_weight[0] = cz_vector(c->class_weights, CZ_F64, dim[0]);
    }
    c->order = array(group, "order", H5T_NATIVE_INT32, dim);
    c->steps = dim[0];
    c->batch = dim[1];
}

static void free_case(test_case *c)
{
    void *owned[] = {c->x,      c->text,   c->label,        c->code,    c->order,
                     c->shapes, c->cell,   c->names,        c->weights, c->gradients,
                     c->final,  c->losses, c->class_weights};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        if (owned[i]) shared_free(owned[i]);
    cz_model_close(c->model);
}

/* Arrays of the model at one precision, and the buffers of one batch. */
typedef struct trial {
    test_case *c;
    cz_dtype dtype; /* of weights, gradients and what comes out */
    const cz_backend *backend;
    cz_workspace *workspace;
    void *w, *m, *v, *g;
    cz_arena scratch;
    cz_step *step; /* as operations read it */
    int32_t *slot, *slot_label, *row, *label, *code[CZ_MAX_HEADS], *best[CZ_MAX_HEADS];
    uint32_t *cell;
    double *loss[CZ_MAX_HEADS];
    cz_outcome outcome;
} trial;

static double element(const void *flat, cz_dtype dtype, size_t i)
{
    return read_number((const char *)flat + i * cz_dtype_size(dtype), dtype);
}

static const cz_param_entry *entry_of(const cz_params *params, const char *name)
{
    for (int i = 0; i < params->count; i++)
        if (!strcmp(params->entry[i].name, name)) return &params->entry[i];
    return NULL;
}

/* The same parameters under the same names with the same shapes, none more. */
static bool same_table(const test_case *c)
{
    const cz_params *params = cz_model_params(c->model);
    bool same = params->count == c->tensors;
    for (int i = 0; i < c->tensors; i++) {
        const cz_param_entry *entry = entry_of(params, c->names + (size_t)i * NAME_SIZE);
        same = same && entry && entry->dim[0] == c->shapes[2 * i] &&
               (entry->rank == 2 ? entry->dim[1] : 0) == c->shapes[2 * i + 1];
    }
    return check(same, "%s: %d parameters, as PyTorch names them", c->name, c->tensors);
}

/* Puts stored tensors into a flat array of the model. */
static void load(const test_case *c, void *flat, cz_dtype dtype, const double *stored)
{
    const cz_params *params = cz_model_params(c->model);
    for (int i = 0; i < c->tensors; i++) {
        const cz_param_entry *entry = entry_of(params, c->names + (size_t)i * NAME_SIZE);
        char *at = (char *)flat + entry->offset * cz_dtype_size(dtype);
        for (size_t k = 0; k < cz_param_size(entry); k++, at += cz_dtype_size(dtype))
            write_number(at, dtype, *stored++);
    }
}

/* The distance of each tensor from the stored one, norm-wise. */
static void distances(const trial *t, const void *flat, const double *stored, double *gap)
{
    const cz_params *params = cz_model_params(t->c->model);
    for (int i = 0; i < t->c->tensors; i++) {
        const cz_param_entry *entry = entry_of(params, t->c->names + (size_t)i * NAME_SIZE);
        size_t size = cz_param_size(entry);
        double *got = calloc(size, sizeof *got);
        for (size_t k = 0; k < size; k++) got[k] = element(flat, t->dtype, entry->offset + k);
        gap[i] = check_distance(got, stored, size);
        free(got);
        stored += size;
    }
}

/* The largest of them. */
static double farthest(const trial *t, const void *flat, const double *stored, const char **which)
{
    double worst = -1, *gap = calloc((size_t)t->c->tensors, sizeof *gap);
    distances(t, flat, stored, gap);
    for (int i = 0; i < t->c->tensors; i++)
        if (!(gap[i] <= worst)) worst = gap[i], *which = t->c->names + (size_t)i * NAME_SIZE;
    free(gap);
    return worst;
}

static void open_trial(trial *t, test_case *c, const cz_backend *backend, int block)
{
    const cz_model_spec *s = cz_model_get_spec(c->model);
    size_t n = cz_model_params(c->model)->total, B = (size_t)c->batch;
    cz_dtype stored = cz_backend_dtype(backend);
    *t = (trial){.c = c, .dtype = cz_dtype_wide(stored), .backend = backend};
    size_t size = cz_dtype_size(t->dtype);
    cz_tensor text =
        s->text ? cz_matrix(c->text, CZ_F32, c->labels, s->text_width) : (cz_tensor){0};
    t->w = shared_zeroed(n, size);
    t->m = shared_zeroed(n, size);
    t->v = shared_zeroed(n, size);
    t->g = shared_zeroed(n, size);
    t->row = shared_zeroed(B, sizeof *t->row);
    t->label = shared_zeroed(B, sizeof *t->label);
    t->cell = shared_zeroed(B, sizeof *t->cell);
    t->slot = shared_zeroed(B, sizeof *t->slot);
    t->slot_label = shared_zeroed((size_t)c->labels + 1, sizeof *t->slot_label);
    t->step = shared_room(sizeof *t->step);
    for (int h = 0; h < s->head_count; h++) {
        t->code[h] = shared_zeroed(B, sizeof(int32_t));
        t->outcome.best[h] = t->best[h] = shared_zeroed(B, sizeof(int32_t));
        t->outcome.loss[h] = t->loss[h] = shared_zeroed(B, sizeof(double));
        t->outcome.logits[h] = cz_matrix(shared_zeroed(B * (size_t)s->head[h].classes, size),
                                         t->dtype, c->batch, s->head[h].classes);
    }
    t->outcome.latent = cz_matrix(shared_zeroed(B * (size_t)s->latent_dim, size), t->dtype,
                                  c->batch, s->latent_dim);
    cz_gpu *gpu = cz_backend_on_gpu(backend) ? variant_gpu() : NULL;
    t->scratch = shared_arena(cz_ops_scratch(backend, 1, 1, 1, 1, 1, 1));
    if (cz_workspace_open(&t->workspace, c->model, backend, gpu, text, block, c->labels)) {
        check(false, "%s: a workspace: %s", c->name, cz_error_message());
        exit(check_failures);
    }
    load(c, t->w, t->dtype, c->weights);
}

static void close_trial(trial *t)
{
    for (int h = 0; h < CZ_MAX_HEADS; h++) {
        shared_free(t->code[h]);
        shared_free(t->best[h]);
        shared_free(t->loss[h]);
        shared_free(t->outcome.logits[h].data);
    }
    void *owned[] = {t->w,
                     t->m,
                     t->v,
                     t->g,
                     t->row,
                     t->label,
                     t->cell,
                     t->slot,
                     t->slot_label,
                     t->step,
                     t->outcome.latent.data};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) shared_free(owned[i]);
    shared_arena_free(&t->scratch);
    cz_workspace_close(t->workspace);
}

/* Of the loss of cell b under head h; 0 where its class is unknown. */
static double weight_of(const trial *t, int h, int b)
{
    int code = t->code[h][b];
    const double *weights = h ? NULL : t->c->class_weights;
    return code < 0 ? 0 : weights ? weights[code] : 1;
}

/* As a batch on a GPU has to. */
static void say_slots(trial *t, cz_batch *batch)
{
    int32_t *free_slots = malloc(((size_t)t->c->labels + 1) * sizeof *free_slots);
    if (!free_slots) exit(2);
    for (int i = 0; i < t->c->labels; i++) free_slots[i] = -1;
    cz_assign_slots(t->slot, t->slot_label, &batch->slots, free_slots, t->label, batch->cells,
                    t->c->labels, t->c->labels);
    batch->slot = t->slot;
    batch->slot_label = t->slot_label;
    free(free_slots);
}

/* What a pass returned, once its work is done. */
static cz_status done(const trial *t, cz_status status)
{
    cz_exec exec = variant_exec(t->backend, NULL, NULL);
    return variant_wait(&exec, status);
}

/* The batch of a step, and what the step is told. */
static cz_batch prepare(trial *t, int step)
{
    test_case *c = t->c;
    const cz_model_spec *s = cz_model_get_spec(c->model);
    cz_batch batch = {.cells = c->batch,
                      .x = cz_matrix(c->x, CZ_F32, c->cells, s->width),
                      .row = t->row,
                      .cell = t->cell,
                      .label = t->label};
    for (int b = 0; b < c->batch; b++) {
        int row = c->order[step * c->batch + b];
        t->row[b] = row;
        t->label[b] = c->label[row];
        t->cell[b] = c->cell[row];
        for (int h = 0; h < s->head_count; h++) t->code[h][b] = c->code[h * c->cells + row];
    }
    for (int h = 0; h < s->head_count; h++) {
        double known = 0;
        for (int b = 0; b < c->batch; b++) known += weight_of(t, h, b);
        c->step.scale[h] = known > 0 ? 1 / known : 0;
        batch.code[h] = t->code[h];
    }
    c->step.step = (uint32_t)step;
    c->step.lr = c->lr * cz_schedule(step, c->steps, c->warmup, 1);
    c->step.bias1 = 1 - pow(0.9, step + 1);
    c->step.bias2 = 1 - pow(0.999, step + 1);
    *t->step = c->step;
    if (s->text && cz_backend_on_gpu(t->backend)) say_slots(t, &batch);
    return batch;
}

static cz_status train(trial *t, int step)
{
    cz_batch batch = prepare(t, step);
    memset(t->g, 0, cz_model_params(t->c->model)->total * cz_dtype_size(t->dtype));
    return done(t, cz_model_train(t->workspace, (cz_weights){t->w, NULL}, t->g, &batch, t->step,
                                  &t->outcome));
}

static cz_status adam(trial *t)
{
    cz_exec exec = variant_exec(t->backend, t->step, &t->scratch);
    int n = (int)cz_model_params(t->c->model)->total;
    return done(t,
                cz_adam(&exec, cz_vector(t->w, t->dtype, n), cz_vector(t->m, t->dtype, n),
                        cz_vector(t->v, t->dtype, n), cz_vector(t->g, t->dtype, n), t->c->decay));
}

static double distance_to(hid_t group, const char *name, const void *values, cz_dtype dtype)
{
    int dim[2];
    double *stored = array(group, name, H5T_NATIVE_DOUBLE, dim);
    size_t n = (size_t)dim[0] * (size_t)dim[1];
    double *got = calloc(n, sizeof *got);
    for (size_t i = 0; i < n; i++) got[i] = element(values, dtype, i);
    double gap = check_distance(got, stored, n);
    free(got);
    shared_free(stored);
    return gap;
}

/* The softmax of logits against a dataset. */
static double probs_distance(hid_t group, const char *name, cz_tensor logits)
{
    size_t classes = (size_t)cz_cols(logits), size = (size_t)cz_rows(logits) * classes;
    double *p = calloc(size, sizeof *p), sum = 0;
    for (size_t i = 0; i < size; i++) p[i] = exp(element(logits.data, logits.dtype, i));
    for (size_t i = 0; i < size; i++) {
        if (i % classes == 0) sum = 0;
        sum += p[i];
        if (i % classes + 1 == classes)
            for (size_t c = 0; c < classes; c++) p[i - c] /= sum;
    }
    double gap = distance_to(group, name, p, CZ_F64);
    free(p);
    return gap;
}

/* Latent vector, probabilities and losses against a group of the file. */
static double outcome_distance(const trial *t, const char *name)
{
    const cz_model_spec *s = cz_model_get_spec(t->c->model);
    hid_t group = H5Gopen2(t->c->group, name, H5P_DEFAULT);
    double worst = distance_to(group, "latent", t->outcome.latent.data, t->dtype);
    double *losses = calloc((size_t)s->head_count * (size_t)t->c->batch, sizeof *losses);
    for (int h = 0; h < s->head_count; h++) {
        char probs[32];
        snprintf(probs, sizeof probs, "probs.%d", h);
        worst = fmax(worst, probs_distance(group, probs, t->outcome.logits[h]));
        memcpy(losses + (size_t)h * (size_t)t->c->batch, t->loss[h],
               (size_t)t->c->batch * sizeof *losses);
    }
    worst = fmax(worst, distance_to(group, "loss", losses, CZ_F64));
    free(losses);
    H5Gclose(group);
    return worst;
}

/* Mean attention weights of the first batch. */
static void test_attention(test_case *c, trial *t)
{
    const cz_model_spec *s = cz_model_get_spec(c->model);
    size_t L = (size_t)s->latents, T = (size_t)s->tokens;
    int64_t *sum = calloc((L + T) * T, sizeof *sum);
    double *mean = calloc((L + T) * T, sizeof *mean), parts = (double)c->batch * s->heads;
    cz_outcome out = t->outcome;
    out.resampler_attention = sum;
    out.fusion_attention = s->text ? sum + L * T : NULL;
    cz_batch batch = prepare(t, 0);
    cz_status status = cz_model_evaluate(t->workspace, (cz_weights){t->w, NULL}, &batch, &out);
    for (size_t i = 0; i < (L + T) * T; i++)
        mean[i] = ldexp((double)sum[i], -CZ_TALLY_BITS) / parts;
    hid_t group = H5Gopen2(c->group, "evaluated", H5P_DEFAULT);
    double gap = distance_to(group, "resampler attention", mean, CZ_F64);
    if (s->text) gap = fmax(gap, distance_to(group, "fusion attention", mean + L * T, CZ_F64));
    check(!status && gap < TOL_ATTENTION, "%s: attention %.1e %s", c->name, gap,
          status ? cz_error_message() : "");
    H5Gclose(group);
    free(sum);
    free(mean);
}

static const char *form_name(cz_pool_form form)
{
    return form == CZ_POOL_PLAIN ? "plain" : form == CZ_POOL_FACTORED ? "factored" : "auto";
}

static void test_pass(test_case *c, cz_pool_form form, int block)
{
    trial t;
    const char *which = "";
    open_trial(&t, c, cz_backend_cpu(CZ_F64, CZ_LEVEL_PORTABLE), block);
    cz_workspace_set_pool(t.workspace, form);
    cz_batch batch = prepare(&t, 0);
    cz_status status = cz_model_evaluate(t.workspace, (cz_weights){t.w, NULL}, &batch, &t.outcome);
    double forward = outcome_distance(&t, "evaluated");
    test_attention(c, &t);
    if (!status) status = train(&t, 0);
    double trained = outcome_distance(&t, "trained"), gap = farthest(&t, t.g, c->gradients, &which);
    check(!status && forward < TOL_F64_PYTORCH,
          "%s, fp64, %s resampler, blocks of %d: forward %.1e %s", c->name, form_name(form), block,
          forward, status ? cz_error_message() : "");
    check(trained < TOL_F64_PYTORCH, "%s: forward with dropout %.1e", c->name, trained);
    check(gap < TOL_F64_PYTORCH, "%s: gradients %.1e (%s)", c->name, gap, which);
    close_trial(&t);
}

static void test_steps(test_case *c)
{
    trial t;
    const char *which = "";
    double worst = 0;
    cz_status status = CZ_OK;
    open_trial(&t, c, cz_backend_cpu(CZ_F64, CZ_LEVEL_PORTABLE), 3);
    for (int step = 0; !status && step < c->steps; step++) {
        status = train(&t, step);
        double loss = 0;
        for (int h = 0; h < cz_model_get_spec(c->model)->head_count; h++)
            for (int b = 0; b < c->batch; b++)
                loss += t.loss[h][b] * weight_of(&t, h, b) * c->step.scale[h];
        worst = fmax(worst, fabs(loss / c->losses[step] - 1));
        if (!status) status = adam(&t);
    }
    double gap = farthest(&t, t.w, c->final, &which);
    check(!status && worst < TOL_F64_PYTORCH, "%s: losses of %d steps %.1e %s", c->name, c->steps,
          worst, status ? cz_error_message() : "");
    check(gap < TOL_F64_PYTORCH, "%s: weights after them %.1e (%s)", c->name, gap, which);
    close_trial(&t);
}

static void test_fp32(test_case *c, int v)
{
    const cz_backend *backend = variant_backend(v);
    const char *which = "", *name = backend_variants[v].name;
    trial t;
    open_trial(&t, c, backend, 4);
    cz_status status = train(&t, 0);
    double values = outcome_distance(&t, "trained"), gap = farthest(&t, t.g, c->gradients, &which);
    check(!status && fmax(values, gap) < TOL_F32_GRADIENT,
          "%s, %s: forward %.1e, gradients %.1e (%s) %s", c->name, name, values, gap, which,
          status ? cz_error_message() : "");
    close_trial(&t);
}

/* How far values and gradients move where fp64 has every weight moved by a rounding to bf16. A
 * unit near 0 that its ReLU then drops takes a good part of a small gradient along. */
typedef struct sensitivity {
    double values, *gradient;
} sensitivity;

static sensitivity measure(test_case *c)
{
    enum { TRIES = 64 };
    size_t tensors = (size_t)c->tensors, n = cz_model_params(c->model)->total;
    sensitivity s = {0, calloc(tensors, sizeof *s.gradient)};
    double *gap = calloc(tensors, sizeof *gap);
    for (uint32_t k = 0; k < TRIES; k++) {
        trial t;
        cz_rng rng = cz_rng_open(13, k, 0, 0, 0);
        open_trial(&t, c, cz_backend_cpu(CZ_F64, CZ_LEVEL_PORTABLE), 4);
        for (size_t i = 0; i < n; i++)
            ((double *)t.w)[i] *= 1 + ((double)cz_rng_u32(&rng) * 0x1p-31 - 1) * TOL_BF16_OP;
        train(&t, 0);
        s.values = fmax(s.values, outcome_distance(&t, "trained"));
        distances(&t, t.g, c->gradients, gap);
        for (size_t i = 0; i < tensors; i++) s.gradient[i] = fmax(s.gradient[i], gap[i]);
        close_trial(&t);
    }
    free(gap);
    return s;
}

/* Moved as far as may be: of what is moved less than by one rounding, one. */
static double allowed(double moved) { return TOL_BF16_MODEL * (moved + TOL_BF16_OP); }

static void test_bf16(test_case *c, int v, const sensitivity *s)
{
    const char *which = "", *name = backend_variants[v].name;
    double *gap = calloc((size_t)c->tensors, sizeof *gap), worst = 0, part = 0;
    trial t;
    open_trial(&t, c, variant_backend(v), 4);
    cz_status status = train(&t, 0);
    double values = outcome_distance(&t, "trained");
    distances(&t, t.g, c->gradients, gap);
    for (int i = 0; i < c->tensors; i++) {
        double own = gap[i] / allowed(s->gradient[i]);
        if (own <= part) continue;
        part = own;
        worst = gap[i];
        which = c->names + (size_t)i * NAME_SIZE;
    }
    check(!status && values < allowed(s->values), "%s, %s: forward %.1e of %.1e allowed %s",
          c->name, name, values, allowed(s->values), status ? cz_error_message() : "");
    check(part < 1, "%s, %s: gradients %.1e of %.1e allowed (%s)", c->name, name, worst,
          worst / part, which);
    free(gap);
    close_trial(&t);
}

static void test_variants(test_case *c)
{
    sensitivity s = measure(c);
    for (int v = 0; v < VARIANTS; v++)
        if (!variant_backend(v))
            check_skip("%s, %s: %s", c->name, backend_variants[v].name, variant_lacks(v));
        else if (backend_variants[v].dtype == CZ_F32) test_fp32(c, v);
        else if (backend_variants[v].dtype == CZ_BF16) test_bf16(c, v, &s);
    free(s.gradient);
}

static void test_group(hid_t file, const char *name)
{
    test_case c;
    hid_t group = H5Gopen2(file, name, H5P_DEFAULT);
    read_case(&c, group, name);
    if (same_table(&c)) {
        test_pass(&c, CZ_POOL_PLAIN, 2);
        test_pass(&c, CZ_POOL_FACTORED, c.batch);
        test_steps(&c);
        test_variants(&c);
    }
    free_case(&c);
    H5Gclose(group);
}

int main(int count, char **arguments)
{
    const char *path = count > 1 ? arguments[1] : "validation/fixtures/model/model.h5";
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    H5G_info_t root = {0};
    if (!check(file >= 0 && H5Gget_info(file, &root) >= 0, "%s opens", path)) return check_done();
    for (hsize_t i = 0; i < root.nlinks; i++) {
        char name[64];
        H5Lget_name_by_idx(file, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name,
                           H5P_DEFAULT);
        test_group(file, name);
    }
    H5Fclose(file);
    return check_done();
}
