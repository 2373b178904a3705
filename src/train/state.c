/* A training run's state on disk: checkpoints and the file of metrics. */
#include "czhpc/log.h"
#include "czhpc/profile.h"
#include "gpu.h"
#include "trainer.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The state with this rank's slice. */
static cz_checkpoint describe(cz_trainer *t)
{
    const cz_params *params = cz_model_params(t->setup.model);
    cz_checkpoint c = {
        .progress = t->progress,
        .params = params->entry,
        .count = params->count,
        .n = params->total,
        .dtype = t->dtype,
        .w = cz_reducer_weights(t->reducer),
        .m = cz_reducer_moment1(t->reducer),
        .v = cz_reducer_moment2(t->reducer),
        .config = t->config_text,
        .config_hash = t->config_hash,
        .data_hash = t->data_hash,
        .workers = t->workers,
    };
    cz_reducer_rank_slice(t->reducer, &c.begin, &c.end);
    snprintf(c.backend, sizeof c.backend, "%s", cz_backend_name(t->setup.backend));
    return c;
}

/* The same, the slice being what this rank saves. */
static cz_checkpoint describe_saved(cz_trainer *t)
{
    cz_checkpoint c = describe(t);
    cz_reducer_saved_slice(t->reducer, &c.begin, &c.end);
    return c;
}

cz_status trainer_open_writer(cz_trainer *t)
{
    cz_checkpoint checkpoint = describe_saved(t);
    CZ_TRY(cz_writer_open(&t->writer, &checkpoint, t->setup.comm));
    if (!cz_writer_is_beside(t->writer))
        cz_log("Checkpoints  training waits for them: this MPI has no MPI_THREAD_MULTIPLE");
    return CZ_OK;
}

cz_status trainer_save(cz_trainer *t, bool best)
{
    CZ_PHASE("checkpoint");
    double started = MPI_Wtime();
    int64_t bytes = t->metrics ? cz_metrics_bytes(t->metrics) : 0;
    t->progress.metrics_bytes = bytes;
    if (t->gpu) CZ_TRY(gpu_state_down(t));
    cz_checkpoint checkpoint = describe_saved(t);
    cz_status status = cz_writer_save(t->writer, t->setup.checkpoints, &checkpoint,
                                      t->setup.config->checkpoint.keep, best);
    t->facts.checkpoint_seconds += MPI_Wtime() - started;
    return status;
}

cz_status trainer_saved(cz_trainer *t)
{
    CZ_PHASE("checkpoint");
    double started = MPI_Wtime();
    cz_status status = cz_writer_wait(t->writer);
    t->facts.checkpoint_seconds += MPI_Wtime() - started;
    return status;
}

static cz_status load(cz_trainer *t, const char *path, cz_checkpoint *checkpoint, int *found)
{
    CZ_TRY(trainer_saved(t));
    *checkpoint = describe(t);
    checkpoint->config = NULL;
    CZ_TRY(cz_checkpoint_load(path, checkpoint, 0, found, t->setup.comm));
    free(checkpoint->config);
    if (!*found) return CZ_OK;
    CZ_TRY(cz_reducer_publish(t->reducer));
    return t->gpu ? gpu_state_up(t) : CZ_OK;
}

cz_status cz_trainer_resume(cz_trainer *t, const char *path, bool *found)
{
    CZ_PHASE("resume");
    cz_checkpoint checkpoint;
    int there;
    CZ_TRY(load(t, path, &checkpoint, &there));
    *found = there != 0;
    if (!there) return CZ_OK;
    t->progress = checkpoint.progress;
    CZ_TRY(metrics_open(t));
    if (checkpoint.workers != t->workers ||
        strcmp(checkpoint.backend, cz_backend_name(t->setup.backend)))
        cz_warn("the state was saved by %d workers on %s, it goes on with %d on %s: the results "
                "will agree to rounding, not to the bit",
                checkpoint.workers, checkpoint.backend, t->workers,
                cz_backend_name(t->setup.backend));
    return CZ_OK;
}

cz_status cz_trainer_take_best(cz_trainer *t)
{
    CZ_PHASE("load best weights");
    char path[3 * CZ_PATH_MAX];
    cz_checkpoint checkpoint;
    int found;
    snprintf(path, sizeof path, "%s/best.h5", t->setup.checkpoints);
    CZ_TRY(load(t, path, &checkpoint, &found));
    if (checkpoint.progress.best_epoch == t->progress.best_epoch) return CZ_OK;
    cz_warn(
        "%s is of epoch %d, though epoch %d was the best of this course of the run: its weights "
        "are used",
        path, checkpoint.progress.best_epoch + 1, t->progress.best_epoch + 1);
    t->progress.best_epoch = checkpoint.progress.best_epoch;
    t->progress.best_value = checkpoint.progress.best_value;
    return CZ_OK;
}

cz_status metrics_open(cz_trainer *t)
{
    cz_status status = CZ_OK;
    if (t->measured) return CZ_OK;
    if (t->setup.comm->rank == 0)
        status = cz_metrics_open(&t->metrics, t->setup.metrics, t->progress.metrics_bytes);
    CZ_TRY(cz_comm_agree(t->setup.comm, status));
    t->measured = true;
    return CZ_OK;
}

static json_t *scores_json(const cz_trainer *t, const cz_scores *scores)
{
    json_t *all = json_object();
    for (int h = 0; h < t->heads; h++)
        json_object_set_new(
            all, cz_head_column(t->setup.cells, h)->name,
            json_pack("{s:f, s:f}", "loss", scores->loss[h], "accuracy", scores->accuracy[h]));
    return all;
}

/* Nothing that depends on the clock: a resumed run writes the same bytes. */
cz_status metrics_append_epoch(cz_trainer *t, const cz_epoch_report *r)
{
    cz_status status = CZ_OK;
    if (t->setup.comm->rank == 0) {
        json_t *line =
            json_pack("{s:i, s:I, s:f, s:o, s:o}", "epoch", r->epoch, "step",
                      (json_int_t)t->progress.steps_done, "lr", r->lr, "train",
                      scores_json(t, &r->train), "validation", scores_json(t, &r->validation));
        if (line && r->has_test) json_object_set_new(line, "test", scores_json(t, &r->test));
        status = line ? cz_metrics_append(t->metrics, line)
                      : cz_fail(CZ_ERR_MEMORY, "no memory for the metrics of an epoch");
        json_decref(line);
    }
    return cz_comm_agree(t->setup.comm, status);
}
