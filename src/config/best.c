/* best_hyperparameters.json: the names that the reference gives, and what train.from takes. */
#include "table.h"

#include "czhpc/file.h"
#include "czhpc/json.h"
#include "czhpc/text.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *reference, *key;
} names[] = {
    {"lr", "train.lr"},
    {"dropout", "model.dropout"},
    {"num_latents", "model.latents"},
    {"latent_dim", "model.latent_dim"},
    {"adv_lambda", "train.adv_lambda"},
};
enum { NAMES = (int)(sizeof names / sizeof *names) };

const char *cz_config_reference_name(const char *key)
{
    for (int i = 0; i < NAMES; i++)
        if (strcmp(names[i].key, key) == 0) return names[i].reference;
    return key;
}

static const char *key_of(const char *reference_name)
{
    for (int i = 0; i < NAMES; i++)
        if (strcmp(names[i].reference, reference_name) == 0) return names[i].key;
    return reference_name;
}

static cz_status take_value(cz_config *config, const char *path, const char *name, json_t *json)
{
    char reason[CZ_REASON_MAX], *text = NULL;
    const char *key = key_of(name);
    int index = cz_key_find(key);
    if (index < 0 || (strncmp(key, "model.", 6) != 0 && strncmp(key, "train.", 6) != 0))
        return cz_fail(CZ_ERR_INPUT, "%s: best_params: '%s' is no hyperparameter of czhpc", path,
                       name);
    if (json_is_string(json)) text = strdup(json_string_value(json));
    else if (json_is_number(json) || json_is_boolean(json))
        text = json_dumps(json, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    else
        return cz_fail(CZ_ERR_INPUT, "%s: best_params: '%s': expected a number, found %s", path,
                       name, cz_json_kind(json));
    if (!text) return cz_fail(CZ_ERR_MEMORY, "no memory for the values of %s", path);
    cz_value value = {.text = text, .length = strlen(text)};
    bool good = cz_key_set(config, &cz_keys[index], &value, reason);
    free(text);
    if (good) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT, "%s: best_params: '%s': %s", path, name, reason);
}

static cz_status take_all(cz_config *config, const char *path, const char *text, size_t size)
{
    json_error_t error;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return cz_fail(CZ_ERR_INPUT, "%s:%d:%d: no JSON: %s", path, error.line, error.column,
                       error.text);
    json_t *best = json_object_get(root, "best_params"), *value;
    cz_status status = CZ_OK;
    const char *name;
    if (!json_object_size(best))
        status =
            cz_fail(CZ_ERR_INPUT, "%s: expected an object best_params that is not empty, found %s",
                    path, cz_json_kind(best));
    json_object_foreach(best, name, value)
    {
        status = take_value(config, path, name, value);
        if (status) break;
    }
    json_decref(root);
    return status;
}

cz_status cz_config_take_best(cz_config *config)
{
    char *text = NULL;
    size_t size = 0;
    CZ_TRY(cz_file_read(config->train.from, &text, &size));
    cz_status status = take_all(config, config->train.from, text, size);
    free(text);
    return status;
}
