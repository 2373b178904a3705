/* The readable summary, and summary.json. */
#include "summary.h"
#include "cells.h"
#include "czhpc/file.h"
#include "words.h"

#include "czhpc/log.h"
#include "czhpc/version.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double ms_per_step(const cz_summary *s)
{
    return s->training.steps_here ? 1e3 * s->training.step_seconds / (double)s->training.steps_here
                                  : NAN;
}

/* Of steps and of the way of their cells. */
static double cells_per_s(const cz_summary *s)
{
    double steps = cz_train_steps(split_count(s->cells, CZ_TRAIN), s->config->train.batch);
    double seconds = s->training.step_seconds + s->training.fetch_seconds;
    return s->training.steps_here
               ? (double)s->training.steps_here / steps * split_count(s->cells, CZ_TRAIN) / seconds
               : NAN;
}

void cz_summary_print(const cz_summary *s)
{
    const cz_training_facts *t = &s->training;
    cz_note("Test, epoch %d of %d, chosen by %s accuracy (%.2f %%)", t->best_epoch, t->epochs_run,
            s->config->eval.select == CZ_SELECT_TEST ? "TEST" : "validation", 100 * t->best_value);
    if (s->config->eval.select == CZ_SELECT_TEST)
        cz_warn("the epoch was chosen by test accuracy (eval.select: test): the test figures are "
                "optimistic");
    test_print(s);
    cz_note("Time         %.1f s in all, %.1f s of it training", s->total_s, t->step_seconds);
    if (t->steps_here)
        cz_note(
            "Training     %.2f ms a step of %d, %.0f cells/s, %.1f GFLOP/s; %.1f %% of it waiting "
            "for gradients",
            ms_per_step(s), s->config->train.batch, cells_per_s(s),
            t->flops * s->ranks / t->step_seconds / 1e9,
            100 * t->exposed_seconds / t->step_seconds);
    cz_note("On           %d rank%s x %d thread%s, %s; at most %.0f MiB a rank", s->ranks,
            s->ranks == 1 ? "" : "s", s->threads, s->threads == 1 ? "" : "s", s->backend,
            s->peak_mib);
}

static json_t *timing_json(const cz_summary *s)
{
    const cz_training_facts *t = &s->training;
    json_t *j = json_object();
    json_object_set_new(j, "total_s", number_json(s->total_s));
    json_object_set_new(j, "load_s", number_json(s->load_s));
    json_object_set_new(j, "start_to_first_step_s", number_json(s->first_step_s));
    json_object_set_new(j, "train_s", number_json(t->step_seconds));
    json_object_set_new(j, "steps", json_integer((json_int_t)t->steps_here));
    json_object_set_new(j, "ms_per_step", number_json(ms_per_step(s)));
    json_object_set_new(j, "cells_per_s", number_json(cells_per_s(s)));
    json_object_set_new(
        j, "gflop_per_step",
        number_json(t->steps_here ? t->flops * s->ranks / (double)t->steps_here / 1e9 : NAN));
    json_object_set_new(j, "exposed_reduction_s", number_json(t->exposed_seconds));
    json_object_set_new(j, "evaluate_s", number_json(t->evaluate_seconds));
    json_object_set_new(j, "evaluated_cells", json_integer((json_int_t)t->evaluated_cells));
    json_object_set_new(j, "evaluate_mflop_per_cell", number_json(t->evaluate_flops / 1e6));
    json_object_set_new(j, "checkpoint_s", number_json(t->checkpoint_seconds));
    json_object_set_new(j, "fetch_s", number_json(t->fetch_seconds));
    if (t->graph_nodes) json_object_set_new(j, "graph_nodes", json_integer(t->graph_nodes));
    json_object_set_new(j, "peak_mib_per_rank", number_json(s->peak_mib));
    return j;
}

cz_status cz_summary_write(const char *path, const cz_summary *s)
{
    const cz_cells *c = s->cells;
    const cz_training_facts *t = &s->training;
    json_t *j = json_pack(
        "{s:s, s:i, s:i, s:{s:i, s:i, s:i}, s:i, s:I, s:o, s:o, s:s, s:s, s:s, s:i, s:i, s:s, s:i, "
        "s:i, "
        "s:s, s:o, s:o, s:o}",
        "czhpc", CZ_VERSION, "cells", c->n, "classes", c->target.classes, "split", "train",
        split_count(c, CZ_TRAIN), "validation", split_count(c, CZ_VALIDATION), "test",
        split_count(c, CZ_TEST), "labels", c->label.classes, "parameters",
        (json_int_t)cz_params_weights(cz_model_params(s->model)), "source",
        text_json(c->facts.source), "label_text", s->text ? text_json(s->text) : json_null(),
        "device", s->device, "backend", s->backend, "host", s->host, "ranks", s->ranks, "threads",
        s->threads, "transport", t->transport, "epochs_run", t->epochs_run, "best_epoch",
        t->best_epoch, "selected_by",
        s->config->eval.select == CZ_SELECT_TEST ? "test" : "validation", "data", data_json(c),
        "test", test_json(s), "timing", timing_json(s));
    char *text = j ? json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(j);
    if (!text) return cz_fail(CZ_ERR_MEMORY, "no memory for the summary");
    cz_status status = cz_write_file(path, text, strlen(text));
    free(text);
    return status;
}
