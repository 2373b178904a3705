/* Training on GPUs, those of CZHPC_CUDA_PLUGIN: the trajectory, states and evaluations of a CPU, by
 * sums among GPUs, by MPI in their memory and on the host; what an emulated GPU was asked for.
 * Where there are fewer GPUs than ranks, as with a real one, ranks share them. */
#include "czhpc/file.h"
#include "population.h"

#include <dlfcn.h>
#include <unistd.h>

enum { EPOCHS = 16, MOST_WEIGHTS = 1 << 16, MAPS = 6 * 4 + 4 * 4 };
/* So wide that an epoch of COPIES x N cells comes in several portions on one rank. */
enum { WIDE = 8192 };
enum { MOST_NODES = 50 }; /* of a step with its sum: what czhpc promises */

static cz_gpu *gpu;
static bool alone; /* every rank has a GPU of its own */
static volatile sig_atomic_t never, stop_now;

#define verdict(...)                                                                               \
    do {                                                                                           \
        if (world.rank == 0) check(__VA_ARGS__);                                                   \
    } while (0)

/* How a training was. */
typedef struct result {
    cz_status status;
    int epochs, nodes;
    double loss[EPOCHS][4];   /* of both heads: training and validation, an epoch */
    double said[COPIES * N];  /* losses of all training cells by the first weights, */
    int32_t best[COPIES * N]; /* and classes */
    double map[MAPS];         /* and attention */
    int cells, maps, weights;
    double weight[MOST_WEIGHTS];
    uint64_t hash, metrics; /* of the weights, and of the file */
    bool replicas;
} result;

typedef struct plan {
    const cz_config *config;
    const char *name; /* folder of the checkpoints */
    bool on_gpu;
    cz_gpu_sums sums; /* where each rank has a GPU */
    cz_dtype dtype;
    bool stop, resume;          /* in the middle */
    bool no_text, look, broken; /* the last: a feature of the first cell */
    const population *cells;    /* NULL: all once */
} plan;

/* When to stop: after this step of an epoch, or the first that is reported after it. */
static int stop_epoch = 2, stop_step = 3;

static void record_step(void *context, const cz_step_report *report)
{
    (void)context;
    if (report->epoch == stop_epoch && report->step >= stop_step) stop_now = 1;
}

static void record_epoch(void *context, const cz_epoch_report *report)
{
    result *r = context;
    if (r->epochs == EPOCHS) return;
    double *loss = r->loss[r->epochs++];
    for (int h = 0; h < 2; h++) {
        loss[(size_t)h * 2] = report->train.loss[h];
        loss[(size_t)h * 2 + 1] = report->validation.loss[h];
    }
}

static cz_status look(result *r, cz_trainer *trainer)
{
    cz_attention a;
    cz_evaluation e;
    CZ_TRY(cz_trainer_evaluate(trainer, CZ_TRAIN, true, &e, &a));
    r->cells = e.n;
    memcpy(r->said, e.loss[0], (size_t)e.n * sizeof *r->said);
    memcpy(r->best, e.best[0], (size_t)e.n * sizeof *r->best);
    if (world.rank == 0) {
        for (int i = 0; i < a.latents * a.tokens; i++) r->map[r->maps++] = a.resampler[i];
        for (int i = 0; a.fusion && i < a.tokens * a.text_tokens; i++)
            r->map[r->maps++] = a.fusion[i];
        cz_attention_free(&a);
    }
    cz_evaluation_free(&e);
    return CZ_OK;
}

static void keep_weights(result *r, cz_trainer *trainer, const cz_model *model)
{
    const float *w = cz_trainer_weights(trainer);
    r->weights = (int)cz_model_params(model)->total;
    for (int i = 0; i < r->weights && i < MOST_WEIGHTS; i++) r->weight[i] = (double)w[i];
    r->hash = cz_hash(0, w, (size_t)r->weights * sizeof *w);
    uint64_t ends[2] = {r->hash, ~r->hash};
    MPI_Allreduce(MPI_IN_PLACE, ends, 2, MPI_UINT64_T, MPI_MIN, world.mpi);
    r->replicas = ends[0] == ~ends[1];
}

static uint64_t file_hash(const char *path)
{
    char text[1 << 14];
    FILE *in = fopen(path, "r");
    size_t size = in ? fread(text, 1, sizeof text, in) : 0;
    if (in) fclose(in);
    return cz_hash(0, text, size);
}

static void run_trainer(result *r, const plan *p, cz_trainer_setup *setup)
{
    cz_trainer *trainer = NULL;
    bool found = true;
    r->status = cz_trainer_open(&trainer, setup);
    if (!r->status && p->look) r->status = look(r, trainer);
    if (!r->status && p->resume) r->status = cz_trainer_resume(trainer, setup->checkpoints, &found);
    if (!r->status) r->status = found ? cz_trainer_run(trainer) : CZ_ERR_INPUT;
    if (!r->status || r->status == CZ_STOPPED) keep_weights(r, trainer, setup->model);
    if (trainer) r->nodes = cz_trainer_facts(trainer).graph_nodes;
    cz_trainer_close(trainer);
}

static void train(result *r, const plan *p)
{
    cz_cells cells;
    cz_pool *pool;
    cz_model *model;
    float text[TYPES * TEXT_WIDTH];
    char checkpoints[300], metrics[320];
    population once = all_once();
    memset(r, 0, sizeof *r);
    make_cells(&cells, p->cells ? p->cells : &once, &world);
    if (p->broken && world.rank == 0) cells.x[0] = NAN;
    cz_model_spec spec = small_spec(p->config, &cells, !p->no_text);
    snprintf(checkpoints, sizeof checkpoints, "%s/%s", folder, p->name);
    snprintf(metrics, sizeof metrics, "%s/%s.jsonl", folder, p->name);
    if (world.rank == 0) cz_make_folder(checkpoints);
    if (cz_pool_open(&pool, 1, NULL) || cz_model_open(&model, &spec)) exit(2);
    stop_now = 0;
    cz_trainer_setup setup = {
        .config = p->config,
        .comm = &world,
        .pool = pool,
        .cells = &cells,
        .model = model,
        .backend = p->on_gpu ? cz_gpu_backend(gpu, p->dtype)
                             : cz_backend_cpu(p->dtype, cz_level_best(p->dtype)),
        .gpu = p->on_gpu ? gpu : NULL,
        .gpu_sums = alone ? p->sums : CZ_SUMS_BY_HOST,
        .checkpoints = checkpoints,
        .metrics = metrics,
        .stop = p->stop ? &stop_now : &never,
        .observer = {r, record_step, record_epoch, NULL},
    };
    if (!p->no_text) setup.text = small_text(text);
    run_trainer(r, p, &setup);
    if (world.rank == 0) r->metrics = file_hash(metrics);
    cz_model_close(model);
    cz_pool_close(pool);
    cz_cells_free(&cells);
}

/* The largest relative distance of two trajectories. */
static double loss_gap(const result *a, const result *b)
{
    double worst = a->epochs == b->epochs && a->epochs ? 0 : INFINITY;
    for (int i = 0; i < 4 * a->epochs; i++) {
        double want = b->loss[i / 4][i % 4], gap = fabs(a->loss[i / 4][i % 4] - want) / fabs(want);
        worst = gap <= worst ? worst : gap;
    }
    return worst;
}

static double weight_gap(const result *a, const result *b)
{
    return a->weights ? check_distance(a->weight, b->weight, (size_t)b->weights) : INFINITY;
}

/* What an emulated GPU was asked for. */
typedef struct emulation {
    int (*calls)(const char *(*names)[], int most);
    void (*forget)(void);
    int (*graph)(const char *(*names)[], int most);
} emulation;
static emulation emulated; /* its calls NULL: it is none */

static void find_emulation(void)
{
    void *plugin = dlopen(getenv("CZHPC_CUDA_PLUGIN"), RTLD_NOW | RTLD_NOLOAD);
    if (!plugin) return;
    *(void **)&emulated.forget = dlsym(plugin, "cz_emulated_forget_calls");
    *(void **)&emulated.graph = dlsym(plugin, "cz_emulated_graph_work");
    *(void **)&emulated.calls = dlsym(plugin, "cz_emulated_calls");
}

/* Whether ranks' gradients can be summed so. An emulated GPU's memory is memory that MPI knows. */
static bool sums_here(cz_gpu_sums sums)
{
    if (sums != CZ_SUMS_BY_MPI || emulated.calls || cz_comm_takes_gpu_memory(&world)) return true;
    if (world.rank == 0) check_skip("sums in GPU memory: this MPI is not CUDA-aware");
    return false;
}

static const char *form(cz_gpu_sums sums)
{
    if (world.size > 1 && alone && sums == CZ_SUMS_BY_MPI) return "sums by MPI in GPU memory";
    return world.size == 1 ? "one GPU" : sums || !alone ? "shared GPUs" : "a GPU each";
}

/* What a configuration can ask for that changes a step. */
static const struct variant {
    const char *what;
    int batch, block;
    cz_class_weights weights;
    cz_sampler sampler;
    bool no_text;
} variants[] = {
    {"whole batches", 23, 0, CZ_WEIGHTS_NONE, CZ_SAMPLER_SHUFFLE, false},
    {"a last batch of one cell", 61, 0, CZ_WEIGHTS_NONE, CZ_SAMPLER_SHUFFLE, false},
    {"blocks of 5 cells", 23, 5, CZ_WEIGHTS_NONE, CZ_SAMPLER_SHUFFLE, false},
    {"classes weighed", 50, 0, CZ_WEIGHTS_BALANCED, CZ_SAMPLER_SHUFFLE, false},
    {"classes drawn alike", 50, 0, CZ_WEIGHTS_NONE, CZ_SAMPLER_BALANCED, false},
    {"no text", 50, 0, CZ_WEIGHTS_NONE, CZ_SAMPLER_SHUFFLE, true},
};
enum { FORMS = sizeof variants / sizeof *variants };

static cz_config config_of(const struct variant *v)
{
    cz_config config = small_config();
    config.train.batch = v->batch;
    config.train.block = v->block;
    config.train.class_weights = v->weights;
    config.train.sampler = v->sampler;
    return config;
}

static void check_evaluation(const result *got, const result *want)
{
    int other = 0;
    for (int i = 0; i < want->cells; i++) other += got->best[i] != want->best[i];
    verdict(got->cells == want->cells && !other &&
                check_distance(got->said, want->said, (size_t)want->cells) < TOL_F32_GRADIENT,
            "an evaluation of %d cells on a GPU: a CPU's classes, losses %.1e apart", want->cells,
            check_distance(got->said, want->said, (size_t)want->cells));
    verdict(got->maps == want->maps &&
                check_distance(got->map, want->map, (size_t)want->maps) < TOL_F32_GRADIENT,
            "its maps of attention are %.1e from a CPU's",
            check_distance(got->map, want->map, (size_t)want->maps));
}

/* fp32 on a GPU is fp32 on a CPU, by sums of either kind. */
static void check_variant(const struct variant *v)
{
    static result want, own, shared;
    cz_config config = config_of(v);
    plan p = {.config = &config, .name = "cpu", .dtype = CZ_F32, .look = true};
    p.no_text = v->no_text;
    train(&want, &p);
    p.on_gpu = true;
    p.name = "gpu";
    train(&own, &p);
    verdict(!want.status && !own.status && own.replicas && own.nodes > 0 &&
                loss_gap(&own, &want) < TOL_GPU_LOSS && weight_gap(&own, &want) < TOL_GPU_WEIGHTS,
            "%s, %s, fp32: losses %.1e and weights %.1e from a CPU's, every rank the same (%s)",
            form(CZ_SUMS_BY_GPUS), v->what, loss_gap(&own, &want), weight_gap(&own, &want),
            cz_error_message());
    check_evaluation(&own, &want);
    if (world.size == 1 || !alone) return;
    for (p.sums = CZ_SUMS_BY_MPI; p.sums <= CZ_SUMS_BY_HOST; p.sums++) {
        if (!sums_here(p.sums)) continue;
        p.name = p.sums == CZ_SUMS_BY_MPI ? "by MPI" : "shared";
        train(&shared, &p);
        verdict(!shared.status && shared.replicas && loss_gap(&shared, &own) < TOL_GPU_LOSS &&
                    weight_gap(&shared, &own) < TOL_GPU_WEIGHTS,
                "%s, %s: losses %.1e and weights %.1e from those of a GPU each (%s)", form(p.sums),
                v->what, loss_gap(&shared, &own), weight_gap(&shared, &own), cz_error_message());
    }
}

/* 104 steps. */
static void check_bf16(void)
{
    static result want, cpu, got;
    cz_config config = small_config();
    config.train.epochs = 13;
    plan p = {.config = &config, .name = "long", .dtype = CZ_F32};
    train(&want, &p);
    p.dtype = CZ_BF16;
    p.name = "long, bf16";
    train(&cpu, &p);
    p.on_gpu = true;
    p.name = "long, bf16, gpu";
    train(&got, &p);
    double far = loss_gap(&got, &want), usual = loss_gap(&cpu, &want);
    verdict(!want.status && !cpu.status && !got.status && got.replicas && want.epochs == 13 &&
                far < TOL_BF16_TRAJECTORY * usual,
            "%s, bf16: losses of 104 steps %.1e from fp32's, %.1e on a CPU (%s)",
            form(CZ_SUMS_BY_GPUS), far, usual, cz_error_message());
    verdict(got.loss[12][0] < got.loss[0][0], "they fall, %.4f to %.4f", got.loss[0][0],
            got.loss[12][0]);
}

/* Stopped on one device and resumed on another, against `whole`. */
static void check_moved(const result *whole, plan p, bool from_gpu, bool to_gpu, const char *what)
{
    static result stopped, moved;
    char name[64];
    snprintf(name, sizeof name, "%s, %d to %d", what, from_gpu, to_gpu);
    p.name = name;
    p.on_gpu = from_gpu;
    p.stop = true;
    train(&stopped, &p);
    p.on_gpu = to_gpu;
    p.stop = false;
    p.resume = true;
    train(&moved, &p);
    bool bits = from_gpu && to_gpu;
    bool same = bits ? moved.hash == whole->hash && moved.metrics == whole->metrics
                     : weight_gap(&moved, whole) < TOL_GPU_WEIGHTS;
    verdict(stopped.status == CZ_STOPPED && !moved.status && moved.replicas && same,
            "%s, stopped on a %s and resumed on a %s, %s: %s (%.1e) (%s)", form(p.sums),
            from_gpu ? "GPU" : "CPU", to_gpu ? "GPU" : "CPU", what,
            bits ? "the bytes of an unbroken run" : "an unbroken run's weights to rounding",
            weight_gap(&moved, whole), cz_error_message());
}

static void check_resume(cz_gpu_sums sums)
{
    static result whole;
    cz_config config = small_config();
    config.train.batch = 50;
    config.checkpoint.every_steps = 3;
    plan p = {.config = &config, .name = "unbroken", .on_gpu = true, .dtype = CZ_F32};
    const char *half = sums ? "shared, half way" : "half way";
    p.sums = sums;
    if (sums) p.name = sums == CZ_SUMS_BY_MPI ? "unbroken, by MPI" : "unbroken, shared";
    train(&whole, &p);
    verdict(!whole.status, "states are saved every 3 steps of 4 (%s)", cz_error_message());
    stop_step = 2;
    check_moved(&whole, p, true, true, half);
    stop_step = 4;
    check_moved(&whole, p, true, true, sums ? "shared, last step" : "last step");
    stop_step = 2;
    check_moved(&whole, p, true, false, half);
    check_moved(&whole, p, false, true, half);
}

static void check_divergence(void)
{
    static result r;
    cz_config config = small_config();
    config.train.lr = 1e30;
    plan p = {.config = &config, .name = "diverged", .on_gpu = true, .dtype = CZ_F32};
    train(&r, &p);
    verdict(r.status == CZ_ERR_DIVERGED && strstr(cz_error_message(), "train.lr"),
            "a huge learning rate ends as divergence: %s", cz_error_message());
    cz_error_clear();
    config = small_config();
    p.broken = true;
    train(&r, &p);
    verdict(r.status == CZ_ERR_DIVERGED && strstr(cz_error_message(), "weights are not finite"),
            "so does a feature that is NaN, which a ReLU hides from the loss: %s",
            cz_error_message());
    cz_error_clear();
}

enum { MOST_CALLS = 1 << 14 };
static const char *calls[MOST_CALLS];
static int call_count, portion_count, step_count, saving; /* calls of a state that is saved first */

/* The calls of an epoch whose graphs are there, before what comes after its last step. */
static void watch_epoch(void *context, const cz_epoch_report *report)
{
    (void)context;
    enum { STATE_DOWN = 4 }; /* three arrays, and a wait */
    if (report->epoch == 2) emulated.forget();
    if (report->epoch == 2) saving = report->best ? STATE_DOWN : 0;
}

static void watch_step(void *context, const cz_step_report *report)
{
    (void)context;
    if (report->epoch != 3) return;
    portion_count++;
    step_count = report->step;
    if (report->step == report->steps)
        call_count = emulated.calls((const char *(*)[])calls, MOST_CALLS) - saving;
}

/* Prints a list, what comes again and again once. */
static void print_names(const char *what, const char *const *name, int count)
{
    printf("%s:", what);
    for (int i = 0, j; i < count; i = j) {
        for (j = i + 1; j < count && !strcmp(name[i], name[j]);) j++;
        if (j - i > 1) printf(" %d x %s,", j - i, name[i]);
        else printf(" %s,", name[i]);
    }
    puts(" end");
}

static int count_of(const char *name)
{
    int count = 0;
    for (int i = 0; i < call_count; i++) count += !strcmp(calls[saving + i], name);
    return count;
}

static void watch(result *r, const population *cells)
{
    cz_config config = small_config();
    cz_cells all;
    cz_pool *pool;
    cz_model *model;
    cz_trainer *trainer = NULL;
    float text[TYPES * TEXT_WIDTH];
    char checkpoints[300], metrics[320];
    config.checkpoint.every = 0;
    make_cells(&all, cells, &world);
    cz_model_spec spec = small_spec(&config, &all, true);
    snprintf(checkpoints, sizeof checkpoints, "%s/watched", folder);
    snprintf(metrics, sizeof metrics, "%s/watched.jsonl", folder);
    if (world.rank == 0) cz_make_folder(checkpoints);
    if (cz_pool_open(&pool, 1, NULL) || cz_model_open(&model, &spec)) exit(2);
    cz_trainer_setup setup = {.config = &config,
                              .comm = &world,
                              .pool = pool,
                              .cells = &all,
                              .model = model,
                              .backend = cz_gpu_backend(gpu, CZ_BF16),
                              .gpu = gpu,
                              .text = small_text(text),
                              .checkpoints = checkpoints,
                              .metrics = metrics,
                              .stop = &never,
                              .observer = {r, watch_step, watch_epoch, NULL}};
    r->status = cz_trainer_open(&trainer, &setup);
    if (!r->status) r->status = cz_trainer_run(trainer);
    if (trainer) r->nodes = cz_trainer_facts(trainer).graph_nodes;
    cz_trainer_close(trainer);
    cz_model_close(model);
    cz_pool_close(pool);
    cz_cells_free(&all);
}

/* Once a step is recorded it is one call, and a portion a few; the host waits once a portion. */
static void check_calls(void)
{
    static result r;
    static population many;
    many.n = COPIES * N;
    many.width = WIDE;
    for (int i = 0; i < many.n; i++) many.original[i] = i % N;
    watch(&r, &many);
    int uploads = count_of("memcpy"), marks = count_of("cudaEventRecord");
    int waits = count_of("cudaEventSynchronize"), launches = count_of("cudaGraphLaunch");
    int queries = count_of("cudaEventQuery"); /* a wait in a group: these, until the mark */
    int known = uploads + marks + waits + queries + launches;
    if (world.rank == 0) print_names("an epoch's calls", calls + saving, call_count);
    verdict(!r.status && call_count > 0 && launches == step_count,
            "%d steps of an epoch are %d launches of graphs (%s)", step_count, launches,
            cz_error_message());
    verdict(known == call_count && marks == portion_count && uploads == 4 * portion_count,
            "its %d portions are %d copies and %d marks beside; no other call of %d", portion_count,
            uploads, marks, call_count);
    verdict(waits + (queries > 0) <= portion_count && waits <= portion_count - 1,
            "the host waits for a mark once a portion: %d waits, %d queries", waits, queries);

    const char *names[1024];
    int count = emulated.graph((const char *(*)[])names, 1024);
    verdict(count > 0 && count <= MOST_NODES, "a recorded step has %d nodes, at most %d", count,
            MOST_NODES);
    if (world.rank == 0) print_names("its nodes", names, count);
}

static void check_all(void)
{
    if (!alone && world.rank == 0)
        check_skip("%d ranks with a GPU each: there are fewer GPUs", world.size);
    for (int v = 0; v < FORMS; v++) check_variant(&variants[v]);
    if (world.size <= 2) check_bf16();
    check_resume(CZ_SUMS_BY_GPUS);
    for (int sums = CZ_SUMS_BY_MPI; sums <= CZ_SUMS_BY_HOST && world.size == 2 && alone; sums++)
        if (sums_here((cz_gpu_sums)sums)) check_resume((cz_gpu_sums)sums);
    check_divergence();
    if (emulated.calls) check_calls();
    else if (world.rank == 0) check_skip("the calls of a step: CZHPC_CUDA_PLUGIN is no emulation");
}

/* A GPU for this rank: an emulation has as many as there are ranks. */
static cz_status open_gpu(void)
{
    int count, least;
    char ranks[16];
    snprintf(ranks, sizeof ranks, "%d", world.size);
    setenv("CZHPC_EMULATED_GPUS", ranks, 1);
    CZ_TRY(cz_gpu_count(&count));
    least = count;
    MPI_Allreduce(MPI_IN_PLACE, &least, 1, MPI_INT, MPI_MIN, world.mpi);
    alone = least >= world.size;
    return cz_gpu_open(&gpu, world.node_rank % count);
}

int main(int argc, char **argv)
{
    enter_world(&argc, &argv, "gpu");
    cz_status status = getenv("CZHPC_CUDA_PLUGIN") ? open_gpu() : CZ_ERR_DEVICE;
    if (!cz_comm_agree(&world, status)) {
        find_emulation();
        check_all();
    } else if (world.rank == 0)
        check_skip("training on GPUs: CZHPC_CUDA_PLUGIN names no GPU's plug-in: %s",
                   cz_error_message());
    cz_gpu_close(gpu);
    return leave_world();
}
