/* czhpc: the command line. */
#include "czhpc/comm.h"
#include "czhpc/config.h"
#include "czhpc/data.h"
#include "czhpc/file.h"
#include "czhpc/job.h"
#include "czhpc/log.h"
#include "czhpc/usage.h"
#include "czhpc/version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t stop;

static void ask_to_stop(int number)
{
    (void)number;
    stop = 1;
}

/* Of a job, which has a state to save; a second Ctrl-C ends it at once. */
static void listen_to_signals(void)
{
    struct sigaction action = {.sa_handler = ask_to_stop, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    /* Who started it in the background may have had it ignored. */
    struct sigaction former;
    action.sa_flags |= (int)SA_RESETHAND;
    if (!sigaction(SIGINT, NULL, &former) && former.sa_handler != SIG_IGN)
        sigaction(SIGINT, &action, NULL);
}

/* Rank 0 alone reads the file; a network file system is spared the others. */
static cz_status load_config(cz_config *config, const cz_usage *usage, const cz_comm *comm)
{
    cz_status status = CZ_OK;
    if (comm->rank == 0)
        status = cz_config_load(config, usage->config, usage->overrides, usage->override_count);
    return cz_comm_broadcast(comm, status, config, sizeof *config);
}

/* The experiments of a list, each with the number and the hash that it goes by. */
static cz_status print_items(const cz_config *config)
{
    cz_config *item = cz_alloc(1, sizeof *item, "a configuration");
    if (!item) return CZ_ERR_MEMORY;
    cz_status status = CZ_OK;
    for (int i = 0; i < cz_config_items(config) && !status; i++) {
        cz_config_item which;
        status = cz_config_item_of(item, &which, config, i);
        if (!status)
            printf("%4d  %016llx  %s\n", i, (unsigned long long)cz_config_hash(item), which.folder);
    }
    free(item);
    return status;
}

static cz_status check_config(const cz_config *config, const char *path, const cz_comm *comm)
{
    cz_note("%s is fine", path);
    return cz_comm_agree(comm, comm->rank ? CZ_OK : print_items(config));
}

/* Of a list the experiment that --experiment names: `list` keeps the whole. */
static cz_status choose_experiment(cz_config *config, cz_config *list, int experiment)
{
    cz_config_item which;
    if (experiment < 0) return CZ_OK;
    *list = *config;
    return cz_config_item_of(config, &which, list, experiment);
}

static cz_status write_synthetic(const cz_config *config, const char *path, const cz_comm *comm)
{
    cz_pool *pool = NULL;
    cz_cores cores;
    if (config->data.source != CZ_SOURCE_SYNTHETIC)
        return cz_fail(CZ_ERR_CONFIG, "--write-synthetic: data.source is h5ad, expected synthetic");
    CZ_TRY(cz_comm_agree(comm, comm->rank ? CZ_OK : cz_may_create_file(path)));
    CZ_TRY(cz_comm_cores(comm, config->run.binding == CZ_BINDING_AUTO, &cores));
    CZ_TRY(cz_comm_agree(comm, cz_pool_open(&pool, cores.threads, &cores)));
    cz_status status = cz_synthetic_write(path, config, comm, pool);
    cz_pool_close(pool);
    if (!status) cz_note("Wrote %s", path);
    return status;
}

static void join_arguments(char *text, size_t size, int argc, char **argv)
{
    text[0] = 0;
    for (int i = 0; i < argc; i++) {
        size_t used = strlen(text);
        snprintf(text + used, size - used, "%s%s", i ? " " : "", argv[i]);
    }
}

static cz_status run_job(const cz_config *config, const cz_config *list, const cz_usage *usage,
                         int argc, char **argv, const cz_comm *comm, double started)
{
    cz_job_options options = {.resume = usage->resume,
                              .started = started,
                              .stop = &stop,
                              .search = usage->search,
                              .train = usage->train || !usage->search,
                              .profile = usage->profile,
                              .list = usage->experiment < 0 ? NULL : list};
    listen_to_signals();
    snprintf(options.resume_from, sizeof options.resume_from, "%s", usage->resume_from);
    join_arguments(options.command, sizeof options.command, argc, argv);
    return cz_job_run(config, &options, comm);
}

static cz_status act(const cz_config *config, const cz_config *list, const cz_usage *usage,
                     int argc, char **argv, const cz_comm *comm, double started)
{
    switch (usage->action) {
    case CZ_ACTION_LABELS:
        return cz_job_labels(usage->file, usage->out, config, comm);
    case CZ_ACTION_CHECK_CONFIG:
        return check_config(config, usage->config, comm);
    case CZ_ACTION_PRINT_CONFIG:
        return cz_comm_agree(comm, comm->rank ? CZ_OK : cz_config_print(config, stdout));
    case CZ_ACTION_DRY_RUN:
        return cz_job_dry_run(config, usage->search, comm);
    case CZ_ACTION_DESCRIBE:
        return cz_job_describe(config, comm);
    case CZ_ACTION_WRITE_SYNTHETIC:
        return write_synthetic(config, usage->write_synthetic, comm);
    default:
        return run_job(config, list, usage, argc, argv, comm, started);
    }
}

/* A configuration is too large for the stack of a rank. */
static cz_config config, list;

static cz_status run(int argc, char **argv, const cz_comm *comm, double started)
{
    cz_usage usage;
    CZ_TRY(cz_comm_agree(comm, cz_usage_parse(&usage, argc, argv)));
    if (usage.action == CZ_ACTION_HELP || usage.action == CZ_ACTION_HELP_CONFIG ||
        usage.action == CZ_ACTION_VERSION) {
        if (comm->rank == 0) cz_usage_answer(usage.action, stdout);
        return CZ_OK;
    }
    if (usage.action == CZ_ACTION_STUDY)
        return cz_job_study(usage.file, usage.study, usage.out, usage.trials, comm);
    CZ_TRY(load_config(&config, &usage, comm));
    CZ_TRY(choose_experiment(&config, &list, usage.experiment));
    return act(&config, &list, &usage, argc, argv, comm, started);
}

int main(int argc, char **argv)
{
    int provided;
    cz_data_serve_probe(argc, argv);
    /* Else Open MPI makes and locks a file beside each that is opened, for pointers that nobody
     * uses: an input's folder may be read-only, its file system without locks. */
    setenv("OMPI_MCA_sharedfp", "^lockedfile", 0);
    /* Of NCCL's sums a recorded one is to be that of a step that is not, bit for bit. */
    setenv("NCCL_GRAPH_REGISTER", "0", 0);
    /* MULTIPLE for the thread that writes checkpoints; without it they are written by the main. */
    if (MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided) != MPI_SUCCESS) {
        cz_print_error("MPI cannot start");
        return cz_exit_code(CZ_ERR_MPI);
    }
    double started = MPI_Wtime();
    cz_comm world = {0};
    cz_status status = cz_comm_world(&world);
    cz_log_set_speaker(world.rank == 0);
    if (!status && provided < MPI_THREAD_FUNNELED)
        status =
            cz_fail(CZ_ERR_MPI, "this MPI has no MPI_THREAD_FUNNELED: use another build of it");
    signal(SIGXFSZ, SIG_IGN); /* a full disk is an error that is reported, not a death */
    if (!status) status = run(argc, argv, &world, started);
    if (status == CZ_ERR_MPI) {
        /* The ranks cannot be brought together to agree on one message, nor to finalise. */
        if (cz_error_message()[0]) cz_print_error(cz_error_message());
        MPI_Abort(MPI_COMM_WORLD, cz_exit_code(status));
    }
    if (!status && (fflush(stdout) || ferror(stdout)))
        status = cz_fail(CZ_ERR_IO, "standard output cannot be written: %s", strerror(errno));
    if (status && status != CZ_STOPPED && world.rank == 0) cz_print_error(cz_error_message());
    cz_comm_free(&world);
    MPI_Finalize();
    return cz_exit_code(status);
}
