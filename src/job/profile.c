/* --profile: from the start of a job to its table and its trace. */
#include "czhpc/profile.h"
#include "czhpc/log.h"
#include "room.h"

/* Spans that profile.json has room for one by one, of all ranks together: some 25 MB. */
enum { EVENTS = 250000, EVENTS_OF_A_THREAD = 100 };

cz_status profile_open(const cz_config *config, const cz_job_options *options, const cz_comm *comm)
{
    cz_cores cores;
    CZ_TRY(choose_cores(&cores, config, comm));
    /* The ranks of a node have one clock, and so one origin; nodes agree to the time that MPI takes
     * to start. */
    double since = MPI_Wtime() - options->started;
    int64_t origin = cz_profile_clock() - (int64_t)(1e9 * since);
    if (MPI_Bcast(&origin, 1, MPI_INT64_T, 0, comm->node) != MPI_SUCCESS)
        return cz_fail(CZ_ERR_MPI, "the ranks could not agree on when the job began");
    int events = EVENTS / (comm->size * cores.threads);
    if (events < EVENTS_OF_A_THREAD) events = EVENTS_OF_A_THREAD;
    cz_status status = cz_comm_agree(comm, cz_profile_open(origin, events));
    if (status) cz_profile_close();
    return status;
}

/* The log is open again for it; rank 0. */
static cz_status open_log(const char *folder)
{
    char log[3 * CZ_PATH_MAX];
    snprintf(log, sizeof log, "%s/czhpc.log", folder);
    return cz_log_open(log);
}

cz_status profile_close(const cz_config *config, const cz_comm *comm, cz_status status)
{
    char folder[2 * CZ_PATH_MAX];
    /* After a failure of MPI the ranks may be anywhere; what any other ended is no measure. */
    if (status == CZ_ERR_MPI) return status;
    if (status > CZ_STOPPED) {
        cz_profile_close();
        return status;
    }
    run_path(folder, config);
    cz_status told = cz_comm_agree(comm, comm->rank ? CZ_OK : open_log(folder));
    if (!told) told = cz_profile_report(folder, comm);
    /* Where a signal stopped the job, that is the outcome, so that it is run again. */
    if (told && status && comm->rank == 0) cz_warn("%s", cz_error_message());
    cz_log_close();
    cz_profile_close();
    return told == CZ_ERR_MPI || !status ? told : status;
}
