/* The phases of a job, in order. */
#include "czhpc/log.h"
#include "czhpc/safetensors.h"
#include "room.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

typedef struct job {
    const cz_config *config;
    const cz_job_options *options;
    const cz_comm *comm;
    run_folder folder;
    cz_pool *pool;
    int threads;
    const cz_backend *backend;
    cz_cells cells;
    cz_embedding text;
    cz_model *model;
    cz_progress_bar *bar;
    cz_trainer *trainer;
    double loaded; /* MPI_Wtime() when the data was there */
} job;

static cz_status load(job *j)
{
    CZ_TRY(choose_threads(&j->threads, j->config, j->comm));
    CZ_TRY(cz_comm_agree(j->comm, cz_pool_open(&j->pool, j->threads)));
    cz_dtype dtype = j->config->run.precision == CZ_PRECISION_FP64 ? CZ_F64 : CZ_F32;
    CZ_TRY(cz_comm_agree(j->comm, choose_backend(&j->backend, dtype, j->config, j->comm)));
    CZ_TRY(cz_cells_load(&j->cells, j->config, j->comm, j->pool));
    CZ_TRY(load_labels(&j->text, j->config, &j->cells, j->comm, j->pool));
    cz_status status = build_model(&j->model, j->config, &j->cells, j->text.width);
    CZ_TRY(cz_comm_agree(j->comm, status));
    j->loaded = MPI_Wtime();
    return CZ_OK;
}

static void introduce(const job *j)
{
    cz_cells_print(&j->cells, j->config);
    if (j->config->text.model[0] && !j->config->model.text)
        cz_warn("text.model has no use, as model.text is false: --set model.text=true takes the "
                "labels in");
    if (j->text.vectors)
        cz_note("Label text   %s%s%s", j->text.about, j->text.made[0] ? "; " : "", j->text.made);
    cz_note("Model        %zu parameters, %s", cz_params_weights(cz_model_params(j->model)),
            j->config->model.text ? "expression and label text" : "expression alone");
    cz_note("Runs on      %d rank%s x %d thread%s, %s; in %s", j->comm->size,
            j->comm->size == 1 ? "" : "s", j->threads, j->threads == 1 ? "" : "s",
            cz_backend_name(j->backend), j->folder.path);
}

static cz_status train(job *j)
{
    const char *adversary = j->cells.adversaries ? j->cells.adversary[0].name : NULL;
    CZ_TRY(cz_comm_agree(j->comm, cz_progress_open(&j->bar, adversary)));
    cz_trainer_setup setup = {
        .config = j->config,
        .comm = j->comm,
        .pool = j->pool,
        .cells = &j->cells,
        .model = j->model,
        .backend = j->backend,
        .text_identity = j->text.identity,
        .checkpoints = j->folder.checkpoints,
        .metrics = j->folder.metrics,
        .stop = j->options->stop,
    };
    if (j->text.vectors)
        setup.text = cz_matrix(j->text.vectors, CZ_F32, j->cells.label.classes, j->text.width);
    if (j->comm->rank == 0)
        setup.observer = (cz_observer){j->bar, cz_progress_step, cz_progress_epoch};
    CZ_TRY(cz_trainer_open(&j->trainer, &setup));
    if (j->options->resume) {
        bool found;
        const char *from = j->options->resume_from;
        CZ_TRY(cz_trainer_resume(j->trainer, from[0] ? from : j->folder.checkpoints, &found));
        if (found)
            cz_note("Resumed      after %lld steps", (long long)cz_trainer_facts(j->trainer).steps);
        else cz_note("Resumed      nothing: there is no checkpoint yet, starting anew");
    }
    cz_status status = cz_trainer_run(j->trainer);
    if (status == CZ_STOPPED)
        cz_note("Stopped by a signal after %lld steps; the state is saved: run again with --resume",
                (long long)cz_trainer_facts(j->trainer).steps);
    return status;
}

static cz_status peak_memory(double *mib, const cz_comm *comm)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    *mib = (double)usage.ru_maxrss / 1024;
    if (MPI_Allreduce(MPI_IN_PLACE, mib, 1, MPI_DOUBLE, MPI_MAX, comm->mpi) != MPI_SUCCESS)
        return cz_fail(CZ_ERR_MPI, "the ranks could not compare their memory");
    return CZ_OK;
}

static cz_status write_results(job *j, const cz_evaluation *test, const cz_attention *attention,
                               cz_summary *summary)
{
    char path[3 * CZ_PATH_MAX];
    const cz_params *params = cz_model_params(j->model);
    CZ_TRY(cz_result_tables_write(j->folder.path, summary->results, &j->cells));
    snprintf(path, sizeof path, "%s/model.safetensors", j->folder.path);
    CZ_TRY(cz_safetensors_write(path, params->entry, params->count, cz_trainer_weights(j->trainer),
                                cz_backend_dtype(j->backend), NULL, 0));
    CZ_TRY(
        cz_figures_draw(j->folder.path, &j->cells, summary->results, attention, &summary->figures));
    summary->total_s = MPI_Wtime() - j->options->started;
    snprintf(path, sizeof path, "%s/summary.json", j->folder.path);
    CZ_TRY(cz_summary_write(path, summary));
    cz_summary_print(summary);
    cz_samples_print(test, &j->cells);
    cz_note("Results      %s: summary.json, predictions.csv, class_results.csv,\n             "
            "label_results.csv, confusion.csv, model.safetensors, metrics.jsonl",
            j->folder.path);
    if (summary->figures)
        cz_note("Figures      %s/figures: as PNG and PDF, each with its script and data",
                j->folder.path);
    return CZ_OK;
}

static cz_summary summarise(const job *j, const cz_results *results)
{
    cz_summary summary = {.config = j->config,
                          .cells = &j->cells,
                          .model = j->model,
                          .training = cz_trainer_facts(j->trainer),
                          .results = results,
                          .text = j->text.vectors ? j->text.about : NULL,
                          .optimum = {NAN, NAN, NAN},
                          .backend = cz_backend_name(j->backend),
                          .host = j->comm->host,
                          .ranks = j->comm->size,
                          .threads = j->threads,
                          .load_s = j->loaded - j->options->started,
                          .first_step_s = NAN};
    if (summary.training.first_step_at > 0)
        summary.first_step_s = summary.training.first_step_at - j->options->started;
    return summary;
}

/* From the evaluations to the files. */
static cz_status report(job *j, const cz_evaluation *validation, const cz_evaluation *test)
{
    char path[3 * CZ_PATH_MAX];
    cz_results results = {0};
    snprintf(path, sizeof path, "%s/predictions.csv", j->folder.path);
    CZ_TRY(write_predictions(path, j->trainer, &j->cells, validation, test, j->comm));
    cz_summary summary = summarise(j, &results);
    if (j->config->eval.bayes)
        CZ_TRY(cz_cells_optimum(&summary.optimum, &j->cells, j->config, CZ_TEST, j->comm, j->pool));
    CZ_TRY(peak_memory(&summary.peak_mib, j->comm));
    cz_attention attention = {0};
    cz_status status = cz_trainer_attention(j->trainer, CZ_TEST, &attention);
    if (!status && j->comm->rank == 0) {
        status = cz_results_make(&results, test, validation, &j->cells);
        if (!status) status = write_results(j, test, &attention, &summary);
        cz_results_free(&results);
    }
    cz_attention_free(&attention);
    return cz_comm_agree(j->comm, status);
}

static cz_status evaluate_and_report(job *j)
{
    cz_evaluation validation = {0}, test = {0};
    CZ_TRY(cz_trainer_take_best(j->trainer));
    cz_status status = cz_trainer_evaluate(j->trainer, CZ_VALIDATION, true, &validation);
    if (!status) status = cz_trainer_evaluate(j->trainer, CZ_TEST, true, &test);
    if (!status) status = report(j, &validation, &test);
    cz_evaluation_free(&test);
    cz_evaluation_free(&validation);
    return status;
}

static void close_job(job *j)
{
    cz_trainer_close(j->trainer);
    cz_progress_close(j->bar);
    cz_model_close(j->model);
    cz_embedding_free(&j->text);
    cz_cells_free(&j->cells);
    cz_pool_close(j->pool);
    run_folder_close(&j->folder);
}

/* What is known before training. */
static cz_status write_start(const job *j)
{
    char path[3 * CZ_PATH_MAX];
    CZ_TRY(run_folder_describe(&j->folder, j->options, j->comm, cz_backend_name(j->backend),
                               j->threads));
    snprintf(path, sizeof path, "%s/split.csv", j->folder.path);
    return cz_split_write(path, &j->cells);
}

static cz_status run_phases(job *j)
{
    CZ_TRY(load(j));
    introduce(j);
    cz_status status = j->comm->rank == 0 ? write_start(j) : CZ_OK;
    CZ_TRY(cz_comm_agree(j->comm, status));
    CZ_TRY(train(j));
    return evaluate_and_report(j);
}

cz_status cz_job_run(const cz_config *config, const cz_job_options *options, const cz_comm *comm)
{
    job j = {.config = config, .options = options, .comm = comm};
    cz_status status = run_folder_open(&j.folder, config, options, comm);
    if (!status && j.folder.finished)
        cz_note("%s is finished: nothing is left to do; its summary.json tells the result",
                j.folder.path);
    else if (!status) status = run_phases(&j);
    if (status && status != CZ_STOPPED && comm->rank == 0) cz_log("error: %s", cz_error_message());
    /* After a failed MPI call the other ranks may be anywhere: nothing collective any more. */
    if (status == CZ_ERR_MPI) return status;
    close_job(&j);
    return status;
}
