/* Cells, label vectors, threads and backend: what runs of one group of ranks have in common. */
#include "czhpc/log.h"
#include "room.h"

#include <string.h>

/* What of a configuration decides the stock. */
static const char *const made_of[] = {"data.",     "synthetic.",    "split.",
                                      "text.",     "model.text",    "run.device",
                                      "run.level", "run.precision", "run.threads"};

static uint64_t key_of(const cz_config *config)
{
    return cz_config_hash_of(config, made_of, (int)(sizeof made_of / sizeof *made_of), true);
}

static cz_status open_gpu(stock *s, const cz_config *config)
{
    cz_dtype dtype = config->run.precision == CZ_PRECISION_FP32 ? CZ_F32 : CZ_BF16;
    CZ_TRY(cz_gpu_open(&s->gpu, s->choice.number));
    s->backend = cz_gpu_backend(s->gpu, dtype);
    return CZ_OK;
}

static cz_status open_cpu(stock *s, const cz_config *config)
{
    cz_dtype dtype;
    CZ_TRY(choose_precision(&dtype, config, s->comm));
    CZ_TRY(choose_backend(&s->backend, dtype, config, s->comm));
    if (s->comm->rank == 0 && dtype == CZ_BF16 && cz_backend_level(s->backend) == CZ_LEVEL_PORTABLE)
        cz_warn("run.precision bf16 computes with portable kernels here, slower than fp32 would");
    return CZ_OK;
}

/* One of several items may want what the others do not. */
static cz_status open_device(stock *s, const cz_config *config)
{
    const char *against = for_cpus(config);
    if (s->choice.gpus && !against) return open_gpu(s, config);
    if (config->run.device != CZ_DEVICE_CUDA) return open_cpu(s, config);
    if (against) return cz_fail(CZ_ERR_CONFIG, "run.device: cuda, but %s", against);
    return cz_fail(
        CZ_ERR_CONFIG,
        "run.device: cuda of one item, but the job has no GPUs: %s; set it, or auto, for "
        "all",
        s->choice.why);
}

static cz_status fill(stock *s, const cz_config *config)
{
    if (config->run.threads) s->threads = config->run.threads;
    /* Before the pool binds this thread to a core: what a GPU's driver starts would be there too.
     */
    CZ_TRY(cz_comm_agree(s->comm, open_device(s, config)));
    CZ_TRY(cz_comm_agree(s->comm, cz_pool_open(&s->pool, s->threads, &s->cores)));
    CZ_TRY(cz_cells_load(&s->cells, config, s->comm, s->pool));
    return load_labels(&s->text, config, &s->cells, s->comm, s->pool);
}

cz_status stock_fill(stock *s, const cz_config *config)
{
    uint64_t key = key_of(config);
    if (s->full && s->key == key) return CZ_OK;
    stock_empty(s);
    CZ_TRY(fill(s, config));
    s->full = true;
    s->key = key;
    return CZ_OK;
}

void stock_empty(stock *s)
{
    cz_embedding_free(&s->text);
    cz_cells_free(&s->cells);
    cz_pool_close(s->pool);
    cz_gpu_close(s->gpu);
    cz_cores cores = s->cores;
    gpu_choice choice = s->choice;
    *s = stock_of(s->comm, &cores, &choice);
}

stock stock_of(const cz_comm *comm, const cz_cores *cores, const gpu_choice *choice)
{
    return (stock){.comm = comm, .cores = *cores, .choice = *choice, .threads = cores->threads};
}
