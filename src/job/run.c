/* One run in its folder: train, evaluate, report. */
#include "czhpc/log.h"
#include "czhpc/profile.h"
#include "czhpc/safetensors.h"
#include "room.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

typedef struct run {
    const cz_config *config;
    const cz_job_options *options;
    const cz_comm *comm;
    stock *stock;
    const run_place *place;
    run_folder folder;
    cz_model *model;
    cz_progress_bar *bar;
    cz_trainer *trainer;
    double started, loaded; /* MPI_Wtime(); when the data was there */
} run;

static cz_status load(run *r)
{
    CZ_PHASE("load");
    CZ_TRY(stock_fill(r->stock, r->config));
    cz_status status = build_model(&r->model, r->config, &r->stock->cells, r->stock->text.width);
    CZ_TRY(cz_comm_agree(r->comm, status));
    r->loaded = MPI_Wtime();
    return check_memory(r->config, r->model, &r->stock->cells, r->stock->threads, r->stock->backend,
                        r->place->budget, r->comm);
}

/* What computes, and why it is not what one may have expected. */
static void tell_device(const run *r)
{
    const gpu_choice *c = &r->stock->choice;
    if (r->stock->gpu)
        cz_note("Device       GPU %d of %d, %s, %.0f GiB%s", r->stock->gpu->number, c->gpus,
                r->stock->gpu->name, (double)r->stock->gpu->memory / (1 << 30),
                how_shared(c, r->comm->size));
    else cz_note("Device       CPU: %s", why_cpus(c, r->config));
}

static void introduce(const run *r)
{
    cz_cells_print(&r->stock->cells, r->config);
    if (r->config->text.model[0] && !r->config->model.text)
        cz_warn("text.model has no use, as model.text is false: --set model.text=true takes the "
                "labels in");
    if (r->stock->text.vectors)
        cz_note("Label text   %s%s%s", r->stock->text.about, r->stock->text.made[0] ? "; " : "",
                r->stock->text.made);
    cz_note("Model        %zu parameters, %s", cz_params_weights(cz_model_params(r->model)),
            r->config->model.text ? "expression and label text" : "expression alone");
    tell_device(r);
    char cores[CZ_CORES_TEXT];
    cz_note("Runs on      %d rank%s x %d thread%s %s, %s; in %s", r->comm->size,
            r->comm->size == 1 ? "" : "s", r->stock->threads, r->stock->threads == 1 ? "" : "s",
            cz_cores_describe(cores, &r->stock->cores, r->stock->threads),
            cz_backend_name(r->stock->backend), r->folder.path);
}

/* Other groups of the job shall not wait for this one: between steps and between phases. */
static void serve(const run *r)
{
    if (r->place->queue) cz_queue_serve(r->place->queue);
}

static void tell_step(void *context, const cz_step_report *report)
{
    const run *r = context;
    if (r->comm->rank == 0) cz_progress_step(r->bar, report);
    serve(r);
}

static void tell_epoch(void *context, const cz_epoch_report *report)
{
    const run *r = context;
    if (r->comm->rank == 0) cz_progress_epoch(r->bar, report);
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

/* What a run that is stopped early can tell of its speed; the whole one has a summary. */
static cz_status tell_stop(const run *r)
{
    cz_training_facts facts = cz_trainer_facts(r->trainer);
    double mib, cells = (double)facts.steps_here * r->config->train.batch;
    double seconds = facts.step_seconds + facts.fetch_seconds;
    CZ_TRY(peak_memory(&mib, r->comm));
    cz_note("Stopped by a signal after %lld steps; the state is saved: run again with --resume",
            (long long)facts.steps);
    if (facts.steps_here)
        cz_note("Time         %.1f s to the first step; %lld steps of %.1f ms, %.0f cells/s; at "
                "most %.0f MiB a rank",
                facts.first_step_at - r->started, (long long)facts.steps_here,
                1e3 * facts.step_seconds / (double)facts.steps_here, cells / seconds, mib);
    return CZ_OK;
}

/* What is known before training, of a run that will be. */
static cz_status write_start(const run *r)
{
    char path[3 * CZ_PATH_MAX];
    CZ_TRY(run_folder_describe(&r->folder, r->options, r->comm, cz_backend_name(r->stock->backend),
                               r->stock->threads));
    snprintf(path, sizeof path, "%s/split.csv", r->folder.path);
    return cz_split_write(path, &r->stock->cells);
}

static cz_status train(run *r)
{
    CZ_PHASE("train");
    const char *adversary = r->stock->cells.adversaries ? r->stock->cells.adversary[0].name : NULL;
    CZ_TRY(cz_comm_agree(r->comm, cz_progress_open(&r->bar, adversary)));
    const volatile sig_atomic_t *stop =
        r->place->queue ? cz_queue_stop(r->place->queue) : r->options->stop;
    CZ_TRY(open_trainer(&r->trainer, r->config, r->stock, &r->stock->cells, r->model, &r->folder,
                        stop, (cz_observer){r, tell_step, tell_epoch, NULL}));
    if (r->options->resume) {
        bool found;
        const char *from = r->options->resume_from;
        CZ_TRY(cz_trainer_resume(r->trainer, from[0] ? from : r->folder.checkpoints, &found));
        if (found)
            cz_note("Resumed      after %lld steps", (long long)cz_trainer_facts(r->trainer).steps);
        else cz_note("Resumed      nothing: there is no checkpoint yet, starting anew");
    }
    CZ_TRY(cz_comm_agree(r->comm, r->comm->rank == 0 ? write_start(r) : CZ_OK));
    cz_status status = cz_trainer_run(r->trainer);
    if (status == CZ_STOPPED) CZ_TRY(tell_stop(r));
    return status;
}

static cz_status write_results(run *r, const cz_evaluation *test, const cz_attention *attention,
                               cz_summary *summary)
{
    CZ_PHASE("write results");
    char path[3 * CZ_PATH_MAX];
    const cz_params *params = cz_model_params(r->model);
    CZ_TRY(cz_result_tables_write(r->folder.path, summary->results, &r->stock->cells));
    snprintf(path, sizeof path, "%s/model.safetensors", r->folder.path);
    CZ_TRY(cz_safetensors_write(path, params->entry, params->count, cz_trainer_weights(r->trainer),
                                cz_dtype_wide(cz_backend_dtype(r->stock->backend)), NULL, 0));
    CZ_TRY(cz_figures_draw(r->folder.path, &r->stock->cells, summary->results, attention,
                           &summary->figures));
    summary->total_s = MPI_Wtime() - r->started;
    snprintf(path, sizeof path, "%s/summary.json", r->folder.path);
    CZ_TRY(cz_summary_write(path, summary));
    cz_summary_print(summary);
    cz_samples_print(test, &r->stock->cells);
    cz_note("Results      %s: summary.json, predictions.csv, class_results.csv,\n             "
            "label_results.csv, confusion.csv, model.safetensors, metrics.jsonl",
            r->folder.path);
    if (summary->figures)
        cz_note("Figures      %s/figures: as PNG and PDF, each with its script and data",
                r->folder.path);
    return CZ_OK;
}

static cz_summary summarise(const run *r, const cz_results *results)
{
    cz_summary summary = {.config = r->config,
                          .cells = &r->stock->cells,
                          .model = r->model,
                          .training = cz_trainer_facts(r->trainer),
                          .results = results,
                          .text = r->stock->text.vectors ? r->stock->text.about : NULL,
                          .optimum = {NAN, NAN, NAN},
                          .device = r->stock->gpu ? r->stock->gpu->name : "cpu",
                          .backend = cz_backend_name(r->stock->backend),
                          .host = r->comm->host,
                          .ranks = r->comm->size,
                          .threads = r->stock->threads,
                          .load_s = r->loaded - r->started,
                          .first_step_s = NAN};
    if (summary.training.first_step_at > 0)
        summary.first_step_s = summary.training.first_step_at - r->started;
    return summary;
}

/* From the evaluations to the files. */
static cz_status report(run *r, const cz_evaluation *validation, const cz_evaluation *test,
                        const cz_attention *attention)
{
    CZ_PHASE("report");
    char path[3 * CZ_PATH_MAX];
    cz_results results = {0};
    snprintf(path, sizeof path, "%s/predictions.csv", r->folder.path);
    CZ_TRY(write_predictions(path, r->trainer, &r->stock->cells, validation, test, r->comm));
    serve(r);
    cz_summary summary = summarise(r, &results);
    if (r->config->eval.bayes)
        CZ_TRY(cz_cells_optimum(&summary.optimum, &r->stock->cells, r->config, CZ_TEST, r->comm,
                                r->stock->pool));
    serve(r);
    CZ_TRY(peak_memory(&summary.peak_mib, r->comm));
    cz_status status = CZ_OK;
    if (r->comm->rank == 0) {
        status = cz_results_make(&results, test, validation, &r->stock->cells);
        if (!status) status = write_results(r, test, attention, &summary);
        cz_results_free(&results);
    }
    return cz_comm_agree(r->comm, status);
}

static cz_status evaluate_and_report(run *r)
{
    cz_evaluation validation = {0}, test = {0};
    cz_attention attention = {0};
    CZ_TRY(cz_trainer_take_best(r->trainer));
    serve(r);
    cz_status status = cz_trainer_evaluate(r->trainer, CZ_VALIDATION, true, &validation, NULL);
    serve(r);
    if (!status) status = cz_trainer_evaluate(r->trainer, CZ_TEST, true, &test, &attention);
    serve(r);
    if (!status) status = report(r, &validation, &test, &attention);
    cz_attention_free(&attention);
    cz_evaluation_free(&test);
    cz_evaluation_free(&validation);
    return status;
}

static void close_run(run *r)
{
    cz_trainer_close(r->trainer);
    cz_progress_close(r->bar);
    cz_model_close(r->model);
    run_folder_close(&r->folder);
}

static cz_status run_phases(run *r)
{
    CZ_TRY(load(r));
    introduce(r);
    CZ_TRY(train(r));
    return evaluate_and_report(r);
}

cz_status run_whole(const cz_config *config, const cz_job_options *options, stock *common,
                    const run_place *place)
{
    run r = {.config = config,
             .options = options,
             .comm = common->comm,
             .stock = common,
             .place = place,
             .started = place->queue ? MPI_Wtime() : options->started};
    cz_status status =
        run_folder_open(&r.folder, config, options, place->queue ? RUN_ITEM : RUN_JOB, r.comm);
    if (!status && r.folder.finished)
        cz_note("%s is finished: nothing is left to do; its summary.json tells the result",
                r.folder.path);
    else if (!status) status = run_phases(&r);
    if (status && status != CZ_STOPPED && r.comm->rank == 0)
        cz_log("error: %s", cz_error_message());
    /* After a failed MPI call the other ranks may be anywhere: nothing collective any more. */
    if (status == CZ_ERR_MPI) return status;
    close_run(&r);
    return status;
}

cz_status train_alone(const cz_config *config, const cz_job_options *options, const cz_comm *comm)
{
    cz_cores cores;
    gpu_choice gpu;
    CZ_TRY(choose_cores(&cores, config, comm));
    CZ_TRY(choose_gpu(&gpu, config, comm));
    run_place whole = {0};
    CZ_TRY(memory_budget(&whole.budget, config, comm));
    stock all = stock_of(comm, &cores, &gpu);
    cz_status status = run_whole(config, options, &all, &whole);
    if (status != CZ_ERR_MPI) stock_empty(&all);
    return status;
}
