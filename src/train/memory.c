/* What training takes of memory, before it is there. */
#include "trainer.h"

#include "gpu.h"

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Cells that are fetched at once, and such as are of other ranks on their way, in bytes. */
static size_t portion_bytes(const cz_config *config, int width, int heads,
                            const int count[CZ_SPLITS], size_t ranks, int threads)
{
    const size_t round = (size_t)64 << 20; /* of cz_comm_fetch_rows() */
    int batch = config->train.batch, step = share_most(batch, (int)ranks);
    size_t steps = (size_t)epoch_portion_steps(batch, (int)ranks, width);
    size_t train = least(steps * (size_t)step, (size_t)count[CZ_TRAIN] / ranks);
    size_t most =
        (size_t)(count[CZ_VALIDATION] > count[CZ_TEST] ? count[CZ_VALIDATION] : count[CZ_TEST]);
    size_t blocks = least((size_t)portion_cells(width, threads * EVALUATION_BLOCK), most / ranks);
    size_t cells = train > blocks ? train : blocks, x = cells * (size_t)width * sizeof(float);
    return x + cells * (4 + (size_t)heads) * sizeof(int32_t) +
           2 * least(x * (ranks - 1) / ranks, round);
}

static size_t workspace_bytes(const cz_config *config, const cz_model *model, int labels,
                              int workers, const cz_backend *backend)
{
    int cells = worker_cells(config->train.batch, workers);
    return cz_workspace_bytes(model, backend, block_cells(config, cz_backend_dtype(backend)),
                              slot_count(labels, cells));
}

size_t cz_train_bytes(const cz_config *config, const cz_model *model, int labels,
                      const int count[CZ_SPLITS], int rank, int ranks, int threads,
                      const cz_backend *backend)
{
    if (!backend) threads = 1;
    cz_dtype wide = backend ? cz_dtype_wide(cz_backend_dtype(backend)) : CZ_F32;
    const cz_model_spec *spec = cz_model_get_spec(model);
    size_t workers = (size_t)ranks * (size_t)threads, R = (size_t)ranks, T = (size_t)threads;
    size_t classes = 0;
    for (int h = 0; h < spec->head_count; h++) classes += (size_t)spec->head[h].classes;

    /* Of what ranks share, a rank takes the pages that it touches: all weights, packed too, moments
     * and every worker's gradient of its own slices, and its own workers' gradients. */
    size_t weights = cz_model_params(model)->total * cz_dtype_size(wide);
    size_t arrays = weights + T * weights + (2 + workers - T) * weights / R;
    if (backend) arrays += cz_model_packed_bytes(model, backend);
    size_t copy = rank ? 3 * weights / R : 3 * weights; /* of the state that is written */
    size_t work = backend ? T * workspace_bytes(config, model, labels, (int)workers, backend)
                          : gpu_pinned_bytes(config, spec->width, spec->head_count,
                                             spec->text ? labels : 0, count[CZ_TRAIN], ranks);
    size_t order = 3 * (size_t)count[CZ_TRAIN] * sizeof(int32_t);

    /* At the end what every head says of a rank's cells of validation, test and a piece of those of
     * training, and on rank 0 of all: probabilities, a class and a loss. */
    size_t said = (size_t)count[CZ_VALIDATION] + (size_t)count[CZ_TEST];
    said += CZ_PREDICTED_CELLS < count[CZ_TRAIN] ? CZ_PREDICTED_CELLS : (size_t)count[CZ_TRAIN];
    size_t end = ((rank ? 0 : said) + said / R) * (classes + 3 * (size_t)spec->head_count + 1) *
                 sizeof(float);
    return arrays + copy + work + order + end +
           portion_bytes(config, spec->width, spec->head_count, count, R, threads);
}
