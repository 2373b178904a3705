/* The scores of a run that is finished, back from its summary.json. */
#include "czhpc/file.h"
#include "czhpc/report.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static void take(cz_run_scores *s, const json_t *target, const json_t *adversary,
                 const json_t *timing)
{
    s->accuracy = number_of(target, "accuracy");
    s->balanced_accuracy = number_of(target, "balanced_accuracy");
    s->macro_f1 = number_of(target, "macro_f1");
    s->loss = number_of(target, "loss");
    s->calibration_error = number_of(target, "calibration_error");
    s->adversary_accuracy = number_of(adversary, "accuracy");
    s->adversary_loss = number_of(adversary, "loss");
    s->floor = number_of(adversary, "floor");
    s->train_s = number_of(timing, "train_s");
    s->total_s = number_of(timing, "total_s");
}

cz_status cz_run_scores_read(cz_run_scores *scores, const char *folder)
{
    char path[CZ_FILE_PATH], *text = NULL;
    size_t size = 0;
    json_error_t error;
    CZ_TRY(cz_file_path(path, folder, "summary.json"));
    CZ_TRY(cz_file_read(path, &text, &size));
    json_t *root = json_loadb(text, size, 0, &error);
    free(text);
    if (!root)
        return cz_fail(CZ_ERR_INPUT, "%s:%d:%d: no JSON: %s", path, error.line, error.column,
                       error.text);
    const json_t *heads = json_object_get(json_object_get(root, "test"), "heads");
    const json_t *target = json_array_get(heads, 0);
    if (target) take(scores, target, json_array_get(heads, 1), json_object_get(root, "timing"));
    json_decref(root);
    if (target) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT, "%s: holds no test.heads: it is no summary of czhpc's", path);
}
