/* A configuration file: two levels of YAML, read event by event so that every complaint has
 * its line and column. */
#include "table.h"

#include "czhpc/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

/* Names longer than any of ours are cut. */
enum { LARGEST = 1 << 20, LONGEST_NAME = 160, SECTION_MAX = 32 };

typedef struct reader {
    yaml_parser_t yaml;
    yaml_event_t event;
    bool has_event;
    const char *path; /* NULL: the text of an override */
    cz_origin base;   /* of an override */
    const char *text;
    size_t size;
} reader;

static cz_origin place(const reader *r, yaml_mark_t mark)
{
    if (r->base.override || !r->path) return r->base;
    return (cz_origin){.line = (int)mark.line + 1, .column = (int)mark.column + 1};
}

static cz_origin here(const reader *r) { return place(r, r->event.start_mark); }

/* The reader of bytes knows an offset only. */
static yaml_mark_t mark_of_offset(const reader *r, size_t offset)
{
    yaml_mark_t mark = {0};
    for (size_t i = 0; i < offset && i < r->size; i++) {
        if (r->text[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if (((unsigned char)r->text[i] & 0xC0) != 0x80) mark.column++;
    }
    return mark;
}

static bool tab_at(const reader *r, yaml_mark_t mark)
{
    size_t at = 0;
    for (size_t line = 0; line < mark.line && at < r->size; at++) line += r->text[at] == '\n';
    for (; at < r->size && r->text[at] != '\n'; at++) {
        if (r->text[at] == '\t') return true;
        if (r->text[at] != ' ') return false;
    }
    return false;
}

static cz_status syntax_error(const reader *r)
{
    const yaml_parser_t *y = &r->yaml;
    if (y->error == YAML_MEMORY_ERROR) return cz_fail(CZ_ERR_MEMORY, "no memory to read YAML");
    if (y->error == YAML_READER_ERROR)
        return cz_config_fail(r->path, place(r, mark_of_offset(r, y->problem_offset)),
                              "a control character (code %d) stands in the text", y->problem_value);
    if (tab_at(r, y->problem_mark))
        return cz_config_fail(r->path, place(r, y->problem_mark),
                              "a tab stands before the text: indent with spaces");
    cz_origin at = place(r, y->problem_mark), began = place(r, y->context_mark);
    if (strstr(y->problem, "<document start>"))
        return cz_config_fail(r->path, at, "text stands behind the end of the YAML");
    if (y->context && began.line)
        return cz_config_fail(r->path, at, "not YAML: %s, %s that begins at line %d, column %d",
                              y->problem, y->context, began.line, began.column);
    return cz_config_fail(r->path, at, "not YAML: %s", y->problem);
}

/* The next event. Anchors, aliases and tags are refused wherever they stand. */
static cz_status next(reader *r)
{
    if (r->has_event) yaml_event_delete(&r->event);
    r->has_event = yaml_parser_parse(&r->yaml, &r->event) == 1;
    if (!r->has_event) return syntax_error(r);
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (r->event.type) {
    case YAML_ALIAS_EVENT:
        return cz_config_fail(r->path, here(r), "aliases (*%s) are not read: write the value out",
                              (const char *)r->event.data.alias.anchor);
    case YAML_SCALAR_EVENT:
        anchor = r->event.data.scalar.anchor;
        tag = r->event.data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = r->event.data.sequence_start.anchor;
        tag = r->event.data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = r->event.data.mapping_start.anchor;
        tag = r->event.data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor)
        return cz_config_fail(r->path, here(r), "anchors (&%s) are not read: write the value out",
                              (const char *)anchor);
    if (tag) return cz_config_fail(r->path, here(r), "tags (%s) are not read", (const char *)tag);
    return CZ_OK;
}

static cz_value scalar(const reader *r)
{
    return (cz_value){.text = (const char *)r->event.data.scalar.value,
                      .length = r->event.data.scalar.length,
                      .quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE};
}

/* The names of a list whose start is the current event. */
static cz_status read_list(reader *r, cz_config *config, const cz_key *key)
{
    char reason[CZ_REASON_MAX];
    for (;;) {
        CZ_TRY(next(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT) return CZ_OK;
        if (r->event.type != YAML_SCALAR_EVENT)
            return cz_config_fail(r->path, here(r),
                                  "key '%s': expected a text, found a list or keys", key->name);
        cz_value name = scalar(r);
        if (!cz_key_append(config, key, &name, reason))
            return cz_config_fail(r->path, here(r), "key '%s': %s", key->name, reason);
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
        return cz_config_fail(r->path, here(r), "key '%s': expected %s, found keys", key->name,
                              expected);
    }
    if (r->event.type == YAML_SCALAR_EVENT) value = scalar(r);
    if (!cz_key_set(config, key, &value, reason))
        return cz_config_fail(r->path, here(r), "key '%s': %s", key->name, reason);
    return value.list ? read_list(r, config, key) : CZ_OK;
}

/* The current event as the name of a section or key, in `name`. */
static cz_status read_name(const reader *r, char name[LONGEST_NAME], const char *section)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return cz_config_fail(r->path, here(r), "expected the name of a %s",
                              section ? "key" : "section");
    snprintf(name, LONGEST_NAME, "%.31s%s%.64s", section ? section : "", section ? "." : "",
             (const char *)r->event.data.scalar.value);
    return CZ_OK;
}

static cz_status unknown_key(const reader *r, const char *name)
{
    const char *nearest = cz_key_nearest(name);
    if (nearest)
        return cz_config_fail(r->path, here(r), "key '%s' is unknown, did you mean '%s'?", name,
                              nearest);
    return cz_config_fail(r->path, here(r), "key '%s' is unknown: --help-config lists all keys",
                          name);
}

/* The keys of a section; the start of its mapping is the current event. */
static cz_status read_section(reader *r, cz_config *config, cz_origin *origin, const char *section)
{
    char name[LONGEST_NAME];
    for (;;) {
        CZ_TRY(next(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) return CZ_OK;
        CZ_TRY(read_name(r, name, section));
        int index = cz_key_find(name);
        if (index < 0) return unknown_key(r, name);
        if (origin[index].line)
            return cz_config_fail(r->path, here(r), "key '%s' stands here again: line %d has it",
                                  name, origin[index].line);
        CZ_TRY(next(r));
        origin[index] = here(r);
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
        return cz_config_fail(r->path, here(r), "section '%s' is unknown, did you mean '%s'?", name,
                              nearest);
    if (key)
        return cz_config_fail(r->path, here(r),
                              "'%s' is no section: write '%.*s:' and below it, indented, '%s:'",
                              name, (int)strcspn(key, "."), key, strchr(key, '.') + 1);
    return cz_config_fail(r->path, here(r), "section '%s' is unknown: --help-config lists them all",
                          name);
}

/* All sections; the start of the outer mapping is the current event. */
static cz_status read_sections(reader *r, cz_config *config, cz_origin *origin)
{
    char name[LONGEST_NAME], storage[CZ_CONFIG_KEYS][SECTION_MAX];
    const char *names[CZ_CONFIG_KEYS];
    int count = sections(names, storage), line[CZ_CONFIG_KEYS] = {0};
    for (;;) {
        CZ_TRY(next(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) return CZ_OK;
        CZ_TRY(read_name(r, name, NULL));
        int section = 0;
        while (section < count && strcmp(names[section], name) != 0) section++;
        if (section == count) return unknown_section(r, name, names, count);
        if (line[section])
            return cz_config_fail(r->path, here(r),
                                  "section '%s' stands here again: line %d has it", name,
                                  line[section]);
        line[section] = here(r).line;
        CZ_TRY(next(r));
        bool nothing = r->event.type == YAML_SCALAR_EVENT && !scalar(r).length && !scalar(r).quoted;
        if (nothing) continue; /* all of its keys are commented out */
        if (r->event.type != YAML_MAPPING_START_EVENT)
            return cz_config_fail(r->path, here(r), "section '%s': expected keys, found %s", name,
                                  r->event.type == YAML_SCALAR_EVENT ? "a value" : "a list");
        CZ_TRY(read_section(r, config, origin, name));
    }
}

static cz_status read_document(reader *r, cz_config *config, cz_origin *origin)
{
    CZ_TRY(next(r)); /* start of the stream */
    CZ_TRY(next(r));
    if (r->event.type == YAML_STREAM_END_EVENT)
        return cz_config_fail(r->path, (cz_origin){0},
                              "the file is empty: one that asks for all defaults holds {}");
    CZ_TRY(next(r));
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return cz_config_fail(r->path, here(r), "expected sections, such as 'train:'");
    CZ_TRY(read_sections(r, config, origin));
    CZ_TRY(next(r)); /* end of the document */
    CZ_TRY(next(r));
    if (r->event.type == YAML_STREAM_END_EVENT) return CZ_OK;
    return cz_config_fail(r->path, here(r), "a second document begins: a file holds one");
}

static cz_status check_encoding(const reader *r)
{
    size_t good = cz_text_utf8(r->text, r->size);
    if (good == r->size) return CZ_OK;
    return cz_config_fail(r->path, place(r, mark_of_offset(r, good)), "byte 0x%02X is not UTF-8%s",
                          (unsigned char)r->text[good], r->path ? ": save the file as UTF-8" : "");
}

static cz_status open_reader(reader *r)
{
    static const char mark[] = "\xEF\xBB\xBF";
    if (r->size >= 3 && memcmp(r->text, mark, 3) == 0) {
        r->text += 3;
        r->size -= 3;
    }
    if (!yaml_parser_initialize(&r->yaml)) return cz_fail(CZ_ERR_MEMORY, "no memory to read YAML");
    yaml_parser_set_encoding(&r->yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->yaml, (const unsigned char *)r->text, r->size);
    return CZ_OK;
}

static void close_reader(reader *r)
{
    if (r->has_event) yaml_event_delete(&r->event);
    yaml_parser_delete(&r->yaml);
}

/* The whole of a file, or of a pipe, for the caller to free; NULL with *status set. */
static char *read_file(size_t *size, cz_status *status, const char *path)
{
    struct stat about;
    FILE *in = fopen(path, "rb");
    if (!in) {
        *status = cz_fail(CZ_ERR_INPUT, "%s: cannot be read: %s", path, strerror(errno));
        return NULL;
    }
    *status = CZ_OK;
    if (fstat(fileno(in), &about) == 0 && S_ISDIR(about.st_mode))
        *status = cz_fail(CZ_ERR_INPUT, "%s: is a folder: give a configuration file", path);
    char *text = *status ? NULL : cz_alloc(LARGEST + 1, 1, "the configuration file");
    if (text) {
        *size = fread(text, 1, LARGEST + 1, in);
        if (ferror(in))
            *status = cz_fail(CZ_ERR_INPUT, "%s: cannot be read: %s", path, strerror(errno));
        else if (*size > LARGEST)
            *status = cz_fail(CZ_ERR_CONFIG, "%s: is larger than 1 MiB: no configuration is", path);
    } else if (!*status) *status = CZ_ERR_MEMORY;
    fclose(in);
    if (!*status) return text;
    free(text);
    return NULL;
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
    char *text = read_file(&r.size, &status, path);
    if (!text) return status;
    r.text = text;
    status = check_encoding(&r);
    if (!status) status = open_reader(&r);
    if (!status) {
        status = read_document(&r, config, origin);
        close_reader(&r);
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
    CZ_TRY(check_encoding(&r));
    CZ_TRY(open_reader(&r));
    cz_status status = next(&r);
    if (!status) status = next(&r);
    if (!status) status = next(&r);
    if (!status) status = read_value(&r, config, key);
    if (!status) status = next(&r);
    if (!status) status = next(&r);
    if (!status && r.event.type != YAML_STREAM_END_EVENT)
        status = cz_config_fail(NULL, origin, "key '%s': more stands behind the list", key->name);
    close_reader(&r);
    return status;
}
