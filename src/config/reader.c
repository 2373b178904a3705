/* YAML as events with their places, of a file or of an override. */
#include "reader.h"

#include "czhpc/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LARGEST = 1 << 20 };

static cz_origin place(const reader *r, yaml_mark_t mark)
{
    if (r->base.override || !r->path) return r->base;
    return (cz_origin){.line = (int)mark.line + 1, .column = (int)mark.column + 1};
}

cz_origin reader_here(const reader *r) { return place(r, r->event.start_mark); }

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
cz_status reader_next(reader *r)
{
    if (r->has_event) yaml_event_delete(&r->event);
    r->has_event = yaml_parser_parse(&r->yaml, &r->event) == 1;
    if (!r->has_event) return syntax_error(r);
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (r->event.type) {
    case YAML_ALIAS_EVENT:
        return cz_config_fail(r->path, reader_here(r),
                              "aliases (*%s) are not read: write the value out",
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
        return cz_config_fail(r->path, reader_here(r),
                              "anchors (&%s) are not read: write the value out",
                              (const char *)anchor);
    if (tag)
        return cz_config_fail(r->path, reader_here(r), "tags (%s) are not read", (const char *)tag);
    return CZ_OK;
}

cz_value reader_scalar(const reader *r)
{
    return (cz_value){.text = (const char *)r->event.data.scalar.value,
                      .length = r->event.data.scalar.length,
                      .quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE};
}

static cz_status check_encoding(const reader *r)
{
    size_t good = cz_text_utf8(r->text, r->size);
    if (good == r->size) return CZ_OK;
    return cz_config_fail(r->path, place(r, mark_of_offset(r, good)), "byte 0x%02X is not UTF-8%s",
                          (unsigned char)r->text[good], r->path ? ": save the file as UTF-8" : "");
}

cz_status reader_open(reader *r)
{
    CZ_TRY(check_encoding(r));
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

void reader_close(reader *r)
{
    if (r->has_event) yaml_event_delete(&r->event);
    yaml_parser_delete(&r->yaml);
}

/* The whole of a file, or of a pipe, for the caller to free; NULL with *status set. */
char *reader_file(size_t *size, cz_status *status, const char *path)
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
