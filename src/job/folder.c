/* The folder of a run: new, resumed or refused, never overwritten. */
#include "czhpc/file.h"
#include "czhpc/log.h"
#include "czhpc/version.h"
#include "room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool exists(const char *folder, const char *name)
{
    char path[3 * CZ_PATH_MAX];
    struct stat file;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &file) == 0;
}

/* Held until the process ends, however it ends. */
static cz_status lock(run_folder *f)
{
    char path[3 * CZ_PATH_MAX];
    snprintf(path, sizeof path, "%s/.lock", f->path);
    f->lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    if (f->lock < 0) return cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    if (flock(f->lock, LOCK_EX | LOCK_NB) == 0) return CZ_OK;
    if (errno == EWOULDBLOCK)
        return cz_fail(CZ_ERR_USAGE, "%s is in use by another job: give this one its own --name",
                       f->path);
    cz_warn("%s: the file system cannot lock (%s); nothing keeps a second job out", path,
            strerror(errno));
    return CZ_OK;
}

static cz_status refuse_overwriting(run_folder *f, bool resume, bool fresh)
{
    f->finished = exists(f->path, "summary.json");
    if (resume || fresh) return CZ_OK;
    if (f->finished)
        return cz_fail(
            CZ_ERR_USAGE,
            "%s holds a finished run: give this one another --name, or remove the folder", f->path);
    /* A run that failed before its first state has nothing to lose. */
    if (exists(f->checkpoints, "latest"))
        return cz_fail(CZ_ERR_USAGE,
                       "%s holds an unfinished run: add --resume to go on with it, or give another "
                       "--name",
                       f->path);
    return CZ_OK;
}

/* A run that is finished is not done again, and one that is not goes on: it must be the one that is
 * asked for. What a search asks for is known at its end. */
static cz_status check_same(const run_folder *f, const cz_config *config)
{
    char path[3 * CZ_PATH_MAX], how[CZ_PATH_MAX];
    snprintf(path, sizeof path, "%s/config.yaml", f->path);
    if (f->kind == RUN_SEARCH) {
        if (!f->finished || exists(f->path, "best_hyperparameters.json")) return CZ_OK;
        snprintf(how, sizeof how, "no best_hyperparameters.json");
    } else if (cz_config_is_of(how, sizeof how, config, path)) return CZ_OK;
    return cz_fail(
        CZ_ERR_USAGE,
        "%s holds %s run of another configuration (%s): give this one another --name, or "
        "remove the folder",
        f->path, f->finished ? "a finished" : "an unfinished", how);
}

cz_status run_folder_write_config(const run_folder *f, const cz_config *config)
{
    char path[3 * CZ_PATH_MAX], *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return cz_fail(CZ_ERR_MEMORY, "no memory for the text of the configuration");
    cz_status status = cz_config_print(config, out);
    if (fclose(out) && !status) status = cz_fail(CZ_ERR_MEMORY, "no memory for the configuration");
    snprintf(path, sizeof path, "%s/config.yaml", f->path);
    if (!status) status = cz_write_file(path, text, size);
    free(text);
    return status;
}

static cz_status open_on_rank_0(run_folder *f, const cz_config *config,
                                const cz_job_options *options)
{
    char log[3 * CZ_PATH_MAX];
    bool fresh = !exists(f->path, "."), from_here = options->resume && !options->resume_from[0];
    CZ_TRY(cz_make_folder(f->checkpoints));
    CZ_TRY(lock(f));
    CZ_TRY(refuse_overwriting(f, options->resume, fresh));
    if (f->finished || (from_here && exists(f->checkpoints, "latest")))
        CZ_TRY(check_same(f, config));
    snprintf(log, sizeof log, "%s/czhpc.log", f->path);
    CZ_TRY(f->kind == RUN_ITEM ? cz_log_enter(log) : cz_log_open(log));
    if (f->finished || exists(f->checkpoints, "latest")) return CZ_OK;
    return run_folder_write_config(f, config);
}

void run_path(char path[2 * CZ_PATH_MAX], const cz_config *config)
{
    snprintf(path, (size_t)2 * CZ_PATH_MAX, "%s/%s", config->run.results, config->run.name);
}

void run_folder_name(run_folder *f, const char *path)
{
    snprintf(f->path, sizeof f->path, "%s", path);
    snprintf(f->checkpoints, sizeof f->checkpoints, "%s/checkpoints", path);
    snprintf(f->metrics, sizeof f->metrics, "%s/metrics.jsonl", path);
}

cz_status run_folder_open(run_folder *f, const cz_config *config, const cz_job_options *options,
                          run_kind kind, const cz_comm *comm)
{
    *f = (run_folder){.lock = -1, .kind = kind};
    char path[2 * CZ_PATH_MAX];
    run_path(path, config);
    run_folder_name(f, path);
    cz_status status = CZ_OK;
    if (comm->rank == 0) status = open_on_rank_0(f, config, options);
    return cz_comm_broadcast(comm, status, &f->finished, sizeof f->finished);
}

void run_folder_close(run_folder *f)
{
    if (f->kind == RUN_ITEM) cz_log_leave();
    else cz_log_close();
    if (f->lock >= 0) close(f->lock);
    f->lock = -1;
}

static void processor_name(char *name, size_t size)
{
    char line[256];
    FILE *in = fopen("/proc/cpuinfo", "r");
    snprintf(name, size, "unknown");
    while (in && fgets(line, sizeof line, in)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon) continue;
        snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (in) fclose(in);
}

cz_status run_folder_describe(const run_folder *f, const cz_job_options *options,
                              const cz_comm *comm, const char *backend, int threads)
{
    char path[3 * CZ_PATH_MAX], library[MPI_MAX_LIBRARY_VERSION_STRING], processor[128], date[40];
    int length;
    MPI_Get_library_version(library, &length);
    library[strcspn(library, ",\n")] = 0;
    processor_name(processor, sizeof processor);
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S%z", &local);
    snprintf(path, sizeof path, "%s/run.txt", f->path);
    FILE *out = fopen(path, "a");
    if (!out) return cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    fprintf(
        out,
        "started    %s\nczhpc      %s\ncommand    %s\nhost       %s\nprocessor  %s\n"
        "MPI        %s\nbackend    %s\nranks      %d (%d on this node)\nthreads    %d a rank\n\n",
        date, CZ_VERSION, options->command, comm->host, processor, library, backend, comm->size,
        comm->node_size, threads);
    if (fclose(out)) return cz_fail(CZ_ERR_IO, "%s: writing failed: %s", path, strerror(errno));
    return CZ_OK;
}
