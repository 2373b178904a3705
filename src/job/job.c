/* The phases of a job, in order. */
#include "czhpc/log.h"
#include "room.h"

#include <stdlib.h>

/* How the items of a folder ended, in its log. */
static cz_status close_folder(run_folder *folder, cz_status status, const cz_comm *comm)
{
    if (status == CZ_STOPPED)
        cz_note(
            "Stopped by a signal; the states are saved: the same command with --resume goes on");
    else if (status && comm->rank == 0) cz_log("error: %s", cz_error_message());
    if (status != CZ_ERR_MPI) run_folder_close(folder);
    return status;
}

static cz_status search(cz_config *best, const cz_config *config, const cz_job_options *options,
                        const cz_comm *comm)
{
    run_folder folder;
    cz_status status = run_folder_open(&folder, config, options, RUN_SEARCH, comm);
    if (!status) status = run_search(best, config, options, &folder, comm);
    return close_folder(&folder, status, comm);
}

/* The hyperparameters, and then the training with the best of them. */
static cz_status search_and_train(const cz_config *config, const cz_job_options *options,
                                  const cz_comm *comm)
{
    cz_config *best = cz_alloc(1, sizeof *best, "a configuration");
    cz_status status = cz_comm_agree(comm, best ? CZ_OK : CZ_ERR_MEMORY);
    if (!status) status = search(best, config, options, comm);
    if (!status && options->train) {
        status = train_alone(best, options, comm);
        if (!status) status = cz_comm_agree(comm, comm->rank ? CZ_OK : best_add_test(best));
    }
    free(best);
    return status;
}

/* All experiments of a list, in folders below the run's. */
static cz_status list(const cz_config *config, const cz_job_options *options, const cz_comm *comm)
{
    run_folder folder;
    cz_status status = run_folder_open(&folder, config, options, RUN_JOB, comm);
    if (!status) status = run_experiments(config, options, &folder, comm);
    return close_folder(&folder, status, comm);
}

static cz_status run_job(const cz_config *config, const cz_job_options *options,
                         const cz_comm *comm)
{
    if (config->experiments) return list(config, options, comm);
    cz_status status = options->search ? search_and_train(config, options, comm)
                                       : train_alone(config, options, comm);
    if (status || !options->list) return status;
    return cz_comm_agree(comm, comm->rank ? CZ_OK : experiments_table(options->list));
}

cz_status cz_job_run(const cz_config *config, const cz_job_options *options, const cz_comm *comm)
{
    if (config->experiments && options->search)
        return cz_fail(CZ_ERR_USAGE, "each experiment has a search of its own: choose one by "
                                     "--experiment N");
    if (config->experiments && options->resume_from[0])
        return cz_fail(CZ_ERR_USAGE,
                       "--resume PATH goes on from a state of one training: a list of "
                       "experiments takes --resume alone, or --experiment N too");
    if (!options->profile) return run_job(config, options, comm);
    CZ_TRY(profile_open(config, options, comm));
    return profile_close(config, comm, run_job(config, options, comm));
}
