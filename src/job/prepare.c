/* What a job decides before it computes: threads, backend, labels, model. */
#include "czhpc/limits.h"
#include "czhpc/log.h"
#include "room.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

cz_status choose_cores(cz_cores *cores, const cz_config *config, const cz_comm *comm)
{
    CZ_TRY(cz_comm_cores(comm, config->run.binding == CZ_BINDING_AUTO, cores));
    if (config->run.threads) {
        cores->threads = config->run.threads;
        cores->limit = CZ_LIMIT_NONE;
    }
    /* Workers are numbered rank x threads: every rank has as many as the poorest. */
    if (MPI_Allreduce(MPI_IN_PLACE, &cores->threads, 1, MPI_INT, MPI_MIN, comm->mpi) != MPI_SUCCESS)
        return cz_fail(CZ_ERR_MPI, "the ranks could not agree on a number of threads");
    return CZ_OK;
}

/* The highest level that run.level allows: of all where it is auto. */
static cz_status highest_allowed(cz_level *level, const cz_config *config)
{
    *level = CZ_LEVELS - 1;
    if (!strcmp(config->run.level, "auto") || cz_level_parse(config->run.level, level))
        return CZ_OK;
    return cz_fail(CZ_ERR_CONFIG, "run.level: '%s' is no level", config->run.level);
}

/* The level that every rank's processor has for a type. */
static cz_status common_level(cz_level *level, cz_dtype dtype, const cz_comm *comm)
{
    int common = (int)cz_level_best(dtype);
    if (MPI_Allreduce(MPI_IN_PLACE, &common, 1, MPI_INT, MPI_MIN, comm->mpi) != MPI_SUCCESS)
        return cz_fail(CZ_ERR_MPI, "the ranks could not agree on an instruction level");
    *level = (cz_level)common;
    return CZ_OK;
}

/* Both of them. */
static cz_status levels(cz_level *allowed, cz_level *best, cz_dtype dtype, const cz_config *config,
                        const cz_comm *comm)
{
    *allowed = *best = CZ_LEVEL_PORTABLE;
    CZ_TRY(highest_allowed(allowed, config));
    return common_level(best, dtype, comm);
}

cz_status choose_precision(cz_dtype *dtype, const cz_config *config, const cz_comm *comm)
{
    static const cz_dtype asked[] = {
        [CZ_PRECISION_FP32] = CZ_F32, [CZ_PRECISION_BF16] = CZ_BF16, [CZ_PRECISION_FP64] = CZ_F64};
    *dtype = asked[config->run.precision];
    if (config->run.precision != CZ_PRECISION_AUTO) return CZ_OK;
    cz_level allowed, best;
    CZ_TRY(levels(&allowed, &best, CZ_BF16, config, comm));
    *dtype = best >= CZ_LEVEL_AVX512 && allowed >= CZ_LEVEL_AVX512 ? CZ_BF16 : CZ_F32;
    return CZ_OK;
}

const char *for_cpus(const cz_config *config)
{
    if (config->run.device == CZ_DEVICE_CPU) return "run.device says so";
    if (config->run.precision == CZ_PRECISION_FP64) return "run.precision: fp64 is for them alone";
    if (strcmp(config->run.level, "auto")) return "run.level is for them alone";
    return NULL;
}

const char *why_cpus(const gpu_choice *choice, const cz_config *config)
{
    const char *against = for_cpus(config);
    return against ? against : choice->why;
}

const char *how_shared(const gpu_choice *choice, int ranks)
{
    if (!choice->shared) return "";
    return ranks > 1 ? "; ranks share GPUs, gradients are summed on the host"
                     : "; ranks share GPUs";
}

/* How many GPUs this rank's node has, 0 with `why` where it cannot have one. */
static cz_status count_gpus(gpu_choice *choice, const cz_config *config)
{
    const char *against = for_cpus(config);
    if (against && config->run.device != CZ_DEVICE_CUDA) {
        snprintf(choice->why, sizeof choice->why, "%s", against);
        return CZ_OK;
    }
    if (against) return cz_fail(CZ_ERR_CONFIG, "run.device: cuda, but %s", against);
    cz_status status = cz_gpu_count(&choice->gpus);
    if (!status || config->run.device == CZ_DEVICE_CUDA) return status;
    snprintf(choice->why, sizeof choice->why, "%s", cz_error_message());
    cz_error_clear();
    return CZ_OK;
}

/* Whether another rank of this node has the same one: each may see others, and count them anew. */
static cz_status compare_gpus(int *shared, const gpu_choice *choice, const cz_comm *comm)
{
    char own[CZ_GPU_UUID_BYTES] = {0};
    size_t ranks = (size_t)comm->node_size;
    char(*all)[CZ_GPU_UUID_BYTES] = cz_alloc(ranks, sizeof *all, "the GPUs of a node");
    cz_status status = all ? CZ_OK : CZ_ERR_MEMORY;
    if (!status && choice->gpus) status = cz_gpu_identify(own, choice->number);
    status = cz_comm_agree(comm, status);
    if (!status && MPI_Allgather(own, sizeof own, MPI_BYTE, all, sizeof own, MPI_BYTE, comm->node))
        status = cz_fail(CZ_ERR_MPI, "the ranks could not compare their GPUs");
    int same = 0;
    for (size_t r = 0; !status && r < ranks; r++) same += !memcmp(all[r], own, sizeof own);
    *shared = same > 1;
    free(all);
    return status;
}

cz_status choose_gpu(gpu_choice *choice, const cz_config *config, const cz_comm *comm)
{
    *choice = (gpu_choice){0};
    CZ_TRY(cz_comm_agree(comm, count_gpus(choice, config)));
    int least = choice->gpus, shared;
    choice->number = choice->gpus ? comm->node_rank % choice->gpus : 0;
    CZ_TRY(compare_gpus(&shared, choice, comm));
    if (MPI_Allreduce(MPI_IN_PLACE, &least, 1, MPI_INT, MPI_MIN, comm->mpi) != MPI_SUCCESS ||
        MPI_Allreduce(MPI_IN_PLACE, &shared, 1, MPI_INT, MPI_MAX, comm->mpi) != MPI_SUCCESS)
        return cz_fail(CZ_ERR_MPI, "the ranks could not agree on their GPUs");
    if (choice->gpus && !least)
        snprintf(choice->why, sizeof choice->why, "another node has no GPU that can be used");
    choice->shared = least && shared;
    if (!least) choice->gpus = 0;
    return CZ_OK;
}

cz_status choose_backend(const cz_backend **backend, cz_dtype dtype, const cz_config *config,
                         const cz_comm *comm)
{
    cz_level allowed, best;
    CZ_TRY(levels(&allowed, &best, dtype, config, comm));
    *backend = cz_backend_best(dtype, allowed < best ? allowed : best);
    if (!strcmp(config->run.level, "auto") || cz_backend_level(*backend) == allowed) return CZ_OK;
    return cz_fail(CZ_ERR_DEVICE, "run.level: %s %s, the best for %s here is %s%s",
                   cz_level_name(allowed),
                   allowed > best ? "is not to be had" : "has no kernels of that precision",
                   cz_dtype_name(dtype), cz_level_name(best),
                   dtype == CZ_F64 ? " (fp64 is for tests, at the portable level only)" : "");
}

cz_dtype label_precision(const cz_config *config)
{
    return config->run.precision == CZ_PRECISION_BF16 ? CZ_BF16 : CZ_F32;
}

/* What run.level says is meant for the model: of that of the text it is the highest. */
static cz_status choose_label_backend(const cz_backend **backend, const cz_config *config,
                                      const cz_comm *comm)
{
    cz_dtype dtype = label_precision(config);
    cz_level allowed, best;
    CZ_TRY(levels(&allowed, &best, dtype, config, comm));
    *backend = cz_backend_best(dtype, allowed < best ? allowed : best);
    return CZ_OK;
}

cz_status build_model(cz_model **model, const cz_config *config, const cz_cells *cells,
                      int text_width)
{
    cz_model_spec spec = {
        .width = cells->width,
        .text_width = text_width,
        .text = config->model.text,
        .tokens = config->model.tokens,
        .heads = config->model.heads,
        .fusion_dim = config->model.fusion_dim,
        .layers = config->model.layers,
        .feedforward = config->model.feedforward,
        .latents = config->model.latents,
        .latent_dim = config->model.latent_dim,
        .dropout = config->model.dropout,
        .positions = config->model.positions,
        .head_count = 1 + cells->adversaries,
    };
    for (int h = 0; h < spec.head_count; h++) {
        const cz_column *column = cz_head_column(cells, h);
        spec.head[h].classes = column->classes;
        spec.head[h].adversary = h > 0;
        snprintf(spec.head[h].name, sizeof spec.head[h].name, "%s", column->name);
    }
    return cz_model_open(model, &spec);
}

cz_status load_labels(cz_embedding *text, const cz_config *config, const cz_cells *cells,
                      const cz_comm *comm, cz_pool *pool)
{
    char cache[CZ_PATH_MAX + 32];
    const cz_backend *backend = NULL;
    *text = (cz_embedding){0};
    if (!config->model.text) return CZ_OK;
    snprintf(cache, sizeof cache, "%s/label-cache", config->run.results);
    CZ_TRY(cz_comm_agree(comm, choose_label_backend(&backend, config, comm)));
    return cz_embed_labels(text, cells->label.class_name, cells->label.classes, config, cache,
                           backend, comm, pool);
}

static double resident_bytes(void)
{
    double pages = 0;
    FILE *in = fopen("/proc/self/statm", "r");
    if (!in || fscanf(in, "%*f %lf", &pages) != 1) pages = 0;
    if (in) fclose(in);
    return pages * (double)sysconf(_SC_PAGESIZE);
}

cz_status memory_budget(double *budget, const cz_config *config, const cz_comm *comm)
{
    if (config->run.memory) *budget = 1048576.0 * config->run.memory;
    else *budget = resident_bytes() + cz_memory_left("") / comm->node_size;
    return cz_comm_agree(comm, CZ_OK); /* none begins before all have looked */
}

cz_status check_memory(const cz_config *config, const cz_model *model, const cz_cells *cells,
                       int threads, const cz_backend *backend, double budget, const cz_comm *comm)
{
    int count[CZ_SPLITS] = {0};
    for (int i = 0; i < cells->n; i++) count[cells->split[i]]++;
    double need =
        (double)cz_train_bytes(config, model, cells->label.classes, count, comm->rank, comm->size,
                               threads, cz_backend_on_gpu(backend) ? NULL : backend);
    double left = budget - resident_bytes();
    if (need <= left) return cz_comm_agree(comm, CZ_OK);
    return cz_comm_agree(
        comm, cz_fail(CZ_ERR_MEMORY,
                      "training takes about %.0f MiB of this rank beside the cells, but %.0f are "
                      "left%s: fewer run.threads, a smaller model, or more run.memory",
                      need / 1048576, fmax(0, left / 1048576),
                      config->run.memory ? " of run.memory" : " on its node for each rank"));
}

static cz_gpu_sums who_sums(const stock *common)
{
    if (!common->choice.shared || common->comm->size == 1) return CZ_SUMS_BY_GPUS;
    return cz_comm_takes_gpu_memory(common->comm) ? CZ_SUMS_BY_MPI : CZ_SUMS_BY_HOST;
}

cz_status open_trainer(cz_trainer **trainer, const cz_config *config, const stock *common,
                       const cz_cells *cells, const cz_model *model, const run_folder *folder,
                       const volatile sig_atomic_t *stop, cz_observer observer)
{
    cz_trainer_setup setup = {
        .config = config,
        .comm = common->comm,
        .pool = common->pool,
        .cells = cells,
        .model = model,
        .backend = common->backend,
        .gpu = common->gpu,
        .gpu_sums = who_sums(common),
        .text_identity = common->text.identity,
        .checkpoints = folder->checkpoints,
        .metrics = folder->metrics,
        .stop = stop,
        .observer = observer,
    };
    if (common->text.vectors)
        setup.text =
            cz_matrix(common->text.vectors, CZ_F32, cells->label.classes, common->text.width);
    return cz_trainer_open(trainer, &setup);
}
