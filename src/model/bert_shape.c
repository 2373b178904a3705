/* What config.json says of a BERT. */
#include "czhpc/bert.h"
#include "czhpc/json.h"
#include "czhpc/mapped.h"

#include <math.h>
#include <string.h>

typedef struct whole {
    const char *name;
    int most, preset; /* preset 0: must be there */
    size_t offset;
} whole;

#define AT(member) offsetof(cz_bert_shape, member)
static const whole wholes[] = {
    {"hidden_size", 16384, 0, AT(width)},
    {"num_hidden_layers", 1000, 0, AT(layers)},
    {"num_attention_heads", 1024, 0, AT(heads)},
    {"intermediate_size", 1 << 16, 0, AT(feedforward)},
    {"vocab_size", 1 << 22, 0, AT(vocabulary)},
    {"max_position_embeddings", 1 << 15, 0, AT(positions)},
    {"type_vocab_size", 1024, 2, AT(types)},
};

/* Keys that, where they are there, must have one value: another model computes otherwise. */
static const char *const texts[][2] = {
    {"model_type", "bert"},
    {"position_embedding_type", "absolute"},
};
static const char *const flags[] = {"is_decoder", "add_cross_attention"}; /* must be false */

static cz_status read_whole(int *to, const whole *w, const json_t *config, const char *path)
{
    const json_t *value = json_object_get(config, w->name);
    *to = w->preset;
    if (!value && w->preset) return CZ_OK;
    if (!json_is_integer(value))
        return cz_fail(CZ_ERR_INPUT, "%s: %s: expected a whole number, found %s", path, w->name,
                       cz_json_kind(value));
    json_int_t number = json_integer_value(value);
    if (number < 1 || number > w->most)
        return cz_fail(CZ_ERR_INPUT, "%s: %s: expected 1 to %d, found %lld", path, w->name, w->most,
                       (long long)number);
    *to = (int)number;
    return CZ_OK;
}

static cz_status read_activation(cz_activation *to, const json_t *config, const char *path)
{
    const char *name = json_string_value(json_object_get(config, "hidden_act"));
    *to = name && !strcmp(name, "relu") ? CZ_RELU : CZ_GELU;
    if (name && (!strcmp(name, "gelu") || *to == CZ_RELU)) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT, "%s: hidden_act: expected gelu or relu, found %.40s", path,
                   name ? name : cz_json_kind(json_object_get(config, "hidden_act")));
}

static cz_status read_eps(double *to, const json_t *config, const char *path)
{
    const json_t *value = json_object_get(config, "layer_norm_eps");
    *to = value ? json_number_value(value) : 1e-12;
    if ((!value || json_is_number(value)) && *to > 0 && *to <= 1) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT, "%s: layer_norm_eps: expected a number above 0 and at most 1",
                   path);
}

static cz_status check_kind(const json_t *config, const char *path)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const json_t *value = json_object_get(config, texts[i][0]);
        const char *text = json_string_value(value);
        if (value && (!text || strcmp(text, texts[i][1]) != 0))
            return cz_fail(CZ_ERR_INPUT,
                           "%s: %s: expected '%s', found %s%.40s%s: czhpc computes BERT encoders "
                           "alone",
                           path, texts[i][0], texts[i][1], text ? "'" : "",
                           text ? text : cz_json_kind(value), text ? "'" : "");
    }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (json_is_true(json_object_get(config, flags[i])))
            return cz_fail(CZ_ERR_INPUT, "%s: %s: expected false: czhpc computes encoders alone",
                           path, flags[i]);
    return CZ_OK;
}

static cz_status read_shape(cz_bert_shape *shape, const json_t *config, const char *path)
{
    if (!json_is_object(config))
        return cz_fail(CZ_ERR_INPUT, "%s: expected an object, found %s", path,
                       cz_json_kind(config));
    CZ_TRY(check_kind(config, path));
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++)
        CZ_TRY(read_whole((int *)(void *)((char *)shape + wholes[i].offset), &wholes[i], config,
                          path));
    if (shape->width % shape->heads)
        return cz_fail(CZ_ERR_INPUT, "%s: num_attention_heads (%d) must divide hidden_size (%d)",
                       path, shape->heads, shape->width);
    CZ_TRY(read_activation(&shape->activation, config, path));
    return read_eps(&shape->eps, config, path);
}

cz_status cz_bert_parse_shape(cz_bert_shape *shape, const char *path, const char *text, size_t size)
{
    json_error_t error;
    *shape = (cz_bert_shape){0};
    json_t *config = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!config)
        return cz_fail(CZ_ERR_INPUT, "%s:%d:%d: is not JSON: %s", path, error.line, error.column,
                       error.text);
    cz_status status = read_shape(shape, config, path);
    json_decref(config);
    return status;
}

cz_status cz_bert_read_shape(cz_bert_shape *shape, const char *folder)
{
    char path[2 * CZ_PATH_MAX];
    cz_mapped file;
    *shape = (cz_bert_shape){0};
    snprintf(path, sizeof path, "%s/config.json", folder);
    CZ_TRY(cz_mapped_open(&file, path));
    cz_status status = cz_bert_parse_shape(shape, path, file.bytes, file.size);
    cz_mapped_close(&file);
    return status;
}
