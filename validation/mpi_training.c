/* Training on any division of ranks and threads: fp64 trajectories agree to rounding, weights of
 * fp32 and bf16 to the bit at the same number of workers; stopping and resuming changes nothing. */
#include "czhpc/file.h"
#include "population.h"
#include "variants.h"

#include <unistd.h>

enum { STEPS = 20 };
/* So wide that the cells of an epoch, and those of an evaluation, are fetched in several parts. */
enum { WIDE = 16384 };

static volatile sig_atomic_t never, stop_now;

typedef struct trajectory {
    double loss[STEPS];
    int count;
} trajectory;

static void record(void *context, const cz_step_report *report)
{
    trajectory *t = context;
    if (t->count < STEPS) t->loss[t->count++] = report->loss;
    if (report->epoch == 2 && report->step == 3) stop_now = 1;
}

typedef struct result {
    trajectory path;
    uint64_t weights;   /* hash */
    bool replicas;      /* all ranks have these */
    uint64_t attention; /* hash; of the first weights, over the training cells */
    double row_gap;     /* largest distance from 1 of a row of it */
    double validation;  /* loss of the target after the last epoch */
    cz_status status;
} result;

static void record_epoch(void *context, const cz_epoch_report *report)
{
    ((result *)context)->validation = report->validation.loss[0];
}

static void record_step(void *context, const cz_step_report *report)
{
    record(&((result *)context)->path, report);
}

static double row_gap(const double *map, int rows, int cols)
{
    double worst = 0;
    for (int i = 0; i < rows; i++) {
        double sum = 0;
        for (int j = 0; j < cols; j++) sum += map[i * cols + j];
        worst = fmax(worst, fabs(sum - 1));
    }
    return worst;
}

static cz_status look(result *r, cz_trainer *trainer, const cz_comm *comm)
{
    cz_attention a;
    cz_evaluation e;
    cz_status status = cz_trainer_evaluate(trainer, CZ_TRAIN, false, &e, &a);
    cz_evaluation_free(&e);
    if (status || comm->rank) return status;
    size_t pool = (size_t)a.latents * (size_t)a.tokens * sizeof(double);
    size_t cross = (size_t)a.tokens * (size_t)a.text_tokens * sizeof(double);
    r->attention = cz_hash(cz_hash(0, a.resampler, pool), a.fusion, cross);
    r->row_gap =
        fmax(row_gap(a.resampler, a.latents, a.tokens), row_gap(a.fusion, a.tokens, a.text_tokens));
    cz_attention_free(&a);
    return CZ_OK;
}

typedef struct plan {
    const cz_config *config;
    const cz_backend *backend;
    int ranks, threads; /* ranks of the world that train */
    const char *name;   /* folder of the checkpoints */
    const volatile sig_atomic_t *stop;
    bool resume;
    const population *cells; /* NULL: all once */
} plan;

/* A hash of the weights, and whether every rank has the same. */
static void compare_replicas(result *r, cz_trainer *trainer, const cz_model *model, cz_dtype dtype,
                             const cz_comm *comm)
{
    size_t size = cz_model_params(model)->total * cz_dtype_size(cz_dtype_wide(dtype));
    r->weights = cz_hash(0, cz_trainer_weights(trainer), size);
    uint64_t ends[2] = {r->weights, ~r->weights};
    MPI_Allreduce(MPI_IN_PLACE, ends, 2, MPI_UINT64_T, MPI_MIN, comm->mpi);
    r->replicas = ends[0] == ~ends[1];
}

static result train_on(const plan *p, const cz_comm *comm)
{
    result r = {.status = CZ_OK};
    cz_cells cells;
    cz_pool *pool = NULL;
    cz_trainer *trainer = NULL;
    cz_model *model = NULL;
    float text[TYPES * TEXT_WIDTH];
    char checkpoints[300], metrics[320];
    const population once = all_once();
    make_cells(&cells, p->cells ? p->cells : &once, comm);
    cz_model_spec spec = small_spec(p->config, &cells, true);
    snprintf(checkpoints, sizeof checkpoints, "%s/%s", folder, p->name);
    snprintf(metrics, sizeof metrics, "%s/%s.jsonl", folder, p->name);
    if (comm->rank == 0) cz_make_folder(checkpoints);
    r.status = cz_pool_open(&pool, p->threads, NULL);
    if (!r.status) r.status = cz_model_open(&model, &spec);
    cz_trainer_setup setup = {.config = p->config,
                              .comm = comm,
                              .pool = pool,
                              .cells = &cells,
                              .model = model,
                              .backend = p->backend,
                              .text = small_text(text),
                              .checkpoints = checkpoints,
                              .metrics = metrics,
                              .stop = p->stop,
                              .observer = {&r, record_step, record_epoch}};
    bool found;
    if (!r.status) r.status = cz_trainer_open(&trainer, &setup);
    if (!r.status) r.status = look(&r, trainer, comm);
    if (!r.status && p->resume) r.status = cz_trainer_resume(trainer, checkpoints, &found);
    if (!r.status) r.status = cz_trainer_run(trainer);
    if (trainer) compare_replicas(&r, trainer, model, cz_backend_dtype(p->backend), comm);
    cz_trainer_close(trainer);
    cz_model_close(model);
    cz_pool_close(pool);
    cz_cells_free(&cells);
    return r;
}

/* Trains on the first p->ranks ranks of the world; all ranks get rank 0's result. */
static result train_as(const plan *p)
{
    result r = {0};
    cz_comm part;
    cz_comm_split(&part, &world, world.rank < p->ranks);
    if (world.rank < p->ranks) r = train_on(p, &part);
    cz_comm_free(&part);
    MPI_Bcast(&r, sizeof r, MPI_BYTE, 0, world.mpi);
    return r;
}

static double trajectory_gap(const trajectory *a, const trajectory *b)
{
    double worst = 0;
    for (int i = 0; i < STEPS; i++)
        worst = fmax(worst, fabs(a->loss[i] - b->loss[i]) / fabs(b->loss[i]));
    return worst;
}

#define verdict(...)                                                                               \
    do {                                                                                           \
        if (world.rank == 0) check(__VA_ARGS__);                                                   \
    } while (0)

static const cz_backend *exact(void) { return cz_backend_cpu(CZ_F64, CZ_LEVEL_PORTABLE); }
static const cz_backend *best(cz_dtype dtype)
{
    return cz_backend_cpu(dtype, cz_level_best(dtype));
}

/* What a configuration can ask of the classes of the target. */
static const struct choice {
    const char *what;
    cz_class_weights weights;
    cz_sampler sampler;
} choices[] = {{"cells alike", CZ_WEIGHTS_NONE, CZ_SAMPLER_SHUFFLE},
               {"classes weighed", CZ_WEIGHTS_BALANCED, CZ_SAMPLER_SHUFFLE},
               {"classes drawn alike", CZ_WEIGHTS_NONE, CZ_SAMPLER_BALANCED}};

static cz_config config_of(const struct choice *v)
{
    cz_config config = small_config();
    config.train.class_weights = v->weights;
    config.train.sampler = v->sampler;
    return config;
}

static void check_fp64(const struct choice *v)
{
    cz_config config = config_of(v);
    plan p = {&config, exact(), 1, 1, "f64-one", &never, false, NULL};
    result one = train_as(&p);
    p.ranks = world.size;
    p.name = "f64-all";
    result all = train_as(&p);
    double gap = trajectory_gap(&all.path, &one.path);
    verdict(!one.status && !all.status && one.path.count == STEPS && gap < TOL_F64_RANKS,
            "fp64, %s: %d steps on %d ranks and on one differ by %.1e (%s)", v->what, STEPS,
            world.size, gap, cz_error_message());
    verdict(one.path.loss[STEPS - 1] < one.path.loss[0], "fp64, %s: the loss falls, %.4f to %.4f",
            v->what, one.path.loss[0], one.path.loss[STEPS - 1]);
    verdict(one.attention && all.attention == one.attention,
            "fp64: maps of attention have the same bits on %d ranks and on one", world.size);
    verdict(one.row_gap < TOL_ATTENTION, "fp64: their rows sum to 1 to %.1e", one.row_gap);
}

/* One step of the whole epoch: weighing the classes is repeating the cells of the smaller. */
static void check_weights(void)
{
    static population once, even;
    const int copies[DONORS] = {1, 2, 3, 1, 2};
    cz_column donor;
    population all = all_once();
    int count[DONORS] = {0}, least = N;
    make_column(&donor, &all, "donor", DONORS, 1);
    for (int i = 0; i < N; i++) count[donor.code[i]] += i % 10 < 8;
    for (int k = 0; k < DONORS; k++)
        if (count[k] < least) least = count[k];
    /* Of each class as many training cells as make `least` of the copies; all others once. */
    memset(count, 0, sizeof count);
    once.n = even.n = 0;
    once.width = even.width = WIDTH;
    for (int i = 0; i < N; i++) {
        int k = donor.code[i], times = 1;
        if (i % 10 < 8) {
            times = copies[k];
            if (++count[k] > least / 6 * 6 / copies[k]) continue;
        }
        once.original[once.n++] = i;
        while (times--) even.original[even.n++] = i;
    }
    for (int k = 0; k < DONORS; k++) free(donor.class_name[k]);
    free(donor.class_name);
    free(donor.code);

    cz_config config = config_of(&choices[1]);
    config.model.dropout = config.train.adv_lambda = 0;
    config.train.batch = COPIES * N;
    config.train.warmup = 0;
    plan p = {&config, exact(), world.size, 1, "weighed", &never, false, &once};
    result weighed = train_as(&p);
    config.train.class_weights = CZ_WEIGHTS_NONE;
    p.name = "alike";
    result alike = train_as(&p);
    p.name = "repeated";
    p.cells = &even;
    result repeated = train_as(&p);
    double gap = fabs(weighed.validation / repeated.validation - 1);
    verdict(!weighed.status && !repeated.status && gap < TOL_F64_PYTORCH,
            "balanced weights train as repeated cells do: validation loss %.6f, apart %.1e (%s)",
            weighed.validation, gap, cz_error_message());
    verdict(!alike.status && fabs(alike.validation / repeated.validation - 1) > 1e-3,
            "and not as cells alike do: %.6f", alike.validation);
}

/* Divisions of four workers that this many ranks allow. */
static void check_bits(const cz_backend *backend, const struct choice *v)
{
    const char *name = cz_backend_name(backend);
    cz_config config = config_of(v);
    plan p = {&config, backend, 1, 4, "1x4", &never, false, NULL};
    result first = train_as(&p);
    p.name = "again";
    result again = train_as(&p);
    verdict(!first.status && first.weights == again.weights, "%s, %s: two runs give the same bits",
            name, v->what);
    verdict(first.path.loss[STEPS - 1] < first.path.loss[0], "%s, %s: the loss falls, %.4f to %.4f",
            name, v->what, first.path.loss[0], first.path.loss[STEPS - 1]);
    for (int ranks = 2; ranks <= world.size; ranks += 2) {
        for (int messages = 0; messages < 2; messages++) {
            snprintf(config.run.transport, sizeof config.run.transport,
                     messages ? "messages" : "window");
            char folder_name[64];
            snprintf(folder_name, sizeof folder_name, "%d-%s", ranks, config.run.transport);
            p.ranks = ranks;
            p.threads = 4 / ranks;
            p.name = folder_name;
            result other = train_as(&p);
            verdict(!other.status && other.replicas && other.weights == first.weights &&
                        other.attention == first.attention,
                    "%s, %s: %d x %d workers by %s give the bits of 1 x 4, all ranks the same",
                    name, v->what, ranks, 4 / ranks, config.run.transport);
        }
    }
}

/* What bf16 computes with the first weights is what fp64 does, to its roundings. */
static void check_first_step(const cz_backend *backend)
{
    cz_config config = small_config();
    plan p = {&config, exact(), world.size, 1, "first, exact", &never, false, NULL};
    result want = train_as(&p);
    p.backend = backend;
    p.name = "first, rounded";
    result got = train_as(&p);
    double gap = fabs(got.path.loss[0] / want.path.loss[0] - 1);
    verdict(!want.status && !got.status && got.replicas && gap < TOL_BF16_LOSS,
            "%s: the first loss %.1e from that of fp64", cz_backend_name(backend), gap);
}

/* A plan's run, stopped in the middle of epoch 2. */
static result stop_half_way(plan *p)
{
    p->stop = &stop_now;
    stop_now = 0;
    return train_as(p);
}

/* And on from where it was stopped. */
static result go_on(plan *p)
{
    p->resume = true;
    p->stop = &never;
    return train_as(p);
}

/* Stopped in the middle of epoch 2 and resumed: the weights of an unbroken run. */
static void check_resume(const cz_backend *backend, const struct choice *v)
{
    char broken[64], whole_name[64];
    const char *name = cz_backend_name(backend);
    cz_config config = config_of(v);
    snprintf(whole_name, sizeof whole_name, "whole, %s, %s", v->what, name);
    snprintf(broken, sizeof broken, "broken, %s, %s", v->what, name);
    plan p = {&config, backend, world.size, 1, whole_name, &never, false, NULL};
    result whole = train_as(&p);
    p.name = broken;
    result stopped = stop_half_way(&p), resumed = go_on(&p);
    verdict(stopped.status == CZ_STOPPED && !resumed.status && resumed.weights == whole.weights,
            "%s, %s: stopped in epoch 2 and resumed, the bits of an unbroken run (%s)", name,
            v->what, cz_error_message());
}

/* A state in bf16 is one in fp32: it goes on where bf16 is not multiplied. */
static void check_other_type(void)
{
    cz_config config = small_config();
    plan p = {&config, best(CZ_BF16), world.size, 1, "other type", &never, false, NULL};
    result stopped = stop_half_way(&p);
    p.backend = best(CZ_F32);
    result moved = go_on(&p);
    verdict(stopped.status == CZ_STOPPED && moved.status == CZ_OK && moved.replicas,
            "a state of %s goes on on %s (%s)", cz_backend_name(best(CZ_BF16)),
            cz_backend_name(best(CZ_F32)), cz_error_message());
}

/* Where cells come portion by portion, the same: wherever ranks or a resumption cut the epoch. */
static void check_portions(const struct choice *v)
{
    char broken[64], whole_name[64];
    cz_config config = config_of(v);
    population wide = all_once();
    wide.width = WIDE;
    bool divides = 4 % world.size == 0;
    snprintf(whole_name, sizeof whole_name, "wide, %s", v->what);
    snprintf(broken, sizeof broken, "wide and broken, %s", v->what);
    plan p = {.config = &config,
              .backend = best(CZ_F32),
              .ranks = world.size,
              .threads = 1,
              .name = whole_name,
              .stop = &never,
              .cells = &wide};
    if (divides) p.ranks = 1, p.threads = 4;
    result whole = train_as(&p);
    p.ranks = world.size;
    p.threads = divides ? 4 / world.size : 1;
    p.name = broken;
    result stopped = stop_half_way(&p), resumed = go_on(&p);
    verdict(!whole.status && stopped.status == CZ_STOPPED && !resumed.status &&
                resumed.weights == whole.weights && resumed.validation == whole.validation &&
                resumed.attention == whole.attention,
            "fetched in portions, stopped and resumed, %s: the bits of %s (%s)", v->what,
            divides ? "one rank's unbroken run" : "an unbroken run", cz_error_message());
}

/* A state of all ranks goes on on one rank. */
static void check_other_ranks(void)
{
    cz_config config = small_config();
    plan p = {&config, exact(), world.size, 1, "moved", &stop_now, false, NULL};
    stop_now = 0;
    result stopped = train_as(&p);
    p.ranks = 1;
    p.resume = true;
    p.stop = &never;
    result moved = train_as(&p);
    verdict(stopped.status == CZ_STOPPED && moved.status == CZ_OK,
            "a state of %d ranks goes on on one (%s)", world.size, cz_error_message());
}

static void check_divergence(const cz_backend *backend)
{
    cz_config config = small_config();
    char name[64];
    config.train.lr = 1e30;
    snprintf(name, sizeof name, "diverged, %s", cz_backend_name(backend));
    plan p = {&config, backend, world.size, 1, name, &never, false, NULL};
    result r = train_as(&p);
    verdict(r.status == CZ_ERR_DIVERGED && strstr(cz_error_message(), "train.lr"),
            "%s: a huge learning rate ends as divergence on every rank: %s",
            cz_backend_name(backend), cz_error_message());
    cz_error_clear();
}

/* Every variant but fp64, with cells alike. */
static void check_variants(void)
{
    for (int v = 0; v < VARIANTS; v++) {
        const cz_backend *backend = variant_backend(v);
        if (!backend && world.rank == 0)
            check_skip("%s: %s", backend_variants[v].name, variant_lacks(v));
        if (!backend || backend_variants[v].dtype == CZ_F64) continue;
        check_bits(backend, choices);
        if (backend_variants[v].dtype == CZ_BF16) check_first_step(backend);
    }
}

int main(int argc, char **argv)
{
    enter_world(&argc, &argv, "training");
    for (int i = 0; i < 3; i++) check_fp64(&choices[i]);
    check_weights();
    check_variants();
    for (int i = 1; i < 3; i++) check_bits(best(CZ_F32), &choices[i]);
    for (int i = 0; i < 3; i++) check_resume(best(CZ_F32), &choices[i]);
    check_resume(best(CZ_BF16), &choices[0]);
    check_other_type();
    check_portions(&choices[0]);
    check_portions(&choices[2]);
    check_other_ranks();
    check_divergence(best(CZ_F32));
    check_divergence(best(CZ_BF16));
    return leave_world();
}
