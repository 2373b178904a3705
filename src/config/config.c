/* A configuration as a whole: defaults, file, overrides, hash. */
#include "table.h"

#include "czhpc/rng.h"
#include "czhpc/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

cz_status cz_config_fail(const char *file, cz_origin origin, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (origin.override)
        return cz_fail(CZ_ERR_CONFIG, "--set %.200s%s: %s", origin.override,
                       strlen(origin.override) > 200 ? "..." : "", text);
    if (!file) return cz_fail(CZ_ERR_CONFIG, "%s", text);
    if (!origin.line) return cz_fail(CZ_ERR_CONFIG, "%s: %s", file, text);
    return cz_fail(CZ_ERR_CONFIG, "%s:%d:%d: %s", file, origin.line, origin.column, text);
}

/* A default of the table, the only ones that no person has written just now. */
static cz_status set_default(cz_config *config, const cz_key *key)
{
    char reason[CZ_REASON_MAX];
    cz_value value = {.text = key->preset, .length = strlen(key->preset)};
    if (cz_key_takes_list(key))
        return cz_config_parse_list(config, key, (cz_origin){0}, key->preset);
    if (cz_key_set(config, key, &value, reason)) return CZ_OK;
    return cz_fail(CZ_ERR_BUG, "the default of %s is wrong: %s", key->name, reason);
}

static cz_status set_defaults(cz_config *config)
{
    memset(config, 0, sizeof *config);
    for (int i = 0; i < cz_key_count; i++) CZ_TRY(set_default(config, &cz_keys[i]));
    return CZ_OK;
}

void cz_config_defaults(cz_config *config) { (void)set_defaults(config); }

cz_status cz_config_override(cz_config *config, cz_origin *origins, const char *text)
{
    char name[CZ_NAME_MAX], reason[CZ_REASON_MAX];
    cz_origin origin = {.override = text};
    const char *equals = strchr(text, '=');
    if (!equals) return cz_config_fail(NULL, origin, "expected KEY=VALUE, such as train.lr=1e-3");
    size_t length = (size_t)(equals - text);
    snprintf(name, sizeof name, "%.*s", (int)(length < CZ_NAME_MAX ? length : CZ_NAME_MAX - 1),
             text);
    int index = cz_key_find(name);
    if (index < 0) {
        const char *nearest = cz_key_nearest(name);
        return cz_config_fail(NULL, origin, "key '%s' is unknown%s%s%s", name,
                              nearest ? ", did you mean '" : "", nearest ? nearest : "",
                              nearest ? "'?" : ": --help-config lists all keys");
    }
    const cz_key *key = &cz_keys[index];
    cz_value value = {.text = equals + 1, .length = strlen(equals + 1)};
    if (cz_key_takes_list(key) && value.text[0] == '[')
        CZ_TRY(cz_config_parse_list(config, key, origin, value.text));
    else if (!cz_key_set(config, key, &value, reason))
        return cz_config_fail(NULL, origin, "key '%s': %s", name, reason);
    origins[index] = origin;
    return CZ_OK;
}

static cz_status set_overrides(cz_config *config, cz_origin *origins, const cz_override *overrides,
                               int count)
{
    for (int i = 0; i < count; i++) CZ_TRY(cz_config_override(config, origins, overrides[i].text));
    return CZ_OK;
}

/* An experiment that names no seeds or splits has the configuration's. */
static void seed_experiments(cz_config *config)
{
    for (int e = 0; e < config->experiments; e++) {
        cz_experiment *x = &config->experiment[e];
        if (!x->seeds) x->seed[x->seeds++] = config->run.seed;
        if (!x->splits) x->split[x->splits++] = config->split.seed;
    }
}

/* "configs/base.yaml" -> "base". */
static void name_after_file(cz_config *config, const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    const char *name = !path ? "run" : slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    int length = dot && dot != name ? (int)(dot - name) : (int)strlen(name);
    snprintf(config->run.name, sizeof config->run.name, "%.*s", length, name);
}

cz_status cz_config_load(cz_config *config, const char *path, const cz_override *overrides,
                         int count)
{
    cz_origin origin[CZ_CONFIG_KEYS] = {{0}};
    CZ_TRY(set_defaults(config));
    if (path) CZ_TRY(cz_config_parse(config, origin, path));
    CZ_TRY(set_overrides(config, origin, overrides, count));
    if (config->train.from[0]) {
        /* An override counts for more than the values found by a search. */
        CZ_TRY(cz_config_take_best(config));
        CZ_TRY(set_overrides(config, origin, overrides, count));
        config->train.from[0] = 0;
    }
    if (!config->run.name[0]) name_after_file(config, path);
    CZ_TRY(cz_config_check(config, origin, path));
    seed_experiments(config);
    return cz_config_check_experiments(config, path);
}

static void write_file_name(const char *path, FILE *out)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--; /* of a folder */
    size_t begin = length;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    fprintf(out, "\"%.*s\"", (int)(length - begin), path + begin);
}

/* A file counts by its name, not its folder: a folder may move, and the checkpoint knows the
 * content of the data. */
static void write_for_hash(const cz_config *config, const cz_key *key, bool folders, FILE *out)
{
    const void *at = (const char *)config + key->offset;
    const cz_texts *files = at;
    fprintf(out, "%s=", key->name);
    if (key->kind == CZ_KIND_PATH && !folders) write_file_name(at, out);
    else if (key->kind == CZ_KIND_PATHS && !folders)
        for (int i = 0; i < files->count; i++) write_file_name(files->text[i], out);
    else cz_key_write(config, key, out);
    fputc('\n', out);
}

static uint64_t add_to_hash(uint64_t hash, const cz_config *config, const cz_key *key, bool folders)
{
    char line[CZ_TEXTS_MAX * 2 * CZ_PATH_MAX];
    FILE *out = fmemopen(line, sizeof line, "w");
    if (!out) return 0;
    write_for_hash(config, key, folders, out);
    long length = ftell(out);
    fclose(out);
    return cz_hash(hash, line, (unsigned long)length);
}

uint64_t cz_config_hash(const cz_config *config)
{
    uint64_t hash = 0;
    for (int i = 0; i < cz_key_count; i++)
        if (cz_keys[i].result) hash = add_to_hash(hash, config, &cz_keys[i], false);
    return hash;
}

static void describe(char *text, size_t size, const cz_config *config, const cz_key *key)
{
    char value[CZ_TEXTS_MAX * 2 * CZ_PATH_MAX] = "";
    FILE *out = fmemopen(value, sizeof value, "w");
    if (out) cz_key_write(config, key, out);
    if (out) fclose(out);
    snprintf(text, size, "%s", value);
    if (strlen(value) >= size) memcpy(text + size - 4, "...", 4);
}

/* Whether a value that decides the result is another one, and the first such. */
static bool differ(char *how, size_t size, const cz_config *there, const cz_config *here)
{
    char own[64], other[64];
    for (int i = 0; i < cz_key_count; i++) {
        const cz_key *key = &cz_keys[i];
        if (!key->result || add_to_hash(0, there, key, false) == add_to_hash(0, here, key, false))
            continue;
        describe(own, sizeof own, here, key);
        describe(other, sizeof other, there, key);
        snprintf(how, size, "%s is %s there, here %s", key->name, other, own);
        return true;
    }
    return false;
}

bool cz_config_is_of(char *how, size_t size, const cz_config *config, const char *path)
{
    cz_config *other = cz_alloc(1, sizeof *other, "a configuration");
    bool read = other && !cz_config_load(other, path, NULL, 0);
    snprintf(how, size, "%s", read ? "" : cz_error_message());
    bool same = read && !differ(how, size, other, config);
    free(other);
    if (!read) cz_error_clear();
    return same;
}

uint64_t cz_config_hash_of(const cz_config *config, const char *const *prefix, int prefixes,
                           bool folders)
{
    uint64_t hash = 0;
    for (int i = 0; i < cz_key_count; i++)
        for (int p = 0; p < prefixes; p++)
            if (strncmp(cz_keys[i].name, prefix[p], strlen(prefix[p])) == 0)
                hash = add_to_hash(hash, config, &cz_keys[i], folders);
    return hash;
}
