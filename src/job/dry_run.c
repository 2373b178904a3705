/* What a job would be, without running it. */
#include "czhpc/log.h"
#include "room.h"

#include <math.h>
#include <stdlib.h>

/* Cells of each part: counted where the split is known, else by the shares. */
static void count_parts(int count[CZ_SPLITS], const cz_cells *cells, const cz_config *config)
{
    const char *key;
    bool folds = cz_config_split(config, &key) == CZ_SPLIT_KFOLD;
    double fold = 1.0 / config->split.folds;
    double part[CZ_SPLITS] = {folds ? 1 - 2 * fold : config->split.train,
                              folds ? fold : config->split.validation};
    part[CZ_TEST] = 1 - part[CZ_TRAIN] - part[CZ_VALIDATION];
    for (int p = 0; p < CZ_SPLITS; p++)
        count[p] = cells->split ? 0 : (int)(part[p] * cells->n + 0.5);
    for (int i = 0; i < cells->n && cells->split; i++) count[cells->split[i]]++;
}

/* Cells, model and labels of a configuration, shapes only, and the memory of a text model's
 * weights. Rank 0. */
static cz_status shape(cz_cells *cells, cz_model **model, cz_bert_size *weights,
                       const cz_config *config)
{
    CZ_TRY(cz_cells_shape(cells, config));
    int width = config->text.width;
    if (config->model.text)
        CZ_TRY(
            cz_embed_shape(&width, weights, cells->label.class_name, cells->label.classes, config));
    return build_model(model, config, cells, width);
}

/* What a rank takes for libraries and MPI alone: 23 MiB at the start of a job, of Open MPI 4.1.4,
 * HDF5 1.10.8 and OpenBLAS 0.3.21 on Debian 12, and 5 to 7 more once all of them are in use. */
static const double OWN_MIB = 30;

/* What the job would run on. */
typedef struct machine {
    int ranks, threads; /* of a rank */
    gpu_choice gpu;
    const cz_backend *backend; /* NULL: GPUs' */
    double memory;             /* bytes that a rank may hold */
} machine;

/* The most that a rank holds at once: while it reads, prepares features, or trains. */
static void print_memory(const cz_config *config, const cz_cells *cells, const cz_model *model,
                         const int count[CZ_SPLITS], const machine *on)
{
    const double mib = 1048576;
    int ranks = on->ranks, threads = on->threads;
    cz_cells_memory part = cz_cells_bytes(cells, config, ranks, threads);
    double columns = (double)part.columns / mib, features = (double)part.features / mib;
    double reading = (double)part.reading / mib, preparing = (double)part.preparing / mib;
    double training = (double)cz_train_bytes(config, model, cells->label.classes, count, 0, ranks,
                                             threads, on->backend) /
                      mib;
    double most = OWN_MIB + columns + fmax(reading, features + fmax(preparing, training));
    printf("memory           about %.0f MiB a rank at most, on %d rank%s x %d thread%s\n", most,
           ranks, ranks == 1 ? "" : "s", threads, threads == 1 ? "" : "s");
    if (most > on->memory / mib)
        printf("                 which is more than the %.0f MiB that each may take here\n",
               on->memory / mib);
    printf(
        "                 libraries %.0f MiB, columns of all cells %.0f, features %.0f; for a time "
        "reading %.0f (before there are features), preparing features %.0f, training %.0f\n",
        OWN_MIB, columns, features, reading, preparing, training);
}

static void print_device(const cz_config *config, const machine *on)
{
    const gpu_choice *gpu = &on->gpu;
    if (gpu->gpus)
        printf("device           GPU %d of %d for rank 0%s\n", gpu->number, gpu->gpus,
               how_shared(gpu, on->ranks));
    else printf("device           CPU: %s\n", why_cpus(gpu, config));
}

static void print_plan(const cz_config *config, const cz_cells *cells, const cz_model *model,
                       const machine *on)
{
    int count[CZ_SPLITS];
    count_parts(count, cells, config);
    int train = count[CZ_TRAIN];
    int steps = cz_train_steps(train, config->train.batch);
    double flops = cz_model_flops(model, config->train.batch, cells->label.classes, true);
    printf("cells            %d x %d features, from %s\n", cells->n, cells->width,
           cells->facts.source);
    printf("%-16s %d classes\n%-16s %d classes\n", cells->target.name, cells->target.classes,
           cells->label.name, cells->label.classes);
    for (int a = 0; a < cells->adversaries; a++)
        printf("%-16s %d classes, held out\n", cells->adversary[a].name,
               cells->adversary[a].classes);
    printf("split            %s%d train, %d validation, %d test\n", cells->split ? "" : "about ",
           train, count[CZ_VALIDATION], count[CZ_TEST]);
    for (int r = 0; r < cells->facts.rules; r++)
        printf("%-16s %s: %s\n", r ? "" : "rules", cells->facts.rule[r].name,
               cells->facts.rule[r].text);
    printf("parameters       %zu\n", cz_params_weights(cz_model_params(model)));
    printf("steps            %d an epoch of batch %d, %d in %d epochs\n", steps,
           config->train.batch, steps * config->train.epochs, config->train.epochs);
    printf("arithmetic       %.2f GFLOP a step\n", flops / 1e9);
    print_device(config, on);
    print_memory(config, cells, model, count, on);
}

/* What the steps above are done for, where there is more than one training. */
static void print_items(const cz_config *config, bool search)
{
    int items = cz_config_items(config);
    if (items)
        printf("experiments      %d trainings such as this one, each with its own values: "
               "--check-config lists them\n",
               items);
    if (!search) return;
    printf("search           at most %d trials of %d epochs first, by groups of %d rank%s",
           config->search.trials, config->search.epochs, config->search.ranks_per_trial,
           config->search.ranks_per_trial == 1 ? "" : "s");
    if (config->search.confirm)
        printf("; then the best %d in full on %d new seed%s each", config->search.confirm,
               config->search.confirm_seeds, config->search.confirm_seeds == 1 ? "" : "s");
    putchar('\n');
}

static void print_text_model(const cz_bert_size *size)
{
    const double mib = 1048576;
    if (size->mapped)
        printf(
            "text model       %.0f MiB of weights beside these, while labels without vectors are "
            "made: mapped from the file, shared by the ranks of a node\n",
            (double)size->mapped / mib);
    if (size->converted)
        printf("text model       %.0f MiB of weights beside these on every rank, while labels "
               "without vectors are made: they are no fp32 in the file\n",
               (double)size->converted / mib);
}

/* Its plan on a machine, or its layers where there is none. */
static cz_status with_shape(const cz_config *config, const cz_comm *comm, const machine *on)
{
    cz_cells cells = {0};
    cz_model *model = NULL;
    cz_status status = CZ_OK;
    if (comm->rank == 0) {
        cz_bert_size weights = {0};
        status = shape(&cells, &model, &weights, config);
        if (!status && !on) cz_model_describe(model, stdout);
        if (!status && on) print_plan(config, &cells, model, on);
        if (!status && on) print_text_model(&weights);
    }
    cz_model_close(model);
    cz_cells_free(&cells);
    return cz_comm_agree(comm, status);
}

cz_status cz_job_dry_run(const cz_config *config, bool search, const cz_comm *comm)
{
    machine on = {.ranks = comm->size};
    cz_cores cores;
    cz_dtype dtype;
    CZ_TRY(choose_cores(&cores, config, comm));
    on.threads = cores.threads;
    CZ_TRY(choose_gpu(&on.gpu, config, comm));
    CZ_TRY(memory_budget(&on.memory, config, comm));
    if (!on.gpu.gpus) {
        CZ_TRY(choose_precision(&dtype, config, comm));
        CZ_TRY(choose_backend(&on.backend, dtype, config, comm));
    }
    CZ_TRY(with_shape(config, comm, &on));
    if (comm->rank == 0) print_items(config, search);
    return CZ_OK;
}

cz_status cz_job_describe(const cz_config *config, const cz_comm *comm)
{
    return with_shape(config, comm, NULL);
}
