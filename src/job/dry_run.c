/* What a job would be, without running it. */
#include "czhpc/log.h"
#include "room.h"

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

/* Cells, model and labels of a configuration, shapes only. Rank 0. */
static cz_status shape(cz_cells *cells, cz_model **model, const cz_config *config)
{
    CZ_TRY(cz_cells_shape(cells, config));
    int width = config->text.width;
    if (config->model.text) {
        float *vectors;
        CZ_TRY(cz_label_vectors(&vectors, &width, cells->label.class_name, cells->label.classes,
                                config));
        free(vectors);
    }
    return build_model(model, config, cells, width);
}

static void print_plan(const cz_config *config, const cz_cells *cells, const cz_model *model,
                       int ranks, int threads)
{
    int count[CZ_SPLITS];
    count_parts(count, cells, config);
    int train = count[CZ_TRAIN];
    int steps = cz_train_steps(train, config->train.batch);
    cz_dtype dtype = config->run.precision == CZ_PRECISION_FP64 ? CZ_F64 : CZ_F32;
    double bytes = (double)cz_train_bytes(config, model, cells->label.classes, train,
                                          cells->n - train, ranks, threads, dtype) +
                   (double)cells->n / ranks * cells->width * sizeof(float);
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
    printf("memory           about %.0f MiB a rank, on %d rank%s x %d thread%s, besides MPI's and "
           "HDF5's own\n",
           bytes / 1048576, ranks, ranks == 1 ? "" : "s", threads, threads == 1 ? "" : "s");
}

static cz_status with_shape(const cz_config *config, const cz_comm *comm, int threads,
                            bool describe)
{
    cz_cells cells = {0};
    cz_model *model = NULL;
    cz_status status = CZ_OK;
    if (comm->rank == 0) {
        status = shape(&cells, &model, config);
        if (!status && describe) cz_model_describe(model, stdout);
        else if (!status) print_plan(config, &cells, model, comm->size, threads);
    }
    cz_model_close(model);
    cz_cells_free(&cells);
    return cz_comm_agree(comm, status);
}

cz_status cz_job_dry_run(const cz_config *config, const cz_comm *comm)
{
    int threads;
    CZ_TRY(choose_threads(&threads, config, comm));
    return with_shape(config, comm, threads, false);
}

cz_status cz_job_describe(const cz_config *config, const cz_comm *comm)
{
    return with_shape(config, comm, 1, true);
}
