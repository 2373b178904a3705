/* A configuration file: two levels of YAML, read event by event so that every complaint has
 * its line and column. */
#include "reader.h"

#include "czhpc/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Names longer than any of ours are cut. */
enum { LONGEST_NAME = 160, SECTION_MAX = 32 };

/* The names of a list whose start is the current event. */
static cz_status read_list(reader *r, cz_config *config, const cz_key *key)
{
    char reason[CZ_REASON_MAX];
    for (;;) {
        CZ_TRY(reader_next(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT) return CZ_OK;
        if (r->event.type != YAML_SCALAR_EVENT)
            return cz_config_fail(r->path, reader_here(r),
                                  "key '%s': expected a text, found a list or keys", key->name);
        cz_value name = reader_scalar(r);
        if (!cz_key_append(config, key, &name, reason))
            return cz_config_fail(r->path, reader_here(r), "key '%s': %s", key->name, reason);
    }
}

/* The value of a key is the current event. */
static cz_status read_value(reader *r, cz_config *config, const cz_key *key)
{
    char reason[CZ_REASON_MAX];
    cz_value value = {.list = true};
    if (r->event.type == YAML_MAPPING_START_EVENT) {
        char expected[160];
        cz_key_expected(key, expected, sizeof expected);
        return cz_config_fail(r->path, reader_here(r), "key '%s': expected %s, found keys",
                              key->name, expected);
    }
    if (r->event.type == YAML_SCALAR_EVENT) value = reader_scalar(r);
    if (!cz_key_set(config, key, &value, reason))
        return cz_config_fail(r->path, reader_here(r), "key '%s': %s", key->name, reason);
    return value.list ? read_list(r, config, key) : CZ_OK;
}

/* The current event as the name of a section or key, in `name`. */
static cz_status read_name(const reader *r, char name[LONGEST_NAME], const char *section)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return cz_config_fail(r->path, reader_here(r), "expected the name of a %s",
                              section ? "key" : "section");
    snprintf(name, LONGEST_NAME, "%.31s%s%.64s", section ? section : "", section ? "." : "",
             (const char *)r->event.data.scalar.value);
    return CZ_OK;
}

cz_status reader_unknown_key(const reader *r, const char *name)
{
    const char *nearest = cz_key_nearest(name);
    if (nearest)
        return cz_config_fail(r->path, reader_here(r), "key '%s' is unknown, did you mean '%s'?",
                              name, nearest);
    return cz_config_fail(r->path, reader_here(r),
                          "key '%s' is unknown: --help-config lists all keys", name);
}

/* The keys of a section; the start of its mapping is the current event. */
static cz_status read_section(reader *r, cz_config *config, cz_origin *origin, const char *section)
{
    char name[LONGEST_NAME];
    for (;;) {
        CZ_TRY(reader_next(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) return CZ_OK;
        CZ_TRY(read_name(r, name, section));
        int index = cz_key_find(name);
        if (index < 0) return reader_unknown_key(r, name);
        if (origin[index].line)
            return cz_config_fail(r->path, reader_here(r),
                                  "key '%s' stands here again: line %d has it", name,
                                  origin[index].line);
        CZ_TRY(reader_next(r));
        origin[index] = reader_here(r);
        CZ_TRY(read_value(r, config, &cz_keys[index]));
    }
}

/* The sections' names, each once, in the order of the table. */
static int sections(const char *names[], char storage[][SECTION_MAX])
{
    int count = 0;
    for (int i = 0; i < cz_key_count; i++) {
        int length = cz_key_section(&cz_keys[i]);
        if (count && strncmp(storage[count - 1], cz_keys[i].name, (size_t)length + 1) == 0)
            continue;
        snprintf(storage[count], SECTION_MAX, "%.*s.", length, cz_keys[i].name);
        count++;
    }
    for (int i = 0; i < count; i++) {
        storage[i][strlen(storage[i]) - 1] = 0;
        names[i] = storage[i];
    }
    return count;
}

static cz_status unknown_section(const reader *r, const char *name, const char *const *names,
                                 int count)
{
    const char *nearest = cz_text_nearest(name, names, count);
    const char *key = cz_key_nearest(name);
    if (nearest && !strchr(name, '.'))
        return cz_config_fail(r->path, reader_here(r),
                              "section '%s' is unknown, did you mean '%s'?", name, nearest);
    if (key)
        return cz_config_fail(r->path, reader_here(r),
                              "'%s' is no section: write '%.*s:' and below it, indented, '%s:'",
                              name, (int)strcspn(key, "."), key, strchr(key, '.') + 1);
    return cz_config_fail(r->path, reader_here(r),
                          "section '%s' is unknown: --help-config lists them all", name);
}

/* All sections; the start of the outer mapping is the current event. */
static cz_status read_sections(reader *r, cz_config *config, cz_origin *origin)
{
    char name[LONGEST_NAME], storage[CZ_CONFIG_KEYS][SECTION_MAX];
    const char *names[CZ_CONFIG_KEYS + 1];
    int count = sections(names, storage), line[CZ_CONFIG_KEYS + 1] = {0};
    names[count++] = "experiments";
    for (;;) {
        CZ_TRY(reader_next(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) return CZ_OK;
        CZ_TRY(read_name(r, name, NULL));
        int section = 0;
        while (section < count && strcmp(names[section], name) != 0) section++;
        if (section == count) return unknown_section(r, name, names, count);
        if (line[section])
            return cz_config_fail(r->path, reader_here(r),
                                  "section '%s' stands here again: line %d has it", name,
                                  line[section]);
        line[section] = reader_here(r).line;
        CZ_TRY(reader_next(r));
        bool nothing = r->event.type == YAML_SCALAR_EVENT && !reader_scalar(r).length &&
                       !reader_scalar(r).quoted;
        if (nothing) continue; /* all of its keys are commented out */
        if (section == count - 1) {
            CZ_TRY(experiments_parse(r, config));
            continue;
        }
        if (r->event.type != YAML_MAPPING_START_EVENT)
            return cz_config_fail(r->path, reader_here(r), "section '%s': expected keys, found %s",
                                  name, r->event.type == YAML_SCALAR_EVENT ? "a value" : "a list");
        CZ_TRY(read_section(r, config, origin, name));
    }
}

static cz_status read_document(reader *r, cz_config *config, cz_origin *origin)
{
    CZ_TRY(reader_next(r)); /* start of the stream */
    CZ_TRY(reader_next(r));
    if (r->event.type == YAML_STREAM_END_EVENT)
        return cz_config_fail(r->path, (cz_origin){0},
                              "the file is empty: one that asks for all defaults holds {}");
    CZ_TRY(reader_next(r));
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return cz_config_fail(r->path, reader_here(r), "expected sections, such as 'train:'");
    CZ_TRY(read_sections(r, config, origin));
    CZ_TRY(reader_next(r)); /* end of the document */
    CZ_TRY(reader_next(r));
    if (r->event.type == YAML_STREAM_END_EVENT) return CZ_OK;
    return cz_config_fail(r->path, reader_here(r), "a second document begins: a file holds one");
}

/* A file named in a configuration stands beside it, or in the working directory. */
static cz_status find_beside(char file[CZ_PATH_MAX], const cz_key *key, const char *path,
                             cz_origin origin)
{
    char beside[2 * CZ_PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash || !file[0] || file[0] == '/' || strcmp(file, key->preset) == 0) return CZ_OK;
    if (slash - path >= CZ_PATH_MAX) return CZ_OK;
    snprintf(beside, sizeof beside, "%.*s/%s", (int)(slash - path), path, file);
    if (access(beside, F_OK)) return CZ_OK;
    if (cz_text_copy(file, CZ_PATH_MAX, beside)) return CZ_OK;
    return cz_config_fail(path, origin, "key '%s': the path '%s' is longer than %zu bytes",
                          key->name, beside, (size_t)CZ_PATH_MAX - 1);
}

static cz_status find_files(cz_config *config, const cz_key *key, const char *path,
                            cz_origin origin)
{
    char *file = (char *)config + key->offset;
    cz_texts *files = (void *)file;
    if (key->kind == CZ_KIND_PATH) return find_beside(file, key, path, origin);
    for (int i = 0; key->kind == CZ_KIND_PATHS && i < files->count; i++)
        CZ_TRY(find_beside(files->text[i], key, path, origin));
    return CZ_OK;
}

cz_status cz_config_parse(cz_config *config, cz_origin *origin, const char *path)
{
    cz_status status;
    reader r = {.path = path};
    char *text = reader_file(&r.size, &status, path);
    if (!text) return status;
    r.text = text;
    status = reader_open(&r);
    if (!status) {
        status = read_document(&r, config, origin);
        reader_close(&r);
    }
    for (int i = 0; i < cz_key_count && !status; i++)
        if (origin[i].line) status = find_files(config, &cz_keys[i], path, origin[i]);
    free(text);
    return status;
}

cz_status cz_config_parse_list(cz_config *config, const cz_key *key, cz_origin origin,
                               const char *text)
{
    reader r = {.base = origin, .text = text, .size = strlen(text)};
    CZ_TRY(reader_open(&r));
    cz_status status = reader_next(&r);
    if (!status) status = reader_next(&r);
    if (!status) status = reader_next(&r);
    if (!status) status = read_value(&r, config, key);
    if (!status) status = reader_next(&r);
    if (!status) status = reader_next(&r);
    if (!status && r.event.type != YAML_STREAM_END_EVENT)
        status = cz_config_fail(NULL, origin, "key '%s': more stands behind the list", key->name);
    reader_close(&r);
    return status;
}
