/* best_hyperparameters.json, in the reference's form. */
#include "czhpc/file.h"
#include "czhpc/log.h"
#include "search_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXACT = JSON_INDENT(2) | JSON_REAL_PRECISION(17) };

static json_t *number(double value) { return !isfinite(value) ? json_null() : json_real(value); }

static json_t *value_json(const cz_dimension *d, double x)
{
    if (d->kind == CZ_CATEGORICAL) return json_loads(d->choice[(int)x], JSON_DECODE_ANY, NULL);
    return d->kind == CZ_INTEGER ? json_integer((json_int_t)x) : json_real(x);
}

static cz_status write_json(const char *path, const json_t *root)
{
    char *text = root ? json_dumps(root, EXACT) : NULL;
    if (!text) return cz_fail(CZ_ERR_MEMORY, "no memory for %s", path);
    cz_status status = cz_write_file(path, text, strlen(text));
    free(text);
    return status;
}

cz_status search_write_best(const char *folder, const cz_config *config, const cz_space *space,
                            const search_found *found)
{
    char path[CZ_FILE_PATH];
    CZ_TRY(cz_file_path(path, folder, "best_hyperparameters.json"));
    json_t *params = json_object();
    for (int d = 0; d < space->count; d++)
        json_object_set_new(params, cz_config_reference_name(space->dimension[d].name),
                            value_json(&space->dimension[d], found->x[d]));
    json_t *root = json_pack("{s:o, s:{s:s, s:s, s:i, s:o, s:i, s:o, s:o}}", "best_params", params,
                             "search", "study", config->search.name, "objective",
                             config->search.objective == CZ_OBJECTIVE_LOSS ? "loss" : "accuracy",
                             "trial", found->trial, "value", number(found->value), "runs_in_full",
                             found->confirmed, "validation_mean", number(found->confirm_mean),
                             "validation_sd", number(found->confirm_sd));
    cz_status status = write_json(path, root);
    json_decref(root);
    if (!status) cz_note("Best         %s: taken by --set train.from=FILE", path);
    return status;
}

cz_status best_add_test(const cz_config *best)
{
    char folder[2 * CZ_PATH_MAX], path[CZ_FILE_PATH], *text = NULL;
    size_t size = 0;
    cz_run_scores scores;
    run_path(folder, best);
    CZ_TRY(cz_run_scores_read(&scores, folder));
    CZ_TRY(cz_file_path(path, folder, "best_hyperparameters.json"));
    CZ_TRY(cz_file_read(path, &text, &size));
    json_t *root = json_loadb(text, size, 0, NULL);
    free(text);
    if (!root) return cz_fail(CZ_ERR_INPUT, "%s: no JSON", path);
    json_object_set_new(root, "final_test_accuracy", number(scores.accuracy));
    json_object_set_new(root, "final_test_donor_loss", number(scores.loss));
    json_object_set_new(root, "final_test_adv_loss", number(scores.adversary_loss));
    cz_status status = write_json(path, root);
    json_decref(root);
    return status;
}
