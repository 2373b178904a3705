/* The phases of a job, in order. */
#include "czhpc/log.h"
#include "room.h"

#include <stdlib.h>

/* Finds hyperparameters; *finished: training with them is done already. */
static cz_status search(cz_config *best, bool *finished, const cz_config *config,
                        const cz_job_options *options, const cz_comm *comm)
{
    run_folder folder;
    cz_status status = run_folder_open(&folder, config, options, false, comm);
    *finished = folder.finished;
    if (!status && *finished)
        cz_note("%s is finished: nothing is left to do; its summary.json tells the result",
                folder.path);
    else if (!status) status = run_search(best, config, options, &folder, comm);
    if (status && status != CZ_STOPPED && comm->rank == 0) cz_log("error: %s", cz_error_message());
    if (status != CZ_ERR_MPI) run_folder_close(&folder);
    return status;
}

static cz_status search_and_train(const cz_config *config, const cz_job_options *options,
                                  const cz_comm *comm)
{
    bool finished = false;
    cz_config *best = cz_alloc(1, sizeof *best, "a configuration");
    cz_status status = cz_comm_agree(comm, best ? CZ_OK : CZ_ERR_MEMORY);
    if (!status) status = search(best, &finished, config, options, comm);
    if (!status && options->train && !finished) status = train_alone(best, options, comm);
    if (!status && options->train && !finished && comm->rank == 0) status = best_add_test(best);
    if (status != CZ_ERR_MPI) status = cz_comm_agree(comm, status);
    free(best);
    return status;
}

/* All experiments of a list, in folders below the run's. */
static cz_status list(const cz_config *config, const cz_job_options *options, const cz_comm *comm)
{
    run_folder folder;
    cz_status status = run_folder_open(&folder, config, options, false, comm);
    if (!status) status = run_experiments(config, options, &folder, comm);
    if (status && status != CZ_STOPPED && comm->rank == 0) cz_log("error: %s", cz_error_message());
    if (status != CZ_ERR_MPI) run_folder_close(&folder);
    return status;
}

cz_status cz_job_run(const cz_config *config, const cz_job_options *options, const cz_comm *comm)
{
    if (config->experiments && options->search)
        return cz_fail(CZ_ERR_USAGE, "each experiment has a search of its own: choose one by "
                                     "--experiment N");
    if (config->experiments) return list(config, options, comm);
    cz_status status = options->search ? search_and_train(config, options, comm)
                                       : train_alone(config, options, comm);
    if (status || !options->list) return status;
    return cz_comm_agree(comm, comm->rank ? CZ_OK : experiments_table(options->list));
}
